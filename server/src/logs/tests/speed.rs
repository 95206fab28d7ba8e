//! Figures, not judgements: `cargo test --release … -- --ignored --nocapture`.

use super::*;
use crate::vllm::grammar;
use std::time::Instant;

fn measure(name: &str, line: &str, lines: usize, frame_lines: usize) {
    let feed = Feed::new(grammar::classify, Limits::default());
    open(&feed, 1);
    let frame = format!("{line}\n").repeat(frame_lines);
    let started = Instant::now();
    for n in 0..lines / frame_lines {
        feed.frame(n as i64 * 1_000_000, Stream::Stdout, frame.as_bytes());
        feed.flush();
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{name}: {:.2} million lines/s, {:.0} MB/s",
        lines as f64 / seconds / 1e6,
        (lines * (line.len() + 1)) as f64 / seconds / 1e6
    );
}

#[test]
#[ignore = "prints figures"]
fn lines_per_second() {
    let vllm = "(EngineCore pid=13685) INFO 11-22 12:27:26 [core.py:133] request 4711 done";
    measure("short vLLM lines, 64 KiB frames", vllm, 2_000_000, 900);
    measure("short vLLM lines, a frame each", vllm, 2_000_000, 1);
    measure(
        "uvicorn access lines",
        "INFO:     127.0.0.1:52018 - \"GET /health HTTP/1.1\" 200 OK",
        2_000_000,
        100,
    );
    measure("bare lines", "some text without a level that is not so very long", 2_000_000, 100);
    measure(
        "coloured lines",
        "\x1b[0;36m(APIServer pid=15575)\x1b[0;0m \x1b[32mINFO\x1b[0m \x1b[90m11-22 12:28:54\x1b[0m \x1b[90m[api.py:347]\x1b[0m hello",
        1_000_000,
        100,
    );
    measure(
        "JSON lines",
        r#"{"asctime": "2026-11-22 12:48:02,422", "levelname": "INFO", "name": "vllm.v1.worker", "process": 13427, "message": "Starting to load model /models/tiny...", "vllm_process_name": "Worker"}"#,
        500_000,
        100,
    );
    let long = format!("{vllm} {}", "x".repeat(4000));
    measure("lines of 4 KB", &long, 200_000, 16);
}

#[test]
#[ignore = "prints figures"]
fn memory_and_reading() {
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|n| n.parse::<f64>().ok()).unwrap_or_default() / 1024.0
    };
    let before = resident();
    let feed = Arc::new(Feed::new(grammar::classify, Limits::default()));
    open(&feed, 1);
    for n in 0..250_000 {
        let line = format!(
            "(APIServer pid=13642) INFO 11-22 12:28:11 [launcher.py:195] request cmpl-{n:08} of lydia: prompt 512 tokens, 128 new, 3.25 s, finished by length\n"
        );
        feed.frame(n * 1_000_000, Stream::Stdout, line.as_bytes());
    }
    println!(
        "100,000 lines kept: {:.1} MiB resident more, {} kept",
        resident() - before,
        feed.tail(usize::MAX).len()
    );
    let started = Instant::now();
    let (mut cursor, mut bytes) = (Cursor::from_start(), 0);
    while let Some(Batch::Lines { json, .. }) = feed.read(&mut cursor, 256 << 10, Take::Any) {
        bytes += json.len();
    }
    println!(
        "read all in batches: {:.1} MB in {:.1} ms",
        bytes as f64 / 1e6,
        started.elapsed().as_secs_f64() * 1e3
    );
}
