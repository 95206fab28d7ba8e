//! The log of one service: one writer, many viewers.

use super::cursor::{Batch, Cursor, Found, GapNote, Run, Runs, Take};
use super::level::Grammar;
use super::ring::{CHUNK_BYTES, Chunk, Ring};
use super::shared::Chain;
use super::split::LINE_LIMIT;
use super::writer::{Observer, Writer};
use crate::runtime::FramePosition;
use crate::vitals::Counter;
use app::model::{LevelCounts, LogPosition, LogSummary, ServiceName, Stream, Timestamp};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How much a feed keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one line.
    pub line_bytes: usize,
    /// Bytes of memory for the current run's lines.
    pub run_bytes: usize,
    /// Bytes of memory for the lines of the run before.
    pub previous_bytes: usize,
    /// Lines of a run that are kept, as far as the bytes allow; not many more are.
    pub keep_lines: u64,
}

impl Default for Limits {
    /// 100,000 typical lines of vLLM take about 25 MB.
    fn default() -> Self {
        Self { line_bytes: LINE_LIMIT, run_bytes: 36 << 20, previous_bytes: 12 << 20, keep_lines: 100_000 }
    }
}

/// For so long the disk may take nothing before reading goes on without it.
const STALLED: Duration = Duration::from_secs(5);

/// How far the log is written to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Nobody writes it, now or any more.
    Nowhere,
    /// Somebody does, and has not begun.
    NotYet,
    /// Up to this line.
    UpTo(LogPosition),
}

/// A place in a run between two lines, and between two frames of its runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The run.
    pub run: u64,
    /// The last line before.
    pub seq: u64,
    /// The last frame before.
    pub position: FramePosition,
    /// Lines per level before.
    pub counts: LevelCounts,
}

/// The log of one service. Three locks: the writer's, which no viewer ever takes; that of the finished lines, which is held
/// for no longer than a copy of a few dozen kilobytes; and that of the batches, which only viewers take, so that one of them
/// makes a batch and the others get it.
pub struct Feed {
    limits: Limits,
    writer: Mutex<Writer>,
    runs: Mutex<Runs>,
    chain: Mutex<Chain>,
    version: watch::Sender<u64>,
    /// Up to where the current run is on disk.
    recorded: watch::Sender<Recorded>,
    /// Where the writer was when it was waited for in vain.
    stalled: Mutex<Option<Recorded>>,
    /// Lines that came.
    lines: Counter,
    /// Lines that are known to be missing.
    missing: Counter,
}

impl Feed {
    /// A feed without a run, whose lines this grammar reads.
    pub fn new(grammar: Grammar, limits: Limits) -> Self {
        Self {
            limits,
            writer: Mutex::new(Writer::new(grammar, &limits)),
            runs: Mutex::default(),
            chain: Mutex::default(),
            version: watch::Sender::new(0),
            recorded: watch::Sender::new(Recorded::Nowhere),
            stalled: Mutex::default(),
            lines: Counter::default(),
            missing: Counter::default(),
        }
    }

    /// Tells `observer` of every line and progress text from now on. It is called by whoever writes, in order, and must be
    /// quick; it may read the feed but not write it. A line that it hears of is not yet stored.
    pub fn observe(&self, observer: Observer) {
        self.writer().lines.observer = Some(observer);
    }

    /// Begins a run. The run before is kept as the previous one, an older one goes. Nothing happens when this run is the
    /// current one.
    pub fn open_run(&self, run: u64, started: Timestamp) {
        let mut writer = self.writer();
        if self.runs().current.as_ref().is_some_and(|current| current.number == run) {
            return;
        }
        self.finish(&mut writer);
        writer.begin(run);
        let mut runs = self.runs();
        let ring = Ring::new(self.limits.run_bytes, self.limits.keep_lines);
        runs.previous = runs.current.replace(Run::new(run, started, ring));
        if let Some(previous) = &mut runs.previous {
            previous.ring.shrink(self.limits.previous_bytes);
        }
        drop(runs);
        self.publish();
    }

    /// The run is over: what was left without a line end becomes a line, progress texts go. Its lines stay.
    pub fn close_run(&self) {
        let mut writer = self.writer();
        self.finish(&mut writer);
        if let Some(run) = &mut self.runs().current {
            run.closed = true;
        }
        drop(writer);
        self.publish();
    }

