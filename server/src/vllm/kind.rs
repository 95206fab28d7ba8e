//! What a line of vLLM or its web server is, beside how serious: from the first words of its message.
//!
//! This runs for every line: a look at one byte, then a comparison or two. Wordings of V0 and V1, see `grammar` for the head.

use app::model::LineKind;

/// The message of a stamped line, behind the place it was written at: `[core.py:133] text`, in old versions
/// `llm_engine.py:100] text`. And that place.
pub fn placed(text: &str) -> (&str, &str) {
    const PLACE: usize = 100;
    let head = text.as_bytes();
    let end = memchr::memchr2(b']', b' ', head.get(..PLACE).unwrap_or(head));
    let found = end.and_then(|at| Some((text.get(..at)?, text.get(at..)?.strip_prefix(']')?)));
    match found {
        Some((place, message)) if is_place(place) => {
            (place.strip_prefix('[').unwrap_or(place), message.strip_prefix(' ').unwrap_or(message))
        }
        _ => ("", text),
    }
}

/// `core.py:133`, with a bracket before it or without, with folders or without.
fn is_place(text: &str) -> bool {
    let digits = text.bytes().rev().take_while(u8::is_ascii_digit).count();
    digits > 0 && text.as_bytes().get(..text.len() - digits).is_some_and(|file| file.ends_with(b".py:"))
}

/// What a message of vLLM's own is. `place` is the file and line that wrote it; may be empty.
pub fn of_message(place: &str, message: &str) -> LineKind {
    let starts = |heads: &[&str]| heads.iter().any(|head| message.starts_with(head));
    match message.bytes().next() {
        // The banner is drawn in blocks; its first and last lines are empty.
        None | Some(b' ' | 0xE2) if is_banner(place, message) => LineKind::Banner,
        Some(b'A') if starts(&["Avg prompt throughput: "]) => LineKind::Stats,
        Some(b'A') if starts(&["Added request ", "Aborted request ", "Aborted request(s) "]) => {
            LineKind::Request
        }
        Some(b'A') if starts(&["Available routes are:"]) => LineKind::Route,
        Some(b'E') if message.starts_with("Engine ") && counts(message) => LineKind::Stats,
        Some(b'0'..=b'9') if message.contains(" Engines Aggregated: ") => LineKind::Stats,
        Some(b'F') if starts(&["Finished request "]) => LineKind::Request,
        Some(b'G') if starts(&["Generated response "]) => LineKind::Request,
        Some(b'K') if starts(&["KV Transfer metrics: "]) => LineKind::Stats,
        Some(b'P') if starts(&["Prefix cache hit rate: "]) => LineKind::Stats,
        Some(b'R') if starts(&["Route: /"]) => LineKind::Route,
        Some(b'R') if starts(&["Received request "]) || about_one(message) => LineKind::Request,
        Some(b'S') if starts(&["SpecDecoding metrics: ", "Speculative metrics: "]) => LineKind::Stats,
        Some(b'v') if starts(&["vLLM API server version ", "vLLM server version "]) => LineKind::Banner,
        _ => LineKind::None,
    }
}

/// `Engine 000: Avg prompt throughput: …`: other lines begin with the engine's number, too.
fn counts(message: &str) -> bool {
    message.split_once(": ").is_some_and(|(_, rest)| rest.starts_with("Avg prompt throughput: "))
}

/// `Request ID aborted.`, `Request ID failed (engine dead).`, `Request ID details: …`: what it is about is one word.
fn about_one(message: &str) -> bool {
    let Some((id, what)) = message.strip_prefix("Request ").and_then(|rest| rest.split_once(' ')) else {
        return false;
    };
    // An id has a digit or a hyphen in it; a word of a sentence has neither.
    id.bytes().any(|b| b.is_ascii_digit() || b == b'-')
        && ["aborted", "failed", "details: ", "was rejected"].iter().any(|word| what.starts_with(word))
}

/// Blocks, or nothing, by whoever greets.
fn is_banner(place: &str, message: &str) -> bool {
    let shown = message.trim_start();
    match shown.as_bytes() {
        [] => place.contains("utils.py:"),
        // U+2580 to U+259F.
        [0xE2, 0x96, 0x80..=0x9F, ..] => true,
        _ => false,
    }
}

