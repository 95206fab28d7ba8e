//! The grammars that programs share.

use super::*;
use app::model::Level::{self, Debug, Error, Info, Other, Warning};
use app::model::LineKind;

fn read(line: &str) -> (Level, String, String) {
    let found = classify_common(Stream::Stderr, line, Continuation::default());
    let text = match found.text {
        Text::Part(part) => line[part].to_owned(),
        Text::Own(text) => text,
    };
    (found.level, found.source.into_owned(), text)
}

#[test]
fn levels_are_found_in_the_forms_that_programs_share() {
    let cases = [
        ("[INFO] up", Info, "", "up"),
        ("[warn] low", Warning, "", "low"),
        ("[2026-01-01 00:00:00 +0000] [123] [ERROR] worker", Error, "", "worker"),
        ("[rank0]: text", Other, "", "[rank0]: text"),
        ("WARNING:root:careful", Warning, "root", "careful"),
        ("WARNING: careful: now", Warning, "", "careful: now"),
        ("error: no such file", Error, "", "no such file"),
        ("FATAL something", Error, "", "something"),
        ("Error while reading", Other, "", "Error while reading"),
        ("2026-01-01 00:00:00 - name - WARNING - text - more", Warning, "name", "text - more"),
        ("2026-01-01 00:00:00,123 - INFO - text", Info, "", "text"),
        ("2026-01-01 00:00:00.123 | DEBUG    | app:main:7 - text", Debug, "", "app:main:7 - text"),
        ("2026-01-01T00:00:00.000000Z  INFO crate::module: text", Info, "crate::module", "text"),
        ("2026-01-01T00:00:00Z  WARN request{id=1}: crate: text", Warning, "", "request{id=1}: crate: text"),
        ("2026-01-01 00:00:00,000\tINFO worker.py:1841 -- up", Info, "", "worker.py:1841 -- up"),
        ("2026-01-01 00:00:00 server CRITICAL: text", Error, "server", "text"),
        ("2026-01-01 00:00:00 nothing said here", Other, "", "2026-01-01 00:00:00 nothing said here"),
        ("12:00:01 NOTICE text", Info, "", "text"),
        ("E1122 12:00:00.000  42 file.cc:7] text", Error, "", "42 file.cc:7] text"),
        (
            "[W1122 12:29:11.166416348 utils.cpp:68] Warning: text",
            Warning,
            "",
            "[W1122 12:29:11.166416348 utils.cpp:68] Warning: text",
        ),
        (
            "time=\"2026-01-01T00:00:00Z\" level=warning msg=\"a b\"",
            Warning,
            "",
            "time=\"2026-01-01T00:00:00Z\" level=warning msg=\"a b\"",
        ),
        ("set level=debug to see more", Other, "", "set level=debug to see more"),
        ("usage: prog [-h]", Other, "", "usage: prog [-h]"),
        ("prog: error: unrecognized arguments: --x", Error, "", "prog: error: unrecognized arguments: --x"),
        ("/a/b.py:254: UserWarning: text", Warning, "", "/a/b.py:254: UserWarning: text"),
        ("FutureWarning: text", Warning, "", "FutureWarning: text"),
        (
            "OSError: [Errno 98] Address already in use",
            Error,
            "",
            "OSError: [Errno 98] Address already in use",
        ),
        ("see Warning: box", Other, "", "see Warning: box"),
        ("", Other, "", ""),
        ("[", Other, "", "["),
        ("{", Other, "", "{"),
    ];
    for (line, level, source, text) in cases {
        assert_eq!(read(line), (level, source.to_owned(), text.to_owned()), "{line}");
    }
}

