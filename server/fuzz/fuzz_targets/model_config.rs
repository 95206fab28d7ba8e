//! A model's `config.json` → its shape → a plan for a start. The parts must make up the share where it fits.

#![no_main]

use app::model::{PlanSource, Verdict};
use fuzz::vllm::plan::{Ask, Device, ModelFacts, Weights, config, plan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(config) = config::read(data) else { return };
    let weights = Weights::of_shape(&config);
    let facts = ModelFacts { model: String::new(), source: PlanSource::Table, config, weights };
    let total = 80 << 30;
    let device = Device { index: 0, name: String::new(), total, free: total, holders: Vec::new() };
    for args in [
        &[][..],
        &["-tp=8", "-pp=3", "--kv-cache-dtype=fp8", "--enable-lora"],
        &["--max-model-len=auto", "-q=fp8"],
    ] {
        let ask = Ask { args: args.iter().map(|&a| a.to_owned()).collect(), share: 0.9, ..Ask::default() };
        let plan = plan(&facts, &ask, std::slice::from_ref(&device));
        if let (Verdict::Fits, Some(device)) = (&plan.verdict, &plan.device) {
            assert!(
                plan.weights_bytes + plan.overhead_bytes + plan.kv_bytes.unwrap_or(0) <= device.budget_bytes
            );
        }
    }
});
