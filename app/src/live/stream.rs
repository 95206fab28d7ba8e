//! The one EventSource of a tab: opens it, feeds the world and the log from it, and opens it again when it breaks.
//!
//! EventSource itself gives up on 401 and 502 and never notices silence; so every error closes it, and the next try is
//! ours: with back-off, and with `after`, the last line that is held.

use super::backoff::delay_ms;
use super::clock::Clock;
use super::{Connection, World, set_if_new};
use crate::components::log::Feed;
use crate::model::{
    Gap, Gpu, Host, Image, Ping, Progress, RunOpened, Service, ServiceMetrics, ServiceRemoved, Snapshot,
};
use crate::wire::{self, Read};
use leptos::leptos_dom::helpers::{IntervalHandle, TimeoutHandle};
use leptos::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{EventSource, MessageEvent};

const EVENTS: [&str; 13] = [
    "snapshot",
    "service",
    "service-removed",
    "gpu",
    "metrics",
    "host",
    "image",
    "run",
    "lines",
    "progress",
    "gap",
    "ping",
    "bye",
];
/// The server says something every 10 s.
const SILENCE_MS: f64 = 25_000.0;
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// For so long the server gathers lines: more batches in a second would be more paints than anybody can read.
const LINES_EVERY_MS: &str = "50";
/// A tab that stays hidden for this long gets no more lines until it is seen again.
const HIDDEN_FOR: Duration = Duration::from_secs(10);
/// After this many failed tries in a row the connection is called lost.
const LOST_AFTER: u32 = 4;

/// A handle on the stream; all handles are the same stream.
#[derive(Clone)]
pub struct Stream(Rc<RefCell<Inner>>);

struct Inner {
    world: World,
    feed: Option<Feed>,
    clock: Clock,
    version: String,
    source: Option<EventSource>,
    with_logs: bool,
    failures: u32,
    heard_at: f64,
    retry: Option<TimeoutHandle>,
    hiding: Option<TimeoutHandle>,
    watchdog: Option<IntervalHandle>,
    on_message: Option<Closure<dyn FnMut(MessageEvent)>>,
    on_error: Option<Closure<dyn FnMut()>>,
}

impl Stream {
    /// Opens the stream of this tab. `version` is the server's that rendered the page.
    pub fn open(world: World, feed: Option<Feed>, version: String) -> Self {
        let stream = Self(Rc::new(RefCell::new(Inner {
            world,
            feed,
            clock: Clock::start(world),
            version,
            source: None,
            with_logs: true,
            failures: 0,
            heard_at: js_sys::Date::now(),
            retry: None,
            hiding: None,
            watchdog: None,
            on_message: None,
            on_error: None,
        })));
        let on_message = Closure::new({
            let stream = stream.clone();
            move |event: MessageEvent| stream.message(&event)
        });
        let on_error = Closure::new({
            let stream = stream.clone();
            move || stream.broken()
        });
        let watchdog = set_interval_with_handle(
            {
                let stream = stream.clone();
                move || stream.watch()
            },
            LOOK_EVERY,
        );
        {
            let mut inner = stream.0.borrow_mut();
            inner.on_message = Some(on_message);
            inner.on_error = Some(on_error);
            inner.watchdog = watchdog.ok();
        }
        let visibility = window_event_listener_untyped("visibilitychange", {
            let stream = stream.clone();
            move |_| stream.visibility()
        });
        let online = window_event_listener_untyped("online", {
            let stream = stream.clone();
            move |_| stream.now()
        });
        let handle = StoredValue::new_local(stream.clone());
        on_cleanup(move || {
            visibility.remove();
            online.remove();
            if let Some(stream) = handle.try_get_value() {
                stream.close();
            }
        });
        stream.connect();
        stream
    }

    fn connect(&self) {
        let mut inner = self.0.borrow_mut();
        inner.shut();
        let mut address = crate::at("/api/stream");
        if let Some(feed) = inner.feed.as_ref().filter(|_| inner.with_logs) {
            address.push_str("?every=");
            address.push_str(LINES_EVERY_MS);
            address.push_str("&logs=");
            address.push_str(feed.service().as_str());
            if let Some(position) = feed.position() {
                address.push_str(&format!("&after={position}"));
            }
        }
        inner.heard_at = js_sys::Date::now();
        let Ok(source) = EventSource::new(&address) else {
            drop(inner);
            self.broken();
            return;
        };
        if let Some(listener) = &inner.on_message {
            for event in EVENTS {
                drop(source.add_event_listener_with_callback(event, listener.as_ref().unchecked_ref()));
            }
        }
        source.set_onerror(inner.on_error.as_ref().map(|listener| listener.as_ref().unchecked_ref()));
        inner.source = Some(source);
    }

