//! Whether the kernel killed for memory: its counters before and after.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How old a count may be: older kills were not ours.
const FRESH: Duration = Duration::from_secs(10);

/// The kernel's count of processes that it ended for memory: of our control group where there is one, else of the machine.
/// Sources: `memory.events` in the kernel's cgroup-v2 documentation; `oom_kill` in `/proc/vmstat`.
#[derive(Debug)]
pub(super) struct Kills {
    source: PathBuf,
    /// Two counts, the newer one perhaps so new that it holds what is asked about.
    before: u64,
    last: u64,
    at: Instant,
}

impl Kills {
    /// Counts a first time.
    pub fn begin() -> Self {
        let group = fs::read_to_string("/proc/self/cgroup")
            .ok()
            .and_then(|t| t.lines().find_map(|l| l.strip_prefix("0::/").map(str::to_owned)))
            .map(|path| PathBuf::from("/sys/fs/cgroup").join(path).join("memory.events"))
            .filter(|p| count(p).is_some());
        let source = group.unwrap_or_else(|| PathBuf::from("/proc/vmstat"));
        let before = count(&source).unwrap_or(0);
        Self { source, before, last: before, at: Instant::now() }
    }

    /// Counts again where the last count is old. To be called now and then.
    pub fn sample(&mut self) {
        if self.at.elapsed() > FRESH {
            self.before = self.last;
            self.last = count(&self.source).unwrap_or(self.last);
            self.at = Instant::now();
        }
    }

    /// It has happened lately.
    pub fn happened(&self) -> bool {
        count(&self.source).is_some_and(|now| now > self.before)
    }
}

fn count(source: &Path) -> Option<u64> {
    fs::read_to_string(source).ok()?.lines().find_map(|l| l.strip_prefix("oom_kill ")?.trim().parse().ok())
}
