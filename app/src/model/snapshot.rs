//! What a stream begins with, and its small events.

use super::{Gpu, Host, Image, LogSummary, Service, ServiceMetrics, ServiceName, Timestamp};
use serde::{Deserialize, Serialize};

/// Event `snapshot`: everything, once; then come changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The server's version; another one than the page's own offers a reload.
    pub server_version: String,
    /// The server's clock.
    pub now: Timestamp,
    /// All services, vLLM first.
    pub services: Vec<Service>,
    /// All GPUs.
    pub gpus: Vec<Gpu>,
    /// Images that services name.
    pub images: Vec<Image>,
    /// The machine.
    pub host: Host,
    /// What services that serve have counted, with the last quarter of an hour.
    #[serde(default)]
    pub metrics: Vec<ServiceMetrics>,
    /// The log that was asked for.
    pub logs: Option<LogSummary>,
}

/// Event `ping`: the connection lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// The server's clock.
    pub now: Timestamp,
}

/// Event `bye`: the server ends the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bye {
    /// Why: `shutdown`.
    pub reason: String,
}

/// Event `service-removed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRemoved {
    /// The service that is gone.
    pub name: ServiceName,
}
