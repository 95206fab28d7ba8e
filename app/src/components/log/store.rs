//! The lines that a tab holds: a ring of entries over a few large pieces of text. Pure: no DOM, no signals.
//!
//! In: lines, gaps and run openings, in any order the wire may bring them. Out: entries by id. A line that is held already
//! is dropped, a hole becomes an entry of its own, and what falls out of the bounds falls out at the old end.

use super::ansi::Style;
use crate::model::{Level, Line, LineKind, Stream, Timestamp};
use std::collections::VecDeque;

/// Lines that are kept at most.
pub const MAX_ENTRIES: usize = 100_000;
/// Bytes of text that are kept at most.
pub const MAX_BYTES: usize = 64 << 20;
const CHUNK: usize = 256 << 10;
const CHUNK_SLACK: usize = 4 << 10;
/// Ids and chunk numbers begin in the middle, so that earlier lines can be put before the first.
const MIDDLE: u64 = 1 << 32;

/// What one row of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A line.
    Line(Held),
    /// Lines that are missing.
    Gap(Missing),
    /// A run begins here.
    Run {
        /// Its number.
        run: u64,
        /// When it was started, where that is known.
        started: Option<Timestamp>,
    },
}

/// Lines that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The run.
    pub run: u64,
    /// The last line before them.
    pub after: u64,
    /// How many, where that is known.
    pub count: Option<u64>,
    /// They were asked for and cannot be had.
    pub lost: bool,
}

/// A line in the store: where its parts lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The run.
    pub run: u64,
    /// The number within the run.
    pub seq: u64,
    /// When it was written.
    pub time: Timestamp,
    /// How serious.
    pub level: Level,
    /// Which pipe.
    pub stream: Stream,
    /// What it is.
    pub kind: LineKind,
    chunk: u64,
    source_at: u32,
    text_at: u32,
    text_end: u32,
    spans_at: u32,
    spans_end: u32,
}

#[derive(Debug, Default)]
struct Chunk {
    text: String,
    spans: Vec<(u32, u32, Style)>,
}

/// What a line says beside its text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub run: u64,
    pub seq: u64,
    pub time: Timestamp,
    pub stream: Stream,
    pub level: Level,
    pub kind: LineKind,
}

/// Where a line that is being written begins in its chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    source_at: usize,
    text_at: usize,
    spans_at: usize,
}

/// The ring.
#[derive(Debug)]
pub struct Store {
    entries: VecDeque<Entry>,
    first_id: u64,
    chunks: VecDeque<Chunk>,
    first_chunk: u64,
    spare: Vec<Chunk>,
    bytes: usize,
    max_entries: usize,
    max_bytes: usize,
    run: Option<u64>,
    /// The last line of the run that was seen or is known to be missing; `None` until the first line says where we are.
    last: Option<u64>,
}

impl Default for Store {
    fn default() -> Self {
        Self::bounded(MAX_ENTRIES, MAX_BYTES)
    }
}

