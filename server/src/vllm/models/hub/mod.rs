//! The Hugging Face caches of this machine: which models lie in them, how large, whether whole; and the deletion of one.
//!
//! In: the hub folders (`…/huggingface/hub`), the likeliest first. Out: a [`Listing`], or what was freed. Everything here blocks.
//! The layout (huggingface_hub, "Understand caching"): `models--ORG--NAME/` holds `blobs/` with the files, `snapshots/COMMIT/` with
//! links to them, `refs/REVISION` with commits; a download under way is `blobs/….incomplete`. Whatever lies in a cache is
//! somebody else's: no link is followed out of a repository, nothing but regular files is opened, every walk has a bound.

mod delete;
mod list;
mod mention;
#[cfg(test)]
mod tests;
mod walk;

pub use delete::{DeleteError, Freed, clear_leftovers, delete};
pub use list::list;
pub use mention::mentions;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use thiserror::Error;

/// The most repositories of all caches that are looked at.
pub const REPOS_LIMIT: usize = 512;
/// The most files and folders of one repository that are looked at.
pub const FILES_LIMIT: usize = 20_000;
/// The most troubles that are told.
const TROUBLES_LIMIT: usize = 64;
/// How the folders of models begin.
const PREFIX: &str = "models--";

/// The name of a model's repository, read by its allow-list: `NAME` or `ORG/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoName(String);

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is not the name of a repository: allowed are NAME or ORG/NAME of 1 to 96 letters, digits, '.', '_' and '-', with neither '..' nor '--' in it"
)]
pub struct RepoNameError(String);

impl RepoName {
    /// Reads a name. Allowed is what Hugging Face allows: no part begins or ends with `.` or `-`, none has `..` or `--` in it
    /// (`huggingface_hub`, `validate_repo_id`), so that a name and its folder determine each other.
    ///
    /// # Errors
    /// [`RepoNameError`] names the text and what is allowed.
    pub fn parse(text: &str) -> Result<Self, RepoNameError> {
        let plain = |part: &str| {
            (1..=96).contains(&part.len())
                && !part.starts_with(['.', '-'])
                && !part.ends_with(['.', '-'])
                && !part.contains("..")
                && !part.contains("--")
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        let fits = match text.split_once('/') {
            Some((org, name)) => plain(org) && plain(name),
            None => plain(text),
        };
        if fits { Ok(Self(text.to_owned())) } else { Err(RepoNameError(text.chars().take(100).collect())) }
    }

    /// The name that a folder of a cache stands for.
    fn of_folder(folder: &str) -> Option<Self> {
        Self::parse(&folder.strip_prefix(PREFIX)?.replace("--", "/")).ok()
    }

    /// The name of its folder in a cache.
    fn folder(&self) -> String {
        format!("{PREFIX}{}", self.0.replace('/', "--"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A model that lies in a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// The repository.
    pub repo: RepoName,
    /// Its folder.
    pub path: PathBuf,
    /// Bytes of its whole files, each counted once however many names it has.
    pub bytes: u64,
    /// Bytes of files whose download did not end.
    pub bytes_incomplete: u64,
    /// How many snapshots it has.
    pub snapshots: usize,
    /// Whether nothing is missing that can be seen to be missing: no download that did not end, no link without a file, no
    /// part of numbered weights.
    pub complete: bool,
    /// When one of its files was last read or written. Many file systems note readings once a day only, some never.
    pub last_used: Option<SystemTime>,
    /// What it is.
    pub kind: Kind,
}

/// What a repository holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A model.
    Model {
        /// The first of `architectures` in its config.
        architecture: Option<String>,
    },
    /// An adapter for a model.
    Adapter {
        /// The model: `base_model_name_or_path`, where that is the name of a repository.
        base: Option<String>,
        /// Its rank: `r`.
        rank: Option<u32>,
    },
    /// Neither config is here: the beginning of a download, or another format.
    Unknown,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The models, by name; one that lies in several caches is there several times.
    pub models: Vec<Cached>,
    /// What could not be looked at, the first 64.
    pub troubles: Vec<Trouble>,
}

/// Something in a cache that cannot be looked at, or is not looked at.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Trouble {
    /// It cannot be read.
    #[error("{} cannot be read: {kind}; look at its owner and its permissions", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        kind: io::ErrorKind,
    },
    /// It is no folder, or a link: it is left alone.
    #[error("{} is not a folder of its own and is left alone; move the model there, or name its cache", path.display())]
    NotAFolder {
        /// Which.
        path: PathBuf,
    },
    /// There is more than is looked at.
    #[error("{} holds more than {limit} entries; the rest is not counted", path.display())]
    TooMany {
        /// Where.
        path: PathBuf,
        /// How many are looked at.
        limit: usize,
    },
    /// A config that cannot be understood.
    #[error("{} is no config that can be read: {detail}", path.display())]
    Config {
        /// Which.
        path: PathBuf,
        /// The parser's words.
        detail: String,
    },
}

impl Trouble {
    fn io(path: &Path, error: &io::Error) -> Self {
        Self::Unreadable { path: path.to_path_buf(), kind: error.kind() }
    }
}

/// Troubles, the first of them.
#[derive(Debug, Default)]
struct Troubles(Vec<Trouble>);

impl Troubles {
    fn add(&mut self, trouble: Trouble) {
        if self.0.len() < TROUBLES_LIMIT {
            self.0.push(trouble);
        }
    }
}

/// Bytes that an ordinary user can still write to the file system that holds `path`.
///
/// # Errors
/// What the kernel says.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let room = rustix::fs::statvfs(path)?;
    Ok(room.f_bavail.saturating_mul(room.f_frsize))
}

/// The caches that are there, each once, whatever links lead to it. A cache may be a link: the owner named it.
fn distinct(caches: &[PathBuf], troubles: &mut Troubles) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for cache in caches {
        match cache.canonicalize() {
            Ok(path) if found.contains(&path) => {}
            Ok(path) => found.push(path),
            // A cache that is not there is empty.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => troubles.add(Trouble::io(cache, &error)),
        }
    }
    found
}
