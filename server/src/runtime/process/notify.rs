//! Told by the kernel: a folder changed (inotify), a process ended (pidfd).

use super::group::Identity;
use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::path::Path;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

/// How often a look is due all the same where the kernel cannot tell (no inotify instance left, a network file system).
const FALLBACK: Duration = Duration::from_secs(1);
/// How often it is due where the kernel tells.
const SLOW: Duration = Duration::from_secs(10);

/// Waits for changes in folders.
#[derive(Debug)]
pub(super) struct Changes {
    fd: Option<AsyncFd<OwnedFd>>,
}

impl Changes {
    /// Begins with no folder. Without inotify it is a slow timer.
    pub fn new() -> Self {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(std::io::Error::from);
        match fd.and_then(registered) {
            Ok(fd) => Self { fd: Some(fd) },
            Err(error) => {
                tracing::warn!(%error, "no inotify: changes are looked for once a second");
                Self { fd: None }
            }
        }
    }

    /// Watches a folder, too; a folder that is not there is not watched. Watching twice is watching once.
    pub fn add(&self, dir: &Path, what: WatchFlags) -> bool {
        self.fd.as_ref().is_some_and(|fd| inotify::add_watch(fd.get_ref(), dir, what).is_ok())
    }

    /// Until something may have changed; `false` when that is only the timer's word. Loses nothing when cancelled: an event
    /// not taken is still there.
    pub async fn wait(&self) -> bool {
        let Some(fd) = &self.fd else {
            tokio::time::sleep(FALLBACK).await;
            return false;
        };
        match timeout(FALLBACK, fd.readable()).await {
            Ok(Ok(mut ready)) => {
                let mut buffer = [0; 4096];
                while rustix::io::read(fd.get_ref(), &mut buffer).is_ok_and(|n| n > 0) {}
                ready.clear_ready();
                true
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "inotify");
                tokio::time::sleep(FALLBACK).await;
                false
            }
            Err(_) => false,
        }
    }
}

/// Until this very process has ended.
pub(super) async fn ended(who: Identity) {
    while who.lives() {
        match who.open().and_then(|fd| fd.map(registered).transpose()) {
            Ok(Some(fd)) => {
                // It becomes readable when the process ends; a zombie has ended.
                if timeout(SLOW, fd.readable()).await.is_ok() && who.lives() {
                    tokio::time::sleep(FALLBACK).await;
                }
            }
            Ok(None) => return,
            Err(_) => tokio::time::sleep(FALLBACK).await,
        }
    }
}

/// An `OwnedFd` stays open and the same for as long as it is owned, which is all that tokio asks for.
#[expect(
    deprecated,
    reason = "the new constructor is unsafe to call; what it asks for holds for every OwnedFd"
)]
fn registered(fd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd)
}
