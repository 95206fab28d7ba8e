//! The log on disk: bounded records in bounded segments, written by the shim alone.
//!
//! A record is `time_ns: i64, kind: u8, len: u32` (little endian) and `len` bytes, at most 64 KiB. Times strictly grow, so a
//! time names one record. `log.000001` is the first segment; a segment is never touched again once the next one exists, and
//! the oldest are removed. What the disk did not take is counted, and told in a record once there is room again.

use super::folder::numbered;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes before a record's own.
pub(super) const HEADER: usize = 13;
/// The most bytes in one record.
pub(super) const LONGEST: usize = 64 * 1024;

/// What a record holds. Never 0, so that a stretch of zeros is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Bytes of standard output.
    Stdout = 1,
    /// Bytes of standard error.
    Stderr = 2,
    /// The shim's own words about bytes that are missing.
    Note = 3,
    /// The log ends here.
    End = 4,
}

impl Kind {
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Stdout),
            2 => Some(Self::Stderr),
            3 => Some(Self::Note),
            4 => Some(Self::End),
            _ => None,
        }
    }
}

/// The head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// When the shim read the bytes, in nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// What they are.
    pub kind: Kind,
    /// How many.
    pub len: usize,
}

impl Head {
    /// Reads a head. `Ok(None)`: not all of it is there yet.
    ///
    /// # Errors
    /// What is there is no record.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, NotARecord> {
        let Some(head) = bytes.first_chunk::<HEADER>() else { return Ok(None) };
        let [t0, t1, t2, t3, t4, t5, t6, t7, kind, l0, l1, l2, l3] = *head;
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let kind = Kind::from_byte(kind).ok_or(NotARecord)?;
        if len > LONGEST {
            return Err(NotARecord);
        }
        Ok(Some(Self { time_ns: i64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]), kind, len }))
    }
}

/// A segment holds something else than records: torn by a power loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotARecord;

/// The segments of a run, oldest first.
pub(super) fn segments(run: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    numbered(run, "log.")
}

/// How much log is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of one segment.
    pub segment_bytes: u64,
    /// How many segments.
    pub segments: u64,
}

impl Default for Limits {
    /// 512 MiB in all.
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, segments: 8 }
    }
}

impl Limits {
    /// So many bytes in all, in eight segments; the usual number where none is given.
    pub fn of(bytes: Option<u64>) -> Self {
        let usual = Self::default();
        let segment = |bytes: u64| (bytes / usual.segments).max((HEADER + LONGEST) as u64);
        bytes.map_or(usual, |bytes| Self { segment_bytes: segment(bytes), ..usual })
    }
}

/// Appends records. Never fails and never waits for space: what does not fit is counted.
#[derive(Debug)]
pub(super) struct Writer {
    run: PathBuf,
    limits: Limits,
    number: u64,
    file: File,
    /// Length of the segment up to its last whole record.
    len: u64,
    last_ns: i64,
    /// Bytes that could not be written since the last note.
    lost: u64,
    buffer: Vec<u8>,
}

impl Writer {
    /// Begins the log of a run.
    ///
    /// # Errors
    /// The first segment cannot be made.
    pub fn create(run: &Path, limits: Limits) -> io::Result<Self> {
        let file = new_segment(run, 1)?;
        let buffer = Vec::with_capacity(HEADER + LONGEST);
        Ok(Self { run: run.to_owned(), limits, number: 1, file, len: 0, last_ns: 0, lost: 0, buffer })
    }

    /// All records will be later than this.
    pub fn not_before(&mut self, time_ns: i64) {
        self.last_ns = self.last_ns.max(time_ns);
    }

    /// Appends bytes, in as many records as they need.
    pub fn append(&mut self, kind: Kind, bytes: &[u8]) {
        for part in bytes.chunks(LONGEST) {
            if !self.settle() || self.write(kind, part).is_err() {
                self.lost += part.len() as u64;
            }
        }
    }

    /// Says that nothing follows; `false` when even that did not fit.
    pub fn end(&mut self) -> bool {
        self.settle() && self.write(Kind::End, &[]).is_ok()
    }

