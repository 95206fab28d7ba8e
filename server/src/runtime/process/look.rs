//! What is there: reads a service's folder and checks it against `/proc`. Synchronous; touches nothing.

use super::UNKNOWN_EXIT;
use super::folder::{
    EXIT, ExitFile, INSTANCE, InstanceFile, LAUNCH, LaunchFile, REMNANTS, RemnantsFile, boot_id, read, runs,
};
use super::group::{Identity, Stat, members, name, table};
use super::records::segments;
use crate::runtime::{Activity, Ended, Instance, InstanceId, RuntimeError};
use app::model::{Remnant, Timestamp, UnreachableReason};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// How long the shim may take to write down how its main process ended.
const EXIT_WRITTEN: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(20);

/// One start, as its folder and `/proc` show it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Its number.
    pub number: u64,
    /// Its folder.
    pub run: PathBuf,
    /// Who runs.
    pub file: InstanceFile,
    /// What was asked for.
    pub launch: LaunchFile,
    /// Its shim lives.
    pub shim_lives: bool,
    /// How it ended; `None` while it runs.
    pub ended: Option<Ended>,
    /// Its living processes.
    pub members: Vec<Stat>,
}

impl Seen {
    /// The main process runs.
    pub fn runs(&self) -> bool {
        self.ended.is_none()
    }

    /// Which start.
    pub fn id(&self) -> InstanceId {
        InstanceId { id: self.file.id(), started_ns: self.file.started_ns }
    }

    /// As the runtime shows it.
    pub fn instance(&self) -> Instance {
        let remnants = match self.ended {
            None => Vec::new(),
            Some(_) => self
                .members
                .iter()
                .map(|s| Remnant { pid: s.id.pid, name: name(s), memory_bytes: None })
                .collect(),
        };
        let port = self.launch.host_port;
        Instance {
            // Each start has a log of its own.
            log_from_ns: 0,
            id: self.id(),
            activity: self.ended.clone().map_or(Activity::Running, Activity::Ended),
            api_url: (port != 0).then(|| format!("http://127.0.0.1:{port}")),
            image: None,
            container: None,
            pids: self.members.iter().map(|s| s.id.pid).collect(),
            remnants,
        }
    }
}

/// The newest start. May wait up to a second for the shim to write down an exit.
///
/// # Errors
/// The folder cannot be read, or holds something else.
pub(super) fn look(dir: &Path) -> Result<Option<Seen>, RuntimeError> {
    for (number, run) in runs(dir).map_err(|e| away(dir, &e))?.into_iter().rev() {
        // A folder without it is a start that failed, or one under way.
        if let Some(file) = read::<InstanceFile>(&run, INSTANCE).map_err(|e| away(&run, &e))? {
            return see(number, run, file).map(Some);
        }
    }
    Ok(None)
}

/// The folder of one instance and its file, also when a newer one exists.
///
/// # Errors
/// As [`look`].
pub(super) fn find(dir: &Path, id: &InstanceId) -> Result<Option<(PathBuf, InstanceFile)>, RuntimeError> {
    for (_, run) in runs(dir).map_err(|e| away(dir, &e))?.into_iter().rev() {
        match read::<InstanceFile>(&run, INSTANCE) {
            Ok(Some(file)) if file.id() == id.id && file.started_ns == id.started_ns => {
                return Ok(Some((run, file)));
            }
            _ => {}
        }
    }
    Ok(None)
}

/// This very process of this very boot lives.
pub(super) fn lives(file: &InstanceFile, who: Identity) -> bool {
    file.boot == boot_id() && who.lives()
}

fn see(number: u64, run: PathBuf, file: InstanceFile) -> Result<Seen, RuntimeError> {
    let ended = ended(&run, &file)?;
    let this_boot = file.boot == boot_id();
    let shim_lives = this_boot && file.shim.lives();
    let members = if this_boot { living(&run, &file) } else { Vec::new() };
    // What just ends beside its main process is no remnant yet: the shim says what is.
    let members = match (&ended, shim_lives) {
        (Some(_), true) => {
            let known = remnants(&run);
            members.into_iter().filter(|s| known.contains(&s.id)).collect()
        }
        _ => members,
    };
    let launch = read(&run, LAUNCH).ok().flatten().unwrap_or_default();
    Ok(Seen { number, run, file, launch, shim_lives, ended, members })
}

/// Its living processes, of this boot.
pub(super) fn living(run: &Path, file: &InstanceFile) -> Vec<Stat> {
    if file.boot != boot_id() {
        return Vec::new();
    }
    let table = table();
    members(&table, &file.roots(remnants(run))).into_iter().cloned().collect()
}

fn remnants(run: &Path) -> Vec<Identity> {
    let file: RemnantsFile = read(run, REMNANTS).ok().flatten().unwrap_or_default();
    file.found.into_iter().map(|l| l.id).collect()
}

/// How it ended; `None` while it runs.
fn ended(run: &Path, file: &InstanceFile) -> Result<Option<Ended>, RuntimeError> {
    let mut left = EXIT_WRITTEN;
    loop {
        // In this order: the shim is asked before the file, which it writes before it ends.
        let main = lives(file, file.main);
        let shim = lives(file, file.shim);
        if let Some(exit) = read::<ExitFile>(run, EXIT).map_err(|e| away(run, &e))? {
            let at = Timestamp::from_nanos(exit.at_ns);
            return Ok(Some(Ended {
                code: exit.code,
                oom: exit.oom,
                asked_outside: false,
                perhaps_asked: false,
                at,
            }));
        }
        if main {
            return Ok(None);
        }
        if !shim || left.is_zero() {
            let at = last_sign(run, file);
            return Ok(Some(Ended {
                code: UNKNOWN_EXIT,
                oom: false,
                asked_outside: false,
                perhaps_asked: false,
                at,
            }));
        }
        std::thread::sleep(STEP);
        left = left.saturating_sub(STEP);
    }
}

/// When it was last heard of: its last output, else its start.
fn last_sign(run: &Path, file: &InstanceFile) -> Timestamp {
    let written =
        segments(run).ok().and_then(|s| s.last().and_then(|(_, path)| path.metadata().ok()?.modified().ok()));
    let millis = written.and_then(|t| i64::try_from(t.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok());
    millis.map_or_else(|| Timestamp::from_nanos(file.started_ns), Timestamp::from_millis)
}

/// An error of the folder, as the trait knows it.
pub(super) fn away(path: &Path, error: &io::Error) -> RuntimeError {
    let address = path.display().to_string();
    RuntimeError::Away(match error.kind() {
        io::ErrorKind::PermissionDenied => UnreachableReason::Denied { address },
        io::ErrorKind::NotFound => UnreachableReason::NoSocket { address },
        _ => UnreachableReason::Garbage { detail: format!("{address}: {error}") },
    })
}
