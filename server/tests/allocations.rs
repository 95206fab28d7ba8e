//! What a line may cost in allocations, from the engine's bytes to the ring and from there to a viewer: none of its own, only
//! its share of chunks and batches. A program of its own, because it counts with an allocator of its own.

use app::model::{LogPosition, Stream, Timestamp};
use server::logs::{Batch, Cursor, Feed, Limits, Take};
use server::vllm::grammar;

const LINES: u64 = 50_000;
/// Allocations per line.
const BUDGET: f64 = 0.05;

/// Lines of a service that serves, in frames as the engine sends them.
fn lines() -> Vec<String> {
    let forms: [fn(u64) -> String; 6] = [
        |n| {
            format!(
                "(APIServer pid=13642) INFO 11-22 12:28:11 [launcher.py:195] request cmpl-{n:08} of lydia: 512 tokens\n"
            )
        },
        |n| format!("(EngineCore pid=13685) WARNING 11-22 12:27:26 [core.py:133] step {n} took long\n"),
        |n| format!("INFO:     127.0.0.1:{} - \"POST /v1/completions HTTP/1.1\" 200 OK\n", 1024 + n % 60_000),
        |n| format!("bare line number {n} with \"quotes\" and \\ and an é\r\n"),
        |n| {
            format!(
                "\x1b[0;36m(APIServer pid=1)\x1b[0;0m \x1b[32mINFO\x1b[0m \x1b[90m11-22 12:28:54\x1b[0m hello {n}\n"
            )
        },
        |n| format!("Traceback (most recent call last): {n}\n"),
    ];
    (0..LINES).zip(forms.iter().cycle()).map(|(n, form)| form(n)).collect()
}

fn feed() -> Feed {
    let feed = Feed::new(grammar::classify, Limits::default());
    feed.open_run(1, Timestamp::from_millis(0));
    feed
}

fn per_line(what: &str, work: impl FnOnce()) -> f64 {
    let counted = allocation_counter::measure(work);
    let each = counted.count_total as f64 / LINES as f64;
    println!("{what}: {each:.4} allocations and {} bytes per line", counted.bytes_total / LINES);
    each
}

fn write(feed: &Feed, frames: &[String]) {
    for (n, frame) in (0..).zip(frames) {
        feed.frame(n * 20_000, Stream::Stdout, frame.as_bytes());
        feed.flush();
    }
}

#[test]
fn a_line_on_its_way_into_the_ring_allocates_nothing_of_its_own() {
    let single = lines();
    let joined: Vec<String> = single.chunks(100).map(|lines| lines.concat()).collect();
    let halves: Vec<String> = single
        .iter()
        .flat_map(|line| {
            let (one, two) = line.split_at(line.len() / 3);
            [one.to_owned(), two.to_owned()]
        })
        .collect();
    for (what, frames) in
        [("a frame each", &single), ("100 in a frame", &joined), ("two frames each", &halves)]
    {
        let feed = feed();
        let each = per_line(what, || write(&feed, frames));
        assert_eq!(feed.tail(1).first().map(|line| line.seq), Some(LINES), "all lines were taken");
        assert!(each <= BUDGET, "{what}: {each} allocations per line, {BUDGET} allowed");
    }
}

#[test]
fn a_line_on_its_way_to_viewers_allocates_nothing_of_its_own() {
    let feed = feed();
    let frames = lines();
    // Fifty viewers that get what came each time a hundred lines have.
    let mut viewers = vec![Cursor::after(LogPosition { run: 1, seq: 0 }); 50];
    let mut got = 0;
    let mut allocations = 0;
    for frames in frames.chunks(100) {
        write(&feed, frames);
        let counted = allocation_counter::measure(|| {
            for viewer in &mut viewers {
                while let Some(batch) = feed.read(viewer, 256 << 10, Take::Any) {
                    if let Batch::Lines { first, last, .. } = batch {
                        got += last + 1 - first;
                    }
                }
            }
        });
        allocations += counted.count_total;
    }
    assert_eq!(got, LINES * 50);
    let each = allocations as f64 / LINES as f64;
    println!("to fifty viewers: {each:.4} allocations per line");
    assert!(each <= BUDGET, "{each} allocations per line for fifty viewers together, {BUDGET} allowed");
    // One that comes late and gets all of it.
    let mut late = Cursor::from_start();
    let each =
        per_line("to one who comes late", || while feed.read(&mut late, 256 << 10, Take::Any).is_some() {});
    assert!(each <= BUDGET, "{each} allocations per line, {BUDGET} allowed");
}
