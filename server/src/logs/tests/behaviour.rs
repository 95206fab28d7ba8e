//! What one viewer, one search and one failure see.

use super::*;
use app::model::{Level, LogPosition, ServiceName};
use std::sync::Mutex;

fn at(run: u64, seq: u64) -> Cursor {
    Cursor::after(LogPosition { run, seq })
}

#[test]
fn a_viewer_gets_the_kept_lines_and_then_what_comes() {
    let feed = feed(Limits::default());
    open(&feed, 7);
    write(&feed, "a\nb\nc\n");
    let (mut all, mut last) = (Cursor::from_start(), Cursor::tail(1));
    assert_eq!(drain(&feed, &mut all), ["7.1-3 a,b,c"]);
    assert_eq!(drain(&feed, &mut last), ["7.3-3 c"]);
    let mut waiting = feed.subscribe();
    waiting.mark_unchanged();
    write(&feed, "d\ne");
    assert!(waiting.has_changed().expect("open"));
    assert_eq!(drain(&feed, &mut all), ["7.4-4 d"]);
    feed.close_run();
    assert_eq!(drain(&feed, &mut last), ["7.4-4 d", "7.5-5 e"], "an unfinished line ends with its run");
}

#[test]
fn a_viewer_of_the_run_before_gets_its_rest_first() {
    let feed = feed(Limits::default());
    let mut early = Cursor::from_start();
    assert_eq!(drain(&feed, &mut early), [""; 0]);
    open(&feed, 3);
    write(&feed, "a\nb\n");
    open(&feed, 5);
    write(&feed, "c\n");
    assert_eq!(drain(&feed, &mut early), ["run 5 after 3", "5.1-1 c"], "it began before any run");
    assert_eq!(drain(&feed, &mut at(3, 1)), ["3.2-2 b", "run 5 after 3", "5.1-1 c"]);
    assert_eq!(
        drain(&feed, &mut at(2, 9)),
        ["gap 2.9 None", "run 5 after 3", "5.1-1 c"],
        "a run that is gone"
    );
    open(&feed, 6);
    assert_eq!(drain(&feed, &mut early), ["run 6 after 5"]);
    assert_eq!(drain(&feed, &mut at(3, 1)), ["gap 3.1 None", "run 6 after 5"], "only one run before is kept");
}

#[test]
fn a_viewer_ahead_of_the_log_waits_for_it() {
    let feed = feed(Limits::default());
    let mut cursor = at(4, 2);
    assert_eq!(drain(&feed, &mut cursor), [""; 0], "no run yet");
    open(&feed, 4);
    write(&feed, "a\n");
    assert_eq!(drain(&feed, &mut cursor), [""; 0]);
    write(&feed, "b\nc\n");
    assert_eq!(drain(&feed, &mut cursor), ["4.3-3 c"]);
}

#[test]
fn a_noted_gap_is_told_once_at_its_place() {
    let feed = feed(Limits::default());
    open(&feed, 1);
    write(&feed, "a\nb\n");
    let mut cursor = Cursor::from_start();
    assert_eq!(drain(&feed, &mut cursor), ["1.1-2 a,b"]);
    feed.note_gap(Some(120));
    write(&feed, "c\n");
    feed.note_gap(None);
    assert_eq!(drain(&feed, &mut cursor), ["gap 1.2 Some(120)", "1.3-3 c", "gap 1.3 None"]);
    assert_eq!(drain(&feed, &mut cursor), [""; 0]);
    assert_eq!(
        drain(&feed, &mut Cursor::from_start()),
        ["1.1-2 a,b", "gap 1.2 Some(120)", "1.3-3 c", "gap 1.3 None"]
    );
}

#[test]
fn lines_that_went_are_counted() {
    let feed = feed(Limits { keep_lines: 3, ..Limits::default() });
    open(&feed, 1);
    let mut cursor = Cursor::from_start();
    assert_eq!(drain(&feed, &mut cursor), [""; 0]);
    let long = "x".repeat(70_000);
    for _ in 0..10 {
        write(&feed, &format!("{long}\n"));
    }
    let summary = feed.summary(&ServiceName::parse("vllm").expect("a name"));
    assert_eq!((summary.run, summary.last, summary.counts.other), (Some(1), 10, 10));
    assert_eq!(summary.first, 8);
    assert!(
        matches!(feed.read(&mut cursor, 1, Take::Any), Some(Batch::Gap(gap)) if gap.after == 0 && gap.count == Some(7))
    );
    let mut got = Vec::new();
    while let Some(Batch::Lines { first, last, .. }) = feed.read(&mut cursor, 1, Take::Any) {
        got.push((first, last));
    }
    assert_eq!(got, [(8, 8), (9, 9), (10, 10)], "at least one line at a time");
    assert_eq!(feed.kept(1), Some((8, 10)));
}

