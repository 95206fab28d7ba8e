//! Models, adapters, files, addresses, images, codes.

use super::text::{body, clip, quoted};
use crate::vllm::explain::numbers::{after, between, integer, integer_after, squeeze};
use crate::vllm::explain::rules::Message;
use app::model::Facts;

/// The switch without which no adapter is taken.
pub const ENABLE_LORA: &str = "--enable-lora";

/// The port in `('0.0.0.0', 8000)`, `0.0.0.0:8000`, `port: 29500`.
pub fn bind_address(message: &Message<'_>, facts: &mut Facts) {
    let text = message.squeezed;
    let port = ["',", "0.0.0.0:", "127.0.0.1:", "[::]:", "port:", "port", "tcp://*:"]
        .iter()
        .find_map(|anchor| integer_after(text, anchor).filter(|n| (1..=65_535).contains(n)));
    facts.port = port.and_then(|n| u16::try_from(n).ok());
}

/// The repository in a gated message.
pub fn gated(message: &Message<'_>, facts: &mut Facts) {
    facts.subject = between(message.text, "Access to model ", " is restricted")
        .or_else(|| between(message.text, "Repo model ", " is gated"))
        .and_then(clip)
        .or_else(|| hub_repository(message.text));
}

/// The repository in a hub address: `https://huggingface.co/api/models/org/name/resolve/main/config.json`.
fn hub_repository(text: &str) -> Option<String> {
    let path = text.match_indices("://").find_map(|(at, _)| {
        let rest = text.get(at + 3..)?;
        let path = rest.get(rest.find('/')? + 1..)?;
        let path = path.strip_prefix("api/models/").unwrap_or(path);
        (!path.starts_with("docs") && !path.starts_with("models")).then_some(path)
    })?;
    let end =
        path.find(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | ',' | ')')).unwrap_or(path.len());
    let mut parts = path.get(..end)?.trim_end_matches('.').split('/');
    let (owner, name) = (parts.next()?, parts.next()?);
    clip(&format!("{owner}/{name}"))
}

/// The repository that the hub does not show.
pub fn repository(message: &Message<'_>, facts: &mut Facts) {
    facts.subject = body(message.text)
        .split_once(" is not a local folder")
        .map(|(name, _)| name)
        .and_then(clip)
        .or_else(|| hub_repository(message.text));
}

/// The name that is neither a folder nor a repository.
pub fn local_model(message: &Message<'_>, facts: &mut Facts) {
    let text = message.text;
    facts.subject = after(text, "'namespace/repo_name': ")
        .or_else(|| after(text, "specified: "))
        .or_else(|| after(text, "model identifier: "))
        .or_else(|| after(text, "is 96: "))
        .or_else(|| after(text, "weights with "))
        .or_else(|| after(text, "path_or_model_id: "))
        .and_then(quoted)
        .or_else(|| between(text, "request model: ", " does not"))
        .or_else(|| after(text, "config format found in ").and_then(|r| r.split_whitespace().next()))
        .or_else(|| quoted(after(text, " for ").or_else(|| after(text, " of ")).unwrap_or_default()))
        .and_then(|name| clip(name.trim_end_matches('.')));
}

/// The file that the model's folder lacks.
pub fn model_file(message: &Message<'_>, facts: &mut Facts) {
    if let Some(rest) = after(message.text, "No such file or directory") {
        facts.subject = quoted(rest).and_then(clip).or_else(|| clip(rest.trim_start_matches([':', ' '])));
    } else if let Some((name, rest)) = body(message.text).split_once(" does not appear to have") {
        facts.subject = clip(name);
        facts.value = after(rest, "named ")
            .and_then(|r| r.split_whitespace().next())
            .and_then(|f| clip(f.trim_end_matches('.')));
    }
}

/// The address that was not reached.
pub fn hub(message: &Message<'_>, facts: &mut Facts) {
    let text = message.text;
    facts.subject = between(text, "host='", "'")
        .or_else(|| {
            let rest = text.get(text.find("https://").or_else(|| text.find("http://"))?..)?;
            let host_at = rest.find("//")? + 2;
            let end = rest
                .get(host_at..)?
                .find(|c: char| c.is_whitespace() || matches!(c, '/' | '\'' | '"' | ',' | ')'));
            rest.get(..end.map_or(rest.len(), |end| host_at + end))
        })
        .and_then(clip);
}

/// The file that is damaged, where it is named.
pub fn weights_file(message: &Message<'_>, facts: &mut Facts) {
    facts.subject = message
        .text
        .split(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '(' | ')' | ',' | '<' | '>'))
        .map(|w| w.trim_end_matches([':', '.']))
        .find(|w| [".safetensors", ".bin", ".pt", ".pth", ".gguf"].iter().any(|end| w.ends_with(end)))
        .and_then(clip);
}

/// `Weight files referenced in index but missing: {'/m/model-00002-of-00002.safetensors'}`.
pub fn missing_file(message: &Message<'_>, facts: &mut Facts) {
    facts.subject = after(message.text, "missing:").and_then(quoted).and_then(clip);
}

/// `Model architectures ['Foo'] are not supported`, `Foo has no vLLM implementation`.
pub fn architecture(message: &Message<'_>, facts: &mut Facts) {
    facts.subject = between(message.text, "['", "']").and_then(clip).or_else(|| {
        let head = message.text.get(..message.text.find(" has no vLLM")?)?;
        clip(head.split_whitespace().next_back()?.trim_matches('\''))
    });
}

