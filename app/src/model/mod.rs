//! Wire types: what the server tells the page and what programs may rely on.
//!
//! Serde only, no I/O, no words for people: codes and numbers, units in the names or the docs. Both sides of the
//! application use these very types, so that they cannot disagree. A field may be added, never renamed.

mod diagnosis;
mod explained;
mod gpu;
mod host;
mod image;
mod log;
mod metrics;
mod plan;
mod run;
mod service;
mod setting;
mod smoke;
mod snapshot;
mod start;
mod time;

pub use diagnosis::{Advice, Cause, Change, Diagnosis, Evidence, Facts, Remedy};
pub use explained::{Explained, ExplainedPhase, Outcome};
pub use gpu::{Gpu, GpuProcess, GpuState, GpuStatus};
pub use host::{Boot as BootStatus, Candidate, ForeignProcess, Host, LogTrouble, LogTroubleKind};
pub use image::{Image, Layer, LayerStage, LocalImage, Newer, Pull, PullFailure, PullState};
pub use log::{
    Gap, Level, LevelCounts, Line, LineKind, Lines, LogPosition, LogSummary, Progress, RunOpened, Span,
    Stream, whole_bytes,
};
pub use metrics::{Ended, History, Reading, ServiceMetrics};
pub use plan::{MemoryPlan, PlanDevice, PlanSource, Verdict};
pub use run::RunInfo;
pub use service::{
    ContainerFacts, Failure, FailureKind, ImageVerb, KeptImage, NameError, PendingChange, Phase,
    PhaseProgress, PortHolder, Remnant, Restarts, RuntimeKind, Service, ServiceKind, ServiceName, State,
    StoppedNote, UnreachableReason, Verb, Wish,
};
pub use setting::{Origin, Setting};
pub use smoke::{Release, Smoke};
pub use snapshot::{Bye, Ping, ServiceRemoved, Snapshot};
pub use start::{PhaseTime, Silence, Start, UsualTime};
pub use time::Timestamp;
