//! Causes of failures and ways out, in English.

use crate::locales::{gib_tenths, group};
use crate::model::{Advice, Cause, Change, Diagnosis, Facts};

fn gib(bytes: u64) -> String {
    // Below a tenth the figure would be zero.
    if bytes < 107_374_182 {
        format!("{} MiB", bytes >> 20)
    } else {
        format!("{} GiB", gib_tenths(bytes, '.'))
    }
}

fn tokens(count: u64) -> String {
    format!("{} tokens", group(count, ",", 4))
}

/// `: NAME`, where there is a name.
fn named(subject: Option<&String>) -> String {
    subject.map(|s| format!(": {s}")).unwrap_or_default()
}

/// What happened, with its numbers.
pub fn cause(it: &Diagnosis) -> String {
    let Facts {
        subject,
        value,
        allowed,
        needed_bytes,
        available_bytes,
        total_bytes,
        asked_tokens,
        possible_tokens,
        port,
        pid,
        code,
    } = &it.facts;
    let needs = |what: &str| match (needed_bytes, available_bytes) {
        (Some(needed), Some(free)) => {
            format!("{what}: needs {}, {} free", gib(*needed), gib_tenths(*free, '.'))
        }
        (Some(needed), None) => format!("{what}: needs {}", gib(*needed)),
        (None, Some(free)) => format!("{what}: {} free", gib(*free)),
        (None, None) => what.to_owned(),
    };
    let text = match it.cause {
        Cause::DoesNotFit => needs("It does not fit into memory"),
        Cause::MemoryHeldByOthers => {
            let holder = pid.map(|pid| format!(" Process {pid} holds it.")).unwrap_or_default();
            let of = total_bytes.map(|total| format!(" of {} in all", gib(total))).unwrap_or_default();
            return format!("{}{of}.{holder}", needs("Others hold the GPU's memory"));
        }
        Cause::KvCacheTooSmall => match (asked_tokens, possible_tokens) {
            (Some(asked), Some(fits)) => {
                format!(
                    "The KV cache cannot hold a request of {}; {} fit",
                    tokens(*asked),
                    group(*fits, ",", 4)
                )
            }
            (None, Some(fits)) => format!("The KV cache is too small; {} fit", tokens(*fits)),
            (Some(asked), None) => format!("The KV cache cannot hold a request of {}", tokens(*asked)),
            (None, None) => needs("No room is left for the KV cache"),
        },
        Cause::MaxLengthTooLarge => match (asked_tokens, possible_tokens) {
            (Some(asked), Some(most)) => {
                format!("The model takes at most {}; {} were asked for", tokens(*most), group(*asked, ",", 4))
            }
            (_, Some(most)) => format!("The model takes at most {}", tokens(*most)),
            _ => "The wanted context is longer than the model takes".to_owned(),
        },
        Cause::UnknownArgument => format!("This vLLM does not know the argument{}", named(subject.as_ref())),
        Cause::InvalidValue if subject.as_deref() == Some("--trust-remote-code") => {
            "The model brings code of its own, which must be allowed with --trust-remote-code".to_owned()
        }
        Cause::InvalidValue => {
            let what = subject.as_deref().unwrap_or("A setting");
            let value = value.as_ref().map(|v| format!(" {v}")).unwrap_or_default();
            let allowed =
                allowed.as_ref().map(|a| format!(" ({})", a.trim_end_matches('.'))).unwrap_or_default();
            format!(
                "{what} has a value that is not allowed{}{value}{allowed}",
                if value.is_empty() { "" } else { ":" }
            )
        }
        Cause::ModelNotFound => format!("The model was not found{}", named(subject.as_ref())),
        Cause::AccessDenied => format!("The hub refuses access{}", named(subject.as_ref())),
        Cause::HubUnreachable => format!("The Hugging Face hub cannot be reached{}", named(subject.as_ref())),
        Cause::WeightsCorrupt => format!("The weights cannot be read{}", named(subject.as_ref())),
        Cause::ArchitectureUnsupported => {
            format!("This vLLM does not support the model's architecture{}", named(subject.as_ref()))
        }
        Cause::AdapterMissing => {
            let place = value.as_ref().map(|v| format!(" (looked in {v})")).unwrap_or_default();
            format!("The LoRA adapter cannot be loaded{}{place}", named(subject.as_ref()))
        }
        Cause::PortInUse => match port {
            Some(port) => format!(
                "Port {port} is in use{}",
                pid.map(|p| format!(" by process {p}")).unwrap_or_default()
            ),
            None => "The port is in use".to_owned(),
        },
        Cause::NoGpu => "No GPU can be seen from where vLLM runs".to_owned(),
        Cause::DriverTooOld => {
            let found = value.as_ref().map(|v| format!(" (found: {v})")).unwrap_or_default();
            let wanted = allowed.as_ref().map(|a| format!(" (wanted: {a})")).unwrap_or_default();
            format!("The GPU's driver does not suit this vLLM{found}{wanted}")
        }
        Cause::HostOutOfMemory => needs("The machine ran out of memory"),
        Cause::Killed => match code {
            Some(code) => format!("Killed from outside by signal {code}"),
            None => "Killed from outside".to_owned(),
        },
        Cause::DiskFull => format!("The disk is full{}", named(subject.as_ref())),
        Cause::ImageMissing => format!("The image is not on this machine{}", named(subject.as_ref())),
        Cause::EngineDied => {
            let code = match code {
                Some(code @ ..0) => format!(" by signal {}", -code),
                Some(code) => format!(" with code {code}"),
                None => String::new(),
            };
            format!("vLLM's engine process died{code}")
        }
        Cause::Unknown => "Why is not proved; these are its last useful lines".to_owned(),
    };
    text + "."
}

