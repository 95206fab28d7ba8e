//! `/metrics`: the recorded page, with the samples that move.

use crate::clock;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// The page, line by line.
pub struct Metrics {
    lines: Vec<Line>,
    /// `http_requests_total` by handler, method and class of status.
    http: BTreeMap<(String, String, String), u64>,
}

enum Line {
    Text(String),
    Sample(Sample),
}

struct Sample {
    name: String,
    labels: String,
    /// The upper bound of a histogram's bucket.
    le: Option<f64>,
    value: f64,
}

/// How long a request took.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub first: Duration,
    pub queued: Duration,
    pub total: Duration,
}

impl Metrics {
    /// The page of an engine that has just become ready.
    pub fn new(model: &str, utilization: f64, cache_tokens: u64, max_model_len: u64) -> Self {
        let now = clock::since_epoch().as_secs_f64();
        let model = model.replace('\\', "\\\\").replace('"', "\\\"");
        let (blocks, bytes) = (cache_tokens / 16, cache_tokens * crate::script::BYTES_PER_TOKEN);
        #[expect(clippy::cast_precision_loss, reason = "a ratio for the eye")]
        let concurrency = cache_tokens as f64 / max_model_len.max(1) as f64;
        let page = include_str!("../../fixtures/metrics_at_ready.txt")
            .replace("model_name=\"lydia\"", &format!("model_name=\"{model}\""))
            .replace("block_size=\"128\"", "block_size=\"16\"")
            .replace(
                "gpu_memory_utilization=\"0.92\"",
                &format!("gpu_memory_utilization=\"{utilization:?}\""),
            )
            .replace("num_gpu_blocks=\"16384\"", &format!("num_gpu_blocks=\"{blocks}\""))
            .replace("kv_cache_size_tokens=\"2097152\"", &format!("kv_cache_size_tokens=\"{cache_tokens}\""))
            .replace("kv_cache_memory_bytes=\"1073741824\"", &format!("kv_cache_memory_bytes=\"{bytes}\""))
            .replace(
                "kv_cache_max_concurrency=\"4096.0\"",
                &format!("kv_cache_max_concurrency=\"{concurrency:?}\""),
            );
        let mut metrics = Self { lines: page.lines().map(Line::read).collect(), http: BTreeMap::new() };
        for sample in metrics.samples() {
            if sample.name.ends_with("_created") || sample.name == "process_start_time_seconds" {
                sample.value = now;
            }
        }
        metrics
    }

    fn samples(&mut self) -> impl Iterator<Item = &mut Sample> {
        self.lines.iter_mut().filter_map(|line| match line {
            Line::Sample(sample) => Some(sample),
            Line::Text(_) => None,
        })
    }

    /// Sets the samples that `key` names: a name, or `name{word}` for those with a label of that value.
    pub fn set(&mut self, key: &str, value: f64) {
        self.change(key, |sample| sample.value = value);
    }

    /// Adds to the samples that `key` names.
    #[expect(clippy::cast_precision_loss, reason = "counters are floating point numbers")]
    pub fn add(&mut self, key: &str, count: u64) {
        self.change(key, |sample| sample.value += count as f64);
    }

    fn change(&mut self, key: &str, change: impl Fn(&mut Sample)) {
        let (name, word) = key.trim_end_matches('}').split_once('{').unwrap_or((key, ""));
        let label = format!("=\"{word}\"");
        for sample in self.samples().filter(|sample| sample.name == name) {
            if word.is_empty() || sample.labels.contains(&label) {
                change(sample);
            }
        }
    }

    fn observe(&mut self, histogram: &str, value: f64) {
        for sample in self.samples() {
            match sample.name.strip_prefix(histogram) {
                Some("_bucket") if sample.le.is_some_and(|le| value <= le) => sample.value += 1.0,
                Some("_count") => sample.value += 1.0,
                Some("_sum") => sample.value += value,
                _ => {}
            }
        }
    }

    /// A prompt was taken in.
    pub fn prompt(&mut self, tokens: u64) {
        self.add("vllm:prompt_tokens_total", tokens);
        self.add("vllm:prompt_tokens_by_source_total{local_compute}", tokens);
        self.add("vllm:prefix_cache_queries_total", tokens);
    }

    /// A token was made, `seconds` after the one before it or after the request came.
    pub fn token(&mut self, first: bool, seconds: f64) {
        self.add("vllm:generation_tokens_total", 1);
        self.observe("vllm:iteration_tokens_total", 1.0);
        let histogram =
            if first { "vllm:time_to_first_token_seconds" } else { "vllm:inter_token_latency_seconds" };
        self.observe(histogram, seconds);
    }