#[test]
fn a_run_keeps_within_its_bytes_and_the_run_before_within_fewer() {
    let limits = Limits { run_bytes: 600_000, previous_bytes: 250_000, ..Limits::default() };
    let feed = feed(limits);
    let kept = |run| {
        let (_, chunks) = feed.chunks(Some(run), 0).expect("at hand");
        chunks.iter().map(|chunk| chunk.len()).sum::<usize>()
    };
    open(&feed, 1);
    for _ in 0..400 {
        write(&feed, &format!("{}\n", "x".repeat(10_000)));
    }
    assert!((400_000..600_000).contains(&kept(1)), "{}", kept(1));
    open(&feed, 2);
    assert!((100_000..250_000).contains(&kept(1)), "{}", kept(1));
}

#[test]
fn colours_keep_their_words_when_the_prefix_goes() {
    let feed = Feed::new(crate::vllm::grammar::classify, Limits::default());
    open(&feed, 1);
    write(
        &feed,
        "\x1b[0;36m(APIServer pid=15575)\x1b[0;0m \x1b[32mINFO\x1b[0m \x1b[90m11-22 12:28:54\x1b[0m \x1b[90m[a.py:7]\x1b[0m  version \x1b[1m0.32.0\x1b[0m\r\r\n",
    );
    let line = feed.tail(1).remove(0);
    assert_eq!(
        (line.level, line.source.as_str(), line.text.as_str()),
        (Level::Info, "APIServer", "[a.py:7]  version 0.32.0")
    );
    assert_eq!(
        line.spans,
        [app::model::Span(0, 8, "bright-black".into()), app::model::Span(18, 24, "bold".into())]
    );
}

#[test]
fn a_new_run_inherits_nothing() {
    let feed = feed(Limits::default());
    open(&feed, 1);
    write(&feed, "ERROR:a:down\n");
    open(&feed, 2);
    write(&feed, "  indented\n");
    assert_eq!(feed.tail(1).remove(0).level, Level::Other);
}

#[test]
fn a_bar_is_progress_until_it_ends_and_then_a_line() {
    let feed = feed(Limits::default());
    open(&feed, 1);
    let mut cursor = Cursor::from_start();
    let mut seen = Vec::new();
    for bytes in ["\r 1/3", "\r 2/3", " [x]", "\r\x1b[31m 3/3\x1b[0m", "\n"] {
        feed.frame(5, Stream::Stderr, bytes.as_bytes());
        feed.flush();
        seen.extend(drain(&feed, &mut cursor));
    }
    assert_eq!(
        seen,
        ["progress  1/3", "progress  2/3", "progress  2/3 [x]", "progress  3/3", "1.1-1  3/3", "progress "]
    );
    assert_eq!(
        drain(&feed, &mut Cursor::from_start()),
        ["1.1-1  3/3"],
        "an ended bar is no news to a new viewer"
    );
    write(&feed, "\rhalf");
    assert_eq!(drain(&feed, &mut Cursor::tail(0)), ["progress half"]);
    feed.close_run();
    assert_eq!(
        drain(&feed, &mut cursor),
        ["1.2-2 half"],
        "what it showed and lost in between is no news either"
    );
}

#[test]
fn an_observer_hears_every_line_and_every_bar() {
    let feed = feed(Limits::default());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&heard);
    feed.observe(Box::new(move |line| {
        log.lock().expect("unpoisoned").push(format!("{:?} {} {}", line.seq, line.level.as_str(), line.text));
    }));
    open(&feed, 1);
    write(&feed, "WARNING: a\n\r50%");
    feed.close_run();
    assert_eq!(
        *heard.lock().expect("unpoisoned"),
        ["Some(1) warning a", "None other 50%", "Some(2) other 50%"]
    );
}

