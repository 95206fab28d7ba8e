//! Reads the log of a run from a position on, while the shim may still be writing it.
//!
//! Only whole records are taken: a half one is read again later. Where segments were removed before they were read, a frame
//! in their place says so (on standard error, just before the first frame that is left).

use super::records::{HEADER, Head, Kind, LONGEST, segments};
use crate::runtime::FramePosition;
use app::model::Stream;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes that are read at once: some records, and at least one of the longest.
const CHUNK: usize = 256 * 1024;
const _: () = assert!(CHUNK > HEADER + LONGEST);

const REMOVED: &[u8] = b"[services] older output was removed here to keep the log within its bound\n";

/// Frames that were read at once.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    frames: Vec<(i64, Stream, Range<usize>)>,
}

impl Batch {
    /// The frames in order: time, pipe, bytes.
    pub fn frames(&self) -> impl Iterator<Item = (i64, Stream, &[u8])> {
        self.frames.iter().map(|(time, stream, range)| (*time, *stream, &self.bytes[range.clone()]))
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.frames.clear();
    }

    fn push(&mut self, time_ns: i64, stream: Stream, bytes: &[u8]) {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.frames.push((time_ns, stream, from..self.bytes.len()));
    }
}

/// How far a reading came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There may be more at once.
    More,
    /// All that is there has been read.
    Drained,
    /// The end marker was read.
    End,
}

struct Segment {
    number: u64,
    file: File,
    offset: u64,
}

/// A place in a run's log.
pub(super) struct Reader {
    run: PathBuf,
    from: FramePosition,
    /// Frames with exactly the position's time that were passed over.
    passed: u32,
    segment: Option<Segment>,
    chunk: Vec<u8>,
}

impl Reader {
    /// Begins behind `from`.
    pub fn new(run: &Path, from: FramePosition) -> Self {
        Self { run: run.to_owned(), from, passed: 0, segment: None, chunk: vec![0; CHUNK] }
    }

    /// Reads what is there, at most one chunk, into the emptied batch.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn read(&mut self, batch: &mut Batch) -> io::Result<Step> {
        batch.clear();
        if self.segment.is_none() && !self.open_first(batch)? {
            return Ok(Step::Drained);
        }
        // Asked before reading: once a newer one exists, nothing is added to this one.
        let newest = segments(&self.run)?.last().map_or(0, |(n, _)| *n);
        let Some(segment) = self.segment.as_mut() else { return Ok(Step::Drained) };
        let read = read_at(&segment.file, &mut self.chunk, segment.offset)?;
        let mut at = 0;
        while let Some(head) = Head::read(&self.chunk[at..read]).unwrap_or(None) {
            let end = at + HEADER + head.len;
            if end > read {
                break;
            }
            if head.kind == Kind::End {
                return Ok(Step::End);
            }
            let same = self.from.time_ns == head.time_ns;
            if same && self.passed < self.from.nth {
                self.passed += 1;
            } else if same || self.from.time_ns < head.time_ns {
                let stream = if head.kind == Kind::Stdout { Stream::Stdout } else { Stream::Stderr };
                batch.push(head.time_ns, stream, &self.chunk[at + HEADER..end]);
            }
            at = end;
        }
        segment.offset += at as u64;
        if at > 0 {
            return Ok(Step::More);
        }
        let number = segment.number;
        if newest > number && self.open_after(number, batch)? { Ok(Step::More) } else { Ok(Step::Drained) }
    }

    /// Opens the segment that holds the position. `false`: there is none yet.
    fn open_first(&mut self, batch: &mut Batch) -> io::Result<bool> {
        let mut best: Option<(u64, File, Option<i64>)> = None;
        for (number, path) in segments(&self.run)? {
            // Removed in this very moment: the next one is there.
            let Ok(file) = File::open(path) else { continue };
            let first = first_time(&file)?;
            let behind = first.is_some_and(|t| t <= self.from.time_ns);
            if best.is_none() || behind {
                best = Some((number, file, first));
            }
        }
        let Some((number, file, first)) = best else { return Ok(false) };
        if number > 1 {
            self.tell_removed(first, batch);
        }
        self.segment = Some(Segment { number, file, offset: 0 });
        Ok(true)
    }

    /// Opens the next segment that is left.
    fn open_after(&mut self, number: u64, batch: &mut Batch) -> io::Result<bool> {
        for (next, path) in segments(&self.run)?.into_iter().filter(|(n, _)| *n > number) {
            let Ok(file) = File::open(path) else { continue };
            if next != number + 1 {
                self.tell_removed(first_time(&file)?, batch);
            }
            self.segment = Some(Segment { number: next, file, offset: 0 });
            return Ok(true);
        }
        Ok(false)
    }

    /// Puts a frame where the removed ones were, unless the position is behind it already.
    fn tell_removed(&self, first_left: Option<i64>, batch: &mut Batch) {
        let Some(time_ns) = first_left.map(|t| t.saturating_sub(1)) else { return };
        if self.from.time_ns < time_ns {
            batch.push(time_ns, Stream::Stderr, REMOVED);
        }
    }
}

