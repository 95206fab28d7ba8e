//! NVML's return codes by name: `not-supported` is `NVML_ERROR_NOT_SUPPORTED`.

use nvml_wrapper_sys::bindings as c;
use serde::Deserialize;

/// A return code that is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Code(pub c::nvmlReturn_t);

impl Code {
    /// Nobody has initialised the library.
    pub const UNINITIALIZED: Self = Self(c::nvmlReturn_enum_NVML_ERROR_UNINITIALIZED);
    /// A null pointer, or a number that is none.
    pub const INVALID_ARGUMENT: Self = Self(c::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT);
    /// This device cannot tell.
    pub const NOT_SUPPORTED: Self = Self(c::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED);
    /// There is no such device.
    pub const NOT_FOUND: Self = Self(c::nvmlReturn_enum_NVML_ERROR_NOT_FOUND);
    /// The caller's buffer is too small.
    pub const INSUFFICIENT_SIZE: Self = Self(c::nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE);
}

impl TryFrom<String> for Code {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Ok(Self(match name.as_str() {
            "uninitialized" => c::nvmlReturn_enum_NVML_ERROR_UNINITIALIZED,
            "invalid-argument" => c::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT,
            "not-supported" => c::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED,
            "no-permission" => c::nvmlReturn_enum_NVML_ERROR_NO_PERMISSION,
            "not-found" => c::nvmlReturn_enum_NVML_ERROR_NOT_FOUND,
            "insufficient-size" => c::nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE,
            "insufficient-power" => c::nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_POWER,
            "driver-not-loaded" => c::nvmlReturn_enum_NVML_ERROR_DRIVER_NOT_LOADED,
            "timeout" => c::nvmlReturn_enum_NVML_ERROR_TIMEOUT,
            "irq-issue" => c::nvmlReturn_enum_NVML_ERROR_IRQ_ISSUE,
            "library-not-found" => c::nvmlReturn_enum_NVML_ERROR_LIBRARY_NOT_FOUND,
            "function-not-found" => c::nvmlReturn_enum_NVML_ERROR_FUNCTION_NOT_FOUND,
            "corrupted-inforom" => c::nvmlReturn_enum_NVML_ERROR_CORRUPTED_INFOROM,
            "gpu-is-lost" => c::nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST,
            "reset-required" => c::nvmlReturn_enum_NVML_ERROR_RESET_REQUIRED,
            "operating-system" => c::nvmlReturn_enum_NVML_ERROR_OPERATING_SYSTEM,
            "lib-rm-version-mismatch" => c::nvmlReturn_enum_NVML_ERROR_LIB_RM_VERSION_MISMATCH,
            "in-use" => c::nvmlReturn_enum_NVML_ERROR_IN_USE,
            "memory" => c::nvmlReturn_enum_NVML_ERROR_MEMORY,
            "no-data" => c::nvmlReturn_enum_NVML_ERROR_NO_DATA,
            "argument-version-mismatch" => c::nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
            "not-ready" => c::nvmlReturn_enum_NVML_ERROR_NOT_READY,
            "gpu-not-found" => c::nvmlReturn_enum_NVML_ERROR_GPU_NOT_FOUND,
            "invalid-state" => c::nvmlReturn_enum_NVML_ERROR_INVALID_STATE,
            "unknown" => c::nvmlReturn_enum_NVML_ERROR_UNKNOWN,
            _ => return Err(format!("{name:?} is not the name of an NVML error")),
        }))
    }
}