#[test]
fn json_lines_are_unwrapped() {
    let cases = [
        (r#"{"level":"info","msg":"up","extra":{"a":[1,2]},"ok":true,"n":null}"#, Info, "", "up"),
        (r#"{"severity":"WARNING","message":"say \"x\"","logger":"a.b"}"#, Warning, "a.b", "say \"x\""),
        (
            r#"{"levelname":"CRITICAL","name":"x","message":"down","exc_info":"Traceback:\n  boom"}"#,
            Error,
            "x",
            "down\nTraceback:\n  boom",
        ),
        (r#"{"level":50,"time":1.5,"msg":"pino"}"#, Error, "", "pino"),
        (r#"{"level":"debug"}"#, Debug, "", r#"{"level":"debug"}"#),
        (r#"{"message":"no level","logger":"x"}"#, Other, "x", "no level"),
        (r#"{"id":"cmpl-8","model":"lydia"}"#, Other, "", r#"{"id":"cmpl-8","model":"lydia"}"#),
        (r#"{"level":"info","msg":"cut"#, Other, "", r#"{"level":"info","msg":"cut"#),
    ];
    for (line, level, source, text) in cases {
        assert_eq!(read(line), (level, source.to_owned(), text.to_owned()), "{line}");
    }
}

/// Levels of lines that follow each other on one pipe.
fn levels(lines: &[(&str, Level)]) {
    let mut before = Continuation::default();
    for (line, level) in lines {
        let found = classify_common(Stream::Stderr, line, before);
        assert_eq!(found.level, *level, "{line}");
        before = found.next;
    }
}

#[test]
fn a_traceback_is_an_error_from_its_first_line_to_its_last() {
    levels(&[
        ("Process EngineCore:", Error),
        ("Traceback (most recent call last):", Error),
        ("  File \"/usr/lib/python3.11/multiprocessing/process.py\", line 314, in _bootstrap", Error),
        ("    self.run()", Error),
        ("httpcore2.ConnectError: [Errno -2] Name or service not known", Error),
        ("", Error),
        ("The above exception was the direct cause of the following exception:", Error),
        ("", Error),
        ("Traceback (most recent call last):", Error),
        ("  File \"a.py\", line 1, in f", Error),
        ("KeyboardInterrupt", Error),
        ("", Error),
        ("Triton is installed, but doesn't include CPU backend. Disabling Triton.", Other),
    ]);
}

#[test]
fn an_exceptions_message_may_go_on() {
    levels(&[
        ("Traceback (most recent call last):", Error),
        ("pydantic_core._pydantic_core.ValidationError: 1 validation error for CacheConfig", Error),
        ("gpu_memory_utilization", Error),
        ("  Input should be less than or equal to 1", Error),
        ("INFO:root:up again", Info),
        ("  indented", Info),
        ("bare", Other),
        ("  indented", Other),
    ]);
    levels(&[
        ("Traceback (most recent call last):", Error),
        ("ValueError: 1", Error),
        ("2", Error),
        ("3", Error),
        ("4", Error),
        ("5", Error),
        ("somebody else by now", Other),
    ]);
}

#[test]
fn a_traceback_is_of_one_kind_up_to_the_name_of_its_exception() {
    let lines = [
        ("Process EngineCore:", LineKind::None),
        ("Traceback (most recent call last):", LineKind::Trace),
        ("  File \"a.py\", line 1, in f", LineKind::Trace),
        ("", LineKind::Trace),
        ("ray.exceptions.RayTaskError(OutOfMemoryError): ray::Worker.execute()", LineKind::Trace),
        ("its message goes on", LineKind::None),
        ("", LineKind::None),
        ("During handling of the above exception, another exception occurred:", LineKind::Trace),
        ("", LineKind::Trace),
        ("Traceback (most recent call last):", LineKind::Trace),
        ("KeyboardInterrupt", LineKind::Trace),
        ("plain", LineKind::None),
        ("  indented", LineKind::None),
        (
            "Loading safetensors checkpoint shards:  40% Completed | 2/5 [00:00<00:00, 393.50it/s]",
            LineKind::Bar,
        ),
        ("Capturing CUDA graph shapes: 100%|██████████| 23/23 [00:11<00:00,  2.08it/s]", LineKind::Bar),
        ("model.safetensors:  10%|█         | 0.5G/4.9G [00:03<00:30, 150MB/s]", LineKind::Bar),
        ("Fetching 5 files:   0%|          | 0/5 [00:00<?, ?it/s]", LineKind::Bar),
        ("done 3/4 [see below]", LineKind::None),
        ("list [1, 2]", LineKind::None),
    ];
    let mut before = Continuation::default();
    for (line, kind) in lines {
        let found = classify_common(Stream::Stderr, line, before);
        assert_eq!(found.kind, kind, "{line}");
        before = found.next;
    }
}

#[test]
fn a_warning_takes_its_source_line_along() {
    levels(&[
        ("/opt/dispatcher.py:138: FutureWarning: `torch.distributed.reduce_op` is deprecated", Warning),
        ("  if hasattr(value, \"__dict__\"):", Warning),
        ("plain", Other),
    ]);
}

proptest::proptest! {
    #[test]
    fn no_line_breaks_a_grammar(line in "[ -~éA-Z\\[\\]:=0-9-]{0,60}", head in proptest::sample::select(vec![
        "", "2026-01-01 00:00:00", "[", "[2026-01-01 00:00:00]", "E1122 12:00:00", "{\"level\":\"info\",", "INFO", "Traceback (most recent call last):",
    ])) {
        let line = head.to_owned() + &line;
        let found = classify_common(Stream::Stdout, &line, Continuation::default());
        if let Text::Part(part) = found.text {
            proptest::prop_assert!(line.get(part).is_some());
        }
    }
}