    /// Tells of what was lost, once there is room to tell it.
    fn settle(&mut self) -> bool {
        if self.lost == 0 {
            return true;
        }
        let note = format!(
            "[services] {} bytes of output could not be written to disk and are missing here\n",
            self.lost
        );
        let told = self.write(Kind::Note, note.as_bytes()).is_ok();
        if told {
            self.lost = 0;
        }
        told
    }

    fn write(&mut self, kind: Kind, bytes: &[u8]) -> io::Result<()> {
        let size = (HEADER + bytes.len()) as u64;
        if self.len > 0 && self.len + size > self.limits.segment_bytes {
            self.next_segment()?;
        }
        let time_ns = now_ns().max(self.last_ns.saturating_add(1));
        self.buffer.clear();
        self.buffer.extend_from_slice(&time_ns.to_le_bytes());
        self.buffer.push(kind as u8);
        self.buffer.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(0).to_le_bytes());
        self.buffer.extend_from_slice(bytes);
        if let Err(error) = self.file.write_all_at(&self.buffer, self.len) {
            // Half a record must not stay before the next one; a reader takes only whole ones.
            let _ = self.file.set_len(self.len);
            return Err(error);
        }
        self.len += size;
        self.last_ns = time_ns;
        Ok(())
    }

    fn next_segment(&mut self) -> io::Result<()> {
        let file = new_segment(&self.run, self.number + 1)?;
        self.file = file;
        self.number += 1;
        self.len = 0;
        let kept_from = (self.number + 1).saturating_sub(self.limits.segments.max(1));
        for (number, path) in segments(&self.run).unwrap_or_default() {
            if number < kept_from {
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }
}

fn segment_path(run: &Path, number: u64) -> PathBuf {
    run.join(format!("log.{number:06}"))
}

fn new_segment(run: &Path, number: u64) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(segment_path(run, number))
}

/// The clock, in nanoseconds since the Unix epoch.
pub(super) fn now_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_when_there_is_room_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut writer = Writer::create(dir.path(), Limits::default()).expect("begun");
        writer.append(Kind::Stdout, b"before\n");
        let good = std::mem::replace(
            &mut writer.file,
            OpenOptions::new().write(true).open("/dev/full").expect("there"),
        );
        writer.append(Kind::Stdout, b"lost\n");
        writer.append(Kind::Stderr, b"lost too\n");
        writer.file = good;
        writer.append(Kind::Stdout, b"after\n");
        assert!(writer.end());
        let bytes = fs::read(segment_path(dir.path(), 1)).expect("there");
        let mut at = 0;
        let mut texts = Vec::new();
        let mut last = 0;
        while let Some(head) = Head::read(&bytes[at..]).expect("records only") {
            assert!(head.time_ns > last, "times strictly grow");
            last = head.time_ns;
            texts.push((
                head.kind,
                String::from_utf8_lossy(&bytes[at + HEADER..at + HEADER + head.len]).into_owned(),
            ));
            at += HEADER + head.len;
        }
        assert_eq!(at, bytes.len());
        assert_eq!(texts[0], (Kind::Stdout, "before\n".into()));
        assert!(texts[1].0 == Kind::Note && texts[1].1.contains(" 14 bytes "), "{texts:?}");
        assert_eq!(texts[2], (Kind::Stdout, "after\n".into()));
        assert_eq!((texts[3].0, texts.len()), (Kind::End, 4));
    }

    #[test]
    fn the_log_stays_within_its_bound() {
        let dir = tempfile::tempdir().expect("a folder");
        let limits = Limits { segment_bytes: 1000, segments: 3 };
        let mut writer = Writer::create(dir.path(), limits).expect("begun");
        for _ in 0..100 {
            writer.append(Kind::Stdout, &[b'x'; 300]);
        }
        let left = segments(dir.path()).expect("readable");
        assert_eq!(left.len(), 3);
        let bytes: u64 = left.iter().map(|(_, p)| fs::metadata(p).expect("there").len()).sum();
        assert!(bytes <= 3000, "{bytes}");
    }

    #[test]
    fn zeros_and_giants_are_no_records() {
        assert_eq!(Head::read(&[0; HEADER]), Err(NotARecord));
        assert_eq!(Head::read(&[1; HEADER]), Err(NotARecord));
        assert_eq!(Head::read(&[1; HEADER - 1]), Ok(None));
    }
}
