//! Names that vLLM gives to what we read, in all its versions.
//!
//! Sources: vLLM's `vllm/engine/metrics.py` (the old engine, V0), `vllm/v1/metrics/loggers.py`, `docs/design/metrics.md`,
//! and texts of 0.32.
//! - `kv_cache_usage_perc`, `prefix_cache_queries`, `prefix_cache_hits` had `gpu_` in front of them; for some versions from
//!   0.9 on a text has both.
//! - `inter_token_latency_seconds` was `time_per_output_token_seconds`. (`request_time_per_output_token_seconds` is a
//!   mean per request, another thing.)
//! - Counters carry `_total` or not: vLLM's source and documents often leave it out, its text does not.

/// A family that we read. `Old…` is the former name of the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Requests that run.
    Running,
    /// Requests that wait.
    Waiting,
    /// Requests put aside in the CPU's memory; old engine only.
    Swapped,
    /// KV cache in use, 0 to 1.
    KvUse,
    /// The same.
    OldKvUse,
    /// Prefix cache hits, 0 to 1; old engine only, -1 without a prefix cache.
    HitRate,
    /// Preemptions.
    Preemptions,
    /// Prompt tokens worked through.
    PromptTokens,
    /// Tokens generated.
    GenerationTokens,
    /// Prompt tokens looked up in the prefix cache.
    Queries,
    /// The same.
    OldQueries,
    /// Prompt tokens found there.
    Hits,
    /// The same.
    OldHits,
    /// Buckets of the time to first token.
    Ttft,
    /// Buckets of the time from one token to the next.
    Itl,
    /// The same.
    OldItl,
    /// Requests that ended, by `finished_reason`.
    Finished,
    /// Requests that a limit of the queue kept out, by `reason`.
    Rejected,
    /// Answers of the HTTP server, by `status` and `handler`.
    Http,
    /// When the server's process started; not there with several API servers.
    Started,
}

impl Family {
    /// The family of a sample with this name; `None` for all that we do not need.
    pub fn of(name: &[u8]) -> Option<Self> {
        let Some(own) = name.strip_prefix(b"vllm:") else {
            return match name {
                b"http_requests_total" | b"http_requests" => Some(Self::Http),
                b"process_start_time_seconds" => Some(Self::Started),
                _ => None,
            };
        };
        Some(match own {
            b"num_requests_running" => Self::Running,
            b"num_requests_waiting" => Self::Waiting,
            b"num_requests_swapped" => Self::Swapped,
            b"kv_cache_usage_perc" => Self::KvUse,
            b"gpu_cache_usage_perc" => Self::OldKvUse,
            b"gpu_prefix_cache_hit_rate" => Self::HitRate,
            b"time_to_first_token_seconds_bucket" => Self::Ttft,
            b"inter_token_latency_seconds_bucket" => Self::Itl,
            b"time_per_output_token_seconds_bucket" => Self::OldItl,
            _ => match own.strip_suffix(b"_total").unwrap_or(own) {
                b"num_preemptions" => Self::Preemptions,
                b"prompt_tokens" => Self::PromptTokens,
                b"generation_tokens" => Self::GenerationTokens,
                b"prefix_cache_queries" => Self::Queries,
                b"gpu_prefix_cache_queries" => Self::OldQueries,
                b"prefix_cache_hits" => Self::Hits,
                b"gpu_prefix_cache_hits" => Self::OldHits,
                b"request_success" => Self::Finished,
                b"admission_rejections" => Self::Rejected,
                _ => return None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_go_with_and_without_total() {
        for name in ["vllm:prompt_tokens", "vllm:prompt_tokens_total"] {
            assert_eq!(Family::of(name.as_bytes()), Some(Family::PromptTokens));
        }
    }

    #[test]
    fn names_that_only_begin_or_end_alike_are_others() {
        for name in [
            "",
            "vllm:",
            "vllm:num_requests_running_total",
            "vllm:num_requests_waiting_by_reason",
            "vllm:prompt_tokens_by_source_total",
            "vllm:prompt_tokens_created",
            "vllm:external_prefix_cache_queries_total",
            "vllm:request_time_per_output_token_seconds_bucket",
            "vllm:time_to_first_token_seconds_sum",
            "vllm:time_to_first_token_seconds",
            "num_requests_running",
            "http_requests_created",
        ] {
            assert_eq!(Family::of(name.as_bytes()), None, "{name}");
        }
    }
}
