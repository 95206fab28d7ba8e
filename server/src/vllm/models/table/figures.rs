//! The figures of a row: memory, speed, and whether it fits. In: plans, devices, measurements. Out: figures with what they are worth.

use super::super::bandwidth;
use super::super::row::{Figure, FigureKind, Fit, Tokens, WhyUnknown};
use super::super::speed::{self, Shared};
use super::{Inputs, Planned};
use crate::vllm::plan::Device;
use app::model::{MemoryPlan, Verdict};

/// Memory on each device for the weights, the work, and one request of the wanted length.
pub fn vram(plan: &MemoryPlan) -> Figure<u64> {
    let request = plan.kv_bytes_per_token.saturating_mul(plan.context_tokens);
    Figure::estimate(plan.weights_bytes.saturating_add(plan.overhead_bytes).saturating_add(request))
}

/// Whether it fits.
pub fn fit(plan: Option<&MemoryPlan>, no_base: bool) -> Fit {
    let Some(plan) = plan else {
        return Fit::Unknown { why: if no_base { WhyUnknown::NoBase } else { WhyUnknown::NoFigures } };
    };
    match plan.verdict {
        Verdict::Fits => Fit::Fits,
        Verdict::FitsShorter { longest_tokens } => Fit::FitsShorter { longest: longest_tokens },
        Verdict::DoesNotFit { short_bytes, share_percent } => Fit::DoesNotFit { short_bytes, share_percent },
        Verdict::HeldByOthers { short_bytes } => Fit::HeldByOthers { short_bytes },
        Verdict::NoGpu => Fit::Unknown { why: WhyUnknown::NoGpu },
    }
}

/// The latest speed that was measured with this model on the first of these devices.
pub fn measured(inputs: &Inputs<'_>, model: &str) -> Option<Figure<Tokens>> {
    let gpu = &inputs.devices.first()?.name;
    let fitting = inputs.measured.iter().filter(|m| m.model.eq_ignore_ascii_case(model) && m.gpu == *gpu);
    let latest = fitting.max_by_key(|m| m.at)?;
    let tokens = latest.tokens_per_10s;
    let value = Tokens { low_per_10s: tokens, high_per_10s: tokens, class: speed::class(tokens) };
    Some(Figure { value, kind: FigureKind::Measured { at: latest.at } })
}

/// The speed by the bandwidth of the slowest device that has a part of the model.
pub fn estimated(devices: &[Device], planned: &Planned, args: &[String]) -> Option<Figure<Tokens>> {
    let count = planned.plan.devices.max(1);
    let chosen = devices.iter().take(usize::try_from(count).unwrap_or(usize::MAX));
    let slowest = chosen.map(|device| bandwidth(&device.name)).min()??;
    let shared = Shared { devices: count, stages: stages(args).min(count) };
    let estimate = speed::estimate(slowest, planned.plan.weights_bytes, planned.read_permille, shared)?;
    Some(Figure::estimate(Tokens {
        low_per_10s: estimate.low_tokens_per_10s,
        high_per_10s: estimate.high_tokens_per_10s,
        class: estimate.class(),
    }))
}

/// `--pipeline-parallel-size`, in the forms that argparse takes; the last one wins.
fn stages(args: &[String]) -> u32 {
    let mut stages = 1;
    for (at, arg) in args.iter().enumerate() {
        let (name, inline) = arg.split_once('=').map_or((arg.as_str(), None), |(n, v)| (n, Some(v)));
        if matches!(name.replace('_', "-").as_str(), "--pipeline-parallel-size" | "-pp") {
            let value = inline.or_else(|| args.get(at + 1).map(String::as_str));
            stages = value.and_then(|value| value.parse().ok()).unwrap_or(1);
        }
    }
    stages.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_read_in_every_form() {
        for (line, expected) in [
            ("", 1),
            ("--pipeline-parallel-size 2", 2),
            ("-pp 4 --pipeline_parallel_size=3", 3),
            ("-pp", 1),
            ("-pp 0", 1),
            ("-tp 8", 1),
        ] {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(stages(&args), expected, "{line}");
        }
    }
}
