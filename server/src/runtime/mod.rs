//! Where a service runs: one trait, one room for each kind.
//!
//! In: what to launch, whom to signal, from where to follow. Out: what is there ([`Look`]), raw log frames, hints that
//! something changed. A runtime decides nothing: it has no wishes and no states. It may not know vLLM's words, nor HTTP
//! towards the page.

pub mod docker;
pub mod process;
pub mod systemd;

use app::model::{ContainerFacts, FailureKind, Remnant, Stream, Timestamp, UnreachableReason};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What to run, put together by `vllm::launch` from the settings. Arguments are a list: no shell anywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launch {
    /// The image (containers).
    pub image: Option<String>,
    /// The program (processes).
    pub program: Option<String>,
    /// Its arguments, without the program or the image's entry point.
    pub args: Vec<String>,
    /// Further arguments that are good to have: a container that was created without them is not created anew for them.
    pub extras: Vec<String>,
    /// Variables to set, besides what the engine or the environment brings. None of our own.
    pub env: BTreeMap<String, String>,
    /// The port that the API listens on inside.
    pub inner_port: u16,
    /// The port of the loopback that leads to it.
    pub host_port: u16,
    /// GPUs as `CUDA_VISIBLE_DEVICES` names them: indices or UUIDs; empty for none.
    pub gpus: Vec<String>,
    /// Folders of this machine that it reads under the same paths: weights, adapters.
    pub folders: Vec<std::path::PathBuf>,
    /// The folder of this machine that is the engine's Hugging Face cache; the user's own where none is named.
    pub hf_home: Option<std::path::PathBuf>,
    /// What exists is created anew even if nothing but the image behind the reference has changed.
    pub renew: bool,
    /// What is missing to create it anew; something that exists can be started all the same.
    pub missing: Option<FailureKind>,
}

/// One start of one container or process. Never the same for two starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstanceId {
    /// The container's id; or boot id, PID and start ticks.
    pub id: String,
    /// When the runtime started it, in nanoseconds since the Unix epoch.
    pub started_ns: i64,
}

impl InstanceId {
    /// As one text, for the store.
    pub fn key(&self) -> String {
        format!("{}@{}", self.id, self.started_ns)
    }

    /// From such a text.
    pub fn from_key(key: &str) -> Option<Self> {
        let (id, started) = key.rsplit_once('@')?;
        Some(Self { id: id.to_owned(), started_ns: started.parse().ok()? })
    }
}

/// How an instance ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The exit code; 128 + n for a signal, as shells and Docker count.
    pub code: i64,
    /// The kernel ended it for memory.
    pub oom: bool,
    /// Somebody outside asked it to stop (`docker stop`, or a stop signal to the container).
    pub asked_outside: bool,
    /// It ended in order, where nobody can tell who asked (Podman): taken for asked, if it was watched.
    pub perhaps_asked: bool,
    /// When.
    pub at: Timestamp,
}

/// What an instance does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Created, never started.
    Created,
    /// Runs (a paused or restarting container, too).
    Running,
    /// Ended.
    Ended(Ended),
}

/// One instance as the runtime shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Which start; `started_ns` is 0 when it was never started.
    pub id: InstanceId,
    /// What it does.
    pub activity: Activity,
    /// Where the API can be asked, as `http://host:port`, where that is known from the runtime.
    pub api_url: Option<String>,
    /// The image.
    pub image: Option<String>,
    /// What the page shows of a container.
    pub container: Option<ContainerFacts>,
    /// Where its part of the log begins, in nanoseconds since the Unix epoch: the log of a container holds all its starts.
    pub log_from_ns: i64,
    /// PIDs on this host that belong to it, for GPU memory; may be empty.
    pub pids: Vec<u32>,
    /// Processes that its dead main process left behind.
    pub remnants: Vec<Remnant>,
}

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing.
    Absent,
    /// This.
    Present(Box<Instance>),
    /// What was there ended and was removed with that (`--rm`, or from outside): its last state.
    Removed(Box<Instance>),
}

