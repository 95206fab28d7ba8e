//! Follows a run's log into a sink, and watches a service's folder for what changes.

use super::folder::{InstanceFile, runs};
use super::look::{away, find, lives, look};
use super::notify::{Changes, ended};
use super::reader::{Batch, Reader, Step};
use super::{LIMIT, blocking};
use crate::runtime::{FollowEnd, FramePosition, FrameSink, Hint, InstanceId, RuntimeError};
use rustix::fs::inotify::WatchFlags;
use std::path::Path;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

/// How often the watcher compares what is there with what it knew, should the kernel not have told.
const COMPARE: Duration = Duration::from_secs(5);

/// Reads the log of an instance until it ends. A log that was removed is one that has ended.
pub(super) async fn follow(
    dir: &Path,
    id: &InstanceId,
    from: FramePosition,
    sink: &mut dyn FrameSink,
    stop: CancellationToken,
) -> Result<FollowEnd, RuntimeError> {
    let (at, wanted) = (dir.to_owned(), id.clone());
    let Some((run, file)) = blocking(dir, LIMIT, move || find(&at, &wanted)).await? else {
        tracing::warn!(instance = %id.id, "the log of this instance is no longer kept");
        return Ok(FollowEnd::Complete);
    };
    let changes = Changes::new();
    changes.add(&run, WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO);
    let mut turn = Turn {
        file,
        reader: Reader::new(&run, from),
        batch: Batch::default(),
        step: Step::More,
        writers: Writers::Shim,
    };
    loop {
        if stop.is_cancelled() {
            return Ok(FollowEnd::Broken);
        }
        let place = run.clone();
        turn = blocking(dir, LIMIT, move || turn.take().map_err(|e| away(&place, &e))).await?;
        if !turn.batch.is_empty() {
            for (time_ns, stream, bytes) in turn.batch.frames() {
                sink.frame(time_ns, stream, bytes);
                // A record of line ends alone becomes some megabytes.
                tokio::select! {
                    () = sink.room() => {}
                    () = stop.cancelled() => return Ok(FollowEnd::Broken),
                }
            }
            sink.flush();
        }
        match (turn.step, turn.writers) {
            (Step::End, _) | (Step::Drained, Writers::Nobody) => return Ok(FollowEnd::Complete),
            (Step::More, _) => tokio::task::yield_now().await,
            (Step::Drained, Writers::Shim) => {
                tokio::select! {
                    _ = changes.wait() => {}
                    () = stop.cancelled() => {}
                }
            }
            // Nobody reads the pipes any more: there is nothing to come, but the instance has not ended.
            (Step::Drained, Writers::Main) => {
                tokio::select! {
                    () = ended(turn.file.main) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }
}

/// Who could still make the log longer, or the instance last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writers {
    Shim,
    Main,
    Nobody,
}

/// One reading, moved to a blocking thread and back.
struct Turn {
    file: InstanceFile,
    reader: Reader,
    batch: Batch,
    step: Step,
    writers: Writers,
}

impl Turn {
    fn take(mut self) -> std::io::Result<Self> {
        // Asked before reading: what was written before the shim's death is then read.
        if self.step != Step::More || self.writers != Writers::Shim {
            self.writers = if lives(&self.file, self.file.shim) {
                Writers::Shim
            } else if lives(&self.file, self.file.main) {
                Writers::Main
            } else {
                Writers::Nobody
            };
        }
        self.step = self.reader.read(&mut self.batch)?;
        Ok(self)
    }
}

/// What a watcher compares.
type Marks = Option<(u64, bool, bool, usize)>;

/// Sends a hint whenever an instance appears, ends, or leaves something behind.
pub(super) async fn watch(dir: &Path, begun: &Notify, hints: mpsc::Sender<Hint>, stop: CancellationToken) {
    let changes = Changes::new();
    let mut known: Option<Marks> = None;
    loop {
        changes.add(dir, WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE);
        let at = dir.to_owned();
        let newest =
            blocking(dir, LIMIT, move || runs(&at).map_err(|e| away(&at, &e))).await.unwrap_or_default();
        if let Some((_, run)) = newest.last() {
            // Small files arrive by renaming; the log does not.
            changes.add(run, WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF);
        }
        let at = dir.to_owned();
        let seen = blocking(dir, LIMIT, move || look(&at)).await.unwrap_or_default();
        let marks: Marks = seen.as_ref().map(|s| (s.number, s.runs(), s.shim_lives, s.members.len()));
        if known.as_ref() != Some(&marks) {
            // The first look counts, too: what happened before it was not seen. A full channel holds the same hint.
            let _ = hints.try_send(Hint::LookAgain);
            if let Some(s) = seen.as_ref().filter(|s| s.runs() && !s.shim_lives) {
                let pid = s.file.main.pid;
                tracing::warn!(pid, "the shim is gone: the service runs on, but nobody reads its output");
            }
            known = Some(marks);
        }
        let end = async {
            match seen.as_ref() {
                Some(s) if s.runs() => {
                    tokio::select! {
                        () = ended(s.file.main) => {}
                        () = ended(s.file.shim), if s.shim_lives => {}
                    }
                }
                Some(s) if s.shim_lives => ended(s.file.shim).await,
                _ => std::future::pending().await,
            }
        };
        let told = async { while !changes.wait().await {} };
        tokio::select! {
            () = told => {}
            () = begun.notified() => {}
            () = end => {}
            () = tokio::time::sleep(COMPARE) => {}
            () = stop.cancelled() => return,
            () = hints.closed() => return,
        }
    }
}
