//! History: every run of every service on disk, from its first line to its last.
//!
//! In: a feed, which one keeper per service reads as any viewer does, so that a slow disk holds up nobody. Out: views of
//! runs, from disk and memory joined, for whoever reads, searches or downloads. `columns` is the form of lines here, `block`
//! that of a record in a file, `files` finds records, `writer` writes them, `keeper` feeds the writer, `retention` deletes
//! what is too old or too much, `view` reads, `filter` says which lines, `search` looks through all runs. This room knows no
//! HTTP, no runtime and no database; `docs/LOG-FORMAT.md` describes the files.

mod block;
mod columns;
mod files;
mod filter;
mod keeper;
mod retention;
mod search;
#[cfg(test)]
mod tests;
mod view;
mod writer;

pub use columns::Line;
pub use filter::{Filter, MOST_QUERY, Query};
pub use keeper::Keeper;
pub use retention::{Bounds, KeptRun, floor, free_bytes, scarce};
pub use search::{Answer, BINS, Hit, OwnLine, Search};
pub use view::{
    Anchor, Direction, Selection, View, write_json_line, write_line, write_shown_line, write_text,
};
pub use writer::RunWriter;

use crate::logs::Feed;
use crate::vitals::Counter;
use app::model::{LogTrouble, LogTroubleKind, ServiceName, Timestamp};
use files::Indexes;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// The runs of all services.
pub struct History {
    root: PathBuf,
    /// Where processes keep what they write, as it comes: a folder for each service, in it one for each start.
    raw: Vec<PathBuf>,
    bounds: Bounds,
    indexes: Indexes,
    /// What keeps lines from being written, per service.
    troubles: Mutex<BTreeMap<ServiceName, LogTrouble>>,
    trouble: watch::Sender<Option<LogTrouble>>,
    /// What was written, per service.
    tallies: Mutex<BTreeMap<ServiceName, Arc<Tally>>>,
    /// Bytes on disk per service, as they were counted last.
    bytes: Mutex<BTreeMap<String, u64>>,
}

/// What was written of one service since the dashboard began.
#[derive(Debug, Default)]
pub struct Tally {
    /// Lines that came to the disk.
    pub stored: Counter,
    /// Lines that were gone before they could.
    pub dropped: Counter,
}

impl History {
    /// The runs below this folder, which is made when there is something to write.
    pub fn new(root: PathBuf, bounds: Bounds) -> Arc<Self> {
        Self::with_raw(root, Vec::new(), bounds)
    }

    /// The same beside what processes write as it comes, which counts, too.
    pub fn with_raw(root: PathBuf, raw: Vec<PathBuf>, bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            root,
            raw,
            bounds,
            indexes: Indexes::default(),
            troubles: Mutex::default(),
            trouble: watch::Sender::new(None),
            tallies: Mutex::default(),
            bytes: Mutex::default(),
        })
    }

    /// What was written of a service.
    pub fn tally(&self, service: &ServiceName) -> Arc<Tally> {
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.entry(service.clone()).or_default().clone()
    }

    /// Bytes on disk per service, as they were counted within the last minute.
    pub fn bytes(&self) -> BTreeMap<String, u64> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Free and all bytes of the disk that logs are written to.
    pub fn room(&self) -> Option<(u64, u64)> {
        retention::free_bytes(&self.root)
    }

    /// The folder of a run.
    fn folder(&self, service: &ServiceName, run: u64) -> PathBuf {
        self.root.join(service.as_str()).join(run.to_string())
    }

    /// A run as it can be read now; the current one of the feed for `None`. It reads from disk: not for an async task's own
    /// thread.
    pub fn view(
        &self,
        service: &ServiceName,
        run: Option<u64>,
        feed: Option<&Feed>,
    ) -> io::Result<Option<View>> {
        let run = match run {
            Some(run) => run,
            None => match feed.and_then(|feed| feed.run_numbers().0) {
                Some(run) => run,
                None => return Ok(None),
            },
        };
        let read = View::read(&self.folder(service, run), &self.indexes, run, feed);
        // Where the disk cannot be read, the memory can.
        read.or_else(|error| {
            tracing::warn!(%service, run, %error, "the run cannot be read from disk");
            match feed.filter(|feed| feed.kept(run).is_some()) {
                Some(feed) => View::read(Path::new("/nonexistent"), &self.indexes, run, Some(feed)),
                None => Err(error),
            }
        })
    }

    /// What keeps lines from being written now, and when it changes.
    pub fn trouble(&self) -> watch::Receiver<Option<LogTrouble>> {
        self.trouble.subscribe()
    }

    fn note(&self, service: &ServiceName, error: Option<&io::Error>) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            None => drop(troubles.remove(service)),
            Some(error) => {
                let since = troubles.get(service).map_or_else(Timestamp::now, |old| old.since);
                let trouble = LogTrouble { since, ..self.describe(error) };
                if troubles.insert(service.clone(), trouble).is_none() {
                    tracing::error!(%service, %error, "its log cannot be written to disk; it is kept in memory");
                }
            }
        }
        let first = troubles.values().min_by_key(|trouble| trouble.since).cloned();
        self.trouble.send_if_modified(|known| {
            let news = *known != first;
            *known = first;
            news
        });
    }

    fn describe(&self, error: &io::Error) -> LogTrouble {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LogTroubleKind::Full,
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => LogTroubleKind::ReadOnly,
            _ => LogTroubleKind::Failed,
        };
        LogTrouble {
            kind,
            since: Timestamp::now(),
            // The kernel's own words, without what the library adds.
            error: error.to_string().split(" (os error").next().unwrap_or_default().to_owned(),
            folder: self.root.display().to_string(),
            free: retention::free_bytes(&self.root).map(|(free, _)| free),
            store: false,
        }
    }
}
