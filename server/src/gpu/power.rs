//! Who sleeps: the kernel's runtime power management, read without waking anybody.
//!
//! Source of the files: `Documentation/ABI/testing/sysfs-devices-power` and `sysfs-bus-pci` of the Linux kernel. None of
//! those read here touches the device itself.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long an idle device that could sleep is left alone: each question starts its way to sleep anew.
const REST: Duration = Duration::from_secs(30);

/// A display or compute device on the PCI bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PciDevice {
    /// Where it is, as the kernel writes it: `0000:01:00.0`.
    pub address: String,
    /// Its product number, as `0x2330`; empty where it cannot be read.
    pub product: String,
    /// How it is powered now.
    pub power: Power,
}

/// How a device is powered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Power {
    /// It sleeps, or is about to: a question would wake it.
    pub sleeps: bool,
    /// The kernel may put it to sleep when nobody uses it, and has done so since it came up. Many devices may, and cannot.
    pub may_sleep: bool,
}

/// The first line of a small file, without the end of line.
pub(super) fn line(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.lines().next()?.trim().to_owned())
}

/// How the device with this sysfs folder is powered. One without the files is awake and stays so.
pub(super) fn power(device: &Path) -> Power {
    let read = |file: &str| line(&device.join("power").join(file)).unwrap_or_default();
    let has_slept = || read("runtime_suspended_time").parse().is_ok_and(|milliseconds: u64| milliseconds > 0);
    Power {
        sleeps: matches!(read("runtime_status").as_str(), "suspended" | "suspending"),
        may_sleep: read("control") == "auto" && has_slept(),
    }
}

/// The name of a PCI device's folder: domain, bus, device and function.
pub(super) fn is_address(name: &str) -> bool {
    let hex = |text: &str, least: usize| text.len() >= least && text.bytes().all(|b| b.is_ascii_hexdigit());
    let mut parts = name.split([':', '.']);
    let mut next = |least| parts.next().is_some_and(|part| hex(part, least));
    next(4) && next(2) && next(2) && next(1) && parts.next().is_none()
}

/// The GPUs that this kernel driver has, in the order of the bus.
pub(super) fn bound_to(sys: &Path, driver: &str) -> Vec<PciDevice> {
    let Ok(entries) = fs::read_dir(sys.join("bus/pci/drivers").join(driver)) else { return Vec::new() };
    let mut found: Vec<PciDevice> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| is_address(name))
        .filter_map(|address| {
            let folder = sys.join("bus/pci/devices").join(&address);
            // A card's audio or USB part is no GPU.
            line(&folder.join("class")).filter(|class| class.starts_with("0x03"))?;
            let product = line(&folder.join("device")).unwrap_or_default();
            Some(PciDevice { address, product, power: power(&folder) })
        })
        .collect();
    found.sort_by_cached_key(|device| (device.address.len(), device.address.clone()));
    found
}

/// A GPU of this vendor is on the bus, with whatever driver or none.
pub(super) fn has_vendor(sys: &Path, vendor: &str) -> bool {
    let Ok(entries) = fs::read_dir(sys.join("bus/pci/devices")) else { return false };
    entries.flatten().any(|entry| {
        let is = |file: &str, begin: &str| {
            line(&entry.path().join(file)).is_some_and(|value| value.starts_with(begin))
        };
        is("vendor", vendor) && is("class", "0x03")
    })
}

/// Devices that are left alone for a while, so that they can fall asleep.
#[derive(Debug, Default)]
pub(super) struct Rests(HashMap<String, Instant>);

impl Rests {
    /// This one is left alone now.
    pub fn rests(&self, place: &str) -> bool {
        self.0.get(place).is_some_and(|until| Instant::now() < *until)
    }

    /// Leaves one alone from now on, or no longer.
    pub fn set(&mut self, place: &str, idle: bool) {
        if idle {
            self.0.insert(place.to_owned(), Instant::now() + REST);
        } else {
            self.0.remove(place);
        }
    }

    /// Nobody is left alone any more.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pci_address_is_told_from_the_other_names_in_a_drivers_folder() {
        for name in ["0000:01:00.0", "0000:c1:00.0", "10000:e1:00.0"] {
            assert!(is_address(name), "{name}");
        }
        for name in ["", "module", "new_id", "0000:01:00", "0000:01:00.0.1", "000g:01:00.0", "0000:1:00.0"] {
            assert!(!is_address(name), "{name}");
        }
    }

    #[test]
    fn only_what_the_kernel_calls_suspended_sleeps() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(power(folder.path()), Power::default());
        fs::create_dir(folder.path().join("power")).expect("made");
        for status in ["active", "suspended", "suspending", "resuming", "unsupported"] {
            fs::write(folder.path().join("power/runtime_status"), format!("{status}\n")).expect("written");
            assert_eq!(power(folder.path()).sleeps, status.starts_with("suspend"), "{status}");
        }
    }

    #[test]
    fn a_device_that_never_slept_is_not_taken_for_one_that_can() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("power")).expect("made");
        for (control, slept, may) in [("auto", "0", false), ("on", "77", false), ("auto", "77", true)] {
            fs::write(folder.path().join("power/control"), control).expect("written");
            fs::write(folder.path().join("power/runtime_suspended_time"), slept).expect("written");
            assert_eq!(power(folder.path()).may_sleep, may, "{control} {slept}");
        }
    }
}
