//! The images that services name: the owner of all pulls, and of what the engine and the registries say.
//!
//! In: references, wishes to pull, cancel, check, remove; the engine's events. Out: the [`Image`] objects of the world, and the
//! list of all images of the engine. One pull at a time for each image, however many ask; a pull belongs to the dashboard
//! (the engine ends what nobody waits for), so that one that was cut off is said to be so by the next.

use super::world::World;
use crate::runtime::docker::Engine;
use crate::runtime::docker::images::{self, Reference, Stored};
use crate::store::Store;
use app::model::{Image, LocalImage, Newer, Pull, PullFailure, PullState, Timestamp};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Pulls at once, of different images.
const PULLS: usize = 4;
/// A registry is asked for newer images so often while somebody looks.
const CHECK_EVERY_MS: u64 = 12 * 3600 * 1000;
/// How long somebody must have looked before registries are asked.
const CHECK_AFTER: Duration = Duration::from_secs(60);
/// A burst of events is answered once.
const SETTLE: Duration = Duration::from_millis(150);

/// Why a wish was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// Too many pulls at once.
    #[error("{PULLS} pulls are under way; wait until one of them has ended")]
    Busy,
    /// Something needs the image.
    #[error("it is in use by {0}")]
    InUse(String),
    /// There is no such image.
    #[error("there is no such image")]
    Unknown,
    /// The engine or the registry refused.
    #[error("{0:?}")]
    Failed(PullFailure),
}

/// Everything about images.
pub struct Images {
    engine: Arc<Engine>,
    store: Arc<Store>,
    world: Arc<World>,
    stop: CancellationToken,
    state: Mutex<State>,
    /// Counts what was read of the engine's images.
    revision: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// References that services name.
    named: Vec<String>,
    stored: Arc<Vec<Stored>>,
    pulls: HashMap<String, CancellationToken>,
    folder: Option<PathBuf>,
}

