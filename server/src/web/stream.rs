//! `GET /api/stream?logs=NAME[&after=RUN.SEQ][&every=MS]`: a snapshot, then every change, over Server-Sent Events.
//!
//! Each viewer is a loop that is asked for more only when its connection takes more: while a send is in flight, lines
//! gather in the ring and states settle, so that a slow viewer gets fewer, larger batches and costs the others nothing.

use super::Site;
use super::problem::Problem;
use crate::access::Stream as Place;
use crate::logs::{Batch, Cursor, Feed, Take};
use crate::supervisor::{Fleet, Seat};
use crate::vitals::OpenStream;
use app::model::{
    Bye, Gap, Gpu, Host, Image, LogPosition, Ping, RunOpened, Service, ServiceMetrics, ServiceName,
    ServiceRemoved, Timestamp,
};
use axum::body::{Body, Bytes};
use axum::extract::Query;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A connection that is silent for longer is taken for dead by the page.
const PING: Duration = Duration::from_secs(10);
/// The largest batch of lines.
const BATCH: usize = 256 << 10;
/// A batch that is smaller is copied to what goes before it; a larger one is sent as it is, to every viewer the same bytes.
const COPIED: usize = 4 << 10;
/// From here on time is cut into the stretches for which viewers gather lines.
static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
/// The longest time that a viewer may ask lines to be gathered for.
const SLOWEST: Duration = Duration::from_secs(1);

/// Opens a stream.
pub async fn stream(
    site: Site,
    Query(parameters): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let log = match parameters.get("logs").filter(|l| !l.is_empty()) {
        None => None,
        Some(text) => {
            let unknown = || {
                Problem::from(app::api::ApiError::UnknownService { name: text.chars().take(80).collect() })
            };
            let name = ServiceName::parse(text).map_err(|_| unknown())?;
            let feed = site.fleet.feed(&name).ok_or_else(unknown)?;
            Some((name, feed))
        }
    };
    let place = |key: &str, text: &str| -> Result<Cursor, Problem> {
        let position: LogPosition =
            text.parse().map_err(|()| Problem::parameter(key, text, "RUN.SEQ, such as 17.4203"))?;
        Ok(Cursor::after(position))
    };
    // What the browser itself remembers is newer than what the address says.
    let cursor = match (
        headers.get("last-event-id").and_then(|v| v.to_str().ok()),
        parameters.get("after"),
        parameters.get("tail"),
    ) {
        (Some(id), _, _) if !id.is_empty() => place("Last-Event-ID", id)?,
        (_, Some(after), _) => place("after", after)?,
        (_, _, Some(tail)) => {
            Cursor::tail(tail.parse().map_err(|_| Problem::parameter("tail", tail, "a number of lines"))?)
        }
        _ => Cursor::from_start(),
    };
    let every = parameters.get("every").map_or(Ok(Duration::ZERO), |text| {
        let wrong = || Problem::parameter("every", text, "a number of milliseconds, 1000 at most");
        let every = text.parse().map(Duration::from_millis).map_err(|_| wrong())?;
        if every > SLOWEST { Err(wrong()) } else { Ok(every) }
    })?;
    let place = site.access.stream(site.caller()).ok_or_else(|| {
        let detail = "too many streams are open, for this account or in total: close tabs or programs that are no longer needed";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "Too many streams", detail)
    })?;
    let viewer = Viewer::new(site, log, cursor, every, place);
    let body = Body::from_stream(futures::stream::unfold(viewer, |mut viewer| async move {
        let bytes = viewer.next().await?;
        Some((Ok::<_, std::convert::Infallible>(bytes), viewer))
    }));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    // Proxies of the nginx family would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// How long a place ahead of the log may be waited for: after a restart of the dashboard the log is read again.
const AHEAD: Duration = Duration::from_secs(5);

/// One open stream.
struct Viewer {
    born: Instant,
    site: Site,
    _seat: Seat,
    _place: Place,
    /// Changes with sessions and accounts.
    rights: watch::Receiver<u64>,
    _open: OpenStream,
    world: watch::Receiver<u64>,
    services: Vec<Arc<Service>>,
    gpus: Arc<Vec<Gpu>>,
    metrics: Vec<Arc<ServiceMetrics>>,
    images: Vec<Arc<Image>>,
    host: Arc<Host>,
    log: Option<Log>,
    greeted: bool,
    ended: bool,
    ping: Instant,
    /// What is to be sent, in pieces.
    out: Out,
}

struct Log {
    name: ServiceName,
    feed: Arc<Feed>,
    news: watch::Receiver<u64>,
    cursor: Cursor,
    /// For so long lines are gathered before they are sent; the first after a silence are not.
    every: Duration,
    /// Nothing is sent before.
    due: Instant,
    /// Something came that is not sent yet.
    held: bool,
}

/// Events on their way: text that is this viewer's own, and batches of lines that are shared.
#[derive(Default)]
struct Out {
    ready: VecDeque<Bytes>,
    text: String,
    bytes: usize,
}

