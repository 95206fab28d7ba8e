//! One background service: what it is, what it should do and what it does.

use super::{Diagnosis, MemoryPlan, Release, Smoke, Start, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The name of a service in addresses and settings: 1 to 63 of `a-z 0-9 - _ .`, beginning with a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(String);

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a name: allowed are 1 to 63 of a-z, 0-9, '-', '_' and '.', beginning with a letter or a digit"
)]
pub struct NameError(pub String);

impl ServiceName {
    /// Reads a name by its allow-list.
    ///
    /// # Errors
    /// [`NameError`] names the text and what is allowed.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let fits = (1..=63).contains(&text.len())
            && text.starts_with(ok)
            && text.chars().all(|c| ok(c) || matches!(c, '-' | '_' | '.'));
        if fits { Ok(Self(text.to_owned())) } else { Err(NameError(text.chars().take(80).collect())) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ServiceName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<ServiceName> for String {
    fn from(name: ServiceName) -> Self {
        name.0
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a service means to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceKind {
    /// A vLLM server: probed by `/health`, its log understood.
    Vllm,
    /// Anything else that the owner listed: Running means that its own health check, if it has one, succeeds.
    Other,
}

/// Where a service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuntimeKind {
    /// A container of a Docker engine.
    Docker,
    /// A command under the shim.
    Process,
    /// A unit of systemd.
    Systemd,
    /// The simulated vLLM that comes with the dashboard, and ends with it.
    Demo,
}

/// What the owner last asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wish {
    /// The service should serve.
    Running,
    /// The service should not run.
    Stopped,
}

/// What a user can ask about a service's image. A closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageVerb {
    /// Fetch it.
    Pull,
    /// End the pull that runs.
    Cancel,
    /// Ask the registry whether it has another one.
    Check,
    /// Restart on the image that was pulled; the one before is kept.
    Renew,
    /// Restart on the image that was kept.
    Back,
    /// Remove the image that was kept.
    Forget,
}

/// What a user can ask of a service. A closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Bring it up; while stopping: start afterwards.
    Start,
    /// End it; while starting: abort the start.
    Stop,
    /// Stop, then start.
    Restart,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Start, Self::Stop, Self::Restart];

    /// The word for it, as on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }
}

/// What a service does now. Only the supervisor's task for the service changes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// Does not run, and nobody needs to worry.
    Stopped {
        /// Since when, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Timestamp>,
        /// What is worth saying about how it came to stop.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<StoppedNote>,
    },
    /// On its way to answering.
    Starting {
        /// The phase the engine is in, as far as its log has told.
        phase: Phase,
        /// When this start began.
        since: Timestamp,
        /// How far the phase is, where the log counts.
        #[serde(default)]
        progress: Option<PhaseProgress>,
    },
    /// Ready to answer requests.
    Running {
        /// When it became ready.
        since: Timestamp,
    },
    /// Was ready in this run; runs, but does not answer.
    Unresponsive {
        /// Since when it has not answered.
        since: Timestamp,
    },
    /// On its way down because somebody asked.
    Stopping {
        /// When the stop was asked for.
        since: Timestamp,
    },
    /// Ended, or did not start, and nobody asked for that.
    Failed {
        /// What happened.
        failure: Box<Failure>,
    },
    /// Whoever runs the service cannot be asked.
    Unreachable {
        /// Why not.
        reason: UnreachableReason,
    },
}

impl State {
    /// It was ready in this run and runs: its API may be asked.
    pub const fn serves(&self) -> bool {
        matches!(self, Self::Running { .. } | Self::Unresponsive { .. })
    }
}

/// Phases of a start, in order. A phase that a version does not print is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The image is being fetched.
    Pull,
    /// The container or process is being created.
    Create,
    /// The program loads its own code; it prints nothing yet.
    Import,
    /// Arguments and model configuration are read.
    Config,
    /// Weights are fetched from a hub.
    Download,
    /// Weights are read into memory.
    Load,
    /// The model is compiled and warmed up.
    Compile,
    /// Memory is measured and the KV cache laid out.
    KvCache,
    /// CUDA graphs are captured.
    Graphs,
    /// The API server comes up.
    Api,
    /// The log says ready; the health check has not yet said so.
    Ready,
}

impl Phase {
    /// The stable id, the same as on the wire.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Create => "create",
            Self::Import => "import",
            Self::Config => "config",
            Self::Download => "download",
            Self::Load => "load",
            Self::Compile => "compile",
            Self::KvCache => "kv-cache",
            Self::Graphs => "graphs",
            Self::Api => "api",
            Self::Ready => "ready",
        }
    }
}

/// How far a phase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseProgress {
    /// Steps done.
    pub done: u32,
    /// Steps in all.
    pub total: u32,
    /// What all steps together weigh, in bytes, where the log has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// How a service came to stop without anybody here asking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "kebab-case")]
