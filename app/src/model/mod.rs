//! Wire types: what the server tells the page and what programs may rely on.
//!
//! Serde only, no I/O, no words for people: codes and numbers, units in the names or the docs. Both sides of the
//! application use these very types, so that they cannot disagree. A field may be added, never renamed.

mod gpu;
mod host;
mod log;
mod service;
mod setting;
mod snapshot;
mod time;

pub use gpu::{Gpu, GpuStatus};
pub use host::{Candidate, ForeignProcess, Host};
pub use log::{
    Gap, Level, LevelCounts, Line, Lines, LogPosition, LogSummary, Progress, RunOpened, Span, Stream,
};
pub use service::{
    ContainerFacts, Failure, FailureKind, NameError, Phase, PhaseProgress, PortHolder, Remnant, RuntimeKind,
    Service, ServiceKind, ServiceName, State, StoppedNote, UnreachableReason, Verb, Wish,
};
pub use setting::{Origin, Setting};
pub use snapshot::{Bye, Ping, ServiceRemoved, Snapshot};
pub use time::Timestamp;