    /// The stream broke or fell silent: another one after a while.
    fn broken(&self) {
        let mut inner = self.0.borrow_mut();
        inner.shut();
        if inner.failures == 0 {
            inner.world.heard.set(inner.clock.server_time(inner.heard_at));
        }
        inner.failures = inner.failures.saturating_add(1);
        let state = if inner.failures > LOST_AFTER { Connection::Lost } else { Connection::Reconnecting };
        set_if_new(inner.world.connection, state);
        let stream = self.clone();
        let wait = Duration::from_millis(delay_ms(inner.failures, js_sys::Math::random()).into());
        inner.retry = set_timeout_with_handle(move || stream.connect(), wait).ok();
    }

    /// Tries at once instead of waiting.
    fn now(&self) {
        if self.0.borrow().retry.is_some() {
            self.connect();
        }
    }

    fn watch(&self) {
        let silent = {
            let inner = self.0.borrow();
            inner.source.is_some() && js_sys::Date::now() - inner.heard_at > SILENCE_MS
        };
        if silent {
            self.broken();
        }
    }

    fn visibility(&self) {
        let hidden = document().hidden();
        let mut inner = self.0.borrow_mut();
        if let Some(timer) = inner.hiding.take() {
            timer.clear();
        }
        if hidden {
            let stream = self.clone();
            inner.hiding = set_timeout_with_handle(move || stream.with_logs(false), HIDDEN_FOR).ok();
        } else {
            drop(inner);
            self.with_logs(true);
            self.now();
        }
    }

    fn with_logs(&self, wanted: bool) {
        let changed = {
            let mut inner = self.0.borrow_mut();
            inner.feed.is_some() && std::mem::replace(&mut inner.with_logs, wanted) != wanted
        };
        if changed {
            self.connect();
        }
    }

    fn message(&self, event: &MessageEvent) {
        let Some(data) = event.data().as_string() else { return };
        let kind = event.type_();
        if kind == "bye" {
            if data.contains("signed-out") {
                self.close();
                // The server leads to the sign-in, and from there back.
                drop(window().location().reload());
            } else {
                self.broken();
            }
            return;
        }
        let (world, feed, clock) = {
            let mut inner = self.0.borrow_mut();
            inner.heard_at = js_sys::Date::now();
            (inner.world, inner.feed.clone(), inner.clock)
        };
        match kind.as_str() {
            "lines" => {
                if feed.is_some_and(|feed| feed.lines(&data).is_none()) {
                    complain(&kind);
                }
            }
            "snapshot" => read::<Snapshot>(&kind, &data, |snapshot| self.snapshot(snapshot)),
            "service" => read::<Service>(&kind, &data, |service| world.service(service)),
            "service-removed" => read::<ServiceRemoved>(&kind, &data, |gone| world.removed(&gone.name)),
            "gpu" => read::<Vec<Gpu>>(&kind, &data, |gpus| set_if_new(world.gpus, gpus)),
            "metrics" => read::<ServiceMetrics>(&kind, &data, |new| world.counted(new)),
            "image" => read::<Image>(&kind, &data, |image| world.image(image)),
            "host" => read::<Host>(&kind, &data, |host| set_if_new(world.host, host)),
            "ping" => read::<Ping>(&kind, &data, |ping| clock.heard(ping.now)),
            _ => {
                let Some(feed) = feed else { return };
                match kind.as_str() {
                    "run" => read::<RunOpened>(&kind, &data, |run| feed.run(&run)),
                    "gap" => read::<Gap>(&kind, &data, |gap| feed.gap(gap)),
                    "progress" => read::<Progress>(&kind, &data, |progress| feed.progress(progress)),
                    _ => {}
                }
            }
        }
    }

    fn snapshot(&self, snapshot: Snapshot) {
        let (world, feed) = {
            let mut inner = self.0.borrow_mut();
            inner.failures = 0;
            inner.clock.heard(snapshot.now);
            set_if_new(inner.world.outdated, snapshot.server_version != inner.version);
            (inner.world, inner.feed.clone())
        };
        if let (Some(feed), Some(logs)) = (feed, &snapshot.logs) {
            feed.summary(logs);
        }
        world.snapshot(snapshot);
        set_if_new(world.connection, Connection::Live);
    }

    fn close(&self) {
        let mut inner = self.0.borrow_mut();
        inner.shut();
        if let Some(timer) = inner.hiding.take() {
            timer.clear();
        }
        if let Some(watchdog) = inner.watchdog.take() {
            watchdog.clear();
        }
    }
}

impl Inner {
    fn shut(&mut self) {
        if let Some(source) = self.source.take() {
            source.set_onerror(None);
            source.close();
        }
        if let Some(timer) = self.retry.take() {
            timer.clear();
        }
    }
}

/// A payload that is not understood is said in the console and left out: the next snapshot puts things right.
fn read<T: Read>(kind: &str, data: &str, then: impl FnOnce(T)) {
    match wire::read(data) {
        Some(value) => then(value),
        None => complain(kind),
    }
}

fn complain(kind: &str) {
    leptos::logging::warn!("event {kind} is not understood");
}