impl Out {
    fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.text.is_empty()
    }

    /// How much was put in since it was empty.
    fn len(&self) -> usize {
        self.bytes + self.text.len()
    }

    /// Puts a batch of lines behind the text.
    fn lines(&mut self, run: u64, last: u64, json: Bytes) {
        let _ = write!(self.text, "event: lines\nid: {run}.{last}\ndata: ");
        let small = if json.len() <= COPIED { std::str::from_utf8(&json).ok() } else { None };
        if let Some(json) = small {
            self.text.push_str(json);
        } else {
            self.close();
            self.bytes += json.len();
            self.ready.push_back(json);
        }
        self.text.push_str("\n\n");
    }

    fn close(&mut self) {
        if !self.text.is_empty() {
            self.bytes += self.text.len();
            self.ready.push_back(Bytes::from(std::mem::take(&mut self.text)));
        }
    }

    /// The next piece to be sent.
    fn next(&mut self) -> Option<Bytes> {
        self.close();
        let next = self.ready.pop_front();
        if self.ready.is_empty() {
            self.bytes = 0;
        }
        next
    }
}

impl Viewer {
    fn new(
        site: Site,
        log: Option<(ServiceName, Arc<Feed>)>,
        cursor: Cursor,
        every: Duration,
        place: Place,
    ) -> Self {
        let world = site.fleet.world().clone();
        let due = Instant::now();
        let log = log.map(|(name, feed)| Log {
            name,
            news: feed.subscribe(),
            feed,
            cursor,
            every,
            due,
            held: false,
        });
        Self {
            born: Instant::now(),
            _seat: world.take_seat(),
            _place: place,
            rights: site.access.changes(),
            _open: site.vitals.open_stream(),
            world: world.subscribe(),
            services: Vec::new(),
            gpus: world.gpus(),
            metrics: Vec::new(),
            images: Vec::new(),
            host: world.host(),
            site,
            log,
            greeted: false,
            ended: false,
            ping: Instant::now() + PING,
            out: Out::default(),
        }
    }

    /// The next bytes for the connection; `None` at its end.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(piece) = self.out.next() {
            return Some(piece);
        }
        if self.ended {
            return None;
        }
        if !self.greeted {
            self.greeted = true;
            return Some(self.greet());
        }
        loop {
            self.changes();
            if let Some(log) = &mut self.log {
                log.send(&mut self.out);
            }
            if !self.out.is_empty() {
                // A stream that talks needs no ping to prove that it lives, but a quiet world shall not go without clock.
                if self.ping <= Instant::now() && self.stays() {
                    self.beat();
                }
                return self.out.next();
            }
            let ahead = self.log.as_ref().is_some_and(|log| log.end_before_cursor().is_some());
            let give_up = self.born + AHEAD;
            let log_news = async {
                match &mut self.log {
                    Some(log) => log.news().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // An ended sender means that the server goes, which `stop` tells.
                _ = self.world.changed() => {}
                _ = self.rights.changed() => if !self.stays() {
                    return self.out.next();
                },
                alive = log_news => if !alive { self.log = None; },
                () = tokio::time::sleep_until(self.ping) => {
                    if self.stays() {
                        self.beat();
                    }
                    return self.out.next();
                }
                () = tokio::time::sleep_until(give_up), if ahead => {
                    if let Some(log) = &mut self.log {
                        log.step_back(&mut self.out.text);
                        return self.out.next();
                    }
                }
                () = self.site.stop.cancelled() => {
                    self.ended = true;
                    event(&mut self.out.text, "bye", &Bye { reason: "shutdown".to_owned() });
                    return self.out.next();
                }
            }
        }
    }

    /// Whether whoever looks still may: sessions end, accounts go. Otherwise they are told, and the stream ends.
    fn stays(&mut self) -> bool {
        self.rights.mark_unchanged();
        let stays = self.site.guest().is_some_and(|guest| self.site.access.stays(guest, Timestamp::now()));
        if !stays {
            self.ended = true;
            self.out = Out::default();
            event(&mut self.out.text, "bye", &Bye { reason: "signed-out".to_owned() });
        }
        stays
    }

    fn beat(&mut self) {
        self.ping = Instant::now() + PING;
        event(&mut self.out.text, "ping", &Ping { now: Timestamp::now() });
    }

    fn greet(&mut self) -> Bytes {
        let fleet = &self.site.fleet;
        self.world.mark_unchanged();
        (self.services, self.gpus, self.host) =
            (fleet.world().services(), fleet.world().gpus(), fleet.world().host());
        self.metrics = fleet.world().metrics();
        self.images = fleet.world().images();
        if let Some(log) = &mut self.log {
            log.feed.place(&mut log.cursor);
        }
        let snapshot = self.site.control.snapshot(self.site.caller(), self.log.as_ref().map(|l| &l.name));
        let mut out = String::with_capacity(4096);
        event(&mut out, "snapshot", &snapshot);
        Bytes::from(out)
    }

    /// What differs from what this viewer was told last.
    fn changes(&mut self) {
        let out = &mut self.out.text;
        let world = self.site.fleet.world();
        self.world.mark_unchanged();
        let now = Timestamp::now();
        let services = world.services();
        for service in &services {
            if !self.services.iter().any(|old| Arc::ptr_eq(old, service)) {
                event(out, "service", &Fleet::dated(service, now));
            }
        }
        for gone in self.services.iter().filter(|old| !services.iter().any(|s| s.name == old.name)) {
            event(out, "service-removed", &ServiceRemoved { name: gone.name.clone() });
        }
        self.services = services;
        let metrics = world.metrics();
        for new in metrics.iter().filter(|new| !self.metrics.iter().any(|old| Arc::ptr_eq(old, new))) {
            // The page has what came before; the latest reading is the next point.
            let latest = ServiceMetrics { history: None, ..ServiceMetrics::clone(new) };
            event(out, "metrics", &latest);
        }
        self.metrics = metrics;
        let images = world.images();
        for new in images.iter().filter(|new| !self.images.iter().any(|old| Arc::ptr_eq(old, new))) {
            event(out, "image", &**new);
        }
        self.images = images;
        let (gpus, host) = (world.gpus(), world.host());
        if !Arc::ptr_eq(&self.gpus, &gpus) {
            event(out, "gpu", &*gpus);
            self.gpus = gpus;
        }
        if !Arc::ptr_eq(&self.host, &host) {
            event(out, "host", &*host);
            self.host = host;
        }
    }
}

