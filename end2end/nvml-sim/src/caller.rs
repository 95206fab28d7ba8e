//! The other side of the C interface: handles, texts and structures of the caller, and the note of each call.

use crate::code::Code;
use crate::machine::{Device, Machine, file, read};
use crate::processes::Held;
use nvml_wrapper_sys::bindings as c;
use std::ffi::{CStr, c_char, c_uint};
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub const SUCCESS: c::nvmlReturn_t = c::nvmlReturn_enum_NVML_SUCCESS;
/// What NVML writes where a figure is not available, as `NVML_VALUE_NOT_AVAILABLE`.
pub const NOT_AVAILABLE: u64 = u64::MAX;
pub const MIB: u64 = 1 << 20;

/// How many have initialised the library and not shut it down.
pub static USERS: AtomicU32 = AtomicU32::new(0);

/// A handle is the device's number, counted from one: null is none.
pub fn number(device: c::nvmlDevice_t) -> Option<usize> {
    device.addr().checked_sub(1)
}

pub fn handle(number: usize) -> c::nvmlDevice_t {
    std::ptr::without_provenance_mut(number + 1)
}

/// Notes the call, and is slow where the machine is.
pub fn enter(function: &str, device: Option<usize>) -> std::sync::Arc<Machine> {
    let named = std::env::var_os("NVML_SIM_CALLS").is_some();
    if let Some(path) = file("NVML_SIM_CALLS", "calls").filter(|path| named || path.exists()) {
        let line = device.map_or_else(|| format!("{function}\n"), |device| format!("{function} {device}\n"));
        let calls = std::fs::OpenOptions::new().append(true).create(true).open(path);
        // A test that counts calls sees that there are none.
        let _ = calls.and_then(|mut calls| calls.write_all(line.as_bytes()));
    }
    let machine = read();
    if machine.delay_ms > 0 {
        std::thread::sleep(Duration::from_millis(machine.delay_ms));
    }
    machine
}

pub fn code(outcome: Result<(), Code>) -> c::nvmlReturn_t {
    outcome.map_or_else(|code| code.0, |()| SUCCESS)
}

/// Answers a question about the machine.
pub fn ask(
    function: &str,
    device: Option<usize>,
    answer: impl FnOnce(&Machine) -> Result<(), Code>,
) -> c::nvmlReturn_t {
    let machine = enter(function, device);
    let used = USERS.load(Ordering::SeqCst) > 0;
    code(if used { answer(&machine) } else { Err(Code::UNINITIALIZED) })
}

/// Answers a question about a device.
pub fn ask_device(
    function: &str,
    device: c::nvmlDevice_t,
    answer: impl FnOnce(&Device) -> Result<(), Code>,
) -> c::nvmlReturn_t {
    let number = number(device);
    ask(function, number, |machine| {
        let device = number.and_then(|number| machine.devices.get(number)).ok_or(Code::INVALID_ARGUMENT)?;
        device.error.map_or(Ok(()), Err)?;
        answer(device)
    })
}

/// Writes one value for the caller.
///
/// # Safety
/// `to` is null or valid for writing.
pub unsafe fn put<T>(to: *mut T, value: T) -> Result<(), Code> {
    if to.is_null() {
        return Err(Code::INVALID_ARGUMENT);
    }
    // SAFETY: not null, and valid by the contract of the C function.
    unsafe { to.write(value) };
    Ok(())
}

/// Writes a text for the caller, with its final zero.
///
/// # Safety
/// `to` is null or valid for writing `length` characters.
pub unsafe fn put_text(to: *mut c_char, length: c_uint, text: &str) -> Result<(), Code> {
    if to.is_null() {
        return Err(Code::INVALID_ARGUMENT);
    }
    if text.len() >= length as usize {
        return Err(Code::INSUFFICIENT_SIZE);
    }
    for (place, byte) in text.bytes().chain([0]).enumerate() {
        // SAFETY: the place is below `length`.
        unsafe { to.add(place).write(byte.cast_signed()) };
    }
    Ok(())
}

/// A text that the caller gives.
///
/// # Safety
/// `text` is null or ends with a zero.
pub unsafe fn text<'a>(text: *const c_char) -> Result<&'a str, Code> {
    if text.is_null() {
        return Err(Code::INVALID_ARGUMENT);
    }
    // SAFETY: not null, and ends with a zero.
    unsafe { CStr::from_ptr(text) }.to_str().map_err(|_| Code::INVALID_ARGUMENT)
}

/// Gives out the handle of the device that fits.
///
/// # Safety
/// `to` is null or valid for writing.
pub unsafe fn find(
    function: &str,
    to: *mut c::nvmlDevice_t,
    otherwise: Code,
    fits: impl Fn(usize, &Device) -> bool,
) -> c::nvmlReturn_t {
    let machine = read();
    let found = machine.devices.iter().enumerate().find(|(number, device)| fits(*number, device));
    ask(function, found.map(|(number, _)| number), |_| {
        let (number, device) = found.ok_or(otherwise)?;
        device.handle.map_or(Ok(()), Err)?;
        // SAFETY: the caller gives one handle.
        unsafe { put(to, handle(number)) }
    })
}

/// Writes a list of processes: the caller says how long its array is, and is told how long the list is.
///
/// # Safety
/// `count` is null or valid, and `to` is null or valid for writing `*count` structures.
pub unsafe fn put_processes(
    list: &[Held],
    count: *mut c_uint,
    to: *mut c::nvmlProcessInfo_t,
) -> Result<(), Code> {
    if count.is_null() {
        return Err(Code::INVALID_ARGUMENT);
    }
    // SAFETY: not null.
    let room = unsafe { count.replace(c_uint::try_from(list.len()).unwrap_or(c_uint::MAX)) } as usize;
    if room < list.len() {
        return Err(Code::INSUFFICIENT_SIZE);
    }
    for (place, held) in list.iter().enumerate() {
        let instance = held.gpu_instance.unwrap_or(c_uint::MAX);
        let info = c::nvmlProcessInfo_t {
            pid: held.pid,
            usedGpuMemory: held.memory_mib.map_or(NOT_AVAILABLE, |mib| mib.saturating_mul(MIB)),
            gpuInstanceId: instance,
            computeInstanceId: held.gpu_instance.map_or(c_uint::MAX, |_| 0),
        };
        // SAFETY: the place is below the caller's count.
        unsafe { put(to.wrapping_add(place), info)? };
    }
    Ok(())
}
