//! An estimate of how many tokens one request gets. In: the device's bandwidth, the bytes that a token reads. Out: a range.
//!
//! One request at a time is bound by memory: each token reads the weights once. `time = bytes ÷ (bandwidth × efficiency) + a fixed time`.
//! Efficiency 0.60 to 0.90 and 0.5 to 4.5 ms (3 ms more at the slow end where several devices must agree) hold 29 of the 30
//! public figures in `docs/MODELS.md`. The KV cache is left out: at 30,000 tokens of context expect a quarter to a third less.

use super::row::SpeedClass;
use crate::vllm::plan::ModelFacts;

/// Tokens in ten seconds from which on a model is [`SpeedClass::Fast`]: ten times as fast as people read.
pub const FAST_FROM: u64 = 600;
/// Tokens in ten seconds from which on a model is [`SpeedClass::Medium`]: four times as fast as people read (about 5 a second).
pub const MEDIUM_FROM: u64 = 200;

/// Shares of the peak bandwidth that engines reach, in percent: the slowest and the quickest of the public figures.
const EFFICIENCY_PERCENT: (u64, u64) = (60, 90);
/// What a step takes besides reading, in microseconds: the quickest and the slowest.
const STEP_MICROS: (u64, u64) = (500, 4500);
/// What several devices need to agree at the slow end, in microseconds.
const AGREE_MICROS: u64 = 3000;

/// Tokens that one request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// In ten seconds, at least.
    pub low_tokens_per_10s: u64,
    /// In ten seconds, at most.
    pub high_tokens_per_10s: u64,
}

impl Estimate {
    /// The class of the middle, which is that of the times that a token takes.
    pub fn class(self) -> SpeedClass {
        let (low, high) = (u128::from(self.low_tokens_per_10s), u128::from(self.high_tokens_per_10s));
        class(u64::try_from(2 * low * high / (low + high).max(1)).unwrap_or(u64::MAX))
    }
}

/// The class of so many tokens in ten seconds.
pub const fn class(tokens_per_10s: u64) -> SpeedClass {
    match tokens_per_10s {
        FAST_FROM.. => SpeedClass::Fast,
        MEDIUM_FROM.. => SpeedClass::Medium,
        _ => SpeedClass::Slow,
    }
}

/// How a model is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Devices that hold a part of it.
    pub devices: u32,
    /// Stages that wait for one another: `--pipeline-parallel-size`.
    pub stages: u32,
}

/// Estimates the tokens of one request. `bandwidth` is that of the slowest device in bytes per second, `weights_bytes` what lies on
/// each device, `read_permille` how much of it a token reads ([`read_permille`]). `None` where a figure is zero.
pub fn estimate(bandwidth: u64, weights_bytes: u64, read_permille: u32, shared: Shared) -> Option<Estimate> {
    let bytes =
        u128::from(weights_bytes) * u128::from(read_permille) / 1000 * u128::from(shared.stages.max(1));
    if bytes == 0 || bandwidth == 0 {
        return None;
    }
    let ideal = bytes * 1_000_000_000 / u128::from(bandwidth);
    let agree = if shared.devices > 1 { AGREE_MICROS } else { 0 };
    let tokens = |percent: u64, micros: u64| {
        let nanos = ideal * 100 / u128::from(percent) + u128::from(micros) * 1000;
        u64::try_from(10_000_000_000 / nanos.max(1)).unwrap_or(u64::MAX)
    };
    Some(Estimate {
        low_tokens_per_10s: tokens(EFFICIENCY_PERCENT.0, STEP_MICROS.1 + agree),
        high_tokens_per_10s: tokens(EFFICIENCY_PERCENT.1, STEP_MICROS.0),
    })
}

/// How much of the weights in memory a token reads, in thousandths: all but the embedding (of which one row is read, unless it is
/// the output layer, too), what reads images, and those experts that the token does not visit.
pub fn read_permille(facts: &ModelFacts) -> u32 {
    let (parameters, config) = (facts.config.parameters(), &facts.config);
    let w = |n: u64| u128::from(n);
    let whole = w(facts.weights.floats) * 2 + w(facts.weights.fixed_bytes);
    let embedding = if config.tied { 0 } else { w(parameters.embedding) * 2 };
    let experts_bytes = match config.quantization.as_deref() {
        None => w(parameters.experts) * 2,
        // Only the experts are in four bits.
        Some("mxfp4") => w(facts.weights.fixed_bytes),
        Some(_) => {
            let inner = w(parameters.experts) + w(parameters.layers);
            w(facts.weights.fixed_bytes) * w(parameters.experts) / inner.max(1)
        }
    };
    let idle = config
        .experts
        .map_or(0, |e| experts_bytes * w(e.count.saturating_sub(e.each_token)) / w(e.count.max(1)));
    let not_read = embedding + idle + w(parameters.vision) * 2;
    let read = whole.saturating_sub(not_read) * 1000 / whole.max(1);
    // A config that contradicts its weights must not make a model seem quicker than any is.
    u32::try_from(read).unwrap_or(1000).clamp(20, 1000)
}

