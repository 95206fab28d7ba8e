//! The error of the plan against figures that vLLM itself logged, on many devices and in many versions.
//!
//! Run with `--nocapture` to see the table that `docs/MEMORY.md` shows. Two things are held: that the cache of so many bytes has
//! exactly the blocks that the log states, and that weights, working memory and the whole plan stay within bounds.

use crate::vllm::plan::cache::{Cache, Layout};
use crate::vllm::plan::flags::Flags;
use crate::vllm::plan::overhead::Batch;
use crate::vllm::plan::shape::Dtype;
use crate::vllm::plan::{Ask, Device, ModelFacts, Weights, config, known, plan};
use app::model::PlanSource;

const GIB: f64 = 1_073_741_824.0;

/// What one log says. Figures in GiB; `None` where it does not say.
struct Log {
    /// Where it is.
    source: &'static str,
    version: (u32, u32),
    device: &'static str,
    /// The device's memory as CUDA counts it; 0 where the log does not say: only its cache is held then.
    device_gib: f64,
    model: &'static str,
    share: f64,
    args: &'static str,
    weights: Option<f64>,
    /// Peak activations and memory that PyTorch does not manage, and CUDA graphs where the version counts them.
    working: Option<f64>,
    kv: Option<f64>,
    /// What CUDA graphs took in the end.
    graphs: Option<f64>,
    /// Blocks, or tokens, of a cache of that size.
    size: Option<Size>,
}

enum Size {
    Blocks(u64),
    Tokens(u64),
}
use Size::{Blocks, Tokens};

const PLANNER_LOGS: &str =
    "github.com/llm-d-incubation/llm-d-planner, d3121e0, accuracy/results/v0.19.0/logs/";
const PLANNER_REPORT: &str =
    "github.com/llm-d-incubation/llm-d-planner, 875a4fd, accuracy/accuracy_report.md";
const BENCHMARK: &str =
    "github.com/llm-d/llm-d-benchmark, 2593348, config_explorer/empirical-vllm-memory-results.md";

macro_rules! log {
    ($source:expr, $version:expr, $device:literal $gib:literal, $model:literal $share:literal $args:literal,
     $weights:expr, $working:expr, $kv:expr, $size:expr, graphs $graphs:literal) => {
        Log { graphs: Some($graphs), ..log!($source, $version, $device $gib, $model $share $args, $weights, $working, $kv, $size) }
    };
    ($source:expr, $version:expr, $device:literal $gib:literal, $model:literal $share:literal $args:literal,
     $weights:expr, $working:expr, $kv:expr, $size:expr) => {
        Log {
            source: $source,
            version: $version,
            device: $device,
            device_gib: $gib,
            model: $model,
            share: $share,
            args: $args,
            weights: $weights,
            working: $working,
            kv: $kv,
            graphs: None,
            size: $size,
        }
    };
}

