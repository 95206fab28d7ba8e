//! The machine around vLLM: ports, devices, drivers, the host's memory and disk, Docker, signals.

use crate::vllm::explain::facts::{bind_address, disk, driver, exit_code, host_memory, image, kernel_kill};
use crate::vllm::explain::rules::Means::Died;
use crate::vllm::explain::rules::{Rule, proves, says};
use app::model::Cause::{
    DiskFull, DriverTooOld, EngineDied, HostOutOfMemory, ImageMissing, Killed, NoGpu, PortInUse,
};

/// Before all that quotes an error of the disk.
pub const DISK: [Rule; 2] = [
    proves(DiskFull, &["no space left on device"]).plain().with(disk),
    proves(DiskFull, &["disk quota exceeded"]).plain().with(disk),
];

pub const RULES: [Rule; 76] = [
    // Ports: Python, uvicorn, torch, ZeroMQ, Docker.
    proves(PortInUse, &["errno 98", "error while attempting to bind on address"]).fatal().with(bind_address),
    proves(PortInUse, &["errno 98", "address already in use"]).plain().with(bind_address),
    proves(PortInUse, &["errno 48", "address already in use"]).plain().with(bind_address),
    proves(PortInUse, &["eaddrinuse"]).with(bind_address),
    proves(PortInUse, &["zmqerror", "address already in use"]).with(bind_address),
    proves(PortInUse, &["port is already allocated"]).fatal().with(bind_address),
    proves(PortInUse, &["ports are not available"]).fatal().with(bind_address),
    proves(PortInUse, &["bind: address already in use"]).fatal().with(bind_address),
    proves(PortInUse, &["is already in use", "port"])
        .but(&["name", "trying port", "instead"])
        .with(bind_address),
    proves(PortInUse, &["address already in use"]).with(bind_address),
    // Drivers before devices: a wrong driver also shows no device.
    proves(DriverTooOld, &["nvidia driver on your system is too old"]).plain().with(driver),
    proves(DriverTooOld, &["cuda driver version is insufficient"]).plain().with(driver),
    proves(DriverTooOld, &["forward compatibility was attempted on non supported hw"]).with(driver),
    proves(DriverTooOld, &["system has unsupported display driver / cuda driver combination"]).with(driver),
    proves(DriverTooOld, &["driver/library version mismatch"]).plain().with(driver),
    proves(DriverTooOld, &["librmversionmismatch"]).with(driver),
    proves(DriverTooOld, &["unsatisfied condition: cuda"]).fatal().with(driver),
    proves(DriverTooOld, &["please update your driver"]).fatal().with(driver),
    proves(DriverTooOld, &["the provided ptx was compiled with an unsupported toolchain"]).with(driver),
    proves(DriverTooOld, &["driver version is too old"]).with(driver),
    proves(NoGpu, &["could not select device driver", "gpu"]).fatal(),
    proves(NoGpu, &["failed to discover gpu vendor"]).fatal(),
    proves(NoGpu, &["unknown or invalid runtime name: nvidia"]).fatal(),
    proves(NoGpu, &["unresolvable cdi devices"]).fatal(),
    proves(NoGpu, &["nvidia-container-cli: initialization error"]).fatal(),
    proves(NoGpu, &["nvidia-container-cli", "error"]).fatal(),
    proves(NoGpu, &["nvidia-container-runtime", "executable file not found"]).fatal(),
    proves(NoGpu, &["insufficient nvidia.com/gpu"]).fatal(),
    proves(NoGpu, &["failed to infer device type"]).plain(),
    proves(NoGpu, &["device string must not be empty"]).plain(),
    proves(NoGpu, &["no cuda gpus are available"]).plain(),
    proves(NoGpu, &["no hip gpus are available"]).plain(),
    proves(NoGpu, &["no cuda-capable device is detected"]).plain(),
    proves(NoGpu, &["no cuda capable device"]).plain(),
    proves(NoGpu, &["found no nvidia driver on your system"]).plain(),
    proves(NoGpu, &["system not yet initialized"]),
    proves(NoGpu, &["setting the available devices to be zero"]),
    proves(NoGpu, &["torch not compiled with cuda enabled"]),
    proves(NoGpu, &["current node has no gpu available"]),
    proves(NoGpu, &["device(s) is/are busy or unavailable"]),
    proves(NoGpu, &["nvml_error_librarynotfound"]),
    proves(NoGpu, &["nvmlerror_librarynotfound"]),
    proves(NoGpu, &["nvmlerror_driver"]),
    proves(NoGpu, &["can't initialize nvml"]).weak(),
    proves(NoGpu, &["importerror: libcuda.so.1: cannot open shared object file"]),
    proves(NoGpu, &["libcuda.so.1: cannot open shared object file"]).weak(),
    proves(NoGpu, &["no platform detected, vllm is running on unspecifiedplatform"]).weak(),
    // The host's memory.
    proves(HostOutOfMemory, &["out of memory: killed process"]).fatal().with(kernel_kill),
    proves(HostOutOfMemory, &["memory cgroup out of memory"]).fatal().with(kernel_kill),
    proves(HostOutOfMemory, &["oom-kill:constraint"]).fatal().with(kernel_kill),
    proves(HostOutOfMemory, &["killed by the oom killer"]).fatal().with(kernel_kill),
    proves(HostOutOfMemory, &["result 'oom-kill'"]).fatal().with(kernel_kill),
    proves(HostOutOfMemory, &["\"oomkilled\":true"]).fatal().with(exit_code),
    proves(HostOutOfMemory, &["reason: oomkilled"]).fatal().with(exit_code),
    proves(HostOutOfMemory, &["oomkilled (exit code"]).fatal().with(exit_code),
    proves(HostOutOfMemory, &["node running low on memory"]).plain().with(host_memory),
    proves(HostOutOfMemory, &["exceeds the memory usage threshold", "ray"]).plain().with(host_memory),
    proves(HostOutOfMemory, &["killed due to memory pressure (oom)"]).plain(),
    proves(HostOutOfMemory, &["defaultcpuallocator", "allocate memory"]).plain().with(host_memory),
    proves(HostOutOfMemory, &["errno 12", "cannot allocate memory"]).plain().with(host_memory),
    proves(HostOutOfMemory, &["std::bad_alloc"]).plain(),
    proves(HostOutOfMemory, &["memoryerror"]).but(&["outofmemoryerror"]).with(host_memory),
    // The disk.
    proves(DiskFull, &["not enough free disk space to download"]).weak().with(disk),
    // Images.
    proves(ImageMissing, &["manifest for", "not found"]).fatal().with(image),
    proves(ImageMissing, &["manifest unknown"]).fatal().with(image),
    proves(ImageMissing, &["pull access denied for"]).fatal().with(image),
    proves(ImageMissing, &["no such image"]).fatal().with(image),
    proves(ImageMissing, &["errimagepull"]).fatal().with(image),
    proves(ImageMissing, &["imagepullbackoff"]).fatal().with(image),
    proves(ImageMissing, &["failed to pull", "image"]).fatal().with(image),
    proves(ImageMissing, &["failed to resolve reference"]).fatal().with(image),
    proves(ImageMissing, &["unable to find image", "locally"]).plain().weak().with(image),
    // Faults of the device while serving. Why, only the device's own log could tell.
    proves(EngineDied, &["an illegal memory access was encountered"]),
    proves(EngineDied, &["nvrm: xid"]).plain(),
    proves(Killed, &["received signal 9"]).fatal().with(exit_code),
    says(Died, &["fatal python error"]),
];
