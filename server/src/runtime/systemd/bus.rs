//! The connection to one message bus, shared by all units: calls with time limits, reconnects with back-off.
//!
//! In: an address, and calls to systemd's manager there. Out: answers, or why not: [`Failed`]. Only this room and `watch`
//! know zbus.

use crate::runtime::{DENIED, RuntimeError};
use app::model::{FailureKind, UnreachableReason};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use zbus::zvariant::{DynamicType, OwnedValue, Type};

/// The manager's name on the bus.
pub(super) const SYSTEMD: &str = "org.freedesktop.systemd1";
/// Its object.
pub(super) const MANAGER: &str = "/org/freedesktop/systemd1";
/// Its methods: `org.freedesktop.systemd1(5)`.
pub(super) const MANAGER_INTERFACE: &str = "org.freedesktop.systemd1.Manager";
/// Those of a unit.
pub(super) const UNIT_INTERFACE: &str = "org.freedesktop.systemd1.Unit";
/// Those of a service.
pub(super) const SERVICE_INTERFACE: &str = "org.freedesktop.systemd1.Service";
const PROPERTIES_INTERFACE: &str = "org.freedesktop.DBus.Properties";

/// For connecting and for every call: systemd queues jobs and answers at once.
const LIMIT: Duration = Duration::from_secs(10);
/// Reading all unit files again takes its time on a slow disk.
const RELOAD_LIMIT: Duration = Duration::from_secs(60);
/// After a failed attempt nobody tries again for this long, at first and at most.
const WAIT: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

/// Which bus.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Address {
    System,
    User,
    Path(String),
}

/// Whose units these are: it decides where their log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The machine's.
    System,
    /// One user's.
    User,
}

/// One bus. Cheap to clone; clones share the connection, which is made when it is first needed.
#[derive(Clone)]
pub struct Bus {
    shared: Arc<Shared>,
}

struct Shared {
    address: Address,
    slot: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    connection: Option<zbus::Connection>,
    failed: Option<(Instant, UnreachableReason)>,
    wait: Duration,
}

/// Why an address was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a bus: allowed are system, user and unix:path=/PATH")]
pub struct BusError(pub String);

/// Why a call was not answered as hoped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// systemd answered with an error.
    Error {
        /// Its name, such as `org.freedesktop.systemd1.NoSuchUnit`.
        name: String,
        /// systemd's words.
        message: String,
    },
    /// The bus or systemd cannot be asked.
    Away(UnreachableReason),
}

impl Failed {
    /// As the error of an action.
    pub(super) fn into_error(self, action: &str) -> RuntimeError {
        match self {
            Self::Away(reason) => RuntimeError::Away(reason),
            Self::Error { name, message } => {
                let message: String = message.chars().take(1000).collect();
                let detail = if is_denied(&name) {
                    format!("{DENIED}this user may not do that, and no polkit rule allows it ({message})")
                } else {
                    message
                };
                refused(action, detail)
            }
        }
    }
}

/// systemd will not do it.
pub(super) fn refused(action: &str, detail: String) -> RuntimeError {
    RuntimeError::Refused(FailureKind::Refused { action: action.to_owned(), detail })
}

/// polkit or the bus's own policy said no.
fn is_denied(name: &str) -> bool {
    matches!(
        name,
        "org.freedesktop.DBus.Error.AccessDenied"
            | "org.freedesktop.DBus.Error.AuthFailed"
            | "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
    )
}

/// Nobody is behind the manager's name, or it went away before it answered.
fn is_away(name: &str) -> bool {
    matches!(
        name,
        "org.freedesktop.DBus.Error.ServiceUnknown"
            | "org.freedesktop.DBus.Error.NameHasNoOwner"
            | "org.freedesktop.DBus.Error.NoReply"
            | "org.freedesktop.DBus.Error.Disconnected"
            | "org.freedesktop.DBus.Error.NoServer"
    ) || name.starts_with("org.freedesktop.DBus.Error.Spawn.")
}

