//! NVIDIA's devices, by NVML. Nothing else in the house calls it.
//!
//! Every figure may be missing alone: MIG, vGPU, WSL and old cards each refuse some. What a sleeping device showed last is
//! kept, because a question would wake it: `nvmlDeviceGetHandleBy…` initialises the device (NVML API reference).

use super::power::{self, PciDevice, Rests};
use app::model::{Gpu, GpuProcess, GpuState, GpuStatus};
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::{Device, Nvml};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Between two attempts to open a library that was not there or failed.
const RETRY: Duration = Duration::from_secs(60);
/// `NVML_ERROR_GPU_NOT_FOUND`, which the wrapper does not know.
const GPU_NOT_FOUND: u32 = 28;
/// Attempts at a list of processes that grows while it is read.
const ATTEMPTS: usize = 3;

/// The library, opened or not, and what is known of the devices.
#[derive(Debug)]
pub(super) struct Nvidia {
    library: Option<PathBuf>,
    sys: PathBuf,
    open: Option<Open>,
    refused: Option<Refused>,
    /// By place: the PCI address, or the number where the bus does not show the device.
    last: BTreeMap<String, Gpu>,
    rests: Rests,
}

/// What holds while the library is open.
#[derive(Debug)]
struct Open {
    nvml: Nvml,
    since: Instant,
    /// On the bus, and not for us: a container sees the addresses of all of the machine's devices.
    hidden: HashSet<String>,
}

/// Why the library is not open, and until when that is believed.
#[derive(Debug)]
struct Refused {
    status: GpuStatus,
    until: Instant,
}

/// What is asked.
enum Target<'a> {
    Address(&'a str),
    Number(u32),
}

impl Nvidia {
    pub fn new(library: Option<PathBuf>, sys: PathBuf) -> Self {
        Self { library, sys, open: None, refused: None, last: BTreeMap::new(), rests: Rests::default() }
    }

    /// Closes the library: an open one keeps some devices awake, and the driver from being updated.
    pub fn close(&mut self) {
        self.open = None;
        self.rests.clear();
    }

    /// Reads all devices, without waking any.
    pub fn read(&mut self) -> (Vec<Gpu>, GpuStatus) {
        let bound = power::bound_to(&self.sys, "nvidia");
        let (mut gpus, mut status) = self.ask(&bound);
        // Off the bus altogether; one that another driver has taken is still there.
        for (place, gpu) in self.last.iter().filter(|(place, _)| power::is_address(place)) {
            let listed = gpus.iter().any(|g| g.uuid == gpu.uuid) || bound.iter().any(|d| d.address == *place);
            if !listed && !self.sys.join("bus/pci/devices").join(place).exists() {
                gpus.push(faded(gpu, GpuState::Lost));
            }
        }
        if status == GpuStatus::NoGpu && !gpus.is_empty() {
            status = GpuStatus::Ok;
        }
        gpus.sort_by_key(|gpu| gpu.index);
        (gpus, status)
    }

    fn ask(&mut self, bound: &[PciDevice]) -> (Vec<Gpu>, GpuStatus) {
        if let Some(refused) = &self.refused {
            if Instant::now() < refused.until {
                return (Vec::new(), refused.status.clone());
            }
            self.refused = None;
        }
        if !bound.is_empty() && bound.iter().all(|d| d.power.sleeps || self.rests.rests(&d.address)) {
            // Opening the library may wake a device, and an open one keeps some from sleeping.
            self.open = None;
            let gpus = (0..).zip(bound).map(|(n, d)| self.quiet(n, d)).collect();
            return (gpus, GpuStatus::Ok);
        }
        let open = match self.open.take() {
            Some(open) => open,
            None => match open(self.library.as_deref().map(AsRef::as_ref)) {
                Ok(nvml) => Open { nvml, since: Instant::now(), hidden: HashSet::new() },
                Err(error) => return self.refuse(status(&error)),
            },
        };
        match open.nvml.device_count() {
            Ok(0) => self.refuse(GpuStatus::NoGpu),
            Ok(count) => self.read_devices(open, bound, count),
            Err(error) => self.refuse(status(&error)),
        }
    }

    fn refuse(&mut self, status: GpuStatus) -> (Vec<Gpu>, GpuStatus) {
        self.refused = Some(Refused { status: status.clone(), until: Instant::now() + RETRY });
        (Vec::new(), status)
    }