#[rustfmt::skip]
fn logs() -> Vec<Log> {
    // Where a log states no bytes for the cache, they follow from its blocks: 1381 in #12569, 81,536 tokens in #13061.
    let v19 = (0, 19);
    let older = (0, 11);
    vec![
        log!(PLANNER_LOGS, v19, "H100" 79.19, "meta-llama/Llama-3.1-8B-Instruct" 0.95 "--max-model-len 16384", Some(14.99), Some(2.14), Some(58.11), Some(Blocks(29_751)), graphs 0.91),
        log!(PLANNER_LOGS, v19, "H100" 79.19, "meta-llama/Llama-3.1-8B-Instruct" 0.95 "--max-model-len 8192 --quantization fp8", Some(8.49), Some(2.14), Some(64.61), Some(Blocks(33_078)), graphs 0.87),
        log!(PLANNER_LOGS, v19, "H100" 79.19, "codellama-7b" 0.95 "--max-model-len 8192", Some(12.56), Some(1.02), Some(61.66), Some(Blocks(7891)), graphs 0.89),
        log!(PLANNER_LOGS, v19, "H100" 79.19, "google/gemma-2-9b-it" 0.95 "--max-model-len 8192", Some(17.22), Some(3.90), Some(54.12), Some(Blocks(21_110)), graphs 1.09),
        log!(PLANNER_LOGS, v19, "H100" 79.19, "google/gemma-3-27b-it" 0.95 "--max-model-len 8192", Some(51.45), Some(4.25), Some(19.53), Some(Blocks(15_997)), graphs 1.14),
        log!(PLANNER_LOGS, v19, "H100" 79.19, "google/gemma-3-4b-it" 0.95 "--max-model-len 8192", Some(8.58), Some(4.14), Some(62.51), Some(Blocks(204_817)), graphs 0.67),
        log!(PLANNER_LOGS, v19, "H100" 79.19, "granite-3.1-8b-instruct" 0.95 "--max-model-len 8192", Some(15.25), Some(1.31), Some(58.66), Some(Blocks(24_027)), graphs 0.98),
        log!(PLANNER_LOGS, v19, "H100" 79.19, "openai/gpt-oss-20b" 0.9 "--max-model-len 8192 -tp 2", Some(7.01), Some(4.94), Some(59.32), Some(Blocks(323_972)), graphs 1.55),
        log!(PLANNER_LOGS, v19, "H100" 79.19, "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic" 0.95 "--max-model-len 8192 -tp 2", Some(33.88), Some(4.06), Some(37.28), Some(Blocks(15_269)), graphs 1.79),
        log!(PLANNER_LOGS, v19, "H100" 79.19, "RedHatAI/Qwen2.5-7B-Instruct-quantized.w8a8" 0.95 "--max-model-len 8192", Some(8.14), Some(2.46), Some(64.64), Some(Blocks(75_642)), graphs 0.88),
        log!(PLANNER_LOGS, v19, "H100" 79.19, "qwen1.5-moe-a2.7b" 0.95 "--max-model-len 8192", Some(26.67), Some(2.72), Some(45.83), Some(Blocks(15_644)), graphs 1.1),
        log!(PLANNER_REPORT, v19, "H100" 79.19, "Qwen/Qwen2.5-7B-Instruct" 0.95 "--max-model-len 8192", Some(14.25), Some(2.45), Some(58.53), Some(Tokens(1_096_000))),
        log!(PLANNER_REPORT, v19, "H100" 79.19, "Qwen/Qwen2.5-7B-Instruct" 0.95 "--max-model-len 8192 --kv-cache-dtype fp8", None, None, Some(58.53), Some(Tokens(2_192_000))),
        log!(PLANNER_REPORT, v19, "H100" 79.19, "Qwen/Qwen2.5-7B-Instruct" 0.95 "--max-model-len 8192 -tp 4", Some(3.55), Some(4.34), None, None),
        log!(PLANNER_REPORT, v19, "H100" 79.19, "meta-llama/Llama-3.1-8B-Instruct" 0.95 "--max-model-len 8192 -pp 2", Some(7.51), None, None, None),
        log!(PLANNER_REPORT, v19, "H100" 79.19, "meta-llama/Llama-3.1-8B-Instruct" 0.95 "--max-model-len 8192 -pp 4", Some(4.26), None, None, None),
        log!(PLANNER_REPORT, v19, "H100" 79.19, "meta-llama/Llama-3.1-8B-Instruct" 0.95 "--max-model-len 8192 --dtype float32", Some(29.98), None, Some(42.80), Some(Tokens(175_296))),
        log!(PLANNER_REPORT, (0, 16), "H100" 79.19, "Qwen/Qwen3-14B" 0.95 "--max-model-len 8192", Some(27.52), Some(5.77), Some(41.94), None),
        log!(PLANNER_REPORT, (0, 17), "H100" 79.19, "Qwen/Qwen3-14B" 0.95 "--max-model-len 8192", Some(27.52), Some(2.36), Some(45.34), None),
        log!(BENCHMARK, older, "H100" 79.18, "openai/gpt-oss-20b" 0.9 "--max-model-len 16000", Some(13.47), Some(7.51), Some(50.28), None),
        log!(BENCHMARK, older, "H100" 79.18, "openai/gpt-oss-120b" 0.95 "--max-model-len 16000", Some(64.38), Some(7.51), Some(3.33), None),
        log!(BENCHMARK, older, "H100" 79.18, "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic" 0.9 "--max-model-len 16000", Some(67.72), Some(4.98), None, None),
        log!(BENCHMARK, older, "H100" 79.18, "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic" 0.9 "--max-model-len 16000 -tp 2", Some(33.88), Some(5.39), Some(32.0), None),
        log!(BENCHMARK, older, "H100" 79.18, "meta-llama/Llama-3.1-8B-Instruct" 0.9 "--max-model-len 16000", Some(14.99), Some(4.89), Some(51.38), None),
        log!(BENCHMARK, older, "H100" 79.18, "Qwen/Qwen3-0.6B" 0.9 "--max-model-len 16000", Some(1.12), Some(5.69), Some(64.45), None),
        log!(BENCHMARK, older, "H100" 79.18, "Qwen/Qwen3-32B" 0.9 "--max-model-len 16000", Some(61.03), Some(5.78), Some(4.45), None),
        log!("myoceane.fr/index.php/ai-vllm-a100-gemma-4/", v19, "A100 80GB" 79.25, "openai/gpt-oss-20b" 0.65 "--max-model-len 131072", Some(13.72), None, Some(36.56), None),
        log!("github.com/vllm-project/vllm/pull/12569", (0, 7), "H100" 79.2, "RedHatAI/Llama-3.1-70B-Instruct-quantized.w8a8" 0.98 "--max-model-len 2048", Some(67.7229), None, Some(6.743), Some(Blocks(1381))),
        log!("github.com/vllm-project/vllm/pull/10511", (0, 6), "H100" 79.22, "meta-llama/Meta-Llama-3-8B" 0.9 "", Some(14.96), None, Some(53.29), None),
        log!("github.com/vllm-project/vllm/issues/10517", (0, 5), "RTX 3090" 23.58, "meta-llama/Llama-3.1-8B-Instruct" 0.9 "--max-model-len 20000", Some(14.9888), None, Some(3.81), Some(Blocks(1952))),
        log!("github.com/vllm-project/vllm/issues/13061", (0, 7), "RTX 4090" 23.55, "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B" 0.98 "-tp 2", Some(13.9476), None, Some(7.465), Some(Tokens(81_536))),
        log!("github.com/LMCache/LMCache/issues/1739", (0, 10), "?" 0.0, "Qwen/Qwen3-14B" 0.9 "--max-model-len 32768", None, None, Some(6.51), Some(Tokens(42_656))),
        log!("www.dtcms.com/a/609393.html", older, "?" 0.0, "Qwen/Qwen3-0.6B-FP8" 0.2 "--max-model-len 40960", Some(0.711), None, Some(12.67), Some(Tokens(118_576))),
    ]
}

