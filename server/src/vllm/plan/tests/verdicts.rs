//! What the plan says of a start, sentence by sentence.

use crate::vllm::plan::{Ask, Device, ModelFacts, model_facts, plan};
use app::model::{GpuProcess, MemoryPlan, PlanSource, Verdict};

const GIB: u64 = 1 << 30;

fn facts(model: &str) -> ModelFacts {
    model_facts(&Ask { model: model.to_owned(), ..Ask::default() }).expect(model)
}

fn ask(args: &str, share: f64) -> Ask {
    Ask { args: args.split_whitespace().map(str::to_owned).collect(), share, ..Ask::default() }
}

fn device(total: u64, free: u64) -> Device {
    Device { index: 0, name: "RTX 4090".to_owned(), total, free, holders: Vec::new() }
}

fn planned(model: &str, args: &str, share: f64, total: u64) -> MemoryPlan {
    plan(&facts(model), &ask(args, share), &[device(total * GIB, total * GIB)])
}

#[test]
fn a_model_that_fits_says_how_many_requests_do() {
    let plan = planned("Qwen/Qwen2.5-7B-Instruct", "", 0.9, 24);
    assert_eq!(plan.verdict, Verdict::Fits);
    assert_eq!((plan.context_tokens, plan.devices, plan.source), (32_768, 1, PlanSource::Table));
    let (cache, concurrency) = (plan.cache_tokens.unwrap_or(0), plan.concurrency_percent.unwrap_or(0));
    assert!((90_000..110_000).contains(&cache) && (270..340).contains(&concurrency), "{cache} {concurrency}");
    let parts = plan.weights_bytes + plan.overhead_bytes + plan.kv_bytes.unwrap_or(0);
    assert_eq!(parts, plan.device.as_ref().map_or(0, |d| d.budget_bytes), "the parts make up the share");
}

#[test]
fn half_a_device_is_too_little_and_the_share_that_is_enough_is_named() {
    let plan = planned("Qwen/Qwen2.5-7B-Instruct", "--max-model-len 8192", 0.5, 24);
    let Verdict::DoesNotFit { short_bytes, share_percent: Some(share) } = plan.verdict else {
        panic!("{plan:?}")
    };
    assert!((3 * GIB..5 * GIB).contains(&short_bytes), "{short_bytes}");
    let fits = |share: u32| {
        planned("Qwen/Qwen2.5-7B-Instruct", "--max-model-len 8192", f64::from(share) / 100.0, 24).verdict
    };
    assert_eq!(fits(share), Verdict::Fits, "with {share} %");
    assert_ne!(fits(share - 1), Verdict::Fits);
}

#[test]
fn where_no_share_is_enough_none_is_named() {
    let plan = planned("meta-llama/Llama-3.3-70B-Instruct", "", 0.9, 24);
    assert!(matches!(plan.verdict, Verdict::DoesNotFit { share_percent: None, .. }), "{plan:?}");
    assert_eq!(plan.kv_bytes, Some(0));
}

#[test]
fn too_long_a_request_is_told_and_auto_takes_what_fits() {
    let plan = planned("meta-llama/Llama-3.1-8B-Instruct", "", 0.9, 24);
    let Verdict::FitsShorter { longest_tokens } = plan.verdict else { panic!("{plan:?}") };
    assert!((28_000..40_000).contains(&longest_tokens), "{longest_tokens}");
    assert_eq!(plan.context_tokens, 131_072);
    let shorter = format!("--max-model-len {longest_tokens}");
    assert_eq!(planned("meta-llama/Llama-3.1-8B-Instruct", &shorter, 0.9, 24).verdict, Verdict::Fits);
    let auto = planned("meta-llama/Llama-3.1-8B-Instruct", "--max-model-len auto", 0.9, 24);
    assert_eq!((auto.verdict, auto.context_tokens), (Verdict::Fits, longest_tokens));
}

