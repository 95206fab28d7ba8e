//! The simulated machine: what the file says, read anew at every call.
//!
//! ```json
//! {"driver_version": "580.65.06", "devices": [{
//!   "name": "NVIDIA H100 80GB HBM3", "uuid": "GPU-1", "pci": "0000:01:00.0",
//!   "memory": {"total_mib": 81559, "used_mib": 1024},
//!   "utilisation_percent": 40, "temperature_c": 50, "power_mw": 300000, "power_limit_mw": "not-supported",
//!   "compute": [{"pid": 7, "memory_mib": 512}, {"cmdline": "vllm-sim", "memory_mib": 40000}]
//! }]}
//! ```
//!
//! Any figure may be the name of an error instead. A figure that is not given is not supported; a list that is not given is
//! empty. Without `used_mib`, memory in use is `base_mib` and what the processes hold: it falls when they end.

use crate::code::Code;
use crate::processes::{self, Held};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A figure, or the error that is answered instead.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Answer<T> {
    /// This error.
    Error(Code),
    /// This value.
    Value(T),
}

impl<T> Answer<T> {
    /// As NVML's functions go on with it.
    pub fn get(&self) -> Result<&T, Code> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Error(code) => Err(*code),
        }
    }
}

impl<T> Default for Answer<T> {
    fn default() -> Self {
        Self::Error(Code::NOT_SUPPORTED)
    }
}

/// The machine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Machine {
    /// The library cannot be initialised.
    pub init: Option<Code>,
    /// The devices cannot be counted.
    pub count: Option<Code>,
    /// The driver's version.
    pub driver_version: String,
    /// Every call takes this long: a hung driver.
    pub delay_ms: u64,
    /// The devices, in the order of the bus.
    pub devices: Vec<Device>,
}

/// One device.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Device {
    /// No handle is given out.
    pub handle: Option<Code>,
    /// Every other question about it fails.
    pub error: Option<Code>,
    /// Its product name.
    pub name: String,
    /// Its UUID.
    pub uuid: String,
    /// Its PCI address, as the kernel writes it.
    pub pci: String,
    /// Its memory.
    pub memory: Answer<Memory>,
    /// How busy it is.
    pub utilisation_percent: Answer<u32>,
    /// Its temperature.
    pub temperature_c: Answer<u32>,
    /// What it draws.
    pub power_mw: Answer<u32>,
    /// What it may draw.
    pub power_limit_mw: Answer<u32>,
    /// Who computes.
    pub compute: Processes,
    /// Who draws.
    pub graphics: Processes,
    /// Who computes through the MPS server.
    pub mps: Processes,
}

/// The memory of a device, in MiB.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// In all.
    pub total_mib: u64,
    /// In use; by default what is held.
    #[serde(default)]
    pub used_mib: Option<u64>,
    /// In use by nobody in particular, where `used_mib` is not given.
    #[serde(default)]
    pub base_mib: u64,
    /// Kept by the driver for itself, besides what is in use.
    #[serde(default)]
    pub reserved_mib: u64,
}

/// A list of processes; empty by default.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Processes(pub Answer<Vec<processes::Process>>);

impl Default for Processes {
    fn default() -> Self {
        Self(Answer::Value(Vec::new()))
    }
}

impl Device {
    /// Everybody in one of its lists, as found now.
    pub fn held(&self, list: &Processes) -> Result<Vec<Held>, Code> {
        list.0.get().map(|processes| processes::find(processes))
    }

    /// Memory in use, in MiB.
    pub fn used_mib(&self, memory: &Memory) -> u64 {
        memory.used_mib.unwrap_or_else(|| {
            let lists = [&self.compute, &self.graphics, &self.mps];
            let all = lists.into_iter().filter_map(|list| self.held(list).ok()).flatten();
            all.filter_map(|held| held.memory_mib).fold(memory.base_mib, u64::saturating_add)
        })
    }
}

/// The file as last read, and what it said.
static LAST: Mutex<Option<(Vec<u8>, Arc<Machine>)>> = Mutex::new(None);

/// Reads the machine. A file that is missing or wrong is a machine without devices.
pub fn read() -> Arc<Machine> {
    let bytes = file("NVML_SIM_FILE", "json").and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, machine)) = last.as_ref().filter(|(old, _)| *old == bytes) {
        return machine.clone();
    }
    let machine: Arc<Machine> = Arc::new(serde_json::from_slice(&bytes).unwrap_or_default());
    *last = Some((bytes, machine.clone()));
    machine
}

/// A file of ours: named by a variable, else beside the library, whose last extension is replaced.
pub fn file(variable: &str, extension: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Some(path.into());
    }
    beside().map(|library| library.with_extension(extension))
}

/// Where this library was loaded from.
fn beside() -> Option<PathBuf> {
    let mut found = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    let here: fn() -> Option<PathBuf> = beside;
    // SAFETY: both arguments are valid; the name stays valid while this library is loaded.
    let path = unsafe {
        if libc::dladdr(here as *const libc::c_void, &mut found) == 0 || found.dli_fname.is_null() {
            return None;
        }
        std::ffi::CStr::from_ptr(found.dli_fname)
    };
    Some(Path::new(path.to_str().ok()?).to_owned())
}