impl Log {
    fn facts(&self) -> ModelFacts {
        let fixture: Option<&[u8]> = match self.model {
            "codellama-7b" => Some(include_bytes!("../../../../tests/plan/codellama-7b.json")),
            "granite-3.1-8b-instruct" => {
                Some(include_bytes!("../../../../tests/plan/granite-3.1-8b-instruct.json"))
            }
            "qwen1.5-moe-a2.7b" => Some(include_bytes!("../../../../tests/plan/qwen1.5-moe-a2.7b.json")),
            _ => None,
        };
        let config = match fixture {
            Some(bytes) => config::read(bytes).expect(self.model),
            None => known::find(self.model).expect(self.model).config,
        };
        let weights = Weights::of_shape(&config);
        ModelFacts { model: self.model.to_owned(), source: PlanSource::Table, config, weights }
    }

    fn ask(&self) -> Ask {
        Ask {
            model: self.model.to_owned(),
            args: self.args.split_whitespace().map(str::to_owned).collect(),
            share: self.share,
            version: Some(self.version),
            ..Ask::default()
        }
    }

    fn devices(&self) -> Vec<Device> {
        let total = (self.device_gib * GIB) as u64 + (460 << 20);
        (0..8)
            .map(|index| Device {
                index,
                name: self.device.to_owned(),
                total,
                free: total,
                holders: Vec::new(),
            })
            .collect()
    }

    fn cache(&self) -> Cache {
        let flags = Flags::read(&self.ask().args);
        let length = match flags.max_model_len {
            Some(super::super::flags::Length::Tokens(tokens)) => tokens,
            _ => self.facts().config.max_tokens,
        };
        let batch =
            Batch::of(&flags, (self.device_gib * GIB) as u64, self.device, length, Some(self.version));
        Cache::of(
            &self.facts().config,
            &Layout {
                dtype: flags.kv_cache_dtype.as_deref(),
                model_dtype: flags.dtype.unwrap_or(Dtype::Half),
                tensor_parallel: flags.tensor_parallel.unwrap_or(1),
                pipeline_parallel: flags.pipeline_parallel.unwrap_or(1),
                block_tokens: None,
                in_flight: batch.in_flight(Some(self.version)),
                one_kind: false,
            },
        )
    }
}

#[test]
fn a_cache_of_so_many_bytes_has_the_blocks_that_vllm_logs() {
    let mut held = 0;
    for log in logs() {
        let (Some(gib), Some(size)) = (log.kv, &log.size) else { continue };
        let cache = log.cache();
        let blocks = |gib: f64| cache.blocks((gib * GIB) as u64).expect("it keeps tokens");
        // The log rounds to hundredths of a GiB; the engine lets up to three blocks go.
        let range = blocks(gib - 0.005).saturating_sub(3)..=blocks(gib + 0.005);
        let logged = match size {
            Blocks(blocks) => *blocks,
            Tokens(tokens) => tokens / cache.block_tokens,
        };
        assert!(range.contains(&logged), "{} {}: {logged} is not in {range:?}", log.model, log.args);
        held += 1;
    }
    assert!(held >= 15, "{held}");
}

