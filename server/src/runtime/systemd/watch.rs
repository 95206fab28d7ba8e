//! What the bus tells of one unit without being asked. In: a bus and a unit. Out: [`Change`]s, in order.
//!
//! A stream that is not read holds up everything else on its connection: who has one reads it and waits for nothing else
//! meanwhile.

use super::bus::{Bus, Failed, MANAGER, MANAGER_INTERFACE, SYSTEMD};
use super::name::UnitName;
use app::model::UnreachableReason;
use futures::StreamExt;
use futures::stream::SelectAll;
use std::time::Duration;
use zbus::message::Type;
use zbus::zvariant::OwnedObjectPath;
use zbus::{MatchRule, Message, MessageStream};

/// For each of the few calls that open the streams.
const LIMIT: Duration = Duration::from_secs(10);
/// Messages that may wait in one stream.
const QUEUE: usize = 256;

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The unit, or systemd's idea of it, changed.
    Unit,
    /// A job was queued for the unit.
    JobNew(String),
    /// A job of the unit ended with this word: `done`, `canceled`, `timeout`, `failed`, `dependency`, `skipped`…
    JobRemoved(String, String),
    /// systemd left the bus.
    Gone,
    /// systemd came to the bus.
    Came,
}

/// The streams of one unit, on one connection.
pub(super) struct Changes {
    streams: SelectAll<MessageStream>,
    connection: zbus::Connection,
}

impl Changes {
    /// Asks for all that concerns the unit. Nothing that happens after this has returned is missed.
    pub(super) async fn open(bus: &Bus, unit: &UnitName) -> Result<Self, Failed> {
        let connection = bus.connection().await.map_err(Failed::Away)?;
        let path: OwnedObjectPath = bus.manager("LoadUnit", &unit.as_str()).await?;
        let open = async {
            let manager = |member: &'static str| {
                MatchRule::builder()
                    .msg_type(Type::Signal)
                    .sender(SYSTEMD)?
                    .path(MANAGER)?
                    .interface(MANAGER_INTERFACE)?
                    .member(member)
            };
            let properties = MatchRule::builder()
                .msg_type(Type::Signal)
                .sender(SYSTEMD)?
                .path(path.as_str())?
                .interface("org.freedesktop.DBus.Properties")?
                .member("PropertiesChanged")?;
            let owner = MatchRule::builder()
                .msg_type(Type::Signal)
                .sender("org.freedesktop.DBus")?
                .interface("org.freedesktop.DBus")?
                .member("NameOwnerChanged")?
                .arg(0, SYSTEMD)?;
            let rules = [
                properties,
                owner,
                manager("JobNew")?.arg(2, unit.as_str())?,
                manager("JobRemoved")?.arg(2, unit.as_str())?,
                manager("UnitNew")?.arg(0, unit.as_str())?,
                manager("UnitRemoved")?.arg(0, unit.as_str())?,
                manager("Reloading")?,
                manager("UnitFilesChanged")?,
            ];
            let mut streams = SelectAll::new();
            for rule in rules {
                streams.push(MessageStream::for_match_rule(rule.build(), &connection, Some(QUEUE)).await?);
            }
            Ok::<_, zbus::Error>(streams)
        };
        let streams = match tokio::time::timeout(LIMIT, open).await {
            Ok(Ok(streams)) => streams,
            Ok(Err(error)) => {
                let detail = error.to_string().chars().take(300).collect();
                return Err(Failed::Away(UnreachableReason::Garbage { detail }));
            }
            Err(_) => {
                let (address, seconds) = (bus.to_string(), LIMIT.as_secs());
                return Err(Failed::Away(UnreachableReason::Timeout { address, seconds }));
            }
        };
        // Without it the manager keeps its signals to itself. Asked by each, since a new manager forgets; twice is one error.
        match bus.manager::<_, ()>("Subscribe", &()).await {
            Ok(()) => {}
            Err(Failed::Error { name, .. }) if name == "org.freedesktop.systemd1.AlreadySubscribed" => {}
            Err(failed) => return Err(failed),
        }
        Ok(Self { streams, connection })
    }

    /// The next change; `None` when the connection is gone.
    pub(super) async fn next(&mut self) -> Option<Change> {
        loop {
            let next = tokio::select! {
                biased;
                next = self.streams.next() => next,
                () = self.connection.closed() => return None,
            };
            match next {
                Some(Ok(message)) => {
                    if let Some(change) = read(&message) {
                        return Some(change);
                    }
                }
                Some(Err(_)) | None => return None,
            }
        }
    }
}

fn read(message: &Message) -> Option<Change> {
    let header = message.header();
    let body = message.body();
    match header.member()?.as_str() {
        "JobNew" => {
            let (_, job, _): (u32, OwnedObjectPath, String) = body.deserialize().ok()?;
            Some(Change::JobNew(job.as_str().to_owned()))
        }
        "JobRemoved" => {
            let (_, job, _, result): (u32, OwnedObjectPath, String, String) = body.deserialize().ok()?;
            Some(Change::JobRemoved(job.as_str().to_owned(), result))
        }
        "NameOwnerChanged" => {
            let (_, _, new): (String, String, String) = body.deserialize().ok()?;
            Some(if new.is_empty() { Change::Gone } else { Change::Came })
        }
        "Reloading" => {
            let begins: bool = body.deserialize().ok()?;
            (!begins).then_some(Change::Unit)
        }
        _ => Some(Change::Unit),
    }
}
