//! What of a model decides its memory: its layers, its heads, its experts, and how many parameters those make.
//!
//! Pure figures, wherever they come from (`config` reads them, `known` has them). The count of parameters is that of the
//! checkpoints' own layout (transformers' modelling files); what it leaves out is below a thousandth of any model here.

/// A model, as far as memory is concerned. Every figure is within [`Limits`], so that products fit into 128 bits.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// `model_type`, in lower case.
    pub model_type: String,
    /// The width of a layer.
    pub hidden: u64,
    /// The width inside a dense layer's feed-forward part.
    pub intermediate: u64,
    /// Entries of the vocabulary.
    pub vocab: u64,
    /// Attention heads; 0 in a model without attention.
    pub heads: u64,
    /// Key-value heads.
    pub kv_heads: u64,
    /// The width of a head.
    pub head_dim: u64,
    /// The layers, by what they keep of a request.
    pub layers: Layers,
    /// How many tokens a windowed layer looks back.
    pub window: Option<u64>,
    /// The longest request that the model was made for, in tokens.
    pub max_tokens: u64,
    /// Latent attention (MLA), of DeepSeek's kind.
    pub latent: Option<Latent>,
    /// Experts, in a mixture of them.
    pub experts: Option<Experts>,
    /// Whether the output layer is the embedding once more.
    pub tied: bool,
    /// Whether it reads more than text.
    pub multimodal: bool,
    /// The type of its weights, as the config states it.
    pub dtype: Option<Dtype>,
    /// How the checkpoint is quantized: `quant_method` of its `quantization_config`, in lower case.
    pub quantization: Option<String>,
    /// Half bits for each value of the cache, where the checkpoint states them (`ModelOpt`).
    pub kv_half_bits: Option<u64>,
}

/// The largest figures that are believed. A config that states more is refused.
pub struct Limits;

impl Limits {
    /// Layers.
    pub const LAYERS: u64 = 4096;
    /// Anything that is a width, a count of heads or experts.
    pub const WIDTH: u64 = 1 << 24;
    /// Entries of a vocabulary, tokens of a request.
    pub const TOKENS: u64 = 1 << 32;
}

/// Layers, by what they keep of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// Those that keep every token.
    pub full: u64,
    /// Those that keep a window of tokens (sliding or chunked).
    pub windowed: u64,
    /// Those that keep a state of a fixed size (Mamba, linear attention).
    pub stateful: u64,
}

impl Layers {
    /// All of them.
    pub const fn all(self) -> u64 {
        self.full.saturating_add(self.windowed).saturating_add(self.stateful)
    }
}

/// Latent attention: one vector of `lora + rope` values for each token and layer, whatever the heads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latent {
    /// `kv_lora_rank`.
    pub lora: u64,
    /// `qk_rope_head_dim`.
    pub rope: u64,
    /// `qk_nope_head_dim`.
    pub nope: u64,
    /// `v_head_dim`.
    pub value: u64,
    /// `q_lora_rank`; 0 without.
    pub query_lora: u64,
    /// `index_head_dim` of sparse attention; 0 without.
    pub index: u64,
}

/// A mixture of experts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Experts {
    /// Experts of a layer.
    pub count: u64,
    /// Experts that a token visits.
    pub each_token: u64,
    /// The width inside one expert.
    pub intermediate: u64,
    /// The width of what all tokens visit besides; 0 without.
    pub shared: u64,
    /// Layers without experts.
    pub dense_layers: u64,
}

/// A type of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 32 bits.
    Single,
    /// 16 bits: float16 or bfloat16.
    Half,
}

impl Dtype {
    /// From a name as configs and vLLM's `--dtype` write it; `auto` is none.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.trim().trim_start_matches("torch.") {
            "float32" | "float" | "fp32" => Some(Self::Single),
            "float16" | "bfloat16" | "half" | "fp16" | "bf16" => Some(Self::Half),
            _ => None,
        }
    }

    /// Bytes of one value.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Single => 4,
            Self::Half => 2,
        }
    }
}

