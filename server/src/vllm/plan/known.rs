//! Models whose figures are known without a file of theirs, for a plan before the first download: an estimate.
//!
//! The figures are those of the `config.json` in each model's repository on Hugging Face, read there or in another project's copy
//! (litgpt's `config.py`, transformers' configuration classes, GGUF headers in public logs); the counts of parameters that follow
//! from them are tested against the model cards. How a checkpoint is quantized is told by its name.

use super::shape::{Dtype, Experts, Latent, Layers, ModelConfig};

/// A model from the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// Its shape.
    pub config: ModelConfig,
}

/// Finds a model by the name of its repository, whoever published it.
pub fn find(model: &str) -> Option<Known> {
    let name = model.rsplit('/').next()?.to_ascii_lowercase();
    let (base, quantization) = quantization(&name);
    let base = base.strip_prefix("meta-").unwrap_or(base);
    let row = MODELS.iter().find(|row| row.names.contains(&base))?;
    Some(Known { config: row.shape.config(row.max_tokens, quantization) })
}

/// Splits a name into the model and how it is quantized.
fn quantization(name: &str) -> (&str, Option<&'static str>) {
    let mut base = name;
    let mut method = None;
    while let Some((rest, word)) = base.rsplit_once('-') {
        method = match word {
            "awq" => Some("awq"),
            "int4" | "gptq" | "w4a16" | "quantized.w4a16" => method.or(Some("gptq")),
            "int8" | "w8a8" | "quantized.w8a8" => Some("w8a8"),
            "fp8" => Some("fp8"),
            "nvfp4" | "fp4" => Some("nvfp4"),
            "4bit" => Some("bitsandbytes"),
            "dynamic" | "bnb" | "unsloth" | "g128" | "hf" => method,
            _ => break,
        };
        base = rest;
    }
    (base, method)
}

struct Row {
    names: &'static [&'static str],
    shape: &'static Shape,
    max_tokens: u64,
}

const fn row(names: &'static [&'static str], shape: &'static Shape, max_tokens: u64) -> Row {
    Row { names, shape, max_tokens }
}

/// A shape that models share.
struct Shape {
    model_type: &'static str,
    hidden: u64,
    intermediate: u64,
    vocab: u64,
    heads: u64,
    kv_heads: u64,
    head_dim: u64,
    full: u64,
    windowed: u64,
    window: Option<u64>,
    experts: Option<Experts>,
    latent: Option<Latent>,
    tied: bool,
    multimodal: bool,
    quantization: Option<&'static str>,
}

impl Shape {
    fn config(&self, max_tokens: u64, quantization: Option<&str>) -> ModelConfig {
        ModelConfig {
            model_type: self.model_type.to_owned(),
            hidden: self.hidden,
            intermediate: self.intermediate,
            vocab: self.vocab,
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            layers: Layers { full: self.full, windowed: self.windowed, stateful: 0 },
            window: self.window,
            max_tokens,
            latent: self.latent,
            experts: self.experts,
            tied: self.tied,
            multimodal: self.multimodal,
            dtype: Some(Dtype::Half),
            quantization: quantization.or(self.quantization).map(str::to_owned),
            kv_half_bits: None,
        }
    }

    /// A dense model: width, width inside, vocabulary, heads, key-value heads, width of a head, layers.
    const fn dense(model_type: &'static str, f: [u64; 7]) -> Self {
        let [hidden, intermediate, vocab, heads, kv_heads, head_dim, full] = f;
        Self {
            model_type,
            hidden,
            intermediate,
            vocab,
            heads,
            kv_heads,
            head_dim,
            full,
            windowed: 0,
            window: None,
            experts: None,
            latent: None,
            tied: false,
            multimodal: false,
            quantization: None,
        }
    }

    const fn tied(self) -> Self {
        Self { tied: true, ..self }
    }

