//! How vLLM and its web server uvicorn begin a line.
//!
//! `(EngineCore pid=42) INFO 11-22 12:27:13 [core.py:133] text`: who, how serious, when, where, what. The source and the
//! level become fields, the time is the runtime's, the rest is the text. A program's own prints carry at most the first
//! bracket. All that is not vLLM's is left to the grammar that programs share.

use super::kind;
use crate::logs::{
    Classified, Continuation, JsonLine, Text, classify_common, fraction, in_logged_traceback, level_word,
    shaped,
};
use app::model::{Level, LineKind, Stream};
use std::borrow::Cow;

/// The [`crate::logs::Grammar`] of a vLLM service.
pub fn classify<'a>(stream: Stream, line: &'a str, before: Continuation) -> Classified<'a> {
    if let Some(json) = JsonLine::read(line) {
        let logger = json.logger();
        let uvicorn = logger == "uvicorn" || logger.starts_with("uvicorn.");
        let source = if uvicorn { Cow::Borrowed(UVICORN) } else { json.process().unwrap_or(logger) };
        let mut found = json.into_classified(line, source);
        let message = match &found.text {
            Text::Part(part) => line.get(part.clone()).unwrap_or_default(),
            Text::Own(text) => text,
        };
        // Its messages have no place in front of them, and whoever says nothing greets nobody.
        found.kind = if uvicorn { kind::of_access(message) } else { kind::of_message("", message) };
        return found;
    }
    let (source, rest) = process(line);
    if let Some((level, rest)) = stamped(rest) {
        let (place, message) = kind::placed(rest);
        let trace = in_logged_traceback(message, level, before);
        return Classified {
            level,
            source: Cow::Borrowed(source),
            text: Text::rest(line, rest),
            kind: if trace.is_some() { LineKind::Trace } else { kind::of_message(place, message) },
            next: Continuation { logged: trace == Some(true), ..Continuation::of(level) },
        };
    }
    if let Some((level, rest)) = uvicorn(rest) {
        return Classified {
            level,
            source: Cow::Borrowed(UVICORN),
            text: Text::rest(line, rest),
            kind: kind::of_access(rest),
            next: Continuation::of(level),
        };
    }
    let plain = rank(rest);
    if let Some(level) = nccl(plain) {
        return Classified {
            level,
            source: Cow::Borrowed(source),
            text: Text::rest(line, rest),
            kind: LineKind::None,
            next: Continuation::of(level),
        };
    }
    let mut found = classify_common(stream, plain, before);
    if let Text::Part(part) = &found.text {
        let shift =
            if part.start == 0 { line.len() - rest.len() } else { line.len() - plain.len() + part.start };
        found.text = Text::Part(shift..line.len() - plain.len() + part.end);
    }
    if !source.is_empty() {
        found.source = Cow::Borrowed(source);
    }
    found
}

const UVICORN: &str = "uvicorn";

/// `(NAME pid=1) ` and Ray's `(NAME pid=1, ip=10.0.0.1) `, the innermost of several; the name is empty where there is none.
fn process(line: &str) -> (&str, &str) {
    let (mut source, mut rest) = ("", line);
    for _ in 0..3 {
        let Some((name, after)) = one_process(rest) else { break };
        (source, rest) = (name, after);
    }
    (source, rest)
}

fn one_process(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('(')?;
    let end = inner.bytes().take(120).position(|b| b == b')')?;
    let (name, tail) = inner.get(..end)?.split_once(" pid=")?;
    let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
    (named && tail.starts_with(|c: char| c.is_ascii_digit())).then_some(())?;
    let after = inner.get(end + 1..)?;
    Some((name, after.strip_prefix(' ').unwrap_or(after)))
}

/// `LEVEL 11-22 12:27:13 `: with a year or without, with a fraction or without. What follows keeps its place
/// (`[core.py:133] `, in old versions `llm_engine.py:100] `).
fn stamped(text: &str) -> Option<(Level, &str)> {
    let word = text.bytes().take(10).take_while(u8::is_ascii_uppercase).count();
    let rest = text.get(word..)?.strip_prefix(' ')?;
    let level = level_word(text.get(..word)?)?;
    let rest = rest.trim_start_matches(' ');
    const SHAPES: [&str; 3] = ["00-00 00:00:00", "0000-00-00 00:00:00", "0000-00-00T00:00:00"];
    let rest = fraction(SHAPES.iter().find_map(|shape| shaped(rest, shape))?);
    if rest.is_empty() { Some((level, rest)) } else { Some((level, rest.strip_prefix(' ')?)) }
}

