//! What Compose, journald, Kubernetes, Docker and others put around a line.

use super::stamps;
use app::model::Stream;
use serde_json::Value;
use std::borrow::Cow;

/// Layers that are taken off one line.
const LAYERS: usize = 5;
/// A longer name before a bar is none.
const NAME: usize = 64;

/// A line out of its envelope.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter<'a> {
    /// The time on the envelope, in seconds.
    pub time: Option<f64>,
    /// The pipe, where the envelope says it.
    pub stream: Option<Stream>,
    /// Written by the system (the kernel, systemd, Docker), not by the program.
    pub system: bool,
    /// What was written.
    pub text: Cow<'a, str>,
    /// There was an envelope.
    pub opened: bool,
    /// A terminal shows that an interrupt was typed: `^C`.
    pub interrupted: bool,
}

/// Takes a line out.
pub fn open(line: &str) -> Letter<'_> {
    let interrupted = line.starts_with("^C");
    let line = line.trim_start_matches("^C");
    let mut letter = Letter {
        time: None,
        stream: None,
        system: false,
        text: Cow::Borrowed(line),
        opened: false,
        interrupted,
    };
    if line.starts_with('{')
        && line.ends_with('}')
        && let Some((text, time, stream)) = json(line)
    {
        return Letter { time, stream, text: Cow::Owned(text), opened: true, ..letter };
    }
    let mut text = line;
    for _ in 0..LAYERS {
        let Some(rest) = layer(text, &mut letter) else { break };
        text = rest;
        letter.opened = true;
    }
    letter.text = Cow::Borrowed(text);
    letter
}

fn layer<'a>(text: &'a str, letter: &mut Letter<'_>) -> Option<&'a str> {
    match text.bytes().next()? {
        b'0'..=b'9' => dated(text, letter),
        b'[' => bracketed(text, letter),
        b'<' => priority(text),
        b' ' => seconds(text, letter).or_else(|| barred(text)),
        b'A'..=b'Z' | b'a'..=b'z' | b'_' => journal(text, letter).or_else(|| named(text)),
        _ => None,
    }
}

/// `2025-11-22T12:00:00.1Z text`, and behind it `stderr F text` of Kubernetes, `host vllm[7]: text` of journald.
fn dated<'a>(text: &'a str, letter: &mut Letter<'_>) -> Option<&'a str> {
    let Some((time, rest)) = stamps::iso(text) else { return named(text) };
    let rest = rest.strip_prefix([' ', '\t'])?;
    letter.time = letter.time.or(Some(time));
    if rest.starts_with("- ") || rest.starts_with("| ") {
        // A logger's own form: the grammar needs the time in front.
        return None;
    }
    for (mark, stream) in [
        ("stdout F ", Stream::Stdout),
        ("stderr F ", Stream::Stderr),
        ("stdout P ", Stream::Stdout),
        ("stderr P ", Stream::Stderr),
    ] {
        if let Some(rest) = rest.strip_prefix(mark) {
            letter.stream = Some(stream);
            return Some(rest);
        }
    }
    if let Some((identity, message)) = identified(rest, true) {
        letter.system |= system(identity);
        return Some(message);
    }
    // `[Error] (Process) (EngineCore pid=1) …` of programs that run vLLM.
    let inner = rest.find("(EngineCore").or_else(|| rest.find("(APIServer")).or_else(|| rest.find("(Worker"));
    if let Some(at) = inner.filter(|at| (1..60).contains(at))
        && rest.get(..at).is_some_and(|head| head.starts_with('[') || head.starts_with('('))
    {
        return rest.get(at..);
    }
    Some(rest)
}

