//! A block: some hundred kilobytes of lines in one record of a file, and the records between them.
//!
//! A record is a head of fixed length, the packed text and the packed rest. The head says what is inside, so that lines are
//! found by number, time and level without unpacking anything; a checksum covers all of it, so that what a power loss tore
//! is known as torn. All numbers are little-endian. `docs/LOG-FORMAT.md` describes the same in words.

use super::columns::{Columns, MOST_SOURCES};
use app::model::{Level, LevelCounts};

/// Text per block, in bytes; a longer line has a block of its own.
pub const BLOCK_BYTES: usize = 256 << 10;
/// Bytes of a head.
pub const HEAD_BYTES: usize = 88;
/// The largest part that is believed: a line may be long, but not that long.
const MOST_BYTES: u32 = 512 << 20;

/// What a record begins with.
pub const MAGIC: &[u8; 4] = b"SLB1";
const LZ4: u8 = 1;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Record {
    /// Lines.
    Lines = 0,
    /// Lines are missing before the record's number that nobody can bring back; `missing` says how many, if it is known.
    Gap = 1,
    /// The run is over, and all its lines are before.
    End = 2,
}

/// What stands at the beginning of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What the record is.
    pub record: Record,
    /// The number of its first line.
    pub first: u64,
    /// How many lines.
    pub count: u32,
    /// The earliest time.
    pub from_ms: i64,
    /// The latest time. The clock may have jumped: neither need be that of the first or last line.
    pub to_ms: i64,
    /// Lines per level, in the order of [`Level::ALL`].
    pub counts: [u32; 5],
    /// Lines missing before this record; 0 when it is not known how many.
    pub missing: u64,
    /// Bytes of the texts.
    pub text_bytes: u32,
    /// Bytes of the rest.
    pub rest_bytes: u32,
    /// Bytes of the texts in the file.
    pub text_packed: u32,
    /// Bytes of the rest in the file.
    pub rest_packed: u32,
    packed: u8,
    checksum: u32,
}