/// How many parameters a model has, by how they are quantized and shared out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// The embedding.
    pub embedding: u64,
    /// The output layer; 0 where it is the embedding.
    pub head: u64,
    /// Everything in the layers but their experts.
    pub layers: u64,
    /// The experts.
    pub experts: u64,
    /// What reads images.
    pub vision: u64,
}

/// What reads images in Gemma 3 (SigLIP and its projection): 4,300,079,472 parameters of the 4B checkpoint, less those that
/// the text part has. Others are of the same order.
const VISION_PARAMETERS: u64 = 420_000_000;

impl Parameters {
    /// All of them.
    pub const fn all(self) -> u64 {
        self.embedding
            .saturating_add(self.head)
            .saturating_add(self.layers)
            .saturating_add(self.experts)
            .saturating_add(self.vision)
    }
}

impl ModelConfig {
    /// How many parameters it has, by its shape.
    pub fn parameters(&self) -> Parameters {
        let w = |n: u64| u128::from(n);
        let (hidden, layers) = (w(self.hidden), w(self.layers.all()));
        let attention = self.attention_parameters();
        let dense = 3 * hidden * w(self.intermediate);
        let norms = 2 * hidden;
        let (mlp, experts) = match self.experts {
            None => (layers * dense, 0),
            Some(e) => {
                let sparse = layers.saturating_sub(w(e.dense_layers));
                let beside = hidden * w(e.count) + 3 * hidden * w(e.shared);
                let each = 3 * hidden * w(e.intermediate);
                (w(e.dense_layers) * dense + sparse * beside, sparse.saturating_mul(w(e.count) * each))
            }
        };
        let embedding = w(self.vocab) * hidden;
        Parameters {
            embedding: clamp(embedding),
            head: if self.tied { 0 } else { clamp(embedding) },
            layers: clamp(layers * (attention + norms) + mlp + hidden),
            experts: clamp(experts),
            vision: if self.multimodal { VISION_PARAMETERS } else { 0 },
        }
    }

    fn attention_parameters(&self) -> u128 {
        let w = |n: u64| u128::from(n);
        let (hidden, heads) = (w(self.hidden), w(self.heads));
        match self.latent {
            Some(l) => {
                let query_width = heads * (w(l.nope) + w(l.rope));
                let query = match w(l.query_lora) {
                    0 => hidden * query_width,
                    rank => hidden * rank + rank * query_width,
                };
                let key_value =
                    hidden * (w(l.lora) + w(l.rope)) + w(l.lora) * heads * (w(l.nope) + w(l.value));
                query + key_value + heads * w(l.value) * hidden
            }
            None => 2 * hidden * w(self.head_dim) * (heads + w(self.kv_heads)),
        }
    }
}

/// A figure that has to fit into 64 bits.
pub(super) fn clamp(n: u128) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use crate::vllm::plan::known;

    #[test]
    fn the_count_of_parameters_is_the_published_one() {
        // What the model cards on Hugging Face state ("Model size", exact in the safetensors panel).
        for (name, published) in [
            ("Qwen/Qwen2.5-7B-Instruct", 7_615_616_512_u64),
            ("meta-llama/Llama-3.1-8B-Instruct", 8_030_261_248),
            ("meta-llama/Llama-3.2-1B-Instruct", 1_235_814_400),
            ("meta-llama/Llama-3.3-70B-Instruct", 70_553_706_496),
            ("mistralai/Mixtral-8x7B-Instruct-v0.1", 46_702_792_704),
            ("Qwen/Qwen3-8B", 8_190_735_360),
            ("Qwen/Qwen3-30B-A3B", 30_532_122_624),
            ("google/gemma-2-9b-it", 9_241_705_984),
            ("google/gemma-3-4b-it", 4_300_079_472),
            ("google/gemma-3-27b-it", 27_432_406_640),
            ("microsoft/phi-4", 14_659_507_200),
            ("deepseek-ai/deepseek-llm-7b-chat", 6_910_365_696),
        ] {
            let counted = known::find(name).expect(name).config.parameters().all();
            let off = (counted as f64 - published as f64).abs() / published as f64;
            assert!(off < 0.001, "{name}: {counted} for {published}");
        }
    }
}
