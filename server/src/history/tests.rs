//! The room as a whole: a feed in, a keeper between, views and searches out.

use super::*;
use crate::logs::Limits;
use crate::logs::classify_common;
use app::model::{Level, LevelCounts, Stream};
use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

fn name() -> ServiceName {
    ServiceName::parse("vllm").expect("a name")
}

fn bounds() -> Bounds {
    Bounds { total: Some(1 << 40), service: None, days: 0 }
}

fn feed(limits: Limits) -> Arc<Feed> {
    Arc::new(Feed::new(classify_common, limits))
}

const START_MS: i64 = 1_795_348_800_000;

/// Writes lines `from..=to`, one per millisecond; every tenth is a warning.
fn write(feed: &Feed, from: u64, to: u64) {
    for number in from..=to {
        let level = if number % 10 == 0 { "WARNING" } else { "INFO" };
        let text = format!("{level}: line number {number} of some length, as lines have\n");
        let ns = (START_MS + number.cast_signed()) * 1_000_000;
        feed.frame(ns, if number % 7 == 0 { Stream::Stderr } else { Stream::Stdout }, text.as_bytes());
    }
    feed.flush();
}

fn numbers(view: &View) -> Vec<u64> {
    let mut seen = Vec::new();
    let damaged = view.visit(0..=u64::MAX, Direction::Forwards, &Filter::default(), |line, _| {
        assert!(line.text.contains(&format!("number {} of", line.seq)), "{}", line.text);
        seen.push(line.seq);
        ControlFlow::Continue(())
    });
    assert_eq!(damaged, 0);
    seen
}

fn view(history: &History, run: u64, feed: Option<&Feed>) -> View {
    history.view(&name(), Some(run), feed).expect("readable").expect("known")
}

