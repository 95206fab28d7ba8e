//! AMD's devices, by the files of the amdgpu kernel driver. No library, no memory per process.
//!
//! Source of the files: the kernel's "AMDGPU Driver" documentation (`mem_info_vram_*`, `gpu_busy_percent`, `hwmon`). Reading
//! them wakes the device, so that a sleeping one is not read.

use super::nvml::faded;
use super::power::{Power, Rests, is_address, line, power};
use app::model::{Gpu, GpuState};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The vendor's number on the PCI bus.
const VENDOR: &str = "0x1002";

/// The devices, and what is known of them.
#[derive(Debug)]
pub(super) struct Amd {
    sys: PathBuf,
    /// By PCI address.
    last: BTreeMap<String, Gpu>,
    rests: Rests,
}

/// One card: its address, its folder and how it is powered.
struct Card {
    address: String,
    folder: PathBuf,
    power: Power,
}

impl Amd {
    pub fn new(sys: PathBuf) -> Self {
        Self { sys, last: BTreeMap::new(), rests: Rests::default() }
    }

    /// Nobody looks any more; who looks next sees fresh figures.
    pub fn close(&mut self) {
        self.rests.clear();
    }

    /// Reads all devices, without waking any. Their index counts them alone, in the order of the bus.
    pub fn read(&mut self) -> Vec<Gpu> {
        let mut gpus = Vec::new();
        let mut index = 0;
        for card in self.cards() {
            if let Some(gpu) = self.read_one(index, &card) {
                index += 1;
                gpus.push(gpu);
            }
        }
        gpus
    }

    fn cards(&self) -> Vec<Card> {
        let Ok(entries) = fs::read_dir(self.sys.join("class/drm")) else { return Vec::new() };
        let mut cards: Vec<Card> = entries
            .flatten()
            .filter(|entry| entry.file_name().to_str().is_some_and(is_card))
            .filter_map(|entry| {
                let folder = entry.path().join("device");
                line(&folder.join("vendor")).filter(|vendor| vendor == VENDOR)?;
                let address = fs::canonicalize(&folder).ok()?.file_name()?.to_str()?.to_owned();
                is_address(&address).then(|| Card { power: power(&folder), address, folder })
            })
            .collect();
        cards.sort_by_cached_key(|card| (card.address.len(), card.address.clone()));
        cards
    }

    fn read_one(&mut self, index: u32, card: &Card) -> Option<Gpu> {
        let last = self.last.get(&card.address);
        if card.power.sleeps {
            return Some(last.map_or_else(|| unknown(index, card), |gpu| faded(gpu, GpuState::Suspended)));
        }
        if let Some(gpu) = last.filter(|_| self.rests.rests(&card.address)) {
            return Some(gpu.clone());
        }
        let Some(total) = number(&card.folder.join("mem_info_vram_total")) else {
            // Never read: another driver has it. Read before: it does not answer any more.
            return last.map(|gpu| faded(gpu, GpuState::Lost));
        };
        let gpu = measure(index, card, total);
        // Whoever computes holds memory; without a list of processes that is the only sign.
        let idle = gpu.utilisation_percent == Some(0) && gpu.memory_used_bytes < total / 20;
        self.rests.set(&card.address, card.power.may_sleep && idle);
        self.last.insert(card.address.clone(), gpu.clone());
        Some(gpu)
    }
}

fn is_card(name: &str) -> bool {
    // Not `card0-DP-1`, which is a plug.
    name.strip_prefix("card").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

fn number(path: &Path) -> Option<u64> {
    line(path)?.parse().ok()
}

/// The first of these files that can be read.
fn first(folder: Option<&PathBuf>, files: &[&str]) -> Option<u64> {
    files.iter().find_map(|file| number(&folder?.join(file)))
}

fn unknown(index: u32, card: &Card) -> Gpu {
    Gpu {
        index,
        uuid: card.address.clone(),
        name: name(&card.folder, false),
        memory_used_bytes: 0,
        memory_total_bytes: 0,
        state: GpuState::Suspended,
        utilisation_percent: None,
        temperature_c: None,
        power_mw: None,
        power_limit_mw: None,
        processes: None,
    }
}

fn measure(index: u32, card: &Card, total: u64) -> Gpu {
    let folder = &card.folder;
    let sensors =
        fs::read_dir(folder.join("hwmon")).ok().and_then(|mut entries| Some(entries.next()?.ok()?.path()));
    let sensor = |files: &[&str]| first(sensors.as_ref(), files);
    Gpu {
        index,
        uuid: card.address.clone(),
        name: name(folder, true),
        memory_used_bytes: number(&folder.join("mem_info_vram_used")).unwrap_or(0),
        memory_total_bytes: total,
        state: GpuState::Ok,
        utilisation_percent: number(&folder.join("gpu_busy_percent")).and_then(|n| u32::try_from(n).ok()),
        // Millidegrees at the edge; accelerators have only the junction. Below zero is no figure for us.
        temperature_c: sensor(&["temp1_input", "temp2_input"]).and_then(|n| u32::try_from(n / 1000).ok()),
        // Microwatts.
        power_mw: sensor(&["power1_average", "power1_input"]).map(|n| n / 1000),
        power_limit_mw: sensor(&["power1_cap"]).map(|n| n / 1000),
        processes: None,
    }
}

/// The product's name, which only few cards carry, else its number.
fn name(folder: &Path, awake: bool) -> String {
    let told = awake.then(|| line(&folder.join("product_name"))).flatten().filter(|name| !name.is_empty());
    told.unwrap_or_else(|| {
        let product = line(&folder.join("device")).unwrap_or_default();
        format!("AMD GPU {product}").trim_end().to_owned()
    })
}
