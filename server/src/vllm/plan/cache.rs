//! The KV cache: bytes for a token, how many tokens fit, how long a request may be.
//!
//! As vLLM shares a cache out (vLLM 0.32, `v1/core/kv_cache_utils.py` and `v1/kv_cache_interface.py`): layers of one kind make
//! groups of equal size, a block of a group holds some tokens for all of its layers, all groups take their blocks from one pool.
//! A windowed group needs blocks for its window and for what is under way, however long the request is.

use super::shape::{Dtype, ModelConfig, clamp};

/// Tokens of a block, where the arguments do not say.
const BLOCK_TOKENS: u64 = 16;
/// Tokens of a block of latent attention: its kernels want no other.
const LATENT_BLOCK_TOKENS: u64 = 64;

/// How a request is kept on one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Bytes for one token in all layers that keep tokens.
    pub bytes_per_token: u64,
    /// Bytes of one block, in all layers of a group.
    pub block_bytes: u64,
    /// Tokens of a block.
    pub block_tokens: u64,
    /// Groups that keep every token.
    full_groups: u64,
    /// Groups that keep a window.
    windowed_groups: u64,
    /// The most tokens that a windowed group keeps of one request.
    kept: u64,
}

/// What a cache is laid out for.
#[derive(Clone, Copy, Debug)]
pub struct Layout<'a> {
    /// `--kv-cache-dtype`.
    pub dtype: Option<&'a str>,
    /// The type that the engine runs with: that of an `auto` cache.
    pub model_dtype: Dtype,
    /// Tensor parallel size.
    pub tensor_parallel: u64,
    /// Pipeline parallel size.
    pub pipeline_parallel: u64,
    /// `--block-size`.
    pub block_tokens: Option<u64>,
    /// Tokens that may be scheduled and not yet settled.
    pub in_flight: u64,
    /// `--disable-hybrid-kv-cache-manager`: windowed layers are kept as if they were full.
    pub one_kind: bool,
}

impl Cache {
    /// Lays a cache out.
    pub fn of(config: &ModelConfig, layout: &Layout<'_>) -> Self {
        let default = if config.latent.is_some() { LATENT_BLOCK_TOKENS } else { BLOCK_TOKENS };
        let block_tokens = layout.block_tokens.unwrap_or(default).clamp(1, 1 << 20);
        let stage = |layers: u64| layers.div_ceil(layout.pipeline_parallel.max(1));
        let (mut full, mut windowed) = (stage(config.layers.full), stage(config.layers.windowed));
        if layout.one_kind {
            (full, windowed) = (full.saturating_add(windowed), 0);
        }
        let each = bytes_per_layer(config, layout);
        // The smaller kind gives the size of a group, unless the larger one is nearly as small: less is padding then.
        let (small, large) = (full.min(windowed), full.max(windowed));
        let size =
            if small == 0 || large.saturating_mul(2) < small.saturating_mul(3) { large } else { small };
        let groups = |layers: u64| if size == 0 { 0 } else { layers.div_ceil(size) };
        Self {
            bytes_per_token: each.saturating_mul(full.saturating_add(windowed)),
            block_bytes: each.saturating_mul(block_tokens).saturating_mul(size),
            block_tokens,
            full_groups: groups(full),
            windowed_groups: groups(windowed),
            kept: config.window.unwrap_or(0).saturating_sub(1).saturating_add(layout.in_flight),
        }
    }

    /// Blocks that fit into so many bytes; `None` where nothing is kept by token.
    pub const fn blocks(&self, bytes: u64) -> Option<u64> {
        bytes.checked_div(self.block_bytes)
    }

    /// Blocks that one request of this length takes.
    pub fn blocks_of(&self, tokens: u64) -> u64 {
        let full = tokens.div_ceil(self.block_tokens).saturating_mul(self.full_groups);
        // A window does not begin where a block does: one more.
        let windowed = self.kept.min(tokens).div_ceil(self.block_tokens).saturating_add(1);
        full.saturating_add(windowed.saturating_mul(self.windowed_groups))
    }

    /// Bytes without which a request of this length cannot be served: its blocks and the one that is always held back.
    pub fn bytes_of(&self, tokens: u64) -> u64 {
        self.blocks_of(tokens).saturating_add(1).saturating_mul(self.block_bytes)
    }

    /// The longest request that so many blocks can serve, up to `at_most`; 0 if none.
    pub fn longest(&self, blocks: u64, at_most: u64) -> u64 {
        let fits = |tokens: u64| self.blocks_of(tokens) < blocks;
        let (mut known, mut beyond) = (0, at_most.saturating_add(1));
        while known + 1 < beyond {
            let middle = known + (beyond - known) / 2;
            if fits(middle) {
                known = middle;
            } else {
                beyond = middle;
            }
        }
        known
    }

    /// Requests of this length that fit at once, in hundredths.
    pub fn concurrency(&self, blocks: u64, tokens: u64) -> u64 {
        let each = u128::from(self.blocks_of(tokens).max(1));
        clamp(u128::from(blocks) * 100 / each)
    }

    /// Tokens that fit, all in requests of this length: what vLLM logs as the cache's size.
    pub fn tokens(&self, blocks: u64, tokens: u64) -> u64 {
        let each = u128::from(self.blocks_of(tokens).max(1));
        clamp(u128::from(blocks) * u128::from(tokens) / each)
    }
}

