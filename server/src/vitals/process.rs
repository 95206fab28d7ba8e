//! What the kernel says of this process.

use std::path::Path;

/// This process, as far as `/proc` tells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// Processor time in user and kernel mode, in seconds.
    pub cpu_s: Option<f64>,
    /// Memory that is in RAM, in bytes.
    pub resident_bytes: Option<u64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// How many there may be.
    pub max_fds: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
}

impl Process {
    /// Reads it now. What cannot be read is absent.
    pub fn read() -> Self {
        let own = Path::new("/proc/self");
        let stat = std::fs::read_to_string(own.join("stat")).unwrap_or_default();
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
        Self {
            // One of them is the folder that is read.
            open_fds: std::fs::read_dir(own.join("fd"))
                .ok()
                .map(|fds| (fds.count() as u64).saturating_sub(1)),
            max_fds: rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
            ..Self::of_stat(&stat, rustix::param::clock_ticks_per_second(), page)
        }
    }

    /// What the line of `/proc/PID/stat` says. The name in it may hold anything, brackets too.
    fn of_stat(stat: &str, ticks_per_s: u64, page: u64) -> Self {
        let Some((_, rest)) = stat.rsplit_once(") ") else { return Self::default() };
        let fields: Vec<u64> =
            rest.split_ascii_whitespace().map(|field| field.parse().unwrap_or_default()).collect();
        // proc_pid_stat(5), counted from the third field on.
        let field = |number: usize| fields.get(number - 3).copied();
        Self {
            cpu_s: field(14).zip(field(15)).map(|(user, system)| {
                (user + system) as f64 / (if ticks_per_s == 0 { 100 } else { ticks_per_s }) as f64
            }),
            resident_bytes: field(24).map(|pages| pages * page),
            threads: field(20),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_stat_is_read_whatever_the_name_is() {
        let line = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 150 0 0 20 0 7 0 12345 1000000 512 18446744073709551615 0";
        let read = Process::of_stat(line, 100, 4096);
        assert_eq!(read.cpu_s, Some(4.0));
        assert_eq!(read.resident_bytes, Some(512 * 4096));
        assert_eq!(read.threads, Some(7));
        assert_eq!(Process::of_stat("", 100, 4096), Process::default());
    }

    #[test]
    fn this_very_process_is_read() {
        let read = Process::read();
        assert!(read.resident_bytes.is_some_and(|bytes| bytes > 1 << 20), "{read:?}");
        assert!(read.open_fds.is_some_and(|fds| fds >= 3), "{read:?}");
        assert!(read.cpu_s.is_some(), "{read:?}");
    }
}