#[test]
fn what_others_hold_is_told_with_who_they_are() {
    let holder =
        GpuProcess { pid: 7, name: Some("python".to_owned()), memory_bytes: Some(10 * GIB), service: None };
    let busy = Device { holders: vec![holder.clone()], ..device(24 * GIB, 14 * GIB) };
    let plan = plan(&facts("Qwen/Qwen2.5-7B-Instruct"), &ask("", 0.9), &[busy]);
    let Verdict::HeldByOthers { short_bytes } = plan.verdict else { panic!("{plan:?}") };
    assert!((8 * GIB..9 * GIB).contains(&short_bytes), "{short_bytes}");
    assert_eq!(plan.device.map(|d| d.holders), Some(vec![holder]));
}

#[test]
fn the_tightest_of_the_chosen_devices_decides() {
    let devices: Vec<Device> = [22, 24, 3]
        .into_iter()
        .enumerate()
        .map(|(i, free)| Device { index: i as u32, ..device(24 * GIB, free * GIB) })
        .collect();
    let plan = plan(&facts("Qwen/Qwen2.5-14B-Instruct"), &ask("-tp 2", 0.9), &devices);
    assert_eq!(
        (plan.devices, plan.device.as_ref().map(|d| d.index)),
        (2, Some(0)),
        "the third is not chosen"
    );
    let alone = planned("Qwen/Qwen2.5-14B-Instruct", "", 0.9, 24);
    assert!(
        plan.weights_bytes < alone.weights_bytes * 52 / 100
            && plan.kv_bytes_per_token * 2 == alone.kv_bytes_per_token
    );
}

#[test]
fn without_a_device_the_model_is_described_and_nothing_is_promised() {
    for devices in [Vec::new(), vec![device(0, 0)]] {
        let plan = plan(&facts("Qwen/Qwen3-8B"), &ask("", 0.9), &devices);
        assert_eq!(
            (plan.verdict, plan.kv_bytes, plan.cache_tokens, plan.device),
            (Verdict::NoGpu, None, None, None)
        );
        assert_eq!(plan.kv_bytes_per_token, 2 * 36 * 8 * 128 * 2);
    }
}

#[test]
fn the_arguments_share_wins_and_eager_leaves_more() {
    let plan = planned("Qwen/Qwen3-8B", "--gpu-memory-utilization 0.95", 0.5, 24);
    assert_eq!(plan.verdict, planned("Qwen/Qwen3-8B", "", 0.95, 24).verdict);
    let eager = planned("Qwen/Qwen3-8B", "--enforce-eager", 0.9, 24).overhead_bytes;
    assert!(eager < planned("Qwen/Qwen3-8B", "", 0.9, 24).overhead_bytes);
    let adapters =
        planned("Qwen/Qwen3-8B", "--enable-lora --max-loras 4 --max-lora-rank 64", 0.9, 24).overhead_bytes;
    assert!(adapters > planned("Qwen/Qwen3-8B", "", 0.9, 24).overhead_bytes + 500 * (1 << 20));
}

#[test]
fn a_cache_of_a_stated_size_is_taken_whatever_the_share_leaves() {
    let plan = planned("Qwen/Qwen3-8B", "--kv-cache-memory-bytes 4G --max-model-len 16384", 0.5, 24);
    assert_eq!((plan.kv_bytes, plan.verdict), (Some(4 * GIB), Verdict::Fits));
    assert_eq!(plan.cache_tokens, Some(4 * GIB / 147_456 / 16 * 16));
    let plan = planned("Qwen/Qwen3-8B", "--kv-cache-memory-bytes 10G --max-model-len 16384", 0.5, 24);
    assert!(matches!(plan.verdict, Verdict::DoesNotFit { .. }), "{plan:?}");
}

#[test]
fn offloaded_weights_are_not_on_the_device() {
    let plan = planned("Qwen/Qwen3-8B", "--cpu-offload-gb 4", 0.9, 24);
    assert_eq!(plan.weights_bytes + 4 * GIB, planned("Qwen/Qwen3-8B", "", 0.9, 24).weights_bytes);
}

#[test]
fn a_share_that_is_none_leaves_nothing() {
    for share in [0.0, -1.0, f64::NAN] {
        assert!(
            matches!(planned("Qwen/Qwen3-8B", "", share, 24).verdict, Verdict::DoesNotFit { .. }),
            "{share}"
        );
    }
}
