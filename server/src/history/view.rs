//! One run as it can be read now: its blocks on disk, and behind them what only the tail or the memory has.
//!
//! A view is a still picture: what comes later is not in it, and what is deleted meanwhile stays readable through the open
//! files. A block that cannot be read is counted and left out.

use super::block::{BLOCK_BYTES, Head, Record, pack};
use super::columns::{Columns, Line};
use super::files::{Found, Indexes, TAIL, is_ended, segments, tail_lines};
use super::filter::Filter;
use crate::logs::{Decoder, Feed};
use app::model::{LevelCounts, Timestamp};
use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::Path;
use std::sync::Arc;

/// Where a block's lines are.
#[derive(Debug)]
enum Place {
    Disk(Arc<File>, Found),
    Memory(Columns),
}

/// A block of a view.
#[derive(Debug)]
pub struct Piece {
    /// What is in it; of lines in memory only what a search asks.
    pub head: Head,
    place: Place,
}

/// What became of reading a block.
#[derive(Debug)]
pub enum Opened<'a> {
    /// Its lines.
    Lines(Cow<'a, Columns>),
    /// None of them can be wanted.
    Unwanted,
    /// It cannot be read.
    Damaged,
}

impl Piece {
    fn memory(columns: Columns) -> Option<Self> {
        let mut head = Vec::new();
        pack(&columns, 0, false, &mut head);
        Some(Self { head: Head::read(&head).ok()?, place: Place::Memory(columns) })
    }

    /// Whether it has to be read from a disk.
    pub const fn is_on_disk(&self) -> bool {
        matches!(self.place, Place::Disk(..))
    }

    /// Its lines, where the filter can want any.
    pub fn open(&self, filter: &Filter) -> Opened<'_> {
        if !filter.may_take(&self.head) {
            return Opened::Unwanted;
        }
        let (file, found) = match &self.place {
            Place::Memory(columns) => {
                let wanted = filter.may_take_text(&columns.text, &columns.names);
                return if wanted { Opened::Lines(Cow::Borrowed(columns)) } else { Opened::Unwanted };
            }
            Place::Disk(file, found) => (file, found),
        };
        let read = || -> io::Result<Option<Columns>> {
            let body = found.body(file)?;
            let text = self.head.text(&body).map_err(super::files::damaged)?;
            let rest = self.head.rest(&body).map_err(super::files::damaged)?;
            let names = Head::names(&rest).map_err(super::files::damaged)?;
            if !filter.may_take_text(&text, &names) {
                return Ok(None);
            }
            self.head.columns(text, &rest).map(Some).map_err(super::files::damaged)
        };
        match read() {
            Ok(Some(columns)) => Opened::Lines(Cow::Owned(columns)),
            Ok(None) => Opened::Unwanted,
            Err(error) => {
                tracing::warn!(%error, first = self.head.first, "a block of a log cannot be read");
                Opened::Damaged
            }
        }
    }
}

/// One run as it can be read now.
#[derive(Debug)]
pub struct View {
    /// Its number.
    pub run: u64,
    /// Its blocks, in order.
    pub pieces: Vec<Piece>,
    /// Behind which line how many are missing that nobody can bring back; 0 where it is not known how many.
    pub gaps: Vec<(u64, u64)>,
    /// All lines up to the end of the run are here.
    pub ended: bool,
}

/// From which end lines are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The first ones first.
    Forwards,
    /// The last ones first.
    Backwards,
}

impl View {
    /// Reads what the folder has of a run, and what a feed has behind it. `None` when neither knows it.
    pub fn read(folder: &Path, indexes: &Indexes, run: u64, feed: Option<&Feed>) -> io::Result<Option<Self>> {
        let mut view = Self { run, pieces: Vec::new(), gaps: Vec::new(), ended: false };
        let mut last = 0;
        let mut known = false;
        // Lines move from the memory to the tail and from there to a segment: looked at the other way round, none is missed.
        let memory = feed.and_then(|feed| feed.chunks(Some(run), 0)).map(|(_, chunks)| chunks);
        let tail = File::open(folder.join(TAIL)).ok().map(|file| tail_lines(&file, 0)).transpose()?;
        for (_, path) in segments(folder)? {
            let file = match File::open(&path) {
                Ok(file) => Arc::new(file),
                // Deleted since the folder was read: it was the oldest.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            known = true;
            let index = indexes.of(&path, &file)?;
            for found in &index.records {
                match found.head.record {
                    Record::Lines if found.head.first > last => {
                        last = found.head.end() - 1;
                        let place = Place::Disk(file.clone(), *found);
                        view.pieces.push(Piece { head: found.head, place });
                    }
                    Record::Gap => view.gaps.push((found.head.first.saturating_sub(1), found.head.missing)),
                    Record::Lines | Record::End => {}
                }
            }
            view.ended = is_ended(&index.records);
        }
        known |= tail.is_some() || memory.is_some();
        let lines = tail.iter().flat_map(|(lines, _)| lines.lines());
        view.add(lines, &mut last);
        view.add_memory(memory.as_deref().unwrap_or_default(), &mut last);
        Ok(known.then_some(view))
    }

    /// Adds lines behind the last.
    fn add<'a>(&mut self, lines: impl Iterator<Item = Line<'a>>, last: &mut u64) {
        let mut columns = Columns::default();
        for line in lines.filter(|line| line.seq > *last) {
            self.put(&mut columns, &line);
        }
        self.close(columns, last);
    }

