//! Finds a model's files on this machine: a folder, a single GGUF file, or the Hugging Face cache.
//!
//! The cache's layout (huggingface_hub, "Understand caching"): `models--ORG--NAME/refs/REVISION` holds a commit, and
//! `snapshots/COMMIT/` the files as links into `blobs/`; a download that is under way is `blobs/….incomplete` and has no link yet.
//! Names come from outside: they become paths only by allow-list. Nothing but regular files is opened, so that a pipe cannot hold us.

use super::PlanError;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// The most weight files of one model that are looked at.
pub const SHARDS_LIMIT: usize = 512;
/// The largest list of tensors (`model.safetensors.index.json`) that is read, in bytes; DeepSeek-V3's has 9 million.
const INDEX_LIMIT: u64 = 64 << 20;
/// The most entries of a folder that are looked at.
const ENTRIES_LIMIT: usize = 8192;

/// Where a model's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder that the name is the path of.
    Folder(PathBuf),
    /// A snapshot in the Hugging Face cache.
    Cache(PathBuf),
    /// One file with everything in it.
    Gguf(PathBuf),
}

/// Finds the files of `model`, at `revision` if one is given.
///
/// # Errors
/// [`PlanError::NotHere`] with every place that was looked at.
pub fn find(model: &str, revision: Option<&str>, caches: &[PathBuf]) -> Result<Place, PlanError> {
    let path = Path::new(model);
    let mut looked = vec![path.to_path_buf()];
    if path.is_dir() {
        return Ok(Place::Folder(path.to_path_buf()));
    }
    if model.ends_with(".gguf") && is_file(path) {
        return Ok(Place::Gguf(path.to_path_buf()));
    }
    if let Some(folder) = cache_folder(model) {
        for cache in caches {
            let repository = cache.join(&folder);
            if let Some(snapshot) = snapshot(&repository, revision) {
                return Ok(Place::Cache(snapshot));
            }
            looked.push(repository);
        }
    }
    Err(PlanError::NotHere { model: model.to_owned(), looked })
}

/// `Qwen/Qwen2.5-7B` is `models--Qwen--Qwen2.5-7B`; `None` for what is no name of a repository.
fn cache_folder(model: &str) -> Option<String> {
    let parts: Vec<&str> = model.split('/').collect();
    let plain = |part: &&str| {
        !part.is_empty()
            && part.len() <= 96
            && !part.starts_with('.')
            && !part.contains("..")
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    (parts.len() <= 2 && parts.iter().all(plain)).then(|| format!("models--{}", parts.join("--")))
}

fn snapshot(repository: &Path, revision: Option<&str>) -> Option<PathBuf> {
    let snapshots = repository.join("snapshots");
    let plain = |name: &str| {
        !name.is_empty()
            && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
            && name.len() <= 200
    };
    let revision = revision.unwrap_or("main");
    if !plain(revision) {
        return None;
    }
    let commit = read_bounded(&repository.join("refs").join(revision), 200)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .map(|text| text.trim().to_owned())
        .filter(|commit| plain(commit) && !commit.contains('/'));
    // A revision may be a commit itself.
    let folder = snapshots.join(commit.as_deref().unwrap_or(revision));
    folder.is_dir().then_some(folder)
}

/// The files that hold the weights in this folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shards {
    /// Safetensors, all of them here.
    Safetensors(Vec<PathBuf>),
    /// Safetensors, not all of them here; in all they have that many bytes.
    Partial(u64),
    /// Older formats, of which only the size is known: bytes.
    Opaque(u64),
    /// None.
    Missing,
}

