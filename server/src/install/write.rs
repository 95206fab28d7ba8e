//! Puts a unit file in its place. In: a folder and a text with our marker. Out: the file, whole or not at all; a file that
//! is not ours, or that somebody changed, is left alone.

use super::UNIT;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The longest unit that is read.
const LONGEST: u64 = 64 * 1024;
const MARKER: &str =
    "# Written by `server install`; changed by hand it is not overwritten. Checksum of what follows: ";

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// There was none.
    New(PathBuf),
    /// There was another one of ours.
    Replaced(PathBuf),
    /// It was there already, with this very text.
    Same(PathBuf),
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Somebody else wrote it.
    #[error("{} is there and was not written by `server install`: move it away first, or see with --print what would be written", .0.display())]
    NotOurs(PathBuf),
    /// It was ours.
    #[error("{} was changed by hand since `server install` wrote it: keep your changes with `systemctl edit {UNIT}`, then remove the file and install again", .0.display())]
    Changed(PathBuf),
    /// The disk, or a permission.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

/// FNV-1a, 64 bits: <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>. It tells changes, it guards nothing.
fn checksum(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The text with our marker line before it.
pub(super) fn marked(text: &str) -> String {
    format!("{MARKER}{:016x}\n{text}", checksum(text))
}

/// Whose a file is.
#[derive(Debug, PartialEq, Eq)]
enum Owner {
    Ours,
    Changed,
    Another,
}

fn owner(text: &str) -> Owner {
    let Some((sum, body)) = text.strip_prefix(MARKER).and_then(|rest| rest.split_once('\n')) else {
        return Owner::Another;
    };
    if u64::from_str_radix(sum, 16) == Ok(checksum(body)) { Owner::Ours } else { Owner::Changed }
}

/// Writes the unit into this folder, which is made where it is missing.
///
/// # Errors
/// [`WriteError`]; nothing was changed then.
pub fn write_unit(folder: &Path, text: &str) -> Result<Written, WriteError> {
    let path = folder.join(UNIT);
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| WriteError::Io { path, source }
    };
    let before = match std::fs::File::open(&path) {
        Ok(file) => {
            let mut bytes = Vec::new();
            file.take(LONGEST).read_to_end(&mut bytes).map_err(io(&path))?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
        // A link to nowhere is somebody's, too.
        Err(error) if error.kind() == ErrorKind::NotFound && path.symlink_metadata().is_err() => None,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(WriteError::NotOurs(path)),
        Err(error) => return Err(io(&path)(error)),
    };
    if before.as_deref() == Some(text) {
        return Ok(Written::Same(path));
    }
    match before.as_deref().map(owner) {
        Some(Owner::Another) => return Err(WriteError::NotOurs(path)),
        Some(Owner::Changed) => return Err(WriteError::Changed(path)),
        Some(Owner::Ours) | None => {}
    }
    std::fs::create_dir_all(folder).map_err(io(folder))?;
    // Without `.service` at its end: systemd does not take it for a unit.
    let aside = folder.join(format!(".{UNIT}.{}", std::process::id()));
    let put = || {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&aside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&aside, &path)
    };
    if let Err(error) = put() {
        // What is left of it helps nobody.
        let _ = std::fs::remove_file(&aside);
        return Err(io(&path)(error));
    }
    Ok(if before.is_some() { Written::Replaced(path) } else { Written::New(path) })
}
