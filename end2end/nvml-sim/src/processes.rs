//! Processes of a device: by PID, or by what `/proc` shows of them, so that a test need not know their numbers.

use serde::Deserialize;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A look at `/proc` answers for so long: one reading of a device asks several times.
const LOOK: Duration = Duration::from_millis(200);

/// Who holds memory. One of `pid`, `comm` and `cmdline` tells whom.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Process {
    /// This PID, whoever has it.
    pub pid: Option<u32>,
    /// Every process of this short name; the kernel keeps 15 bytes of it.
    pub comm: Option<String>,
    /// Every process with this in its command line, whose words are parted by blanks; never the caller itself.
    pub cmdline: Option<String>,
    /// What each of them holds; not available by default.
    pub memory_mib: Option<u64>,
    /// The MIG instance that it uses.
    pub gpu_instance: Option<u32>,
}

/// One process that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its PID.
    pub pid: u32,
    /// What it holds.
    pub memory_mib: Option<u64>,
    /// Its MIG instance.
    pub gpu_instance: Option<u32>,
}

/// What `/proc` shows of one process.
struct Seen {
    pid: u32,
    comm: String,
    cmdline: String,
}

static SEEN: Mutex<Option<(Instant, Arc<Vec<Seen>>)>> = Mutex::new(None);

/// Finds those processes that are there now.
pub fn find(wanted: &[Process]) -> Vec<Held> {
    let mut found = Vec::new();
    for process in wanted {
        let held = |pid| Held { pid, memory_mib: process.memory_mib, gpu_instance: process.gpu_instance };
        if let Some(pid) = process.pid {
            found.push(held(pid));
        } else if process.comm.is_some() || process.cmdline.is_some() {
            let seen = look();
            found.extend(seen.iter().filter(|seen| fits(process, seen)).map(|seen| held(seen.pid)));
        }
    }
    found
}

fn fits(process: &Process, seen: &Seen) -> bool {
    let comm = process.comm.as_deref().is_none_or(|name| {
        let cut = name.get(..15).unwrap_or(name);
        seen.comm == cut
    });
    comm && process.cmdline.as_deref().is_none_or(|text| seen.cmdline.contains(text))
}

fn look() -> Arc<Vec<Seen>> {
    let mut last = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, seen)) = last.as_ref().filter(|(at, _)| at.elapsed() < LOOK) {
        let _ = at;
        return seen.clone();
    }
    let me = std::process::id();
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|pid| *pid != me);
    let seen = Arc::new(pids.filter_map(seen).collect::<Vec<_>>());
    *last = Some((Instant::now(), seen.clone()));
    seen
}

fn seen(pid: u32) -> Option<Seen> {
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned();
    let cmdline = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let cmdline = String::from_utf8_lossy(&cmdline).replace('\0', " ");
    // One that has ended holds nothing: its command line is gone, too.
    (!cmdline.is_empty()).then_some(Seen { pid, comm, cmdline })
}
