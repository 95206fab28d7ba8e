//! A run's folder: its segments, their records, and what is found in them.
//!
//! `ROOT/SERVICE/RUN/` holds segments named by the number of their first line (`00000000000000000001.seg`), each a row of
//! records, and the `tail`: the lines of the block that is not full yet, in small records of the same form. Segments only
//! ever grow at their end; what has been found in one stays true, so that only what is new is looked at again.

use super::block::{HEAD_BYTES, Head, MAGIC, Record};
use super::columns::Columns;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Indexes of segments that are remembered.
const MOST_INDEXES: usize = 512;
/// The lines that no block holds yet.
pub const TAIL: &str = "tail";

/// A record and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Where its head begins.
    pub at: u64,
    /// Its head.
    pub head: Head,
}

impl Found {
    /// Where the next record begins.
    pub const fn end(&self) -> u64 {
        self.at + (HEAD_BYTES + self.head.body_bytes()) as u64
    }

    /// The record's body. One that is not what was written is an error.
    pub fn body(&self, file: &File) -> io::Result<Vec<u8>> {
        let mut body = vec![0; self.head.body_bytes()];
        file.read_exact_at(&mut body, self.at + HEAD_BYTES as u64)?;
        if self.head.fits(&body) { Ok(body) } else { Err(damaged("its checksum is another one")) }
    }

    /// Whether the body is what was written; an error where it cannot be read at all.
    pub fn is_whole(&self, file: &File) -> io::Result<bool> {
        match self.body(file) {
            Ok(_) => Ok(true),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The record's lines.
    pub fn columns(&self, file: &File) -> io::Result<Columns> {
        let body = self.body(file)?;
        let text = self.head.text(&body).map_err(damaged)?;
        self.head.rest(&body).and_then(|rest| self.head.columns(text, &rest)).map_err(damaged)
    }
}

/// An error of content.
pub fn damaged(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// What is known of one segment.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// Its records, in order.
    pub records: Vec<Found>,
    /// How far it was looked through.
    read: u64,
    /// Behind the records is something that is none.
    pub torn: bool,
    /// Stretches between records that are none.
    pub damaged: usize,
}

impl Index {
    /// Looks through what came since.
    fn extend(&mut self, file: &File) -> io::Result<()> {
        let length = file.metadata()?.len();
        if length < self.read {
            // Not the file that it was.
            *self = Self::default();
        }
        self.torn = false;
        let mut head = [0; HEAD_BYTES];
        while self.read < length {
            let whole = self.read + HEAD_BYTES as u64 <= length;
            if whole {
                // A disk that cannot be read is not a file that is torn.
                file.read_exact_at(&mut head, self.read)?;
            }
            let found =
                whole.then(|| Head::read(&head).ok()).flatten().map(|head| Found { at: self.read, head });
            let found = match found.filter(|found| found.end() <= length) {
                Some(found) => found,
                None => match next_record(file, self.read + 1, length)? {
                    Some(found) => {
                        self.damaged += 1;
                        found
                    }
                    None => {
                        self.torn = true;
                        break;
                    }
                },
            };
            self.read = found.end();
            self.records.push(found);
        }
        Ok(())
    }

    /// Behind the last record.
    pub const fn end(&self) -> u64 {
        self.read
    }
}

/// The first whole record at `from` or behind it.
fn next_record(file: &File, mut from: u64, length: u64) -> io::Result<Option<Found>> {
    let mut window = vec![0; 1 << 20];
    while from + HEAD_BYTES as u64 <= length {
        let wanted = usize::try_from(length - from).unwrap_or(usize::MAX).min(window.len());
        let bytes = window.get_mut(..wanted).unwrap_or_default();
        file.read_exact_at(bytes, from)?;
        for at in memchr::memmem::find_iter(bytes, MAGIC) {
            let at = from + at as u64;
            if at + HEAD_BYTES as u64 > length {
                break;
            }
            let mut head = [0; HEAD_BYTES];
            file.read_exact_at(&mut head, at)?;
            let found = Head::read(&head).ok().map(|head| Found { at, head });
            if let Some(found) = found.filter(|found| found.end() <= length)
                && found.is_whole(file)?
            {
                return Ok(Some(found));
            }
        }
        // A beginning that this window cuts is looked for again in the next.
        from += (wanted - MAGIC.len() + 1) as u64;
    }
    Ok(None)
}

/// Indexes of segments, kept for the next reader.
#[derive(Debug, Default)]
pub struct Indexes(Mutex<HashMap<PathBuf, Arc<Index>>>);

impl Indexes {
    /// What is in a segment now.
    pub fn of(&self, path: &Path, file: &File) -> io::Result<Arc<Index>> {
        let known = self.map().get(path).cloned();
        if let Some(known) = &known
            && file.metadata()?.len() == known.end()
        {
            return Ok(known.clone());
        }
        let mut index = known.map_or_else(Index::default, Arc::unwrap_or_clone);
        index.extend(file)?;
        let index = Arc::new(index);
        let mut map = self.map();
        if map.len() >= MOST_INDEXES && !map.contains_key(path) {
            map.clear();
        }
        map.insert(path.to_owned(), index.clone());
        Ok(index)
    }

    /// Forgets what lies below a folder, or one file.
    pub fn forget(&self, path: &Path) {
        self.map().retain(|known, _| !known.starts_with(path));
    }

    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, Arc<Index>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of the segment that begins with this line.
pub fn segment_name(first: u64) -> String {
    format!("{first:020}.seg")
}

/// The segments of a run, in order, with the numbers that they begin with. A folder that is not there has none.
pub fn segments(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let first = name.strip_suffix(".seg").and_then(|digits| digits.parse().ok());
        found.extend(first.map(|first| (first, path.clone())));
    }
    found.sort();
    Ok(found)
}

/// The lines of the tail behind line `after`, as far as they are whole, and how many bytes of the file those are.
pub fn tail_lines(file: &File, after: u64) -> io::Result<(Columns, u64)> {
    let mut index = Index::default();
    index.extend(file)?;
    let mut lines = Columns::default();
    let mut whole = 0;
    for found in &index.records {
        let Ok(columns) = found.columns(file) else { break };
        for line in columns.lines() {
            if line.seq <= after || line.seq < lines.end() {
                continue;
            }
            if !lines.takes(&line) {
                // Never written so: one tail belongs to one block.
                return Ok((lines, whole));
            }
            lines.push(&line);
        }
        whole = found.end();
    }
    Ok((lines, whole))
}

/// Whether the folder's last segment says that the run is over.
pub fn is_ended(records: &[Found]) -> bool {
    records.last().is_some_and(|found| found.head.record == Record::End)
}

/// Bytes of all files of a folder.
pub fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).sum()
}
