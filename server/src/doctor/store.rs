//! What the dashboard remembers: whether the file is whole, and whether it can be written.

use super::host::is_full;
use super::{Finding, setup};
use crate::store::{MARKER, StoreTrouble};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// How long another program's lock is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// What can be told of the store. Nothing is written into it.
pub fn store(state_dir: &Path) -> Option<Finding> {
    let (file, check) = (state_dir.join("services.db"), "store");
    let bad = |trouble: StoreTrouble| {
        Some(Finding::error(check, format!("{}: {}", file.display(), trouble.what()), trouble.advice()))
    };
    let Some(found) = std::fs::metadata(&file).ok().filter(|found| found.len() > 0) else {
        let was = state_dir.join(MARKER).exists();
        return if was { bad(StoreTrouble::Gone) } else { None };
    };
    if let Some(pid) = setup::holder(state_dir)
        && has_another(pid, (found.dev(), found.ino()), "services.db")
    {
        return bad(StoreTrouble::Gone);
    }
    match look(&file) {
        Ok(None) if is_full(state_dir) => bad(StoreTrouble::Full),
        Ok(None) => Some(Finding::ok(check, format!("{} is whole and can be written", file.display()))),
        Ok(Some(said)) => {
            let what = format!("{}: it is damaged ({})", file.display(), said.replace('\n', " "));
            Some(Finding::error(check, what, StoreTrouble::Corrupt.advice()))
        }
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => bad(StoreTrouble::Locked),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => bad(StoreTrouble::Corrupt),
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                bad(StoreTrouble::ReadOnly)
            }
            Some(ErrorCode::DiskFull) => bad(StoreTrouble::Full),
            // It cannot even be read then: what goes with the file does not fit beside it.
            _ if is_full(state_dir) => bad(StoreTrouble::Full),
            _ => Some(Finding::error(
                check,
                format!("{}: {error}", file.display()),
                StoreTrouble::Failed.advice(),
            )),
        },
    }
}

/// What is wrong inside, if something is; an error where it cannot even be asked, or not be written.
fn look(file: &Path) -> rusqlite::Result<Option<String>> {
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(PATIENCE)?;
    let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if said != "ok" {
        return Ok(Some(said));
    }
    // Taking the lock for writing and giving it back changes nothing.
    connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK;")?;
    Ok(None)
}

/// Whether a process has a file of this name open, and not the one that has the name now.
fn has_another(pid: u32, file: (u64, u64), name: &str) -> bool {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let ours = open.filter(|entry| {
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        let last = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        last == name || last == format!("{name} (deleted)")
    });
    let open: Vec<_> = ours.filter_map(|entry| std::fs::metadata(entry.path()).ok()).collect();
    !open.is_empty() && !open.iter().any(|found| (found.dev(), found.ino()) == file)
}
