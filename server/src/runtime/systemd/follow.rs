//! Following a unit's log until its start has ended and the journal is read to the end.

use super::journal::{Pass, PassEnd};
use super::watch::{Change, Changes};
use super::{FollowEnd, FramePosition, FrameSink, InstanceId, RuntimeError, SystemdRuntime};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The journal takes what is left in a dead process's pipes in its own time: it is read again after this long…
const SETTLE: Duration = Duration::from_millis(200);
/// …until so many readings in a row bring nothing new…
const QUIET: u32 = 2;
/// …or so many were made.
const READINGS: u32 = 20;
/// How often it is asked whether the start has ended while the bus cannot tell.
const ASK: Duration = Duration::from_secs(2);

impl SystemdRuntime {
    /// See [`super::Runtime::follow`].
    pub(super) async fn follow_now(
        &self,
        instance: &InstanceId,
        mut at: FramePosition,
        sink: &mut dyn FrameSink,
        stop: CancellationToken,
    ) -> Result<FollowEnd, RuntimeError> {
        // The id goes into an argument: what is no id is none of a start.
        if instance.id.len() != 32 || !instance.id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(FollowEnd::Complete);
        }
        if self.still_runs(instance).await.unwrap_or(true) {
            let until = async {
                tokio::select! {
                    () = self.ended(instance) => {}
                    () = stop.cancelled() => {}
                }
            };
            let end = self.journal.read(&instance.id, &mut at, Pass::Follow, sink, until).await?;
            if stop.is_cancelled() || end == PassEnd::Read {
                return Ok(FollowEnd::Broken);
            }
        }
        let mut quiet = 0;
        for _ in 0..READINGS {
            let behind = at;
            let end = self.journal.read(&instance.id, &mut at, Pass::Once, sink, stop.cancelled()).await?;
            if end == PassEnd::Told {
                return Ok(FollowEnd::Broken);
            }
            quiet = if at == behind { quiet + 1 } else { 0 };
            if quiet >= QUIET {
                break;
            }
            tokio::time::sleep(SETTLE).await;
        }
        Ok(FollowEnd::Complete)
    }

    /// Ready when this start no longer runs. A bus that is away says nothing of the unit: the log goes on.
    async fn ended(&self, instance: &InstanceId) {
        loop {
            if let Ok(mut changes) = Changes::open(&self.bus, &self.unit).await {
                loop {
                    // Not beside the stream but between two changes: few come, and their queue is long.
                    if self.still_runs(instance).await.is_ok_and(|runs| !runs) {
                        return;
                    }
                    if matches!(changes.next().await, Some(Change::Gone) | None) {
                        break;
                    }
                }
            }
            tokio::time::sleep(ASK).await;
        }
    }
}
