//! Looks through runs, the last lines first, and tells what it finds as it finds it.

use super::columns::{Columns, Line, tag, untag};
use super::filter::Filter;
use super::view::{Direction, Opened, Piece, View};
use app::model::Level;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Stretches of the timeline.
pub const BINS: usize = 60;
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// Most lines before and behind a hit.
pub const MOST_CONTEXT: usize = 20;

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Search {
    /// Which lines.
    pub filter: Filter,
    /// So many lines before and behind each.
    pub context: usize,
    /// So many are shown; the others are counted.
    pub limit: usize,
}

/// A line that outlives its block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnLine {
    seq: u64,
    ms: i64,
    tag: u8,
    source: String,
    text: String,
    spans: String,
}

impl OwnLine {
    fn of(line: &Line<'_>) -> Self {
        Self {
            seq: line.seq,
            ms: line.ms,
            tag: tag(line.level, line.stream, line.kind),
            source: line.source.to_owned(),
            text: line.text.to_owned(),
            spans: line.spans.to_owned(),
        }
    }

    /// The line.
    pub fn line(&self) -> Line<'_> {
        let (level, stream, kind) = untag(self.tag);
        let Self { seq, ms, source, text, spans, .. } = self;
        Line { seq: *seq, ms: *ms, level, stream, kind, source, text, spans }
    }
}

/// A line that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Its run.
    pub run: u64,
    /// The lines before it.
    pub before: Vec<OwnLine>,
    /// The line.
    pub line: OwnLine,
    /// The lines behind it.
    pub after: Vec<OwnLine>,
}

/// Wanted lines per stretch of time and level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Where it begins, in milliseconds since the Unix epoch.
    pub from_ms: i64,
    /// How long a stretch is, in milliseconds.
    pub step_ms: i64,
    /// Lines per stretch, per level in the order of [`Level::ALL`].
    pub bins: Vec<[u64; 5]>,
}

impl Timeline {
    fn over(from_ms: i64, to_ms: i64) -> Self {
        let step_ms = to_ms.saturating_sub(from_ms).max(0) / BINS as i64 + 1;
        Self { from_ms, step_ms, bins: vec![[0; 5]; BINS] }
    }

    fn add(&mut self, ms: i64, level: Level) {
        let bin = usize::try_from(ms.saturating_sub(self.from_ms) / self.step_ms).unwrap_or_default();
        if let Some(count) = self.bins.get_mut(bin).and_then(|bin| bin.get_mut(level as usize)) {
            *count += 1;
        }
    }
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Lines that were looked at.
    pub lines: u64,
    /// Lines that there are.
    pub of_lines: u64,
    /// Bytes of text that were looked at.
    pub bytes: u64,
    /// Lines that were found.
    pub matches: u64,
    /// Blocks that could not be read.
    pub damaged: u64,
    /// When the found lines came.
    pub timeline: Timeline,
    /// All was looked at.
    pub done: bool,
}

impl Search {
    /// Looks through these runs, which come the latest first. `hit` and `answer` say whether to go on.
    pub fn run(
        &self,
        views: &[View],
        mut hit: impl FnMut(Hit) -> ControlFlow<()>,
        mut answer: impl FnMut(&Answer) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let times = || views.iter().filter_map(View::times);
        let from_ms = self.filter.from_ms.or_else(|| times().map(|(from, _)| from).min()).unwrap_or_default();
        let to_ms = self.filter.to_ms.or_else(|| times().map(|(_, to)| to).max()).unwrap_or_default();
        let mut far = Answer {
            lines: 0,
            of_lines: views.iter().map(View::lines).sum(),
            bytes: 0,
            matches: 0,
            damaged: 0,
            timeline: Timeline::over(from_ms, to_ms),
            done: false,
        };
        answer(&far)?;
        let mut told = Instant::now();
        for view in views {
            for piece in view.pieces.iter().rev() {
                self.look_into(view, piece, &mut far, &mut hit)?;
                if told.elapsed() >= TELL_EVERY {
                    told = Instant::now();
                    answer(&far)?;
                }
            }
        }
        far.done = true;
        answer(&far)
    }

    fn look_into(
        &self,
        view: &View,
        piece: &Piece,
        far: &mut Answer,
        hit: &mut impl FnMut(Hit) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        far.lines += u64::from(piece.head.count);
        let columns = match piece.open(&self.filter) {
            Opened::Lines(columns) => columns,
            Opened::Unwanted => {
                far.bytes += u64::from(piece.head.text_bytes);
                return ControlFlow::Continue(());
            }
            Opened::Damaged => {
                far.damaged += 1;
                return ControlFlow::Continue(());
            }
        };
        far.bytes += u64::from(piece.head.text_bytes);
        for index in self.filter.within(&columns).into_iter().rev() {
            let (Some(tag), Some(ms)) = (columns.tags.get(index), columns.times.get(index)) else { continue };
            far.timeline.add(*ms, untag(*tag).0);
            far.matches += 1;
            if far.matches <= self.limit as u64
                && let Some(line) = columns.line(index)
            {
                let line = OwnLine::of(&line);
                let context = self.context.min(MOST_CONTEXT) as u64;
                let around = |from: u64, to: u64| around(view, &columns, from, to);
                let before = around(line.seq.saturating_sub(context), line.seq.saturating_sub(1));
                let after = around(line.seq + 1, line.seq + context);
                hit(Hit { run: view.run, before, line, after })?;
            }
        }
        ControlFlow::Continue(())
    }
}

/// Lines of a run by number, out of the block at hand where they are in it.
fn around(view: &View, columns: &Columns, from: u64, to: u64) -> Vec<OwnLine> {
    if from > to {
        return Vec::new();
    }
    if from >= columns.first && to < columns.end() {
        return (from..=to)
            .filter_map(|seq| columns.line(usize::try_from(seq - columns.first).ok()?))
            .map(|line| OwnLine::of(&line))
            .collect();
    }
    let mut lines = Vec::new();
    view.visit(from..=to, Direction::Forwards, &Filter::default(), |line, _| {
        lines.push(OwnLine::of(line));
        ControlFlow::Continue(())
    });
    lines
}
