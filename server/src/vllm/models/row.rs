//! What a row of the table is: figures with what they are worth, codes, identifiers. No words for people, no I/O; serde only.
//!
//! In: nothing. Out: types that may go over the wire as they are.

use app::model::Timestamp;
use serde::{Deserialize, Serialize};

/// What a figure is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FigureKind {
    /// Computed here from what is known of model and device.
    Estimate,
    /// Measured on this machine.
    Measured {
        /// When.
        at: Timestamp,
    },
    /// Stated by somebody else, for a machine of theirs.
    Published,
}

/// A figure and what it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure<T> {
    /// The figure.
    pub value: T,
    /// What it is worth.
    pub kind: FigureKind,
}

impl<T> Figure<T> {
    /// A figure that was computed.
    pub const fn estimate(value: T) -> Self {
        Self { value, kind: FigureKind::Estimate }
    }

    /// A figure that was published.
    pub const fn published(value: T) -> Self {
        Self { value, kind: FigureKind::Published }
    }
}

/// How fast one request is answered, in classes; the thresholds are [`super::speed::FAST_FROM`] and
/// [`super::speed::MEDIUM_FROM`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpeedClass {
    /// Slower than most people read.
    Slow,
    /// As fast as people read.
    Medium,
    /// Much faster than people read.
    Fast,
}

/// Tokens that one request gets, in ten seconds; where the figure was measured both ends are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// At least.
    pub low_per_10s: u64,
    /// At most.
    pub high_per_10s: u64,
    /// The class of the middle.
    pub class: SpeedClass,
}

/// Whether a model fits on the chosen devices now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fit", rename_all = "kebab-case")]
pub enum Fit {
    /// It fits with the row's settings.
    Fits,
    /// It fits if requests are at most this long.
    FitsShorter {
        /// In tokens.
        longest: u64,
    },
    /// It does not fit into the share.
    DoesNotFit {
        /// What is missing, in bytes.
        short_bytes: u64,
        /// The share with which it would fit, in percent, if any does.
        #[serde(default)]
        share_percent: Option<u32>,
    },
    /// It would fit, but others hold the memory now.
    HeldByOthers {
        /// What is missing, in bytes.
        short_bytes: u64,
    },
    /// Nobody can tell.
    Unknown {
        /// Why not.
        why: WhyUnknown,
    },
}

/// Why nobody can tell whether a model fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyUnknown {
    /// Its figures are known neither from files nor from the table of known models.
    NoFigures,
    /// No GPU can be read.
    NoGpu,
    /// It is an adapter, and its base is not named.
    NoBase,
}

/// A licence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    /// Its identifier on Hugging Face.
    pub id: String,
    /// Where it can be read.
    pub address: String,
}

/// Whether a download needs a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Token {
    /// It does not, or nothing has to be downloaded.
    NotNeeded,
    /// It does.
    Needed,
    /// Nobody knows before it is tried.
    Unknown,
}

/// What of a model is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Bytes, of what is whole.
    pub bytes: u64,
    /// Bytes of what is still being downloaded, or was broken off.
    pub bytes_incomplete: u64,
    /// Whether nothing is missing.
    pub complete: bool,
    /// When its files were last read or written; not every file system tells.
    #[serde(default)]
    pub last_used: Option<Timestamp>,
}

/// A setting that Use changes, by the name of its variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Variable {
    /// The weights.
    #[serde(rename = "VLLM_MODEL")]
    Model,
    /// The share of the device's memory.
    #[serde(rename = "GPU_MEMORY_UTILIZATION")]
    GpuMemoryUtilization,
}

impl Variable {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Model => "VLLM_MODEL",
            Self::GpuMemoryUtilization => "GPU_MEMORY_UTILIZATION",
        }
    }
}

/// What Use would set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// Variables and their values.
    pub set: Vec<(Variable, String)>,
    /// The arguments, in place of those that are set now.
    pub args: Vec<String>,
    /// A name to serve it as. Not among the settings: a name that clients know is better kept.
    #[serde(default)]
    pub suggested_name: Option<String>,
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its name for people: a title, or the model's identifier.
    pub title: String,
    /// The model's identifier or folder.
    pub model: String,
    /// The recipe that it is, if it is one.
    #[serde(default)]
    pub recipe: Option<String>,
    /// The owner's services that are set to it, with these very arguments.
    #[serde(default)]
    pub services: Vec<String>,
    /// For an adapter: what it is one of, where that is known.
    #[serde(default)]
    pub adapter_of: Option<String>,
    /// Parameters.
    #[serde(default)]
    pub parameters: Option<u64>,
    /// Parameters that a token visits, where they are fewer.
    #[serde(default)]
    pub active_parameters: Option<u64>,
    /// How its weights are quantized, as its config says.
    #[serde(default)]
    pub quantization: Option<String>,
    /// Memory that it needs on each device for one request of the wanted length, in bytes.
    #[serde(default)]
    pub vram: Option<Figure<u64>>,
    /// Memory that it is said to need, in bytes.
    #[serde(default)]
    pub published_vram: Option<Figure<u64>>,
    /// The wanted length of a request, in tokens.
    #[serde(default)]
    pub context_tokens: Option<u64>,
    /// Tokens that one request gets: measured where that was done, else estimated.
    #[serde(default)]
    pub speed: Option<Figure<Tokens>>,
    /// How fast it is said to be.
    #[serde(default)]
    pub published_speed: Option<Figure<SpeedClass>>,
    /// Whether it fits.
    pub fit: Fit,
    /// Its licence, where it is known.
    #[serde(default)]
    pub licence: Option<Licence>,
    /// Whether a download needs a token.
    pub token: Token,
    /// What of it is on the disk; absent where nothing is.
    #[serde(default)]
    pub disk: Option<Disk>,
    /// What Use would set; absent where a start would surely fail.
    #[serde(default)]
    pub usable: Option<Use>,
}
