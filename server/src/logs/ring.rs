//! The lines of one run, as finished JSON text in chunks.
//!
//! A chunk that is full never changes again: readers take it along and copy outside of the lock. The oldest chunks go when
//! there are too many bytes, or more lines than have to be kept.

use super::decode::{SHOWN_BYTES, shown};
use super::encode::push_number;
use app::model::{Level, LevelCounts, Stream};
use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Text per chunk; a longer line has a chunk of its own.
pub const CHUNK_BYTES: usize = 64 << 10;

/// Lines one behind the other, each followed by a comma.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    /// The number of the first line.
    first: u64,
    text: String,
    /// Per line: where it is over (28 bits), its level (3 bits), its pipe (1 bit).
    marks: Vec<u32>,
    /// One of them is longer than viewers are shown.
    long: bool,
}

const END_BITS: u32 = 28;
const END_MASK: u32 = (1 << END_BITS) - 1;

/// One stored line.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// Its number.
    pub seq: u64,
    /// How serious.
    pub level: Level,
    /// Which pipe.
    pub stream: Stream,
    /// The JSON array.
    pub json: &'a str,
}

impl Chunk {
    /// An empty chunk whose first line will have this number.
    pub const fn starting_at(first: u64) -> Self {
        Self { first, text: String::new(), marks: Vec::new(), long: false }
    }

    /// Adds a line: `write` appends its JSON.
    pub fn push(&mut self, level: Level, stream: Stream, write: impl FnOnce(&mut String)) {
        let from = self.text.len();
        write(&mut self.text);
        self.long |= self.text.len() - from > SHOWN_BYTES;
        self.text.push(',');
        self.mark(level as u32 | u32::from(stream == Stream::Stderr) << 3);
    }

    fn mark(&mut self, kind: u32) {
        let end = u32::try_from(self.text.len()).unwrap_or(u32::MAX).min(END_MASK);
        self.marks.push(end | kind << END_BITS);
    }

    /// Bytes of text.
    pub const fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether there is no line.
    pub const fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// The number of the first line.
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// The number behind the last line.
    pub const fn end(&self) -> u64 {
        self.first + self.marks.len() as u64
    }

    /// Where the line with index `index` begins.
    fn start_of(&self, index: usize) -> usize {
        let before = index.checked_sub(1).and_then(|i| self.marks.get(i));
        before.map_or(0, |mark| (mark & END_MASK) as usize)
    }

    /// The lines of these numbers as one text, a comma behind each.
    fn slice(&self, lines: RangeInclusive<u64>) -> &str {
        let index = |seq: u64| usize::try_from(seq.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let (from, to) =
            (self.start_of(index(*lines.start())), self.start_of(index(*lines.end()).saturating_add(1)));
        self.text.get(from..to).unwrap_or_default()
    }

    /// Appends the lines of these numbers as viewers get them, a comma behind each: what is very long is cut.
    fn push_shown(&self, lines: RangeInclusive<u64>, out: &mut String) {
        if !self.long {
            out.push_str(self.slice(lines));
            return;
        }
        for line in self.lines().filter(|line| lines.contains(&line.seq)) {
            match shown(line.json) {
                Some(cut) => out.push_str(&cut),
                None => out.push_str(line.json),
            }
            out.push(',');
        }
    }

    /// The lines in order.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = Stored<'_>> + ExactSizeIterator {
        self.marks.iter().enumerate().map(|(index, mark)| {
            let kind = mark >> END_BITS;
            let end = ((mark & END_MASK) as usize).saturating_sub(1);
            Stored {
                seq: self.first + index as u64,
                level: Level::ALL.get((kind & 7) as usize).copied().unwrap_or(Level::Other),
                stream: if kind & 8 == 0 { Stream::Stdout } else { Stream::Stderr },
                json: self.text.get(self.start_of(index)..end).unwrap_or_default(),
            }
        })
    }

    fn memory(&self) -> usize {
        self.text.capacity() + self.marks.capacity() * size_of::<u32>() + size_of::<Self>() + 64
    }

    /// Empties it for the lines that follow; keeps a chunk's worth of memory.
    pub fn clear(&mut self) {
        self.first = self.end();
        self.long = false;
        self.text.clear();
        self.text.shrink_to(CHUNK_BYTES);
        self.marks.clear();
        self.marks.shrink_to(CHUNK_BYTES / 16);
    }
}

/// The kept lines of one run.
#[derive(Debug)]
pub struct Ring {
    full: VecDeque<Arc<Chunk>>,
    open: Chunk,
    /// Memory of the full chunks.
    bytes: usize,
    max_bytes: usize,
    keep_lines: u64,
    counts: LevelCounts,
}

/// Lines that follow each other, taken out of the ring, to be joined outside of the lock.
#[derive(Debug)]
pub struct Slice {
    /// The first line's number.
    pub first: u64,
    /// The last line's number.
    pub last: u64,
    full: Vec<(Arc<Chunk>, RangeInclusive<u64>)>,
    open: String,
}

impl Slice {
    /// `{"run":…,"lines":[…]}`: the lines as the wire has them.
    pub fn join(self, run: u64) -> String {
        let full = self.full.iter().map(|(chunk, lines)| match chunk.long {
            false => chunk.slice(lines.clone()).len(),
            true => CHUNK_BYTES,
        });
        let mut json = String::with_capacity(full.sum::<usize>() + self.open.len() + 48);
        json.push_str("{\"run\":");
        push_number(&mut json, run);
        json.push_str(",\"lines\":[");
        self.full.iter().for_each(|(chunk, lines)| chunk.push_shown(lines.clone(), &mut json));
        json.push_str(&self.open);
        json.pop();
        json.push_str("]}");
        json
    }
}