/// A record that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record is damaged: {0}")]
pub struct Damaged(&'static str);

impl Head {
    /// A record without lines.
    pub const fn mark(record: Record, first: u64, missing: u64, ms: i64) -> Self {
        Self {
            record,
            first,
            count: 0,
            from_ms: ms,
            to_ms: ms,
            counts: [0; 5],
            missing,
            text_bytes: 0,
            rest_bytes: 0,
            text_packed: 0,
            rest_packed: 0,
            packed: 0,
            checksum: 0,
        }
    }

    /// The number behind the last line.
    pub const fn end(&self) -> u64 {
        self.first.saturating_add(self.count as u64)
    }

    /// Bytes behind the head.
    pub const fn body_bytes(&self) -> usize {
        self.text_packed as usize + self.rest_packed as usize
    }

    /// Lines of one level.
    pub fn count_of(&self, level: Level) -> u32 {
        self.counts.get(level as usize).copied().unwrap_or_default()
    }

    /// Adds the lines per level.
    pub fn add_counts(&self, to: &mut LevelCounts) {
        for level in Level::ALL {
            to.add_many(level, u64::from(self.count_of(level)));
        }
    }

    fn write(&self) -> [u8; HEAD_BYTES] {
        let mut out = Vec::with_capacity(HEAD_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[self.record as u8, self.packed, 0, 0]);
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.from_ms.to_le_bytes());
        out.extend_from_slice(&self.to_ms.to_le_bytes());
        self.counts.iter().for_each(|count| out.extend_from_slice(&count.to_le_bytes()));
        out.extend_from_slice(&self.missing.to_le_bytes());
        for bytes in [self.text_bytes, self.rest_bytes, self.text_packed, self.rest_packed] {
            out.extend_from_slice(&bytes.to_le_bytes());
        }
        // The head has a checksum of its own: it is believed without its body.
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        out.extend_from_slice(&self.checksum.to_le_bytes());
        let mut head = [0; HEAD_BYTES];
        head.copy_from_slice(&out);
        head
    }

    /// Reads a head; whether its body is whole is only known when that is read.
    pub fn read(bytes: &[u8]) -> Result<Self, Damaged> {
        let (fields, sums) = bytes
            .get(..HEAD_BYTES)
            .and_then(|head| head.split_at_checked(HEAD_BYTES - 8))
            .ok_or(Damaged("it is cut off"))?;
        let mut sums = Bytes(sums);
        let mut from = Bytes(fields);
        if from.take(4)? != MAGIC {
            return Err(Damaged("it does not begin as one"));
        }
        if sums.u32()? != crc32fast::hash(fields) {
            return Err(Damaged("the checksum of its head is another one"));
        }
        let record = match from.byte()? {
            0 => Record::Lines,
            1 => Record::Gap,
            2 => Record::End,
            _ => return Err(Damaged("its kind is unknown")),
        };
        let packed = from.byte()?;
        if from.take(2)? != [0, 0] {
            return Err(Damaged("it is of another version"));
        }
        let head = Self {
            record,
            packed,
            first: from.u64()?,
            count: from.u32()?,
            from_ms: from.u64()?.cast_signed(),
            to_ms: from.u64()?.cast_signed(),
            counts: [from.u32()?, from.u32()?, from.u32()?, from.u32()?, from.u32()?],
            missing: from.u64()?,
            text_bytes: from.u32()?,
            rest_bytes: from.u32()?,
            text_packed: from.u32()?,
            rest_packed: from.u32()?,
            checksum: sums.u32()?,
        };
        let lengths = [head.text_bytes, head.rest_bytes, head.text_packed, head.rest_packed];
        if lengths.iter().any(|bytes| *bytes > MOST_BYTES) {
            return Err(Damaged("its length makes no sense"));
        }
        let marks = head.record != Record::Lines;
        if marks != (head.count == 0) || head.count > head.text_bytes || head.packed > LZ4 {
            return Err(Damaged("what it says of itself makes no sense"));
        }
        Ok(head)
    }

    /// Whether this is the body that belongs to the head.
    pub fn fits(&self, body: &[u8]) -> bool {
        body.len() == self.body_bytes() && self.sum(body) == self.checksum
    }

    fn sum(&self, body: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(self.write().get(..HEAD_BYTES - 4).unwrap_or_default());
        hasher.update(body);
        hasher.finalize()
    }

    /// The record without a body, as bytes.
    pub fn bytes(mut self) -> [u8; HEAD_BYTES] {
        self.checksum = self.sum(&[]);
        self.write()
    }

    fn unpack_part(&self, body: &[u8], text: bool) -> Result<Vec<u8>, Damaged> {
        let cut = self.text_packed as usize;
        let (part, bytes) =
            if text { (body.get(..cut), self.text_bytes) } else { (body.get(cut..), self.rest_bytes) };
        let part = part.ok_or(Damaged("it is cut off"))?;
        if self.packed == LZ4 {
            lz4_flex::block::decompress(part, bytes as usize).map_err(|_| Damaged("it cannot be unpacked"))
        } else {
            Ok(part.to_vec())
        }
    }

    /// The texts alone: what a search looks at first. The body has been compared with its checksum.
    pub fn text(&self, body: &[u8]) -> Result<String, Damaged> {
        String::from_utf8(self.unpack_part(body, true)?).map_err(|_| Damaged("its text is not UTF-8"))
    }

    /// The rest, to go with a text.
    pub fn rest(&self, body: &[u8]) -> Result<Vec<u8>, Damaged> {
        self.unpack_part(body, false)
    }

    /// The names of the sources, which the rest begins with.
    pub fn names(rest: &[u8]) -> Result<Vec<String>, Damaged> {
        Bytes(rest).names()
    }

    /// Lines of a text and the rest.
    pub fn columns(&self, text: String, rest: &[u8]) -> Result<Columns, Damaged> {
        let count = self.count as usize;
        let mut rest = Bytes(rest);
        let names = rest.names()?;
        let mut times = Vec::with_capacity(count);
        let mut ms = 0_i64;
        for _ in 0..count {
            let delta = rest.varint()?;
            ms = ms.wrapping_add((delta >> 1).cast_signed() ^ -((delta & 1).cast_signed()));
            times.push(ms);
        }
        let tags = rest.take(count)?.to_vec();
        let sources = rest.take(count)?.to_vec();
        let mut spans = Vec::new();
        for _ in 0..rest.length()? {
            let at = u32::try_from(rest.varint()?).map_err(|_| Damaged("a style has no line"))?;
            let json = rest.text()?;
            spans.push((at, json));
        }
        let mut ends = Vec::with_capacity(count);
        ends.extend(
            memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| u32::try_from(at).unwrap_or(u32::MAX)),
        );
        if ends.len() != count {
            return Err(Damaged("it has another number of lines than it says"));
        }
        Ok(Columns { first: self.first, text, ends, times, tags, sources, names, spans })
    }

    /// All of a block, compared with its checksum.
    pub fn open(&self, body: &[u8]) -> Result<Columns, Damaged> {
        if !self.fits(body) {
            return Err(Damaged("its checksum is another one"));
        }
        self.columns(self.text(body)?, &self.rest(body)?)
    }
}

