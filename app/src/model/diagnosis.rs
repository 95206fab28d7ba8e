//! Why a service ended or did not start: a typed cause, the lines that prove it, the numbers in them, and what to change.

use serde::{Deserialize, Serialize};

/// Causes that are told apart. The ids are stable: the same in the page, the API and the docs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The model, its cache or its working memory are larger than what the device may give.
    DoesNotFit,
    /// It would fit, but others hold the device's memory.
    MemoryHeldByOthers,
    /// What is left for the KV cache cannot hold one request of the wanted length.
    KvCacheTooSmall,
    /// The wanted length is longer than the model allows.
    MaxLengthTooLarge,
    /// A flag that this version does not know.
    UnknownArgument,
    /// A flag or setting has a value that is not allowed.
    InvalidValue,
    /// Neither a folder nor a repository of that name.
    ModelNotFound,
    /// The repository is gated or private, and the token is missing or not entitled.
    AccessDenied,
    /// The hub could not be reached.
    HubUnreachable,
    /// Weights cannot be read: cut off or damaged.
    WeightsCorrupt,
    /// This version does not know the model's architecture or type.
    ArchitectureUnsupported,
    /// A LoRA adapter is not where it should be, or cannot be used.
    AdapterMissing,
    /// Something else listens on the port.
    PortInUse,
    /// No device can be seen.
    NoGpu,
    /// The driver does not suit the CUDA version, or is not up.
    DriverTooOld,
    /// The machine's memory (not the device's) ran out.
    HostOutOfMemory,
    /// A signal from outside ended it.
    Killed,
    /// No space is left on the disk.
    DiskFull,
    /// The image is not on this machine.
    ImageMissing,
    /// The engine or a worker process died under a server that was up, or without saying why.
    EngineDied,
    /// Nothing above is proved.
    Unknown,
}

impl Cause {
    /// The stable id, the same as on the wire.
    pub const fn id(self) -> &'static str {
        match self {
            Self::DoesNotFit => "does-not-fit",
            Self::MemoryHeldByOthers => "memory-held-by-others",
            Self::KvCacheTooSmall => "kv-cache-too-small",
            Self::MaxLengthTooLarge => "max-length-too-large",
            Self::UnknownArgument => "unknown-argument",
            Self::InvalidValue => "invalid-value",
            Self::ModelNotFound => "model-not-found",
            Self::AccessDenied => "access-denied",
            Self::HubUnreachable => "hub-unreachable",
            Self::WeightsCorrupt => "weights-corrupt",
            Self::ArchitectureUnsupported => "architecture-unsupported",
            Self::AdapterMissing => "adapter-missing",
            Self::PortInUse => "port-in-use",
            Self::NoGpu => "no-gpu",
            Self::DriverTooOld => "driver-too-old",
            Self::HostOutOfMemory => "host-out-of-memory",
            Self::Killed => "killed",
            Self::DiskFull => "disk-full",
            Self::ImageMissing => "image-missing",
            Self::EngineDied => "engine-died",
            Self::Unknown => "unknown",
        }
    }
}

/// One line that proves a cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Its SEQ in the run, or its number in the file, counted from 1.
    pub line: u64,
    /// The line, at most 1,000 characters.
    pub text: String,
}

/// What the lines told in numbers and names. Absent: they did not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What it is about: a flag, a model, an adapter, a device, an architecture, an image, a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The value that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What is allowed, or what was probably meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<String>,
    /// Memory that is needed, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed_bytes: Option<u64>,
    /// Memory that is free or may be used, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_bytes: Option<u64>,
    /// Memory of the device in all, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    /// The length that was asked for, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_tokens: Option<u64>,
    /// The largest length that is possible, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub possible_tokens: Option<u64>,
    /// The port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The process that is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The signal's number, or the exit code of the process that died.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
}

/// A change of settings that one click makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// Give a variable (`GPU_MEMORY_UTILIZATION`, `VLLM_API_URL`) this value.
    Set {
        /// The variable's name.
        variable: String,
        /// Its new value.
        value: String,
    },
    /// Give a flag of `vllm serve` this value.
    Argument {
        /// The flag, with its dashes.
        flag: String,
        /// Its new value; absent for a switch.
        #[serde(default)]
        value: Option<String>,
    },
    /// Leave a flag (and its value) out.
    DropArgument {
        /// The flag, with its dashes.
        flag: String,
    },
}

impl Change {
    /// The value that it gives; absent for a switch and for what is left out.
    pub fn value(&self) -> Option<&str> {
        match self {
            Self::Set { value, .. } => Some(value),
            Self::Argument { value, .. } => value.as_deref(),
            Self::DropArgument { .. } => None,
        }
    }
}

/// What a person can do; the page has the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Advice {
    /// Ask for a smaller share of the device's memory.
    LowerMemoryShare,
    /// Give it a larger share of the device's memory.
    RaiseMemoryShare,
    /// Serve shorter requests.
    ShortenContext,
    /// A smaller or more strongly quantised model, or more devices.
    UseSmallerModel,
    /// End or move whoever holds the device's memory.
    FreeMemory,
    /// Take the flag out.
    RemoveArgument,
    /// Use the flag that was probably meant.
    CorrectArgument,
    /// Give an allowed value.
    CorrectValue,
    /// Check the name or the path of the model.
    CheckModel,
    /// Give a token of an account that may read the repository, and accept its licence there.
    GiveToken,
    /// Check the network, or serve from a local folder.
    CheckNetwork,
    /// Delete the damaged files and download them again.
    DownloadAgain,
    /// A newer vLLM may know it; or choose another model.
    UpdateVllm,
    /// Check the adapter's path, or start without it.
    CheckAdapter,
    /// Choose another port, or end who holds it.
    ChangePort,
    /// See to it that the engine can see the device: driver, container toolkit, device choice.
    ProvideGpu,
    /// Update the driver, or use an image for an older CUDA.
    UpdateDriver,
    /// Give the machine more memory, or ask for less of it.
    FreeHostMemory,
    /// Free disk space.
    FreeDisk,
    /// Pull the image.
    PullImage,
    /// Start again; if it returns, the lines above the end tell more.
    StartAgain,
    /// Nothing is proved: the last lines are shown.
    ReadLines,
}

/// One way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// What to do.
    pub advice: Advice,
    /// The change that does it, where settings can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
}

/// A cause with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The cause.
    pub cause: Cause,
    /// The lines that prove it, oldest first; at most ten. For `unknown`: the last useful lines.
    pub evidence: Vec<Evidence>,
    /// The numbers and names in them.
    #[serde(default)]
    pub facts: Facts,
    /// What to do, the best first.
    pub remedies: Vec<Remedy>,
}
