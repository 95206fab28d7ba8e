//! The connection to one engine: questions with time limits, one event stream for all, and whether it is there at all.

use super::podman;
use crate::redact::hidden;
use crate::runtime::{NOT_ALLOWED, RuntimeError};
use app::model::{FailureKind, Timestamp, UnreachableReason};
use bollard::models::{
    ContainerInspectResponse, ContainerSummary, EventMessage, EventMessageTypeEnum, SystemVersion,
};
use bollard::query_parameters::{EventsOptions, ListContainersOptions};
use bollard::{API_DEFAULT_VERSION, Docker, errors::Error};
use futures::StreamExt;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// For questions that an engine answers at once.
const QUICK: Duration = Duration::from_secs(10);
/// For creating, starting and removing.
const SLOW: Duration = Duration::from_secs(60);
/// How often a silent engine is asked whether it lives: a hung one sends no event.
const PING: Duration = Duration::from_secs(10);
/// How long it may take to answer that.
const PING_LIMIT: Duration = Duration::from_secs(5);
/// An event stream that ends earlier is no stream that something before the engine merely cut off.
const SHORT: Duration = Duration::from_secs(5);
/// So many of these in a row, and the engine cannot be listened to.
const SHORT_STREAMS: u32 = 3;
/// How many containers' last signals are remembered.
const REMEMBERED: usize = 256;

/// What the engine tells everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineEvent {
    /// Something happened to a container.
    Container {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
    },
    /// Something happened to an image.
    Image,
    /// The engine answers (again).
    Up,
    /// The engine does not answer.
    Away(UnreachableReason),
}

/// What events said of a container, for what an inspection does not show.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Signals that were sent to it since it was started; 0 where Podman did not say which.
    pub signals: Vec<(i32, Timestamp)>,
    /// How it ended: exit code and moment.
    pub died: Option<(i64, Timestamp)>,
}

/// How long before its end a stop signal counts as its cause: vLLM may have swallowed one that came while it loaded.
const ASKED_MS: u64 = 15 * 60 * 1000;
const SIGTERM: i32 = 15;

impl Told {
    /// Somebody asked it to stop, not long before this moment, when it ended with this code.
    pub fn asked_before(&self, end: Timestamp, stop_signal: i32, code: i64) -> bool {
        self.signals.iter().any(|(signal, at)| {
            let asks = match signal {
                // Which one it was is seen by what came of it.
                0 => matches!(code, 0 | 130 | 143),
                signal => *signal == stop_signal || matches!(signal, 2 | 15),
            };
            asks && end.since(*at) < ASKED_MS
        })
    }
}

/// Why a question was not answered as hoped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The engine answered with an error.
    Server {
        /// The HTTP status.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// The engine cannot be asked.
    Away(UnreachableReason),
}

impl Failed {
    /// As the error of an action.
    pub fn into_error(self, action: &str) -> RuntimeError {
        match self {
            Self::Away(reason) => RuntimeError::Away(reason),
            Self::Server { status, message } if is_forbidden(status, &message) => match action {
                // Without these nothing can be told of a service.
                "look" => RuntimeError::Away(forbidden("GET /containers/…/json")),
                "list" => RuntimeError::Away(forbidden("GET /containers/json")),
                "logs" => RuntimeError::Away(forbidden("GET /containers/…/logs")),
                _ => RuntimeError::Refused(FailureKind::Refused {
                    action: action.to_owned(),
                    detail: NOT_ALLOWED.to_owned(),
                }),
            },
            Self::Server { message, .. } => RuntimeError::Refused(FailureKind::Refused {
                action: action.to_owned(),
                detail: message.chars().take(1000).collect(),
            }),
        }
    }
}

/// A filter before the engine's socket refused a question, or a plugin of the engine: not the engine itself, whose words are
/// JSON and name what is wrong.
pub(super) fn is_forbidden(status: u16, message: &str) -> bool {
    let message = message.trim();
    let bare = message.is_empty()
        || message.starts_with('<')
        || message.eq_ignore_ascii_case("forbidden")
        || message.eq_ignore_ascii_case("method not allowed");
    matches!(status, 403 | 405) && (bare || message.contains("authorization denied by plugin"))
}

