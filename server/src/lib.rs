//! Services: the server of the page that manages a machine's language-model services.
//!
//! Observations flow one way: `runtime` (bytes, events) → `logs` (lines) → `vllm` (meaning) → `supervisor` (state) →
//! `web` (the stream) → the page. Commands come back on one path: page → `web` → `supervisor` → `runtime`.

pub mod access;
pub mod backup;
pub mod doctor;
pub mod gpu;
pub mod health;
pub mod history;
pub mod install;
pub mod logs;
pub mod notify;
pub mod reach;
pub mod redact;
pub mod runtime;
pub mod settings;
pub mod store;
pub mod supervisor;
mod terminal;
pub mod vitals;
pub mod vllm;
pub mod web;
