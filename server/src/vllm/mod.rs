//! What vLLM means: how it is launched, what its log says, how it is asked.
//!
//! In: settings, log lines, HTTP answers. Out: launches, levels and phases, readiness. Only this room knows vLLM's words.

pub mod grammar;
pub mod http;
pub mod launch;
pub mod phases;
pub mod probe;
