//! A short completion that proves that the engine really answers.

use super::Timestamp;
use serde::{Deserialize, Serialize};

/// The smoke test of this run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "smoke", rename_all = "kebab-case")]
pub enum Smoke {
    /// It was asked and has not finished.
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// It answered.
    Passed {
        /// When.
        at: Timestamp,
        /// From the question to the first token, in milliseconds.
        first_token_ms: u64,
        /// Tokens in the answer.
        tokens: u32,
        /// Tokens per ten seconds, from the first to the last; absent for fewer than two.
        tokens_per_10s: Option<u32>,
    },
    /// It did not answer, or refused.
    Failed {
        /// When.
        at: Timestamp,
        /// In the engine's words, or ours, shortened.
        detail: String,
    },
}

/// What became of a service's GPU memory after a stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "release", rename_all = "kebab-case")]
pub enum Release {
    /// It is back.
    Back {
        /// How much, in bytes.
        freed_bytes: u64,
    },
    /// Processes of this service still hold some.
    Held {
        /// How much was freed, in bytes.
        freed_bytes: u64,
        /// Who holds the rest.
        by: Vec<super::Remnant>,
    },
}
