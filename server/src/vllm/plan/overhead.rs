//! Working memory: what an engine needs besides weights and cache. An estimate, fitted to logs.
//!
//! Where each term comes from and how far it is off: `docs/MEMORY.md`. The terms follow the code that makes the peak; the
//! factors are measured.

use super::flags::Flags;
use super::shape::{ModelConfig, clamp};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// What the engine does at most at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Requests: `--max-num-seqs`.
    pub requests: u64,
    /// Tokens: `--max-num-batched-tokens`.
    pub tokens: u64,
}

/// A version of vLLM: 0.19 is `(0, 19)`.
pub type Version = (u32, u32);

impl Batch {
    /// What vLLM chooses for `vllm serve` on a device of this size where the arguments do not say
    /// (0.32, `engine/arg_utils.py`, `get_batch_defaults`).
    pub fn of(flags: &Flags, device_bytes: u64, device: &str, length: u64, version: Option<Version>) -> Self {
        let small = device_bytes < 70 * GIB || device.to_ascii_lowercase().contains("a100");
        // Engine V0 did not look at the device.
        let (requests, tokens) = match version {
            Some(v) if v < (0, 8) => (256, if length > 32_768 { 2048 } else { length.max(2048) }),
            _ if device_bytes >= 160 * GIB => (1024, 16_384),
            _ if small => (256, 2048),
            _ => (1024, 8192),
        };
        let requests = flags.max_num_seqs.unwrap_or(requests);
        let tokens =
            flags.max_num_batched_tokens.unwrap_or_else(|| tokens.min(requests.saturating_mul(length)));
        Self { requests: flags.max_num_seqs.unwrap_or(requests.min(tokens)), tokens }
    }

    /// Tokens that may be scheduled and not yet settled: since 0.20 one batch is prepared while another runs.
    pub const fn in_flight(self, version: Option<Version>) -> u64 {
        match version {
            Some((0, minor)) if minor < 20 => self.tokens,
            _ => self.tokens.saturating_mul(2),
        }
    }
}

/// Working memory on one device, in bytes.
pub fn bytes(
    config: &ModelConfig,
    flags: &Flags,
    batch: Batch,
    tensor_parallel: u64,
    device_bytes: u64,
    version: Option<Version>,
) -> u64 {
    let counted = version.is_none_or(|v| v >= (0, 21));
    let graphs = if counted && !flags.eager { graphs(config, batch) } else { 0 };
    peak(config, batch, tensor_parallel, version)
        .saturating_add(framework(tensor_parallel, device_bytes, version))
        .saturating_add(graphs)
        .saturating_add(adapters(config, flags, tensor_parallel))
}

/// The peak of the profiling run: the larger of the forward pass and of sampling for all requests at once, and what stays
/// allocated during both.
fn peak(config: &ModelConfig, batch: Batch, tensor_parallel: u64, version: Option<Version>) -> u64 {
    let w = |n: u64| u128::from(n);
    let (tokens, hidden) = (w(batch.tokens), w(config.hidden));
    // Bytes that sampling needs for each request and entry of the vocabulary: the logits in 16 and 32 bits and what sorting
    // them takes. Less since 0.17.
    let each = if version.is_some_and(|v| v < (0, 17)) { 38 } else { 14 };
    let sampling = each * w(batch.requests) * w(config.vocab) + 2 * tokens * hidden + w(100 * MIB);
    let width = w(config.intermediate) / w(tensor_parallel.max(1));
    let dense = if config.experts.is_none() { width } else { 0 };
    let forward = 2 * tokens * (3 * dense + 4 * hidden);
    let experts = config.experts.map_or(0, |e| {
        let width = w(e.intermediate) / w(tensor_parallel.max(1));
        // The tokens once for each expert that they visit: widened, and narrowed again.
        2 * tokens * w(e.each_token) * ((2 * width).max(hidden) + width)
    });
    // The MXFP4 kernels bring no buffer of their own.
    let experts = if config.quantization.as_deref() == Some("mxfp4") { 0 } else { experts };
    let images = if config.multimodal { w(300 * MIB) } else { 0 };
    clamp(sampling.max(forward) + experts + images)
}

/// CUDA's modules and, between devices, the buffers of NCCL and of vLLM's own all-reduce: more since 0.18, most on large devices.
fn framework(tensor_parallel: u64, device_bytes: u64, version: Option<Version>) -> u64 {
    let older = version.is_some_and(|v| v < (0, 18));
    match (tensor_parallel, older) {
        (0 | 1, true) => 128 * MIB,
        (0 | 1, false) => 256 * MIB,
        (_, false) if device_bytes >= 70 * GIB => 2 * GIB,
        _ => 560 * MIB,
    }
}

/// CUDA graphs: one for each size of a batch, piecewise, and one more for each size up to the number of requests. Sizes: 1, 2,
/// 4, then each 8th to 256, then each 16th (0.32, `config/vllm.py`, `_set_cudagraph_sizes`).
fn graphs(config: &ModelConfig, batch: Batch) -> u64 {
    let sizes = |largest: u64| match largest {
        0 => 0,
        1 => 1,
        2..4 => 2,
        4..8 => 3,
        8..256 => 3 + largest / 8,
        _ => 35 + (largest - 256) / 16,
    };
    let largest = batch.requests.saturating_mul(2).min(512).min(batch.tokens);
    let count = sizes(largest) + sizes(largest.min(batch.requests));
    // Fitted: 2.5 MiB each, and 0.19 MiB each and layer.
    count.saturating_mul(2560 + config.layers.all().saturating_mul(195)).saturating_mul(1024)
}

/// Room for adapters: two narrow matrices beside each matrix of each layer, for each adapter that may be loaded.
fn adapters(config: &ModelConfig, flags: &Flags, tensor_parallel: u64) -> u64 {
    if !flags.lora {
        return 0;
    }
    let w = |n: u64| u128::from(n);
    let hidden = w(config.hidden);
    let query = w(config.heads) * w(config.head_dim);
    let key_value = 2 * w(config.kv_heads) * w(config.head_dim);
    let mlp = 3 * (hidden + w(config.intermediate));
    let edges = 2 * (hidden + query) + 2 * hidden + key_value + mlp;
    let rank = w(flags.max_lora_rank.unwrap_or(16)) * w(flags.max_loras.unwrap_or(1));
    clamp((edges * w(config.layers.all())).saturating_mul(rank).saturating_mul(2) / w(tensor_parallel.max(1)))
}