pub enum StoppedNote {
    /// It ended while Services was not watching, and nothing says that it failed.
    EndedWhileAway {
        /// The exit code.
        code: i64,
    },
    /// Someone stopped it from outside (`docker stop`).
    StoppedOutside,
    /// Exists, has never been started.
    NeverStarted,
    /// There is nothing yet: Start creates it.
    NotCreated,
    /// It was removed from outside, or by its own `--rm`; Start creates it again.
    Removed,
}

/// Something that ended or did not start although it should run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure.
    #[serde(flatten)]
    pub kind: FailureKind,
    /// When it happened.
    pub at: Timestamp,
    /// Why, as far as it is proved; absent until the log was read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
}

/// The kinds of failure that are told apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FailureKind {
    /// It ended by itself. Zero can be a crash, too: nobody had asked it to end.
    Exited {
        /// The exit code.
        code: i64,
        /// It had been ready in this run.
        was_ready: bool,
    },
    /// A signal from outside ended it (`docker kill`, `kill -9`).
    Killed {
        /// The signal's number.
        signal: i32,
    },
    /// The kernel ended it because memory ran out.
    OutOfMemory,
    /// The image is not on this machine.
    ImageMissing {
        /// The image.
        image: String,
    },
    /// Something else listens on the port.
    PortInUse {
        /// The port.
        port: u16,
        /// Who, as far as it can be seen.
        by: PortHolder,
    },
    /// Start needs `VLLM_MODEL`, which is not set.
    ModelNotSet,
    /// The container or unit that is listed is not there, and is none that Services creates.
    NotThere {
        /// Its name.
        name: String,
    },
    /// The command to run is not on the PATH.
    CommandMissing {
        /// The command.
        command: String,
    },
    /// The engine refused to create, start, stop or remove it.
    Refused {
        /// What was asked of the engine: `create`, `start`, `stop`, `remove`.
        action: String,
        /// The engine's own words.
        detail: String,
    },
    /// It did not end although it was killed.
    WontStop,
}

impl FailureKind {
    /// It ran and ended, so that its log has more to say.
    pub const fn is_end(&self) -> bool {
        matches!(self, Self::Exited { .. } | Self::Killed { .. } | Self::OutOfMemory)
    }
}

/// Who listens on a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "who", rename_all = "kebab-case")]
pub enum PortHolder {
    /// An Ollama server.
    Ollama {
        /// Its version.
        version: String,
    },
    /// A vLLM server that is not this service.
    Vllm {
        /// Its version.
        version: String,
    },
    /// A process.
    Process {
        /// Its PID.
        pid: u32,
        /// Its name.
        name: String,
    },
    /// Something that does not say what it is.
    Unknown,
}

/// Why a runtime cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum UnreachableReason {
    /// Nothing is at the engine's address.
    NoSocket {
        /// The address.
        address: String,
    },
    /// The address exists, nobody answers there.
    Refused {
        /// The address.
        address: String,
    },
    /// We may not open it.
    Denied {
        /// The address.
        address: String,
    },
    /// A filter before the engine lets a question not through that nothing can be told without.
    Forbidden {
        /// The question, as method and path.
        question: String,
    },
    /// It does not answer in time.
    Timeout {
        /// The address.
        address: String,
        /// The limit.
        seconds: u64,
    },
    /// It answers with something that is not understood.
    Garbage {
        /// What was seen.
        detail: String,
    },
    /// Nobody has asked it yet: the dashboard is starting.
    NotAskedYet,
}

/// A process that a dead service left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remnant {
    /// Its PID.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// GPU memory that it holds, in bytes, where that can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

/// What is worth knowing of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerFacts {
    /// Its name.
    pub name: String,
    /// Its id, the first twelve digits.
    pub id: String,
    /// We did not create it.
    pub adopted: bool,
    /// It is removed when it ends (`--rm`): a stop loses it and its log in the engine.
    pub auto_remove: bool,
    /// Its restart policy in Docker's words: `no`, `always`, `unless-stopped`, `on-failure`.
    pub restart_policy: String,
    /// The id of the image that it was created from.
    #[serde(default)]
    pub image_id: Option<String>,
    /// The model that its command names.
    #[serde(default)]
    pub model: Option<String>,
    /// The Compose project that it belongs to.
    #[serde(default)]
    pub project: Option<String>,
}

/// Restarts after failures: how many are left, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarts {
    /// Failures within the window.
    pub failures: u32,
    /// How many there may be: with the last of them it stays failed.
    pub budget: u32,
    /// The window, in seconds.
    pub window_s: u64,
    /// When it is started again by itself; absent when it is not.
    #[serde(default)]
    pub next: Option<Timestamp>,
    /// When the oldest failure of the window is forgotten; absent when there is none.
    #[serde(default)]
    pub resets: Option<Timestamp>,
}

