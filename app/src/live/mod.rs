//! What a tab knows of the world, and the one stream that keeps it true.
//!
//! In: the boot data of the first view, then the events of `GET /api/stream`. Out: signals that the components read. All
//! of them live as long as the page: components come and go, the world stays.

#[cfg(any(feature = "hydrate", test))]
mod alert;
#[cfg(any(feature = "hydrate", test))]
mod backoff;
#[cfg(feature = "hydrate")]
mod clock;
#[cfg(any(feature = "hydrate", test))]
mod events;
#[cfg(feature = "hydrate")]
mod stream;

#[cfg(feature = "hydrate")]
pub use alert::begin as begin_alerts;
#[cfg(feature = "hydrate")]
pub use clock::offset_minutes;
#[cfg(feature = "hydrate")]
pub use events::set_if_new;
#[cfg(feature = "hydrate")]
pub use stream::Stream;

use crate::Boot;
use crate::locales::{Lang, Words};
use crate::model::{Gpu, Host, Image, Service, ServiceMetrics, ServiceName, Timestamp};
use leptos::prelude::*;

/// The state of this tab's connection, which is not the state of any service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "hydrate"), allow(dead_code, reason = "only a browser connects"))]
pub enum Connection {
    /// The page is as the server rendered it; the stream is not open yet.
    Connecting,
    /// Events arrive.
    Live,
    /// The stream broke, another try is under way.
    Reconnecting,
    /// Several tries failed; they go on.
    Lost,
}

/// A service and the signal of its state.
#[derive(Clone)]
pub struct Watched {
    /// Its name, which never changes.
    pub name: ServiceName,
    /// Its latest object.
    pub service: ArcRwSignal<Service>,
}

/// Everything that a tab knows, log lines apart.
#[derive(Clone, Copy)]
pub struct World {
    /// The language of the page.
    pub lang: Lang,
    /// Its words.
    pub words: &'static Words,
    /// All services, in the server's order. Changes only when one comes or goes.
    pub services: RwSignal<Vec<Watched>>,
    /// All GPUs.
    pub gpus: RwSignal<Vec<Gpu>>,
    /// What services have counted.
    pub metrics: RwSignal<Vec<ServiceMetrics>>,
    /// Images that services name.
    pub images: RwSignal<Vec<Image>>,
    /// The machine.
    pub host: RwSignal<Host>,
    /// The connection of this tab.
    pub connection: RwSignal<Connection>,
    /// The server's clock: that of the first view, then ticking.
    pub now: RwSignal<Timestamp>,
    /// The last thing heard from the server.
    pub heard: RwSignal<Timestamp>,
    /// Minutes east of UTC; zero until the browser has said where it is.
    pub offset_minutes: RwSignal<i32>,
    /// The last change of a state, for those who listen to the page.
    pub announced: RwSignal<String>,
    /// The server is of another version than this page.
    pub outdated: RwSignal<bool>,
}

impl World {
    /// The world of the first view.
    pub fn new(boot: &Boot) -> Self {
        let snapshot = &boot.snapshot;
        Self {
            lang: boot.lang,
            words: boot.lang.words(),
            services: RwSignal::new(snapshot.services.iter().cloned().map(watch).collect()),
            gpus: RwSignal::new(snapshot.gpus.clone()),
            metrics: RwSignal::new(snapshot.metrics.clone()),
            images: RwSignal::new(snapshot.images.clone()),
            host: RwSignal::new(snapshot.host.clone()),
            connection: RwSignal::new(Connection::Connecting),
            now: RwSignal::new(snapshot.now),
            heard: RwSignal::new(snapshot.now),
            offset_minutes: RwSignal::new(0),
            announced: RwSignal::new(String::new()),
            outdated: RwSignal::new(false),
        }
    }

    /// A service's name for people.
    pub fn title(&self, name: &ServiceName) -> String {
        let watched = self.services.with(|all| all.iter().find(|w| w.name == *name).cloned());
        watched.map(|w| w.service.with(|s| s.title.clone())).unwrap_or_default()
    }
}

fn watch(service: Service) -> Watched {
    Watched { name: service.name.clone(), service: ArcRwSignal::new(service) }
}
