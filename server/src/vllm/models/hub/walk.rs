//! Goes through one folder and everything below it, without following a link. In: a folder. Out: each entry, up to a bound.

use super::{FILES_LIMIT, Trouble, Troubles};
use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The deepest folder that is looked into, below the repository's own.
const DEPTH_LIMIT: usize = 12;

/// An entry below a folder; never a folder itself.
pub struct Entry {
    /// Where it is.
    pub path: PathBuf,
    /// Of itself, not of what it links to.
    pub metadata: Metadata,
}

/// Everything below `root` but folders; what cannot be read is told. Whether all of it was seen.
pub fn below(root: &Path, troubles: &mut Troubles, mut visit: impl FnMut(&Entry)) -> bool {
    let mut folders = vec![(root.to_path_buf(), 0_usize)];
    let mut seen = 0_usize;
    let mut whole = true;
    while let Some((folder, depth)) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                troubles.add(Trouble::io(&folder, &error));
                whole = false;
                continue;
            }
        };
        for entry in entries {
            seen += 1;
            if seen > FILES_LIMIT {
                troubles.add(Trouble::TooMany { path: root.to_path_buf(), limit: FILES_LIMIT });
                return false;
            }
            let path = match &entry {
                Ok(entry) => entry.path(),
                Err(_) => folder.clone(),
            };
            match entry.and_then(|entry| entry.metadata()) {
                Ok(metadata) if metadata.is_dir() && depth < DEPTH_LIMIT => folders.push((path, depth + 1)),
                Ok(metadata) if metadata.is_dir() => {
                    troubles.add(Trouble::TooMany { path, limit: DEPTH_LIMIT });
                    whole = false;
                }
                Ok(metadata) => visit(&Entry { path, metadata }),
                Err(error) => {
                    troubles.add(Trouble::io(&path, &error));
                    whole = false;
                }
            }
        }
    }
    whole
}

/// Sums up files, each once however many names it has.
#[derive(Debug, Default)]
pub struct Sum {
    seen: HashSet<(u64, u64)>,
    /// Bytes of whole files.
    pub bytes: u64,
    /// Bytes of files whose download did not end.
    pub bytes_incomplete: u64,
    /// Files whose download did not end.
    pub incomplete: usize,
    /// When the latest was read or written.
    pub last_used: Option<SystemTime>,
}

impl Sum {
    /// Adds a file; anything else is no bytes.
    pub fn add(&mut self, entry: &Entry) {
        let metadata = &entry.metadata;
        if !metadata.is_file() || !self.seen.insert((metadata.dev(), metadata.ino())) {
            return;
        }
        if entry.path.extension().is_some_and(|suffix| suffix == "incomplete") {
            self.incomplete += 1;
            self.bytes_incomplete = self.bytes_incomplete.saturating_add(metadata.len());
        } else {
            self.bytes = self.bytes.saturating_add(metadata.len());
        }
        let used = metadata.accessed().ok().max(metadata.modified().ok());
        self.last_used = self.last_used.max(used);
    }

    /// How many files.
    pub fn files(&self) -> usize {
        self.seen.len()
    }
}