impl Store {
    /// An empty store with these bounds.
    pub fn bounded(max_entries: usize, max_bytes: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            first_id: MIDDLE,
            chunks: VecDeque::new(),
            first_chunk: MIDDLE,
            spare: Vec::new(),
            bytes: 0,
            max_entries,
            max_bytes,
            run: None,
            last: None,
        }
    }

    /// The run whose lines come now.
    pub const fn run(&self) -> Option<u64> {
        self.run
    }

    /// The last line held, or known to be missing, of the current run.
    pub const fn last(&self) -> Option<u64> {
        self.last
    }

    /// The id of the oldest entry.
    pub const fn first_id(&self) -> u64 {
        self.first_id
    }

    /// One past the id of the newest entry.
    pub fn end_id(&self) -> u64 {
        self.first_id + self.entries.len() as u64
    }

    /// More can be held before something falls out.
    pub fn has_room(&self) -> bool {
        self.entries.len() < self.max_entries && self.bytes < self.max_bytes
    }

    /// The entry with this id, if it is still held.
    pub fn get(&self, id: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(id.checked_sub(self.first_id)?).ok()?)
    }

    /// The oldest line that is held.
    pub fn first_line(&self) -> Option<&Held> {
        self.entries.iter().find_map(|entry| if let Entry::Line(held) = entry { Some(held) } else { None })
    }

    /// The id of a line, or of the first entry behind its place.
    pub fn place(&self, run: u64, seq: u64) -> u64 {
        let before = self.entries.partition_point(|entry| match *entry {
            Entry::Line(held) => (held.run, held.seq) < (run, seq),
            Entry::Gap(missing) => (missing.run, missing.after + 1) < (run, seq),
            Entry::Run { run: opened, .. } => (opened, 0) < (run, seq),
        });
        self.first_id + before as u64
    }

    /// The line with this id, if one is held.
    pub fn held(&self, id: u64) -> Option<&Held> {
        match self.get(id)? {
            Entry::Line(held) => Some(held),
            _ => None,
        }
    }

    /// Who wrote a line.
    pub fn source(&self, held: &Held) -> &str {
        self.slice(held, held.source_at, held.text_at)
    }

    /// The text of a line.
    pub fn text(&self, held: &Held) -> &str {
        self.slice(held, held.text_at, held.text_end)
    }

    /// The styles of a line: byte offsets into its text.
    pub fn spans(&self, held: &Held) -> &[(u32, u32, Style)] {
        self.chunk(held.chunk)
            .and_then(|c| c.spans.get(held.spans_at as usize..held.spans_end as usize))
            .unwrap_or_default()
    }

    /// The run from which lines come from now on; its first line has the number 1. A run that is the current one already,
    /// or older, changes nothing and answers `false`.
    pub fn open_run(&mut self, run: u64, started: Option<Timestamp>) -> bool {
        if self.run.is_some_and(|current| run <= current) {
            return false;
        }
        self.run = Some(run);
        self.last = Some(0);
        self.push(Entry::Run { run, started });
        true
    }

    /// Begins in the middle of a run, before its first line is held.
    pub const fn begin(&mut self, run: u64, last: Option<u64>) {
        self.run = Some(run);
        self.last = last;
    }

    /// Notes lines that the server says it left out.
    pub fn gap(&mut self, run: u64, after: u64, count: Option<u64>) {
        if self.run.is_some_and(|current| run < current) {
            return;
        }
        if self.run != Some(run) {
            self.open_run(run, None);
        }
        let last = self.last.unwrap_or(after);
        match count {
            // What is held already is not missing.
            Some(count) if after.saturating_add(count) <= last => {}
            Some(count) => {
                let end = after.saturating_add(count);
                let after = last.max(after);
                self.push(Entry::Gap(Missing { run, after, count: Some(end - after), lost: false }));
                self.last = Some(end);
            }
            None => {
                self.push(Entry::Gap(Missing { run, after, count: None, lost: false }));
                self.last = None;
            }
        }
    }

    /// Takes one line; `true` when it was new.
    pub fn line(&mut self, run: u64, line: &Line) -> bool {
        if !self.wants(run, line.seq) {
            return false;
        }
        let mut mark = self.mark();
        self.text_to_write().push_str(&line.source);
        self.end_source(&mut mark);
        self.text_to_write().push_str(&line.text);
        for span in &line.spans {
            self.span(span.0, span.1, Style::parse(&span.2));
        }
        let Line { seq, time, stream, level, kind, .. } = *line;
        self.commit(mark, Head { run, seq, time, stream, level, kind });
        true
    }

    /// Whether a line with this number is new.
    pub(super) fn wants(&self, run: u64, seq: u64) -> bool {
        match self.run {
            Some(current) if current > run => false,
            Some(current) if current == run => self.last.is_none_or(|last| seq > last),
            _ => true,
        }
    }

    /// Begins to write a line.
    pub(super) fn mark(&mut self) -> Mark {
        if self.chunks.back().is_none_or(|c| c.text.len() + CHUNK_SLACK > CHUNK) {
            let chunk = self
                .spare
                .pop()
                .unwrap_or_else(|| Chunk { text: String::with_capacity(CHUNK), spans: Vec::new() });
            self.chunks.push_back(chunk);
        }
        let (text, spans) = self.chunks.back().map_or((0, 0), |c| (c.text.len(), c.spans.len()));
        Mark { source_at: text, text_at: text, spans_at: spans }
    }

    /// Where the text of the line that is being written goes.
    pub(super) fn text_to_write(&mut self) -> &mut String {
        if self.chunks.is_empty() {
            self.chunks.push_back(Chunk::default());
        }
        let last = self.chunks.len() - 1;
        &mut self.chunks[last].text
    }

    /// What was written so far was the source; the text follows.
    pub(super) fn end_source(&self, mark: &mut Mark) {
        mark.text_at = self.chunks.back().map_or(0, |c| c.text.len());
    }

    /// Gives a stretch of the text a style.
    pub(super) fn span(&mut self, from: u32, to: u32, style: Style) {
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.spans.push((from, to, style));
        }
    }

    /// Ends the line.
    pub(super) fn commit(&mut self, mark: Mark, head: Head) {
        let Head { run, seq, time, stream, level, kind } = head;
        if self.run != Some(run) {
            // Lines of a run that nobody announced.
            let known = self.run.is_some();
            if known {
                self.open_run(run, None);
            } else {
                self.begin(run, None);
            }
        }
        if let Some(after) = self.last.filter(|last| seq > last + 1) {
            self.push(Entry::Gap(Missing { run, after, count: Some(seq - after - 1), lost: false }));
        }
        self.last = Some(seq);
        let (end, spans_end) = self.chunks.back().map_or((0, 0), |c| (c.text.len(), c.spans.len()));
        self.bytes += end - mark.source_at;
        let at = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.push(Entry::Line(Held {
            run,
            seq,
            time,
            level,
            stream,
            kind,
            chunk: self.first_chunk + self.chunks.len() as u64 - 1,
            source_at: at(mark.source_at),
            text_at: at(mark.text_at),
            text_end: at(end),
            spans_at: at(mark.spans_at),
            spans_end: at(spans_end),
        }));
    }

    /// Puts the lines of another store before the first; those that are held already are left out. Answers how many
    /// entries came.
    pub fn prepend(&mut self, mut earlier: Self) -> usize {
        let before = self.first_line().map(|held| (held.run, held.seq));
        let shift = earlier.chunks.len() as u64;
        let first_chunk = self.first_chunk - shift;
        let room = self.max_entries.saturating_sub(self.entries.len());
        let mut came = 0;
        while let Some(entry) = earlier.entries.pop_back() {
            let entry = match entry {
                Entry::Line(held) if before.is_some_and(|first| (held.run, held.seq) >= first) => continue,
                Entry::Line(held) => {
                    let bytes = (held.text_end - held.source_at) as usize;
                    if came == room || self.bytes + bytes > self.max_bytes {
                        break;
                    }
                    self.bytes += bytes;
                    Entry::Line(Held { chunk: held.chunk - earlier.first_chunk + first_chunk, ..held })
                }
                other if came < room => other,
                _ => break,
            };
            self.entries.push_front(entry);
            self.first_id -= 1;
            came += 1;
        }
        while let Some(chunk) = earlier.chunks.pop_back() {
            self.chunks.push_front(chunk);
        }
        self.first_chunk = first_chunk;
        self.drop_chunks();
        came
    }

    /// Puts lines of another store into the place of the gap `id`. What is missing still stays a gap, marked as lost where it
    /// cannot be had. Entries behind it keep their ids; answers by how much those before it went down.
    pub fn fill(&mut self, id: u64, lines: &Self) -> u64 {
        let Some(Entry::Gap(gap)) = self.get(id).copied() else { return 0 };
        let next = (id + 1..self.end_id()).find_map(|id| self.held(id)).filter(|held| held.run == gap.run);
        let end = match (gap.count, next) {
            (Some(count), _) => Some(gap.after.saturating_add(count)),
            (None, next) => next.map(|held| held.seq - 1),
        };
        let old_end = self.end_id();
        let mut new = Self::bounded(self.max_entries, self.max_bytes);
        for entry in self.entries.range(..(id - self.first_id) as usize) {
            new.copy(self, entry);
        }
        let (mut after, mut pushed) = (gap.after, 0_u64);
        for held in
            lines.entries.iter().filter_map(|e| if let Entry::Line(held) = e { Some(held) } else { None })
        {
            if held.run != gap.run || held.seq <= after || end.is_some_and(|end| held.seq > end) {
                continue;
            }
            if held.seq > after + 1 {
                let count = Some(held.seq - after - 1);
                new.push(Entry::Gap(Missing { run: gap.run, after, count, lost: true }));
                pushed += 1;
            }
            new.copy(lines, &Entry::Line(*held));
            pushed += 1;
            after = held.seq;
        }
        if end.is_none_or(|end| after < end) {
            let count = end.map(|end| end - after);
            new.push(Entry::Gap(Missing { run: gap.run, after, count, lost: after == gap.after }));
            pushed += 1;
        }
        for entry in self.entries.range((id - self.first_id) as usize + 1..) {
            new.copy(self, entry);
        }
        (new.run, new.last) = (self.run, self.last);
        new.first_id = old_end - new.entries.len() as u64;
        *self = new;
        pushed.saturating_sub(1)
    }

    /// Lets go of so many of the newest entries; lines behind the last one that is left can come again.
    pub fn drop_newest(&mut self, count: usize) {
        for _ in 0..count {
            let Some(Entry::Line(held)) = self.entries.pop_back() else { continue };
            self.bytes -= (held.text_end - held.source_at) as usize;
        }
        let last = self.last_line().map(|held| (held.chunk, held.seq));
        self.last = last.map(|(_, seq)| seq);
        let keep = last.map_or(0, |(chunk, _)| chunk);
        while self.chunks.len() > 1 && self.first_chunk + self.chunks.len() as u64 - 1 > keep {
            self.chunks.pop_back();
        }
    }

    /// The newest line that is held.
    pub fn last_line(&self) -> Option<&Held> {
        self.entries
            .iter()
            .rev()
            .find_map(|entry| if let Entry::Line(held) = entry { Some(held) } else { None })
    }

    /// Takes the entries of another store over, behind the last; lines that are held already are left out.
    pub fn append(&mut self, lines: &Self) {
        for entry in &lines.entries {
            if let Entry::Line(held) = entry
                && !self.wants(held.run, held.seq)
            {
                continue;
            }
            self.copy(lines, entry);
        }
    }

    /// Takes an entry of another store over, behind the last.
    fn copy(&mut self, from: &Self, entry: &Entry) {
        let Entry::Line(held) = entry else {
            self.push(*entry);
            return;
        };
        let mut mark = self.mark();
        self.text_to_write().push_str(from.source(held));
        self.end_source(&mut mark);
        self.text_to_write().push_str(from.text(held));
        for (a, b, style) in from.spans(held) {
            self.span(*a, *b, *style);
        }
        (self.run, self.last) = (Some(held.run), held.seq.checked_sub(1));
        let Held { run, seq, time, stream, level, kind, .. } = *held;
        self.commit(mark, Head { run, seq, time, stream, level, kind });
    }

    fn chunk(&self, number: u64) -> Option<&Chunk> {
        self.chunks.get(usize::try_from(number.checked_sub(self.first_chunk)?).ok()?)
    }

    fn slice(&self, held: &Held, from: u32, to: u32) -> &str {
        self.chunk(held.chunk).and_then(|c| c.text.get(from as usize..to as usize)).unwrap_or_default()
    }

    fn push(&mut self, entry: Entry) {
        self.entries.push_back(entry);
        let mut line_fell = false;
        while self.entries.len() > self.max_entries || (self.bytes > self.max_bytes && self.entries.len() > 1)
        {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.first_id += 1;
            if let Entry::Line(held) = oldest {
                self.bytes -= (held.text_end - held.source_at) as usize;
                line_fell = true;
            }
        }
        if line_fell {
            self.drop_chunks();
        }
    }

    /// Lets go of the pieces of text that no line uses any more; one of ordinary size is kept for the next lines.
    fn drop_chunks(&mut self) {
        let Some(keep) = self.first_line().map(|held| held.chunk) else { return };
        while self.first_chunk < keep && self.chunks.len() > 1 {
            let Some(mut chunk) = self.chunks.pop_front() else { break };
            self.first_chunk += 1;
            if self.spare.is_empty() && chunk.text.capacity() <= 2 * CHUNK {
                chunk.text.clear();
                chunk.spans.clear();
                self.spare.push(chunk);
            }
        }
    }
}
