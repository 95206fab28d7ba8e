//! Judges what a container was to see of this machine. In: volumes and mounts. Out: what is left out and why, in [`Pasted`].

use super::pasted::{Pasted, Why};
use super::shell::Word;

/// A folder that may be the model's: that is known when the model is.
pub(super) struct Mount {
    what: String,
    source: String,
    target: String,
}

/// `-v SOURCE:TARGET[:OPTIONS]`.
pub(super) fn volume(word: &Word, value: &str, out: &mut Pasted) -> Option<Mount> {
    let mut parts = value.splitn(3, ':');
    match (parts.next(), parts.next()) {
        (Some(source), Some(target)) => mount(&format!("-v {value}"), source, target, word, out),
        _ => {
            out.leave(format!("-v {value}"), Why::HostMount);
            None
        }
    }
}

/// `--mount type=bind,source=…,target=…`.
pub(super) fn described(word: &Word, value: &str, out: &mut Pasted) -> Option<Mount> {
    let key = |names: &[&str]| {
        value.split(',').find_map(|f| f.split_once('=').filter(|(k, _)| names.contains(k)).map(|(_, v)| v))
    };
    let what = format!("--mount {value}");
    match (key(&["source", "src"]), key(&["target", "destination", "dst"])) {
        (Some(source), Some(target)) => return mount(&what, source, target, word, out),
        (None, Some("/dev/shm")) => out.leave(what, Why::SharedMemory),
        _ => out.leave(what, Why::HostMount),
    }
    None
}

fn mount(what: &str, source: &str, target: &str, word: &Word, out: &mut Pasted) -> Option<Mount> {
    let (source, target) = (bare(source), bare(target));
    let cache = |path: &str| {
        [".cache/huggingface", ".cache/huggingface/hub", ".cache/vllm", ".cache"]
            .iter()
            .any(|end| path.strip_suffix(end).is_some_and(|head| head.ends_with('/')))
    };
    let why = if source.ends_with("docker.sock") || source.ends_with("podman.sock") {
        Why::DockerSocket
    } else if target == "/dev/shm" {
        Why::SharedMemory
    } else if cache(target) {
        if cache(source) { Why::Handled } else { Why::OtherCache }
    } else if source.starts_with('/') && target.starts_with('/') && word.expansions.is_empty() {
        return Some(Mount { what: what.to_owned(), source: source.to_owned(), target: target.to_owned() });
    } else {
        Why::HostMount
    };
    out.leave(what, why);
    None
}

fn bare(path: &str) -> &str {
    if path.len() > 1 { path.trim_end_matches('/') } else { path }
}

/// Gives the model the place on this machine that a mount gave another name inside.
pub(super) fn settle(mounts: Vec<Mount>, out: &mut Pasted) {
    let model = out.model.clone();
    for Mount { what, source, target } in mounts {
        let inner = model.as_deref().and_then(|m| m.strip_prefix(target.as_str()));
        let inner = inner.filter(|i| i.is_empty() || i.starts_with('/'));
        let why = match inner {
            Some(_) if source == target => Why::Handled,
            Some(inner) => {
                out.model = Some(format!("{source}{inner}"));
                Why::ModelMoved
            }
            None => Why::HostMount,
        };
        out.leave(what, why);
    }
}
