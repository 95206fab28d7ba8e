//! Models with settings that work: a closed list. In: nothing. Out: identifiers, arguments, licences, published figures.
//!
//! Each checkpoint was looked up: its repository's list of files (bytes of the weights), its licence, and whether it asks for a token.
//! The addresses are in `docs/MODELS.md`. vLLM finds the quantization of each by itself, in its `config.json`, so that no recipe
//! names one. `--max-num-seqs` is what keeps working memory small (`docs/MEMORY.md`).

use super::row::SpeedClass;

/// A model with settings that work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// Its key: never changes, never shown.
    pub id: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// The repository on Hugging Face.
    pub model: &'static str,
    /// What to serve it as, where nothing else is wanted.
    pub served_name: &'static str,
    /// Arguments of `vllm serve` besides model, name and share.
    pub args: &'static [&'static str],
    /// Parameters of the model that was quantized.
    pub parameters: u64,
    /// Those that a token visits, where they are fewer.
    pub active_parameters: Option<u64>,
    /// How its weights are quantized: `quant_method` of its config.
    pub quantization: &'static str,
    /// Bytes of its files of weights, within 10 MB: what must be fetched and stored.
    pub weights_bytes: u64,
    /// The licence's identifier on Hugging Face.
    pub licence: &'static str,
    /// Where the licence can be read.
    pub licence_address: &'static str,
    /// Whether Hugging Face lets anybody have it.
    pub access: Access,
    /// What was published about it, if anything was.
    pub published: Option<Published>,
}

/// Whether Hugging Face lets anybody have a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody, without a token.
    Open,
    /// Whoever accepted its terms, with a token.
    Gated,
}

/// Figures that were published: neither computed nor measured here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Memory of the device that it takes, in bytes.
    pub vram_bytes: u64,
    /// How fast it is said to be.
    pub speed: SpeedClass,
}

impl Published {
    const fn of(gigabytes: u64, speed: SpeedClass) -> Option<Self> {
        Some(Self { vram_bytes: gigabytes * 1_000_000_000, speed })
    }
}

const APACHE: &str = "https://www.apache.org/licenses/LICENSE-2.0";

/// The list, in the order of the page. The first three are those of the product's mission, with the figures that it publishes.
pub fn recipes() -> &'static [Recipe] {
    &RECIPES
}