    /// So many of the layers keep a window only.
    const fn windowed(self, windowed: u64, window: u64) -> Self {
        Self { full: self.full - windowed, windowed, window: Some(window), ..self }
    }

    const fn seeing(self) -> Self {
        Self { multimodal: true, ..self }
    }

    /// Experts, those that a token visits, the width inside one.
    const fn experts(self, count: u64, each_token: u64, intermediate: u64) -> Self {
        Self {
            experts: Some(Experts { count, each_token, intermediate, shared: 0, dense_layers: 0 }),
            ..self
        }
    }

    const fn quantized(self, method: &'static str) -> Self {
        Self { quantization: Some(method), ..self }
    }
}

static QWEN25_05B: Shape = Shape::dense("qwen2", [896, 4864, 151_936, 14, 2, 64, 24]).tied();
static QWEN25_15B: Shape = Shape::dense("qwen2", [1536, 8960, 151_936, 12, 2, 128, 28]).tied();
static QWEN25_3B: Shape = Shape::dense("qwen2", [2048, 11_008, 151_936, 16, 2, 128, 36]).tied();
static QWEN25_7B: Shape = Shape::dense("qwen2", [3584, 18_944, 152_064, 28, 4, 128, 28]);
static QWEN25_14B: Shape = Shape::dense("qwen2", [5120, 13_824, 152_064, 40, 8, 128, 48]);
static QWEN25_32B: Shape = Shape::dense("qwen2", [5120, 27_648, 152_064, 40, 8, 128, 64]);
static QWEN25_72B: Shape = Shape::dense("qwen2", [8192, 29_568, 152_064, 64, 8, 128, 80]);
static R1_QWEN_15B: Shape = Shape::dense("qwen2", [1536, 8960, 151_936, 12, 2, 128, 28]);

static QWEN3_06B: Shape = Shape::dense("qwen3", [1024, 3072, 151_936, 16, 8, 128, 28]).tied();
static QWEN3_17B: Shape = Shape::dense("qwen3", [2048, 6144, 151_936, 16, 8, 128, 28]).tied();
static QWEN3_4B: Shape = Shape::dense("qwen3", [2560, 9728, 151_936, 32, 8, 128, 36]).tied();
static QWEN3_8B: Shape = Shape::dense("qwen3", [4096, 12_288, 151_936, 32, 8, 128, 36]);
static QWEN3_14B: Shape = Shape::dense("qwen3", [5120, 17_408, 151_936, 40, 8, 128, 40]);
static QWEN3_32B: Shape = Shape::dense("qwen3", [5120, 25_600, 151_936, 64, 8, 128, 64]);
static QWEN3_30B_A3B: Shape =
    Shape::dense("qwen3_moe", [2048, 6144, 151_936, 32, 4, 128, 48]).experts(128, 8, 768);
static QWEN3_235B_A22B: Shape =
    Shape::dense("qwen3_moe", [4096, 12_288, 151_936, 64, 4, 128, 94]).experts(128, 8, 1536);

static LLAMA3_8B: Shape = Shape::dense("llama", [4096, 14_336, 128_256, 32, 8, 128, 32]);
static LLAMA3_70B: Shape = Shape::dense("llama", [8192, 28_672, 128_256, 64, 8, 128, 80]);
static LLAMA3_405B: Shape = Shape::dense("llama", [16_384, 53_248, 128_256, 128, 8, 128, 126]);
static LLAMA32_1B: Shape = Shape::dense("llama", [2048, 8192, 128_256, 32, 8, 64, 16]).tied();
static LLAMA32_3B: Shape = Shape::dense("llama", [3072, 8192, 128_256, 24, 8, 128, 28]).tied();

static MISTRAL_7B: Shape = Shape::dense("mistral", [4096, 14_336, 32_000, 32, 8, 128, 32]);
static MISTRAL_7B_V3: Shape = Shape::dense("mistral", [4096, 14_336, 32_768, 32, 8, 128, 32]);
static MISTRAL_7B_WINDOW: Shape =
    Shape::dense("mistral", [4096, 14_336, 32_000, 32, 8, 128, 32]).windowed(32, 4096);