impl Log {
    /// The end of the log, if the viewer claims to be ahead of it.
    fn end_before_cursor(&self) -> Option<LogPosition> {
        let place = self.cursor.position()?;
        let summary = self.feed.summary(&self.name);
        let end = LogPosition { run: summary.run?, seq: summary.last };
        (place > end).then_some(end)
    }

    /// Puts a viewer that is ahead of the log at its end, with a gap that says so.
    fn step_back(&mut self, out: &mut String) {
        if let Some(end) = self.end_before_cursor() {
            self.cursor = Cursor::after(end);
            event(out, "gap", &Gap { run: end.run, after: end.seq, count: None });
        }
    }

    /// Waits for news, or until what was held back may be sent; `false` when there will be none.
    async fn news(&mut self) -> bool {
        if self.held {
            tokio::time::sleep_until(self.due).await;
            return true;
        }
        self.held = self.news.changed().await.is_ok();
        self.held
    }

    /// Takes what has come, unless it is to be gathered for longer.
    fn send(&mut self, out: &mut Out) {
        if self.due > Instant::now() {
            return;
        }
        self.news.mark_unchanged();
        let before = out.len();
        self.read(out);
        let came = out.len() - before;
        // There may be more of what was not taken now.
        self.held = came > 0;
        if came > 0 && came < BATCH / 2 && !self.every.is_zero() {
            // Viewers that gather do so together, so that they stand at the same place and get the same bytes.
            let since = BEGIN.elapsed().as_micros() / self.every.as_micros();
            self.due = *BEGIN + self.every * u32::try_from(since + 1).unwrap_or(u32::MAX);
        }
    }

    /// Takes a batch of lines, and those behind it only where another viewer has them already: a viewer that is a little
    /// late shall not make batches that nobody else needs.
    fn read(&mut self, out: &mut Out) {
        let mut take = Take::Any;
        while out.len() < BATCH {
            let Some(batch) = self.feed.read(&mut self.cursor, BATCH, take) else { return };
            match batch {
                Batch::Run { run, started, previous } => {
                    let opened = RunOpened { service: self.name.clone(), run, started, previous };
                    event(&mut out.text, "run", &opened);
                }
                Batch::Lines { run, last, json, .. } => {
                    // The lines are JSON already: no second pass over them.
                    out.lines(run, last, json);
                    take = Take::Made;
                }
                Batch::Gap(gap) => event(&mut out.text, "gap", &gap),
                Batch::Progress(progress) => event(&mut out.text, "progress", &progress),
            }
        }
    }
}

fn event(out: &mut String, name: &str, data: &impl Serialize) {
    match serde_json::to_string(data) {
        Ok(json) => {
            let _ = write!(out, "event: {name}\ndata: {json}\n\n");
        }
        Err(error) => tracing::error!(name, %error, "an event could not be written"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_their_place_between_other_events_and_large_ones_are_not_copied() {
        let mut out = Out::default();
        let (small, large) = (Bytes::from_static(b"{}"), Bytes::from(vec![b'x'; COPIED + 1]));
        event(&mut out.text, "a", &1);
        out.lines(17, 3, small);
        out.lines(17, 9, large.clone());
        event(&mut out.text, "b", &2);
        let want = format!(
            "event: a\ndata: 1\n\nevent: lines\nid: 17.3\ndata: {{}}\n\nevent: lines\nid: 17.9\ndata: {}\n\nevent: b\ndata: 2\n\n",
            "x".repeat(COPIED + 1)
        );
        assert_eq!(out.len(), want.len());
        let pieces: Vec<Bytes> = std::iter::from_fn(|| out.next()).collect();
        assert_eq!(pieces.concat(), want.as_bytes());
        assert!(
            pieces.iter().any(|piece| piece.as_ptr() == large.as_ptr()),
            "the same bytes for every viewer"
        );
        assert!(out.is_empty());
        assert_eq!(out.len(), 0);
    }
}
