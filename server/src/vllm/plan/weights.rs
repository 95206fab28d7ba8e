//! How much memory a model's weights take: from their headers, else from the index's sum, else from the shape.
//!
//! vLLM makes its tensors in the type it runs with, and the values of a checkpoint are converted to it: a model of 32-bit floats
//! takes half of its files' size. What is quantized stays as it is in the files.

use super::files::{self, Place, Shards};
use super::shape::{Dtype, ModelConfig};
use super::{PlanError, safetensors};
use std::path::Path;

/// Weights, before they are shared out to devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    /// Values of floats that are converted to the type that the engine runs with.
    pub floats: u64,
    /// Bytes that stay as they are.
    pub fixed_bytes: u64,
    /// Whether they were computed from the model's shape, and not read from its files.
    pub estimated: bool,
}

impl Weights {
    /// In bytes, if the engine runs with this type.
    pub const fn bytes(self, dtype: Dtype) -> u64 {
        self.floats.saturating_mul(dtype.bytes()).saturating_add(self.fixed_bytes)
    }

    /// By the model's shape alone.
    pub fn of_shape(config: &ModelConfig) -> Self {
        let parameters = config.parameters();
        let kept = parameters.embedding.saturating_add(parameters.head).saturating_add(parameters.vision);
        let inner = parameters.layers.saturating_add(parameters.experts);
        let method = config.quantization.as_deref();
        let (floats, fixed_bytes) = match method.and_then(thousandth_bytes) {
            None => (parameters.all(), 0),
            // Only the experts are in four bits.
            Some(each) if method == Some("mxfp4") => {
                (kept.saturating_add(parameters.layers), scaled(parameters.experts, each))
            }
            Some(each) => (kept, scaled(inner, each)),
        };
        Self { floats, fixed_bytes: padded(fixed_bytes, config), estimated: true }
    }

    /// From the files, if they tell; `None` if none is here.
    ///
    /// # Errors
    /// [`PlanError`] if a file is here and cannot be read.
    pub fn of_files(place: &Place, config: &ModelConfig) -> Result<Option<Self>, PlanError> {
        let folder = match place {
            Place::Folder(folder) | Place::Cache(folder) => folder,
            Place::Gguf(file) => {
                let size = std::fs::metadata(file).map_err(|e| PlanError::io(file, e))?.len();
                return Ok(Some(Self { floats: 0, fixed_bytes: size, estimated: false }));
            }
        };
        Ok(match files::shards(folder)? {
            Shards::Safetensors(paths) => Some(Self::of_headers(&paths, config)?),
            Shards::Opaque(bytes) | Shards::Partial(bytes) if bytes > 0 => Some(Self::of_size(bytes, config)),
            Shards::Opaque(_) | Shards::Partial(_) | Shards::Missing => None,
        })
    }

    fn of_headers(paths: &[impl AsRef<Path>], config: &ModelConfig) -> Result<Self, PlanError> {
        let mut sum = safetensors::Header::default();
        for path in paths.iter().map(AsRef::as_ref) {
            let file = files::open(path).map_err(|e| PlanError::io(path, e))?;
            let length = file.metadata().map_err(|e| PlanError::io(path, e))?.len();
            let header = safetensors::header(file, length, Some(config.layers.all()))
                .map_err(|source| PlanError::Header { path: path.to_path_buf(), source })?;
            sum = sum.plus(header);
        }
        // An output layer that is the embedding once more is not loaded twice.
        let twice = if config.tied { sum.head } else { 0 };
        Ok(if config.quantization.is_some() {
            let single = sum.single.saturating_mul(4);
            let floats = sum.half.saturating_sub(twice);
            Self {
                floats,
                fixed_bytes: padded(sum.other_bytes, config).saturating_add(single),
                estimated: false,
            }
        } else {
            let floats = sum.half.saturating_add(sum.single).saturating_sub(twice);
            Self { floats, fixed_bytes: sum.other_bytes, estimated: false }
        })
    }

    fn of_size(bytes: u64, config: &ModelConfig) -> Self {
        if config.quantization.is_some() {
            return Self { floats: 0, fixed_bytes: padded(bytes, config), estimated: false };
        }
        let each = config.dtype.map_or(2, Dtype::bytes);
        Self { floats: bytes / each, fixed_bytes: 0, estimated: false }
    }
}

/// Thousandths of a byte for each quantized value, its scales included; `None` for what is not quantized or not known.
///
/// Four bits in groups of 128 (AWQ, GPTQ): 4 bits, a 16-bit scale and a 4-bit zero for each 128 values. MXFP4: 4 bits and an 8-bit
/// scale for each 32. NVFP4: for each 16. `BitsAndBytes`: 4 bits and 8 bits for each 64, and a little.
pub fn thousandth_bytes(method: &str) -> Option<u64> {
    Some(match method {
        "awq" | "gptq" | "awq-marlin" | "gptq-marlin" | "auto-round" | "w4a16" => 520,
        "bitsandbytes" => 516,
        "mxfp4" => 531,
        "nvfp4" | "modelopt-fp4" => 563,
        "fp8" | "modelopt" | "compressed-tensors" | "fbgemm-fp8" | "int8" | "w8a8" => 1000,
        _ => return None,
    })
}

/// So many values of so many thousandths of a byte.
pub fn scaled(values: u64, thousandths: u64) -> u64 {
    super::shape::clamp(u128::from(values) * u128::from(thousandths) / 1000)
}

/// MXFP4 kernels pad the experts to multiples of 64 to 256, by GPU (vLLM 0.32, `fused_moe/oracle/mxfp4.py`), and padding takes memory:
/// 4 to 9 % in gpt-oss. One side to 256, 2880 to 3072, lies between.
fn padded(bytes: u64, config: &ModelConfig) -> u64 {
    match (config.quantization.as_deref(), config.experts) {
        (Some("mxfp4"), Some(experts)) if experts.intermediate > 0 => {
            let wide = experts.intermediate.next_multiple_of(256);
            super::shape::clamp(u128::from(bytes) * u128::from(wide) / u128::from(experts.intermediate))
        }
        _ => bytes,
    }
}