#[test]
fn reading_goes_on_behind_the_last_frame() {
    let feed = feed(Limits::default());
    write(&feed, "before any run\n");
    open(&feed, 1);
    assert_eq!((feed.position().nth, feed.first_frame_ns()), (0, None));
    for time in [10, 20, 20, 20] {
        feed.frame(time, Stream::Stdout, b"x");
    }
    assert_eq!((feed.position().time_ns, feed.position().nth, feed.first_frame_ns()), (20, 3, Some(10)));
    open(&feed, 1);
    assert_eq!(feed.position().nth, 3, "opening the same run again changes nothing");
    open(&feed, 2);
    assert_eq!((feed.position().time_ns, feed.position().nth), (0, 0));
    assert_eq!(drain(&feed, &mut at(1, 0)), ["1.1-1 xxxx", "run 2 after 1"]);
}

fn searchable() -> Arc<Feed> {
    let feed = feed(Limits::default());
    open(&feed, 1);
    write(&feed, "INFO:api:Straße \"one\"\nERROR:Core:two\tthree\nWARNING:api:Two\nbare C:\\\n");
    feed
}

#[test]
fn the_tail_has_the_last_lines_in_order() {
    let feed = searchable();
    let tail = feed.tail(2);
    assert_eq!(
        tail.iter().map(|line| (line.seq, line.text.as_str())).collect::<Vec<_>>(),
        [(3, "Two"), (4, "bare C:\\")]
    );
}

#[test]
fn evidence_is_what_went_wrong_not_where() {
    let feed = searchable();
    let stderr = "Triton is missing\n/a.py:1: UserWarning: leaked\nTraceback (most recent call last):\n  File \"a.py\", line 1, in f\n    f()\n    ^^^\n\
        ValueError: too small\nLoading: 100% | 1/1 [00:00<00:00, 9.0it/s]\n\n";
    feed.frame(1, Stream::Stderr, stderr.as_bytes());
    assert_eq!(feed.evidence(5), ["two\tthree", "Triton is missing", "ValueError: too small"]);
    assert_eq!(feed.evidence(1), ["ValueError: too small"]);
    open(&feed, 2);
    write(&feed, &format!("INFO:a:fine\n{}\n", "é".repeat(600)));
    assert_eq!(
        feed.evidence(2),
        ["fine".to_owned(), "é".repeat(500)],
        "where nothing is wrong, the last lines"
    );
}

#[test]
fn a_message_unwrapped_from_json_is_cleaned_again() {
    let feed = feed(Limits::default());
    open(&feed, 1);
    write(&feed, "{\"level\":\"error\",\"message\":\"\\u001b[31mred\\u001b[0m\\nnext\\u202e\"}\n");
    let line = feed.tail(1).remove(0);
    assert_eq!((line.level, line.text.as_str()), (Level::Error, "red␊next‹U+202E›"));
    assert_eq!(line.spans, [app::model::Span(0, 3, "red".into())]);
}

#[test]
fn viewers_at_one_place_get_the_same_bytes() {
    let feed = feed(Limits::default());
    open(&feed, 1);
    write(&feed, "a\nb\nc\n");
    let lines = |cursor: &mut Cursor, take| match feed.read(cursor, 256 << 10, take) {
        Some(Batch::Lines { first, last, json, .. }) => Some((first, last, json.as_ptr())),
        None => None,
        Some(other) => panic!("{other:?}"),
    };
    let (mut one, mut two, mut late) = (Cursor::from_start(), Cursor::from_start(), at(1, 1));
    let made = lines(&mut one, Take::Any).expect("lines");
    assert_eq!((made.0, made.1), (1, 3));
    write(&feed, "d\n");
    assert_eq!(lines(&mut two, Take::Any), Some(made), "although there is more by now");
    assert_eq!(lines(&mut two, Take::Made), None, "nobody has the rest yet");
    let beside = lines(&mut late, Take::Any).expect("lines");
    assert_eq!((beside.0, beside.1), (2, 3), "up to where the others stand");
    let next = lines(&mut late, Take::Any).expect("lines");
    assert_eq!((next.0, next.1), (4, 4));
    for cursor in [&mut one, &mut two] {
        assert_eq!(lines(cursor, Take::Made), Some(next));
        assert_eq!(lines(cursor, Take::Any), None);
    }
    open(&feed, 2);
    write(&feed, "e\n");
    assert_eq!(drain(&feed, &mut one), ["run 2 after 1", "2.1-1 e"]);
    assert_eq!(drain(&feed, &mut at(1, 3)), ["1.4-4 d", "run 2 after 1", "2.1-1 e"]);
}