fn first_time(file: &File) -> io::Result<Option<i64>> {
    let mut head = [0; HEADER];
    let read = read_at(file, &mut head, 0)?;
    Ok(Head::read(&head[..read]).unwrap_or(None).map(|h| h.time_ns))
}

/// Reads until the buffer is full or the file ends.
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::super::records::{Limits, Writer};
    use super::*;
    use std::fs::OpenOptions;
    use std::io::Write;

    fn all(reader: &mut Reader) -> (Vec<(i64, String)>, Step) {
        let mut batch = Batch::default();
        let mut frames = Vec::new();
        loop {
            let step = reader.read(&mut batch).expect("readable");
            frames.extend(batch.frames().map(|(t, _, b)| (t, String::from_utf8_lossy(b).into_owned())));
            if step != Step::More {
                return (frames, step);
            }
        }
    }

    #[test]
    fn every_frame_is_read_once_from_any_position_across_segments() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut writer =
            Writer::create(dir.path(), Limits { segment_bytes: 500, segments: 1000 }).expect("begun");
        let want: Vec<String> = (0..200).map(|n| format!("line {n}\n")).collect();
        for line in &want {
            writer.append(Kind::Stdout, line.as_bytes());
        }
        writer.end();
        let (frames, step) = all(&mut Reader::new(dir.path(), FramePosition::default()));
        assert_eq!(step, Step::End);
        assert_eq!(frames.iter().map(|f| f.1.clone()).collect::<Vec<_>>(), want);
        for behind in [0, 1, 57, 198, 199] {
            let from = FramePosition { time_ns: frames[behind].0, nth: 1 };
            let (rest, step) = all(&mut Reader::new(dir.path(), from));
            assert_eq!((rest.as_slice(), step), (&frames[behind + 1..], Step::End), "behind {behind}");
        }
    }

    #[test]
    fn half_a_record_waits_for_its_other_half() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut writer = Writer::create(dir.path(), Limits::default()).expect("begun");
        writer.append(Kind::Stderr, b"one");
        writer.append(Kind::Stderr, b"two");
        let path = dir.path().join("log.000001");
        let whole = std::fs::read(&path).expect("there");
        std::fs::write(&path, &whole[..whole.len() - 2]).expect("cut");
        let mut reader = Reader::new(dir.path(), FramePosition::default());
        let (frames, step) = all(&mut reader);
        assert_eq!((frames.len(), step), (1, Step::Drained));
        OpenOptions::new().append(true).open(&path).and_then(|mut f| f.write_all(b"wo")).expect("mended");
        assert_eq!(all(&mut reader).0.first().map(|f| f.1.as_str()), Some("two"));
    }

    #[test]
    fn a_reader_whose_place_was_removed_is_told_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut writer =
            Writer::create(dir.path(), Limits { segment_bytes: 100, segments: 2 }).expect("begun");
        writer.append(Kind::Stdout, b"first");
        let mut early = Reader::new(dir.path(), FramePosition::default());
        let (frames, _) = all(&mut early);
        let first = FramePosition { time_ns: frames[0].0, nth: 1 };
        for n in 0..50 {
            writer.append(Kind::Stdout, format!("line {n}").as_bytes());
        }
        writer.end();
        for reader in [
            &mut early,
            &mut Reader::new(dir.path(), first),
            &mut Reader::new(dir.path(), FramePosition::default()),
        ] {
            let (frames, step) = all(reader);
            assert_eq!(step, Step::End);
            let told = frames.iter().filter(|f| f.1.as_bytes() == REMOVED).count();
            assert_eq!(told, 1, "{frames:?}");
            assert_eq!(frames.last().map(|f| f.1.as_str()), Some("line 49"));
            let gap = frames.iter().position(|f| f.1.as_bytes() == REMOVED).expect("told");
            let from = FramePosition { time_ns: frames[gap].0, nth: 1 };
            assert_eq!(
                all(&mut Reader::new(dir.path(), from)).0,
                &frames[gap + 1..],
                "resumed behind the gap"
            );
        }
    }
}
