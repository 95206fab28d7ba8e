//! A stand-in for NVIDIA's management library, loaded in its place: the same C functions, answers from a file.
//!
//! The file is named by `NVML_SIM_FILE`, or lies beside the library: `libnvml_sim.json` for `libnvml_sim.so`. It is read at
//! every call, so that a test changes what is read while the program runs; [`machine`] says what it holds. Each call adds a
//! line to the file named by `NVML_SIM_CALLS`, or to `libnvml_sim.calls` where that exists: the function's name, and the
//! number of the device.
//!
//! Functions as in the NVML API reference; those that are not here are missing to the caller, as in an old driver.

mod caller;
mod code;
mod machine;
mod processes;

use caller::{
    MIB, SUCCESS, USERS, ask, ask_device, code, enter, find, number, put, put_processes, put_text, text,
};
use code::Code;
use machine::{Device, Memory, Processes};
use nvml_wrapper_sys::bindings as c;
use std::ffi::{c_char, c_uint};
use std::sync::atomic::Ordering;

fn init(function: &str) -> c::nvmlReturn_t {
    let machine = enter(function, None);
    code(machine.init.map_or_else(
        || {
            USERS.fetch_add(1, Ordering::SeqCst);
            Ok(())
        },
        Err,
    ))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> c::nvmlReturn_t {
    init("nvmlInit_v2")
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInitWithFlags(_flags: c_uint) -> c::nvmlReturn_t {
    init("nvmlInitWithFlags")
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> c::nvmlReturn_t {
    ask("nvmlShutdown", None, |_| {
        USERS.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlErrorString(code: c::nvmlReturn_t) -> *const c_char {
    if code == SUCCESS { c"Success".as_ptr() } else { c"Simulated error".as_ptr() }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetDriverVersion(to: *mut c_char, length: c_uint) -> c::nvmlReturn_t {
    // SAFETY: the caller gives `length` characters.
    ask("nvmlSystemGetDriverVersion", None, |machine| unsafe {
        put_text(to, length, &machine.driver_version)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(to: *mut c_uint) -> c::nvmlReturn_t {
    ask("nvmlDeviceGetCount_v2", None, |machine| {
        machine.count.map_or(Ok(()), Err)?;
        // SAFETY: the caller gives one number.
        unsafe { put(to, c_uint::try_from(machine.devices.len()).unwrap_or(c_uint::MAX)) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(
    index: c_uint,
    to: *mut c::nvmlDevice_t,
) -> c::nvmlReturn_t {
    let fits = |number: usize, _: &Device| number == index as usize;
    // SAFETY: the caller gives one handle.
    unsafe { find("nvmlDeviceGetHandleByIndex_v2", to, Code::INVALID_ARGUMENT, fits) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByUUID(
    uuid: *const c_char,
    to: *mut c::nvmlDevice_t,
) -> c::nvmlReturn_t {
    // SAFETY: the caller gives a text and one handle.
    unsafe {
        let uuid = text(uuid).unwrap_or_default();
        find("nvmlDeviceGetHandleByUUID", to, Code::NOT_FOUND, |_, device| device.uuid == uuid)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByPciBusId_v2(
    address: *const c_char,
    to: *mut c::nvmlDevice_t,
) -> c::nvmlReturn_t {
    // SAFETY: the caller gives a text and one handle.
    unsafe {
        let wanted = text(address).ok().and_then(pci);
        let fits = |_: usize, device: &Device| wanted.is_some() && pci(&device.pci) == wanted;
        find("nvmlDeviceGetHandleByPciBusId_v2", to, Code::NOT_FOUND, fits)
    }
}

/// Domain, bus and device of `0000:01:00.0`, with however many digits each.
fn pci(address: &str) -> Option<[u32; 3]> {
    let mut parts = address.split([':', '.']).map(|part| u32::from_str_radix(part, 16).ok());
    Some([parts.next()??, parts.next()??, parts.next()??])
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetIndex(device: c::nvmlDevice_t, to: *mut c_uint) -> c::nvmlReturn_t {
    ask_device("nvmlDeviceGetIndex", device, |_| {
        let index = number(device).and_then(|n| c_uint::try_from(n).ok()).ok_or(Code::INVALID_ARGUMENT)?;
        // SAFETY: the caller gives one number.
        unsafe { put(to, index) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetName(
    device: c::nvmlDevice_t,
    to: *mut c_char,
    length: c_uint,
) -> c::nvmlReturn_t {
    // SAFETY: the caller gives `length` characters.
    ask_device("nvmlDeviceGetName", device, |device| unsafe { put_text(to, length, &device.name) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUUID(
    device: c::nvmlDevice_t,
    to: *mut c_char,
    length: c_uint,
) -> c::nvmlReturn_t {
    // SAFETY: the caller gives `length` characters.
    ask_device("nvmlDeviceGetUUID", device, |device| unsafe { put_text(to, length, &device.uuid) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPciInfo_v3(
    device: c::nvmlDevice_t,
    to: *mut c::nvmlPciInfo_t,
) -> c::nvmlReturn_t {
    ask_device("nvmlDeviceGetPciInfo_v3", device, |device| {
        let [domain, bus, slot] = pci(&device.pci).ok_or(Code::NOT_SUPPORTED)?;
        let mut info = c::nvmlPciInfo_t {
            busIdLegacy: [0; 16],
            domain,
            bus,
            device: slot,
            pciDeviceId: 0x2330_10de,
            pciSubSystemId: 0,
            busId: [0; 32],
        };
        let long = format!("{domain:08X}:{bus:02X}:{slot:02X}.0");
        let short = format!("{domain:04X}:{bus:02X}:{slot:02X}.0");
        // SAFETY: both texts are written into arrays of that length; the caller gives one structure.
        unsafe {
            put_text(info.busId.as_mut_ptr(), 32, &long)?;
            put_text(info.busIdLegacy.as_mut_ptr(), 16, &short)?;
            put(to, info)
        }
    })
}

/// Total, reserved, free and used memory, in bytes.
fn memory(device: &Device, memory: &Memory) -> [u64; 4] {
    let used = device.used_mib(memory).min(memory.total_mib);
    let reserved = memory.reserved_mib.min(memory.total_mib - used);
    [memory.total_mib, reserved, memory.total_mib - used - reserved, used].map(|mib| mib.saturating_mul(MIB))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo(
    device: c::nvmlDevice_t,
    to: *mut c::nvmlMemory_t,
) -> c::nvmlReturn_t {
    ask_device("nvmlDeviceGetMemoryInfo", device, |device| {
        let [total, reserved, free, used] = memory(device, device.memory.get()?);
        // The first version counts what is reserved as used.
        // SAFETY: the caller gives one structure.
        unsafe { put(to, c::nvmlMemory_t { total, free, used: used + reserved }) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(
    device: c::nvmlDevice_t,
    to: *mut c::nvmlMemory_v2_t,
) -> c::nvmlReturn_t {
    ask_device("nvmlDeviceGetMemoryInfo_v2", device, |device| {
        let [total, reserved, free, used] = memory(device, device.memory.get()?);
        if to.is_null() {
            return Err(Code::INVALID_ARGUMENT);
        }
        // SAFETY: not null; the caller gives one structure with its version.
        unsafe {
            let version = (*to).version;
            put(to, c::nvmlMemory_v2_t { version, total, reserved, free, used })
        }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUtilizationRates(
    device: c::nvmlDevice_t,
    to: *mut c::nvmlUtilization_t,
) -> c::nvmlReturn_t {
    ask_device("nvmlDeviceGetUtilizationRates", device, |device| {
        let gpu = *device.utilisation_percent.get()?;
        // SAFETY: the caller gives one structure.
        unsafe { put(to, c::nvmlUtilization_t { gpu, memory: gpu / 2 }) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTemperature(
    device: c::nvmlDevice_t,
    _sensor: c::nvmlTemperatureSensors_t,
    to: *mut c_uint,
) -> c::nvmlReturn_t {
    // SAFETY: the caller gives one number.
    ask_device("nvmlDeviceGetTemperature", device, |device| unsafe { put(to, *device.temperature_c.get()?) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPowerUsage(
    device: c::nvmlDevice_t,
    to: *mut c_uint,
) -> c::nvmlReturn_t {
    // SAFETY: the caller gives one number.
    ask_device("nvmlDeviceGetPowerUsage", device, |device| unsafe { put(to, *device.power_mw.get()?) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetEnforcedPowerLimit(
    device: c::nvmlDevice_t,
    to: *mut c_uint,
) -> c::nvmlReturn_t {
    ask_device("nvmlDeviceGetEnforcedPowerLimit", device, |device| {
        // SAFETY: the caller gives one number.
        unsafe { put(to, *device.power_limit_mw.get()?) }
    })
}

macro_rules! process_lists {
    ($($function:ident $list:ident),+ $(,)?) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $function(
            device: c::nvmlDevice_t,
            count: *mut c_uint,
            to: *mut c::nvmlProcessInfo_t,
        ) -> c::nvmlReturn_t {
            ask_device(stringify!($function), device, |device| {
                let list: &Processes = &device.$list;
                // SAFETY: the caller gives a count and so many structures.
                unsafe { put_processes(&device.held(list)?, count, to) }
            })
        }
    )+};
}

process_lists! {
    nvmlDeviceGetComputeRunningProcesses_v3 compute,
    nvmlDeviceGetGraphicsRunningProcesses_v3 graphics,
    nvmlDeviceGetMPSComputeRunningProcesses_v3 mps,
}
