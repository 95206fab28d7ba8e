//! Disk, GPUs, file descriptors.

use super::Finding;
use crate::gpu::{Paths, Reader};
use crate::history::{floor, free_bytes, scarce};
use crate::settings::Config;
use app::locales::{Lang, gib_tenths};
use app::model::GpuStatus;
use rustix::fs::{Access, access};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

/// Open files that a dashboard with some viewers may need.
const FILES: u64 = 4096;
/// How long the driver may take.
const DRIVER: Duration = Duration::from_secs(10);

/// The state folder and the logs in it: can they be written, is there room.
pub fn disk(config: &Config) -> Vec<Finding> {
    let state = &config.dashboard.state_dir.value;
    let mut findings = vec![writable("state", state)];
    if state.join("logs").exists() {
        findings.push(writable("logs", &state.join("logs")));
    }
    findings.extend(free_bytes(state).map(|(free, size)| room(free, size, state)));
    findings
}

fn writable(check: &'static str, folder: &Path) -> Finding {
    let shown = folder.display();
    let there = folder.ancestors().find(|folder| folder.symlink_metadata().is_ok()).unwrap_or(Path::new("/"));
    let advice = "Give it to the user that runs Services, or choose another with SERVICES_STATE_DIR.";
    if !there.is_dir() {
        return Finding::error(check, format!("{} is no folder", there.display()), advice);
    }
    match access(there, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) if is_full(there) => Finding::error(
            check,
            format!("{} is on a disk without room: nothing can be written", there.display()),
            "Delete what is not needed on it.",
        ),
        Ok(()) if there == folder => Finding::ok(check, format!("{shown} can be written")),
        Ok(()) => Finding::ok(check, format!("{shown} is not there yet and can be made")),
        Err(rustix::io::Errno::ROFS) => Finding::error(
            check,
            format!("{} is on a file system that is read-only", there.display()),
            advice,
        ),
        Err(error) => {
            Finding::error(check, format!("{} cannot be written: {error}", there.display()), advice)
        }
    }
}

/// Whether the disk of a folder has no block or no file left for this user.
pub(super) fn is_full(folder: &Path) -> bool {
    let Ok(disk) = rustix::fs::statvfs(folder) else { return false };
    let root = rustix::process::geteuid().is_root();
    let blocks = if root { disk.f_bfree } else { disk.f_bavail };
    let files = if root { disk.f_ffree } else { disk.f_favail };
    blocks == 0 || disk.f_files > 0 && files == 0
}

fn room(free: u64, size: u64, folder: &Path) -> Finding {
    let gib = |bytes| gib_tenths(bytes, '.');
    let what = format!("{} of {} GiB are free at {}", gib(free), gib(size), folder.display());
    let advice =
        "Delete what is not needed: images, models of the Hugging Face cache, old logs (SERVICES_LOGS_SIZE).";
    if free < floor(size) || free == 0 {
        Finding::error("disk", format!("{what}: logs are not written any more"), advice)
    } else if free < scarce(size) {
        Finding::warning("disk", what, advice)
    } else {
        Finding::ok("disk", what)
    }
}

/// The GPUs. A driver that hangs is given up.
pub fn gpu(nvml_library: Option<PathBuf>) -> Option<Finding> {
    let (sender, receiver) = channel();
    let paths = Paths { nvml_library, ..Paths::default() };
    let thread = std::thread::Builder::new().spawn(move || {
        // Nobody waits any more after the limit.
        let _ = sender.send(Reader::new(paths).read());
    });
    thread.ok()?;
    let hung = || {
        let what = format!("the GPU's driver did not answer within {} s", DRIVER.as_secs());
        Finding::error("gpu", what, "`nvidia-smi` should answer at once; a reboot may be due.")
    };
    let Ok(reading) = receiver.recv_timeout(DRIVER) else { return Some(hung()) };
    let said = (Lang::En.words().no_gpu)(&reading.status);
    Some(match &reading.status {
        _ if reading.gpus.is_empty() && reading.status == GpuStatus::Ok => {
            Finding::ok("gpu", "the driver answers and lists no device")
        }
        GpuStatus::Ok => {
            let names: Vec<&str> = reading.gpus.iter().map(|gpu| gpu.name.as_str()).collect();
            Finding::ok("gpu", format!("{} can be read: {}", count(names.len()), names.join(", ")))
        }
        GpuStatus::NoDriver | GpuStatus::NoGpu => Finding::warning(
            "gpu",
            said,
            "Without a GPU only models that run on the processor can be served.",
        ),
        GpuStatus::Mismatch => Finding::error("gpu", said, "Reboot."),
        GpuStatus::Denied => {
            Finding::error("gpu", said, "Let the user that runs Services open /dev/nvidia* or /dev/dri.")
        }
        GpuStatus::Error { .. } => Finding::error("gpu", said, "`nvidia-smi` may tell more."),
    })
}

fn count(devices: usize) -> String {
    if devices == 1 { "one device".to_owned() } else { format!("{devices} devices") }
}

/// How many files may be open.
pub fn files() -> Finding {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    files_of(limit.maximum)
}

fn files_of(most: Option<u64>) -> Finding {
    match most {
        Some(most) if most < FILES => Finding::warning(
            "files",
            format!("only {most} files may be open at once; viewers, logs and the engine need up to {FILES}"),
            "Raise LimitNOFILE= of the unit, or `ulimit -n`.",
        ),
        Some(most) => Finding::ok("files", format!("up to {most} files may be open")),
        None => Finding::ok("files", "any number of files may be open"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn a_disk_without_room_is_an_error_and_one_with_little_a_warning() {
        const GIB: u64 = 1 << 30;
        let level = |free, size| room(free, size, Path::new("/x")).level;
        assert_eq!(level(50 * GIB, 100 * GIB), Level::Ok);
        assert_eq!(level(4 * GIB, 100 * GIB), Level::Warning);
        assert_eq!(level(GIB / 8, 100 * GIB), Level::Error);
        assert_eq!(level(0, 0), Level::Error);
    }

    #[test]
    fn few_files_are_a_warning() {
        assert_eq!(files_of(Some(1024)).level, Level::Warning);
        assert_eq!(files_of(Some(65_536)).level, Level::Ok);
        assert_eq!(files_of(None).level, Level::Ok);
    }
}
