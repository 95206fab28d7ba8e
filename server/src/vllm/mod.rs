//! What vLLM means: how it is launched, what its log says, how it is asked.
//!
//! In: settings, log lines, HTTP answers. Out: launches, levels and phases, readiness. Only this room knows vLLM's words.

pub mod cli;
pub mod explain;
pub mod grammar;
pub mod http;
pub mod kind;
pub mod launch;
pub mod metrics;
pub mod models;
pub mod phases;
pub mod plan;
pub mod probe;
pub mod requests;
pub mod smoke;
pub mod verdict;
pub mod witness;
