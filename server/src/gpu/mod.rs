//! The machine's GPUs. Only this room knows NVML.
//!
//! In: nothing but somebody looking at the page, and who owns which processes. Out: each device's figures, or in words why
//! it cannot be read. It never wakes a sleeping device, and with nobody looking the driver's library is closed.

mod nvml;
mod owners;
mod power;
mod reader;
mod sysfs;
#[cfg(test)]
mod tests;

pub use owners::{Owner, assign};
pub use reader::Reader;

use crate::supervisor::World;
use app::model::{Gpu, GpuStatus};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

/// Where the devices are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// NVML's library, where it is not `libnvidia-ml.so.1` of the system.
    pub nvml_library: Option<PathBuf>,
    /// The kernel's devices, usually `/sys`.
    pub sys: PathBuf,
    /// The kernel's processes, usually `/proc`.
    pub proc: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self { nvml_library: None, sys: "/sys".into(), proc: "/proc".into() }
    }
}

/// What one reading shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The devices.
    pub gpus: Vec<Gpu>,
    /// Whether they could be read.
    pub status: GpuStatus,
}

/// How often, and how long.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Between two readings while somebody looks.
    interval: Duration,
    /// The same where there is nothing to show.
    retry: Duration,
    /// A reading that takes longer is a hung driver. Without persistence mode, opening the library starts every device.
    limit: Duration,
    /// How long the library stays open for somebody who comes back: a page that is loaded anew.
    keep: Duration,
}

const PACE: Pace = Pace {
    interval: Duration::from_secs(2),
    retry: Duration::from_secs(60),
    limit: Duration::from_secs(10),
    keep: Duration::from_secs(15),
};

/// For whom the devices are read.
trait Audience {
    fn looks(&self) -> bool;
    fn wait(&self) -> impl Future<Output = ()> + Send;
    fn owners(&self) -> Vec<Owner>;
    fn show(&self, reading: Reading);
}

impl Audience for Arc<World> {
    fn looks(&self) -> bool {
        self.gpus_wanted()
    }

    fn wait(&self) -> impl Future<Output = ()> + Send {
        self.wait_for_gpus_wanted()
    }

    fn owners(&self) -> Vec<Owner> {
        World::owners(self)
    }

    fn show(&self, reading: Reading) {
        self.put_gpus(reading.gpus, reading.status);
    }
}

/// Whoever can be asked, on a thread of its own.
trait Source: Send + 'static {
    fn read(&mut self, owners: &[Owner]) -> Reading;
    fn close(&mut self);
}

impl Source for Reader {
    fn read(&mut self, owners: &[Owner]) -> Reading {
        self.read_for(owners)
    }

    fn close(&mut self) {
        Self::close(self);
    }
}

/// Reads the GPUs once, then for as long as somebody looks, until `stop` is cancelled.
pub async fn watch(world: Arc<World>, paths: Paths, stop: CancellationToken) {
    let work = keep_reading(&world, || Reader::new(paths.clone()), PACE);
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}

/// Goes on until it is dropped. Never is there more than one thread.
async fn keep_reading<S: Source>(audience: &impl Audience, make: impl Fn() -> S, pace: Pace) {
    let mut source = make();
    loop {
        let owners = audience.owners();
        let work = apart(move || {
            let reading = source.read(&owners);
            (source, reading)
        });
        let wait = match patiently(audience, work, pace.limit).await {
            Ok((kept, reading)) => {
                source = kept;
                let nothing = reading.gpus.is_empty() && reading.status != GpuStatus::Ok;
                audience.show(reading);
                if nothing { pace.retry } else { pace.interval }
            }
            Err(_) => {
                source = make();
                audience.show(failed("the thread that reads the devices ended".to_owned()));
                pace.retry
            }
        };
        tokio::time::sleep(wait).await;
        if audience.looks() || tokio::time::timeout(pace.keep, audience.wait()).await.is_ok() {
            continue;
        }
        let closed = apart(move || {
            source.close();
            source
        });
        source = patiently(audience, closed, pace.limit).await.unwrap_or_else(|_| make());
        audience.wait().await;
    }
}

/// A hung driver holds its thread: it is said, and that one is waited for; others are not added.
async fn patiently<T>(
    audience: &impl Audience,
    mut work: oneshot::Receiver<T>,
    limit: Duration,
) -> Result<T, RecvError> {
    match tokio::time::timeout(limit, &mut work).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let words = format!("the driver did not answer within {} s", limit.as_secs());
            audience.show(failed(words));
            work.await
        }
    }
}

fn failed(detail: String) -> Reading {
    Reading { gpus: Vec::new(), status: GpuStatus::Error { detail } }
}

/// Does the work on a thread of its own, which nobody waits for at the end of the program: a hung driver would keep it.
fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
    let (sender, receiver) = oneshot::channel();
    let thread = std::thread::Builder::new().name("gpu".to_owned()).spawn(move || {
        // Nobody waits any more: the program ends.
        let _ = sender.send(work());
    });
    if let Err(error) = thread {
        tracing::warn!(%error, "no thread to read the GPUs");
    }
    receiver
}