    fn read_devices(&mut self, mut open: Open, bound: &[PciDevice], count: u32) -> (Vec<Gpu>, GpuStatus) {
        let mut round = Round::default();
        // Where NVML sees fewer devices than the bus, which of the sleepers are ours is not known before they wake.
        let all_ours = usize::try_from(count).is_ok_and(|count| count == bound.len());
        for (number, device) in (0..).zip(bound) {
            let place = &device.address;
            if open.hidden.contains(place) {
                continue;
            }
            if device.power.sleeps || self.rests.rests(place) {
                if all_ours || self.last.contains_key(place) {
                    round.gpus.push(self.quiet(number, device));
                }
                continue;
            }
            let idle = self.read_one(&mut open, &Target::Address(place), number, &mut round);
            self.rests.set(place, device.power.may_sleep && idle);
        }
        if round.gpus.is_empty() {
            let sleepers = (0..).zip(bound).filter(|(_, device)| device.power.sleeps);
            round.gpus.extend(sleepers.map(|(number, device)| self.quiet(number, device)));
        }
        // The bus does not show them (WSL, Tegra, a sandbox), or shows others.
        if round.gpus.is_empty() {
            for number in 0..count {
                self.read_one(&mut open, &Target::Number(number), number, &mut round);
            }
        }
        let lost = round.gpus.iter().any(|gpu| gpu.state == GpuState::Lost);
        if round.gpus.is_empty() {
            let status = if round.denied { GpuStatus::Denied } else { GpuStatus::NoGpu };
            return self.refuse(round.trouble.unwrap_or(status));
        }
        // Once a device was reset, only a library opened anew sees it again.
        if !(lost && open.since.elapsed() >= RETRY) {
            self.open = Some(open);
        }
        (round.gpus, round.trouble.unwrap_or(GpuStatus::Ok))
    }

    /// Reads one device into the round; `true` when it answers and nobody uses it.
    fn read_one(&mut self, open: &mut Open, target: &Target<'_>, number: u32, round: &mut Round) -> bool {
        let place = match target {
            Target::Address(address) => (*address).to_owned(),
            Target::Number(number) => format!("gpu-{number}"),
        };
        let device = match target {
            Target::Address(address) => open.nvml.device_by_pci_bus_id(*address),
            Target::Number(number) => open.nvml.device_by_index(*number),
        };
        let error = match device.and_then(|device| measure(&device, &place, number)) {
            Ok(gpu) => {
                let idle = is_idle(&gpu);
                self.last.insert(place, gpu.clone());
                round.gpus.push(gpu);
                return idle;
            }
            Err(error) => error,
        };
        let known = self.last.get(&place).or_else(|| match target {
            Target::Address(_) => None,
            Target::Number(number) => self.last.values().find(|gpu| gpu.index == *number),
        });
        let denied = matches!(error, NvmlError::NoPermission);
        if known.is_none() && (denied || matches!(error, NvmlError::NotFound | NvmlError::InvalidArg)) {
            round.denied |= denied;
            open.hidden.insert(place);
            return false;
        }
        if !is_gone(&error) {
            let detail = format!("GPU {number} ({place}): {}", words(&error));
            round.trouble = Some(GpuStatus::Error { detail });
        }
        round.gpus.push(
            known.map_or_else(
                || unknown(number, &place, "", GpuState::Lost),
                |gpu| faded(gpu, GpuState::Lost),
            ),
        );
        false
    }

    /// A device that is not asked: what it showed last.
    fn quiet(&self, number: u32, device: &PciDevice) -> Gpu {
        match self.last.get(&device.address) {
            Some(gpu) if device.power.sleeps => faded(gpu, GpuState::Suspended),
            Some(gpu) => gpu.clone(),
            None => unknown(number, &device.address, &device.product, GpuState::Suspended),
        }
    }
}

/// What one reading has found so far.
#[derive(Default)]
struct Round {
    gpus: Vec<Gpu>,
    trouble: Option<GpuStatus>,
    denied: bool,
}

/// Nobody holds anything on it.
fn is_idle(gpu: &Gpu) -> bool {
    gpu.processes.as_ref().is_some_and(Vec::is_empty) && gpu.utilisation_percent.unwrap_or(0) == 0
}

/// The device as it was, without what is no longer so.
pub(super) fn faded(gpu: &Gpu, state: GpuState) -> Gpu {
    Gpu {
        state,
        utilisation_percent: None,
        temperature_c: None,
        power_mw: None,
        processes: None,
        ..gpu.clone()
    }
}

/// A device of which nothing is known but its place.
fn unknown(index: u32, place: &str, product: &str, state: GpuState) -> Gpu {
    Gpu {
        index,
        uuid: place.to_owned(),
        name: format!("NVIDIA GPU {product}").trim_end().to_owned(),
        memory_used_bytes: 0,
        memory_total_bytes: 0,
        state,
        utilisation_percent: None,
        temperature_c: None,
        power_mw: None,
        power_limit_mw: None,
        processes: None,
    }
}

fn open(library: Option<&OsStr>) -> Result<Nvml, NvmlError> {
    let mut builder = Nvml::builder();
    if let Some(path) = library {
        builder.lib_path(path);
    }
    let nvml = builder.init()?;
    if nvml.lib().nvmlShutdown.is_err() {
        // The wrapper would panic when it is dropped.
        std::mem::forget(nvml);
        return Err(NvmlError::FailedToLoadSymbol("nvmlShutdown".to_owned()));
    }
    Ok(nvml)
}