#[test]
fn a_batch_is_not_shared_with_a_viewer_that_wants_smaller_ones() {
    let feed = feed(Limits::default());
    open(&feed, 1);
    write(&feed, "a\nb\n");
    assert_eq!(drain(&feed, &mut at(1, 0)), ["1.1-2 a,b"]);
    let Some(Batch::Lines { last, .. }) = feed.read(&mut at(1, 0), 1, Take::Any) else { panic!("lines") };
    assert_eq!(last, 1);
}

#[test]
fn ten_megabytes_without_an_end_are_one_line_with_a_mark() {
    let feed = feed(Limits::default());
    open(&feed, 1);
    let long = "x".repeat(10_000_000);
    for frame in long.as_bytes().chunks(16 << 10) {
        feed.frame(1, Stream::Stdout, frame);
        feed.flush();
    }
    write(&feed, "\nnext\n");
    let (_, chunks) = feed.chunks(Some(1), 0).expect("the run");
    let stored = chunks[0].lines().next().expect("a line");
    let whole: app::model::Line = serde_json::from_str(stored.json).expect("a line");
    assert!(whole.text.ends_with("x … [cut: 8,951,424 bytes more]"), "{}", &whole.text[1 << 20..]);
    // Viewers get its beginning, and how long it is.
    let lines = feed.tail(2);
    assert_eq!(lines[0].kind, app::model::LineKind::Cut);
    assert_eq!(app::model::whole_bytes(&lines[0].text), Some(whole.text.len() as u64));
    assert!(lines[0].text.len() < 9000);
    assert_eq!((lines[0].seq, lines[1].seq, lines[1].text.as_str()), (1, 2, "next"));
    let all = drain(&feed, &mut Cursor::from_start());
    assert_eq!(all.len(), 2, "larger than a batch, and delivered");
    assert!(all[1].ends_with("next"));
}

#[test]
fn one_line_for_ever_stays_within_the_bounds_and_is_counted() {
    let limits = Limits { run_bytes: 1 << 20, keep_lines: 5_000, ..Limits::default() };
    let feed = feed(limits);
    open(&feed, 1);
    let frame = "ERROR: again\n".repeat(1_000);
    let mut slow = Cursor::from_start();
    feed.place(&mut slow);
    for _ in 0..300 {
        write(&feed, &frame);
    }
    let summary = feed.summary(&ServiceName::parse("vllm").expect("a name"));
    assert_eq!((summary.last, summary.counts.error), (300_000, 300_000));
    let kept = summary.last + 1 - summary.first;
    assert!((5_000..12_000).contains(&kept), "{kept}");
    let (mut got, mut missed) = (0, 0);
    while let Some(batch) = feed.read(&mut slow, 256 << 10, Take::Any) {
        match batch {
            Batch::Lines { first, last, .. } => got += last + 1 - first,
            Batch::Gap(gap) => missed += gap.count.expect("exact"),
            _ => {}
        }
    }
    assert_eq!((got, got + missed), (kept, 300_000));
}

#[test]
fn a_clock_that_jumps_back_changes_no_order() {
    let feed = feed(Limits::default());
    open(&feed, 1);
    let mut cursor = Cursor::from_start();
    let hour = 3_600_000_000_000;
    for (time, text) in [
        (2 * hour, "a\n"),
        (hour, "b\n"),
        (3 * hour, "c\n"),
        (-hour, "d\n"),
        (i64::MIN + 1_000_000_000, "e\n"),
    ] {
        feed.frame(time, Stream::Stdout, text.as_bytes());
        feed.flush();
    }
    assert_eq!(drain(&feed, &mut cursor), ["1.1-5 a,b,c,d,e"]);
    let times: Vec<String> = feed.tail(5).iter().take(4).map(|line| line.time.to_string()).collect();
    let at = ["1970-01-01T02", "1970-01-01T01", "1970-01-01T03", "1969-12-31T23"];
    assert_eq!(times, at.map(|hour| format!("{hour}:00:00.000Z")));
}
