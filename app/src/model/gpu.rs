//! GPUs of the machine.

use serde::{Deserialize, Serialize};

/// One device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// Its index, as `CUDA_VISIBLE_DEVICES` counts by PCI order.
    pub index: u32,
    /// Its UUID.
    pub uuid: String,
    /// Its product name.
    pub name: String,
    /// Memory in use, in bytes, by all processes and the driver.
    pub memory_used_bytes: u64,
    /// Memory in all, in bytes.
    pub memory_total_bytes: u64,
}

/// Whether GPUs can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum GpuStatus {
    /// NVML answers.
    Ok,
    /// There is no NVIDIA driver library here.
    NoDriver,
    /// NVML is there and fails.
    Error {
        /// NVML's words.
        detail: String,
    },
}
