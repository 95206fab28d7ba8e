//! What vLLM means.
#![allow(dead_code, reason = "the rest of the room is left out")]

#[path = "../../src/vllm/explain/mod.rs"]
pub mod explain;
#[path = "../../src/vllm/grammar.rs"]
pub mod grammar;
#[path = "../../src/vllm/metrics/mod.rs"]
pub mod metrics;
#[path = "../../src/vllm/phases.rs"]
pub mod phases;
#[path = "../../src/vllm/plan/mod.rs"]
pub mod plan;
