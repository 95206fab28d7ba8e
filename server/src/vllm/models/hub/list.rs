//! Lists the models of the caches. In: hub folders. Out: a [`Listing`]. Reads names, sizes and two small configs of each model.

use super::walk::{self, Entry, Sum};
use super::{Cached, Kind, Listing, PREFIX, REPOS_LIMIT, RepoName, Trouble, Troubles, distinct};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The largest config that is read, in bytes.
const CONFIG_LIMIT: u64 = 4 << 20;
/// The longest text that is taken from a config.
const TEXT_LIMIT: usize = 200;

/// Lists the models of these caches, by name.
pub fn list(caches: &[PathBuf]) -> Listing {
    let mut troubles = Troubles::default();
    let mut models = Vec::new();
    for cache in distinct(caches, &mut troubles) {
        let entries = match fs::read_dir(&cache) {
            Ok(entries) => entries,
            Err(error) => {
                troubles.add(Trouble::io(&cache, &error));
                continue;
            }
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    troubles.add(Trouble::io(&cache, &error));
                    continue;
                }
            };
            let name = entry.file_name();
            let Some(repo) = name.to_str().and_then(RepoName::of_folder) else {
                // Data sets, locks and what others put there are none of ours; a model with an impossible name is worth a word.
                if name.to_string_lossy().starts_with(PREFIX) {
                    troubles.add(Trouble::NotAFolder { path: entry.path() });
                }
                continue;
            };
            if models.len() >= REPOS_LIMIT {
                troubles.add(Trouble::TooMany { path: cache.clone(), limit: REPOS_LIMIT });
                break;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => models.push(look(repo, entry.path(), &mut troubles)),
                Ok(_) => troubles.add(Trouble::NotAFolder { path: entry.path() }),
                Err(error) => troubles.add(Trouble::io(&entry.path(), &error)),
            }
        }
    }
    models.sort_by(|a, b| a.repo.cmp(&b.repo));
    Listing { models, troubles: troubles.0 }
}

fn look(repo: RepoName, path: PathBuf, troubles: &mut Troubles) -> Cached {
    let mut sum = Sum::default();
    let mut lost = 0_usize;
    let mut parts = Parts::default();
    let whole = walk::below(&path, troubles, |entry| {
        sum.add(entry);
        if let Some(name) = in_snapshot(&path, entry) {
            parts.add(&name);
            if entry.metadata.is_symlink() && inside(&path, &entry.path).is_err() {
                lost += 1;
            }
        }
    });
    let snapshots = snapshots(&path);
    let kind = snapshots.newest.as_deref().map_or(Kind::Unknown, |folder| kind(&path, folder, troubles));
    let complete =
        whole && snapshots.count > 0 && sum.incomplete == 0 && lost == 0 && parts.all() && sum.bytes > 0;
    Cached {
        repo,
        bytes: sum.bytes,
        bytes_incomplete: sum.bytes_incomplete,
        snapshots: snapshots.count,
        complete,
        last_used: sum.last_used,
        kind,
        path,
    }
}

/// The path of an entry below `snapshots/`, its commit included.
fn in_snapshot(repository: &Path, entry: &Entry) -> Option<String> {
    let below = entry.path.strip_prefix(repository.join("snapshots")).ok()?;
    below.to_str().map(str::to_owned)
}

/// Where a path leads, if that is a regular file inside of the repository.
fn inside(repository: &Path, path: &Path) -> io::Result<PathBuf> {
    let target = path.canonicalize()?;
    if target.starts_with(repository) && target.is_file() {
        return Ok(target);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it leads out of the repository"))
}

struct Snapshots {
    count: usize,
    newest: Option<PathBuf>,
}

/// The snapshots; that of `main` is taken for the newest where there is one.
fn snapshots(repository: &Path) -> Snapshots {
    let folder = repository.join("snapshots");
    let mut found: Vec<(Option<std::time::SystemTime>, PathBuf)> = Vec::new();
    let real = fs::symlink_metadata(&folder).is_ok_and(|m| m.is_dir());
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten().take(1000).filter(|_| real) {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let written = entry.metadata().and_then(|m| m.modified()).ok();
            found.push((written, entry.path()));
        }
    }
    found.sort();
    let main = inside(repository, &repository.join("refs/main"))
        .and_then(|path| read(&path, 200))
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let of_main = main.and_then(|commit| {
        let commit = commit.trim();
        found.iter().find(|(_, path)| path.file_name().is_some_and(|name| name == commit))
    });
    Snapshots { count: found.len(), newest: of_main.or(found.last()).map(|(_, path)| path.clone()) }
}

#[derive(Deserialize)]
struct ModelConfig {
    #[serde(default)]
    architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct AdapterConfig {
    #[serde(default)]
    base_model_name_or_path: Option<String>,
    #[serde(default)]
    r: Option<u32>,
}

fn kind(repository: &Path, snapshot: &Path, troubles: &mut Troubles) -> Kind {
    if let Some(config) = config::<AdapterConfig>(repository, &snapshot.join("adapter_config.json"), troubles)
    {
        // Whoever made the adapter wrote this; it may become an argument. A folder of theirs is of no use here.
        let base = config.base_model_name_or_path.filter(|base| RepoName::parse(base).is_ok());
        return Kind::Adapter { base, rank: config.r };
    }
    let name = |text: &String| {
        (1..=TEXT_LIMIT).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    config::<ModelConfig>(repository, &snapshot.join("config.json"), troubles).map_or(
        Kind::Unknown,
        |config| Kind::Model {
            architecture: config.architectures.and_then(|a| a.into_iter().next()).filter(name),
        },
    )
}

fn config<T: DeserializeOwned>(repository: &Path, path: &Path, troubles: &mut Troubles) -> Option<T> {
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return None;
    }
    let bytes = match inside(repository, path).and_then(|target| read(&target, CONFIG_LIMIT)) {
        Ok(bytes) => bytes,
        Err(error) => {
            troubles.add(Trouble::io(path, &error));
            return None;
        }
    };
    serde_json::from_slice(&bytes)
        .inspect_err(|error| {
            troubles.add(Trouble::Config { path: path.to_path_buf(), detail: error.to_string() });
        })
        .ok()
}

fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Numbered weights, `model-00001-of-00004.safetensors`: how many of how many are here.
#[derive(Default)]
struct Parts(HashMap<(String, String), (u32, u32)>);

impl Parts {
    fn add(&mut self, path: &str) {
        let numbered = || {
            let (front, rest) = path.rsplit_once("-of-")?;
            let (before, number) = front.rsplit_once('-')?;
            let (of, suffix) = rest.split_once('.')?;
            number.parse::<u32>().ok()?;
            Some(((before.to_owned(), suffix.to_owned()), of.parse::<u32>().ok()?))
        };
        if let Some((key, of)) = numbered() {
            let (here, expected) = self.0.entry(key).or_default();
            *here += 1;
            *expected = of.max(*expected);
        }
    }

    fn all(&self) -> bool {
        self.0.values().all(|(here, expected)| here >= expected)
    }
}