impl Ring {
    /// An empty ring. It keeps at most about `max_bytes`, and within that `keep_lines` lines and little more.
    pub fn new(max_bytes: usize, keep_lines: u64) -> Self {
        Self {
            full: VecDeque::new(),
            open: Chunk::starting_at(1),
            bytes: 0,
            max_bytes,
            keep_lines,
            counts: LevelCounts::default(),
        }
    }

    /// Begins behind this line, where nothing was kept yet: those before were counted elsewhere.
    pub fn begin_behind(&mut self, seq: u64, counts: LevelCounts) {
        if self.last() == 0 {
            self.open = Chunk::starting_at(seq + 1);
            self.counts = counts;
        }
    }

    /// The first kept line; when there is none, one more than [`Ring::last`].
    pub fn first(&self) -> u64 {
        self.full.front().map_or(self.open.first, |chunk| chunk.first)
    }

    /// The last line; 0 before the first.
    pub const fn last(&self) -> u64 {
        self.open.end() - 1
    }

    /// Lines per level over the whole run.
    pub const fn counts(&self) -> LevelCounts {
        self.counts
    }

    /// Takes the lines of `staged`, which follow its own, and leaves it empty for the next ones.
    pub fn absorb(&mut self, staged: &mut Chunk) {
        for line in staged.lines() {
            self.counts.add(line.level);
            let size = line.json.len() + 1;
            if self.open.len() + size > CHUNK_BYTES && !self.open.is_empty() {
                self.seal();
            }
            self.open.push(line.level, line.stream, |out| out.push_str(line.json));
        }
        staged.clear();
        if self.open.len() > CHUNK_BYTES {
            self.seal();
        }
    }

    /// Memory of the chunks that have lines behind this one.
    pub fn bytes_behind(&self, seq: u64) -> usize {
        let from = self.full.partition_point(|chunk| chunk.end() <= seq.saturating_add(1));
        self.full.range(from..).map(|chunk| chunk.memory()).sum::<usize>() + self.open.memory()
    }

    /// Gives up memory, the oldest lines first.
    pub fn shrink(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
        self.evict();
    }

    fn seal(&mut self) {
        let mut next = Chunk::starting_at(self.open.end());
        next.text.reserve(CHUNK_BYTES);
        next.marks.reserve(self.open.marks.len());
        let mut chunk = std::mem::replace(&mut self.open, next);
        if chunk.text.capacity() - chunk.text.len() > CHUNK_BYTES / 16 {
            chunk.text.shrink_to_fit();
        }
        chunk.marks.shrink_to_fit();
        self.bytes += chunk.memory();
        self.full.push_back(Arc::new(chunk));
        self.evict();
    }

    fn evict(&mut self) {
        while let Some(front) = self.full.front() {
            let left = self.open.end() - front.end();
            let over = self.bytes + self.open.memory() > self.max_bytes;
            if left < self.keep_lines && !over {
                break;
            }
            self.bytes -= front.memory();
            self.full.pop_front();
        }
    }

    /// The lines behind `after` up to `until`, as many as fit into `max_bytes` and at least one; `None` where there are none.
    pub fn slice(&self, after: u64, until: u64, max_bytes: usize) -> Option<Slice> {
        let first = after.saturating_add(1).max(self.first());
        let until = until.min(self.last());
        if first > until {
            return None;
        }
        let mut slice = Slice { first, last: first - 1, full: Vec::new(), open: String::new() };
        let mut room = max_bytes;
        let from = self.full.partition_point(|chunk| chunk.end() <= first);
        for chunk in self.full.range(from..) {
            if slice.last == until {
                return Some(slice);
            }
            let Some(lines) = fit(chunk, slice.last + 1, until, &mut room, slice.last < first) else {
                return Some(slice);
            };
            slice.last = *lines.end();
            slice.full.push((Arc::clone(chunk), lines));
        }
        if slice.last < until
            && let Some(lines) = fit(&self.open, slice.last + 1, until, &mut room, slice.last < first)
        {
            slice.last = *lines.end();
            self.open.push_shown(lines, &mut slice.open);
        }
        Some(slice)
    }

    /// The chunks that hold lines behind `after`, the open one as a copy.
    pub fn chunks(&self, after: u64) -> Vec<Arc<Chunk>> {
        let from = self.full.partition_point(|chunk| chunk.end() <= after.saturating_add(1));
        let mut chunks: Vec<_> = self.full.range(from..).cloned().collect();
        if !self.open.is_empty() {
            chunks.push(Arc::new(self.open.clone()));
        }
        chunks
    }
}

/// The lines of `chunk` from `from` to `until` that fit into `room`; what is left of it is none when not all did.
fn fit(
    chunk: &Chunk,
    from: u64,
    until: u64,
    room: &mut usize,
    at_least_one: bool,
) -> Option<RangeInclusive<u64>> {
    let last = until.min(chunk.end() - 1);
    let all = chunk.slice(from..=last).len();
    if all <= *room {
        *room -= all;
        return Some(from..=last);
    }
    let index = usize::try_from(from.saturating_sub(chunk.first)).unwrap_or(usize::MAX);
    let start = chunk.start_of(index);
    let marks = chunk.marks.get(index..).unwrap_or_default();
    let count = marks.partition_point(|mark| (mark & END_MASK) as usize - start <= *room);
    *room = 0;
    let more = count.max(usize::from(at_least_one)).checked_sub(1)?;
    Some(from..=from + more as u64)
}
