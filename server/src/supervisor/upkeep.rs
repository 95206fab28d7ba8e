//! Looks after the store: tells what keeps it from being written, and tries again until it can be.

use super::world::World;
use crate::store::{Store, StoreTrouble};
use app::model::{LogTrouble, LogTroubleKind, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is tried to write what could not be written.
const AGAIN: Duration = Duration::from_secs(2);
/// How often it is looked whether the file is still the one that was opened.
const LOOK: Duration = Duration::from_secs(10);

/// Looks after the store until `stop` is cancelled.
pub async fn look_after(store: Arc<Store>, world: Arc<World>, stop: CancellationToken) {
    let mut trouble = store.trouble();
    let mut since: Option<(StoreTrouble, Timestamp)> = None;
    loop {
        let now = *trouble.borrow_and_update();
        since = now.map(|now| since.filter(|(known, _)| *known == now).unwrap_or((now, Timestamp::now())));
        world.put_trouble(true, since.map(|(now, since)| told(now, since, &store)));
        let pause = if now.is_some() { AGAIN } else { LOOK };
        tokio::select! {
            changed = trouble.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause) => {
                let store = store.clone();
                // A disk that hangs holds one thread, and this task: it is not asked twice.
                let tried = tokio::task::spawn_blocking(move || match now {
                    Some(_) => drop(store.can_write()),
                    None => store.look_at_file(),
                });
                tokio::select! {
                    _ = tried => {}
                    () = stop.cancelled() => return,
                }
            }
            () = stop.cancelled() => return,
        }
    }
}

fn told(trouble: StoreTrouble, since: Timestamp, store: &Store) -> LogTrouble {
    let kind = match trouble {
        StoreTrouble::Locked => LogTroubleKind::Locked,
        StoreTrouble::Full => LogTroubleKind::Full,
        StoreTrouble::ReadOnly => LogTroubleKind::ReadOnly,
        StoreTrouble::Corrupt => LogTroubleKind::Damaged,
        StoreTrouble::Gone => LogTroubleKind::Gone,
        StoreTrouble::Failed => LogTroubleKind::Failed,
    };
    LogTrouble {
        kind,
        since,
        error: trouble.what().to_owned(),
        folder: store.path().display().to_string(),
        free: None,
        store: true,
    }
}