/// An image that was kept when a service was moved to another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptImage {
    /// Its id, `sha256:…`.
    pub id: String,
    /// The reference that it had.
    pub reference: String,
    /// Since when it is kept.
    pub since: Timestamp,
}

/// A setting that the next start changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingChange {
    /// The variable or flag.
    pub name: String,
    /// What it runs with; absent where it was not set.
    #[serde(default)]
    pub running: Option<String>,
    /// What the next start uses; absent where it is not set any more.
    #[serde(default)]
    pub next: Option<String>,
}

/// The whole public object of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name in addresses.
    pub name: ServiceName,
    /// Its name for people.
    pub title: String,
    /// What it means.
    pub kind: ServiceKind,
    /// Where it runs.
    pub runtime: RuntimeKind,
    /// It is the labelled simulation.
    pub demo: bool,
    /// What it does now.
    pub state: State,
    /// What was asked for.
    pub wish: Wish,
    /// The model that is loaded now, read from the engine; absent when it does not answer.
    pub model: Option<String>,
    /// All names that are served (base model and adapters).
    #[serde(default)]
    pub models: Vec<String>,
    /// Those of them that are LoRA adapters.
    #[serde(default)]
    pub adapters: Vec<String>,
    /// The engine's version, as it says itself.
    #[serde(default)]
    pub version: Option<String>,
    /// The longest context in tokens, as the engine reports it.
    #[serde(default)]
    pub max_model_len: Option<u64>,
    /// Seconds since the runtime started it; absent when it does not run.
    pub uptime_s: Option<u64>,
    /// When the runtime started it.
    #[serde(default)]
    pub started: Option<Timestamp>,
    /// GPU memory that its processes hold, in bytes; absent when that cannot be read.
    pub gpu_memory_bytes: Option<u64>,
    /// The image of its container.
    pub image: Option<String>,
    /// The reference that Pull fetches: that of the settings, or an adopted container's own. Absent where there is none.
    #[serde(default)]
    pub pulls: Option<String>,
    /// It is started when the dashboard starts, and again after a failure.
    pub auto_start: bool,
    /// The switch is set in `services.toml`, and is turned there.
    #[serde(default)]
    pub auto_start_fixed: bool,
    /// Restarts after failures; absent where it is not restarted by itself.
    #[serde(default)]
    pub restarts: Option<Restarts>,
    /// The current or last run.
    pub run: Option<u64>,
    /// Where its API is asked.
    #[serde(default)]
    pub api_url: Option<String>,
    /// Its container.
    #[serde(default)]
    pub container: Option<ContainerFacts>,
    /// What its last run left behind.
    #[serde(default)]
    pub remnants: Vec<Remnant>,
    /// Something else answers at the service's address.
    #[serde(default)]
    pub port_taken: Option<PortHolder>,
    /// The start of this run, phase by phase.
    #[serde(default)]
    pub start: Option<Start>,
    /// What the next start would need of the GPU's memory; absent while it runs, or where it cannot be computed.
    #[serde(default)]
    pub plan: Option<MemoryPlan>,
    /// The last smoke test of this run.
    #[serde(default)]
    pub smoke: Option<Smoke>,
    /// What became of its GPU memory after the last stop.
    #[serde(default)]
    pub release: Option<Release>,
    /// What the next start changes; empty where it runs with the settings in force, and for what was not launched here.
    #[serde(default)]
    pub pending: Vec<PendingChange>,
    /// The image from before the last change of image.
    #[serde(default)]
    pub kept_image: Option<KeptImage>,
    /// Why its own health check fails, where it has one.
    #[serde(default)]
    pub unhealthy: Option<String>,
    /// Counts changes of its settings: what shows them is loaded again when it changes.
    #[serde(default)]
    pub settings_revision: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_an_allow_list() {
        for good in ["vllm", "a", "0", "my-model_2.1"] {
            assert!(ServiceName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "..", "../x", "a/b", "A", "-x", "ü", "a b", &"x".repeat(64)] {
            assert!(ServiceName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn states_are_tagged_in_kebab_case() {
        let state = State::Running { since: Timestamp::from_millis(1_795_348_800_000) };
        assert_eq!(
            serde_json::to_string(&state).expect("plain data"),
            r#"{"state":"running","since":"2026-11-22T12:00:00.000Z"}"#
        );
        let failed = State::Failed {
            failure: Box::new(Failure {
                kind: FailureKind::Killed { signal: 9 },
                at: Timestamp::from_millis(0),
                diagnosis: None,
            }),
        };
        let json = serde_json::to_string(&failed).expect("plain data");
        assert_eq!(
            json,
            r#"{"state":"failed","failure":{"kind":"killed","signal":9,"at":"1970-01-01T00:00:00.000Z"}}"#
        );
        assert_eq!(serde_json::from_str::<State>(&json).expect("reads back"), failed);
    }
}
