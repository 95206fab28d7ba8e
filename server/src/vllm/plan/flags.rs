//! Reads those arguments of `vllm serve` that decide memory, as vLLM reads them.
//!
//! The forms are argparse's: `--flag value`, `--flag=value`, dashes or underscores, the last one wins. What is not known here is
//! stepped over; a value that cannot be read counts as not given (vLLM itself refuses it at the start).
//! Source: vLLM 0.32, `vllm/utils/argparse_utils.py` and `vllm/engine/arg_utils.py`.

use super::shape::Dtype;

/// What the arguments say. `None` is "not given".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flags {
    /// `--model`.
    pub model: Option<String>,
    /// `--revision`.
    pub revision: Option<String>,
    /// `--max-model-len`.
    pub max_model_len: Option<Length>,
    /// `--tensor-parallel-size`, `-tp`.
    pub tensor_parallel: Option<u64>,
    /// `--pipeline-parallel-size`, `-pp`.
    pub pipeline_parallel: Option<u64>,
    /// `--kv-cache-dtype`.
    pub kv_cache_dtype: Option<String>,
    /// `--dtype`; `auto` is `None`.
    pub dtype: Option<Dtype>,
    /// `--quantization`, `-q`.
    pub quantization: Option<String>,
    /// `--gpu-memory-utilization`: 0 < x ≤ 1.
    pub share: Option<f64>,
    /// `--block-size`, in tokens.
    pub block_size: Option<u64>,
    /// `--kv-cache-memory-bytes`.
    pub kv_cache_bytes: Option<u64>,
    /// `--enforce-eager`.
    pub eager: bool,
    /// `--max-num-seqs`.
    pub max_num_seqs: Option<u64>,
    /// `--max-num-batched-tokens`.
    pub max_num_batched_tokens: Option<u64>,
    /// `--enable-lora`.
    pub lora: bool,
    /// `--max-loras`.
    pub max_loras: Option<u64>,
    /// `--max-lora-rank`.
    pub max_lora_rank: Option<u64>,
    /// `--cpu-offload-gb`, in bytes.
    pub cpu_offload_bytes: u64,
    /// `--disable-hybrid-kv-cache-manager`.
    pub one_kind_of_cache: bool,
}

/// What `--max-model-len` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// That many tokens.
    Tokens(u64),
    /// As long as fits: `auto` or -1.
    Auto,
}

const GIB: f64 = 1_073_741_824.0;

impl Flags {
    /// Reads the arguments.
    pub fn read(args: &[String]) -> Self {
        let mut flags = Self::default();
        let mut rest = args.iter().map(String::as_str).peekable();
        while let Some(arg) = rest.next() {
            if !arg.starts_with('-') {
                continue;
            }
            let (name, inline) = arg.split_once('=').map_or((arg, None), |(name, value)| (name, Some(value)));
            let name = name.trim_start_matches('-').replace('_', "-");
            if flags.switch(&name) {
                continue;
            }
            // A value may begin with a dash only where it is a number: `--max-model-len -1`.
            let value =
                inline.or_else(|| rest.next_if(|next| !next.starts_with('-') || next.parse::<f64>().is_ok()));
            if let Some(value) = value {
                flags.value(&name, value.trim());
            }
        }
        flags
    }

    fn switch(&mut self, name: &str) -> bool {
        match name {
            "enforce-eager" => self.eager = true,
            "no-enforce-eager" => self.eager = false,
            "enable-lora" => self.lora = true,
            "no-enable-lora" => self.lora = false,
            "disable-hybrid-kv-cache-manager" => self.one_kind_of_cache = true,
            "no-disable-hybrid-kv-cache-manager" => self.one_kind_of_cache = false,
            _ => return false,
        }
        true
    }

    fn value(&mut self, name: &str, value: &str) {
        let count = || human_integer(value).filter(|n| *n > 0);
        match name {
            "model" => self.model = Some(value.to_owned()),
            "revision" => self.revision = Some(value.to_owned()),
            "max-model-len" => self.max_model_len = length(value),
            "tensor-parallel-size" | "tp" => self.tensor_parallel = count(),
            "pipeline-parallel-size" | "pp" => self.pipeline_parallel = count(),
            "kv-cache-dtype" => self.kv_cache_dtype = Some(value.to_ascii_lowercase()),
            "dtype" => self.dtype = Dtype::from_name(&value.to_ascii_lowercase()),
            "quantization" | "q" => self.quantization = Some(value.to_ascii_lowercase()),
            "gpu-memory-utilization" => {
                self.share = value.parse().ok().filter(|share| *share > 0.0 && *share <= 1.0);
            }
            "block-size" => self.block_size = count(),
            // argparse takes an unambiguous beginning of a flag for the flag; vLLM's own advice uses this one.
            "kv-cache-memory-bytes" | "kv-cache-memory" => self.kv_cache_bytes = count(),
            "max-num-seqs" => self.max_num_seqs = count(),
            "max-num-batched-tokens" => self.max_num_batched_tokens = count(),
            "max-loras" => self.max_loras = count(),
            "max-lora-rank" => self.max_lora_rank = count(),
            "cpu-offload-gb" => {
                let gib: f64 = value.parse().unwrap_or(0.0);
                // A cast saturates, and makes zero of what is no number.
                self.cpu_offload_bytes = (gib * GIB) as u64;
            }
            _ => {}
        }
    }
}