    fn add_memory(&mut self, chunks: &[Arc<crate::logs::Chunk>], last: &mut u64) {
        let mut decoder = Decoder::default();
        let mut columns = Columns::default();
        let stored = chunks.iter().filter(|chunk| chunk.end() > *last + 1).flat_map(|chunk| chunk.lines());
        for stored in stored.filter(|stored| stored.seq > *last) {
            decoder.read(stored.level, stored.stream, stored.json, |parts| {
                self.put(&mut columns, &Line::of(stored.seq, &parts));
            });
        }
        self.close(columns, last);
    }

    fn put(&mut self, columns: &mut Columns, line: &Line<'_>) {
        if columns.text.len() >= BLOCK_BYTES || !columns.takes(line) {
            self.pieces.extend(Piece::memory(std::mem::take(columns)));
        }
        columns.push(line);
    }

    fn close(&mut self, columns: Columns, last: &mut u64) {
        if !columns.is_empty() {
            self.pieces.extend(Piece::memory(columns));
        }
        if self.last() > *last {
            *last = self.last();
            self.ended = false;
        }
    }

    /// The first line that can be had; one more than [`View::last`] where there is none.
    pub fn first(&self) -> u64 {
        self.pieces.first().map_or(1, |piece| piece.head.first)
    }

    /// The last line; 0 where there is none.
    pub fn last(&self) -> u64 {
        self.pieces.last().map_or(0, |piece| piece.head.end() - 1)
    }

    /// How many lines can be had.
    pub fn lines(&self) -> u64 {
        self.pieces.iter().map(|piece| u64::from(piece.head.count)).sum()
    }

    /// Lines per level.
    pub fn counts(&self) -> LevelCounts {
        let mut counts = LevelCounts::default();
        self.pieces.iter().for_each(|piece| piece.head.add_counts(&mut counts));
        counts
    }

    /// The earliest and the latest time of its lines, in milliseconds since the Unix epoch.
    pub fn times(&self) -> Option<(i64, i64)> {
        let heads = || self.pieces.iter().map(|piece| piece.head);
        Some((heads().map(|head| head.from_ms).min()?, heads().map(|head| head.to_ms).max()?))
    }

    /// The first line at or after this time; behind the last one where there is none.
    pub fn line_at(&self, ms: i64) -> u64 {
        let filter = Filter { from_ms: Some(ms), ..Filter::default() };
        let mut found = None;
        self.visit(0..=u64::MAX, Direction::Forwards, &filter, |line, _| {
            found = Some(line.seq);
            ControlFlow::Break(())
        });
        found.unwrap_or_else(|| self.last() + 1)
    }

    /// Shows the wanted lines one by one, with the block that each is in, until `see` has seen enough. Returns how many
    /// blocks could not be read.
    pub fn visit(
        &self,
        numbers: RangeInclusive<u64>,
        direction: Direction,
        filter: &Filter,
        mut see: impl FnMut(&Line<'_>, &Columns) -> ControlFlow<()>,
    ) -> usize {
        let mut damaged = 0;
        let from = self.pieces.partition_point(|piece| piece.head.end() <= *numbers.start());
        let until = self.pieces.partition_point(|piece| piece.head.first <= *numbers.end());
        let pieces = self.pieces.get(from..until).unwrap_or_default();
        let mut piece = |piece: &Piece| {
            let columns = match piece.open(filter) {
                Opened::Lines(columns) => columns,
                Opened::Unwanted => return ControlFlow::Continue(()),
                Opened::Damaged => {
                    damaged += 1;
                    return ControlFlow::Continue(());
                }
            };
            let mut line = |index: usize| match columns.line(index) {
                Some(line) if numbers.contains(&line.seq) => see(&line, &columns),
                _ => ControlFlow::Continue(()),
            };
            if filter.takes_all() {
                let place =
                    |seq: u64| usize::try_from(seq.saturating_sub(columns.first)).unwrap_or(usize::MAX);
                let places =
                    place(*numbers.start())..place(numbers.end().saturating_add(1)).min(columns.len());
                return match direction {
                    Direction::Forwards => { places }.try_for_each(&mut line),
                    Direction::Backwards => places.rev().try_for_each(&mut line),
                };
            }
            let wanted = filter.within(&columns);
            match direction {
                Direction::Forwards => wanted.into_iter().try_for_each(&mut line),
                Direction::Backwards => wanted.into_iter().rev().try_for_each(&mut line),
            }
        };
        let _ = match direction {
            Direction::Forwards => pieces.iter().try_for_each(&mut piece),
            Direction::Backwards => pieces.iter().rev().try_for_each(&mut piece),
        };
        damaged
    }
}

/// Which lines of a run, and how many.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Where.
    pub at: Anchor,
    /// Only lines before this one.
    pub before: Option<u64>,
    /// Which.
    pub filter: Filter,
    /// At most so many.
    pub limit: usize,
}

