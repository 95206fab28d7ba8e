//! Why a vLLM ended or did not start, told from its log alone.
//!
//! In: lines with their level and source, live from a service or from a file that came from anywhere. Out: a typed cause
//! with the very lines that prove it, their numbers, and what to change. `shape` and `record` make messages of lines, `rules`
//! with its `table` knows what they mean, `facts` reads numbers and names, `explainer` follows one run (`course` its calm lines, `message` the
//! others), `judge` decides,
//! `remedies` says what to do. For files: `envelope` takes off what Compose, journald, Kubernetes and Docker put around a
//! line, `stamps` reads times, `wrapped` joins what a terminal broke,
//! `exits` reads how others say that it ended, `run` tells one run from the next, `report` and `words` print.
//!
//! Nothing is claimed beyond the evidence: a calm line, a request, an access-log line or an earlier run proves nothing.

mod command;
mod course;
mod envelope;
mod exits;
mod explainer;
mod facts;
mod finding;
mod input;
mod judge;
mod known;
mod message;
mod numbers;
mod record;
mod remedies;
mod report;
mod rules;
mod run;
mod shape;
mod stamps;
mod table;
#[cfg(test)]
mod tests;
mod words;
mod wrapped;

pub use command::command;
pub use explainer::Explainer;
pub use input::Limited;
pub use report::{Explanation, Outcome, PhaseAt, explain};
pub use words::{advice as advice_words, cause as cause_words};

/// How a run ended. Asked for only when nobody had asked it to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// The exit code, if one is known.
    pub code: Option<i64>,
    /// The signal that ended the process, if one did.
    pub signal: Option<i32>,
    /// The runtime or the kernel says that the host's memory ran out.
    pub host_oom: bool,
    /// It had been ready in this run.
    pub was_ready: bool,
}
