//! Processes that outlive their container: stuck in the driver while the engine has given up on them, or put into its
//! control group by somebody.
//!
//! In: a container's full id. They are found by the control group that the kernel still names for them, and only they are
//! ended: each by a handle on the process, so that a PID that was given to another meanwhile is not hit.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::path::Path;

/// Length of a container's full id.
const ID: usize = 64;

/// Ends what is left of a container on this machine. How many processes were found, and how many were sent the signal.
pub fn end(container: &str) -> (usize, usize) {
    let whole = container.len() == ID && container.bytes().all(|b| b.is_ascii_hexdigit());
    let Some(entries) = std::fs::read_dir("/proc").ok().filter(|_| whole) else { return (0, 0) };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let left = pids.filter_map(Pid::from_raw).filter(|pid| belongs(*pid, container));
    left.fold((0, 0), |(found, ended), pid| (found + 1, ended + usize::from(end_one(pid, container))))
}

/// Gone already counts as ended.
fn end_one(pid: Pid, container: &str) -> bool {
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return !belongs(pid, container) };
    // Looked at again behind the handle: now it cannot be another process any more.
    !belongs(pid, container) || pidfd_send_signal(&handle, Signal::KILL).is_ok()
}

fn belongs(pid: Pid, container: &str) -> bool {
    let file = Path::new("/proc").join(pid.as_raw_nonzero().to_string()).join("cgroup");
    std::fs::read_to_string(file).is_ok_and(|groups| groups.lines().any(|line| names(line, container)))
}

/// `12:memory:/docker/ID`, `0::/system.slice/docker-ID.scope`: the id is a whole word of the path.
fn names(line: &str, container: &str) -> bool {
    line.split(['/', '-', '.', ':']).any(|word| word == container)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_id_counts() {
        let id = "0123456789abcdef".repeat(4);
        for line in [
            format!("12:memory:/docker/{id}"),
            format!("0::/system.slice/docker-{id}.scope"),
            format!("0::/user.slice/libpod-{id}.scope/container"),
        ] {
            assert!(names(&line, &id), "{line}");
        }
        assert!(!names(&format!("0::/docker/{id}0"), &id));
        assert!(!names("0::/docker/0123456789ab", &id));
        assert_eq!(end("0123456789ab"), (0, 0), "a short id ends nothing");
        assert_eq!(end(""), (0, 0));
    }
}