/// `INFO:     text`: uvicorn pads level and colon to nine columns and adds a space.
fn uvicorn(text: &str) -> Option<(Level, &str)> {
    let word = text.bytes().take(10).take_while(u8::is_ascii_uppercase).count();
    let padding = text.get(word..10)?.strip_prefix(':')?;
    if padding.is_empty() || padding.bytes().any(|b| b != b' ') {
        return None;
    }
    let rest = text.get(10..)?;
    if rest.starts_with(' ') { None } else { Some((level_word(text.get(..word)?)?, rest)) }
}

/// torchrun's `[rank0]: ` in front of a raw line.
fn rank(text: &str) -> &str {
    let stripped = text.strip_prefix("[rank").and_then(|rest| {
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("]:")?;
        Some(rest.strip_prefix(' ').unwrap_or(rest))
    });
    stripped.unwrap_or(text)
}

/// `host:1:2 [0] NCCL INFO text`.
fn nccl(text: &str) -> Option<Level> {
    let (head, tail) = text.split_once(" NCCL ")?;
    let word = tail.split(' ').next()?;
    head.ends_with(']').then(|| level_word(word))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use Level::{Debug, Error, Info, Other, Warning};

    fn read(line: &str) -> (Level, String, String) {
        let found = classify(Stream::Stdout, line, Continuation::default());
        let text = match found.text {
            Text::Part(part) => line[part].to_owned(),
            Text::Own(text) => text,
        };
        (found.level, found.source.into_owned(), text)
    }

    /// Lines of vLLM 0.32.0 as recorded, and older forms.
    #[test]
    fn vllms_lines_give_level_source_and_text() {
        let cases = [
            (
                "(APIServer pid=13642) INFO 11-22 12:27:13 [api_utils.py:347]  ▄▄ ▄█ █     █     █ ▀▄▀ █  version 0.32.0",
                Info,
                "APIServer",
                "[api_utils.py:347]  ▄▄ ▄█ █     █     █ ▀▄▀ █  version 0.32.0",
            ),
            (
                "(APIServer pid=13642) INFO 11-22 12:27:13 [api_utils.py:347] ",
                Info,
                "APIServer",
                "[api_utils.py:347] ",
            ),
            (
                "(VllmWorker-0 pid=13734) WARNING 11-22 12:27:33 [vllm.py:725] Model Runner V2 requires Triton",
                Warning,
                "VllmWorker-0",
                "[vllm.py:725] Model Runner V2 requires Triton",
            ),
            (
                "(EngineCore pid=5991) ERROR 11-22 12:39:55 [core.py:1510] Traceback (most recent call last):",
                Error,
                "EngineCore",
                "[core.py:1510] Traceback (most recent call last):",
            ),
            (
                "(APIServer pid=27248) DEBUG 11-22 12:35:02 [v1/engine/async_llm.py:1090] Called check_health.",
                Debug,
                "APIServer",
                "[v1/engine/async_llm.py:1090] Called check_health.",
            ),
            ("INFO 11-22 12:27:13 [file.py:347] text", Info, "", "[file.py:347] text"),
            ("INFO 05-01 10:00:00 llm_engine.py:100] text", Info, "", "llm_engine.py:100] text"),
            ("CRITICAL 05-01 10:00:00,123 [a.py:1] text", Error, "", "[a.py:1] text"),
            ("WARNING 2026-05-01 10:00:00.123 [a.py:1] text", Warning, "", "[a.py:1] text"),
            (
                "(EngineCore_DP0 pid=9) INFO 05-01 10:00:00 [a.py:1] text",
                Info,
                "EngineCore_DP0",
                "[a.py:1] text",
            ),
            (
                "(EngineCore_0 pid=9) (RayWorkerWrapper pid=7, ip=10.0.0.1) INFO 05-01 10:00:00 [a.py:1] text",
                Info,
                "RayWorkerWrapper",
                "[a.py:1] text",
            ),
            (
                "(Worker_TP0 pid=9) Loading safetensors checkpoint shards:  50% | 1/2 [",
                Other,
                "Worker_TP0",
                "Loading safetensors checkpoint shards:  50% | 1/2 [",
            ),
            (
                "(Worker_TP0 pid=9) Traceback (most recent call last):",
                Error,
                "Worker_TP0",
                "Traceback (most recent call last):",
            ),
            ("(Worker_TP0 pid=9) WARNING:root:text", Warning, "Worker_TP0", "text"),
            ("(see pid=file) INFO is not a header", Other, "", "(see pid=file) INFO is not a header"),
            ("INFO:     Started server process [13642]", Info, "uvicorn", "Started server process [13642]"),
            ("ERROR:    Exception in ASGI application", Error, "uvicorn", "Exception in ASGI application"),
            (
                "WARNING:  Invalid HTTP request received.",
                Warning,
                "uvicorn",
                "Invalid HTTP request received.",
            ),
            (
                "INFO:     127.0.0.1:52018 - \"GET /health HTTP/1.1\" 200 OK",
                Info,
                "uvicorn",
                "127.0.0.1:52018 - \"GET /health HTTP/1.1\" 200 OK",
            ),
            ("INFO:root:text", Info, "root", "text"),
            (
                "vllm: error: unrecognized arguments: --no-such-flag 1",
                Error,
                "",
                "vllm: error: unrecognized arguments: --no-such-flag 1",
            ),
            (
                "vllm serve: error: argument --port: invalid int value: 'x'",
                Error,
                "",
                "vllm serve: error: argument --port: invalid int value: 'x'",
            ),
            (
                "Triton is installed, but doesn't include CPU backend. Disabling Triton.",
                Other,
                "",
                "Triton is installed, but doesn't include CPU backend. Disabling Triton.",
            ),
            (
                "/opt/vllm/lib/python3.11/site-packages/vllm/triton_utils/dispatcher.py:138: FutureWarning: `torch.distributed.reduce_op` is deprecated",
                Warning,
                "",
                "/opt/vllm/lib/python3.11/site-packages/vllm/triton_utils/dispatcher.py:138: FutureWarning: `torch.distributed.reduce_op` is deprecated",
            ),
            (
                "[W1122 12:27:33.843462559 utils.cpp:68] Warning: NUMA binding",
                Warning,
                "",
                "[W1122 12:27:33.843462559 utils.cpp:68] Warning: NUMA binding",
            ),
            (
                "[rank0]: Traceback (most recent call last):",
                Error,
                "",
                "[rank0]: Traceback (most recent call last):",
            ),
            ("gpu:1:2 [0] NCCL WARN Cuda failure", Warning, "", "gpu:1:2 [0] NCCL WARN Cuda failure"),
            (
                r#"{"asctime": "2026-11-22 12:48:02,422", "levelname": "INFO", "name": "vllm.v1.worker.cpu_model_runner", "processName": "VllmWorker-0", "process": 13427, "message": "Starting to load model /models/tiny...", "vllm_process_name": "Worker"}"#,
                Info,
                "Worker",
                "Starting to load model /models/tiny...",
            ),
            (
                r#"{"asctime": "2026-11-22 12:48:13,468", "levelname": "INFO", "name": "uvicorn.access", "message": "127.0.0.1:53410 - \"GET /health HTTP/1.1\" 503", "vllm_process_name": "APIServer"}"#,
                Info,
                "uvicorn",
                "127.0.0.1:53410 - \"GET /health HTTP/1.1\" 503",
            ),
        ];
        for (line, level, source, text) in cases {
            assert_eq!(read(line), (level, source.to_owned(), text.to_owned()), "{line}");
        }
    }

    #[test]
    fn a_raw_traceback_is_an_error_and_ends_with_the_next_headed_line() {
        let lines = [
            ("ERROR:    Exception in ASGI application", Error),
            ("Traceback (most recent call last):", Error),
            ("  File \"/opt/vllm/bin/vllm\", line 10, in <module>", Error),
            ("    sys.exit(main())", Error),
            (
                "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
                Error,
            ),
            (
                "(EngineCore pid=1) INFO 11-22 12:28:12 [core.py:1454] [shutdown] EngineCore: trigger received",
                Info,
            ),
            ("(EngineCore pid=1)   more of it", Info),
            ("[rank0]:   File \"a.py\", line 1", Info),
            ("plain", Other),
        ];
        let mut before = Continuation::default();
        for (line, level) in lines {
            let found = classify(Stream::Stderr, line, before);
            assert_eq!(found.level, level, "{line}");
            before = found.next;
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_breaks_it(line in "(\\([A-Z][a-z]{0,3} pid=[0-9]?[,)]|\\[rank0\\]: ?|INFO|ERROR|:| |é|11-22 12:27:13|\\.[0-9]|\\{\"level\":|[ -~]){0,8}") {
            let found = classify(Stream::Stdout, &line, Continuation::default());
            if let Text::Part(part) = found.text {
                proptest::prop_assert!(line.get(part).is_some());
            }
        }
    }
}