/// Where lines are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The last ones.
    End,
    /// Those behind this line.
    After(u64),
    /// Those around this line.
    Around(u64),
    /// Those around the first line at or after this time, in milliseconds since the Unix epoch.
    At(i64),
}

/// Where selected lines are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Numbers that hold all of them.
    pub numbers: RangeInclusive<u64>,
    /// How many of the wanted lines with these numbers, from the first on.
    pub count: usize,
}

impl View {
    /// Where the selected lines are. Nothing of their text is kept: a line may be long, and there may be many.
    pub fn pick(&self, wanted: &Selection) -> Stretch {
        let last = wanted.before.map_or(u64::MAX, |before| before.saturating_sub(1));
        let seek = |numbers: RangeInclusive<u64>, direction, limit: usize| {
            let mut found: Vec<u64> = Vec::new();
            if limit > 0 && !numbers.is_empty() {
                self.visit(numbers, direction, &wanted.filter, |line, _| {
                    found.push(line.seq);
                    if found.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
            }
            found
        };
        let middle = match wanted.at {
            Anchor::End => {
                let found = seek(0..=last, Direction::Backwards, wanted.limit);
                let first = found.last().copied().unwrap_or(u64::MAX);
                return Stretch { numbers: first..=last, count: found.len() };
            }
            Anchor::After(after) => {
                return Stretch { numbers: after.saturating_add(1)..=last, count: wanted.limit };
            }
            Anchor::Around(seq) => seq,
            Anchor::At(ms) => self.line_at(ms),
        };
        let behind = seek(middle..=last, Direction::Forwards, wanted.limit).len();
        let before = seek(0..=middle.saturating_sub(1).min(last), Direction::Backwards, wanted.limit);
        let half = wanted.limit / 2;
        // What one side has too little of, the other gives.
        let keep = half.max(wanted.limit.saturating_sub(behind)).min(before.len());
        let first = keep.checked_sub(1).and_then(|at| before.get(at)).copied().unwrap_or(middle);
        Stretch { numbers: first..=last, count: keep + behind.min(wanted.limit - keep) }
    }

    /// Shows the lines of a stretch, in order, until `see` has seen enough.
    pub fn read_stretch(
        &self,
        stretch: &Stretch,
        filter: &Filter,
        mut see: impl FnMut(&Line<'_>) -> ControlFlow<()>,
    ) {
        let mut left = stretch.count;
        if left == 0 {
            return;
        }
        self.visit(stretch.numbers.clone(), Direction::Forwards, filter, |line, _| {
            left -= 1;
            see(line)?;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }

    /// The selected lines, in order, each as `write` writes it: for few lines, since all are in memory.
    pub fn select(&self, wanted: &Selection, write: impl Fn(&mut String, &Line<'_>)) -> String {
        let mut out = String::new();
        self.read_stretch(&self.pick(wanted), &wanted.filter, |line| {
            write(&mut out, line);
            ControlFlow::Continue(())
        });
        out
    }
}

/// Appends a line's JSON array as viewers get it, and a line end: what is very long is cut.
pub fn write_shown_line(out: &mut String, line: &Line<'_>) {
    let from = out.len();
    write_line(out, line);
    if let Some(cut) = crate::logs::shown(out.get(from..).unwrap_or_default()) {
        out.truncate(from);
        out.push_str(&cut);
    }
    out.push('\n');
}

/// Appends a line's JSON array as the wire has it.
pub fn write_line(out: &mut String, line: &Line<'_>) {
    crate::logs::push_stored(out, line.seq, &line.parts());
}

/// Appends a line's JSON array and a line end.
pub fn write_json_line(out: &mut String, line: &Line<'_>) {
    write_line(out, line);
    out.push('\n');
}

/// Appends a line as plain text: time, level, source, text.
pub fn write_text(out: &mut String, line: &Line<'_>) {
    use std::fmt::Write;
    let _ = write!(out, "{}", Timestamp::from_millis(line.ms));
    if line.level != app::model::Level::Other {
        out.push(' ');
        line.level.as_str().chars().for_each(|c| out.push(c.to_ascii_uppercase()));
    }
    if !line.source.is_empty() {
        let _ = write!(out, " ({})", line.source);
    }
    out.push(' ');
    out.push_str(line.text);
    out.push('\n');
}