/// Why nothing can be told where this question is not allowed.
pub(super) fn forbidden(question: &str) -> UnreachableReason {
    UnreachableReason::Forbidden { question: question.to_owned() }
}

/// One engine.
pub struct Engine {
    address: String,
    client: Mutex<Option<Docker>>,
    /// It is Podman, which speaks Docker's language with an accent.
    podman: AtomicBool,
    events: broadcast::Sender<EngineEvent>,
    away: Mutex<Option<UnreachableReason>>,
    told: Mutex<(HashMap<String, Told>, VecDeque<String>)>,
    /// The time of the last event, in nanoseconds: a new stream begins there, so that nothing falls between two streams.
    last_event_ns: AtomicI64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// The engine at this address (`unix://…`, `tcp://…`, `http://…`), which need not be there.
    pub fn new(address: String) -> Arc<Self> {
        Arc::new(Self {
            address,
            client: Mutex::new(None),
            podman: AtomicBool::new(false),
            events: broadcast::channel(256).0,
            away: Mutex::new(Some(UnreachableReason::NotAskedYet)),
            told: Mutex::default(),
            last_event_ns: AtomicI64::new(0),
        })
    }

    /// Its address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The same as it may be shown.
    fn shown(&self) -> String {
        hidden(&self.address)
    }

    /// It is Podman, as far as it was asked.
    pub fn is_podman(&self) -> bool {
        self.podman.load(Ordering::Relaxed)
    }

    /// The host that its published ports are on.
    pub fn host(&self) -> String {
        let authority = self.address.strip_prefix("tcp://").or_else(|| self.address.strip_prefix("http://"));
        authority
            .and_then(|a| a.split('/').next())
            .and_then(|a| a.rsplit_once(':').map_or(Some(a), |(host, _)| Some(host)))
            .filter(|h| !h.is_empty() && *h != "0.0.0.0")
            .unwrap_or("127.0.0.1")
            .to_owned()
    }

    /// Why it cannot be asked, if so.
    pub fn away(&self) -> Option<UnreachableReason> {
        lock(&self.away).clone()
    }

