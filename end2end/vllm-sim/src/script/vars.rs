//! What differs from run to run in the printed text, and the arithmetic of the pretended GPU.

use crate::cli::{Knobs, ServeArgs};

/// Bytes of KV cache for one token of the pretended model (36 layers, 8 heads of 128, two bytes, K and V).
pub const BYTES_PER_TOKEN: u64 = 147_456;

const GIB: f64 = 1_073_741_824.0;
/// The pretended GPU: memory in all and free at the start, in GiB.
pub const GPU_TOTAL: f64 = 79.19;
/// Free where others hold the rest, in GiB.
pub const GPU_HELD_FREE: f64 = 11.87;
const GPU_FREE: f64 = 78.55;
/// The pretended model: weights with what CUDA itself takes, activations, CUDA graphs, in GiB.
const WEIGHTS: f64 = 5.87;
const ACTIVATION: f64 = 1.4;
const GRAPHS: f64 = 0.49;

/// Placeholders and their values.
#[derive(Clone, Debug)]
pub struct Vars {
    pairs: Vec<(&'static str, String)>,
    /// The context length in use, in tokens.
    pub max_model_len: u64,
    /// Tokens the KV cache holds; 0 where nothing is left for it.
    pub cache_tokens: u64,
}

impl Vars {
    /// From the command line and the knobs. `coloured`: the banner is for a terminal.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sizes for the eye, all positive and far below 2^52"
    )]
    pub fn new(args: &ServeArgs, knobs: &Knobs, coloured: bool) -> Self {
        let max_model_len = args.max_model_len.unwrap_or(knobs.model_max_len);
        let util = args.gpu_memory_utilization;
        let desired = util * GPU_TOTAL;
        let graphs = if args.enforce_eager { 0.0 } else { GRAPHS };
        let cache = (desired - WEIGHTS - ACTIVATION - graphs).max(0.0);
        let cache_tokens = (cache * GIB) as u64 / BYTES_PER_TOKEN / 16 * 16;
        let full = GPU_FREE - WEIGHTS - ACTIVATION - graphs;
        let lora = args.loras.first();
        let ansi = |code: &str| if coloured { format!("\x1b[{code}m") } else { String::new() };
        let pairs = vec![
            ("{bold}", ansi("1")),
            ("{yellow}", ansi("93")),
            ("{blue}", ansi("94")),
            ("{end}", ansi("0")),
            ("{model}", args.model.clone()),
            ("{served}", args.served_name().to_owned()),
            ("{url}", format!("http://{}:{}", args.host.in_url(), args.port)),
            ("{max_len}", max_model_len.to_string()),
            ("{max_len,}", thousands(max_model_len)),
            ("{derived_len}", knobs.model_max_len.to_string()),
            ("{non_default}", args.non_default.clone()),
            ("{tp}", args.tensor_parallel_size.to_string()),
            ("{eager}", if args.enforce_eager { "True" } else { "False" }.to_owned()),
            ("{quantization}", args.quantization.clone().unwrap_or_else(|| "None".to_owned())),
            ("{util}", format!("{util:?}")),
            ("{desired}", gib(desired)),
            ("{kv_gib}", gib(cache)),
            ("{kv_bytes}", ((cache * GIB) as u64).to_string()),
            ("{kv_full_gib}", gib(full)),
            ("{kv_full_bytes}", ((full * GIB) as u64).to_string()),
            ("{kv_needed_gib}", gib((max_model_len * BYTES_PER_TOKEN) as f64 / GIB)),
            ("{kv_tokens}", cache_tokens.to_string()),
            ("{kv_tokens,}", thousands(cache_tokens)),
            ("{concurrency}", format!("{:.2}", cache_tokens as f64 / max_model_len.max(1) as f64)),
            ("{graphs_gib}", format!("{graphs:.2}")),
            ("{lora_name}", lora.map_or_else(|| "mylora".to_owned(), |lora| lora.name.clone())),
            ("{lora_path}", lora.map_or_else(|| "/nonexistent/lora".to_owned(), |lora| lora.path.clone())),
        ];
        Self { pairs, max_model_len, cache_tokens }
    }

    /// The text with the placeholders filled in.
    pub fn fill(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (placeholder, value) in &self.pairs {
            if filled.contains(placeholder) {
                filled = filled.replace(placeholder, value);
            }
        }
        filled
    }
}

/// `460,800`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Two decimals at most, one at least, as vLLM rounds.
fn gib(size: f64) -> String {
    format!("{:?}", (size * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_like_python() {
        assert_eq!(thousands(2_097_152), "2,097,152");
        assert_eq!(thousands(512), "512");
        assert_eq!((gib(5.0), gib(5.678)), ("5.0".to_owned(), "5.68".to_owned()));
    }
}