#[cfg(test)]
mod tests {
    use super::super::bandwidth;
    use super::*;
    use crate::vllm::plan::{Ask, model_facts};

    const ONE: Shared = Shared { devices: 1, stages: 1 };

    fn facts(model: &str) -> ModelFacts {
        model_facts(&Ask { model: model.to_owned(), share: 0.9, ..Ask::default() }).expect(model)
    }

    fn of(model: &str, gpu: &str, devices: u32) -> Estimate {
        let facts = facts(model);
        let weights = (facts.weights.floats * 2 + facts.weights.fixed_bytes) / u64::from(devices);
        let shared = Shared { devices, stages: 1 };
        estimate(bandwidth(gpu).expect(gpu), weights, read_permille(&facts), shared).expect(model)
    }

    /// Model, device, devices, tokens per second. A: Qwen2.5's speed benchmark, vLLM 0.6.3. B: the card of
    /// DeepSeek-R1-Distill-Qwen-7B-quantized.w4a16, vLLM 0.7.2 (1024 tokens by the seconds stated). C: treeru.com, `SGLang` 0.5.8.
    const PUBLIC: &[(&str, &str, u32, f64)] = &[
        ("Qwen/Qwen2.5-1.5B-Instruct", "NVIDIA A100-SXM4-80GB", 1, 183.33),
        ("Qwen/Qwen2.5-1.5B-Instruct-GPTQ-Int4", "NVIDIA A100-SXM4-80GB", 1, 217.03),
        ("Qwen/Qwen2.5-1.5B-Instruct-AWQ", "NVIDIA A100-SXM4-80GB", 1, 213.74),
        ("Qwen/Qwen2.5-3B-Instruct", "NVIDIA A100-SXM4-80GB", 1, 127.61),
        ("Qwen/Qwen2.5-3B-Instruct-GPTQ-Int4", "NVIDIA A100-SXM4-80GB", 1, 168.20),
        ("Qwen/Qwen2.5-3B-Instruct-AWQ", "NVIDIA A100-SXM4-80GB", 1, 165.50),
        ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int8", "NVIDIA A100-SXM4-80GB", 1, 122.01),
        ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", "NVIDIA A100-SXM4-80GB", 1, 154.05),
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", "NVIDIA A100-SXM4-80GB", 1, 148.10),
        ("Qwen/Qwen2.5-14B-Instruct", "NVIDIA A100-SXM4-80GB", 1, 46.30),
        ("Qwen/Qwen2.5-14B-Instruct-GPTQ-Int8", "NVIDIA A100-SXM4-80GB", 1, 70.40),
        ("Qwen/Qwen2.5-14B-Instruct-GPTQ-Int4", "NVIDIA A100-SXM4-80GB", 1, 98.02),
        ("Qwen/Qwen2.5-14B-Instruct-AWQ", "NVIDIA A100-SXM4-80GB", 1, 92.66),
        ("Qwen/Qwen2.5-72B-Instruct-GPTQ-Int4", "NVIDIA A100-SXM4-80GB", 1, 16.47),
        ("Qwen/Qwen2.5-72B-Instruct", "NVIDIA A100-SXM4-80GB", 4, 31.37),
        ("Qwen/Qwen2.5-72B-Instruct-GPTQ-Int8", "NVIDIA A100-SXM4-80GB", 2, 31.40),
        ("Qwen/Qwen2.5-72B-Instruct-AWQ", "NVIDIA A100-SXM4-80GB", 2, 44.30),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "NVIDIA RTX A6000", 1, 1024.0 / 22.6),
        ("RedHatAI/DeepSeek-R1-Distill-Qwen-7B-quantized.w4a16", "NVIDIA RTX A6000", 1, 1024.0 / 8.6),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "NVIDIA A100-SXM4-80GB", 1, 1024.0 / 11.5),
        ("RedHatAI/DeepSeek-R1-Distill-Qwen-7B-quantized.w4a16", "NVIDIA A100-SXM4-80GB", 1, 1024.0 / 6.1),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "NVIDIA H100 80GB HBM3", 1, 1024.0 / 7.5),
        ("RedHatAI/DeepSeek-R1-Distill-Qwen-7B-quantized.w4a16", "NVIDIA H100 80GB HBM3", 1, 1024.0 / 5.4),
        ("Qwen/Qwen3-4B-AWQ", "NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 1, 391.2),
        ("Qwen/Qwen3-8B-AWQ", "NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 1, 208.0),
        ("Qwen/Qwen3-8B", "NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 1, 90.8),
        ("Qwen/Qwen3-14B-AWQ", "NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 1, 136.1),
        ("Qwen/Qwen3-30B-A3B", "NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 1, 168.9),
        ("Qwen/Qwen3-32B-AWQ", "NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 1, 70.2),
        ("Qwen/Qwen3-32B", "NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 1, 23.9),
    ];

    #[test]
    fn public_figures_lie_in_the_range_but_one() {
        let mut outside = Vec::new();
        for &(model, gpu, devices, published) in PUBLIC {
            let estimate = of(model, gpu, devices);
            let (low, high) =
                (estimate.low_tokens_per_10s as f64 / 10.0, estimate.high_tokens_per_10s as f64 / 10.0);
            let middle = (2.0 * low * high / (low + high) / published - 1.0) * 100.0;
            println!(
                "| {model} | {gpu} x{devices} | {low:.0} to {high:.0} | {published:.0} | {middle:+.0} % |"
            );
            if !(low..=high).contains(&published) {
                outside.push((model, low, high, published));
            }
        }
        assert_eq!(outside.len(), 1, "{outside:?}");
        assert_eq!(outside.first().map(|o| o.0), Some("Qwen/Qwen2.5-72B-Instruct-GPTQ-Int4"));
    }

    /// Figures that had no part in choosing the factors. A: the card of glenic/Qwen3-8B-AWQ, vLLM. B: smeltcore.com and
    /// runaihome.com, llama.cpp with weights of the same four bits.
    const OTHERS: &[(&str, &str, u32, f64)] = &[
        ("Qwen/Qwen3-8B", "NVIDIA A100-SXM4-80GB", 1, 91.4),
        ("openai/gpt-oss-20b", "NVIDIA GeForce RTX 4090", 1, 190.6),
        ("openai/gpt-oss-20b", "NVIDIA GeForce RTX 4080 SUPER", 1, 139.1),
        ("Qwen/Qwen3-30B-A3B-GPTQ-Int4", "NVIDIA GeForce RTX 3090 Ti", 1, 166.9),
        ("Qwen/Qwen3-30B-A3B-GPTQ-Int4", "NVIDIA GeForce RTX 4090", 1, 196.0),
    ];

    #[test]
    fn figures_of_others_lie_in_the_range_too() {
        for &(model, gpu, devices, published) in OTHERS {
            let estimate = of(model, gpu, devices);
            let (low, high) =
                (estimate.low_tokens_per_10s as f64 / 10.0, estimate.high_tokens_per_10s as f64 / 10.0);
            println!("| {model} | {gpu} x{devices} | {low:.0} to {high:.0} | {published:.0} |");
            assert!((low..=high).contains(&published), "{model} on {gpu}: {low} to {high}, {published}");
        }
    }

    #[test]
    fn a_mixture_is_quicker_than_its_size() {
        let share = |model: &str| read_permille(&facts(model));
        assert!((200..400).contains(&share("openai/gpt-oss-20b")), "{}", share("openai/gpt-oss-20b"));
        assert!((60..150).contains(&share("Qwen/Qwen3-30B-A3B")), "{}", share("Qwen/Qwen3-30B-A3B"));
        assert!((850..1000).contains(&share("meta-llama/Llama-3.1-8B-Instruct")));
        assert_eq!(share("Qwen/Qwen3-4B"), 1000, "the output layer is the embedding");
    }

    #[test]
    fn the_classes_begin_where_they_say() {
        assert_eq!(
            [0, 199, 200, 599, 600, u64::MAX].map(class),
            [
                SpeedClass::Slow,
                SpeedClass::Slow,
                SpeedClass::Medium,
                SpeedClass::Medium,
                SpeedClass::Fast,
                SpeedClass::Fast
            ]
        );
    }

    #[test]
    fn nothing_is_estimated_from_nothing() {
        assert_eq!(estimate(0, 1, 1000, ONE), None);
        assert_eq!(estimate(1, 0, 1000, ONE), None);
        assert_eq!(estimate(1_000_000_000, 1_000_000_000, 0, ONE), None);
    }

    proptest::proptest! {
        #[test]
        fn more_to_read_is_never_quicker_and_the_range_is_one(
            bandwidth in 1_u64.., bytes in 1_u64.., more in 0_u64.., read in 1_u32..=1000, devices in 0_u32..64, stages in 0_u32..64
        ) {
            let shared = Shared { devices, stages };
            let Some(one) = estimate(bandwidth, bytes, read, shared) else { return Ok(()) };
            proptest::prop_assert!(one.low_tokens_per_10s <= one.high_tokens_per_10s);
            if let Some(other) = estimate(bandwidth, bytes.saturating_add(more), read, shared) {
                proptest::prop_assert!(other.low_tokens_per_10s <= one.low_tokens_per_10s);
            }
        }
    }
}
