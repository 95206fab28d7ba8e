//! The failures that can be asked for with `SIM_FAIL`, and the moment at which each strikes.

use std::str::FromStr;

/// A failure on request. The names are those of `exit_codes.md` and `wordings.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named as on the command line, see NAMES")]
pub enum Fault {
    BadFlag,
    BadPortValue,
    BadPortRange,
    GpuMemUtil,
    BadModelPath,
    BadRepoId,
    GatedModel,
    MaxModelLen,
    BadArch,
    PortInUse,
    CorruptWeights,
    KvCacheTooSmall,
    KvCacheSpaceOom,
    LoraPathMissing,
    CudaOom,
    GpuMemoryHeld,
    NoGpu,
    DriverTooOld,
    Exit0Crash,
    Hang,
    OomKill,
    Slow,
}

/// When a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// While the arguments are parsed, before any line on stdout.
    Arguments,
    /// After `non-default args`, before the model's configuration is read.
    Model,
    /// After the architecture is resolved, before the engine process starts.
    Config,
    /// When the worker takes hold of the device.
    Device,
    /// While the weights load.
    Weights,
    /// When the KV cache is sized.
    Cache,
    /// After the engine is up, before the server is ready.
    Frontend,
    /// While serving.
    Serving,
    /// Never by itself: it changes the pace.
    Pace,
}

impl Fault {
    /// Every name that `SIM_FAIL` takes.
    pub const NAMES: [(&'static str, Self); 22] = [
        ("bad-flag", Self::BadFlag),
        ("bad-port-value", Self::BadPortValue),
        ("bad-port-range", Self::BadPortRange),
        ("gpu-mem-util", Self::GpuMemUtil),
        ("bad-model-path", Self::BadModelPath),
        ("bad-repo-id", Self::BadRepoId),
        ("gated-model", Self::GatedModel),
        ("max-model-len", Self::MaxModelLen),
        ("bad-arch", Self::BadArch),
        ("port-in-use", Self::PortInUse),
        ("corrupt-weights", Self::CorruptWeights),
        ("kv-cache-too-small", Self::KvCacheTooSmall),
        ("kvcache-space-oom", Self::KvCacheSpaceOom),
        ("lora-path-missing", Self::LoraPathMissing),
        ("cuda-oom", Self::CudaOom),
        ("gpu-memory-held", Self::GpuMemoryHeld),
        ("no-gpu", Self::NoGpu),
        ("driver-too-old", Self::DriverTooOld),
        ("exit0-crash", Self::Exit0Crash),
        ("hang", Self::Hang),
        ("oom-kill", Self::OomKill),
        ("slow", Self::Slow),
    ];

    /// When it strikes.
    pub(crate) fn moment(self) -> Moment {
        match self {
            Self::BadFlag | Self::BadPortValue => Moment::Arguments,
            Self::BadPortRange
            | Self::PortInUse
            | Self::BadModelPath
            | Self::BadRepoId
            | Self::GatedModel => Moment::Model,
            Self::GpuMemUtil | Self::MaxModelLen | Self::BadArch | Self::NoGpu => Moment::Config,
            Self::GpuMemoryHeld | Self::DriverTooOld => Moment::Device,
            Self::CorruptWeights | Self::CudaOom | Self::Hang | Self::OomKill => Moment::Weights,
            Self::KvCacheTooSmall | Self::KvCacheSpaceOom => Moment::Cache,
            Self::LoraPathMissing => Moment::Frontend,
            Self::Exit0Crash => Moment::Serving,
            Self::Slow => Moment::Pace,
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, fault)| *fault).ok_or_else(|| {
            let names: Vec<&str> = Self::NAMES.iter().map(|(known, _)| *known).collect();
            format!("unknown failure '{name}'; one of: {}", names.join(", "))
        })
    }
}