/// Writes lines as a record behind what `out` holds; `from` is the index of the first one that is taken.
pub fn pack(lines: &Columns, from: usize, compress: bool, out: &mut Vec<u8>) {
    let text = lines.text.get(lines.place(from).start..).unwrap_or_default();
    let rest = rest_of(lines, from);
    let times = lines.times.get(from..).unwrap_or_default();
    let mut head = Head::mark(
        Record::Lines,
        lines.first + from as u64,
        0,
        times.iter().copied().min().unwrap_or_default(),
    );
    head.to_ms = times.iter().copied().max().unwrap_or_default();
    head.count = u32::try_from(times.len()).unwrap_or(u32::MAX);
    for tag in lines.tags.get(from..).unwrap_or_default() {
        if let Some(count) = head.counts.get_mut(super::columns::untag(*tag).0 as usize) {
            *count += 1;
        }
    }
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    (head.text_bytes, head.rest_bytes) = (length(text.as_bytes()), length(&rest));
    let start = out.len();
    out.resize(start + HEAD_BYTES, 0);
    for (part, packed) in [(text.as_bytes(), &mut head.text_packed), (rest.as_slice(), &mut head.rest_packed)]
    {
        let before = out.len();
        if compress {
            out.extend_from_slice(&lz4_flex::block::compress(part));
        } else {
            out.extend_from_slice(part);
        }
        *packed = length(out.get(before..).unwrap_or_default());
    }
    head.packed = u8::from(compress);
    head.checksum = head.sum(out.get(start + HEAD_BYTES..).unwrap_or_default());
    if let Some(place) = out.get_mut(start..start + HEAD_BYTES) {
        place.copy_from_slice(&head.write());
    }
}

fn rest_of(lines: &Columns, from: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(lines.len() * 5);
    push_varint(&mut out, lines.names.len().min(MOST_SOURCES) as u64);
    for name in lines.names.iter().take(MOST_SOURCES) {
        push_text(&mut out, name);
    }
    let mut before = 0_i64;
    for ms in lines.times.get(from..).unwrap_or_default() {
        let delta = ms.wrapping_sub(before);
        push_varint(&mut out, ((delta << 1) ^ (delta >> 63)).cast_unsigned());
        before = *ms;
    }
    out.extend_from_slice(lines.tags.get(from..).unwrap_or_default());
    out.extend_from_slice(lines.sources.get(from..).unwrap_or_default());
    let from = u32::try_from(from).unwrap_or(u32::MAX);
    let styled = lines.spans.partition_point(|(at, _)| *at < from);
    let styled = lines.spans.get(styled..).unwrap_or_default();
    push_varint(&mut out, styled.len() as u64);
    for (at, json) in styled {
        push_varint(&mut out, u64::from(at - from));
        push_text(&mut out, json);
    }
    out
}

