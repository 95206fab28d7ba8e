//! Deletes one model from the caches. In: its name, who uses it. Out: what was freed, or why nothing was touched.
//!
//! The folder is renamed aside first: a deletion that is interrupted leaves no half model that looks whole, but a folder of a name that
//! is none of a model, and the next deletion (or [`clear_leftovers`]) ends it.

use super::walk::{self, Sum};
use super::{PREFIX, RepoName, RepoNameError, Trouble, Troubles, distinct};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use thiserror::Error;

/// How folders begin that are being deleted. Hugging Face's own tools pass over them.
const ASIDE: &str = ".removing-";

/// What a deletion freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// Bytes of the files that are gone, as their sizes were.
    pub bytes: u64,
    /// How many files.
    pub files: usize,
}

/// Why a model was not deleted.
#[derive(Debug, Error)]
pub enum DeleteError {
    /// That is no name.
    #[error(transparent)]
    Name(#[from] RepoNameError),
    /// A service uses it.
    #[error(
        "{repo} is in use: stop the service that loads it, or give that service another model, and delete then"
    )]
    InUse {
        /// Which.
        repo: RepoName,
    },
    /// It is in none of the caches.
    #[error("{repo} lies in none of {}; it may have been deleted already", list(looked))]
    NotHere {
        /// Which.
        repo: RepoName,
        /// The caches.
        looked: Vec<PathBuf>,
    },
    /// What has its name is no folder of its own.
    #[error("{} is a link or a file, no folder of a cache: nothing was deleted; remove it by hand", path.display())]
    NotAFolder {
        /// Which.
        path: PathBuf,
    },
    /// It cannot be looked at or renamed: nothing was deleted.
    #[error("{} cannot be deleted: {source}; give the user of this dashboard the right to write to its cache", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no model any more, but not all of it is gone.
    #[error("{} could not be removed whole: {source}; the next deletion tries again", path.display())]
    Partly {
        /// What is left.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Deletes a model from every cache that holds it, whole, and what earlier deletions left. `in_use` is asked with its name.
///
/// # Errors
/// [`DeleteError`], each case.
pub fn delete(caches: &[PathBuf], repo: &str, in_use: &dyn Fn(&str) -> bool) -> Result<Freed, DeleteError> {
    let repo = RepoName::parse(repo)?;
    if in_use(repo.as_str()) {
        return Err(DeleteError::InUse { repo });
    }
    let caches_here = distinct(caches, &mut Troubles::default());
    let mut folders = Vec::new();
    for cache in &caches_here {
        let path = cache.join(repo.folder());
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => folders.push((cache, path)),
            Ok(_) => return Err(DeleteError::NotAFolder { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(DeleteError::Io { path, source }),
        }
    }
    if folders.is_empty() {
        return Err(DeleteError::NotHere { repo, looked: caches.to_vec() });
    }
    let mut freed = Freed::default();
    for (cache, path) in folders {
        let aside = aside(cache, &repo);
        fs::rename(&path, &aside).map_err(|source| DeleteError::Io { path, source })?;
        let mut sum = Sum::default();
        walk::below(&aside, &mut Troubles::default(), |entry| sum.add(entry));
        fs::remove_dir_all(&aside).map_err(|source| DeleteError::Partly { path: aside, source })?;
        freed.bytes = freed.bytes.saturating_add(sum.bytes).saturating_add(sum.bytes_incomplete);
        freed.files += sum.files();
    }
    clear_leftovers(caches);
    Ok(freed)
}

/// A name that no other deletion has.
fn aside(cache: &Path, repo: &RepoName) -> PathBuf {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    cache.join(format!("{ASIDE}{}-{}-{}", repo.folder(), std::process::id(), now.as_nanos()))
}

/// Ends deletions that were interrupted; what could not be removed is told.
pub fn clear_leftovers(caches: &[PathBuf]) -> Vec<Trouble> {
    let mut troubles = Troubles::default();
    for cache in distinct(caches, &mut troubles) {
        for entry in fs::read_dir(&cache).into_iter().flatten().flatten() {
            let ours = entry
                .file_name()
                .to_str()
                .and_then(|name| name.strip_prefix(ASIDE))
                .is_some_and(|rest| rest.starts_with(PREFIX));
            if !ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            match fs::remove_dir_all(entry.path()) {
                Ok(()) => {}
                // Another deletion was quicker.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => troubles.add(Trouble::io(&entry.path(), &error)),
            }
        }
    }
    troubles.0
}
