//! Told by the kernel: a folder changed (inotify), a process ended (pidfd).

use super::group::Identity;
use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::time::timeout;

/// How often a look is due all the same where the kernel cannot tell (no inotify instance left, a network file system).
const FALLBACK: Duration = Duration::from_secs(1);
/// How often it is due where the kernel tells.
const SLOW: Duration = Duration::from_secs(10);

/// Waits for changes in folders.
#[derive(Debug)]
pub(super) struct Changes {
    news: Arc<Notify>,
    hub: Option<&'static Hub>,
}

impl Changes {
    /// Begins with no folder. Without inotify it is a slow timer.
    pub fn new() -> Self {
        Self { news: Arc::default(), hub: Hub::get() }
    }

    /// Watches a folder, too; a folder that is not there is not watched. Watching twice is watching once.
    pub fn add(&self, dir: &Path, what: WatchFlags) -> bool {
        self.hub.is_some_and(|hub| hub.add(dir, what, &self.news))
    }

    /// Until something may have changed; `false` when that is only the timer's word. Loses nothing when cancelled: news that
    /// are not taken are still there.
    pub async fn wait(&self) -> bool {
        timeout(FALLBACK, self.news.notified()).await.is_ok()
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        if let Some(hub) = self.hub {
            hub.forget(&self.news);
        }
    }
}

/// Who waits for which changes of one folder.
type Waiting = Vec<(Arc<Notify>, WatchFlags)>;

/// The one inotify instance of the dashboard: a user has few of them, however many folders each can watch.
#[derive(Debug)]
struct Hub {
    fd: OwnedFd,
    folders: Mutex<HashMap<i32, Waiting>>,
}

impl Hub {
    fn get() -> Option<&'static Self> {
        static HUB: LazyLock<Option<Hub>> = LazyLock::new(|| match inotify::init(CreateFlags::CLOEXEC) {
            Ok(fd) => Some(Hub { fd, folders: Mutex::default() }),
            Err(error) => {
                tracing::warn!(%error, "no inotify: changes are looked for once a second");
                None
            }
        });
        static READER: Once = Once::new();
        let hub = HUB.as_ref()?;
        // A thread, not a task: it outlives any one runtime, and ends with the dashboard.
        READER.call_once(|| {
            let reader = std::thread::Builder::new().name("inotify".to_owned()).spawn(|| hub.read());
            if let Err(error) = reader {
                tracing::warn!(%error, "changes are looked for once a second");
            }
        });
        Some(hub)
    }

    fn folders(&self) -> MutexGuard<'_, HashMap<i32, Waiting>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, dir: &Path, what: WatchFlags, news: &Arc<Notify>) -> bool {
        // Held meanwhile: an event of a folder that is not in the table yet would be nobody's.
        let mut folders = self.folders();
        // Others may wait for other changes of the same folder.
        let Ok(watch) = inotify::add_watch(&self.fd, dir, what | WatchFlags::MASK_ADD) else { return false };
        let waiting = folders.entry(watch).or_default();
        match waiting.iter_mut().find(|(known, _)| Arc::ptr_eq(known, news)) {
            Some((_, flags)) => *flags |= what,
            None => waiting.push((news.clone(), what)),
        }
        true
    }

    fn forget(&self, news: &Arc<Notify>) {
        let mut folders = self.folders();
        folders.retain(|watch, waiting| {
            waiting.retain(|(known, _)| !Arc::ptr_eq(known, news));
            if waiting.is_empty() {
                // A folder that is gone is watched no more anyhow.
                let _ = inotify::remove_watch(&self.fd, *watch);
            }
            !waiting.is_empty()
        });
    }

    fn read(&self) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.fd, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => self.tell(event.wd(), event.events()),
                Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::warn!(%error, "inotify: changes are looked for once a second");
                    return;
                }
            }
        }
    }

    fn tell(&self, watch: i32, events: ReadFlags) {
        let mut folders = self.folders();
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            // Nobody knows whose events are gone.
            folders.values().flatten().for_each(|(news, _)| news.notify_one());
            return;
        }
        let changed = WatchFlags::from_bits_retain(events.bits());
        for (news, _) in
            folders.get(&watch).into_iter().flatten().filter(|(_, what)| what.intersects(changed))
        {
            news.notify_one();
        }
        if events.contains(ReadFlags::IGNORED) {
            folders.remove(&watch);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn instances() -> usize {
        let links = std::fs::read_dir("/proc/self/fd").expect("open files").flatten();
        links
            .filter(|link| std::fs::read_link(link.path()).is_ok_and(|to| to.ends_with("anon_inode:inotify")))
            .count()
    }

    #[tokio::test]
    async fn many_folders_are_watched_by_one_instance_and_each_hears_of_its_own() {
        let dir = tempfile::tempdir().expect("a folder");
        let before = instances();
        let all: Vec<(Changes, std::path::PathBuf)> = (0..300)
            .map(|n| {
                let folder = dir.path().join(n.to_string());
                std::fs::create_dir(&folder).expect("made");
                let changes = Changes::new();
                assert!(changes.add(&folder, WatchFlags::CREATE));
                (changes, folder)
            })
            .collect();
        assert!(instances() <= before.max(1), "no instance of their own");
        let (seventh, folder) = &all[7];
        let modified = Changes::new();
        assert!(modified.add(folder, WatchFlags::MODIFY));
        std::fs::write(folder.join("x"), "").expect("written");
        assert!(seventh.wait().await, "told");
        assert!(!all[8].0.wait().await, "another folder");
        assert!(!modified.wait().await, "another kind of change");
        std::fs::write(folder.join("x"), "more").expect("written");
        assert!(modified.wait().await, "told");
        let folder = folder.clone();
        drop(all);
        std::fs::write(folder.join("x"), "again").expect("written");
        assert!(modified.wait().await, "those that are gone take nobody along");
    }
}
