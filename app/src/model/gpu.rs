//! GPUs of the machine.

use super::ServiceName;
use serde::{Deserialize, Serialize};

/// One device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// Its index, as `CUDA_VISIBLE_DEVICES` counts by PCI order.
    pub index: u32,
    /// Its UUID; for a device without one, its PCI address.
    pub uuid: String,
    /// Its product name.
    pub name: String,
    /// Memory in use, in bytes, by all processes and the driver; while the device sleeps or is lost: as last read.
    pub memory_used_bytes: u64,
    /// Memory in all, in bytes.
    pub memory_total_bytes: u64,
    /// Whether it can be read now.
    #[serde(default)]
    pub state: GpuState,
    /// How busy it is, in percent of time.
    #[serde(default)]
    pub utilisation_percent: Option<u32>,
    /// Temperature, in degrees Celsius.
    #[serde(default)]
    pub temperature_c: Option<u32>,
    /// Power drawn, in milliwatts.
    #[serde(default)]
    pub power_mw: Option<u64>,
    /// The power limit in force, in milliwatts.
    #[serde(default)]
    pub power_limit_mw: Option<u64>,
    /// Who holds its memory, largest first; absent where the driver does not tell.
    #[serde(default)]
    pub processes: Option<Vec<GpuProcess>>,
}

/// Whether a device can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GpuState {
    /// It answers.
    #[default]
    Ok,
    /// It sleeps to save power; it is not woken to be read.
    Suspended,
    /// It fell off the bus, or needs a reset.
    Lost,
}

/// A process that holds memory of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuProcess {
    /// Its PID on the host.
    pub pid: u32,
    /// Its name; absent when it cannot be seen (another user's, or another machine's PID).
    #[serde(default)]
    pub name: Option<String>,
    /// What it holds, in bytes; absent where the driver does not tell.
    pub memory_bytes: Option<u64>,
    /// The service that it belongs to.
    #[serde(default)]
    pub service: Option<ServiceName>,
}

/// Whether GPUs can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum GpuStatus {
    /// The driver answers.
    Ok,
    /// There is no driver that we know here.
    NoDriver,
    /// The driver answers and sees no device.
    NoGpu,
    /// The library and the kernel's driver are of different versions: a reboot is due after an update.
    Mismatch,
    /// We may not read the devices.
    Denied,
    /// The driver is there and fails.
    Error {
        /// Its words.
        detail: String,
    },
}
