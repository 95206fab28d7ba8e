//! Reads a model's `config.json` into the figures that decide memory.
//!
//! The names are those that vLLM looks for (vLLM 0.32: `transformers_utils/model_arch_config_convertor.py`, `config/model.py`),
//! what is missing is filled in as transformers does. Foreign input: bounded in size and depth, linear, no figure is believed
//! beyond [`Limits`]; what is not needed is stepped over and not kept.

use super::json::{Lenient, Number, Quantization, RawConfig, Rope, Text};
use super::shape::{Dtype, Experts, Latent, Layers, Limits, ModelConfig};
use thiserror::Error;

/// The largest `config.json` that is read, in bytes.
pub const CONFIG_LIMIT: usize = 4 << 20;

/// Why a config could not be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// It is larger than [`CONFIG_LIMIT`].
    #[error("config.json has {0} bytes, more than the {CONFIG_LIMIT} that are read")]
    TooLarge(usize),
    /// It is no JSON object of the expected form.
    #[error("config.json cannot be read as JSON: {0}")]
    NotJson(String),
    /// A figure without which nothing can be computed is missing.
    #[error("config.json does not state {0}")]
    Missing(&'static str),
    /// A figure is larger than any model's.
    #[error("config.json states {name} = {value}, which is more than any model has")]
    Absurd {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: u64,
    },
}

/// Reads `config.json`.
///
/// # Errors
/// [`ConfigError`], each case.
pub fn read(bytes: &[u8]) -> Result<ModelConfig, ConfigError> {
    if bytes.len() > CONFIG_LIMIT {
        return Err(ConfigError::TooLarge(bytes.len()));
    }
    let root: Lenient<RawConfig> =
        serde_json::from_slice(bytes).map_err(|e| ConfigError::NotJson(e.to_string()))?;
    let root = root.get().ok_or_else(|| ConfigError::NotJson("it is no object".to_owned()))?;
    let text = root.text();
    let model_type = text.model_type.or(&root.model_type).to_ascii_lowercase();
    let defaults = Defaults::of(&model_type);

    let layers = text.layer_count().ok_or(ConfigError::Missing("num_hidden_layers"))?;
    let layers = at_most("num_hidden_layers", layers, Limits::LAYERS)?;
    let width = |name, numbers: &[Number], default: u64| within(name, first(numbers).unwrap_or(default));
    let hidden =
        width("hidden_size", &[text.hidden_size, text.n_embd, text.d_model, text.n_embed], defaults.hidden)?;
    let heads =
        width("num_attention_heads", &[text.num_attention_heads, text.n_head, text.n_heads], defaults.heads)?;
    let kv_heads = kv_heads(text, heads, &defaults)?;
    let head_dim = match first(&[text.head_dim, text.hidden_size_per_head, text.kv_channels]) {
        Some(n) if n > 0 => within("head_dim", n)?,
        _ if defaults.head_dim > 0 => defaults.head_dim,
        _ => hidden.checked_div(heads).unwrap_or(0),
    };
    let intermediate = width(
        "intermediate_size",
        &[text.intermediate_size, text.ffn_hidden_size, text.n_inner, text.ffn_dim, text.d_ff],
        4 * hidden,
    )?;
    let vocab = first(&[text.vocab_size, text.padded_vocab_size, root.vocab_size]).unwrap_or(defaults.vocab);
    let window = window(text, &defaults);
    let quantization = root.quantization_config.get().or(text.quantization_config.get());
    Ok(ModelConfig {
        hidden,
        intermediate,
        vocab: at_most("vocab_size", vocab, Limits::TOKENS)?,
        heads,
        kv_heads,
        head_dim,
        layers: kinds(text, layers, window, &defaults),
        window,
        max_tokens: at_most(
            "max_position_embeddings",
            max_tokens(text, &model_type, &defaults),
            Limits::TOKENS,
        )?,
        latent: latent(text)?,
        experts: experts(text, layers)?,
        tied: text.tie_word_embeddings.0.or(root.tie_word_embeddings.0).unwrap_or(defaults.tied),
        multimodal: root.vision_config.0 || root.audio_config.0,
        dtype: [&root.dtype, &root.torch_dtype, &text.dtype, &text.torch_dtype]
            .iter()
            .find_map(|name| Dtype::from_name(name.as_str())),
        quantization: quantization
            .map(|q| q.quant_method.as_str().to_ascii_lowercase().replace('_', "-"))
            .filter(|method| !method.is_empty()),
        kv_half_bits: quantization.and_then(kv_half_bits),
        model_type,
    })
}

/// What transformers fills in where a nested config leaves a figure out (its configuration classes, 4.57).
struct Defaults {
    hidden: u64,
    heads: u64,
    kv_heads: Option<u64>,
    head_dim: u64,
    vocab: u64,
    max_tokens: u64,
    window: Option<u64>,
    /// One layer of so many keeps every token.
    pattern: u64,
    tied: bool,
}

