//! What a start would need of the device's memory, computed before it.

use super::GpuProcess;
use serde::{Deserialize, Serialize};

/// Where the model's figures come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanSource {
    /// A folder with the model's files.
    Folder,
    /// The Hugging Face cache of this machine.
    Cache,
    /// The table of known models: an estimate.
    Table,
}

/// Whether it fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// It fits at the wanted length.
    Fits,
    /// It fits, but requests can be at most this long.
    FitsShorter {
        /// The longest request, in tokens.
        longest_tokens: u64,
    },
    /// The weights and the working memory do not fit into the share.
    DoesNotFit {
        /// What is missing, in bytes.
        short_bytes: u64,
        /// The share (in percent of the device) with which it would fit, if any does.
        #[serde(default)]
        share_percent: Option<u32>,
    },
    /// It would fit, but others hold the memory now.
    HeldByOthers {
        /// What is missing, in bytes.
        short_bytes: u64,
    },
    /// The share is known, the device is not: no GPU can be read.
    NoGpu,
}

/// The device that the plan is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanDevice {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its memory in all, in bytes.
    pub total_bytes: u64,
    /// What is free now, in bytes.
    pub free_bytes: u64,
    /// What the share leaves to this service: total × `GPU_MEMORY_UTILIZATION`, in bytes.
    pub budget_bytes: u64,
    /// Who holds memory now, this service left out.
    #[serde(default)]
    pub holders: Vec<GpuProcess>,
}

/// The plan of one start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPlan {
    /// The model.
    pub model: String,
    /// Where its figures come from.
    pub source: PlanSource,
    /// Weights on each device, in bytes.
    pub weights_bytes: u64,
    /// Working memory (activations, graphs, the framework's own) on each device, in bytes: an estimate.
    pub overhead_bytes: u64,
    /// KV cache for one token on each device, in bytes.
    pub kv_bytes_per_token: u64,
    /// What is left for the KV cache on each device, in bytes.
    #[serde(default)]
    pub kv_bytes: Option<u64>,
    /// The length that will be asked for, in tokens.
    pub context_tokens: u64,
    /// How many tokens the cache can hold.
    #[serde(default)]
    pub cache_tokens: Option<u64>,
    /// Requests of the wanted length that fit at once, in hundredths.
    #[serde(default)]
    pub concurrency_percent: Option<u64>,
    /// How many devices share the model.
    pub devices: u32,
    /// The device with the least free memory of those chosen.
    #[serde(default)]
    pub device: Option<PlanDevice>,
    /// Whether it fits.
    pub verdict: Verdict,
}
