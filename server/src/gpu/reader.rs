//! One reading of all devices: NVIDIA's first, then AMD's.

use super::nvml::Nvidia;
use super::owners::{self, Owner};
use super::power::has_vendor;
use super::sysfs::Amd;
use super::{Paths, Reading};
use app::model::{GpuProcess, GpuStatus};
use std::collections::HashMap;
use std::path::PathBuf;

/// NVIDIA's number on the PCI bus.
const NVIDIA: &str = "0x10de";

/// Reads the devices. It blocks for as long as the driver does, and belongs on a thread of its own.
#[derive(Debug)]
pub struct Reader {
    nvidia: Nvidia,
    amd: Amd,
    sys: PathBuf,
    proc: PathBuf,
    /// Whether NVIDIA's hardware is here, looked up when its driver is not; the bus has hundreds of devices.
    has_nvidia: Option<bool>,
}

impl Reader {
    /// A reader that has not opened anything yet.
    pub fn new(paths: Paths) -> Self {
        let Paths { nvml_library, sys, proc } = paths;
        Self {
            nvidia: Nvidia::new(nvml_library, sys.clone()),
            amd: Amd::new(sys.clone()),
            sys,
            proc,
            has_nvidia: None,
        }
    }

    /// What the devices show now. No sleeping device is woken; an idle one that could sleep is asked only each 30 s, so that
    /// it can. A library that could not be opened is tried again after 60 s.
    ///
    /// Devices can be listed beside a status that is not [`GpuStatus::Ok`]: one of them fails in a way of its own.
    pub fn read(&mut self) -> Reading {
        let (mut gpus, status) = self.nvidia.read();
        let amd = self.amd.read();
        let status = self.status(status, !amd.is_empty());
        gpus.extend(amd);
        let mut names: HashMap<u32, Option<String>> = HashMap::new();
        for process in gpus.iter_mut().flat_map(|gpu| gpu.processes.iter_mut().flatten()) {
            let GpuProcess { pid, name, .. } = process;
            *name = names.entry(*pid).or_insert_with(|| owners::name(*pid, &self.proc)).clone();
        }
        Reading { gpus, status }
    }

    /// Reads, and names the service of each process.
    pub fn read_for(&mut self, owners: &[Owner]) -> Reading {
        let mut reading = self.read();
        for gpu in &mut reading.gpus {
            owners::assign(gpu.processes.as_deref_mut().unwrap_or_default(), owners, &self.proc);
        }
        reading
    }

    /// Closes NVIDIA's library until the next reading.
    pub fn close(&mut self) {
        self.nvidia.close();
        self.amd.close();
    }

    /// On a machine with AMD's devices alone, NVIDIA's driver is not missed.
    fn status(&mut self, nvidia: GpuStatus, has_amd: bool) -> GpuStatus {
        match nvidia {
            GpuStatus::NoDriver | GpuStatus::NoGpu if has_amd => {
                let missed = *self.has_nvidia.get_or_insert_with(|| has_vendor(&self.sys, NVIDIA));
                if missed { nvidia } else { GpuStatus::Ok }
            }
            other => other,
        }
    }
}