impl Defaults {
    fn of(model_type: &str) -> Self {
        let plain = Self {
            hidden: 4096,
            heads: 32,
            kv_heads: None,
            head_dim: 0,
            vocab: 32_000,
            max_tokens: 0,
            window: None,
            pattern: 0,
            tied: false,
        };
        match model_type {
            "gemma3_text" | "gemma3" => Self {
                hidden: 2304,
                heads: 8,
                kv_heads: Some(4),
                head_dim: 256,
                vocab: 262_208,
                max_tokens: 131_072,
                window: Some(4096),
                pattern: 6,
                tied: true,
            },
            "gemma2" => Self {
                hidden: 2304,
                heads: 8,
                kv_heads: Some(4),
                head_dim: 256,
                vocab: 256_000,
                max_tokens: 8192,
                window: Some(4096),
                pattern: 2,
                tied: true,
            },
            "gemma" => Self { head_dim: 256, vocab: 256_000, max_tokens: 8192, tied: true, ..plain },
            "gpt_oss" => Self { window: Some(128), pattern: 2, ..plain },
            "cohere2" => Self { pattern: 4, tied: true, ..plain },
            "cohere" | "gpt2" | "phi4mm" | "granite" => Self { tied: true, ..plain },
            "mistral" | "mixtral" => Self { kv_heads: Some(8), ..plain },
            _ => plain,
        }
    }
}

fn first(numbers: &[Number]) -> Option<u64> {
    numbers.iter().find_map(|n| n.0)
}

fn within(name: &'static str, value: u64) -> Result<u64, ConfigError> {
    at_most(name, value, Limits::WIDTH)
}

fn at_most(name: &'static str, value: u64, limit: u64) -> Result<u64, ConfigError> {
    if value > limit { Err(ConfigError::Absurd { name, value }) } else { Ok(value) }
}

fn kv_heads(text: &RawConfig, heads: u64, defaults: &Defaults) -> Result<u64, ConfigError> {
    let inner = text.attn_config.get().map_or(Number(None), |a| a.kv_n_heads);
    let named = first(&[
        text.n_head_kv,
        text.num_kv_heads,
        text.num_key_value_heads,
        text.multi_query_group_num,
        text.num_attention_groups,
        inner,
    ]);
    match named {
        // Falcon states its heads beside `multi_query`, which counts only in its old architecture.
        _ if text.multi_query.0 == Some(true)
            && text.new_decoder_architecture.0 != Some(true)
            && text.multi_query_group_num.0.is_none() =>
        {
            Ok(1)
        }
        Some(n) => within("num_key_value_heads", n),
        None => Ok(defaults.kv_heads.unwrap_or(heads).min(heads)),
    }
}

fn window(text: &RawConfig, defaults: &Defaults) -> Option<u64> {
    if text.use_sliding_window.0 == Some(false) {
        return None;
    }
    let stated = first(&[text.sliding_window, text.attention_chunk_size]);
    stated.or(defaults.window).filter(|n| *n > 0)
}

fn kinds(text: &RawConfig, layers: u64, window: Option<u64>, defaults: &Defaults) -> Layers {
    let listed = text.layer_types.0.or(text.layers_block_type.0).or(text.hybrid_override_pattern.0);
    if let Some(kinds) = listed.filter(|k| k.all() > 0) {
        // A list that is longer than the model counts further stages (drafting layers).
        let windowed = if window.is_some() { kinds.windowed } else { 0 };
        let full = kinds.full + (kinds.windowed - windowed);
        let stateful = kinds.stateful.min(layers);
        let full = full.min(layers - stateful);
        return Layers { full, windowed: windowed.min(layers - stateful - full), stateful };
    }
    let one_in = |pattern: u64| (layers / pattern, layers - layers / pattern);
    if let Some(period) = first(&[text.full_attention_interval, text.attn_layer_period]).filter(|n| *n > 0) {
        let (full, stateful) = one_in(period);
        return Layers { full, stateful, windowed: 0 };
    }
    let pattern = text.sliding_window_pattern.0.unwrap_or(defaults.pattern);
    match (window, pattern) {
        (None, _) => Layers { full: layers, ..Layers::default() },
        (Some(_), 0) => Layers { windowed: layers, ..Layers::default() },
        (Some(_), pattern) => {
            let (full, windowed) = one_in(pattern);
            Layers { full, windowed, stateful: 0 }
        }
    }
}