/// ``has model type `foo` but``, ``Unrecognized model in /x``.
pub fn model_type(message: &Message<'_>, facts: &mut Facts) {
    facts.subject = after(message.text, "model type ")
        .or_else(|| after(message.text, "architecture "))
        .and_then(quoted)
        .or_else(|| after(message.text, "Unrecognized model in ").and_then(|r| r.split_whitespace().next()))
        .and_then(|n| clip(n.trim_end_matches('.')));
}

/// `Loading lora NAME failed: No adapter found for PATH`.
pub fn adapter(message: &Message<'_>, facts: &mut Facts) {
    let text = message.text;
    facts.value =
        after(text, "No adapter found for ").and_then(|r| r.split_whitespace().next()).and_then(clip);
    facts.subject = between(text, "Loading lora ", " failed").and_then(clip).or_else(|| facts.value.clone());
}

/// `LoRA is not enabled. Use --enable-lora to enable LoRA.`
pub fn adapters_off(_: &Message<'_>, facts: &mut Facts) {
    facts.allowed = Some(ENABLE_LORA.to_owned());
}

/// `(found version 12020)`: CUDA 12.2; `cuda>=12.8`.
pub fn driver(message: &Message<'_>, facts: &mut Facts) {
    if let Some(version) =
        integer_after(message.squeezed, "foundversion").filter(|v| (1000..100_000).contains(v))
    {
        facts.value = Some(format!("CUDA {}.{}", version / 1000, version % 1000 / 10));
    }
    if let Some(wanted) = between(message.squeezed, "unsatisfiedcondition:", ",") {
        facts.allowed = clip(wanted);
    }
}

/// The file that could not be written.
pub fn disk(message: &Message<'_>, facts: &mut Facts) {
    let text = message.text;
    let path = after(text, "No space left on device")
        .and_then(quoted)
        .filter(|p| p.contains('/') && !p.contains(' '));
    facts.subject = path
        .or_else(|| {
            text.split(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | ','))
                .map(|w| w.trim_end_matches([':', '.']))
                .find(|w| w.starts_with('/') && w.len() > 1 && !w.ends_with(".py"))
        })
        .and_then(clip);
}

/// The image of a Docker or Kubernetes message.
pub fn image(message: &Message<'_>, facts: &mut Facts) {
    let text = message.text;
    let name = between(text, "Unable to find image '", "'")
        .or_else(|| between(text, "manifest for ", " not found"))
        .or_else(|| after(text, "pull access denied for ").and_then(|r| r.split([',', ' ']).next()))
        .or_else(|| after(text, "No such image: ").and_then(|r| r.split_whitespace().next()))
        .or_else(|| after(text, "resolve reference ").and_then(quoted))
        .or_else(|| after(text, "image ").and_then(quoted));
    facts.subject = name.and_then(clip);
}

/// `Out of memory: Killed process 24561 (python3) total-vm:…`.
pub fn kernel_kill(message: &Message<'_>, facts: &mut Facts) {
    let text = message.squeezed;
    facts.pid = integer_after(text, "killedprocess").and_then(|n| u32::try_from(n).ok());
    facts.subject = after(message.text, "illed process ").and_then(|r| between(r, "(", ")")).and_then(clip);
    facts.needed_bytes = after(text, "anon-rss:").and_then(super::super::numbers::size).map(|(n, _)| n);
    facts.code = Some(9);
}

/// The exit code or signal that a message names.
pub fn exit_code(message: &Message<'_>, facts: &mut Facts) {
    let text = message.squeezed;
    for anchor in [
        "exitcode:",
        "exitcode",
        "exitedwithcode",
        "exitstatus:",
        "exitstatus",
        "status=",
        "receivedsignal",
        "signal",
    ] {
        if let Some(rest) = after(text, anchor) {
            let (rest, sign) = rest.strip_prefix('-').map_or((rest, 1), |r| (r, -1));
            if let Some((code, _)) = integer(rest)
                && let Ok(code) = i64::try_from(code)
            {
                facts.code = Some(sign * code);
                return;
            }
        }
    }
}

/// The number of a dead process: `{'EngineCore': -9}`, `(exit code: -9)`.
pub fn death_code(text: &str) -> Option<i64> {
    let mut squeezed = String::new();
    squeeze(text, &mut squeezed);
    let mut facts = Facts::default();
    if let Some(dict) = between(&squeezed, "proc(s):{", "}") {
        let (_, code) = dict.split_once(':')?;
        return code.split(',').next()?.parse().ok();
    }
    exit_code(&Message { text, squeezed: &squeezed }, &mut facts);
    facts.code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_dead_processes_are_read() {
        assert_eq!(death_code("Failed core proc(s): {'EngineCore': -9}"), Some(-9));
        assert_eq!(death_code("Failed core proc(s): {}"), None);
        assert_eq!(
            death_code("Worker proc VllmWorker-0 died unexpectedly (exit code: -9), shutting"),
            Some(-9)
        );
        assert_eq!(death_code("Worker VllmWorkerProcess pid 26 died, exit code: -15"), Some(-15));
        assert_eq!(death_code("(exit code: None)"), None);
    }

    #[test]
    fn names_are_found_in_hub_addresses() {
        let found = hub_repository(
            "Cannot access gated repo for url https://huggingface.co/meta-llama/Llama-2-7b/resolve/main/config.json.",
        );
        assert_eq!(found.as_deref(), Some("meta-llama/Llama-2-7b"));
        let found =
            hub_repository("for url: https://huggingface.co/api/models/org/name/revision/main (Request");
        assert_eq!(found.as_deref(), Some("org/name"));
    }
}