/// `[2025-11-22T12:00:00Z] text`, `[pod/vllm-0/vllm] text`, `[12345.678] text` of the kernel.
fn bracketed<'a>(text: &'a str, letter: &mut Letter<'_>) -> Option<&'a str> {
    let end = text.bytes().take(120).position(|b| b == b']')?;
    let inside = text.get(1..end)?;
    let rest = text.get(end + 1..)?;
    let rest = rest.strip_prefix(' ').unwrap_or(rest);
    if let Some((time, "")) = stamps::iso(inside) {
        letter.time = letter.time.or(Some(time));
        return Some(rest);
    }
    if inside.starts_with("pod/") || inside.starts_with("container/") {
        return Some(rest);
    }
    let kernel = inside.trim_start();
    let digits = kernel.bytes().all(|b| b.is_ascii_digit() || b == b'.') && kernel.contains('.');
    if digits && let Ok(time) = kernel.parse() {
        letter.time = letter.time.or(Some(time));
        letter.system = true;
        return Some(rest);
    }
    None
}

/// `<6>text` of the kernel and of syslog.
fn priority(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('<')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if (1..=3).contains(&digits) { rest.get(digits..)?.strip_prefix('>') } else { None }
}

/// `Nov 22 12:00:00 host vllm[123]: text`.
fn journal<'a>(text: &'a str, letter: &mut Letter<'_>) -> Option<&'a str> {
    let (time, rest) = stamps::syslog(text)?;
    let (identity, message) = identified(rest.strip_prefix(' ')?, false)?;
    letter.time = letter.time.or(Some(time));
    letter.system |= system(identity);
    Some(message)
}

/// `host name[12]: text`; with `sure` only where the number stands there, or a well-known name.
fn identified(text: &str, sure: bool) -> Option<(&str, &str)> {
    let (host, rest) = text.split_once(' ')?;
    let (identity, message) = rest.split_once(':')?;
    let numbered = identity.ends_with(']') && identity.contains('[');
    let plain = |t: &str| !t.is_empty() && t.len() <= NAME && t.bytes().all(|b| b.is_ascii_graphic());
    if !plain(host) || !plain(identity) || host.ends_with(':') || (sure && !numbered && !system(identity)) {
        return None;
    }
    Some((identity, message.strip_prefix(' ').unwrap_or(message)))
}

fn system(identity: &str) -> bool {
    let name = identity.split('[').next().unwrap_or(identity);
    matches!(name, "kernel" | "systemd" | "dockerd" | "containerd" | "kubelet" | "systemd-oomd" | "init")
}

/// `vllm-1  | text` of Compose, `stack_vllm.1.abc@host    | text` of a swarm.
fn named(text: &str) -> Option<&str> {
    let name = text
        .bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'@'))
        .count();
    if name == 0 || name > NAME {
        return None;
    }
    let rest = text.get(name..)?;
    let bar = rest.trim_start_matches(' ');
    if bar.len() == rest.len() {
        return None;
    }
    let rest = bar.strip_prefix('|')?;
    // A table goes on with another bar; a bar of progress with its count.
    Some(rest.strip_prefix(' ').unwrap_or(rest))
}

/// `  | [2025-…] text` of Buildkite.
fn barred(text: &str) -> Option<&str> {
    text.trim_start().strip_prefix("| ").filter(|rest| rest.starts_with("[20"))
}

/// `   7.834 stdout text`: seconds since the start, and the pipe.
fn seconds<'a>(text: &'a str, letter: &mut Letter<'_>) -> Option<&'a str> {
    let (number, rest) = text.trim_start().split_once(' ')?;
    let time: f64 =
        number.split_once('.').filter(|(_, part)| part.len() == 3).and_then(|_| number.parse().ok())?;
    for (mark, stream) in [("stdout ", Stream::Stdout), ("stderr ", Stream::Stderr), ("pty ", Stream::Stdout)]
    {
        if let Some(rest) = rest.strip_prefix(mark) {
            letter.time = Some(time);
            letter.stream = Some(stream);
            // Control characters are written out there.
            let rest = rest.strip_prefix("\\r").unwrap_or(rest);
            return Some(rest.trim_end_matches("\\r"));
        }
    }
    rest.starts_with("###### ").then(|| {
        letter.time = Some(time);
        letter.system = true;
        rest
    })
}