/// Bytes of one token in one layer on one device.
fn bytes_per_layer(config: &ModelConfig, layout: &Layout<'_>) -> u64 {
    let own = config.kv_half_bits.unwrap_or(layout.model_dtype.bytes() * 16);
    let half_bits = layout.dtype.and_then(half_bits).unwrap_or(own);
    let bytes = |values: u64| values.saturating_mul(half_bits).div_ceil(16);
    match config.latent {
        // One vector for all heads, on every device.
        Some(latent) => {
            let sparse = if latent.index == 0 { 0 } else { latent.index + latent.index.div_ceil(128) * 4 };
            // vLLM's own format of a sparse 8-bit cache (`fp8_ds_mla`): 512 values, 16 bytes of scales, 64 values in 16 bits.
            let vector = if sparse > 0 && half_bits == 16 {
                latent.lora + latent.lora.div_ceil(128) * 4 + latent.rope * 2
            } else {
                bytes(latent.lora.saturating_add(latent.rope))
            };
            vector.saturating_add(sparse)
        }
        None => {
            // Never less than one head: where there are fewer than devices, they are kept twice.
            let heads = (config.kv_heads / layout.tensor_parallel.max(1)).max(config.kv_heads.min(1));
            bytes(heads.saturating_mul(2).saturating_mul(config.head_dim))
        }
    }
}

/// Half bits of one value, by the names of `--kv-cache-dtype`; `None` for `auto` and for what is not known.
fn half_bits(dtype: &str) -> Option<u64> {
    match dtype {
        "float32" => Some(64),
        "float16" | "bfloat16" | "half" => Some(32),
        name if name.starts_with("fp8") || name.starts_with("int8") || name == "turboquant_k8v4" => Some(16),
        // Four bits, and eight for each sixteen.
        name if name.starts_with("nvfp4") || name.starts_with("int4") => Some(9),
        name if name.starts_with("turboquant") || name.starts_with("ultraquant") => Some(9),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vllm::plan::known;

    fn layout() -> Layout<'static> {
        Layout {
            dtype: None,
            model_dtype: Dtype::Half,
            tensor_parallel: 1,
            pipeline_parallel: 1,
            block_tokens: None,
            in_flight: 8192,
            one_kind: false,
        }
    }

    fn cache(model: &str, layout: &Layout<'_>) -> Cache {
        Cache::of(&known::find(model).expect(model).config, layout)
    }

    #[test]
    fn a_token_takes_two_vectors_in_each_layer() {
        // 2 × 28 layers × 4 heads × 128 × 2 bytes.
        assert_eq!(cache("Qwen/Qwen2.5-7B-Instruct", &layout()).bytes_per_token, 57_344);
        assert_eq!(cache("meta-llama/Llama-3.1-8B-Instruct", &layout()).bytes_per_token, 131_072);
        let eight_bits = Layout { dtype: Some("fp8"), ..layout() };
        assert_eq!(cache("meta-llama/Llama-3.1-8B-Instruct", &eight_bits).bytes_per_token, 65_536);
    }

    #[test]
    fn heads_are_shared_out_to_devices_but_never_split() {
        let on = |tensor_parallel| {
            cache("Qwen/Qwen2.5-7B-Instruct", &Layout { tensor_parallel, ..layout() }).bytes_per_token
        };
        assert_eq!([on(1), on(2), on(4), on(8)], [57_344, 28_672, 14_336, 14_336]);
        let staged = Layout { pipeline_parallel: 3, ..layout() };
        assert_eq!(cache("Qwen/Qwen2.5-7B-Instruct", &staged).bytes_per_token, 20_480, "10 of 28 layers");
    }

    #[test]
    fn latent_attention_keeps_one_vector_on_every_device() {
        let on = |tensor_parallel| cache("deepseek-ai/DeepSeek-R1", &Layout { tensor_parallel, ..layout() });
        assert_eq!(on(1).bytes_per_token, 61 * 576 * 2);
        assert_eq!(on(8), on(1));
    }

    #[test]
    fn windowed_layers_make_groups_of_the_size_of_the_full_ones() {
        // Gemma 3 27B: 10 full and 52 windowed layers make 1 and 6 groups of 10.
        let cache = cache("google/gemma-3-27b-it", &layout());
        assert_eq!(cache.block_bytes, 10 * 16 * 2 * 16 * 128 * 2);
        assert_eq!(cache.blocks_of(8192), 512 + 6 * 513);
        assert_eq!(
            cache.blocks_of(131_072),
            8192 + 6 * (9215_u64.div_ceil(16) + 1),
            "a window does not grow"
        );
    }

    #[test]
    fn a_model_of_windows_only_serves_any_length() {
        let cache = cache("mistralai/Mistral-7B-v0.1", &layout());
        assert_eq!(cache.blocks_of(1 << 20), (4095_u64 + 8192).div_ceil(16) + 1);
        assert_eq!(cache.longest(1000, 32_768), 32_768);
    }

    #[test]
    fn the_longest_request_is_the_longest_that_fits() {
        let cache = cache("google/gemma-3-27b-it", &layout());
        for blocks in [0, 1, 8, 15, 100, 3591, 15_997] {
            let longest = cache.longest(blocks, 131_072);
            assert!(longest == 131_072 || cache.blocks_of(longest + 1) >= blocks, "{blocks}");
            assert!(longest == 0 || cache.blocks_of(longest) < blocks, "{blocks}");
        }
        assert_eq!(cache.longest(u64::MAX, u64::MAX - 1), u64::MAX - 1);
    }
}