static MISTRAL_SMALL: Shape = Shape::dense("mistral", [5120, 32_768, 131_072, 32, 8, 128, 40]);
static MISTRAL_SMALL_31: Shape = Shape::dense("mistral3", [5120, 32_768, 131_072, 32, 8, 128, 40]).seeing();
static MIXTRAL_8X7B: Shape =
    Shape::dense("mixtral", [4096, 14_336, 32_000, 32, 8, 128, 32]).experts(8, 2, 14_336);
static MIXTRAL_8X22B: Shape =
    Shape::dense("mixtral", [6144, 16_384, 32_768, 48, 8, 128, 56]).experts(8, 2, 16_384);

static GEMMA2_2B: Shape =
    Shape::dense("gemma2", [2304, 9216, 256_000, 8, 4, 256, 26]).windowed(13, 4096).tied();
static GEMMA2_9B: Shape =
    Shape::dense("gemma2", [3584, 14_336, 256_000, 16, 8, 256, 42]).windowed(21, 4096).tied();
static GEMMA2_27B: Shape =
    Shape::dense("gemma2", [4608, 36_864, 256_000, 32, 16, 128, 46]).windowed(23, 4096).tied();
static GEMMA3_1B: Shape =
    Shape::dense("gemma3_text", [1152, 6912, 262_144, 4, 1, 256, 26]).windowed(22, 512).tied();
static GEMMA3_4B: Shape =
    Shape::dense("gemma3_text", [2560, 10_240, 262_208, 8, 4, 256, 34]).windowed(29, 1024).tied().seeing();
static GEMMA3_12B: Shape =
    Shape::dense("gemma3_text", [3840, 15_360, 262_208, 16, 8, 256, 48]).windowed(40, 1024).tied().seeing();
static GEMMA3_27B: Shape =
    Shape::dense("gemma3_text", [5376, 21_504, 262_208, 32, 16, 128, 62]).windowed(52, 1024).tied().seeing();

static PHI4: Shape = Shape::dense("phi3", [5120, 17_920, 100_352, 40, 10, 128, 40]);
static GPT_OSS_20B: Shape = Shape::dense("gpt_oss", [2880, 2880, 201_088, 64, 8, 64, 24])
    .windowed(12, 128)
    .experts(32, 4, 2880)
    .quantized("mxfp4");
static GPT_OSS_120B: Shape = Shape::dense("gpt_oss", [2880, 2880, 201_088, 64, 8, 64, 36])
    .windowed(18, 128)
    .experts(128, 4, 2880)
    .quantized("mxfp4");

static DEEPSEEK_7B: Shape = Shape::dense("llama", [4096, 11_008, 102_400, 32, 32, 128, 30]);
static DEEPSEEK_V3: Shape = Shape {
    latent: Some(Latent { lora: 512, rope: 64, nope: 128, value: 128, query_lora: 1536, index: 0 }),
    experts: Some(Experts { count: 256, each_token: 8, intermediate: 2048, shared: 2048, dense_layers: 3 }),
    quantization: Some("fp8"),
    ..Shape::dense("deepseek_v3", [7168, 18_432, 129_280, 128, 128, 56, 61])
};