static RECIPES: [Recipe; 6] = [
    // https://huggingface.co/Qwen/Qwen2.5-7B-Instruct-AWQ/tree/main: 4 GB and 1.57 GB. An adapter is added with `--lora-modules`.
    Recipe {
        id: "qwen2.5-7b-lora",
        title: "Qwen2.5-7B + LoRA",
        model: "Qwen/Qwen2.5-7B-Instruct-AWQ",
        served_name: "qwen2.5-7b",
        args: &[
            "--max-model-len",
            "8192",
            "--max-num-seqs",
            "16",
            "--enable-lora",
            "--max-loras",
            "1",
            "--max-lora-rank",
            "16",
        ],
        parameters: 7_615_616_512,
        active_parameters: None,
        quantization: "awq",
        weights_bytes: 5_570_000_000,
        licence: "apache-2.0",
        licence_address: "https://huggingface.co/Qwen/Qwen2.5-7B-Instruct-AWQ/blob/main/LICENSE",
        access: Access::Open,
        published: Published::of(6, SpeedClass::Fast),
    },
    // https://huggingface.co/hugging-quants/Meta-Llama-3.1-8B-Instruct-GPTQ-INT4/tree/main: 4.97 GB and 764 MB. Meta's own
    // repository is gated, this copy is not; its licence is Meta's all the same.
    Recipe {
        id: "llama-3.1-8b-gptq",
        title: "Llama-3.1-8B GPTQ",
        model: "hugging-quants/Meta-Llama-3.1-8B-Instruct-GPTQ-INT4",
        served_name: "llama-3.1-8b",
        args: &["--max-model-len", "8192", "--max-num-seqs", "16"],
        parameters: 8_030_261_248,
        active_parameters: None,
        quantization: "gptq",
        weights_bytes: 5_734_000_000,
        licence: "llama3.1",
        licence_address: "https://huggingface.co/hugging-quants/Meta-Llama-3.1-8B-Instruct-GPTQ-INT4/blob/main/LICENSE",
        access: Access::Open,
        published: Published::of(8, SpeedClass::Fast),
    },
    // https://huggingface.co/RedHatAI/DeepSeek-R1-Distill-Qwen-7B-quantized.w4a16: GPTQ in four bits, groups of 128, made for
    // vLLM. Bytes by its shape; the same model as AWQ has 4.48 GB and 1.09 GB.
    Recipe {
        id: "deepseek-7b",
        title: "DeepSeek-7B",
        model: "RedHatAI/DeepSeek-R1-Distill-Qwen-7B-quantized.w4a16",
        served_name: "deepseek-7b",
        args: &["--max-model-len", "16384", "--max-num-seqs", "16"],
        parameters: 7_615_616_512,
        active_parameters: None,
        quantization: "compressed-tensors",
        weights_bytes: 5_570_000_000,
        licence: "mit",
        licence_address: "https://huggingface.co/deepseek-ai/DeepSeek-R1-Distill-Qwen-7B/blob/main/LICENSE",
        access: Access::Open,
        published: Published::of(7, SpeedClass::Medium),
    },
    // https://huggingface.co/Qwen/Qwen3-8B-AWQ: 4,853,922,024 bytes and 1.24 GB. For devices of 12 GB.
    Recipe {
        id: "qwen3-8b",
        title: "Qwen3-8B",
        model: "Qwen/Qwen3-8B-AWQ",
        served_name: "qwen3-8b",
        args: &["--max-model-len", "16384", "--max-num-seqs", "16"],
        parameters: 8_190_735_360,
        active_parameters: None,
        quantization: "awq",
        weights_bytes: 6_098_000_000,
        licence: "apache-2.0",
        licence_address: APACHE,
        access: Access::Open,
        published: None,
    },
    // https://huggingface.co/Qwen/Qwen2.5-Coder-14B-Instruct-AWQ/tree/main: 3.99, 3.97 and 2.02 GB. For devices of 16 GB.
    Recipe {
        id: "qwen2.5-coder-14b",
        title: "Qwen2.5-Coder-14B",
        model: "Qwen/Qwen2.5-Coder-14B-Instruct-AWQ",
        served_name: "qwen2.5-coder-14b",
        args: &["--max-model-len", "8192", "--max-num-seqs", "16"],
        parameters: 14_770_033_664,
        active_parameters: None,
        quantization: "awq",
        weights_bytes: 9_980_000_000,
        licence: "apache-2.0",
        licence_address: "https://huggingface.co/Qwen/Qwen2.5-Coder-14B-Instruct-AWQ/blob/main/LICENSE",
        access: Access::Open,
        published: None,
    },
    // https://huggingface.co/openai/gpt-oss-20b/tree/main: 4.79, 4.80 and 4.17 GB. For devices of 24 GB, and 16 GB with a share
    // above 0.9.
    Recipe {
        id: "gpt-oss-20b",
        title: "gpt-oss-20b",
        model: "openai/gpt-oss-20b",
        served_name: "gpt-oss-20b",
        args: &["--max-model-len", "16384", "--max-num-seqs", "16"],
        parameters: 20_914_757_184,
        active_parameters: Some(3_600_000_000),
        quantization: "mxfp4",
        weights_bytes: 13_760_000_000,
        licence: "apache-2.0",
        licence_address: "https://huggingface.co/openai/gpt-oss-20b/blob/main/LICENSE",
        access: Access::Open,
        published: None,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vllm::plan::{Ask, Device, model_facts, plan};
    use app::model::{MemoryPlan, PlanSource, Verdict};

    const GIB: u64 = 1 << 30;

    fn planned(recipe: &Recipe, device_gib: u64, share: f64) -> MemoryPlan {
        let ask = Ask {
            model: recipe.model.to_owned(),
            args: recipe.args.iter().map(|&a| a.to_owned()).collect(),
            share,
            ..Ask::default()
        };
        let facts = model_facts(&ask).expect(recipe.model);
        assert_eq!(facts.source, PlanSource::Table, "{}: known without its files", recipe.model);
        let total = device_gib * GIB;
        let device = Device { index: 0, name: "GPU".into(), total, free: total, holders: Vec::new() };
        plan(&facts, &ask, &[device])
    }

    fn needs(plan: &MemoryPlan) -> u64 {
        plan.weights_bytes + plan.overhead_bytes + plan.kv_bytes_per_token * plan.context_tokens
    }

    #[test]
    fn each_recipe_can_be_planned_before_its_download() {
        for recipe in recipes() {
            let plan = planned(recipe, 24, 0.9);
            assert_eq!(plan.verdict, Verdict::Fits, "{}", recipe.id);
            println!("{}: {:.2} GB", recipe.id, needs(&plan) as f64 / 1e9);
        }
    }

    #[test]
    fn what_is_published_is_what_the_plan_needs_within_a_sixth() {
        for recipe in recipes() {
            let Some(published) = recipe.published else { continue };
            let (needs, says) = (needs(&planned(recipe, 24, 0.9)) as f64, published.vram_bytes as f64);
            assert!((needs - says).abs() / says < 1.0 / 6.0, "{}: {needs} for {says}", recipe.id);
        }
    }

    #[test]
    fn each_recipe_fits_the_device_that_it_is_meant_for() {
        for (id, gib) in [
            ("qwen2.5-7b-lora", 8),
            ("llama-3.1-8b-gptq", 8),
            ("deepseek-7b", 8),
            ("qwen3-8b", 12),
            ("qwen2.5-coder-14b", 16),
            ("gpt-oss-20b", 24),
        ] {
            let recipe = recipes().iter().find(|r| r.id == id).expect(id);
            assert_eq!(planned(recipe, gib, 0.92).verdict, Verdict::Fits, "{id} on {gib} GiB");
        }
    }

    #[test]
    fn the_weights_are_those_of_the_repositories() {
        for recipe in recipes() {
            let loaded = planned(recipe, 24, 0.9).weights_bytes as f64;
            let off = (loaded - recipe.weights_bytes as f64) / recipe.weights_bytes as f64;
            // MXFP4 is padded when it is loaded.
            assert!((-0.01..0.06).contains(&off), "{}: off by {off:.4}", recipe.id);
        }
    }

    #[test]
    fn identifiers_are_distinct_and_names_can_be_served() {
        let plain = |s: &str| s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        for (at, recipe) in recipes().iter().enumerate() {
            assert!(plain(recipe.id) && plain(recipe.served_name), "{}", recipe.id);
            assert!(super::super::hub::RepoName::parse(recipe.model).is_ok(), "{}", recipe.model);
            assert!(recipe.licence_address.starts_with("https://"));
            assert!(!recipe.args.iter().any(|a| a.starts_with("--gpu-memory") || *a == "--model"));
            assert!(recipes().iter().skip(at + 1).all(|r| r.id != recipe.id && r.model != recipe.model));
        }
    }
}