fn push_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7F) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    push_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Bytes that are read from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Damaged> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Damaged("it is cut off"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Damaged> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    fn u32(&mut self) -> Result<u32, Damaged> {
        self.take(4)?.try_into().map(u32::from_le_bytes).map_err(|_| Damaged("it is cut off"))
    }

    fn u64(&mut self) -> Result<u64, Damaged> {
        self.take(8)?.try_into().map(u64::from_le_bytes).map_err(|_| Damaged("it is cut off"))
    }

    fn varint(&mut self) -> Result<u64, Damaged> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Damaged("a number is too long"))
    }

    /// A number of things that follow, each of which takes a byte at least.
    fn length(&mut self) -> Result<usize, Damaged> {
        let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        if length > self.0.len() { Err(Damaged("a length makes no sense")) } else { Ok(length) }
    }

    fn text(&mut self) -> Result<String, Damaged> {
        let length = self.length()?;
        String::from_utf8(self.take(length)?.to_vec()).map_err(|_| Damaged("a name is not UTF-8"))
    }

    fn names(&mut self) -> Result<Vec<String>, Damaged> {
        (0..self.length()?).map(|_| self.text()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::Line;
    use super::*;
    use app::model::{LineKind, Stream};
    use proptest::prelude::*;

    type Made = (i64, usize, bool, usize, String, String, bool);

    fn columns(first: u64, made: &[Made]) -> Columns {
        let mut columns = Columns::starting_at(first);
        for (index, (ms, level, stderr, kind, source, text, styled)) in made.iter().enumerate() {
            let line = Line {
                seq: first + index as u64,
                ms: *ms,
                level: Level::ALL[*level],
                stream: if *stderr { Stream::Stderr } else { Stream::Stdout },
                kind: LineKind::ALL[*kind],
                source,
                text,
                spans: if *styled { r#"[[0,2,"bold red"]]"# } else { "" },
            };
            assert!(columns.takes(&line));
            columns.push(&line);
        }
        columns
    }

    fn made() -> impl Strategy<Value = Vec<Made>> {
        let line = (
            any::<i64>(),
            0..5_usize,
            any::<bool>(),
            0..9_usize,
            "[a-z]{0,2}",
            "[^\\r\\n]{0,20}",
            any::<bool>(),
        );
        prop::collection::vec(line, 1..40)
    }

    proptest! {
        #[test]
        fn what_is_packed_is_what_is_unpacked(first in 1..u64::MAX / 2, made in made(), compress: bool, cut in 0..40_usize) {
            let lines = columns(first, &made);
            let from = cut % lines.len();
            let mut out = vec![7; 3];
            pack(&lines, from, compress, &mut out);
            let head = Head::read(&out[3..]).expect("a head");
            prop_assert_eq!((head.first, head.end()), (first + from as u64, lines.end()));
            let back = head.open(&out[3 + HEAD_BYTES..]).expect("whole");
            prop_assert!(back.lines().eq(lines.lines().skip(from)));
            prop_assert_eq!(head.counts.iter().sum::<u32>() as usize, back.len());
        }

        #[test]
        fn a_damaged_record_is_known_as_damaged(made in made(), compress: bool, at: prop::sample::Index, bit in 0..8_u32, cut: prop::sample::Index) {
            let mut out = Vec::new();
            pack(&columns(1, &made), 0, compress, &mut out);
            let torn = &out[..cut.index(out.len())];
            prop_assert!(Head::read(torn).and_then(|head| head.open(&torn[HEAD_BYTES..])).is_err());
            let place = at.index(out.len());
            out[place] ^= 1 << bit;
            let read = Head::read(&out).and_then(|head| head.open(out.get(HEAD_BYTES..).unwrap_or_default()));
            prop_assert!(read.is_err(), "bit {} of byte {}", bit, place);
        }

        #[test]
        fn bytes_from_anywhere_end_in_an_error_and_nothing_worse(bytes in prop::collection::vec(any::<u8>(), 0..300), body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Head::read(&bytes);
            let mut head = Head::mark(Record::Lines, 1, 0, 0);
            (head.count, head.text_bytes, head.rest_bytes) = (3, 40, 40);
            head.text_packed = u32::try_from(body.len() / 2).expect("small");
            head.packed = LZ4;
            let _ = head.text(&body).and_then(|text| head.columns(text, &body));
            let _ = head.columns("a\nb\nc\n".into(), &body);
        }
    }

    #[test]
    fn a_mark_reads_back() {
        let bytes = Head::mark(Record::Gap, 42, 7, 99).bytes();
        let head = Head::read(&bytes).expect("a head");
        assert_eq!((head.record, head.first, head.missing, head.count), (Record::Gap, 42, 7, 0));
        assert!(head.fits(&[]));
    }
}