    /// Nothing more is to come of a run, as far as is known.
    pub fn is_closed(&self, run: u64) -> bool {
        self.runs().get(Some(run)).is_none_or(|run| run.closed)
    }

    /// The gaps of a run that were noted behind the note with this number.
    pub fn gaps(&self, run: u64, note: u64) -> Vec<GapNote> {
        let runs = self.runs();
        let gaps =
            runs.get(Some(run)).map(|run| run.gaps.iter().filter(|gap| gap.id > note).copied().collect());
        gaps.unwrap_or_default()
    }

    /// Notes that lines are missing here that nobody can bring back, and how many if that is known.
    pub fn note_gap(&self, count: Option<u64>) {
        let _writer = self.writer();
        self.runs().note_gap(count);
        self.missing.add(count.unwrap_or(0));
        self.publish();
    }

    /// Takes bytes of one pipe, as [`Feed::frame`], but only while this run is the current one: a reader that was replaced
    /// meanwhile must not write into its successor's run.
    pub fn frame_of(&self, run: u64, time_ns: i64, stream: Stream, bytes: &[u8]) {
        let mut writer = self.writer();
        if writer.lines.run() == Some(run) {
            self.take(&mut writer, time_ns, stream, bytes);
        }
    }

    /// Takes bytes of one pipe. Before the first run they are dropped. Viewers are told by [`Feed::flush`].
    pub fn frame(&self, time_ns: i64, stream: Stream, bytes: &[u8]) {
        let mut writer = self.writer();
        if writer.lines.run().is_some() {
            self.take(&mut writer, time_ns, stream, bytes);
        }
    }

    fn take(&self, writer: &mut Writer, time_ns: i64, stream: Stream, bytes: &[u8]) {
        writer.advance(time_ns);
        let lines = &mut writer.lines;
        writer.splitters[stream as usize].push(time_ns, bytes, |raw| {
            lines.take(stream, raw);
            if lines.staged.len() >= CHUNK_BYTES {
                self.store(&mut lines.staged);
            }
        });
        writer.dirty |= self.store(&mut writer.lines.staged);
    }

    /// Says up to where the current run is on disk.
    pub fn record(&self, up_to: Recorded) {
        self.recorded.send_replace(up_to);
    }

    /// Until the lines that are not on disk yet are few enough to stay in memory, where somebody writes them and gets on
    /// with it. After a wait in vain nobody waits again until something is written.
    pub async fn room(&self) {
        let mut recorded = self.recorded.subscribe();
        loop {
            let now = *recorded.borrow_and_update();
            if now == Recorded::Nowhere || *self.stalled() == Some(now) || self.fits(now) {
                return;
            }
            // Somebody waits: what was stored is not held back until the end of the read.
            self.publish();
            if !matches!(tokio::time::timeout(STALLED, recorded.changed()).await, Ok(Ok(()))) {
                tracing::warn!("the log on disk does not get on; reading goes on without it");
                *self.stalled() = Some(now);
                return;
            }
        }
    }

    /// Whether what is not on disk stays in memory even if as much comes again as one frame can bring.
    fn fits(&self, recorded: Recorded) -> bool {
        let runs = self.runs();
        let Some(run) = &runs.current else { return true };
        let seq = match recorded {
            Recorded::UpTo(place) if place.run == run.number => place.seq,
            // The writer has not come to this run: all of it waits.
            _ => 0,
        };
        let lines = run.ring.last().saturating_sub(seq);
        lines < self.limits.keep_lines / 4 && run.ring.bytes_behind(seq) < self.limits.run_bytes / 2
    }

    fn stalled(&self) -> MutexGuard<'_, Option<Recorded>> {
        self.stalled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells viewers what came since the last time: once per read, not per line.
    pub fn flush(&self) {
        let mut writer = self.writer();
        let shown = self.show_progress(&mut writer);
        writer.note_mark();
        if std::mem::take(&mut writer.dirty) || shown {
            self.publish();
        }
    }

    /// A place of the current run from which its log can be read on, and how many lines of each level were before it.
    pub fn mark(&self) -> Option<Mark> {
        let writer = self.writer();
        let (run, (seq, position)) = (writer.lines.run()?, writer.mark?);
        let runs = self.runs();
        let ring = &runs.get(Some(run))?.ring;
        // What came since the mark is not in its counts.
        (ring.last() == seq).then(|| Mark { run, seq, position, counts: ring.counts() })
    }