static MODELS: &[Row] = &[
    row(&["qwen2.5-0.5b-instruct", "qwen2.5-0.5b", "qwen2.5-coder-0.5b-instruct"], &QWEN25_05B, 32_768),
    row(&["qwen2.5-1.5b-instruct", "qwen2.5-coder-1.5b-instruct"], &QWEN25_15B, 32_768),
    row(&["qwen2.5-1.5b"], &QWEN25_15B, 131_072),
    row(&["qwen2.5-3b-instruct", "qwen2.5-3b", "qwen2.5-coder-3b-instruct"], &QWEN25_3B, 32_768),
    row(&["qwen2.5-7b-instruct", "qwen2.5-coder-7b-instruct", "qwen2.5-coder-7b"], &QWEN25_7B, 32_768),
    row(&["qwen2.5-7b"], &QWEN25_7B, 131_072),
    row(&["qwen2.5-14b-instruct", "qwen2.5-coder-14b-instruct"], &QWEN25_14B, 32_768),
    row(&["qwen2.5-14b"], &QWEN25_14B, 131_072),
    row(&["qwen2.5-32b-instruct", "qwen2.5-coder-32b-instruct"], &QWEN25_32B, 32_768),
    row(&["qwen2.5-32b"], &QWEN25_32B, 131_072),
    row(&["qwen2.5-72b-instruct"], &QWEN25_72B, 32_768),
    row(&["qwen2.5-72b"], &QWEN25_72B, 131_072),
    row(&["deepseek-r1-distill-qwen-1.5b"], &R1_QWEN_15B, 131_072),
    row(&["deepseek-r1-distill-qwen-7b"], &QWEN25_7B, 131_072),
    row(&["deepseek-r1-distill-qwen-14b"], &QWEN25_14B, 131_072),
    row(&["deepseek-r1-distill-qwen-32b"], &QWEN25_32B, 131_072),
    row(&["qwen3-0.6b"], &QWEN3_06B, 40_960),
    row(&["qwen3-1.7b"], &QWEN3_17B, 40_960),
    row(&["qwen3-4b"], &QWEN3_4B, 40_960),
    row(&["qwen3-4b-instruct-2507", "qwen3-4b-thinking-2507"], &QWEN3_4B, 262_144),
    row(&["qwen3-8b"], &QWEN3_8B, 40_960),
    row(&["qwen3-14b"], &QWEN3_14B, 40_960),
    row(&["qwen3-32b"], &QWEN3_32B, 40_960),
    row(&["qwen3-30b-a3b"], &QWEN3_30B_A3B, 40_960),
    row(
        &["qwen3-30b-a3b-instruct-2507", "qwen3-30b-a3b-thinking-2507", "qwen3-coder-30b-a3b-instruct"],
        &QWEN3_30B_A3B,
        262_144,
    ),
    row(&["qwen3-235b-a22b"], &QWEN3_235B_A22B, 40_960),
    row(&["qwen3-235b-a22b-instruct-2507", "qwen3-235b-a22b-thinking-2507"], &QWEN3_235B_A22B, 262_144),
    row(&["llama-3-8b", "llama-3-8b-instruct"], &LLAMA3_8B, 8192),
    row(&["llama-3-70b", "llama-3-70b-instruct"], &LLAMA3_70B, 8192),
    row(&["llama-3.1-8b", "llama-3.1-8b-instruct", "deepseek-r1-distill-llama-8b"], &LLAMA3_8B, 131_072),
    row(
        &[
            "llama-3.1-70b",
            "llama-3.1-70b-instruct",
            "llama-3.3-70b-instruct",
            "deepseek-r1-distill-llama-70b",
        ],
        &LLAMA3_70B,
        131_072,
    ),
    row(&["llama-3.1-405b", "llama-3.1-405b-instruct"], &LLAMA3_405B, 131_072),
    row(&["llama-3.2-1b", "llama-3.2-1b-instruct"], &LLAMA32_1B, 131_072),
    row(&["llama-3.2-3b", "llama-3.2-3b-instruct"], &LLAMA32_3B, 131_072),
    row(&["mistral-7b-v0.1", "mistral-7b-instruct-v0.1"], &MISTRAL_7B_WINDOW, 32_768),
    row(&["mistral-7b-instruct-v0.2"], &MISTRAL_7B, 32_768),
    row(&["mistral-7b-v0.3", "mistral-7b-instruct-v0.3"], &MISTRAL_7B_V3, 32_768),
    row(&["mistral-small-24b-instruct-2501"], &MISTRAL_SMALL, 32_768),
    row(
        &["mistral-small-3.1-24b-instruct-2503", "mistral-small-3.2-24b-instruct-2506"],
        &MISTRAL_SMALL_31,
        131_072,
    ),
    row(&["mixtral-8x7b-v0.1", "mixtral-8x7b-instruct-v0.1"], &MIXTRAL_8X7B, 32_768),
    row(&["mixtral-8x22b-instruct-v0.1"], &MIXTRAL_8X22B, 65_536),
    row(&["gemma-2-2b", "gemma-2-2b-it"], &GEMMA2_2B, 8192),
    row(&["gemma-2-9b", "gemma-2-9b-it"], &GEMMA2_9B, 8192),
    row(&["gemma-2-27b", "gemma-2-27b-it"], &GEMMA2_27B, 8192),
    row(&["gemma-3-1b-it", "gemma-3-1b-pt"], &GEMMA3_1B, 32_768),
    row(&["gemma-3-4b-it", "gemma-3-4b-pt"], &GEMMA3_4B, 131_072),
    row(&["gemma-3-12b-it", "gemma-3-12b-pt"], &GEMMA3_12B, 131_072),
    row(&["gemma-3-27b-it", "gemma-3-27b-pt"], &GEMMA3_27B, 131_072),
    row(&["phi-4"], &PHI4, 16_384),
    row(&["phi-4-reasoning", "phi-4-reasoning-plus"], &PHI4, 32_768),
    row(&["gpt-oss-20b"], &GPT_OSS_20B, 131_072),
    row(&["gpt-oss-120b"], &GPT_OSS_120B, 131_072),
    row(&["deepseek-llm-7b-chat", "deepseek-llm-7b-base"], &DEEPSEEK_7B, 4096),
    row(&["deepseek-v3", "deepseek-v3-0324", "deepseek-r1", "deepseek-r1-0528"], &DEEPSEEK_V3, 163_840),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_model_and_how_it_is_quantized() {
        for (name, base, method) in [
            ("Qwen/Qwen2.5-7B-Instruct-AWQ", "qwen2.5-7b-instruct", Some("awq")),
            ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", "qwen2.5-7b-instruct", Some("gptq")),
            ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int8", "qwen2.5-7b-instruct", Some("w8a8")),
            ("hugging-quants/Meta-Llama-3.1-8B-Instruct-GPTQ-INT4", "llama-3.1-8b-instruct", Some("gptq")),
            ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", "llama-3.3-70b-instruct", Some("fp8")),
            ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16", "llama-3.1-8b-instruct", Some("gptq")),
            ("unsloth/Qwen3-8B-unsloth-bnb-4bit", "qwen3-8b", Some("bitsandbytes")),
            ("openai/gpt-oss-20b", "gpt-oss-20b", Some("mxfp4")),
            ("google/gemma-3-4b-it", "gemma-3-4b-it", None),
        ] {
            let found = find(name).expect(name).config;
            let row = MODELS.iter().find(|row| row.names.contains(&base)).expect(base);
            assert_eq!((found.max_tokens, found.quantization.as_deref()), (row.max_tokens, method), "{name}");
            assert_eq!(found.hidden, row.shape.hidden, "{name}");
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_not_guessed() {
        for name in [
            "",
            "/",
            "Qwen/Qwen2.5-7B-Instruct-GGUF",
            "Qwen/Qwen2.5-9B-Instruct",
            "me/qwen3-8b-finetune",
            "-awq",
        ] {
            assert_eq!(find(name), None, "{name}");
        }
    }

    #[test]
    fn no_name_is_in_the_table_twice() {
        let mut names: Vec<&str> = MODELS.iter().flat_map(|row| row.names).copied().collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        assert!(names.iter().all(|name| find(name).is_some()), "a name that no search arrives at");
    }
}