/// Finds the weights in a folder, as vLLM chooses among several formats: safetensors first, and of these what the index names.
///
/// # Errors
/// [`PlanError::Io`] if the folder cannot be read, [`PlanError::TooManyFiles`].
pub fn shards(folder: &Path) -> Result<Shards, PlanError> {
    let index = folder.join("model.safetensors.index.json");
    if is_file(&index) {
        return indexed(folder, &index);
    }
    let mut safetensors = Vec::new();
    let mut gguf = 0_u64;
    let mut pickled = 0_u64;
    let entries = fs::read_dir(folder).map_err(|e| PlanError::io(folder, e))?;
    for entry in entries.take(ENTRIES_LIMIT) {
        let path = entry.map_err(|e| PlanError::io(folder, e))?.path();
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
        let size = || fs::metadata(&path).ok().filter(fs::Metadata::is_file).map_or(0, |m| m.len());
        match name.rsplit_once('.').map(|(_, suffix)| suffix) {
            // Mistral's repositories hold the same weights twice.
            Some("safetensors") if !name.starts_with("consolidated") && is_file(&path) => {
                safetensors.push(path);
            }
            Some("gguf") => gguf = gguf.saturating_add(size()),
            Some("bin") if name.starts_with("pytorch_model") => pickled = pickled.saturating_add(size()),
            Some("pt" | "pth") => pickled = pickled.saturating_add(size()),
            _ => {}
        }
    }
    let consolidated = folder.join("consolidated.safetensors");
    if safetensors.is_empty() && is_file(&consolidated) {
        safetensors.push(consolidated);
    }
    if safetensors.len() > SHARDS_LIMIT {
        return Err(PlanError::TooManyFiles { folder: folder.to_path_buf() });
    }
    // One file where several are expected, without the list of them: the first of a download.
    if let Some(whole) = parts_missing(&safetensors) {
        return Ok(Shards::Partial(whole));
    }
    safetensors.sort();
    Ok(match (safetensors.is_empty(), gguf.max(pickled)) {
        (false, _) => Shards::Safetensors(safetensors),
        (true, 0) => Shards::Missing,
        (true, bytes) => Shards::Opaque(bytes),
    })
}

/// `model-00001-of-00004.safetensors` without the other three: nothing is known of the whole.
fn parts_missing(files: &[PathBuf]) -> Option<u64> {
    let expected = files
        .iter()
        .filter_map(|path| path.file_stem()?.to_str()?.rsplit_once("-of-")?.1.parse::<usize>().ok())
        .max()?;
    (files.len() < expected).then_some(0)
}

fn indexed(folder: &Path, path: &Path) -> Result<Shards, PlanError> {
    let file = open(path).map_err(|e| PlanError::io(path, e))?;
    let index: Index = serde_json::from_reader(BufReader::new(file.take(INDEX_LIMIT)))
        .map_err(|e| PlanError::Index { path: path.to_path_buf(), detail: e.to_string() })?;
    if index.weight_map.0.len() > SHARDS_LIMIT {
        return Err(PlanError::TooManyFiles { folder: folder.to_path_buf() });
    }
    let files: Vec<PathBuf> = index.weight_map.0.iter().map(|name| folder.join(name)).collect();
    if !files.is_empty() && files.iter().all(|path| is_file(path)) {
        return Ok(Shards::Safetensors(files));
    }
    Ok(Shards::Partial(index.metadata.total_size))
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    metadata: Metadata,
    weight_map: FileNames,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    total_size: u64,
}

/// The distinct files that tensors are in, whatever the tensors are called.
struct FileNames(BTreeSet<String>);

impl<'de> Deserialize<'de> for FileNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tensors;
        impl<'de> Visitor<'de> for Tensors {
            type Value = FileNames;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of file names")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FileNames, A::Error> {
                let mut names = BTreeSet::new();
                while let Some((_, name)) = map.next_entry::<serde::de::IgnoredAny, String>()? {
                    // One more than the limit is enough to see that it is passed.
                    if names.len() <= SHARDS_LIMIT && is_plain_file_name(&name) {
                        names.insert(name);
                    }
                }
                Ok(FileNames(names))
            }
        }
        deserializer.deserialize_map(Tensors)
    }
}

fn is_plain_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Whether this is a regular file, through links.
pub fn is_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| m.is_file())
}

/// Opens a regular file; anything else is refused before it is opened.
pub fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path)?.is_file() {
        File::open(path)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
    }
}

/// Reads a file whole; one byte more than `limit` if it is longer.
pub fn read_bounded(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