    /// Goes on with the current run at a place that an earlier dashboard came to. The lines before it are on disk.
    pub fn go_on(&self, mark: &Mark) {
        let mut writer = self.writer();
        let mut runs = self.runs();
        if let Some(run) = runs.current.as_mut().filter(|run| run.number == mark.run && run.ring.last() == 0)
        {
            run.ring.begin_behind(mark.seq, mark.counts);
            writer.go_on(mark.seq, mark.position);
        }
    }

    /// Behind the last frame of the current run: where to go on reading after a broken connection.
    pub fn position(&self) -> FramePosition {
        self.writer().position
    }

    /// The time of the current run's first frame.
    pub fn first_frame_ns(&self) -> Option<i64> {
        self.writer().first_frame_ns
    }

    /// Wakes a viewer when there is something new. Mark the value as seen before reading until there is nothing more, and
    /// only then wait for a change.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Makes a cursor begin here and now, so that what is said of the log next (a summary) cannot be ahead of it.
    pub fn place(&self, cursor: &mut Cursor) {
        self.runs().place(cursor);
    }

    /// What the viewer gets next, lines up to about `max_bytes` at once; `None` when there is nothing for it.
    pub fn read(&self, cursor: &mut Cursor, max_bytes: usize, take: Take) -> Option<Batch> {
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.runs().next(cursor, &chain, max_bytes, take)?;
        Some(match found {
            Found::Ready(batch) => batch,
            Found::Shared(run, first, shared) => {
                Batch::Lines { run, first, last: shared.last, json: shared.json }
            }
            Found::Lines(run, lines, newest) => {
                let first = lines.first;
                let made = chain.make(run, lines, newest);
                Batch::Lines { run, first, last: made.last, json: made.json }
            }
        })
    }

    /// The current run's number, and that of the run before.
    pub fn run_numbers(&self) -> (Option<u64>, Option<u64>) {
        let runs = self.runs();
        (runs.current.as_ref().map(|run| run.number), runs.previous.as_ref().map(|run| run.number))
    }

    /// Lines that came since the dashboard began, and those that are known to be missing between them.
    pub fn counted(&self) -> (u64, u64) {
        (self.lines.get(), self.missing.get())
    }

    /// What is at hand of the current run.
    pub fn summary(&self, service: &ServiceName) -> LogSummary {
        let runs = self.runs();
        let Some(run) = &runs.current else {
            return LogSummary {
                service: service.clone(),
                run: None,
                first: 0,
                last: 0,
                counts: LevelCounts::default(),
            };
        };
        let (first, last) = (run.ring.first(), run.ring.last());
        let first = if first > last { 0 } else { first };
        LogSummary { service: service.clone(), run: Some(run.number), first, last, counts: run.ring.counts() }
    }

    /// The chunks of a run that hold lines behind `after`, with the run's number.
    pub fn chunks(&self, run: Option<u64>, after: u64) -> Option<(u64, Vec<Arc<Chunk>>)> {
        let runs = self.runs();
        runs.get(run).map(|run| (run.number, run.ring.chunks(after)))
    }

    /// The first and the last line that are kept of a run; the first is one more than the last where there is none.
    pub fn kept(&self, run: u64) -> Option<(u64, u64)> {
        let runs = self.runs();
        runs.get(Some(run)).map(|run| (run.ring.first(), run.ring.last()))
    }

    fn finish(&self, writer: &mut Writer) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let lines = &mut writer.lines;
            writer.splitters[stream as usize].finish(|raw| lines.take(stream, raw));
        }
        self.store(&mut writer.lines.staged);
        self.show_progress(writer);
        writer.dirty = false;
    }

    fn store(&self, staged: &mut Chunk) -> bool {
        if staged.is_empty() {
            return false;
        }
        self.lines.add(staged.end() - staged.first());
        if let Some(run) = &mut self.runs().current {
            run.ring.absorb(staged);
            run.closed = false;
        }
        true
    }

    fn show_progress(&self, writer: &mut Writer) -> bool {
        let mut shown = false;
        for stream in [Stream::Stdout, Stream::Stderr] {
            if let Some(text) = writer.changed_progress(stream) {
                self.runs().show(stream, text);
                shown = true;
            }
        }
        shown
    }

    fn publish(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    // A panic elsewhere leaves lines that are whole: what is locked here is changed in single steps.
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