impl Bus {
    /// Reads `system`, `user` (the session bus of whoever runs the dashboard) or `unix:path=/PATH`.
    ///
    /// # Errors
    /// [`BusError`] names the text and what is allowed.
    pub fn parse(text: &str) -> Result<Self, BusError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
        let address = match text {
            "system" => Address::System,
            "user" => Address::User,
            other => match other.strip_prefix("unix:path=") {
                // What the bus's address syntax gives a meaning to (`,`, `;`, `%`) stays out.
                Some(path) if path.starts_with('/') && path.len() <= 107 && path.chars().all(plain) => {
                    Address::Path(path.to_owned())
                }
                _ => return Err(BusError(other.chars().take(120).collect())),
            },
        };
        Ok(Self { shared: Arc::new(Shared { address, slot: Mutex::default() }) })
    }

    /// Whose units are managed over it.
    pub fn scope(&self) -> Scope {
        if self.shared.address == Address::User { Scope::User } else { Scope::System }
    }

    /// The connection, made anew when there is none. After a failed attempt the same reason is given for a short while.
    pub(super) async fn connection(&self) -> Result<zbus::Connection, UnreachableReason> {
        let address = || self.to_string();
        let Ok(mut slot) = tokio::time::timeout(LIMIT, self.shared.slot.lock()).await else {
            return Err(UnreachableReason::Timeout { address: address(), seconds: LIMIT.as_secs() });
        };
        if let Some(connection) = &slot.connection {
            if !connection.is_closed() {
                return Ok(connection.clone());
            }
            slot.connection = None;
        }
        if let Some((at, reason)) = &slot.failed
            && at.elapsed() < slot.wait
        {
            return Err(reason.clone());
        }
        let made = match self.builder() {
            Ok(builder) => tokio::time::timeout(LIMIT, builder.build()).await,
            Err(error) => Ok(Err(error)),
        };
        let reason = match made {
            Ok(Ok(connection)) => {
                *slot = Slot { connection: Some(connection.clone()), ..Slot::default() };
                return Ok(connection);
            }
            Ok(Err(error)) => away_reason(&error, address()),
            Err(_) => UnreachableReason::Timeout { address: address(), seconds: LIMIT.as_secs() },
        };
        slot.wait = (slot.wait * 2).clamp(WAIT.0, WAIT.1);
        slot.failed = Some((Instant::now(), reason.clone()));
        Err(reason)
    }

    /// Why the connection that just ended did.
    pub(super) async fn why_away(&self) -> UnreachableReason {
        let refused = || UnreachableReason::Refused { address: self.to_string() };
        self.connection().await.err().unwrap_or_else(refused)
    }

    fn builder(&self) -> zbus::Result<zbus::connection::Builder<'static>> {
        match &self.shared.address {
            Address::System => zbus::connection::Builder::system(),
            Address::User => zbus::connection::Builder::session(),
            Address::Path(path) => zbus::connection::Builder::address(format!("unix:path={path}").as_str()),
        }
    }

    /// Calls a method of systemd and reads its answer.
    pub(super) async fn call<B, R>(
        &self,
        path: &str,
        interface: &str,
        method: &str,
        body: &B,
    ) -> Result<R, Failed>
    where
        B: serde_body::Body,
        R: serde_body::Answer,
    {
        self.call_within(LIMIT, path, interface, method, body).await
    }

    async fn call_within<B, R>(
        &self,
        limit: Duration,
        path: &str,
        interface: &str,
        method: &str,
        body: &B,
    ) -> Result<R, Failed>
    where
        B: serde_body::Body,
        R: serde_body::Answer,
    {
        let connection = self.connection().await.map_err(Failed::Away)?;
        let asked = connection.call_method(Some(SYSTEMD), path, Some(interface), method, body);
        match tokio::time::timeout(limit, asked).await {
            Ok(Ok(answer)) => answer.body().deserialize().map_err(|error| {
                let detail = format!("{method}: {error}").chars().take(300).collect();
                Failed::Away(UnreachableReason::Garbage { detail })
            }),
            Ok(Err(error)) => Err(self.failed(&error)),
            Err(_) => Err(Failed::Away(UnreachableReason::Timeout {
                address: self.to_string(),
                seconds: limit.as_secs(),
            })),
        }
    }

    /// Calls a method of the manager.
    pub(super) async fn manager<B, R>(&self, method: &str, body: &B) -> Result<R, Failed>
    where
        B: serde_body::Body,
        R: serde_body::Answer,
    {
        self.call(MANAGER, MANAGER_INTERFACE, method, body).await
    }

    /// Has the manager read all unit files again; it answers when it has.
    pub(super) async fn reload(&self) -> Result<(), Failed> {
        self.call_within(RELOAD_LIMIT, MANAGER, MANAGER_INTERFACE, "Reload", &()).await
    }

    /// All properties of one interface of an object.
    pub(super) async fn properties(
        &self,
        path: &str,
        interface: &str,
    ) -> Result<std::collections::HashMap<String, OwnedValue>, Failed> {
        self.call(path, PROPERTIES_INTERFACE, "GetAll", &interface).await
    }

    fn failed(&self, error: &zbus::Error) -> Failed {
        match error {
            zbus::Error::MethodError(name, message, _) => {
                if is_away(name.as_str()) {
                    return Failed::Away(UnreachableReason::Refused { address: self.to_string() });
                }
                Failed::Error {
                    name: name.to_string(),
                    message: message.clone().unwrap_or_else(|| name.to_string()),
                }
            }
            other => Failed::Away(away_reason(other, self.to_string())),
        }
    }
}