/// As vLLM's `_get_and_verify_max_len`: the smallest of the names it knows, scaled where the scaling is not in it yet.
fn max_tokens(text: &RawConfig, model_type: &str, defaults: &Defaults) -> u64 {
    let named = [
        text.max_position_embeddings,
        text.n_positions,
        text.max_seq_len,
        text.seq_length,
        text.model_max_length,
        text.max_target_positions,
        text.max_sequence_length,
        text.max_seq_length,
        text.seq_len,
    ];
    let stated = named.iter().filter_map(|n| n.0).min();
    let base = stated.unwrap_or(if defaults.max_tokens > 0 { defaults.max_tokens } else { 2048 });
    let ropes: Vec<&Rope> = text.ropes().collect();
    if ropes.iter().any(|rope| rope.kind() == "longrope") {
        // The longer range would cost quality on short requests: vLLM asks for it only when told to.
        return text.original_max_position_embeddings.0.unwrap_or(base);
    }
    if model_type.contains("gemma3") {
        return base;
    }
    let factor =
        ropes.iter().filter(|rope| !rope.is_scaled_already()).find_map(|rope| rope.factor.0).unwrap_or(1.0);
    if factor > 1.0 { (base as f64 * factor) as u64 } else { base }
}

fn latent(text: &RawConfig) -> Result<Option<Latent>, ConfigError> {
    let Some(lora) = text.kv_lora_rank.0.filter(|n| *n > 0) else { return Ok(None) };
    let read = |name, n: Number| within(name, n.0.unwrap_or(0));
    Ok(Some(Latent {
        lora: within("kv_lora_rank", lora)?,
        rope: read("qk_rope_head_dim", text.qk_rope_head_dim)?,
        nope: read("qk_nope_head_dim", text.qk_nope_head_dim)?,
        value: read("v_head_dim", text.v_head_dim)?,
        query_lora: read("q_lora_rank", text.q_lora_rank)?,
        index: read("index_head_dim", text.index_head_dim)?,
    }))
}

fn experts(text: &RawConfig, layers: u64) -> Result<Option<Experts>, ConfigError> {
    let named = [text.num_experts, text.moe_num_experts, text.n_routed_experts, text.num_local_experts];
    let Some(count) = first(&named).filter(|n| *n > 1) else { return Ok(None) };
    let intermediate = first(&[text.moe_intermediate_size, text.intermediate_size]).unwrap_or(0);
    let beside = match (text.shared_expert_intermediate_size.0, text.n_shared_experts.0) {
        (Some(width), _) => width,
        (None, Some(n)) => n.saturating_mul(intermediate),
        (None, None) => 0,
    };
    Ok(Some(Experts {
        count: within("the number of experts", count)?,
        each_token: within(
            "num_experts_per_tok",
            first(&[text.num_experts_per_tok, text.moe_topk]).unwrap_or(1),
        )?,
        intermediate: within("moe_intermediate_size", intermediate)?,
        shared: within("the width of shared experts", beside)?,
        dense_layers: text.first_k_dense_replace.0.unwrap_or(0).min(layers),
    }))
}

/// What a `ModelOpt` checkpoint wants its cache to be, in half bits; others leave it to the arguments.
fn kv_half_bits(q: &Quantization) -> Option<u64> {
    if !q.quant_method.as_str().to_ascii_lowercase().starts_with("modelopt") {
        return None;
    }
    let algorithm = q.kv_cache_quant_algo.as_str().to_ascii_lowercase();
    match (algorithm.as_str(), q.kv_cache_scheme.get().and_then(|s| s.num_bits.0)) {
        ("fp8" | "fp8_e4m3", _) | (_, Some(8)) => Some(16),
        ("nvfp4", _) | (_, Some(4)) => Some(9),
        _ => None,
    }
}

impl Text {
    fn or<'a>(&'a self, other: &'a Self) -> &'a str {
        if self.as_str().is_empty() { other.as_str() } else { self.as_str() }
    }
}

impl Rope {
    fn kind(&self) -> &str {
        self.rope_type.or(&self.r#type)
    }

    /// Whether `max_position_embeddings` counts the scaling already (vLLM's list).
    fn is_scaled_already(&self) -> bool {
        matches!(
            self.kind(),
            "su" | "longrope" | "llama3" | "yarn" | "deepseek_yarn" | "deepseek_llama_scaling"
        )
    }
}

impl RawConfig {
    /// The part that speaks of the language model.
    fn text(&self) -> &Self {
        [&self.text_config, &self.llm_config, &self.language_config, &self.thinker_config]
            .into_iter()
            .filter_map(Lenient::get)
            // As deep as the JSON is at most, which the parser bounds.
            .map(Self::text)
            .find(|inner| inner.layer_count().is_some())
            .unwrap_or(self)
    }

    fn layer_count(&self) -> Option<u64> {
        first(&[self.num_hidden_layers, self.n_layer, self.n_layers, self.num_layers])
    }

    fn ropes(&self) -> impl Iterator<Item = &Rope> {
        [&self.rope_scaling, &self.rope_parameters]
            .into_iter()
            .filter_map(Lenient::get)
            .flat_map(|rope| [Some(rope), rope.full_attention.get(), rope.sliding_attention.get()])
            .flatten()
    }
}
