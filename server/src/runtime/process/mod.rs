//! Services that run as processes of this machine, each under a shim of its own.
//!
//! In: a folder that belongs to one service, and the launches and signals of the supervisor. Out: what `/proc` and the
//! folder show, the frames of the log, hints when something changes. The shim (`shim`, `keeper`) is another process, started
//! from this same binary; the two sides share nothing but the folder, so that either may die and come back:
//!
//! - `shim`: sets up and starts the command; `keeper`: reads its output, keeps its exit status, ends what it leaves behind;
//!   `oom`: whether the kernel ended it.
//! - `folder`: the small files; `records`, `reader`: the log on disk, one writer, any number of readers.
//! - `group`: who belongs to an instance, free of the reuse of PIDs.
//! - `look`, `start`, `stop`, `follow`, `foreign`: the dashboard's side, one file for each thing that it can do; `notify`:
//!   how the kernel tells of changes.
//!
//! May not touch: other processes than its own; the page's or the engine's words beyond `vllm serve` on a command line.

mod folder;
mod follow;
mod foreign;
mod group;
mod keeper;
mod look;
mod notify;
mod oom;
mod reader;
mod records;
mod shim;
mod start;
mod stop;

pub use foreign::foreign;
pub use shim::shim_main;

use super::{
    FollowEnd, FramePosition, FrameSink, Hint, InstanceId, Launch, Look, Runtime, RuntimeError, StopSignal,
};
use app::model::{ServiceName, UnreachableReason};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The exit code of an instance whose shim was killed before it could keep one.
pub const UNKNOWN_EXIT: i64 = -1;

/// How long the folder and `/proc` may take to answer.
const LIMIT: Duration = Duration::from_secs(5);
/// How long a demo may take to end with the dashboard: asked, killed, and a little.
const DEMO_ENDS: Duration = Duration::from_secs(8);

/// Whose life the service shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Its own: it outlives the dashboard.
    Own,
    /// The dashboard's.
    Demo,
}

/// What a process runtime is made for.
#[derive(Clone, Debug)]
pub struct ProcessSettings {
    /// The service.
    pub service: ServiceName,
    /// A folder of this service alone, made with mode 0700 at the first start.
    pub dir: PathBuf,
    /// The server binary, which is the shim's, too.
    pub exe: PathBuf,
    /// Whose life the service shares.
    pub mode: Mode,
    /// Bytes that one start's output may take as it comes, beside the log that is made of it.
    pub log_bytes: u64,
}

/// One service as a process. Holds nothing that is not on disk: another one on the same folder finds the same.
#[derive(Debug)]
pub struct ProcessRuntime {
    settings: ProcessSettings,
    /// Held while something is started, so that two starts start one thing.
    starting: tokio::sync::Mutex<()>,
    /// The demo's lifeline: the shim ends when it closes.
    lifeline: Mutex<Option<ChildStdin>>,
    /// Rung after a start of this very runtime: its folder may not have been there to be watched before.
    begun: tokio::sync::Notify,
    /// Tasks that reap shims, each for as long as its shim lives.
    reapers: Mutex<Vec<JoinHandle<()>>>,
}

impl ProcessRuntime {
    /// Makes one; touches nothing yet.
    pub fn new(settings: ProcessSettings) -> Self {
        Self {
            settings,
            starting: tokio::sync::Mutex::new(()),
            lifeline: Mutex::new(None),
            begun: tokio::sync::Notify::new(),
            reapers: Mutex::new(Vec::new()),
        }
    }

    /// Ends the demo, at the latest after 8 s; does nothing to a service with a life of its own.
    pub async fn shutdown(&self) {
        if self.settings.mode != Mode::Demo {
            return;
        }
        let lifeline = self.lifeline.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(seen) = self.seen().await.ok().flatten() else { return };
        drop(lifeline);
        if seen.shim_lives && timeout(DEMO_ENDS, notify::ended(seen.file.shim)).await.is_ok() {
            return;
        }
        if let Err(error) = stop::signal(&self.settings.dir, &seen.run, &seen.file, StopSignal::Kill).await {
            tracing::error!(service = %self.settings.service, %error, "the demo did not end");
        }
    }

    /// The newest start.
    async fn seen(&self) -> Result<Option<look::Seen>, RuntimeError> {
        let dir = self.settings.dir.clone();
        blocking(&self.settings.dir, LIMIT, move || look::look(&dir)).await
    }

    /// Takes over the reaping of a shim.
    fn adopt(&self, child: Child) {
        let mut reapers = self.reapers.lock().unwrap_or_else(PoisonError::into_inner);
        reapers.retain(|task| !task.is_finished());
        reapers.push(tokio::spawn(start::reap(child)));
    }

    /// Holds the demo's lifeline.
    fn hold(&self, stdin: Option<ChildStdin>) {
        *self.lifeline.lock().unwrap_or_else(PoisonError::into_inner) = stdin;
    }
}

impl Drop for ProcessRuntime {
    fn drop(&mut self) {
        let reapers = self.reapers.get_mut().unwrap_or_else(PoisonError::into_inner);
        reapers.iter().for_each(JoinHandle::abort);
    }
}

impl Runtime for ProcessRuntime {
    fn look(&self) -> BoxFuture<'_, Result<Look, RuntimeError>> {
        async move { Ok(self.seen().await?.map_or(Look::Absent, |s| Look::Present(Box::new(s.instance())))) }
            .boxed()
    }

    fn start<'a>(&'a self, launch: &'a Launch) -> BoxFuture<'a, Result<(), RuntimeError>> {
        async move {
            let done = start::start(self, launch).await;
            self.begun.notify_one();
            done
        }
        .boxed()
    }

    fn signal<'a>(
        &'a self,
        instance: &'a InstanceId,
        signal: StopSignal,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        async move {
            match self.seen().await? {
                Some(seen) if seen.id() == *instance => {
                    stop::signal(&self.settings.dir, &seen.run, &seen.file, signal).await
                }
                _ => Ok(()),
            }
        }
        .boxed()
    }

    fn end_remnants<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, Result<(), RuntimeError>> {
        async move {
            match self.seen().await? {
                Some(seen) if seen.id() == *instance && !seen.runs() => {
                    stop::end_members(&self.settings.dir, &seen.run, &seen.file).await
                }
                _ => Ok(()),
            }
        }
        .boxed()
    }

    fn follow<'a>(
        &'a self,
        instance: &'a InstanceId,
        from: FramePosition,
        sink: &'a mut dyn FrameSink,
        stop: CancellationToken,
    ) -> BoxFuture<'a, Result<FollowEnd, RuntimeError>> {
        follow::follow(&self.settings.dir, instance, from, sink, stop).boxed()
    }

    fn watch<'a>(&'a self, hints: mpsc::Sender<Hint>, stop: CancellationToken) -> BoxFuture<'a, ()> {
        follow::watch(&self.settings.dir, &self.begun, hints, stop).boxed()
    }
}

/// Runs what may block on the disk elsewhere, for a limited time.
async fn blocking<T: Send + 'static>(
    dir: &Path,
    limit: Duration,
    work: impl FnOnce() -> Result<T, RuntimeError> + Send + 'static,
) -> Result<T, RuntimeError> {
    match timeout(limit, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => Err(RuntimeError::Away(UnreachableReason::Garbage { detail: error.to_string() })),
        Err(_) => {
            let address = dir.display().to_string();
            Err(RuntimeError::Away(UnreachableReason::Timeout { address, seconds: limit.as_secs() }))
        }
    }
}
