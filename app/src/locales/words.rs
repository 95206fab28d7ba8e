//! What every language must be able to say.

use crate::api::ApiError;
use crate::model::{
    FailureKind, Origin, Phase, PortHolder, Remnant, RuntimeKind, Service, State, UnreachableReason,
};

/// What is the case, and what can be done now; the second may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// What, and why.
    pub what: String,
    /// What now.
    pub now: String,
}

/// The words. Phrases with numbers or codes are functions; every other field is the text itself, in the place that its
/// name says.
#[expect(missing_docs, reason = "each field is named after what it says")]
pub struct Words {
    // The page.
    pub services: &'static str,
    pub neighbours: &'static str,
    pub language: &'static str,
    pub theme: &'static str,
    pub theme_system: &'static str,
    pub theme_light: &'static str,
    pub theme_dark: &'static str,
    pub new_version: &'static str,
    pub reload: &'static str,
    pub not_found: &'static str,
    pub not_found_hint: &'static str,
    pub home: &'static str,
    pub no_services: &'static str,
    pub gone: &'static str,

    // The connection of this tab.
    pub connection: &'static str,
    pub connecting: &'static str,
    pub live: &'static str,
    pub reconnecting: &'static str,
    pub lost: &'static str,
    pub without_script: &'static str,
    pub as_of: fn(&str) -> String,

    // The card.
    pub state: fn(&State) -> &'static str,
    pub sentence: fn(&Service) -> Said,
    pub phase: fn(Phase) -> &'static str,
    pub n_of_m: fn(u32, u32) -> String,
    pub failure: fn(&FailureKind) -> Said,
    pub unreachable: fn(&UnreachableReason) -> Said,
    pub holder: fn(&PortHolder) -> String,
    pub port_taken: fn(&str, &str) -> String,
    pub remnants: fn(&[Remnant]) -> String,
    pub auto_remove: &'static str,
    pub demo: &'static str,
    pub evidence: &'static str,
    pub lasting: fn(u64) -> String,
    pub ago: fn(u64) -> String,
    pub changed: fn(&str, &str) -> String,
    pub model: &'static str,
    pub gpu_memory: &'static str,
    pub uptime: &'static str,
    pub none: &'static str,
    pub not_reported: &'static str,
    pub no_gpu: &'static str,
    pub gpu_error: fn(&str) -> String,
    pub gib: fn(u64) -> String,
    pub gib_of: fn(u64, u64) -> String,
    pub duration: fn(u64) -> String,

    // The controls.
    pub start: &'static str,
    pub stop: &'static str,
    pub restart: &'static str,
    pub container_logs: &'static str,
    pub auto_start: &'static str,
    pub auto_start_hint: &'static str,
    pub on: &'static str,
    pub off: &'static str,
    pub error: fn(&ApiError) -> String,

    // What a card shows on demand.
    pub details: &'static str,
    pub runtime: &'static str,
    pub runtime_name: fn(RuntimeKind) -> &'static str,
    pub container: &'static str,
    pub container_id: &'static str,
    pub adopted: &'static str,
    pub created_here: &'static str,
    pub restart_policy: &'static str,
    pub restart_policy_hint: &'static str,
    pub image: &'static str,
    pub api_address: &'static str,
    pub served_models: &'static str,
    pub context_length: &'static str,
    pub tokens: fn(u64) -> String,
    pub run: &'static str,
    pub configuration: &'static str,
    pub configuration_hint: &'static str,
    pub variable: &'static str,
    pub value: &'static str,
    pub origin: &'static str,
    pub origin_name: fn(&Origin) -> &'static str,
    pub secret_set: &'static str,
    pub not_set: &'static str,

    // The machine.
    pub gpus: &'static str,
    pub gpus_hint: &'static str,
    pub gpu: fn(u32) -> String,
    pub found: &'static str,
    pub found_hint: &'static str,
    pub adopt: &'static str,
    pub running_mark: &'static str,
    pub stopped_mark: &'static str,
    pub port: fn(u16) -> String,
    pub no_port: &'static str,
    pub foreign: &'static str,
    pub pid: fn(u32) -> String,

    // The log.
    pub logs: &'static str,
    pub levels: &'static str,
    pub other: &'static str,
    pub search_logs: &'static str,
    pub follow: &'static str,
    pub download: &'static str,
    pub waiting: fn(u64) -> String,
    pub gap: fn(Option<u64>) -> String,
    pub run_started: fn(u64, &str) -> String,
    pub earlier: fn(u64) -> String,
    pub load_earlier: &'static str,
    pub no_lines: &'static str,
    pub no_match: &'static str,
    pub more_text: fn(u64) -> String,
    pub utc: &'static str,
    pub number: fn(u64) -> String,
}