/// Docker's `json-file`, journald's and clouds' JSON: the text in it. A logger's own JSON is left to the grammar.
fn json(line: &str) -> Option<(String, Option<f64>, Option<Stream>)> {
    let Value::Object(map) = serde_json::from_str(line).ok()? else { return None };
    let text = |key: &str| map.get(key).and_then(Value::as_str);
    let own = ["levelname", "name", "logger", "level", "msg"].iter().any(|k| map.contains_key(*k));
    let inner = ["log", "MESSAGE", "textPayload"]
        .iter()
        .find_map(|key| text(key))
        .or_else(|| if own { None } else { text("message").or_else(|| text("line")) })?;
    let time = ["time", "timestamp", "@timestamp"]
        .iter()
        .find_map(|k| stamps::iso(text(k)?))
        .map(|(t, _)| t)
        .or_else(|| {
            let micros: f64 = text("__REALTIME_TIMESTAMP")?.parse().ok()?;
            Some(micros / 1e6)
        });
    let stream = match text("stream") {
        Some("stderr") => Some(Stream::Stderr),
        Some("stdout") => Some(Stream::Stdout),
        _ => None,
    };
    Some((inner.trim_end_matches(['\n', '\r']).to_owned(), time, stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_of_all_kinds_are_opened() {
        let inner = "(EngineCore pid=5) ERROR 11-22 12:00:00 [core.py:1] ValueError: x";
        for prefix in [
            "vllm-1  | ",
            "vllm_1   | ",
            "stack_vllm.1.abc@host    | ",
            "2025-11-22T12:00:00.123456789Z ",
            "2025-11-22T12:00:00.123456789Z stderr F ",
            "Nov 22 12:00:00 host vllm[123]: ",
            "2025-11-22T12:00:00+0100 host vllm[123]: ",
            "[2025-11-22T12:00:00Z] ",
            "  | [2025-11-22T12:00:00Z] ",
            "[pod/vllm-0/vllm] ",
            "[pod/vllm-0/vllm] 2025-11-22T12:00:00Z ",
            "vllm-1  | 2025-11-22T12:00:00Z ",
            "   7.834 stdout ",
            "2026-06-09 14:01:52.982 [Error] (Process) ",
        ] {
            let line = format!("{prefix}{inner}");
            let letter = open(&line);
            assert_eq!(letter.text, inner, "{prefix}");
            assert!(letter.opened && !letter.system, "{prefix}");
        }
        let letter = open(r#"{"log":"INFO:     x\n","stream":"stderr","time":"2025-11-22T12:00:00.5Z"}"#);
        assert_eq!((letter.text.as_ref(), letter.stream), ("INFO:     x", Some(Stream::Stderr)));
        assert!(letter.time.is_some());
        assert!(open("Nov 22 12:00:00 host kernel: Out of memory: Killed process 7 (x)").system);
        assert_eq!(open("[ 123.456789] Out of memory").text, "Out of memory");
    }

    #[test]
    fn lines_without_an_envelope_stay_whole() {
        for line in [
            "(APIServer pid=13642) INFO 11-22 12:27:13 [a.py:1] x",
            "INFO:     Started server process [1]",
            "ValueError: To serve | x",
            "Loading safetensors checkpoint shards:  40% Completed | 2/5 [00:00<00:00, 393.50it/s]",
            "100%|██████████| 67/67 [00:22<00:00,  2.96it/s]",
            "[rank0]: Traceback (most recent call last):",
            "[shutdown] x",
            "2025-11-02 13:17:04,315 - vllm.v1.engine.core_client - ERROR - x",
            r#"{"asctime": "2026-11-22 12:48:02,422", "levelname": "INFO", "name": "vllm", "message": "x"}"#,
        ] {
            assert_eq!(open(line).text, line);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_breaks_it(line in "(vllm-1 +\\| |2025-11-22T12:00:00Z ?|Nov 22 12:00:00 h |x\\[1\\]: |\\[[0-9.]*\\] ?|<6>| *1\\.234 (stdout|######) |\\{\"log\":\"|\\}|é|[ -~]){0,6}") {
            let _ = open(&line);
        }
    }
}
