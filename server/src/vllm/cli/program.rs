//! Finds the program that a command runs. In: words. Out: what it sets, in [`Pasted`].

use super::pasted::{Hidden, PasteError, Pasted, Why};
use super::shell::{Word, lex};
use super::{docker, engine, gpus};

/// Commands within commands that are followed at most: each of `sudo`, `env`, `bash -c` and the like is one.
const DEPTH: usize = 8;

/// Reads a whole command.
pub(super) fn read(words: &[Word], out: &mut Pasted) -> Result<(), PasteError> {
    let port = follow(words, DEPTH, false, out)?;
    if !out.in_container {
        out.host_port = port;
    }
    Ok(())
}

/// Reads a command, within a container or not. Gives the port that the engine listens on, where it is named.
pub(super) fn follow(
    words: &[Word],
    depth: usize,
    inside: bool,
    out: &mut Pasted,
) -> Result<Option<u16>, PasteError> {
    let Some(depth) = depth.checked_sub(1) else { return Err(PasteError::Nested) };
    let mut words = words;
    while let Some((name, value)) = words.first().and_then(|w| assignment(&w.text)) {
        let filled = words.first().is_some_and(|w| !w.expansions.is_empty());
        variable(name, (!filled).then_some(value), inside, out);
        words = words.get(1..).unwrap_or_default();
    }
    let Some((first, behind)) = words.split_first() else { return Err(PasteError::Nothing) };
    if first.text.starts_with('-') {
        return engine::read(words, inside, out);
    }
    let path = first.plain()?;
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let name = name.strip_suffix(".exe").unwrap_or(name);
    match name {
        "docker" | "podman" | "nerdctl" if !inside => docker::read(name, behind, out),
        "vllm" => serve(behind, inside, out),
        "serve" => engine::read(behind, inside, out),
        "bash" | "sh" | "zsh" | "dash" => shell(name, behind, depth, inside, out),
        "env" => follow(skip(behind, &["-u", "-C", "-S"]), depth, inside, out),
        "sudo" | "doas" => {
            follow(skip(behind, &["-u", "-g", "-h", "-p", "-C", "-T", "-D", "-R"]), depth, inside, out)
        }
        "nohup" | "exec" | "command" | "time" | "setsid" | "stdbuf" | "unbuffer" | "tini" | "dumb-init" => {
            follow(skip(behind, &["-o", "-e", "-i"]), depth, inside, out)
        }
        "nice" | "ionice" | "numactl" | "taskset" | "chrt" => {
            out.leave(name, Why::Wrapper);
            let valued = ["-n", "-c", "-N", "-m", "-C", "-p", "-l", "-P"];
            follow(skip(behind, &valued), depth, inside, out)
        }
        "uv" => match behind.split_first() {
            Some((word, behind)) if word.text == "run" => follow(skip(behind, &UV), depth, inside, out),
            Some((word, rest)) if word.text == "tool" && rest.first().is_some_and(|w| w.text == "run") => {
                follow(skip(rest.get(1..).unwrap_or_default(), &UV), depth, inside, out)
            }
            other => Err(other_command("uv", other.map(|(w, _)| w))),
        },
        "uvx" => follow(skip(behind, &UV), depth, inside, out),
        "poetry" | "pipenv" | "pdm" | "hatch" | "rye" | "conda" | "mamba" | "micromamba" | "pipx"
        | "pixi" => match behind.split_first() {
            Some((word, behind)) if word.text == "run" => {
                let valued = ["-n", "--name", "-p", "--prefix", "-e", "--environment", "--spec", "--cwd"];
                follow(skip(behind, &valued), depth, inside, out)
            }
            other => Err(other_command(name, other.map(|(w, _)| w))),
        },
        _ if name.starts_with("python") || name == "pypy3" => python(name, behind, inside, out),
        _ if is_model(path) => engine::read(words, inside, out),
        // The image's entry point is `vllm serve`: what stands there first is the model.
        _ if inside => engine::read(words, inside, out),
        _ => Err(PasteError::UnknownProgram { program: shown(name) }),
    }
}

