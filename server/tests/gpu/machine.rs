//! A machine made of files: a copy of the stand-in library with its answers, and folders for `/sys` and `/proc`.

use app::model::{Gpu, GpuProcess};
use serde_json::{Value, json};
use server::gpu::{Paths, Reader, Reading};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use tempfile::TempDir;

/// A mebibyte.
pub const MIB: u64 = 1 << 20;

/// The stand-in library: named by `NVML_SIM_LIB`, else where the build of the workspace leaves it.
fn library() -> PathBuf {
    if let Some(path) = std::env::var_os("NVML_SIM_LIB") {
        return path.into();
    }
    let exe = std::env::current_exe().expect("this test has a file");
    // target/debug/deps/gpu-…: the library is one folder above, and beside.
    let places: Vec<PathBuf> = exe.ancestors().skip(1).take(2).map(|p| p.join("libnvml_sim.so")).collect();
    places.iter().rev().find(|path| path.is_file()).cloned().unwrap_or_else(|| {
        panic!("libnvml_sim.so is not there; build it first: cargo build -p nvml-sim (looked for {places:?})")
    })
}

/// A machine made of files.
pub struct Machine {
    folder: TempDir,
}

impl Machine {
    pub fn new(answers: &Value) -> Self {
        let machine = Self { folder: tempfile::tempdir().expect("a folder") };
        fs::copy(library(), machine.path("libnvml.so")).expect("copied");
        machine.write("libnvml.calls", "");
        machine.answer(answers);
        machine
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    pub fn answer(&self, answers: &Value) {
        self.write("libnvml.json", &answers.to_string());
    }

    /// What the library has been asked since the last time.
    pub fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("libnvml.calls")).expect("there");
        self.write("libnvml.calls", "");
        calls.lines().map(str::to_owned).collect()
    }

    /// What of that went to the device with this number.
    pub fn calls_to(&self, number: u32) -> Vec<String> {
        self.calls().into_iter().filter(|call| call.ends_with(&format!(" {number}"))).collect()
    }

    pub fn reader(&self) -> Reader {
        Reader::new(Paths {
            nvml_library: Some(self.path("libnvml.so")),
            sys: self.path("sys"),
            proc: self.path("proc"),
        })
    }

    pub fn read(&self) -> Reading {
        self.reader().read()
    }

    /// Puts a GPU of NVIDIA's driver on the bus.
    pub fn put_on_bus(&self, address: &str, status: &str, control: &str) {
        let folder = format!("sys/bus/pci/devices/{address}");
        for (file, text) in [("vendor", "0x10de"), ("device", "0x2330"), ("class", "0x030200")] {
            self.write(&format!("{folder}/{file}"), &format!("{text}\n"));
        }
        self.power(address, status, control);
        let drivers = self.path("sys/bus/pci/drivers/nvidia");
        fs::create_dir_all(&drivers).expect("made");
        symlink(self.path(&folder), drivers.join(address)).expect("linked");
    }

    pub fn power(&self, address: &str, status: &str, control: &str) {
        self.write(&format!("sys/bus/pci/devices/{address}/power/runtime_status"), &format!("{status}\n"));
        self.write(&format!("sys/bus/pci/devices/{address}/power/control"), &format!("{control}\n"));
        self.write(&format!("sys/bus/pci/devices/{address}/power/runtime_suspended_time"), "90000\n");
    }

    /// Puts a process into `/proc`.
    pub fn put_process(&self, pid: u32, comm: &str, parent: u32, session: u32, cgroup: &str) {
        self.write(&format!("proc/{pid}/comm"), &format!("{comm}\n"));
        self.write(&format!("proc/{pid}/cmdline"), &format!("{comm}\0--flag\0"));
        self.write(&format!("proc/{pid}/stat"), &format!("{pid} ({comm}) S {parent} {pid} {session} 0\n"));
        self.write(&format!("proc/{pid}/cgroup"), &format!("{cgroup}\n"));
    }

    /// Puts a card of AMD's into the graphics folder.
    pub fn put_card(&self, card: u32, address: &str, files: &[(&str, &str)]) {
        let folder = format!("sys/devices/pci0000:00/{address}");
        self.write(&format!("{folder}/vendor"), "0x1002\n");
        self.write(&format!("{folder}/device"), "0x744c\n");
        for (file, text) in files {
            self.write(&format!("{folder}/{file}"), &format!("{text}\n"));
        }
        let link = self.path(&format!("sys/class/drm/card{card}"));
        fs::create_dir_all(&link).expect("made");
        symlink(self.path(&folder), link.join("device")).expect("linked");
    }
}

pub fn device(number: u32) -> Value {
    json!({
        "name": "NVIDIA H100 80GB HBM3",
        "uuid": format!("GPU-{number}"),
        "pci": format!("0000:{:02x}:00.0", number + 1),
        "memory": {"total_mib": 81559, "used_mib": 1024, "reserved_mib": 550},
        "utilisation_percent": 40,
        "temperature_c": 51,
        "power_mw": 310_000,
        "power_limit_mw": 700_000,
        "compute": [{"pid": 100, "memory_mib": 600}],
    })
}

/// The device with some of its answers replaced.
pub fn device_with(number: u32, changes: &Value) -> Value {
    let mut device = device(number);
    for (key, value) in changes.as_object().expect("an object") {
        device[key] = value.clone();
    }
    device
}

pub fn devices(devices: &[Value]) -> Value {
    json!({"driver_version": "580.65.06", "devices": devices})
}

pub fn process(pid: u32, mib: Option<u64>) -> GpuProcess {
    GpuProcess { pid, name: None, memory_bytes: mib.map(|mib| mib * MIB), service: None }
}

pub fn one(reading: &Reading) -> &Gpu {
    assert_eq!(reading.gpus.len(), 1, "{reading:?}");
    &reading.gpus[0]
}
