//! The machine's GPUs. Only this room knows NVML.
//!
//! In: nothing but somebody looking at the page. Out: each device's memory, or in words why it cannot be read.

use crate::supervisor::World;
use app::model::{Gpu, GpuStatus};
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Between two readings while somebody looks.
const INTERVAL: Duration = Duration::from_secs(2);
/// Between two attempts to load a library that was not there or failed.
const RETRY: Duration = Duration::from_secs(60);
/// A reading that takes longer is a hung driver.
const LIMIT: Duration = Duration::from_secs(5);

/// Reads the GPUs once, then for as long as somebody looks, until `stop` is cancelled.
pub async fn watch(world: Arc<World>, stop: CancellationToken) {
    let mut nvml: Option<Arc<Nvml>> = None;
    loop {
        let taken = nvml.take();
        let mut reading = tokio::task::spawn_blocking(move || {
            let nvml = match taken {
                Some(nvml) => nvml,
                None => Arc::new(Nvml::init()?),
            };
            read(&nvml).map(|gpus| (nvml, gpus))
        });
        let wait = match tokio::time::timeout(LIMIT, &mut reading).await {
            Ok(Ok(Ok((kept, gpus)))) => {
                nvml = Some(kept);
                world.put_gpus(gpus, GpuStatus::Ok);
                INTERVAL
            }
            Ok(Ok(Err(error))) => {
                world.put_gpus(Vec::new(), status(&error));
                RETRY
            }
            Ok(Err(_)) => RETRY,
            Err(_) => {
                let detail = format!("NVML did not answer within {} s", LIMIT.as_secs());
                world.put_gpus(Vec::new(), GpuStatus::Error { detail });
                // A hung driver holds its thread: wait for that one, do not add others.
                tokio::select! {
                    _ = &mut reading => RETRY,
                    () = stop.cancelled() => return,
                }
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
        tokio::select! {
            () = world.wait_for_viewers() => {}
            () = stop.cancelled() => return,
        }
    }
}

fn status(error: &NvmlError) -> GpuStatus {
    match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound | NvmlError::DriverNotLoaded => {
            GpuStatus::NoDriver
        }
        other => GpuStatus::Error { detail: other.to_string() },
    }
}

fn read(nvml: &Nvml) -> Result<Vec<Gpu>, NvmlError> {
    (0..nvml.device_count()?)
        .map(|index| {
            let device = nvml.device_by_index(index)?;
            let memory = device.memory_info()?;
            Ok(Gpu {
                index,
                uuid: device.uuid()?,
                name: device.name()?,
                memory_used_bytes: memory.used,
                memory_total_bytes: memory.total,
            })
        })
        .collect()
}