    /// What happens from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<EngineEvent> {
        self.events.subscribe()
    }

    /// What events said of a container.
    pub fn told(&self, id: &str) -> Told {
        lock(&self.told).0.get(id).cloned().unwrap_or_default()
    }

    /// Reads what the engine still remembers of a container: who asked an end that nobody here saw. It keeps its last 256
    /// events, until it is restarted itself.
    pub async fn recall(&self, id: &str) {
        let Ok(docker) = self.client().await else { return };
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            ("container".to_owned(), vec![id.to_owned()]),
        ]);
        let now = Timestamp::now().millis() / 1000;
        // Podman tells of what was only where some time is still to come.
        let until = if self.is_podman() { now + 1 } else { now };
        let options = EventsOptions {
            since: Some("1".to_owned()),
            until: Some(until.to_string()),
            filters: Some(filters),
        };
        let mut events = Box::pin(docker.events(Some(options)));
        let read = async {
            while let Some(Ok(event)) = events.next().await {
                self.note(&event);
            }
        };
        // What is not told in time is not known: the exit code judges then.
        let _ = tokio::time::timeout(PING_LIMIT, read).await;
    }

    /// How a container is, by its name or id, which was checked.
    pub async fn inspect(&self, name: &str) -> Result<ContainerInspectResponse, Failed> {
        let address = &self.address;
        // Which engine it is, is known with the client.
        self.client().await?;
        if self.is_podman() {
            return self.within(QUICK, podman::inspect(address, name)).await;
        }
        self.ask(|docker| async move { docker.inspect_container(name, None).await }).await
    }

    /// All containers, running or not.
    pub async fn containers(&self) -> Result<Vec<ContainerSummary>, Failed> {
        self.client().await?;
        if self.is_podman() {
            return self.within(QUICK, podman::containers(&self.address)).await;
        }
        let options = ListContainersOptions { all: true, ..Default::default() };
        self.ask(|docker| async move { docker.list_containers(Some(options)).await }).await
    }

    async fn within<T>(
        &self,
        limit: Duration,
        question: impl Future<Output = Result<T, Failed>>,
    ) -> Result<T, Failed> {
        tokio::time::timeout(limit, question)
            .await
            .unwrap_or_else(|_| Err(Failed::Away(self.too_slow(limit))))
    }

    /// Asks a quick question.
    pub async fn ask<T, F>(&self, question: impl FnOnce(Docker) -> F) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.ask_within(QUICK, question).await
    }

    /// Asks for something that takes its time.
    pub async fn ask_slowly<T, F>(&self, question: impl FnOnce(Docker) -> F) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.ask_within(SLOW, question).await
    }

    pub(super) async fn ask_within<T, F>(
        &self,
        limit: Duration,
        question: impl FnOnce(Docker) -> F,
    ) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let docker = self.client().await?;
        match tokio::time::timeout(limit, question(docker)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.failed(error)),
            Err(_) => Err(Failed::Away(self.too_slow(limit))),
        }
    }

    fn too_slow(&self, limit: Duration) -> UnreachableReason {
        UnreachableReason::Timeout { address: self.shown(), seconds: limit.as_secs() }
    }

    /// The client, with the API version that this engine speaks.
    pub(super) async fn client(&self) -> Result<Docker, Failed> {
        if let Some(docker) = lock(&self.client).clone() {
            return Ok(docker);
        }
        let docker = if self.address.starts_with("unix://") {
            Docker::connect_with_unix(&self.address, SLOW.as_secs() * 2, API_DEFAULT_VERSION)
        } else {
            Docker::connect_with_http(&self.address, SLOW.as_secs() * 2, API_DEFAULT_VERSION)
        }
        .map_err(|e| self.failed(e))?;
        let negotiated = async {
            let docker = docker.negotiate_version().await?;
            let version = docker.version().await?;
            Ok((docker, version))
        };
        let (docker, version) = match tokio::time::timeout(PING_LIMIT, negotiated).await {
            Ok(Ok(both)) => both,
            Ok(Err(error)) => {
                return Err(match self.failed(error) {
                    Failed::Server { status, message } if is_forbidden(status, &message) => {
                        Failed::Away(forbidden("GET /version"))
                    }
                    failed => failed,
                });
            }
            Err(_) => return Err(Failed::Away(self.too_slow(PING_LIMIT))),
        };
        self.podman.store(is_podman(&version), Ordering::Relaxed);
        // Paths are asked without a version, which every engine takes for its own: whether it is one of ours it has to say.
        if let Some(detail) = version.min_api_version.as_deref().and_then(too_new) {
            return Err(Failed::Away(UnreachableReason::Garbage { detail }));
        }
        *lock(&self.client) = Some(docker.clone());
        Ok(docker)
    }

    /// Asks whether the engine lives; why not, if so.
    async fn silence(&self, docker: &Docker) -> Option<UnreachableReason> {
        match tokio::time::timeout(PING_LIMIT, docker.ping()).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(self.away_of(error, "GET /_ping")),
            Err(_) => Some(self.too_slow(PING_LIMIT)),
        }
    }

    fn away_of(&self, error: Error, question: &str) -> UnreachableReason {
        match self.failed(error) {
            Failed::Server { status, message } if is_forbidden(status, &message) => forbidden(question),
            failed => away_reason(failed),
        }
    }

    pub(super) fn failed(&self, error: Error) -> Failed {
        let address = self.shown();
        let reason = match error {
            Error::DockerResponseServerError { status_code, message } => {
                return Failed::Server { status: status_code, message };
            }
            Error::SocketNotFoundError(_) => UnreachableReason::NoSocket { address },
            Error::RequestTimeoutError => UnreachableReason::Timeout { address, seconds: SLOW.as_secs() * 2 },
            other => io_reason(&other, &address).unwrap_or_else(|| UnreachableReason::Garbage {
                detail: other.to_string().chars().take(300).collect(),
            }),
        };
        Failed::Away(reason)
    }

    /// Keeps the event stream until `stop` is cancelled: the one owner of whether the engine is there.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut wait = Duration::from_millis(250);
        while !stop.is_cancelled() {
            let reason = tokio::select! {
                reason = self.listen(&mut wait) => reason,
                () = stop.cancelled() => return,
            };
            *lock(&self.client) = None;
            let news = lock(&self.away).replace(reason.clone()).as_ref() != Some(&reason);
            if news {
                tracing::warn!(?reason, "the engine cannot be asked");
                // Nobody listening is no loss: who comes later asks `away`.
                let _ = self.events.send(EngineEvent::Away(reason));
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => return,
            }
            wait = (wait * 2).min(Duration::from_secs(2));
        }
    }

    /// Listens until the engine is away; says why.
    async fn listen(&self, wait: &mut Duration) -> UnreachableReason {
        let docker = match self.client().await {
            Ok(docker) => docker,
            Err(failed) => return away_reason(failed),
        };
        // Where no event has come, nothing that is older is news.
        let mut from = Timestamp::now();
        let (mut again, mut short) = (false, 0);
        loop {
            let begun = Instant::now();
            if let Some(reason) = self.hear(&docker, from, again, wait).await {
                return reason;
            }
            from = Timestamp::now();
            // A stream that ended does not say why; the engine's next answer does.
            if let Some(reason) = self.silence(&docker).await {
                return reason;
            }
            // The engine lives: a proxy cuts off what was silent for long. What happened since is told by the next stream.
            short = if begun.elapsed() < SHORT { short + 1 } else { 0 };
            if short == SHORT_STREAMS {
                return UnreachableReason::Garbage { detail: "its events ended".to_owned() };
            }
            again = true;
        }
    }

    /// Hears one event stream to its end; says why the engine is away, if that is known.
    async fn hear(
        &self,
        docker: &Docker,
        from: Timestamp,
        mut again: bool,
        wait: &mut Duration,
    ) -> Option<UnreachableReason> {
        let kinds = vec!["container".to_owned(), "image".to_owned()];
        let filters = HashMap::from([("type".to_owned(), kinds)]);
        let last = self.last_event_ns.load(Ordering::Relaxed);
        let since = if last == 0 { from.millis() / 1000 - 1 } else { last / 1_000_000_000 };
        let options =
            EventsOptions { since: Some(since.to_string()), filters: Some(filters), ..Default::default() };
        let mut events = Box::pin(docker.events(Some(options)));
        // The stream is asked for at its first poll; the ping says that the engine lives before anything has happened.
        let mut ping = tokio::time::interval(PING);
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => self.take(&event),
                    Some(Err(error @ Error::DockerResponseServerError { .. })) => {
                        return Some(self.away_of(error, "GET /events"));
                    }
                    Some(Err(_)) | None => return None,
                },
                _ = ping.tick() => {
                    if let Some(reason) = self.silence(docker).await {
                        return Some(reason);
                    }
                    *wait = Duration::from_millis(250);
                    let was_away = lock(&self.away).take().is_some();
                    if was_away {
                        tracing::info!(address = %self.shown(), "the engine answers");
                    }
                    // An engine that was restarted in between has forgotten what happened: everything is looked at again.
                    if std::mem::take(&mut again) || was_away {
                        let _ = self.events.send(EngineEvent::Up);
                    }
                }
            }
        }
    }

    fn take(&self, event: &EventMessage) {
        if event.typ == Some(EventMessageTypeEnum::IMAGE) {
            let _ = self.events.send(EngineEvent::Image);
            return;
        }
        if let Some((id, name)) = self.note(event) {
            let _ = self.events.send(EngineEvent::Container { id, name });
        }
    }

    /// Remembers what an event says of a container; its id and name, where that changes anything that is shown.
    fn note(&self, event: &EventMessage) -> Option<(String, String)> {
        if event.typ != Some(EventMessageTypeEnum::CONTAINER) {
            return None;
        }
        let (Some(actor), Some(action)) = (&event.actor, &event.action) else { return None };
        let id = actor.id.clone()?;
        let attributes = actor.attributes.clone().unwrap_or_default();
        if let Some(ns) = event.time_nano {
            self.last_event_ns.fetch_max(ns, Ordering::Relaxed);
        }
        let at = event.time_nano.map_or_else(Timestamp::now, Timestamp::from_nanos);
        {
            let mut told = lock(&self.told);
            let (known, order) = &mut *told;
            if !known.contains_key(&id) {
                order.push_back(id.clone());
                if order.len() > REMEMBERED
                    && let Some(oldest) = order.pop_front()
                {
                    known.remove(&oldest);
                }
            }
            let entry = known.entry(id.clone()).or_default();
            match action.as_str() {
                "start" => *entry = Told::default(),
                "kill" if entry.signals.len() < 32 => {
                    let signal = attributes.get("signal").map_or(Ok(0), |s| s.parse());
                    entry.signals.extend(signal.ok().map(|signal| (signal, at)));
                }
                // Docker has told of the signal before; Podman tells only this.
                "stop" if entry.signals.is_empty() => entry.signals.push((SIGTERM, at)),
                "die" => {
                    let code = attributes.get("exitCode").and_then(|c| c.parse().ok()).unwrap_or(-1);
                    entry.died = Some((code, at));
                }
                // `exec_*`, `attach`, `top` and the like change nothing that is shown.
                "kill" | "create" | "destroy" | "remove" | "oom" | "pause" | "unpause" | "rename"
                | "update" | "restart" | "stop" | "health_status" => {}
                _ => return None,
            }
        }
        let name = attributes.get("name").cloned().unwrap_or_default();
        Some((id, name))
    }
}

