//! The memory plan before a start: will this model, with these arguments, fit into this share of this device?
//!
//! In: a model's name or path, the arguments of `vllm serve`, the share, the caches of the machine, the devices as they are now. Out: a
//! [`MemoryPlan`] for the page, or why there can be none. [`model_facts`] reads files (bounded, nothing but headers); [`plan`] is pure.
//! `files` finds a model, `config` and `safetensors` read it, `shape` counts its parameters, `weights`, `cache` and `overhead` are the
//! three things that take memory, `arithmetic` adds them up as vLLM does, `known` stands in for files that are not here. The formula,
//! its sources and its error against real logs are in `docs/MEMORY.md`.

mod arithmetic;
mod cache;
pub mod config;
mod files;
mod flags;
mod json;
mod known;
mod overhead;
pub mod safetensors;
mod shape;
#[cfg(test)]
mod tests;
mod weights;

pub use arithmetic::plan;
pub use config::ConfigError;
pub use overhead::Version;
pub use safetensors::HeaderError;
pub use shape::ModelConfig;
pub use weights::Weights;

use app::model::{GpuProcess, PlanSource};
use files::Place;
use flags::Flags;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

#[cfg(doc)]
use app::model::MemoryPlan;

/// What is to be planned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ask {
    /// The model: the name of a repository, a folder, or a GGUF file. `--model` among the arguments wins.
    pub model: String,
    /// The revision, if not `main`. `--revision` among the arguments wins.
    pub revision: Option<String>,
    /// The further arguments of `vllm serve`.
    pub args: Vec<String>,
    /// `GPU_MEMORY_UTILIZATION`: 0 < x ≤ 1. `--gpu-memory-utilization` among the arguments wins.
    pub share: f64,
    /// The hub folders of the machine's Hugging Face caches (`…/huggingface/hub`), the likeliest first.
    pub caches: Vec<PathBuf>,
    /// The version of vLLM that will run, where it is known (from an image's tag, or the last run's log); the newest known is
    /// assumed otherwise.
    pub version: Option<Version>,
}

impl Ask {
    fn flags(&self) -> Flags {
        Flags::read(&self.args)
    }
}

/// One device that the model may use, in the order in which vLLM counts them.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Its index.
    pub index: u32,
    /// Its product name.
    pub name: String,
    /// Its memory in all, in bytes, as NVML states it (with what the driver reserves). 0 where it is not known.
    pub total: u64,
    /// What is not in use now, in bytes: all less what NVML states as used. What this very service holds counts as free.
    pub free: u64,
    /// Who holds memory, this service left out.
    pub holders: Vec<GpuProcess>,
}

/// What is known of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFacts {
    /// Its name or path.
    pub model: String,
    /// Where the figures come from. [`PlanSource::Table`] also when a config is here and the weights are not: they are an
    /// estimate then.
    pub source: PlanSource,
    /// Its shape.
    pub config: ModelConfig,
    /// Its weights.
    pub weights: Weights,
}

/// Why there is no plan.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The model is nowhere on this machine, and its figures are not known without it.
    #[error(
        "no files of {model} are on this machine, and it is none of the models known without them; looked at {}",
        list(looked)
    )]
    NotHere {
        /// The model.
        model: String,
        /// Every place that was looked at.
        looked: Vec<PathBuf>,
    },
    /// A file or folder cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The config cannot be used.
    #[error("{}: {source}", path.display())]
    Config {
        /// Which.
        path: PathBuf,
        /// Why.
        source: ConfigError,
    },
    /// A file of weights cannot be used.
    #[error("{}: {source}", path.display())]
    Header {
        /// Which.
        path: PathBuf,
        /// Why.
        source: HeaderError,
    },
    /// The list of tensors cannot be used.
    #[error("{} cannot be read as JSON: {detail}", path.display())]
    Index {
        /// Which.
        path: PathBuf,
        /// The parser's words.
        detail: String,
    },
    /// More files of weights than any model has.
    #[error("{} holds more than {} files of weights", folder.display(), files::SHARDS_LIMIT)]
    TooManyFiles {
        /// Where.
        folder: PathBuf,
    },
}

impl PlanError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_path_buf(), source }
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Finds out what is known of a model. Reads files: call it where blocking is allowed.
///
/// # Errors
/// [`PlanError`], each case.
pub fn model_facts(ask: &Ask) -> Result<ModelFacts, PlanError> {
    let flags = ask.flags();
    let model = flags.model.as_deref().unwrap_or(&ask.model);
    let revision = flags.revision.as_deref().or(ask.revision.as_deref());
    let place = match files::find(model, revision, &ask.caches) {
        Ok(place) => place,
        Err(error) => return from_table(model).ok_or(error),
    };
    let Some((path, bytes)) = config_of(&place)? else {
        // A folder without a config, or a single GGUF file: what its name says is better than nothing.
        return from_table(model).ok_or_else(|| PlanError::NotHere {
            model: model.to_owned(),
            looked: vec![config_path(&place)],
        });
    };
    let config = config::read(&bytes).map_err(|source| PlanError::Config { path, source })?;
    let source = match place {
        Place::Folder(_) | Place::Gguf(_) => PlanSource::Folder,
        Place::Cache(_) => PlanSource::Cache,
    };
    Ok(match Weights::of_files(&place, &config)? {
        Some(weights) => ModelFacts { model: model.to_owned(), source, config, weights },
        None => {
            let weights = Weights::of_shape(&config);
            ModelFacts { model: model.to_owned(), source: PlanSource::Table, config, weights }
        }
    })
}

fn config_path(place: &Place) -> PathBuf {
    match place {
        Place::Folder(folder) | Place::Cache(folder) => folder.join("config.json"),
        Place::Gguf(file) => file.with_file_name("config.json"),
    }
}

fn config_of(place: &Place) -> Result<Option<(PathBuf, Vec<u8>)>, PlanError> {
    let path = config_path(place);
    if !files::is_file(&path) {
        return Ok(None);
    }
    let bytes = files::read_bounded(&path, config::CONFIG_LIMIT).map_err(|e| PlanError::io(&path, e))?;
    Ok(Some((path, bytes)))
}

fn from_table(model: &str) -> Option<ModelFacts> {
    let config = known::find(model)?.config;
    let weights = Weights::of_shape(&config);
    Some(ModelFacts { model: model.to_owned(), source: PlanSource::Table, config, weights })
}
