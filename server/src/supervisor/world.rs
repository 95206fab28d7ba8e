//! The picture of the world that viewers are shown: the latest object of everything, and who looks.
//!
//! In: what tasks and watchers put. Out: the same objects, shared, and a number that changes whenever one of them does.

use super::events::Events;
use crate::gpu::Owner;
use crate::store::Store;
use crate::vitals::Counter;
use app::model::{
    BootStatus, Candidate, ForeignProcess, Gpu, GpuStatus, Host, Image, LogTrouble, PullState, RuntimeKind,
    Service, ServiceMetrics, ServiceName,
};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// For so long after monitoring asked, the GPUs are read for the next time that it asks.
const MONITORED: Duration = Duration::from_secs(90);
/// What was read of the GPUs longer ago than this is not told to monitoring.
const FRESH: Duration = Duration::from_secs(15);

/// What is known of everything. Tasks write their part; viewers compare what they showed last with what is here now.
pub struct World {
    services: RwLock<Vec<Arc<Service>>>,
    /// The order of the page: that of the settings, whichever task speaks first.
    order: Mutex<HashMap<ServiceName, usize>>,
    gpus: watch::Sender<Arc<Vec<Gpu>>>,
    metrics: RwLock<Vec<Arc<ServiceMetrics>>>,
    images: RwLock<Vec<Arc<Image>>>,
    owners: Mutex<Vec<Owner>>,
    host: RwLock<Arc<Host>>,
    changed: watch::Sender<u64>,
    viewers: AtomicUsize,
    looked_at: tokio::sync::Notify,
    /// When monitoring asked last.
    monitored: Mutex<Option<Instant>>,
    /// When the GPUs were read last.
    gpus_read: Mutex<Option<Instant>>,
    pulls: Pulls,
    events: Events,
    /// What cannot be written: of the store, of logs.
    troubles: Mutex<[Option<LogTrouble>; 2]>,
}

/// Pulls that came to an end since the dashboard began.
#[derive(Debug, Default)]
pub struct Pulls {
    /// The image is here.
    pub done: Counter,
    /// They failed.
    pub failed: Counter,
    /// Somebody cancelled them.
    pub cancelled: Counter,
}

impl Pulls {
    /// Counts a pull that has ended with this change.
    fn changed(&self, old: Option<&Image>, new: &Image) {
        let running =
            old.and_then(|old| old.pull.as_ref()).is_some_and(|pull| pull.state == PullState::Running);
        match new.pull.as_ref().map(|pull| &pull.state) {
            Some(PullState::Done { .. }) if running => self.done.count(),
            Some(PullState::Failed { .. }) if running => self.failed.count(),
            Some(PullState::Cancelled { .. }) if running => self.cancelled.count(),
            _ => {}
        }
    }
}

impl World {
    pub(super) fn new(state_dir: String) -> Arc<Self> {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let host = Host {
            name,
            gpu: GpuStatus::NoDriver,
            candidates: Vec::new(),
            foreign: Vec::new(),
            state_dir,
            boot: BootStatus::Unknown,
            images_revision: 0,
            log_trouble: None,
        };
        Arc::new(Self {
            services: RwLock::default(),
            order: Mutex::default(),
            gpus: watch::Sender::default(),
            metrics: RwLock::default(),
            images: RwLock::default(),
            owners: Mutex::default(),
            host: RwLock::new(Arc::new(host)),
            changed: watch::Sender::new(0),
            viewers: AtomicUsize::new(0),
            looked_at: tokio::sync::Notify::new(),
            monitored: Mutex::default(),
            gpus_read: Mutex::default(),
            pulls: Pulls::default(),
            events: Events::default(),
            troubles: Mutex::default(),
        })
    }

    fn tell(&self) {
        self.changed.send_modify(|n| *n += 1);
    }

