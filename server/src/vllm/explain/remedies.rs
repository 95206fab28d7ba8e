//! Ways out, the best first, with the value to use where the numbers give one.

use super::explainer::Explainer;
use super::facts::ENABLE_LORA;
use app::model::{Advice, Cause, Change, Facts, Remedy};

/// The variable that this application turns into `--gpu-memory-utilization`.
const SHARE: &str = "GPU_MEMORY_UTILIZATION";
/// More of the device than this is never suggested: the driver and the display need some.
const MOST: f64 = 0.97;
/// vLLM's own blocks of cache have this many tokens; lengths that are suggested are multiples of it.
const BLOCK: u64 = 16;
const MIB: u64 = 1 << 20;

const fn advice(advice: Advice) -> Remedy {
    Remedy { advice, change: None }
}

const fn change(advice: Advice, change: Change) -> Remedy {
    Remedy { advice, change: Some(change) }
}

fn argument(flag: &str, value: Option<String>) -> Change {
    Change::Argument { flag: flag.to_owned(), value }
}

/// Two decimals, without zeros at the end.
fn share(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn set_share(kind: Advice, value: f64) -> Remedy {
    change(kind, Change::Set { variable: SHARE.to_owned(), value: share(value) })
}

/// What can be done about a cause.
pub fn remedies(it: &Explainer, cause: Cause, facts: &Facts) -> Vec<Remedy> {
    match cause {
        Cause::DoesNotFit if on_host(facts) => host_memory(it, facts),
        Cause::DoesNotFit => does_not_fit(it),
        Cause::MemoryHeldByOthers => held(facts),
        Cause::KvCacheTooSmall => cache(it, facts),
        Cause::MaxLengthTooLarge => {
            let length = facts.possible_tokens.map(|n| argument("--max-model-len", Some(n.to_string())));
            vec![Remedy { advice: Advice::ShortenContext, change: length }]
        }
        Cause::UnknownArgument => {
            let flag = facts.subject.clone().filter(|f| f.starts_with("--"));
            let remove = Remedy {
                advice: Advice::RemoveArgument,
                change: flag.map(|flag| Change::DropArgument { flag }),
            };
            let correct = facts.allowed.is_some().then_some(advice(Advice::CorrectArgument));
            correct.into_iter().chain([remove]).collect()
        }
        // A broken file: no setting mends it.
        Cause::InvalidValue if facts.subject.as_deref().is_some_and(|s| s.ends_with(".json")) => {
            vec![advice(Advice::DownloadAgain), advice(Advice::CheckModel)]
        }
        Cause::InvalidValue => vec![value(it, facts)],
        // The hub has nothing to do with a path.
        Cause::ModelNotFound if facts.subject.as_deref().is_some_and(|s| s.starts_with(['/', '.', '~'])) => {
            vec![advice(Advice::CheckModel)]
        }
        Cause::ModelNotFound => vec![advice(Advice::CheckModel), advice(Advice::GiveToken)],
        Cause::AccessDenied => vec![advice(Advice::GiveToken), advice(Advice::CheckModel)],
        Cause::HubUnreachable => vec![advice(Advice::CheckNetwork), advice(Advice::CheckModel)],
        Cause::WeightsCorrupt => vec![advice(Advice::DownloadAgain)],
        Cause::ArchitectureUnsupported => vec![advice(Advice::UpdateVllm), advice(Advice::CheckModel)],
        Cause::AdapterMissing if facts.allowed.as_deref() == Some(ENABLE_LORA) => {
            vec![change(Advice::CheckAdapter, argument(ENABLE_LORA, None))]
        }
        Cause::AdapterMissing => vec![advice(Advice::CheckAdapter)],
        Cause::PortInUse => vec![advice(Advice::ChangePort)],
        Cause::NoGpu => vec![advice(Advice::ProvideGpu)],
        Cause::DriverTooOld => vec![advice(Advice::UpdateDriver)],
        Cause::HostOutOfMemory => vec![advice(Advice::FreeHostMemory), advice(Advice::UseSmallerModel)],
        Cause::Killed => vec![advice(Advice::StartAgain)],
        Cause::DiskFull => vec![advice(Advice::FreeDisk)],
        Cause::ImageMissing => vec![advice(Advice::PullImage)],
        Cause::EngineDied => vec![advice(Advice::StartAgain), advice(Advice::ReadLines)],
        Cause::Unknown => vec![advice(Advice::ReadLines)],
    }
}

fn does_not_fit(it: &Explainer) -> Vec<Remedy> {
    if !it.beyond_loading() {
        return vec![advice(Advice::UseSmallerModel)];
    }
    // The weights were in: what vLLM set aside for its cache was too much beside its working memory.
    let lower = it.known.share.filter(|s| *s > 0.2).map_or(advice(Advice::LowerMemoryShare), |s| {
        set_share(Advice::LowerMemoryShare, ((s - 0.05) * 100.0).floor() / 100.0)
    });
    vec![lower, advice(Advice::ShortenContext), advice(Advice::UseSmallerModel)]
}

/// The CPU backend names a node of the machine instead of a device.
fn on_host(facts: &Facts) -> bool {
    facts.subject.as_deref().is_some_and(|s| s.starts_with("node "))
}

/// vLLM on a CPU: a share or a cache that the free memory holds.
fn host_memory(it: &Explainer, facts: &Facts) -> Vec<Remedy> {
    let free = facts.available_bytes;
    let asked = facts.value.as_deref().and_then(|v| v.parse::<f64>().ok());
    let fits = || {
        let total = facts.total_bytes.filter(|t| *t > 0)?;
        let fits = (free? as f64 / total as f64 * 100.0 - 1.0).floor() / 100.0;
        (fits >= 0.05 && asked? > fits).then(|| set_share(Advice::LowerMemoryShare, fits))
    };
    let smaller = || {
        let flag = "--kv-cache-memory-bytes";
        it.known.argument("kv_cache_memory_bytes").filter(|_| asked.is_none())?;
        // A part of what is free stays free: requests need memory, too.
        let bytes = free? / 5 * 4 / MIB * MIB;
        (bytes > 0).then(|| change(Advice::LowerMemoryShare, argument(flag, Some(bytes.to_string()))))
    };
    let lower = fits().or_else(smaller).unwrap_or(advice(Advice::LowerMemoryShare));
    vec![lower, advice(Advice::FreeHostMemory), advice(Advice::UseSmallerModel)]
}

fn held(facts: &Facts) -> Vec<Remedy> {
    let free = advice(Advice::FreeMemory);
    let (Some(available), Some(total)) = (facts.available_bytes, facts.total_bytes.filter(|t| *t > 0)) else {
        return vec![free, advice(Advice::StartAgain)];
    };
    if facts.value.is_none() {
        // An allocation failed, not the check at the start: how small a share would do is not known.
        return vec![free];
    }
    let fits = (available as f64 / total as f64 * 100.0 - 1.0).floor() / 100.0;
    if fits < 0.05 {
        return vec![free];
    }
    let lower = set_share(Advice::LowerMemoryShare, fits);
    let asked: f64 = facts.value.as_ref().and_then(|v| v.parse().ok()).unwrap_or(0.9);
    if fits >= 0.6 * asked { vec![lower, free] } else { vec![free, lower] }
}

fn cache(it: &Explainer, facts: &Facts) -> Vec<Remedy> {
    let mut ways = Vec::new();
    let computed = || {
        // 0.8.5 prints no estimate. The cache grows at most in proportion to the length.
        let (asked, needed, available) = (facts.asked_tokens?, facts.needed_bytes?, facts.available_bytes?);
        let fits = (asked as f64 * available as f64 / needed.max(1) as f64) as u64 / BLOCK * BLOCK;
        (fits > 0 && fits < asked).then_some(fits)
    };
    if let Some(length) = facts.possible_tokens.or_else(computed) {
        ways.push(change(Advice::ShortenContext, argument("--max-model-len", Some(length.to_string()))));
    }
    if it.known.argument("num_gpu_blocks_override").is_some() {
        let flag = "--num-gpu-blocks-override".to_owned();
        ways.insert(0, change(Advice::RemoveArgument, Change::DropArgument { flag }));
    }
    let raised = || {
        let total = it.known.total?.max(1) as f64;
        let missing = match (facts.needed_bytes, facts.available_bytes) {
            (Some(needed), Some(available)) => needed.saturating_sub(available) as f64 / total,
            // What is missing to nothing, and a twentieth for a cache.
            _ => -it.known.cache.filter(|c| *c <= 0.0)? / total + 0.05,
        };
        let value = ((it.known.share? + missing) * 100.0 - 1e-6).ceil() / 100.0 + 0.01;
        (value <= MOST).then_some(value)
    };
    ways.push(raised().map_or(advice(Advice::RaiseMemoryShare), |v| set_share(Advice::RaiseMemoryShare, v)));
    if ways.iter().all(|w| w.advice != Advice::ShortenContext) {
        ways.push(advice(Advice::ShortenContext));
    }
    ways.push(advice(Advice::UseSmallerModel));
    ways
}

/// The one value that is certain to be right, where there is one.
fn value(it: &Explainer, facts: &Facts) -> Remedy {
    let number = |text: &Option<String>| {
        let digits = text.as_ref()?.rsplit(' ').next()?.to_owned();
        digits.parse::<u64>().ok().map(|_| digits)
    };
    let known = match facts.subject.as_deref() {
        // Never by a click: it runs code of strangers.
        Some("--trust-remote-code") => None,
        Some(flag @ "--dtype") if facts.value.as_deref() == Some("bfloat16") => {
            Some(argument(flag, Some("half".to_owned())))
        }
        Some(flag @ "--max-lora-rank") => number(&facts.allowed).map(|n| argument(flag, Some(n))),
        Some(flag @ "--tensor-parallel-size")
            if facts.allowed.as_deref().is_some_and(|a| a.starts_with("at most")) =>
        {
            number(&facts.allowed).map(|n| argument(flag, Some(n)))
        }
        Some("--gpu-memory-utilization") => {
            Some(Change::Set { variable: SHARE.to_owned(), value: "0.9".to_owned() })
        }
        Some(flag @ "--quantization") if it.known.argument("quantization").is_some() => {
            Some(Change::DropArgument { flag: flag.to_owned() })
        }
        _ => None,
    };
    Remedy { advice: Advice::CorrectValue, change: known }
}
