//! What the page needs of the server: defined here, implemented there, handed over as a context.

use super::{ApiError, Caller};
use crate::model::{ImageVerb, LogSummary, Service, ServiceName, Snapshot, Verb};
use std::pin::Pin;
use std::sync::Arc;

/// An answer that may wait for the engine, within a limit.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<(), ApiError>> + Send + 'a>>;

/// The server as the page sees it. Every method answers from memory or hands a command over: none waits for Docker, NVML
/// or a socket.
pub trait Control: Send + Sync + 'static {
    /// Everything, as it is now.
    fn snapshot(&self, caller: &Caller, logs: Option<&ServiceName>) -> Snapshot;

    /// The last `count` lines of a service's log, for the first view.
    ///
    /// # Errors
    /// [`ApiError::UnknownService`].
    fn log_tail(
        &self,
        caller: &Caller,
        service: &ServiceName,
        count: usize,
    ) -> Result<(LogSummary, Vec<crate::model::Line>), ApiError>;

    /// Takes a wish. The answer is the service as it is now; the effect comes over the stream.
    ///
    /// # Errors
    /// [`ApiError::UnknownService`], or [`ApiError::Unreachable`] when the engine cannot be asked.
    fn command(&self, caller: &Caller, service: &ServiceName, verb: Verb) -> Result<Service, ApiError>;

    /// What speaks against a command and a person should confirm: requests that run, a start that cannot fit. Waits for
    /// the engine's own answer, at most about a second.
    ///
    /// # Errors
    /// [`ApiError::RequestsRunning`], [`ApiError::WillNotFit`], [`ApiError::UnknownService`].
    fn objection<'a>(&'a self, caller: &'a Caller, service: &'a ServiceName, verb: Verb) -> Answer<'a>;

    /// Makes the change of one remedy of the failure that is shown now, and starts the service with it. `cause` is the
    /// cause's id and `value` the change's value as they were shown.
    ///
    /// # Errors
    /// [`ApiError::Stale`], [`ApiError::ReadOnly`], [`ApiError::NotOurs`], [`ApiError::File`], and those of a command.
    fn apply_remedy(
        &self,
        caller: &Caller,
        service: &ServiceName,
        cause: &str,
        remedy: usize,
        value: &str,
    ) -> Result<(), ApiError>;

    /// Asks the engine for a short completion; the answer comes over the stream.
    ///
    /// # Errors
    /// [`ApiError::UnknownService`], [`ApiError::Stale`] when it does not serve, [`ApiError::Busy`].
    fn smoke_test(&self, caller: &Caller, service: &ServiceName) -> Result<(), ApiError>;

    /// Does something about a service's image. Pulls and checks only begin here; the rest is done when it answers. Unless
    /// `confirmed`, a restart that would end requests is refused.
    ///
    /// # Errors
    /// [`ApiError::NoImage`], [`ApiError::Image`], [`ApiError::NotOurs`], [`ApiError::Stale`], and those of a command.
    fn image<'a>(
        &'a self,
        caller: &'a Caller,
        service: &'a ServiceName,
        verb: ImageVerb,
        confirmed: bool,
    ) -> Answer<'a>;

    /// Turns the switch that keeps a service running; with `take` the container's own restart policy is ended.
    ///
    /// # Errors
    /// [`ApiError::InFile`], [`ApiError::Unreachable`], [`ApiError::Refused`].
    fn auto_start<'a>(
        &'a self,
        caller: &'a Caller,
        service: &'a ServiceName,
        on: bool,
        take: bool,
    ) -> Answer<'a>;

    /// Takes a container that exists as a service, as it is.
    ///
    /// # Errors
    /// [`ApiError::BadName`], [`ApiError::NotACandidate`].
    fn adopt(&self, caller: &Caller, container: &str) -> Result<ServiceName, ApiError>;
}

/// The context that server functions read.
pub type SharedControl = Arc<dyn Control>;
