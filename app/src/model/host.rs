//! The machine around the services.

use super::{GpuStatus, Timestamp};
use serde::{Deserialize, Serialize};

/// What the page shows of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Whether GPUs can be read.
    pub gpu: GpuStatus,
    /// Containers of a vLLM image that no service owns: they can be adopted.
    pub candidates: Vec<Candidate>,
    /// `vllm serve` processes that no service owns: shown, never touched.
    pub foreign: Vec<ForeignProcess>,
    /// The folder where the dashboard keeps what it must remember.
    #[serde(default)]
    pub state_dir: String,
    /// Whether the dashboard itself is started with the system: without it no service is.
    #[serde(default)]
    pub boot: Boot,
    /// Counts changes of what the engine has: the table of images is loaded again when it changes.
    #[serde(default)]
    pub images_revision: u32,
    /// What keeps logs from being written to disk.
    #[serde(default)]
    pub log_trouble: Option<LogTrouble>,
}

/// Why logs, or what the dashboard must remember, are not written to disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogTrouble {
    /// What kind of trouble.
    pub kind: LogTroubleKind,
    /// Since when.
    pub since: Timestamp,
    /// What the system said.
    pub error: String,
    /// Where they should be written.
    pub folder: String,
    /// Free bytes there.
    pub free: Option<u64>,
    /// Not logs, but what the dashboard must remember; `folder` is its file.
    #[serde(default)]
    pub store: bool,
}

/// What kind of trouble a disk makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogTroubleKind {
    /// There is no room left, or less than should stay free.
    Full,
    /// It may not be written.
    ReadOnly,
    /// Another program has locked it.
    Locked,
    /// What is in it makes no sense.
    Damaged,
    /// It was removed or replaced.
    Gone,
    /// Anything else.
    Failed,
}

/// Whether the dashboard is started with the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Boot {
    /// It cannot be told from here.
    #[default]
    Unknown,
    /// It is.
    Installed,
    /// A unit is written, and not enabled.
    NotEnabled,
    /// Nothing starts it.
    NotInstalled,
}

/// A container that could be adopted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its name.
    pub container: String,
    /// Its image.
    pub image: String,
    /// It runs now.
    pub running: bool,
    /// The port of the host that leads to its API, where one is published.
    pub port: Option<u16>,
}

/// A process that serves a model and is not ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignProcess {
    /// Its PID.
    pub pid: u32,
    /// Its command, shortened; secrets left out.
    pub command: String,
}