fn status(error: &NvmlError) -> GpuStatus {
    match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound | NvmlError::DriverNotLoaded => {
            GpuStatus::NoDriver
        }
        NvmlError::LibRmVersionMismatch => GpuStatus::Mismatch,
        NvmlError::NoPermission => GpuStatus::Denied,
        other => GpuStatus::Error { detail: words(other) },
    }
}

fn words(error: &NvmlError) -> String {
    match error {
        NvmlError::UnexpectedVariant(code) => format!("NVML answered with error code {code}"),
        other => other.to_string(),
    }
}

/// The device itself does not answer any more.
fn is_gone(error: &NvmlError) -> bool {
    matches!(
        error,
        NvmlError::GpuLost
            | NvmlError::ResetRequired
            | NvmlError::NotFound
            | NvmlError::UnexpectedVariant(GPU_NOT_FOUND)
    )
}

/// A figure that this device may not have; an error when the device is gone.
fn figure<T>(answer: Result<T, NvmlError>) -> Result<Option<T>, NvmlError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_gone(&error) => Err(error),
        Err(_) => Ok(None),
    }
}

fn measure(device: &Device<'_>, place: &str, number: u32) -> Result<Gpu, NvmlError> {
    // `used` is without what the driver reserves for itself, as nvidia-smi shows it.
    let memory = figure(device.memory_info())?;
    let processes = processes(device)?;
    // A device that shares the machine's memory tells no figures of its own (NVML: not supported).
    let held = || processes.iter().flatten().filter_map(|p| p.memory_bytes).fold(0, u64::saturating_add);
    Ok(Gpu {
        index: figure(device.index())?.unwrap_or(number),
        uuid: figure(device.uuid())?.unwrap_or_else(|| place.to_owned()),
        name: figure(device.name())?.unwrap_or_else(|| "NVIDIA GPU".to_owned()),
        memory_used_bytes: memory.as_ref().map_or_else(held, |m| m.used),
        memory_total_bytes: memory.as_ref().map_or(0, |m| m.total),
        state: GpuState::Ok,
        utilisation_percent: figure(device.utilization_rates())?.map(|rates| rates.gpu),
        temperature_c: figure(device.temperature(TemperatureSensor::Gpu))?,
        power_mw: figure(device.power_usage())?.map(u64::from),
        power_limit_mw: figure(device.enforced_power_limit())?.map(u64::from),
        processes,
    })
}

/// Who holds memory, by PID, largest first; `None` where the driver does not tell.
fn processes(device: &Device<'_>) -> Result<Option<Vec<GpuProcess>>, NvmlError> {
    let compute = figure(growing(|| device.running_compute_processes()))?;
    let graphics = figure(growing(|| device.running_graphics_processes()))?;
    let clients = figure(growing(|| device.mps_running_compute_processes()))?;
    let told = compute.is_some();
    let lists = [compute, graphics, clients].into_iter().flatten();
    let mut held: HashMap<u32, Option<u64>> = HashMap::new();
    for list in lists {
        for (pid, memory) in by_pid(list) {
            // A process in two lists is one process, and each list tells all that it holds.
            let most = held.entry(pid).or_default();
            *most = (*most).max(memory);
        }
    }
    if held.is_empty() && !told {
        return Ok(None);
    }
    let mut processes: Vec<GpuProcess> = held
        .into_iter()
        .map(|(pid, memory_bytes)| GpuProcess { pid, name: None, memory_bytes, service: None })
        .collect();
    processes.sort_by_key(|p| (std::cmp::Reverse(p.memory_bytes), p.pid));
    Ok(Some(processes))
}

/// With MIG a process stands once for each of its instances, with what it holds there.
fn by_pid(list: Vec<ProcessInfo>) -> HashMap<u32, Option<u64>> {
    let mut held: HashMap<u32, Option<u64>> = HashMap::new();
    let mut seen = HashSet::new();
    for process in list {
        let sum = held.entry(process.pid).or_default();
        if !seen.insert((process.pid, process.gpu_instance_id, process.compute_instance_id)) {
            continue;
        }
        if let UsedGpuMemory::Used(bytes) = process.used_gpu_memory {
            *sum = Some(sum.unwrap_or(0).saturating_add(bytes));
        }
    }
    held
}

/// The wrapper asks for the length, then for the list: it may have grown in between.
fn growing<T>(mut ask: impl FnMut() -> Result<T, NvmlError>) -> Result<T, NvmlError> {
    for _ in 1..ATTEMPTS {
        match ask() {
            Err(NvmlError::InsufficientSize(_)) => {}
            answer => return answer,
        }
    }
    ask()
}
