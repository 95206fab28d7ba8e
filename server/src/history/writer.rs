//! Writes one run: full blocks into its segments, the lines of the open block into its tail.
//!
//! What `save` returned from survives a power loss. A write that fails leaves the files as long as they were, keeps the
//! lines, and can be tried again.

use super::block::{BLOCK_BYTES, Head, Record, pack};
use super::columns::{Columns, Line};
use super::files::{Indexes, TAIL, segment_name, segments, tail_lines};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes of a segment before the next one begins.
const SEGMENT_BYTES: u64 = 64 << 20;

/// A file that grows at its end, and never keeps half a record.
#[derive(Debug)]
struct Growing {
    file: File,
    length: u64,
}

impl Growing {
    fn open(path: &Path) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_all_at(bytes, self.length);
        if let Err(error) = written {
            // A full disk can still make a file shorter; where it cannot, the next opening finds the torn end.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.length = length;
        Ok(())
    }
}

/// Writes one run.
#[derive(Debug)]
pub struct RunWriter {
    folder: PathBuf,
    segment: Option<Growing>,
    tail: Growing,
    /// Lines of no block yet.
    open: Columns,
    /// So many of them are in the tail.
    in_tail: usize,
    /// The tail holds lines that are in a block by now.
    stale_tail: bool,
    /// The segment was written since it was made to last.
    unsynced: bool,
    ended: bool,
    block: Vec<u8>,
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

impl RunWriter {
    /// Opens a run's folder, or makes it, and mends what a power loss tore.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut last = 0;
        let mut segment = None;
        let mut ended = false;
        let mut found = segments(folder)?;
        while let Some((_, path)) = found.pop() {
            let mut file = Growing::open(&path)?;
            let index = Indexes::default().of(&path, &file.file)?;
            let mut records = index.records.as_slice();
            // A head may have come to the disk before its body.
            while let Some((end, before)) = records.split_last() {
                if end.is_whole(&file.file)? {
                    break;
                }
                records = before;
            }
            let whole = records.last().map_or(0, super::files::Found::end);
            if whole < file.length {
                file.cut(whole)?;
            }
            if let Some(end) = records.last() {
                last = end.head.end().saturating_sub(1);
                ended = super::files::is_ended(records);
                segment = Some(file);
                break;
            }
            // Nothing whole in it: out of the way, but not destroyed.
            std::fs::rename(&path, path.with_extension("damaged"))?;
        }
        let mut tail = Growing::open(&folder.join(TAIL))?;
        let (open, whole) = tail_lines(&tail.file, last)?;
        if whole < tail.length {
            tail.cut(whole)?;
        }
        let open = if open.is_empty() { Columns::starting_at(last + 1) } else { open };
        sync_folder(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            segment,
            tail,
            in_tail: open.len(),
            open,
            stale_tail: false,
            unsynced: false,
            ended,
            block: Vec::new(),
        })
    }

    /// The last line that was taken; 0 before the first.
    pub const fn last(&self) -> u64 {
        self.open.end() - 1
    }

    /// Takes a line. Lines that are here already are left out; a line that does not follow begins a block.
    pub fn push(&mut self, line: &Line<'_>) -> io::Result<()> {
        if line.seq <= self.last() {
            return Ok(());
        }
        let full = self.open.text.len() >= BLOCK_BYTES || !self.open.takes(line);
        if full && !self.open.is_empty() {
            self.seal()?;
        }
        if self.open.is_empty() {
            self.open = Columns::starting_at(line.seq);
        }
        self.open.push(line);
        Ok(())
    }

    /// Notes that lines are missing behind the last one.
    pub fn gap(&mut self, missing: Option<u64>, ms: i64) -> io::Result<()> {
        self.seal()?;
        let mark = Head::mark(Record::Gap, self.open.first, missing.unwrap_or(0), ms);
        self.record(&mark.bytes())
    }

    /// The run is over: its last block is closed.
    pub fn end(&mut self, ms: i64) -> io::Result<()> {
        if !self.ended || !self.open.is_empty() {
            self.seal()?;
            self.record(&Head::mark(Record::End, self.open.first, 0, ms).bytes())?;
            self.ended = true;
        }
        self.save()
    }

    /// Whether the files were deleted under it.
    pub fn is_gone(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        let Ok(here) = self.tail.file.metadata() else { return true };
        std::fs::metadata(self.folder.join(TAIL)).map_or(true, |there| there.ino() != here.ino())
    }

    fn seal(&mut self) -> io::Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        let mut block = std::mem::take(&mut self.block);
        block.clear();
        pack(&self.open, 0, true, &mut block);
        let written = self.record(&block);
        self.block = block;
        written?;
        self.open = Columns::starting_at(self.open.end());
        self.stale_tail = true;
        self.in_tail = 0;
        self.ended = false;
        Ok(())
    }

    fn record(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.segment.as_ref().is_some_and(|segment| segment.length >= SEGMENT_BYTES)
            && let Some(full) = &self.segment
        {
            full.file.sync_data()?;
            self.segment = None;
        }
        let segment = match &mut self.segment {
            Some(segment) => segment,
            None => {
                let segment = Growing::open(&self.folder.join(segment_name(self.open.first)))?;
                sync_folder(&self.folder)?;
                self.segment.insert(segment)
            }
        };
        segment.append(bytes)?;
        self.unsynced = true;
        Ok(())
    }

    /// Makes all that was taken last.
    pub fn save(&mut self) -> io::Result<()> {
        if self.unsynced {
            if let Some(segment) = &self.segment {
                segment.file.sync_data()?;
            }
            self.unsynced = false;
        }
        if self.stale_tail {
            self.tail.cut(0)?;
            self.stale_tail = false;
        }
        if self.in_tail < self.open.len() {
            self.block.clear();
            pack(&self.open, self.in_tail, false, &mut self.block);
            let before = self.tail.length;
            self.tail.append(&self.block)?;
            if let Err(error) = self.tail.file.sync_data() {
                // Whether it came to the disk is not known: it is written again.
                let _ = self.tail.cut(before);
                return Err(error);
            }
            self.in_tail = self.open.len();
        }
        Ok(())
    }
}