/// Options of `uv run` and `uvx` that take a value.
const UV: [&str; 14] = [
    "--with",
    "--with-requirements",
    "--with-editable",
    "--python",
    "-p",
    "--from",
    "--extra",
    "--group",
    "--project",
    "--directory",
    "--env-file",
    "--index-url",
    "--extra-index-url",
    "--torch-backend",
];

/// What stands behind a program's own options.
fn skip<'a>(words: &'a [Word], valued: &[&str]) -> &'a [Word] {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if word.text == "--" {
            at += 1;
            break;
        }
        if !word.text.starts_with('-') {
            break;
        }
        at += if valued.contains(&word.text.as_str()) { 2 } else { 1 };
    }
    words.get(at..).unwrap_or_default()
}

fn serve(words: &[Word], inside: bool, out: &mut Pasted) -> Result<Option<u16>, PasteError> {
    match words.split_first() {
        Some((word, behind)) if word.text == "serve" => engine::read(behind, inside, out),
        // An entry point `vllm serve` of which the second half stands in the image.
        Some((word, _)) if word.text.starts_with("--") => engine::read(words, inside, out),
        other => Err(other_command("vllm", other.map(|(w, _)| w))),
    }
}

fn python(name: &str, words: &[Word], inside: bool, out: &mut Pasted) -> Result<Option<u16>, PasteError> {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        match word.text.as_str() {
            "-m" => break,
            "-X" | "-W" => at += 2,
            text if text.starts_with('-') => at += 1,
            _ => return Err(other_command(name, Some(word))),
        }
    }
    let behind = words.get(at + 2..).unwrap_or_default();
    match words.get(at + 1).map(|w| w.text.as_str()) {
        Some("vllm" | "vllm.entrypoints.cli.main") => serve(behind, inside, out),
        Some(module) if module.starts_with("vllm.entrypoints.") && module.ends_with("api_server") => {
            engine::read(behind, inside, out)
        }
        _ => Err(other_command(name, words.get(at + 1).or_else(|| words.first()))),
    }
}

/// `bash -c 'vllm serve …'`.
fn shell(
    name: &str,
    words: &[Word],
    depth: usize,
    inside: bool,
    out: &mut Pasted,
) -> Result<Option<u16>, PasteError> {
    let at = words.iter().position(|w| w.text.starts_with('-') && w.text.ends_with('c'));
    match at.and_then(|at| words.get(at + 1)) {
        Some(command) => follow(&lex(command.plain()?)?, depth, inside, out),
        None => Err(other_command(name, words.first())),
    }
}

fn other_command(program: &str, command: Option<&Word>) -> PasteError {
    match command {
        Some(word) => PasteError::OtherCommand { program: shown(program), command: shown(&word.text) },
        None => PasteError::Nothing,
    }
}

/// A name for a message: no secrets, not long.
pub(super) fn shown(text: &str) -> String {
    crate::redact::redact([text]).concat().chars().filter(|c| !c.is_control()).take(60).collect()
}

/// `organisation/name`, as Hugging Face writes models.
fn is_model(text: &str) -> bool {
    let part = |p: &str| {
        p.starts_with(|c: char| c.is_ascii_alphanumeric())
            && p.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    text.split_once('/').is_some_and(|(owner, name)| part(owner) && part(name))
}

/// `NAME=value`.
fn assignment(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let fits = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    fits.then_some((name, value))
}

/// Takes one variable; `None` where its value stands elsewhere.
pub(super) fn variable(name: &str, value: Option<&str>, inside: bool, out: &mut Pasted) {
    // `<secret>` and the like stand for what the reader has.
    let value = value.filter(|v| !(v.starts_with('<') && v.ends_with('>')));
    let secret = match name {
        "HF_TOKEN" | "HUGGING_FACE_HUB_TOKEN" => &mut out.hf_token,
        "VLLM_API_KEY" => &mut out.api_key,
        "CUDA_VISIBLE_DEVICES" | "NVIDIA_VISIBLE_DEVICES" => {
            return match value {
                Some(value) => gpus::visible(name, value, inside, out),
                None => out.leave(name, Why::ValueElsewhere),
            };
        }
        _ => return out.leave(shown(name), Why::Variable),
    };
    match value.filter(|v| !v.is_empty()) {
        Some(value) => *secret = Some(Hidden::new(value.to_owned())),
        None => out.leave(name, Why::ValueElsewhere),
    }
}