    /// Changes whenever something here does.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// All services, in the order of the page.
    pub fn services(&self) -> Vec<Arc<Service>> {
        self.services.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One service.
    pub fn service(&self, name: &ServiceName) -> Option<Arc<Service>> {
        self.services.read().unwrap_or_else(PoisonError::into_inner).iter().find(|s| s.name == *name).cloned()
    }

    /// All GPUs.
    pub fn gpus(&self) -> Arc<Vec<Gpu>> {
        self.gpus.borrow().clone()
    }

    /// Changes with every reading of the GPUs that differs from the one before.
    pub fn watch_gpus(&self) -> watch::Receiver<Arc<Vec<Gpu>>> {
        self.gpus.subscribe()
    }

    /// To whom processes belong.
    pub fn owners(&self) -> Vec<Owner> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says which processes, or which container's, belong to a service.
    pub fn put_owner(&self, owner: Owner) {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        match owners.iter_mut().find(|o| o.service == owner.service) {
            Some(old) => *old = owner,
            None => owners.push(owner),
        }
    }

    /// What services have counted.
    pub fn metrics(&self) -> Vec<Arc<ServiceMetrics>> {
        self.metrics.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts what a service has counted.
    pub fn put_metrics(&self, new: ServiceMetrics) {
        let mut metrics = self.metrics.write().unwrap_or_else(PoisonError::into_inner);
        match metrics.iter_mut().find(|m| m.service == new.service) {
            Some(old) if **old == new => return,
            Some(old) => *old = Arc::new(new),
            None => metrics.push(Arc::new(new)),
        }
        drop(metrics);
        self.tell();
    }

    /// Images that services name.
    pub fn images(&self) -> Vec<Arc<Image>> {
        self.images.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes an image's object, which is made where it is missing. Nothing is told when it stays the same.
    pub fn change_image(&self, reference: &str, change: impl FnOnce(&mut Image)) {
        let mut images = self.images.write().unwrap_or_else(PoisonError::into_inner);
        let old = images.iter().position(|i| i.reference == reference);
        let mut new = match old.and_then(|at| images.get(at)) {
            Some(old) => Image::clone(old),
            None => Image { reference: reference.to_owned(), local: None, pull: None, newer: None },
        };
        change(&mut new);
        self.pulls.changed(old.and_then(|at| images.get(at)).map(Arc::as_ref), &new);
        match old.and_then(|at| images.get_mut(at)) {
            Some(old) if **old == new => return,
            Some(old) => *old = Arc::new(new),
            None => images.push(Arc::new(new)),
        }
        drop(images);
        self.tell();
    }

    /// Forgets images that are not wanted any more.
    pub fn keep_images(&self, wanted: impl Fn(&Image) -> bool) {
        let mut images = self.images.write().unwrap_or_else(PoisonError::into_inner);
        let before = images.len();
        images.retain(|image| wanted(image));
        let news = images.len() != before;
        drop(images);
        if news {
            self.tell();
        }
    }

    /// Takes a service away.
    pub fn remove_service(&self, name: &ServiceName) {
        self.services.write().unwrap_or_else(PoisonError::into_inner).retain(|s| s.name != *name);
        self.owners.lock().unwrap_or_else(PoisonError::into_inner).retain(|o| o.service != *name);
        self.events.gone(name);
        self.tell();
    }

    /// The machine.
    pub fn host(&self) -> Arc<Host> {
        self.host.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps a service's place on the page, behind those that are there.
    pub(super) fn expect(&self, name: &ServiceName) {
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let next = order.len();
        order.entry(name.clone()).or_insert(next);
    }

    /// Puts a service's new object in its place. Nothing happens when it is the same.
    pub fn put_service(&self, service: Service) {
        let mut services = self.services.write().unwrap_or_else(PoisonError::into_inner);
        let service = Arc::new(service);
        let new = service.clone();
        let mut before = None;
        match services.iter_mut().find(|s| s.name == service.name) {
            Some(old) if **old == *service => return,
            Some(old) => before = Some(std::mem::replace(old, service)),
            None => {
                let order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
                let place = |name: &ServiceName| order.get(name).copied().unwrap_or(usize::MAX);
                let own = place(&service.name);
                let at = services.iter().position(|s| place(&s.name) > own).unwrap_or(services.len());
                services.insert(at, service);
            }
        }
        drop(services);
        self.events.changed(before.as_deref(), &new);
        self.tell();
    }

    /// Puts what the GPUs show.
    pub fn put_gpus(&self, gpus: Vec<Gpu>, status: GpuStatus) {
        *self.gpus_read.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        let mut news = self.gpus.send_if_modified(|old| {
            let differs = **old != gpus;
            if differs {
                *old = Arc::new(gpus);
            }
            differs
        });
        news |= self.change_host(|host| host.gpu = status);
        if news {
            self.tell();
        }
    }

    /// What the engine has is not what it was.
    pub(super) fn images_changed(&self) {
        if self.change_host(|host| host.images_revision = host.images_revision.wrapping_add(1)) {
            self.tell();
        }
    }

    /// Says what keeps logs from being written, or, of the store, what must be remembered. The store's comes first.
    pub(super) fn put_trouble(&self, store: bool, trouble: Option<LogTrouble>) {
        let shown = {
            let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
            let place = &mut troubles[usize::from(!store)];
            if let Some(trouble) = trouble.as_ref().filter(|_| place.is_none()) {
                self.events.logs_not_written(trouble);
            }
            *place = trouble;
            troubles.iter().flatten().next().cloned()
        };
        if self.change_host(|host| host.log_trouble = shown) {
            self.tell();
        }
    }

    /// What keeps logs from being written.
    pub fn log_trouble(&self) -> Option<LogTrouble> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)[1].clone()
    }

    /// Says whether the dashboard is started with the machine.
    pub(super) fn put_boot(&self, boot: BootStatus) {
        if self.change_host(|host| host.boot = boot) {
            self.tell();
        }
    }

    pub(super) fn put_found(&self, candidates: Option<Vec<Candidate>>, foreign: Option<Vec<ForeignProcess>>) {
        let news = self.change_host(|host| {
            if let Some(candidates) = candidates {
                host.candidates = candidates;
            }
            if let Some(foreign) = foreign {
                host.foreign = foreign;
            }
        });
        if news {
            self.tell();
        }
    }

    pub(super) fn change_host(&self, change: impl FnOnce(&mut Host)) -> bool {
        let mut host = self.host.write().unwrap_or_else(PoisonError::into_inner);
        let mut new = Host::clone(&host);
        change(&mut new);
        let news = new != **host;
        if news {
            *host = Arc::new(new);
        }
        news
    }

    /// Remembers that something real was managed here: never again a silent demo.
    pub fn managed(&self, store: &Store, kind: RuntimeKind) {
        let key = if kind == RuntimeKind::Docker { "used-docker" } else { "used-process" };
        if store.fact(key).is_none() {
            store.set_fact(key, "1");
        }
    }

    /// Somebody looks, until the seat is dropped.
    pub fn take_seat(self: &Arc<Self>) -> Seat {
        self.viewers.fetch_add(1, Ordering::Relaxed);
        self.looked_at.notify_waiters();
        Seat(self.clone())
    }

    /// How many look.
    pub fn viewers(&self) -> usize {
        self.viewers.load(Ordering::Relaxed)
    }

    /// What changes mean, and who is told.
    pub const fn events(&self) -> &Events {
        &self.events
    }

    /// Pulls that came to an end.
    pub const fn pulls(&self) -> &Pulls {
        &self.pulls
    }

    /// Monitoring asks: the GPUs as they were read a moment ago. Where nobody looks they are read from now on for a while,
    /// for the next time that it asks.
    pub fn monitored_gpus(&self) -> Option<Arc<Vec<Gpu>>> {
        *self.monitored.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.looked_at.notify_waiters();
        let read = *self.gpus_read.lock().unwrap_or_else(PoisonError::into_inner);
        read.filter(|read| read.elapsed() < FRESH).map(|_| self.gpus())
    }

    /// Somebody wants the GPUs read: a viewer, or monitoring.
    pub fn gpus_wanted(&self) -> bool {
        let asked = *self.monitored.lock().unwrap_or_else(PoisonError::into_inner);
        self.viewers() > 0 || asked.is_some_and(|asked| asked.elapsed() < MONITORED)
    }

    /// Waits until that is so.
    pub async fn wait_for_gpus_wanted(&self) {
        loop {
            let looked_at = self.looked_at.notified();
            if self.gpus_wanted() {
                return;
            }
            looked_at.await;
        }
    }

    /// Waits until somebody looks.
    pub async fn wait_for_viewers(&self) {
        loop {
            let looked_at = self.looked_at.notified();
            if self.viewers() > 0 {
                return;
            }
            looked_at.await;
        }
    }
}

/// One viewer of the world.
pub struct Seat(Arc<World>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.viewers.fetch_sub(1, Ordering::Relaxed);
    }
}