impl Images {
    /// Images of this engine. [`Images::run`] keeps them true.
    pub fn new(
        engine: Arc<Engine>,
        store: Arc<Store>,
        world: Arc<World>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let (state, revision) = (Mutex::default(), watch::Sender::new(0));
        Arc::new(Self { engine, store, world, stop, state, revision })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All images of the engine, as they were last read.
    pub fn stored(&self) -> Arc<Vec<Stored>> {
        self.state().stored.clone()
    }

    /// Waits until the engine's images were read once, for so long at most.
    pub async fn first_read(&self, limit: Duration) {
        let mut revision = self.revision.subscribe();
        // At the limit the page shows none, and is told when there are some.
        let _ = tokio::time::timeout(limit, revision.wait_for(|n| *n > 0)).await;
    }

    /// References that services name.
    pub fn named(&self) -> Vec<String> {
        self.state().named.clone()
    }

    /// Where the engine keeps images, where that is a folder of this machine.
    pub fn folder(&self) -> Option<PathBuf> {
        self.state().folder.clone()
    }

    /// Says which images services name now.
    pub fn name(&self, references: &[String]) {
        let mut state = self.state();
        if *state.named == *references {
            return;
        }
        let new: Vec<String> = references.iter().filter(|r| !state.named.contains(r)).cloned().collect();
        references.clone_into(&mut state.named);
        let stored = state.stored.clone();
        let pulling: Vec<String> = state.pulls.keys().cloned().collect();
        drop(state);
        self.world.keep_images(|i| references.contains(&i.reference) || pulling.contains(&i.reference));
        for reference in new {
            let interrupted = self.interrupted(&reference);
            self.world.change_image(&reference, |image| {
                image.local = local(&stored, &image.reference);
                image.pull = image.pull.take().or(interrupted);
            });
        }
    }

    fn pulling_key(reference: &str) -> String {
        format!("pulling/{reference}")
    }

    /// The pull that an earlier dashboard did not live to end.
    fn interrupted(&self, reference: &str) -> Option<Pull> {
        let since = self.store.fact(&Self::pulling_key(reference)).filter(|t| !t.is_empty())?;
        let started = Timestamp::parse_nanos(&since).map_or_else(Timestamp::now, Timestamp::from_nanos);
        Some(Pull {
            started,
            state: PullState::Interrupted,
            layers: Vec::new(),
            done_bytes: 0,
            total_bytes: 0,
            unknown_layers: 0,
            bytes_per_s: None,
            left_s: None,
        })
    }

    /// Keeps the list of images true until the dashboard stops.
    pub async fn run(self: Arc<Self>) {
        let mut events = self.engine.subscribe();
        let mut world = self.world.subscribe();
        let mut was_away = true;
        loop {
            let away = self.engine.away().is_some();
            if !away {
                self.refresh().await;
            }
            // Events may be lost while a burst settles: what the engine is now is what is told.
            if std::mem::replace(&mut was_away, away) != away {
                self.world.images_changed();
            }
            loop {
                let mut references: Vec<String> =
                    self.world.services().iter().filter_map(|s| s.pulls.clone()).collect();
                references.sort();
                references.dedup();
                self.name(&references);
                tokio::select! {
                    _ = world.changed() => {}
                    event = events.recv() => match event {
                        // Containers make images used and unused.
                        Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => break,
                        Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
                    },
                    () = self.stop.cancelled() => return,
                }
            }
            tokio::time::sleep(SETTLE).await;
            events = events.resubscribe();
        }
    }

    /// Asks registries for newer images now and then, while somebody looks.
    pub async fn check_now_and_then(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.world.wait_for_viewers() => {}
                () = self.stop.cancelled() => return,
            }
            tokio::select! {
                () = tokio::time::sleep(CHECK_AFTER) => {}
                () = self.stop.cancelled() => return,
            }
            if self.world.viewers() == 0 || self.engine.away().is_some() {
                continue;
            }
            for reference in self.named() {
                let key = format!("checked/{reference}");
                let last = self.store.fact(&key).and_then(|at| Timestamp::parse_nanos(&at));
                let due =
                    last.is_none_or(|at| Timestamp::now().apart(Timestamp::from_nanos(at)) >= CHECK_EVERY_MS);
                if due && self.known(&reference).is_some_and(|i| i.local.is_some()) {
                    self.store.set_fact(&key, &Timestamp::now().to_string());
                    self.ask_registry(reference).await;
                }
            }
        }
    }

    /// Reads what the engine has.
    pub async fn refresh(&self) {
        let Ok(stored) = images::list(&self.engine).await else { return };
        let news = *self.stored() != stored;
        if self.state().folder.is_none() {
            let folder = images::folder(&self.engine).await;
            self.state().folder = folder;
        }
        let stored = Arc::new(stored);
        let named = {
            let mut state = self.state();
            state.stored = stored.clone();
            state.named.clone()
        };
        for reference in named {
            self.world.change_image(&reference, |image| {
                let new = local(&stored, &image.reference);
                if new.as_ref().map(|n| &n.id) != image.local.as_ref().map(|l| &l.id) {
                    // What the registry said was said of another one.
                    image.newer = None;
                }
                image.local = new;
            });
        }
        self.revision.send_modify(|n| *n += 1);
        if news {
            self.world.images_changed();
        }
    }

    fn known(&self, reference: &str) -> Option<Arc<Image>> {
        self.world.images().into_iter().find(|i| i.reference == reference)
    }

    /// Begins a pull. One that runs already goes on.
    ///
    /// # Errors
    /// [`ImageError::Busy`].
    pub fn pull(self: &Arc<Self>, reference: &str) -> Result<(), ImageError> {
        let cancel = self.stop.child_token();
        {
            let mut state = self.state();
            if state.pulls.contains_key(reference) {
                return Ok(());
            }
            if state.pulls.len() >= PULLS {
                return Err(ImageError::Busy);
            }
            state.pulls.insert(reference.to_owned(), cancel.clone());
        }
        let started = Timestamp::now();
        self.store.set_fact(&Self::pulling_key(reference), &started.to_string());
        let (this, reference) = (self.clone(), reference.to_owned());
        // Shown before the engine has said a word.
        this.world.change_image(&reference, |image| {
            image.pull = Some(Pull {
                started,
                state: PullState::Running,
                layers: Vec::new(),
                done_bytes: 0,
                total_bytes: 0,
                unknown_layers: 0,
                bytes_per_s: None,
                left_s: None,
            });
        });
        tokio::spawn(async move { this.carry_out(reference, started, cancel).await });
        Ok(())
    }

    async fn carry_out(self: Arc<Self>, reference: String, started: Timestamp, cancel: CancellationToken) {
        let world = self.world.clone();
        let show = |pull: Pull| world.change_image(&reference, |image| image.pull = Some(pull));
        let pulled = tokio::select! {
            pulled = images::pull(&self.engine, &reference, started, show) => Some(pulled),
            () = cancel.cancelled() => None,
        };
        let at = Timestamp::now();
        let whole_end = self.stop.is_cancelled();
        let state = match pulled {
            Some(Ok(changed)) => PullState::Done { at, changed },
            Some(Err((why, progress))) => {
                PullState::Failed { at, why: self.with_space(why, progress.missing_bytes()) }
            }
            // The dashboard ends: the next one says what became of it.
            None if whole_end => return,
            None => PullState::Cancelled { at },
        };
        tracing::info!(image = reference, outcome = ?state, "a pull ended");
        self.store.set_fact(&Self::pulling_key(&reference), "");
        self.refresh().await;
        self.state().pulls.remove(&reference);
        self.world.change_image(&reference, |image| {
            if let Some(pull) = &mut image.pull {
                (pull.state, pull.bytes_per_s, pull.left_s) = (state, None, None);
            }
        });
        let named = self.named();
        self.world.keep_images(|i| i.reference != reference || named.contains(&i.reference));
    }

    fn with_space(&self, why: PullFailure, missing: u64) -> PullFailure {
        match why {
            PullFailure::NoSpace { .. } => {
                let free = self.folder().and_then(|f| rustix::fs::statvfs(&f).ok());
                PullFailure::NoSpace {
                    needed_bytes: Some(missing).filter(|m| *m > 0),
                    free_bytes: free.map(|f| f.f_bavail.saturating_mul(f.f_frsize)),
                }
            }
            other => other,
        }
    }

    /// Cancels a pull; nothing happens where none runs.
    pub fn cancel(&self, reference: &str) {
        if let Some(cancel) = self.state().pulls.get(reference) {
            cancel.cancel();
        }
    }

    /// Asks the registry whether it has another image; the answer comes over the stream.
    pub fn check(self: &Arc<Self>, reference: &str) {
        let (this, reference) = (self.clone(), reference.to_owned());
        if self.known(&reference).is_some_and(|i| i.newer == Some(Newer::Checking)) {
            return;
        }
        self.world.change_image(&reference, |image| image.newer = Some(Newer::Checking));
        tokio::spawn(async move { this.ask_registry(reference).await });
    }

    async fn ask_registry(&self, reference: String) {
        let asked = images::registry_digest(&self.engine, &reference).await;
        let at = Timestamp::now();
        let stored = self.stored();
        let name = Reference::of(&reference).name;
        let here = |digest: &str| {
            // An image that was built here has no digest of a registry, but its id.
            let this = stored.iter().filter(|s| s.is(&reference));
            this.into_iter().any(|s| s.id == digest || s.has_digest(name, digest))
        };
        let newer = match asked {
            Ok(digest) if here(&digest) => Newer::Current { at },
            Ok(digest) => Newer::Available { at, digest },
            Err(why) => Newer::Unknown { at, why },
        };
        self.world.change_image(&reference, |image| image.newer = Some(newer));
    }

    /// Keeps an image under a name of ours, so that nothing takes it for unused.
    ///
    /// # Errors
    /// [`ImageError::Failed`].
    pub async fn tag(&self, image: &str, reference: &str) -> Result<(), ImageError> {
        images::tag(&self.engine, image, reference).await.map_err(ImageError::Failed)
    }

    /// Removes a name, and the image with it where it was its last one.
    ///
    /// # Errors
    /// [`ImageError::Failed`].
    pub async fn untag(&self, reference: &str, id: &str) -> Result<(), ImageError> {
        images::remove(&self.engine, reference, false).await.map_err(ImageError::Failed)?;
        self.refresh().await;
        // The engine keeps an image for the digest that it was pulled by, also when nothing names it any more.
        let left = self.stored().iter().any(|s| s.id == id && s.tags.is_empty() && s.used_by.is_empty());
        if left { self.remove(id).await } else { Ok(()) }
    }

    /// Removes an image with all of its names, unless a container or a service uses it.
    ///
    /// # Errors
    /// [`ImageError`].
    pub async fn remove(&self, id: &str) -> Result<(), ImageError> {
        // As it is now: a container may have been made since.
        self.refresh().await;
        let stored = self.stored();
        let found = stored.iter().find(|s| s.id == id).ok_or(ImageError::Unknown)?;
        if let Some(user) = self.user(found) {
            return Err(ImageError::InUse(user));
        }
        // Never by force: the engine itself refuses what a container was made from meanwhile.
        let mut removed = Ok(());
        for tag in &found.tags {
            removed = removed.and(images::remove(&self.engine, tag, false).await);
        }
        if removed.is_ok() {
            removed = images::remove(&self.engine, id, false).await;
        }
        self.refresh().await;
        removed.map_err(ImageError::Failed)
    }

    /// Who uses an image: containers first, then services that name it.
    pub fn user(&self, stored: &Stored) -> Option<String> {
        let container = stored.used_by.first().cloned();
        container.or_else(|| self.named().into_iter().find(|reference| stored.is(reference)))
    }

    /// Images that nothing uses and nobody would miss: without a name, or of a repository that services name and under
    /// another tag.
    pub fn unused(&self) -> Vec<Stored> {
        let named = self.named();
        let names: Vec<&str> = named.iter().map(|n| Reference::of(n).name).chain(["services-kept"]).collect();
        let stored = self.stored();
        let unused = stored.iter().filter(|s| self.user(s).is_none() && s.is_of(&names));
        unused.cloned().collect()
    }
}

fn local(stored: &[Stored], reference: &str) -> Option<LocalImage> {
    let found = stored.iter().find(|s| s.is(reference))?;
    Some(LocalImage { id: found.id.clone(), bytes: found.bytes, created: found.created })
}