/// What a line of uvicorn is: `127.0.0.1:52018 - "GET /health HTTP/1.1" 200 OK`. A probe that was refused is news, and so no
/// probe.
pub fn of_access(text: &str) -> LineKind {
    const CLIENT: usize = 60;
    let head = text.as_bytes();
    let Some(quote) = memchr::memchr(b'"', head.get(..CLIENT).unwrap_or(head)) else { return LineKind::None };
    let (Some(client), Some(request)) = (text.get(..quote), text.get(quote + 1..)) else {
        return LineKind::None;
    };
    let mut words = request.splitn(3, ' ');
    let (Some(method), Some(target), Some(rest)) = (words.next(), words.next(), words.next()) else {
        return LineKind::None;
    };
    let plain = (1..=10).contains(&method.len()) && method.bytes().all(|b| b.is_ascii_uppercase());
    // The version is a word of its own behind which the quote closes.
    let status = rest.strip_prefix("HTTP/").and_then(|rest| rest.split_once('"')?.1.strip_prefix(' '));
    let Some(status) = status.filter(|_| plain && client.ends_with(" - ")) else { return LineKind::None };
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let probed = matches!(method, "GET" | "HEAD")
        && matches!(
            path.strip_suffix('/').unwrap_or(path),
            "/health" | "/healthz" | "/livez" | "/readyz" | "/live" | "/ready" | "/ping" | "/metrics"
        );
    if probed && status.starts_with('2') { LineKind::Probe } else { LineKind::Access }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{Cleaner, Continuation, Splitter, Text};
    use crate::vllm::grammar;
    use LineKind::{Access, Banner, Bar, None, Probe, Request, Route, Stats, Trace};
    use app::model::Stream;

    #[test]
    fn access_lines_are_told_from_probes_and_from_other_words_of_the_web_server() {
        let cases = [
            ("127.0.0.1:52018 - \"GET /health HTTP/1.1\" 200 OK", Probe),
            ("127.0.0.1:52018 - \"GET /health HTTP/1.1\" 200", Probe),
            ("[::1]:1 - \"HEAD /metrics?name=x HTTP/1.1\" 200 OK", Probe),
            ("10.0.0.1:9 - \"GET /metrics/ HTTP/1.1\" 200 OK", Probe),
            ("10.0.0.1:9 - \"GET /ping HTTP/1.1\" 200 OK", Probe),
            ("127.0.0.1:52018 - \"GET /health HTTP/1.1\" 503 Service Unavailable", Access),
            ("127.0.0.1:46560 - \"POST /v1/completions HTTP/1.1\" 200 OK", Access),
            ("127.0.0.1:46560 - \"GET /v1/models HTTP/1.1\" 404 Not Found", Access),
            ("127.0.0.1:46560 - \"GET /healthy HTTP/1.1\" 200 OK", Access),
            (" - \"GET /health HTTP/1.1\" 200 OK", Probe),
            ("Started server process [13642]", None),
            ("127.0.0.1:1 - \"WebSocket /v1\" [accepted]", None),
            ("said \"GET /health HTTP/1.1\" 200", None),
            ("\"GET /health HTTP/1.1\" 200", None),
            ("", None),
        ];
        for (text, kind) in cases {
            assert_eq!(of_access(text), kind, "{text}");
        }
    }

    #[test]
    fn messages_of_old_and_new_versions_have_their_kind() {
        let cases = [
            ("[launcher.py:186] Available routes are:", Route),
            ("[launcher.py:195] Route: /openapi.json, Methods: GET, HEAD", Route),
            ("launcher.py:27] Route: /health, Methods: GET", Route),
            ("[entrypoints/launchers/launcher.py:195] Route: /health, Methods: GET", Route),
            (
                "[loggers.py:335] Engine 000: Avg prompt throughput: 34.9 tokens/s, Avg generation throughput: 166.4 tokens/s, Running: 0 reqs",
                Stats,
            ),
            (
                "[loggers.py:80] Avg prompt throughput: 13.0 tokens/s, Avg generation throughput: 52.1 tokens/s",
                Stats,
            ),
            ("[loggers.py:300] 2 Engines Aggregated: Avg prompt throughput: 13.0 tokens/s", Stats),
            ("metrics.py:455] Prefix cache hit rate: GPU: 0.00%, CPU: 0.00%", Stats),
            ("[metrics.py:96] SpecDecoding metrics: Mean acceptance length: 1.5", Stats),
            (
                "[v1/metrics/loggers.py:350] Engine 000: vllm cache_config_info with initialization after num_gpu_blocks is: 16384",
                None,
            ),
            (
                "[request_logger.py:65] Received request cmpl-b02b1c0197c446bb-0: params: SamplingParams(n=1)",
                Request,
            ),
            (
                "async_llm_engine.py:436] Received request cmpl-bfd5-0: prompt: None, prefix_pos: None",
                Request,
            ),
            ("[async_llm.py:578] Added request cmpl-b02b1c0197c446bb-0-bfaf584c.", Request),
            ("async_llm_engine.py:110] Finished request cmpl-e3ab-0.", Request),
            ("async_llm_engine.py:122] Aborted request cmpl-e3ab-0.", Request),
            ("[async_llm.py:700] Aborted request(s) chatcmpl-1,chatcmpl-2.", Request),
            ("[async_llm.py:420] Request chatcmpl-1 aborted.", Request),
            ("[async_llm.py:427] Request chatcmpl-1 failed (engine dead).", Request),
            (
                "[request_logger.py:80] Generated response chatcmpl-1: output: 'x', output_token_ids: [1], finish_reason: stop",
                Request,
            ),
            ("[a.py:1] Request failed with an error", None),
            ("[a.py:1] Request handling failed", None),
            ("[a.py:1] Added some routes", None),
            ("[api_utils.py:347] ", Banner),
            ("[api_utils.py:347]        █     █     █▄   ▄█", Banner),
            ("[utils.py:299]  ▄▄ ▄█ █     █     █ ▀▄▀ █  version 0.20.0", Banner),
            ("[api_server.py:1043] vLLM API server version 0.8.5", Banner),
            ("[core.py:1510] ", None),
            ("[core.py:1510]   File \"/opt/vllm/v1/engine/core.py\", line 1482", None),
            ("[api_utils.py:286] non-default args: {'model_tag': '/models/tiny'}", None),
            ("Route: /bare", Route),
            ("", None),
        ];
        for (text, kind) in cases {
            let (place, message) = placed(text);
            assert_eq!(of_message(place, message), kind, "{text}");
        }
    }

    /// The kinds of a recording's lines, each pipe by itself, with the messages.
    fn recorded(name: &str) -> Vec<(LineKind, String)> {
        let mut lines = Vec::new();
        for pipe in ["pty", "stdout", "stderr"] {
            let path = format!("{}/tests/recordings/{name}.{pipe}", env!("CARGO_MANIFEST_DIR"));
            let Ok(bytes) = std::fs::read(path) else { continue };
            let (mut splitter, mut cleaner) = (Splitter::default(), Cleaner::default());
            let mut before = Continuation::default();
            splitter.push(0, &bytes, |raw| {
                let (line, _) = cleaner.clean(raw.bytes);
                let found = grammar::classify(Stream::Stdout, line, before);
                before = found.next;
                let text = match found.text {
                    Text::Part(part) => line[part].to_owned(),
                    Text::Own(text) => text,
                };
                lines.push((found.kind, placed(&text).1.to_owned()));
            });
            lines.push((None, "the end of a pipe".to_owned()));
        }
        lines
    }

    #[test]
    fn a_real_start_is_mostly_of_a_kind() {
        // Banner, route, probe, access, stats, bar, request: counted in the recordings by other means.
        let cases = [
            ("t1_first_start", [6, 36, 1, 1, 0, 2, 0]),
            ("start_sh_full_warm", [6, 36, 1, 1, 0, 2, 0]),
            ("t2_pty_warmcache_logrequests", [6, 36, 7, 27, 2, 0, 18]),
            ("t4_debug_sigterm_inflight", [6, 36, 2, 3, 1, 2, 0]),
            ("t4_drain_shutdown_timeout_30", [6, 36, 8, 6, 2, 2, 0]),
            ("t8_json_kill9_enginecore", [1, 36, 3, 30, 0, 2, 0]),
            ("f_kv_cache_too_small", [6, 0, 0, 0, 0, 2, 0]),
        ];
        for (name, want) in cases {
            let lines = recorded(name);
            let count = |kind| lines.iter().filter(|(k, _)| *k == kind).count();
            assert_eq!([Banner, Route, Probe, Access, Stats, Bar, Request].map(count), want, "{name}");
        }
    }

    #[test]
    fn a_traceback_ends_with_the_line_that_names_the_exception() {
        let mut named = Vec::new();
        for name in [
            "f_kv_cache_too_small",
            "t4_drain_shutdown_timeout_30",
            "f_bad_repo_id_online",
            "t5_devmode_apikey_module",
        ] {
            let lines = recorded(name);
            for pair in lines.windows(2) {
                let ((before, text), (now, next)) = (&pair[0], &pair[1]);
                if *before == Trace && *now != Trace {
                    named.push(text.split(':').next().unwrap_or_default().to_owned());
                }
                if *before != Trace && *now == Trace {
                    let begins = ["Traceback (most recent", "During handling of", "The above exception"];
                    assert!(begins.iter().any(|b| next.contains(b)), "{name}: {next}");
                }
            }
        }
        assert!(named.len() > 8, "{named:?}");
        let usual = ["Error", "Exception", "KeyboardInterrupt"];
        let odd: Vec<_> = named.iter().filter(|n| !usual.iter().any(|end| n.ends_with(end))).collect();
        assert!(odd.is_empty(), "{odd:?}");
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_them(text in "(\\[a\\.py:1\\] |[A-Z]?[ -~é▄]|Request |Engine 0: |127\\.1 - \"|GET /health| HTTP/1\\.1|\" 200){0,8}") {
            let (place, message) = placed(&text);
            of_message(place, message);
            of_access(&text);
            proptest::prop_assert!(text.ends_with(message));
        }
    }
}
