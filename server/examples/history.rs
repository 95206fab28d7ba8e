//! Figures of the history: `history FOLDER MILLIONS` writes a run of so many million lines as vLLM writes them, and measures
//! how fast it is written, searched, opened and jumped about in; with `write` behind it, it only writes. Nothing here passes
//! or fails.

use app::model::{Level, LineKind, ServiceName, Stream};
use server::history::{
    Anchor, Bounds, Filter, History, Line, Query, RunWriter, Search, Selection, write_json_line,
};
use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

const START_MS: i64 = 1_795_348_800_000;

/// A small generator of numbers (xorshift), so that every run is the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, millions, rest @ ..] = arguments.as_slice() else {
        return Err("history FOLDER MILLIONS [write]".into());
    };
    let lines = millions.parse::<u64>()? * 1_000_000;
    let service = ServiceName::parse("bench").map_err(|_| "a name")?;
    write(&Path::new(folder).join("bench/1"), lines)?;
    if rest == ["write"] {
        return Ok(());
    }

    let bounds = Bounds { total: None, service: None, days: 0 };
    let history = History::new(folder.into(), bounds);
    let open = || history.view(&service, Some(1), None).map(|view| view.ok_or("no run"));
    let started = Instant::now();
    let view = open()??;
    println!("opened for the first time: {} lines in {:.1} ms", view.lines(), ms(started));
    let started = Instant::now();
    let view_again = open()??;
    println!("opened again: {} lines in {:.1} ms", view_again.lines(), ms(started));

    let views = [view];
    for (name, query) in [
        ("a word that is nowhere", Query::words("zebra crossing")?),
        ("a word in one line of a million", Query::words("CUDA out of memory")?),
        ("a word in every tenth line", Query::words("throughput")?),
        ("an expression", Query::pattern(r"request cmpl-\w+77 .*finished by (length|stop)")?),
        ("an expression that is nowhere", Query::pattern(r"zebra\d+ crossing")?),
        ("an expression without a literal", Query::pattern(r"\b[0-9a-f]{32}\b")?),
    ] {
        let search =
            Search { filter: Filter { query: Some(query), ..Filter::default() }, context: 1, limit: 200 };
        let started = Instant::now();
        let (mut first, mut last) = (None, None);
        let _ = search.run(
            &views,
            |_| {
                first.get_or_insert_with(|| ms(started));
                ControlFlow::Continue(())
            },
            |answer| {
                last = Some((answer.matches, answer.bytes));
                ControlFlow::Continue(())
            },
        );
        let whole = ms(started);
        let (matches, bytes) = last.ok_or("no answer")?;
        println!(
            "search for {name}: {matches} found, first after {}, whole scan {whole:.0} ms, {:.2} GB/s of text on one core",
            first.map_or("-".to_owned(), |first| format!("{first:.1} ms")),
            bytes as f64 / whole / 1e6
        );
    }

    let [view] = &views;
    let mut dice = Dice(4711);
    let mut times: Vec<f64> = (0..1000)
        .map(|_| {
            let started = Instant::now();
            let at = Anchor::Around(dice.roll(lines) + 1);
            let got = view.select(
                &Selection { at, before: None, filter: Filter::default(), limit: 200 },
                write_json_line,
            );
            assert_eq!(got.lines().count(), 200);
            ms(started)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!(
        "jump to any line (200 lines around it): p50 {:.2} ms, p99 {:.2} ms, most {:.2} ms",
        times[499], times[989], times[999]
    );
    let started = Instant::now();
    let at = view.line_at(START_MS + lines.cast_signed() / 2);
    println!("the line at a time: line {at} in {:.2} ms", ms(started));
    let started = Instant::now();
    let mut next = 0;
    let mut pages = 0;
    while next < 1_000_000 {
        let at = Anchor::After(next);
        let got = view
            .select(&Selection { at, before: None, filter: Filter::default(), limit: 1000 }, write_json_line);
        next += got.lines().count() as u64;
        pages += 1;
    }
    println!("scrolling: {pages} pages of 1,000 lines, {:.2} ms each", ms(started) / f64::from(pages));
    Ok(())
}

fn write(folder: &Path, lines: u64) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let mut writer = RunWriter::open(folder)?;
    let mut dice = Dice(42);
    let mut bytes = 0;
    let mut text = String::new();
    for seq in 1..=lines {
        use std::fmt::Write;
        text.clear();
        let (source, level) = if seq % 1_000_000 == 500_000 {
            text.push_str(
                "[core.py:133] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
            );
            ("EngineCore", Level::Error)
        } else if seq % 10 == 0 {
            write!(
                text,
                "[loggers.py:123] Engine 000: Avg prompt throughput: {}.{} tokens/s, Avg generation throughput: {}.{} tokens/s, Running: {} reqs, Waiting: 0 reqs, GPU KV cache usage: {}.{}%",
                dice.roll(9000),
                dice.roll(10),
                dice.roll(3000),
                dice.roll(10),
                dice.roll(90),
                dice.roll(99),
                dice.roll(10)
            )?;
            ("APIServer", Level::Info)
        } else if seq % 3 == 0 {
            write!(
                text,
                "[launcher.py:195] request cmpl-{:08x} of lydia: prompt {} tokens, 128 new, {}.{:02} s, finished by length",
                dice.roll(1 << 32),
                dice.roll(4096),
                dice.roll(60),
                dice.roll(100)
            )?;
            ("APIServer", Level::Info)
        } else {
            write!(
                text,
                "127.0.0.1:{} - \"POST /v1/chat/completions HTTP/1.1\" 200 OK",
                30_000 + dice.roll(30_000)
            )?;
            ("uvicorn", Level::Info)
        };
        bytes += text.len() + 1;
        writer.push(&Line {
            seq,
            ms: START_MS + seq.cast_signed(),
            level,
            stream: Stream::Stdout,
            kind: LineKind::None,
            source,
            text: &text,
            spans: "",
        })?;
    }
    writer.end(START_MS)?;
    let seconds = started.elapsed().as_secs_f64();
    let on_disk: u64 =
        std::fs::read_dir(folder)?.flatten().filter_map(|e| e.metadata().ok()).map(|m| m.len()).sum();
    println!(
        "written: {lines} lines, {:.0} MB of text, {:.2} million lines/s (with making them), {:.0} MB on disk ({:.1} times smaller)",
        bytes as f64 / 1e6,
        lines as f64 / seconds / 1e6,
        on_disk as f64 / 1e6,
        bytes as f64 / on_disk as f64
    );
    Ok(())
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
