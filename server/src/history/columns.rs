//! Lines that follow each other, column by column: the form in which they are kept, packed, searched and read.

use crate::logs::LineParts;
use app::model::{Level, LineKind, Stream};
use std::ops::Range;

/// Different sources in one block; a block ends where there would be more.
pub const MOST_SOURCES: usize = 255;

/// One line as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number within the run.
    pub seq: u64,
    /// When the runtime saw it, in milliseconds since the Unix epoch.
    pub ms: i64,
    /// How serious.
    pub level: Level,
    /// Which pipe.
    pub stream: Stream,
    /// What it is.
    pub kind: LineKind,
    /// Who wrote it; may be empty.
    pub source: &'a str,
    /// The text; it never holds a line end.
    pub text: &'a str,
    /// Styles as the wire's JSON array; empty where there are none.
    pub spans: &'a str,
}

impl<'a> Line<'a> {
    /// The line with this number that was read back from its JSON.
    pub const fn of(seq: u64, parts: &LineParts<'a>) -> Self {
        Self {
            seq,
            ms: parts.ms,
            level: parts.level,
            stream: parts.stream,
            kind: parts.kind,
            source: parts.source,
            text: parts.text,
            spans: parts.spans,
        }
    }

    /// All but its number.
    pub const fn parts(&self) -> LineParts<'a> {
        LineParts {
            ms: self.ms,
            level: self.level,
            stream: self.stream,
            kind: self.kind,
            source: self.source,
            text: self.text,
            spans: self.spans,
        }
    }
}

/// Level, pipe and kind in one byte.
pub const fn tag(level: Level, stream: Stream, kind: LineKind) -> u8 {
    level as u8 | (stream as u8) << 3 | (kind as u8) << 4
}

/// What a tag says. Bits that mean nothing are read as the least there is.
pub fn untag(tag: u8) -> (Level, Stream, LineKind) {
    let level = Level::ALL.get(usize::from(tag & 7)).copied().unwrap_or(Level::Other);
    let stream = if tag & 8 == 0 { Stream::Stdout } else { Stream::Stderr };
    let kind = LineKind::ALL.get(usize::from(tag >> 4)).copied().unwrap_or_default();
    (level, stream, kind)
}

/// Lines numbered without a hole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The number of the first line.
    pub first: u64,
    /// The texts, each followed by a line end.
    pub text: String,
    /// Where each text is over.
    pub ends: Vec<u32>,
    /// When each line came, in milliseconds since the Unix epoch.
    pub times: Vec<i64>,
    /// Level, pipe and kind of each line.
    pub tags: Vec<u8>,
    /// Whose each line is: an index into the names.
    pub sources: Vec<u8>,
    /// The sources' names.
    pub names: Vec<String>,
    /// Styles of the lines that have any, by index.
    pub spans: Vec<(u32, String)>,
}

impl Columns {
    /// No lines; the first will have this number.
    pub fn starting_at(first: u64) -> Self {
        Self { first, ..Self::default() }
    }

    /// How many lines.
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The number behind the last line.
    pub const fn end(&self) -> u64 {
        self.first + self.ends.len() as u64
    }

    /// Whether this line can follow here: it has the next number, and its source has a place among the names.
    pub fn takes(&self, line: &Line<'_>) -> bool {
        (self.is_empty() || line.seq == self.end())
            && (self.names.len() < MOST_SOURCES || self.names.iter().any(|name| name == line.source))
            && self.text.len().saturating_add(line.text.len()) < u32::MAX as usize
    }

    /// Adds a line that [`Columns::takes`]; a first one gives the block its first number.
    pub fn push(&mut self, line: &Line<'_>) {
        if self.is_empty() {
            self.first = line.seq;
        }
        let name = self.names.iter().position(|name| name == line.source).unwrap_or_else(|| {
            self.names.push(line.source.to_owned());
            self.names.len() - 1
        });
        if !line.spans.is_empty() {
            self.spans.push((u32::try_from(self.len()).unwrap_or(u32::MAX), line.spans.to_owned()));
        }
        self.text.push_str(line.text);
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        self.text.push('\n');
        self.times.push(line.ms);
        self.tags.push(tag(line.level, line.stream, line.kind));
        self.sources.push(u8::try_from(name).unwrap_or_default());
    }

    /// Where the text of a line lies.
    pub fn place(&self, index: usize) -> Range<usize> {
        let start = match index.checked_sub(1) {
            Some(before) => self.ends.get(before).map_or(0, |end| *end as usize + 1),
            None => 0,
        };
        start..self.ends.get(index).map_or(start, |end| *end as usize)
    }

    /// The line whose text this byte belongs to.
    pub fn index_of(&self, byte: usize) -> usize {
        self.ends.partition_point(|end| (*end as usize) < byte)
    }

    /// The text of a line.
    pub fn text_of(&self, index: usize) -> &str {
        self.text.get(self.place(index)).unwrap_or_default()
    }

    /// The source of a line.
    pub fn source_of(&self, index: usize) -> &str {
        let name = self.sources.get(index).and_then(|name| self.names.get(usize::from(*name)));
        name.map_or("", String::as_str)
    }

    /// A line by its index.
    pub fn line(&self, index: usize) -> Option<Line<'_>> {
        let (level, stream, kind) = untag(*self.tags.get(index)?);
        let spans = u32::try_from(index).ok().and_then(|at| {
            let found = self.spans.binary_search_by_key(&at, |(at, _)| *at).ok()?;
            self.spans.get(found)
        });
        Some(Line {
            seq: self.first + index as u64,
            ms: *self.times.get(index)?,
            level,
            stream,
            kind,
            source: self.source_of(index),
            text: self.text_of(index),
            spans: spans.map_or("", |(_, json)| json),
        })
    }

    /// All lines, in order.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = Line<'_>> {
        (0..self.len()).filter_map(|index| self.line(index))
    }
}