fn is_podman(version: &SystemVersion) -> bool {
    let parts = version.components.as_deref().unwrap_or_default();
    parts.iter().any(|part| part.name.starts_with("Podman"))
}

fn away_reason(failed: Failed) -> UnreachableReason {
    match failed {
        Failed::Away(reason) => reason,
        Failed::Server { message, status } => {
            UnreachableReason::Garbage { detail: format!("{status}: {message}") }
        }
    }
}

/// An engine of tomorrow that speaks no version of the API that is spoken here: what is needed then.
fn too_new(least: &str) -> Option<String> {
    let (major, minor) = least.split_once('.')?;
    let least: (usize, usize) = (major.parse().ok()?, minor.parse().ok()?);
    let ours = (API_DEFAULT_VERSION.major_version, API_DEFAULT_VERSION.minor_version);
    (least > ours).then(|| {
        format!(
            "it speaks its API from version {}.{} on, and this Services up to {}.{}. A newer Services is needed, or an older engine",
            least.0, least.1, ours.0, ours.1
        )
    })
}

/// Finds the system's own error below what the client wraps around it.
fn io_reason(error: &(dyn std::error::Error + 'static), address: &str) -> Option<UnreachableReason> {
    let mut source = Some(error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            let address = address.to_owned();
            return Some(match io.kind() {
                std::io::ErrorKind::NotFound => UnreachableReason::NoSocket { address },
                std::io::ErrorKind::PermissionDenied => UnreachableReason::Denied { address },
                std::io::ErrorKind::TimedOut => {
                    UnreachableReason::Timeout { address, seconds: QUICK.as_secs() }
                }
                std::io::ErrorKind::InvalidData => {
                    UnreachableReason::Garbage { detail: io.to_string().chars().take(300).collect() }
                }
                _ => UnreachableReason::Refused { address },
            });
        }
        if inner
            .downcast_ref::<hyper::Error>()
            .is_some_and(|h| h.is_incomplete_message() || h.is_closed() || h.is_canceled())
        {
            return Some(UnreachableReason::Refused { address: address.to_owned() });
        }
        source = inner.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether this end counts as asked for, half a second behind this signal.
    fn asked(signal: i32, code: i64) -> bool {
        let told = Told { signals: vec![(signal, Timestamp::from_millis(1_000))], died: None };
        told.asked_before(Timestamp::from_millis(1_500), 15, code)
    }

    #[test]
    fn a_signal_that_nobody_names_is_told_by_how_it_ended() {
        for (code, by_request) in
            [(0, true), (130, true), (143, true), (1, false), (137, false), (139, false)]
        {
            assert_eq!(asked(0, code), by_request, "code {code}");
            assert!(asked(15, code), "asked by name, code {code}");
            assert!(!asked(9, code), "killed by name, code {code}");
        }
    }
}
