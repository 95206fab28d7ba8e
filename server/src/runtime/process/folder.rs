//! What an instance leaves on disk: one folder for each start, with small JSON files beside its log.
//!
//! ```text
//! DIR/start.lock      held while a dashboard starts something
//! DIR/shim.lock       held by the shim for as long as it lives
//! DIR/run.000007/     one start; the one before is kept until the next
//!   launch.json       the dashboard's: what it asked for
//!   instance.json     the shim's: who runs; without it there is no instance
//!   exit.json         the shim's: how the main process ended
//!   remnants.json     the shim's: what it left behind, and how that was ended
//!   log.000001 …      records, see `records`
//!   shim.err          the shim's own complaints
//! ```
//! Files appear whole or not at all (written aside, then renamed).

use super::group::{Identity, Roots};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub(super) const INSTANCE: &str = "instance.json";
pub(super) const EXIT: &str = "exit.json";
pub(super) const REMNANTS: &str = "remnants.json";
pub(super) const LAUNCH: &str = "launch.json";
pub(super) const START_LOCK: &str = "start.lock";
pub(super) const SHIM_LOCK: &str = "shim.lock";
pub(super) const SHIM_ERR: &str = "shim.err";

/// Room that `exit.json` takes from the start, so that a full disk cannot lose an exit status.
const RESERVED: usize = 4096;

/// Who runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InstanceFile {
    /// The boot in which the PIDs mean something.
    pub boot: String,
    /// The shim, leader of the session.
    pub shim: Identity,
    /// The command, leader of the group.
    pub main: Identity,
    /// When it was started, in nanoseconds since the Unix epoch.
    pub started_ns: i64,
    /// The inodes of the two pipes that it writes to.
    pub pipes: [u64; 2],
    /// The command, secrets hidden.
    pub command: Vec<String>,
}

impl InstanceFile {
    /// Boot, PID and start ticks: never the same for two starts.
    pub fn id(&self) -> String {
        format!("{}-{}-{}", self.boot, self.main.pid, self.main.ticks)
    }

    /// From where its processes are found.
    pub fn roots(&self, known: Vec<Identity>) -> Roots {
        Roots { shim: self.shim, main: self.main, pipes: self.pipes, known }
    }
}

/// How the main process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ExitFile {
    /// The exit code; 128 + n for a signal.
    pub code: i64,
    /// The signal.
    pub signal: Option<i32>,
    /// When, in nanoseconds since the Unix epoch.
    pub at_ns: i64,
    /// The kernel ended it for memory, as far as its counters tell.
    pub oom: bool,
}

/// What the main process left behind. The record stays when they are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RemnantsFile {
    /// All that were found.
    pub found: Vec<Leftover>,
    /// All of them have ended.
    pub gone: bool,
}

/// One process that outlived its main process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Leftover {
    /// Who.
    pub id: Identity,
    /// Its name.
    pub name: String,
    /// The last signal that the shim sent to it.
    pub signal: Option<i32>,
}

/// What the dashboard asked for, as far as it must be known later.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LaunchFile {
    /// The port that the API listens on.
    pub host_port: u16,
}

/// The id of this boot.
pub(super) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| "unknown".into(), |t| t.trim().to_owned())
}

/// Makes a folder that only its owner may enter; fine when it exists.
pub(super) fn make_private(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Opens a file for its owner only.
pub(super) fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// The starts in a service's folder, oldest first.
pub(super) fn runs(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    numbered(dir, "run.")
}

/// Entries named `PREFIX` and a number, in order. A folder that is not there has none.
pub(super) fn numbered(dir: &Path, prefix: &str) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let number = entry
            .file_name()
            .to_str()
            .and_then(|n| n.strip_prefix(prefix))
            .and_then(|n| n.parse::<u64>().ok());
        if let Some(number) = number {
            found.push((number, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The folder of start number `n`.
pub(super) fn run_path(dir: &Path, n: u64) -> PathBuf {
    dir.join(format!("run.{n:06}"))
}

/// Reads a JSON file; `None` when there is none.
///
/// # Errors
/// Unreadable, or not what it should be (`InvalidData`).
pub(super) fn read<T: DeserializeOwned>(run: &Path, name: &str) -> io::Result<Option<T>> {
    match fs::read(run.join(name)) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a JSON file whole and lastingly.
pub(super) fn write<T: Serialize>(run: &Path, name: &str, value: &T) -> io::Result<()> {
    let aside = run.join(format!("{name}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    publish(&file, &aside, &run.join(name))
}

fn publish(file: &File, aside: &Path, to: &Path) -> io::Result<()> {
    file.sync_all()?;
    fs::rename(aside, to)?;
    to.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

/// `exit.json` before it is needed: its room on the disk is taken already.
#[derive(Debug)]
pub(super) struct Reserved {
    file: File,
    aside: PathBuf,
    to: PathBuf,
}

impl Reserved {
    /// Takes the room.
    pub fn take(run: &Path) -> io::Result<Self> {
        let aside = run.join(format!("{EXIT}.new"));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        file.write_all_at(&[b' '; RESERVED], 0)?;
        file.sync_all()?;
        Ok(Self { file, aside, to: run.join(EXIT) })
    }

    /// Fills and publishes it; the blanks behind the JSON are white space to every reader.
    pub fn fill(&self, value: &ExitFile) -> io::Result<()> {
        self.file.write_all_at(&serde_json::to_vec(value)?, 0)?;
        publish(&self.file, &self.aside, &self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_exit_file_appears_whole_and_reads_back() {
        let dir = tempfile::tempdir().expect("a folder");
        let reserved = Reserved::take(dir.path()).expect("room");
        assert_eq!(read::<ExitFile>(dir.path(), EXIT).expect("readable"), None);
        let exit = ExitFile { code: 137, signal: Some(9), at_ns: 5, oom: false };
        reserved.fill(&exit).expect("written");
        assert_eq!(read(dir.path(), EXIT).expect("readable"), Some(exit));
    }

    #[test]
    fn runs_are_in_order_and_other_names_are_left_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in ["run.000010", "run.000009", "run.x", "other", "run.1000000"] {
            fs::create_dir(dir.path().join(name)).expect("made");
        }
        let numbers: Vec<u64> = runs(dir.path()).expect("readable").into_iter().map(|(n, _)| n).collect();
        assert_eq!(numbers, [9, 10, 1_000_000]);
        assert!(runs(&dir.path().join("none")).expect("no folder is no run").is_empty());
    }
}