/// What a call may carry and bring.
pub(super) mod serde_body {
    use super::{DynamicType, Type};

    /// Arguments of a method.
    pub trait Body: serde::Serialize + DynamicType + Sync {}
    impl<T: serde::Serialize + DynamicType + Sync> Body for T {}

    /// What it answers.
    pub trait Answer: for<'d> serde::Deserialize<'d> + Type {}
    impl<T: for<'d> serde::Deserialize<'d> + Type> Answer for T {}
}

fn away_reason(error: &zbus::Error, address: String) -> UnreachableReason {
    let io = match error {
        zbus::Error::InputOutput(io) | zbus::Error::Connection(io, _) => Some(io.kind()),
        _ => None,
    };
    match io {
        Some(std::io::ErrorKind::NotFound) => UnreachableReason::NoSocket { address },
        Some(std::io::ErrorKind::PermissionDenied) => UnreachableReason::Denied { address },
        Some(_) => UnreachableReason::Refused { address },
        None => UnreachableReason::Garbage { detail: error.to_string().chars().take(300).collect() },
    }
}

impl fmt::Display for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shared.address {
            Address::System => f.write_str("system bus"),
            Address::User => f.write_str("user bus"),
            Address::Path(path) => write!(f, "unix:path={path}"),
        }
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bus({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_kinds_of_bus_are_known_and_nothing_else() {
        assert_eq!(Bus::parse("system").map(|b| b.scope()), Ok(Scope::System));
        assert_eq!(Bus::parse("user").map(|b| b.scope()), Ok(Scope::User));
        assert_eq!(Bus::parse("unix:path=/run/x").map(|b| b.to_string()), Ok("unix:path=/run/x".into()));
        for text in [
            "",
            "unix:path=",
            "unix:path=x",
            "unix:path=/a;tcp:host=b",
            "unixexec:path=/bin/sh",
            "tcp:host=a",
        ] {
            assert_eq!(Bus::parse(text).err(), Some(BusError(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn polkits_refusal_is_said_plainly() {
        let failed = Failed::Error {
            name: "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired".into(),
            message: "Interactive authentication required.".into(),
        };
        let RuntimeError::Refused(FailureKind::Refused { action, detail }) = failed.into_error("start")
        else {
            panic!("not refused");
        };
        assert_eq!(action, "start");
        assert!(detail.starts_with("access denied: ") && detail.contains("polkit"), "{detail}");
    }

    #[tokio::test]
    async fn a_bus_that_is_not_there_is_named_and_not_tried_again_at_once() {
        let bus = Bus::parse("unix:path=/nonexistent/bus").unwrap();
        let reason = bus.connection().await.unwrap_err();
        assert_eq!(reason, UnreachableReason::NoSocket { address: "unix:path=/nonexistent/bus".into() });
        let begun = Instant::now();
        for _ in 0..1000 {
            assert_eq!(bus.connection().await.unwrap_err(), reason);
        }
        assert!(begun.elapsed() < WAIT.0);
    }
}