/// Why a runtime did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// It cannot be asked now; it may come back.
    #[error("cannot be reached: {0:?}")]
    Away(UnreachableReason),
    /// It was asked and will not do it.
    #[error("refused: {0:?}")]
    Refused(FailureKind),
}

/// What is said of an action that something before the engine refused.
pub(crate) const NOT_ALLOWED: &str =
    "the proxy in front of the engine does not allow it (docs/LEAST-POWER.md lists what is needed)";
/// What is said first of an action that the system's policy refused.
pub(crate) const DENIED: &str = "access denied: ";

/// Somebody's rules refused it: another try would be refused, too. An engine's own errors may pass.
pub(crate) fn is_final(refusal: &FailureKind) -> bool {
    match refusal {
        FailureKind::Refused { detail, .. } => detail == NOT_ALLOWED || detail.starts_with(DENIED),
        _ => false,
    }
}

/// Which signal ends an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGTERM to the main process: end in order.
    Terminate,
    /// SIGKILL to everything: the whole container or process group.
    Kill,
}

/// A place in a log as its runtime keeps it: behind the `nth` (from 1) frame that carries this time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FramePosition {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// How many frames with exactly this time are behind us.
    pub nth: u32,
}

/// Takes the frames of a log as they are read.
pub trait FrameSink: Send {
    /// Bytes that the service wrote to one pipe at once: less than a line, a line, or many.
    fn frame(&mut self, time_ns: i64, stream: Stream, bytes: &[u8]);
    /// All that was read at once has been handed over: tell the viewers.
    fn flush(&mut self);
    /// Until what was handed over is on its way to the disk. For whoever reads a file, which does not run away: what is in
    /// memory until then has a bound.
    fn room(&mut self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }
}

/// Why the following of a log ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowEnd {
    /// The instance ended and its log was read to the end.
    Complete,
    /// The connection broke; follow again from the last position.
    Broken,
    /// What came is no log, and may be none the next time: ask again, but seldom.
    Garbled,
}

/// Something outside changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Look again.
    LookAgain,
    /// The runtime went away.
    Away(UnreachableReason),
}

/// Where a service runs. Every method has a time limit of its own.
pub trait Runtime: Send + Sync + 'static {
    /// What is there now.
    fn look(&self) -> BoxFuture<'_, Result<Look, RuntimeError>>;

    /// Starts it: creates it first where there is nothing. Does nothing when it runs already.
    fn start<'a>(&'a self, launch: &'a Launch) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// Sends the signal to this very instance; nothing to another one. Gone already is success.
    fn signal<'a>(
        &'a self,
        instance: &'a InstanceId,
        signal: StopSignal,
    ) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// Ends what a dead main process left behind.
    fn end_remnants<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// Reads the instance's log from behind `from` (from its first frame for the default) and goes on until it ends, the
    /// connection breaks or `stop` is cancelled.
    fn follow<'a>(
        &'a self,
        instance: &'a InstanceId,
        from: FramePosition,
        sink: &'a mut dyn FrameSink,
        stop: CancellationToken,
    ) -> BoxFuture<'a, Result<FollowEnd, RuntimeError>>;

    /// Reads what the log of an instance that is over has behind `from` and, where the next one writes into the same log,
    /// before `until_ns`. A log that is gone is complete.
    fn read<'a>(
        &'a self,
        instance: &'a InstanceId,
        from: FramePosition,
        until_ns: i64,
        sink: &'a mut dyn FrameSink,
        stop: CancellationToken,
    ) -> BoxFuture<'a, Result<FollowEnd, RuntimeError>> {
        // A log of its own ends with the instance.
        let _ = until_ns;
        self.follow(instance, from, sink, stop)
    }

    /// Sends hints until `stop` is cancelled; reconnects by itself with back-off. The channel is bounded: a hint that does
    /// not fit is dropped, since one `LookAgain` waiting there says as much.
    fn watch<'a>(&'a self, hints: mpsc::Sender<Hint>, stop: CancellationToken) -> BoxFuture<'a, ()>;
}
