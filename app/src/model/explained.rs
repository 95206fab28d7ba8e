//! What a log from anywhere tells, as the page shows it.

use super::{Diagnosis, Phase};
use serde::{Deserialize, Serialize};

/// What became of the last run of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It came up.
    Ready,
    /// It did not come up, or ended although nobody asked.
    Failed,
    /// Somebody asked it to end.
    Stopped,
    /// The log ends before anything was decided.
    Incomplete,
}

/// A phase of a start in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedPhase {
    /// Which.
    pub phase: Phase,
    /// What it took, in milliseconds; absent where the log has no times, and for the last.
    #[serde(default)]
    pub took_ms: Option<u64>,
}

/// What a log tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// What became of the last run.
    pub outcome: Outcome,
    /// Why it failed; absent where it did not.
    pub diagnosis: Option<Diagnosis>,
    /// The phases that were seen, in order.
    pub phases: Vec<ExplainedPhase>,
}
