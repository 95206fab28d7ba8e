//! Any order of writing, reading, forgetting and starting anew: no viewer gets a line twice, and none is lost unsaid.

use super::super::decode::SHOWN_BYTES;
use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Counts of noted gaps begin here, so that the test can tell them from lines that went.
const NOTED: u64 = 1_000_000;

#[derive(Clone, Debug)]
enum Step {
    Write { lines: usize, size: usize, stderr: bool },
    OpenRun,
    CloseRun,
    NoteGap,
    Read { viewer: usize, batches: usize, bytes: usize, take: Take },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1_usize..6, 10_usize..30_000, any::<bool>()).prop_map(|(lines, size, stderr)| Step::Write { lines, size, stderr }),
        1 => Just(Step::OpenRun),
        1 => Just(Step::CloseRun),
        1 => Just(Step::NoteGap),
        6 => (0_usize..4, 1_usize..5, 1_usize..200_000, prop::sample::select(vec![Take::Any, Take::Made]))
            .prop_map(|(viewer, batches, bytes, take)| Step::Read { viewer, batches, bytes, take }),
    ]
}

/// What was really written.
#[derive(Default)]
struct Truth {
    lines: BTreeMap<u64, Vec<String>>,
    /// Run, line, count.
    notes: BTreeSet<(u64, u64, u64)>,
    current: u64,
}

struct Viewer {
    cursor: Cursor,
    run: u64,
    after: u64,
    told: BTreeSet<(u64, u64, u64)>,
    /// Said to have lost all of its run.
    lost: bool,
}

impl Viewer {
    fn take(&mut self, batch: Batch, truth: &Truth) {
        match batch {
            Batch::Lines { run, first, last, json } => {
                assert_eq!((run, first), (self.run, self.after + 1), "goes on where it was");
                let lines = parse(&json);
                assert_eq!(lines.len() as u64, last + 1 - first);
                for (seq, line) in (first..).zip(&lines) {
                    let whole = &truth.lines[&run][seq as usize - 1];
                    let told = match app::model::whole_bytes(&line.text) {
                        Some(bytes) if whole.len() > SHOWN_BYTES => {
                            assert_eq!(bytes, whole.len() as u64);
                            assert_eq!(line.text.get(..SHOWN_BYTES), whole.get(..SHOWN_BYTES));
                            whole.clone()
                        }
                        _ => line.text.clone(),
                    };
                    assert_eq!((line.seq, &told), (seq, whole));
                }
                assert!(
                    !truth.notes.iter().any(|(r, at, _)| *r == run && first <= *at && *at < last),
                    "no line across a gap"
                );
                self.after = last;
            }
            Batch::Gap(gap) => {
                assert_eq!((gap.run, gap.after), (self.run, self.after));
                match gap.count {
                    None => self.lost = true,
                    Some(count) if count >= NOTED => {
                        assert!(truth.notes.contains(&(gap.run, gap.after, count)));
                        assert!(self.told.insert((gap.run, gap.after, count)), "told once");
                    }
                    Some(count) => self.after += count,
                }
            }
            Batch::Run { run, previous, .. } => {
                assert_eq!(run, truth.current);
                assert_eq!(previous, truth.lines.keys().rev().nth(1).copied());
                let complete =
                    truth.lines.get(&self.run).is_none_or(|lines| lines.len() as u64 == self.after);
                assert!(self.lost || complete, "left its run with all of its lines");
                (self.run, self.after, self.lost) = (run, 0, false);
            }
            Batch::Progress(_) => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn nothing_twice_and_nothing_lost_unsaid(steps in prop::collection::vec(step(), 1..90)) {
        let limits = Limits { line_bytes: 1 << 20, run_bytes: 300_000, previous_bytes: 150_000, keep_lines: 12 };
        let feed = feed(limits);
        let mut truth = Truth { current: 1, ..Truth::default() };
        open(&feed, 1);
        truth.lines.insert(1, Vec::new());
        let mut viewers: Vec<Viewer> = (0..4)
            .map(|_| Viewer { cursor: Cursor::from_start(), run: 1, after: 0, told: BTreeSet::new(), lost: false })
            .collect();
        for viewer in &mut viewers {
            feed.place(&mut viewer.cursor);
        }
        let mut next = 0;
        for step in steps {
            match step {
                Step::Write { lines, size, stderr } => {
                    let mut bytes = String::new();
                    for _ in 0..lines {
                        next += 1;
                        let line = format!("{next} {}", "x".repeat(size));
                        bytes += &line;
                        bytes.push('\n');
                        truth.lines.get_mut(&truth.current).expect("open").push(line);
                    }
                    let stream = if stderr { Stream::Stderr } else { Stream::Stdout };
                    for frame in bytes.as_bytes().chunks(16 << 10) {
                        feed.frame(next, stream, frame);
                    }
                    feed.flush();
                }
                Step::OpenRun => {
                    truth.current += 2;
                    truth.lines.insert(truth.current, Vec::new());
                    open(&feed, truth.current);
                }
                Step::CloseRun => feed.close_run(),
                Step::NoteGap => {
                    next += 1;
                    let count = NOTED + next as u64;
                    truth.notes.insert((truth.current, truth.lines[&truth.current].len() as u64, count));
                    feed.note_gap(Some(count));
                }
                Step::Read { viewer, batches, bytes, take } => {
                    let viewer = &mut viewers[viewer];
                    for _ in 0..batches {
                        if let Some(batch) = feed.read(&mut viewer.cursor, bytes, take) {
                            viewer.take(batch, &truth);
                        }
                    }
                }
            }
        }
        for viewer in &mut viewers {
            while let Some(batch) = feed.read(&mut viewer.cursor, 100_000, Take::Any) {
                viewer.take(batch, &truth);
            }
            prop_assert_eq!((viewer.run, viewer.after), (truth.current, truth.lines[&truth.current].len() as u64));
        }
    }
}

#[test]
fn viewers_on_other_threads_see_each_line_once_and_in_order() {
    const LINES: u64 = 30_000;
    let feed = feed(Limits { keep_lines: 2000, ..Limits::default() });
    open(&feed, 1);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut cursor = Cursor::from_start();
                let mut after = 0;
                while after < LINES {
                    match feed.read(&mut cursor, 50_000, Take::Any) {
                        Some(Batch::Lines { first, last, json, .. }) => {
                            // A viewer begins with the first line that is kept when it comes.
                            assert!(first == after + 1 || after == 0, "{first} behind {after}");
                            assert_eq!(parse(&json).len() as u64, last + 1 - first);
                            after = last;
                        }
                        Some(Batch::Gap(gap)) => {
                            assert_eq!(gap.after, after);
                            after += gap.count.expect("exact");
                        }
                        _ => std::thread::yield_now(),
                    }
                }
            });
        }
        for n in 0..LINES {
            write(&feed, &format!("INFO:a:line number {n} with a text of some length\n"));
        }
    });
}