fn length(value: &str) -> Option<Length> {
    if value == "-1" || value.eq_ignore_ascii_case("auto") {
        return Some(Length::Auto);
    }
    human_integer(value).filter(|n| *n > 0).map(Length::Tokens)
}

/// `1k` is 1,000, `1K` is 1,024, `25.6k` is 25,600; so for m, g and t. vLLM's `human_readable_int`.
fn human_integer(value: &str) -> Option<u64> {
    let (at, suffix) = value.char_indices().next_back()?;
    let thousands = match suffix.to_ascii_lowercase() {
        'k' => 1,
        'm' => 2,
        'g' => 3,
        't' => 4,
        _ => return value.parse().ok(),
    };
    let number = value.get(..at)?;
    if suffix.is_ascii_uppercase() {
        return number.parse::<u64>().ok()?.checked_mul(1024_u64.checked_pow(thousands)?);
    }
    if !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let number: f64 = number.parse().ok()?;
    Some((number * 1000_f64.powi(i32::try_from(thousands).ok()?)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Flags {
        Flags::read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn both_forms_of_a_flag_are_read_and_the_last_one_wins() {
        let flags = read(
            "--max-model-len 4096 --max_model_len=8192 -tp 2 --pipeline-parallel-size=3 -q awq --enforce-eager",
        );
        assert_eq!(flags.max_model_len, Some(Length::Tokens(8192)));
        assert_eq!((flags.tensor_parallel, flags.pipeline_parallel), (Some(2), Some(3)));
        assert_eq!(flags.quantization.as_deref(), Some("awq"));
        assert!(flags.eager);
    }

    #[test]
    fn lengths_are_read_as_vllm_reads_them() {
        for (text, tokens) in [
            ("1k", 1000),
            ("1K", 1024),
            ("25.6k", 25_600),
            ("128K", 131_072),
            ("1m", 1_000_000),
            ("40960", 40_960),
        ] {
            assert_eq!(length(text), Some(Length::Tokens(tokens)), "{text}");
        }
        for text in ["auto", "Auto", "-1"] {
            assert_eq!(length(text), Some(Length::Auto), "{text}");
        }
        for text in ["", "k", "1.5K", "-4", "0", "long", "1e3k", "٣k", "99999999999T"] {
            assert_eq!(length(text), None, "{text}");
        }
    }

    #[test]
    fn a_negative_length_may_stand_alone_and_a_flag_is_no_value() {
        assert_eq!(read("--max-model-len -1").max_model_len, Some(Length::Auto));
        let flags = read("--max-model-len --block-size 32");
        assert_eq!((flags.max_model_len, flags.block_size), (None, Some(32)));
    }

    #[test]
    fn what_cannot_be_read_counts_as_not_given() {
        let flags = read(
            "--gpu-memory-utilization 1.5 --dtype auto --max-num-seqs many --cpu-offload-gb x -- --model",
        );
        assert_eq!(flags, Flags::default());
    }

    #[test]
    fn the_rest_of_what_decides_memory_is_read() {
        let flags = read(
            "--kv-cache-dtype FP8 --dtype bfloat16 --gpu-memory-utilization=0.85 --kv-cache-memory=25G --max-num-seqs 16 \
             --max-num-batched-tokens 2048 --enable-lora --max-loras 4 --max-lora-rank 64 --cpu-offload-gb 1.5 --revision v1",
        );
        assert_eq!(flags.kv_cache_dtype.as_deref(), Some("fp8"));
        assert_eq!((flags.dtype, flags.share), (Some(Dtype::Half), Some(0.85)));
        assert_eq!(flags.kv_cache_bytes, Some(25 << 30));
        assert_eq!((flags.max_num_seqs, flags.max_num_batched_tokens), (Some(16), Some(2048)));
        assert_eq!((flags.lora, flags.max_loras, flags.max_lora_rank), (true, Some(4), Some(64)));
        assert_eq!((flags.cpu_offload_bytes, flags.revision.as_deref()), (3 << 29, Some("v1")));
    }
}