async fn until(what: impl Fn() -> bool) {
    for _ in 0..2000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not come to pass");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_kept_from_its_first_to_its_last_line_and_the_next_one_beside_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let history = History::new(dir.path().join("logs"), bounds());
    let feed = feed(Limits::default());
    let keeper = Keeper::spawn(history.clone(), name(), feed.clone(), |_| {});
    feed.open_run(3, Timestamp::from_millis(START_MS));
    write(&feed, 1, 20_000);
    feed.close_run();
    feed.open_run(4, Timestamp::from_millis(START_MS));
    write(&feed, 1, 10);
    until(|| history.kept("vllm").len() == 2).await;
    keeper.finish().await;

    let first = view(&history, 3, None);
    assert!(first.ended, "its end is known");
    assert_eq!(numbers(&first), (1..=20_000).collect::<Vec<_>>());
    let warnings = first.counts().of(Level::Warning);
    assert_eq!((warnings, first.lines(), first.last()), (2000, 20_000, 20_000));
    assert_eq!(first.times(), Some((START_MS + 1, START_MS + 20_000)));
    let kept = history.kept("vllm");
    assert!(
        kept[0].bytes < first.pieces.iter().map(|p| u64::from(p.head.text_bytes)).sum::<u64>() / 2,
        "packed"
    );
    let second = view(&history, 4, None);
    assert!(!second.ended);
    assert_eq!(numbers(&second), (1..=10).collect::<Vec<_>>());
    assert!(history.view(&name(), Some(5), None).expect("readable").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_joins_disk_and_memory_without_a_seam() {
    let dir = tempfile::tempdir().expect("a folder");
    let history = History::new(dir.path().join("logs"), bounds());
    // The memory keeps far less than the disk.
    let feed = feed(Limits { keep_lines: 3_000, ..Limits::default() });
    feed.open_run(1, Timestamp::from_millis(START_MS));
    let keeper = Keeper::spawn(history.clone(), name(), feed.clone(), |_| {});
    for step in 0..8 {
        let all = (step + 1) * 2_500;
        write(&feed, all - 2_499, all);
        let joined = view(&history, 1, Some(&feed));
        assert_eq!((joined.first(), joined.last(), joined.lines()), (1, all, all), "at any moment");
        until(|| {
            let alone = history.view(&name(), Some(1), None).expect("readable");
            alone.is_some_and(|view| view.lines() == all)
        })
        .await;
    }
    let joined = view(&history, 1, Some(&feed));
    assert_eq!(numbers(&joined), (1..=20_000).collect::<Vec<_>>());
    assert!(joined.pieces.first().is_some_and(view::Piece::is_on_disk), "the beginning is on disk alone");
    assert!(feed.kept(1).is_some_and(|(first, _)| first > 1), "the memory has it no more");
    keeper.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_that_comes_back_writes_no_line_twice() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().join("logs");
    for end in [5_000, 9_000] {
        // After a restart the engine gives the whole log again.
        let history = History::new(root.clone(), bounds());
        let feed = feed(Limits::default());
        let keeper = Keeper::spawn(history.clone(), name(), feed.clone(), |_| {});
        feed.open_run(1, Timestamp::from_millis(START_MS));
        write(&feed, 1, end);
        until(|| feed.kept(1).is_some_and(|(_, last)| last == end)).await;
        keeper.finish().await;
        assert_eq!(numbers(&view(&history, 1, None)), (1..=end).collect::<Vec<_>>());
    }
}

#[test]
fn what_a_power_loss_tore_is_cut_off_and_the_rest_is_whole() {
    let dir = tempfile::tempdir().expect("a folder");
    let feed = feed(Limits::default());
    feed.open_run(1, Timestamp::from_millis(START_MS));
    write(&feed, 1, 16_000);
    let lines = View::read(Path::new("/nonexistent"), &Indexes::default(), 1, Some(&feed)).expect("memory");
    let lines = lines.expect("known");
    let put = |folder: &Path, from: u64, to: u64| {
        let mut writer = writer::RunWriter::open(folder).expect("opens");
        assert_eq!(writer.last(), from - 1, "what can be read is what is gone on from");
        lines.visit(from..=to, Direction::Forwards, &Filter::default(), |line, _| {
            writer.push(line).expect("written");
            if line.seq % 1_000 == 0 {
                writer.save().expect("saved");
            }
            ControlFlow::Continue(())
        });
    };
    let whole = |folder: &Path| {
        let view = View::read(folder, &Indexes::default(), 1, None).expect("readable").expect("known");
        let seen = numbers(&view);
        assert!(seen.iter().copied().eq(1..=seen.len() as u64), "no hole");
        seen.len() as u64
    };
    for (number, (in_tail, part)) in
        [false, true].into_iter().flat_map(|tail| [1, 20, 50, 99, 100].map(|part| (tail, part))).enumerate()
    {
        let folder = dir.path().join(number.to_string());
        put(&folder, 1, 15_000);
        assert_eq!(whole(&folder), 15_000);
        let tail = folder.join(files::TAIL);
        let file = if in_tail {
            tail
        } else {
            // The tail is begun anew only when the segment has come to the disk.
            std::fs::write(&tail, "").expect("written");
            files::segments(&folder).expect("readable").remove(0).1
        };
        let bytes = std::fs::read(&file).expect("readable");
        std::fs::write(&file, &bytes[..bytes.len() - bytes.len() * part / 100]).expect("written");
        let before = whole(&folder);
        assert!(before < 15_000, "{part} % of it are gone");
        put(&folder, before + 1, 16_000);
        assert_eq!(whole(&folder), 16_000);
    }
}

#[test]
fn a_damaged_block_costs_its_lines_and_no_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("1");
    let feed = feed(Limits::default());
    feed.open_run(1, Timestamp::from_millis(START_MS));
    write(&feed, 1, 20_000);
    let lines = View::read(Path::new("/nonexistent"), &Indexes::default(), 1, Some(&feed)).expect("memory");
    let mut writer = writer::RunWriter::open(&folder).expect("opens");
    lines.expect("known").visit(0..=u64::MAX, Direction::Forwards, &Filter::default(), |line, _| {
        writer.push(line).expect("written");
        ControlFlow::Continue(())
    });
    writer.end(START_MS).expect("written");
    let segment = files::segments(&folder).expect("readable").remove(0).1;
    let whole = std::fs::read(&segment).expect("readable");
    let index =
        Indexes::default().of(&segment, &std::fs::File::open(&segment).expect("opens")).expect("readable");
    let second = index.records[1];
    for (at, flips) in [(second.at + 2, "its head"), (second.end() - 9, "its body")] {
        let mut bytes = whole.clone();
        bytes[usize::try_from(at).expect("small")] ^= 0x40;
        std::fs::write(&segment, &bytes).expect("written");
        let view = View::read(&folder, &Indexes::default(), 1, None).expect("readable").expect("known");
        let mut seen = 0;
        view.visit(0..=u64::MAX, Direction::Forwards, &Filter::default(), |line, _| {
            assert!(!(second.head.first..second.head.end()).contains(&line.seq), "{flips}");
            seen += 1;
            ControlFlow::Continue(())
        });
        assert_eq!(seen, 20_000 - second.head.count, "{flips}");
        let reopened = writer::RunWriter::open(&folder).expect("opens");
        assert_eq!(reopened.last(), 20_000, "nothing behind it is thrown away");
        assert_eq!(std::fs::metadata(&segment).expect("there").len(), whole.len() as u64);
    }
    std::fs::write(&segment, b"this is no log").expect("written");
    let view = View::read(&folder, &Indexes::default(), 1, None).expect("readable").expect("known");
    assert_eq!(view.lines(), 0);
    assert!(writer::RunWriter::open(&folder).is_ok());
}

#[test]
fn lines_are_found_by_number_time_level_and_text() {
    let feed = feed(Limits::default());
    feed.open_run(1, Timestamp::from_millis(START_MS));
    write(&feed, 1, 12_000);
    let view = View::read(Path::new("/nonexistent"), &Indexes::default(), 1, Some(&feed)).expect("memory");
    let view = view.expect("known");
    assert!(view.pieces.len() > 2);
    let picked = |at, before, limit, filter: Filter| -> Vec<u64> {
        let lines = view.select(&Selection { at, before, filter, limit }, write_json_line);
        let lines = lines.lines().map(|json| serde_json::from_str::<app::model::Line>(json).expect("a line"));
        lines.map(|line| line.seq).collect()
    };
    let all = Filter::default;
    assert_eq!(picked(Anchor::End, None, 3, all()), [11_998, 11_999, 12_000]);
    assert_eq!(picked(Anchor::End, Some(100), 2, all()), [98, 99]);
    assert_eq!(picked(Anchor::After(5_000), None, 2, all()), [5_001, 5_002]);
    assert_eq!(picked(Anchor::After(5_000), Some(5_002), 9, all()), [5_001]);
    assert_eq!(picked(Anchor::After(u64::MAX), None, 9, all()), [0_u64; 0]);
    assert_eq!(picked(Anchor::Around(6_000), None, 5, all()), [5_998, 5_999, 6_000, 6_001, 6_002]);
    assert_eq!(picked(Anchor::Around(1), None, 4, all()), [1, 2, 3, 4]);
    assert_eq!(picked(Anchor::Around(12_000), None, 4, all()), [11_997, 11_998, 11_999, 12_000]);
    assert_eq!(picked(Anchor::Around(99_999), None, 2, all()), [11_999, 12_000]);
    assert_eq!(picked(Anchor::At(START_MS + 700), None, 2, all()), [699, 700]);
    assert_eq!(view.line_at(START_MS - 5), 1);
    assert_eq!(view.line_at(START_MS + 99_999), 12_001);
    let warnings = || Filter { levels: vec![Level::Warning], ..all() };
    assert_eq!(picked(Anchor::After(15), None, 2, warnings()), [20, 30]);
    assert_eq!(picked(Anchor::End, None, 2, warnings()), [11_990, 12_000]);
    let text = Filter { query: Some(Query::words("NUMBER 777 ").expect("text")), ..all() };
    assert_eq!(picked(Anchor::End, None, 9, text), [777]);
    let stderr = Filter { stream: Some(Stream::Stderr), to_ms: Some(START_MS + 15), ..all() };
    assert_eq!(picked(Anchor::After(0), None, 9, stderr), [7, 14]);
}

#[test]
fn text_is_found_in_any_case_and_escapes_are_none() {
    let feed = feed(Limits::default());
    feed.open_run(1, Timestamp::from_millis(START_MS));
    let text = "INFO:api:Straße \"one\"\nERROR:Core:two\tthree\nWARNING:api:Two\nbare C:\\\n";
    feed.frame(START_MS * 1_000_000, Stream::Stdout, text.as_bytes());
    let view = View::read(Path::new("/nonexistent"), &Indexes::default(), 1, Some(&feed)).expect("memory");
    let view = view.expect("known");
    let find = |query: &str| -> Vec<u64> {
        let mut seen = Vec::new();
        let filter = Filter { query: Some(Query::words(query).expect("text")), ..Filter::default() };
        view.visit(0..=u64::MAX, Direction::Forwards, &filter, |line, _| {
            seen.push(line.seq);
            ControlFlow::Continue(())
        });
        seen
    };
    assert_eq!(find("TWO"), [2, 3]);
    assert_eq!(find("two\tTHREE"), [2]);
    assert_eq!(find("\"ONE\""), [1]);
    assert_eq!(find("STRASSE"), [0; 0]);
    assert_eq!(find("STRAßE"), [1]);
    assert_eq!(find("core"), [2], "the source counts");
    assert_eq!(find("t"), [1, 2, 3], "escapes do not");
    assert_eq!(find("c:\\"), [4]);
    assert_eq!(find("\\t"), [0; 0]);
    let mut plain = String::new();
    view.visit(0..=u64::MAX, Direction::Forwards, &Filter::default(), |line, _| {
        write_text(&mut plain, line);
        ControlFlow::Continue(())
    });
    let time = Timestamp::from_millis(START_MS);
    assert_eq!(
        plain,
        format!(
            "{time} INFO (api) Straße \"one\"\n{time} ERROR (Core) two\tthree\n{time} WARNING (api) Two\n{time} bare C:\\\n"
        )
    );
}

#[test]
fn a_search_tells_hits_with_context_the_count_and_when() {
    let dir = tempfile::tempdir().expect("a folder");
    let history = History::new(dir.path().into(), bounds());
    let feed = feed(Limits::default());
    feed.open_run(1, Timestamp::from_millis(START_MS));
    write(&feed, 1, 12_000);
    let views = [view(&history, 1, Some(&feed))];
    let search = Search {
        filter: Filter {
            query: Some(Query::pattern(r"number \d*00 ").expect("an expression")),
            ..Filter::default()
        },
        context: 2,
        limit: 5,
    };
    let (mut hits, mut last) = (Vec::new(), None);
    let end = search.run(
        &views,
        |hit| {
            hits.push(hit);
            ControlFlow::Continue(())
        },
        |answer| {
            last = Some(answer.clone());
            ControlFlow::Continue(())
        },
    );
    assert!(end.is_continue());
    let answer = last.expect("told");
    assert!(answer.done);
    assert_eq!((answer.matches, answer.lines, answer.of_lines, answer.damaged), (120, 12_000, 12_000, 0));
    let seqs: Vec<u64> = hits.iter().map(|hit| hit.line.line().seq).collect();
    assert_eq!(seqs, [12_000, 11_900, 11_800, 11_700, 11_600], "the latest first");
    let around = |lines: &[search::OwnLine]| lines.iter().map(|line| line.line().seq).collect::<Vec<_>>();
    assert_eq!((around(&hits[0].before), around(&hits[0].after)), (vec![11_998, 11_999], vec![]));
    assert_eq!(
        (around(&hits[1].before), around(&hits[1].after)),
        (vec![11_898, 11_899], vec![11_901, 11_902])
    );
    let counted = answer.timeline.bins.iter().flatten().sum::<u64>();
    assert_eq!(counted, 120);
    assert!(answer.timeline.bins.iter().all(|bin| bin[Level::Warning as usize] == 2), "evenly over the time");
    let stopped = search.run(&views, |_| ControlFlow::Break(()), |_| ControlFlow::Continue(()));
    assert!(stopped.is_break(), "nobody listens any more");
}

#[test]
fn the_oldest_runs_go_first_and_the_last_two_never_as_a_whole() {
    let dir = tempfile::tempdir().expect("a folder");
    let make = |service: &str, run: u64, days: u64, sizes: &[u64]| {
        let folder = dir.path().join(service).join(run.to_string());
        std::fs::create_dir_all(&folder).expect("made");
        for (index, size) in sizes.iter().enumerate() {
            let path = folder.join(files::segment_name(index as u64 * 1000 + 1));
            let file = std::fs::File::create(path).expect("made");
            file.set_len(*size).expect("sized");
            let age = Duration::from_secs(days * 86_400);
            file.set_modified(SystemTime::now() - age).expect("dated");
        }
    };
    for run in 1..=6 {
        make("a", run, 70 - run * 10, &[100]);
    }
    make("b", 9, 90, &[100]);
    make("b", 11, 80, &[100]);
    let runs = |history: &History, service: &str| -> Vec<u64> {
        history.kept(service).iter().map(|kept| kept.run).collect()
    };
    let days = History::new(dir.path().into(), Bounds { total: Some(1000), service: Some(1000), days: 35 });
    assert_eq!(days.tidy(SystemTime::now()), [("a".into(), 1), ("a".into(), 2), ("a".into(), 3)]);
    assert_eq!((runs(&days, "a"), runs(&days, "b")), (vec![4, 5, 6], vec![9, 11]), "the last two stay");
    let total = History::new(dir.path().into(), Bounds { total: Some(450), service: Some(1000), days: 0 });
    assert_eq!(total.tidy(SystemTime::now()), [("a".into(), 4)]);
    make("c", 1, 0, &[400, 400, 400]);
    let service =
        History::new(dir.path().into(), Bounds { total: Some(10_000), service: Some(1_000), days: 0 });
    assert_eq!(service.tidy(SystemTime::now()), []);
    let long: Vec<u64> = service.kept("c").iter().map(|kept| kept.bytes).collect();
    assert_eq!(long, [800], "what even the last runs have too much goes from their oldest lines");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_refuses_is_told_and_taken_up_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().join("logs");
    // A file where the folder should be: nothing can be written below it.
    std::fs::write(&root, "in the way").expect("written");
    let history = History::new(root.clone(), bounds());
    let feed = feed(Limits::default());
    let keeper = Keeper::spawn(history.clone(), name(), feed.clone(), |_| {});
    feed.open_run(1, Timestamp::from_millis(START_MS));
    write(&feed, 1, 3_000);
    let mut trouble = history.trouble();
    let told = trouble.wait_for(Option::is_some).await.expect("told").clone().expect("said");
    assert_eq!(told.kind, LogTroubleKind::Failed);
    assert!(told.folder.ends_with("logs"), "{told:?}");
    assert_eq!(numbers(&view(&history, 1, Some(&feed))).len(), 3_000, "it is served from memory");
    std::fs::remove_file(&root).expect("gone");
    trouble.wait_for(Option::is_none).await.expect("taken up again");
    keeper.finish().await;
    assert_eq!(numbers(&view(&history, 1, None)).len(), 3_000, "nothing is missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_deleted_is_begun_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().join("logs");
    let history = History::new(root.clone(), bounds());
    let feed = feed(Limits::default());
    let keeper = Keeper::spawn(history.clone(), name(), feed.clone(), |_| {});
    feed.open_run(1, Timestamp::from_millis(START_MS));
    write(&feed, 1, 100);
    until(|| history.kept("vllm").first().is_some_and(|kept| kept.bytes > 0)).await;
    std::fs::remove_dir_all(&root).expect("gone");
    write(&feed, 101, 200);
    until(|| history.kept("vllm").first().is_some_and(|kept| kept.bytes > 0)).await;
    keeper.finish().await;
    assert_eq!(
        view(&history, 1, None).counts(),
        LevelCounts { info: 180, warning: 20, ..Default::default() }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_are_kept_where_they_were() {
    let dir = tempfile::tempdir().expect("a folder");
    let history = History::new(dir.path().join("logs"), bounds());
    let feed = feed(Limits::default());
    feed.open_run(1, Timestamp::from_millis(START_MS));
    write(&feed, 1, 10);
    feed.note_gap(Some(7));
    write(&feed, 11, 20);
    feed.note_gap(None);
    let keeper = Keeper::spawn(history.clone(), name(), feed.clone(), |_| {});
    keeper.finish().await;
    let view = view(&history, 1, None);
    assert_eq!(view.gaps, [(10, 7), (20, 0)]);
    assert_eq!(numbers(&view).len(), 20);
}

/// A reader of a file waits for the disk: what the file has is not lost because it came too fast.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_that_a_file_has_comes_to_the_disk_as_a_whole() {
    let dir = tempfile::tempdir().expect("a folder");
    let history = History::new(dir.path().join("logs"), bounds());
    let feed = feed(Limits::default());
    feed.open_run(1, Timestamp::from_millis(START_MS));
    let keeper = Keeper::spawn(history.clone(), name(), feed.clone(), |_| {});
    // The largest frames that a file has.
    for frame in 1..=8 {
        feed.frame((START_MS + frame) * 1_000_000, Stream::Stdout, "\n".repeat(64 << 10).as_bytes());
        feed.room().await;
    }
    feed.flush();
    keeper.finish().await;
    let tally = history.tally(&name());
    assert_eq!((tally.stored.get(), tally.dropped.get()), (8 * (64 << 10), 0));
    // Where nobody writes to a disk, nobody is waited for.
    feed.frame(i64::MAX, Stream::Stdout, "\n".repeat(100_000).as_bytes());
    feed.room().await;
}

#[test]
fn what_processes_write_counts_and_has_a_bound() {
    let dir = tempfile::tempdir().expect("a folder");
    let (logs, raw) = (dir.path().join("logs"), dir.path().join("processes"));
    let put = |folder: std::path::PathBuf, name: &str, bytes: usize| {
        std::fs::create_dir_all(&folder).expect("made");
        std::fs::write(folder.join(name), vec![b'x'; bytes]).expect("written");
    };
    for run in 1..=5 {
        put(logs.join("vllm").join(run.to_string()), "tail", 100_000);
    }
    put(raw.join("vllm/1"), "log.000001", 300_000);
    put(raw.join("other/1"), "log.000001", 50_000);
    let bounds = Bounds { total: Some(1_000_000), service: Some(550_000), days: 0 };
    let gone = |history: &History| history.tidy(SystemTime::now()).len();
    let history = History::with_raw(logs, vec![raw], bounds);
    assert_eq!(gone(&history), 3, "what is left of the service's share is for two runs");
    assert_eq!(history.bytes().get("vllm"), Some(&500_000));
    assert_eq!(history.bytes().get("other"), Some(&50_000));
    for (service, least, most) in
        [(Some(16 << 20), 2 << 20, 2 << 20), (None, 1 << 20, 512 << 20), (Some(1), 1 << 20, 1 << 20)]
    {
        let history = History::new(dir.path().join("none"), Bounds { total: None, service, days: 0 });
        let limit = history.raw_limit(1);
        assert!((least..=most).contains(&limit), "{service:?}: {limit}");
        assert_eq!(history.raw_limit(1_000_000), 1 << 20, "the least");
    }
}