    /// A request got all its tokens.
    #[expect(clippy::cast_precision_loss, reason = "token counts")]
    pub fn finished(&mut self, prompt: u64, generated: u64, times: Times) {
        let (prompt, generated) = (prompt as f64, generated as f64);
        let (first, queued, total) =
            (times.first.as_secs_f64(), times.queued.as_secs_f64(), times.total.as_secs_f64());
        let decode = (total - first).max(0.0);
        for (histogram, value) in [
            ("vllm:request_prompt_tokens", prompt),
            ("vllm:request_generation_tokens", generated),
            ("vllm:request_max_num_generation_tokens", generated),
            ("vllm:request_params_n", 1.0),
            ("vllm:request_params_max_tokens", generated),
            ("vllm:request_time_per_output_token_seconds", decode / (generated - 1.0).max(1.0)),
            ("vllm:e2e_request_latency_seconds", total),
            ("vllm:request_queue_time_seconds", queued),
            ("vllm:request_inference_time_seconds", (total - queued).max(0.0)),
            ("vllm:request_prefill_time_seconds", (first - queued).max(0.0)),
            ("vllm:request_decode_time_seconds", decode),
            ("vllm:request_num_preemptions", 0.0),
            ("vllm:request_prefill_kv_computed_tokens", prompt),
        ] {
            self.observe(histogram, value);
        }
    }

    /// An answer was sent by `handler`.
    pub fn http(&mut self, handler: &str, method: &str, status: u16) {
        let class = format!("{}xx", status / 100);
        *self.http.entry((handler.to_owned(), method.to_owned(), class)).or_insert(0) += 1;
    }

    /// The page as text.
    pub fn render(&self) -> String {
        let mut page = String::with_capacity(64 * 1024);
        for line in &self.lines {
            // Writing to a String cannot fail.
            let _ = match line {
                Line::Text(text) => writeln!(page, "{text}"),
                Line::Sample(Sample { name, labels, value, .. }) => {
                    writeln!(page, "{name}{labels} {}", number(*value))
                }
            };
            if matches!(line, Line::Text(text) if text == "# TYPE http_requests_total counter") {
                for ((handler, method, status), count) in &self.http {
                    let _ = writeln!(
                        page,
                        "http_requests_total{{handler=\"{handler}\",method=\"{method}\",status=\"{status}\"}} {count}.0"
                    );
                }
            }
        }
        page
    }
}

impl Line {
    fn read(line: &str) -> Self {
        let sample = || {
            let (series, value) = line.rsplit_once(' ')?;
            let value = value.parse().ok()?;
            let (name, labels) = match series.find('{') {
                Some(brace) => series.split_at(brace),
                None => (series, ""),
            };
            let le =
                labels.split_once("le=\"").and_then(|(_, rest)| rest.split('"').next()).and_then(
                    |le| match le {
                        "+Inf" => Some(f64::INFINITY),
                        le => le.parse().ok(),
                    },
                );
            Some(Sample { name: name.to_owned(), labels: labels.to_owned(), le, value })
        };
        if line.starts_with('#') {
            Self::Text(line.to_owned())
        } else {
            sample().map_or_else(|| Self::Text(line.to_owned()), Self::Sample)
        }
    }
}

/// `floatToGoString` of the Python client: seven digits or more before the point become an exponent.
fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let text = format!("{value:?}");
    match text.find('.') {
        Some(point) if value > 0.0 && point > 6 && !text.contains('e') => {
            let digits = format!("{}.{}{}", &text[..1], &text[1..point], &text[point + 1..]);
            format!("{}e+{:02}", digits.trim_end_matches(['0', '.']), point - 1)
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_reads_back_as_it_was_recorded() {
        let metrics = Metrics::new("lydia", 0.92, 2_097_152, 512);
        let recorded = include_str!("../../fixtures/metrics_at_ready.txt");
        for (ours, theirs) in metrics.render().lines().zip(recorded.lines()) {
            if !["_created", "process_start", "cache_config_info"]
                .iter()
                .any(|moving| theirs.contains(moving))
            {
                assert_eq!(ours, theirs);
            }
        }
        assert_eq!(metrics.render().lines().count(), recorded.lines().count());
    }

    #[test]
    fn a_finished_request_moves_counters_and_buckets() {
        let mut metrics = Metrics::new("x", 0.9, 1000, 100);
        metrics.prompt(7);
        metrics.token(true, 0.02);
        metrics.add("vllm:request_success_total{length}", 1);
        let times = Times { first: Duration::ZERO, queued: Duration::ZERO, total: Duration::from_millis(20) };
        metrics.finished(7, 1, times);
        let page = metrics.render();
        for line in [
            "vllm:prompt_tokens_total{engine=\"0\",model_name=\"x\"} 7.0",
            "vllm:generation_tokens_total{engine=\"0\",model_name=\"x\"} 1.0",
            "vllm:request_success_total{engine=\"0\",finished_reason=\"length\",model_name=\"x\"} 1.0",
            "vllm:request_success_total{engine=\"0\",finished_reason=\"stop\",model_name=\"x\"} 0.0",
            "vllm:e2e_request_latency_seconds_count{engine=\"0\",model_name=\"x\"} 1.0",
            "vllm:e2e_request_latency_seconds_bucket{engine=\"0\",le=\"+Inf\",model_name=\"x\"} 1.0",
        ] {
            assert!(page.lines().any(|have| have == line), "{line}");
        }
    }
}