/// What to do.
pub fn advice(it: Advice, facts: &Facts) -> String {
    let meant = facts.allowed.as_ref();
    match it {
        Advice::LowerMemoryShare => "Ask for a smaller share of the GPU's memory.".to_owned(),
        Advice::RaiseMemoryShare => "Give it a larger share of the GPU's memory.".to_owned(),
        Advice::ShortenContext => match facts.possible_tokens {
            Some(fits) => format!("Serve requests of at most {}.", tokens(fits)),
            None => "Serve shorter requests (--max-model-len).".to_owned(),
        },
        Advice::UseSmallerModel => "Use a smaller or more strongly quantised model, or more GPUs.".to_owned(),
        Advice::FreeMemory => match facts.pid {
            Some(pid) => format!("End process {pid}, which holds the memory."),
            None => "End whoever holds the memory; the GPU panel names them.".to_owned(),
        },
        Advice::RemoveArgument => "Leave the argument out.".to_owned(),
        Advice::CorrectArgument => {
            meant.map_or_else(|| "Correct the argument.".to_owned(), |m| format!("Probably meant: {m}."))
        }
        Advice::CorrectValue => "Give it a value that is allowed.".to_owned(),
        Advice::CheckModel => "Check the name or the path in VLLM_MODEL.".to_owned(),
        Advice::GiveToken => {
            "Accept the model's licence on its page, and set HF_TOKEN to a token that may read it.".to_owned()
        }
        Advice::CheckNetwork => "Check the network and the proxy, or serve from a local folder.".to_owned(),
        Advice::DownloadAgain => "Delete the damaged files and let them be downloaded again.".to_owned(),
        Advice::UpdateVllm => "Use a newer vLLM, or another model.".to_owned(),
        Advice::CheckAdapter => "Check the adapter's path, or start without it.".to_owned(),
        Advice::ChangePort => "Use another port, or end who holds this one.".to_owned(),
        Advice::ProvideGpu => {
            "Check the driver (nvidia-smi), the NVIDIA container toolkit and CUDA_VISIBLE_DEVICES.".to_owned()
        }
        Advice::UpdateDriver => "Update the GPU's driver, or use an image for an older CUDA.".to_owned(),
        Advice::FreeHostMemory => "Free memory on the machine, or ask for less of it.".to_owned(),
        Advice::FreeDisk => "Free disk space, then start again.".to_owned(),
        Advice::PullImage => match &facts.subject {
            Some(image) => format!("Fetch it with Pull image, or docker pull {image}."),
            None => "Fetch the image.".to_owned(),
        },
        Advice::StartAgain => "Start it again.".to_owned(),
        Advice::ReadLines => "Read the last lines of its log.".to_owned(),
    }
}

/// A change, as one would ask for it.
pub fn change(it: &Change) -> String {
    match it {
        Change::Set { variable, value } => format!("Set {variable} to {value}"),
        Change::Argument { flag, value: Some(value) } => format!("Set {flag} to {value}"),
        Change::Argument { flag, value: None } => format!("Add {flag}"),
        Change::DropArgument { flag } => format!("Leave out {flag}"),
    }
}