#[test]
fn the_error_of_the_plan_is_within_bounds() {
    // The factors were fitted to the first two sources; the others had no part in it.
    let mut sums = [[(0.0_f64, 0.0_f64, 0); 3]; 2];
    let percent = |planned: f64, logged: f64| 100.0 * (planned - logged) / logged;
    println!(
        "| model, arguments | vLLM | device, share | weights | logged | error | working | logged | off by | KV cache | logged | error |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for log in logs().iter().filter(|log| log.device_gib > 0.0) {
        let plan = plan(&log.facts(), &log.ask(), &log.devices());
        let [weights, working, kv] = [plan.weights_bytes, plan.overhead_bytes, plan.kv_bytes.unwrap_or(0)]
            .map(|bytes| bytes as f64 / GIB);
        let mut note = |which: usize, error: Option<f64>, bound: f64| {
            let Some(error) = error else { return };
            let fitted = [PLANNER_LOGS, PLANNER_REPORT, BENCHMARK].contains(&log.source);
            let (sum, worst, n) = &mut sums[usize::from(!fitted)][which];
            (*sum, *worst, *n) = (*sum + error.abs(), worst.max(error.abs()), *n + 1);
            assert!(error.abs() <= bound, "{} {} (term {which}): {error:.2}", log.model, log.args);
        };
        let errors = (
            log.weights.map(|w| percent(weights, w)),
            log.working.map(|w| working - w),
            log.kv.map(|k| percent(kv, k)),
        );
        note(0, errors.0, 9.0);
        note(1, errors.1, 0.8);
        // A cache that is small beside the rest feels every error of the rest.
        note(2, errors.2, if log.kv.is_some_and(|k| k < 8.0) { 30.0 } else { 3.5 });
        let cell = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{v:.2}"));
        let signed =
            |value: Option<f64>, unit: &str| value.map_or_else(String::new, |v| format!("{v:+.1}{unit}"));
        println!(
            "| {} {} | {}.{} | {} {} | {weights:.2} | {} | {} | {working:.2} | {} | {} | {kv:.2} | {} | {} |",
            log.model.rsplit('/').next().unwrap_or_default(),
            log.args.replace("--max-model-len ", "len "),
            log.version.0,
            log.version.1,
            log.device,
            log.share,
            cell(log.weights),
            signed(errors.0, " %"),
            cell(log.working),
            signed(errors.1, ""),
            cell(log.kv),
            signed(errors.2, " %"),
        );
    }
    for (which, sums) in ["fitted", "not fitted"].iter().zip(sums) {
        for (name, (sum, worst, n)) in ["weights, %", "working memory, GiB", "KV cache, %"].iter().zip(sums) {
            println!("{which}: {name}: mean {:.2}, worst {worst:.2}, of {n}", sum / f64::from(n.max(1)));
        }
    }
    assert!(logs().len() >= 30 && logs().iter().all(|log| !log.source.is_empty()));
}

#[test]
fn graphs_take_about_what_was_estimated() {
    for log in logs().iter().filter(|log| log.graphs.is_some()) {
        let counted = Ask { version: Some((0, 21)), ..log.ask() };
        let [with, without] = [&counted, &log.ask()]
            .map(|ask| plan(&log.facts(), ask, &log.devices()).overhead_bytes as f64 / GIB);
        let (planned, logged) = (with - without, log.graphs.unwrap_or_default());
        println!("{} {}: {planned:.2} GiB for {logged:.2}", log.model, log.args);
        assert!((planned - logged).abs() < 0.9, "{} {}: {planned:.2} for {logged:.2}", log.model, log.args);
    }
}

#[test]
fn the_recordings_cache_has_the_tokens_that_their_log_states() {
    // recordings/t1_first_start: 1.0 GiB, "CPU KV cache size: 2,097,152 tokens, Maximum concurrency for 512 tokens per request:
    // 4096.00x"; the CPU build has blocks of 128 tokens.
    let config =
        config::read(include_bytes!("../../../../tests/plan/recordings-tiny.json")).expect("a config");
    let layout = Layout {
        dtype: None,
        model_dtype: Dtype::Half,
        tensor_parallel: 1,
        pipeline_parallel: 1,
        block_tokens: Some(128),
        in_flight: 2048,
        one_kind: false,
    };
    let cache = Cache::of(&config, &layout);
    let blocks = cache.blocks(1 << 30).expect("it keeps tokens");
    assert_eq!((cache.tokens(blocks, 512), cache.concurrency(blocks, 512)), (2_097_152, 409_600));
    assert_eq!(cache.concurrency(blocks, 2048), 102_400, "start_sh_full_warm: 1024.00x");
}
