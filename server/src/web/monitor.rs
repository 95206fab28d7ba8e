//! For those who watch the dashboard: whether it is ready, its metrics, and the level of its log.

use super::Site;
use super::problem::Problem;
use crate::store::StoreTrouble;
use crate::vitals::{BOUNDS_MS, Kind, Process, Text, journal};
use app::model::{GpuState, Service, State as ServiceState};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use serde::{Deserialize, Serialize};

/// The server lives.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// The server can do its work; why not, if so.
pub async fn readyz(site: Site) -> Result<&'static str, Problem> {
    let mut wrong = Vec::new();
    if site.stop.is_cancelled() {
        wrong.push("the dashboard is shutting down".to_owned());
    }
    if !site.fleet.is_settled() {
        wrong.push("not every service has been looked at yet".to_owned());
    }
    if !site.fleet.store_writes().await {
        let why = site.fleet.store_trouble().map_or("it does not answer", StoreTrouble::what);
        wrong.push(format!("the store in the state folder cannot be written: {why}"));
    }
    if wrong.is_empty() {
        Ok("ready\n")
    } else {
        Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Not ready", wrong.join("; ")))
    }
}

/// The level of the dashboard's log.
#[derive(Serialize)]
pub struct LevelView {
    level: &'static str,
}

/// Tells the level of the log.
pub async fn log_level(site: Site) -> Json<LevelView> {
    Json(LevelView { level: site.journal.level() })
}

/// The form that changes it.
#[derive(Debug, Deserialize)]
pub struct NewLevel {
    #[serde(default)]
    level: String,
}

/// Changes the level of the log until the dashboard ends.
pub async fn set_log_level(site: Site, Form(wanted): Form<NewLevel>) -> Result<Json<LevelView>, Problem> {
    let level = journal::level(&wanted.level)
        .ok_or_else(|| Problem::parameter("level", &wanted.level, journal::ALLOWED))?;
    let before = site.journal.level();
    if !site.journal.set_level(level) {
        return Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Failed",
            "the level of the log could not be changed",
        ));
    }
    // At every level this is worth a line.
    tracing::error!(from = before, to = site.journal.level(), "the level of this log was changed");
    Ok(Json(LevelView { level: site.journal.level() }))
}

/// All states, as the metrics name them.
const STATES: [&str; 7] =
    ["stopped", "starting", "running", "unresponsive", "stopping", "failed", "unreachable"];

const fn state_of(service: &Service) -> &'static str {
    match service.state {
        ServiceState::Stopped { .. } => "stopped",
        ServiceState::Starting { .. } => "starting",
        ServiceState::Running { .. } => "running",
        ServiceState::Unresponsive { .. } => "unresponsive",
        ServiceState::Stopping { .. } => "stopping",
        ServiceState::Failed { .. } => "failed",
        ServiceState::Unreachable { .. } => "unreachable",
    }
}

/// The metrics in Prometheus' text format.
pub async fn metrics(site: Site) -> Response {
    let mut text = Text::default();
    of_the_process(&site, &mut text);
    of_requests(&site, &mut text);
    of_services(&site, &mut text);
    of_logs(&site, &mut text);
    of_the_machine(&site, &mut text);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text.finish()).into_response()
}

fn of_the_process(site: &Site, text: &mut Text) {
    let process = Process::read();
    text.family("services_build_info", Kind::Gauge, "The version of Services that runs; always 1.")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    text.family("services_uptime_seconds", Kind::Gauge, "How long the dashboard has been running.")
        .sample(&[], site.vitals.uptime_s());
    let mut own = |name, kind, help, value: Option<f64>| {
        if let Some(value) = value {
            text.family(name, kind, help).sample(&[], value);
        }
    };
    let number = |value: Option<u64>| value.map(|n| n as f64);
    own(
        "services_process_cpu_seconds_total",
        Kind::Counter,
        "Processor time of the dashboard, user and system.",
        process.cpu_s,
    );
    own(
        "services_process_resident_memory_bytes",
        Kind::Gauge,
        "Memory of the dashboard in RAM.",
        number(process.resident_bytes),
    );
    own(
        "services_process_open_fds",
        Kind::Gauge,
        "Open file descriptors of the dashboard.",
        number(process.open_fds),
    );
    own(
        "services_process_max_fds",
        Kind::Gauge,
        "How many file descriptors it may open.",
        number(process.max_fds),
    );
    own("services_process_threads", Kind::Gauge, "Threads of the dashboard.", number(process.threads));
}

fn of_requests(site: &Site, text: &mut Text) {
    const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
    let routes = site.vitals.requests.all();
    text.family(
        "services_http_requests_total",
        Kind::Counter,
        "Answers by the route's pattern and the class of the status.",
    );
    for (route, count) in &routes {
        for (class, answers) in CLASSES.iter().zip(count.classes).filter(|(_, answers)| *answers > 0) {
            text.sample(&[("route", route), ("status", class)], answers as f64);
        }
    }
    text.family(
        "services_http_request_duration_seconds",
        Kind::Histogram,
        "From the request to the head of its answer, by the route's pattern.",
    );
    for (route, count) in &routes {
        let mut below = 0;
        let buckets = BOUNDS_MS.iter().zip(count.took).map(|(bound, took)| {
            below += took;
            (*bound as f64 / 1000.0, below)
        });
        text.histogram(&[("route", route)], buckets, count.count(), count.sum.as_secs_f64());
    }
    text.family("services_streams_open", Kind::Gauge, "Event streams that are open.")
        .sample(&[], site.vitals.streams() as f64);
}

fn of_services(site: &Site, text: &mut Text) {
    let world = site.fleet.world();
    let services = world.services();
    text.family(
        "services_service_state",
        Kind::Gauge,
        "1 for the state that the service is in, 0 for others.",
    );
    for service in &services {
        for state in STATES {
            let is = if state_of(service) == state { 1.0 } else { 0.0 };
            text.sample(&[("service", service.name.as_str()), ("state", state)], is);
        }
    }
    text.family(
        "services_service_failures_total",
        Kind::Counter,
        "Failures that the dashboard has seen since it began.",
    );
    for service in &services {
        let tally = world.events().tally(&service.name);
        text.sample(&[("service", service.name.as_str())], tally.failures as f64);
    }
    text.family(
        "services_service_restarts_total",
        Kind::Counter,
        "Starts after a failure that nobody asked for, since the dashboard began.",
    );
    for service in &services {
        let tally = world.events().tally(&service.name);
        text.sample(&[("service", service.name.as_str())], tally.restarts as f64);
    }
    text.family("services_events_lost_total", Kind::Counter, "Events that found their queue full.")
        .sample(&[], world.events().lost() as f64);
}

fn of_logs(site: &Site, text: &mut Text) {
    let feeds = site.fleet.feeds();
    let history = site.fleet.history();
    text.family("services_log_lines_read_total", Kind::Counter, "Lines of the service's log that came.");
    for (name, feed) in &feeds {
        text.sample(&[("service", name.as_str())], feed.counted().0 as f64);
    }
    text.family("services_log_lines_stored_total", Kind::Counter, "Lines that were written to disk.");
    for (name, _) in &feeds {
        text.sample(&[("service", name.as_str())], history.tally(name).stored.get() as f64);
    }
    text.family(
        "services_log_lines_dropped_total",
        Kind::Counter,
        "Lines that are missing, as far as counted: rotated away before they were read, or not written in time.",
    );
    for (name, feed) in &feeds {
        let dropped = history.tally(name).dropped.get() + feed.counted().1;
        text.sample(&[("service", name.as_str())], dropped as f64);
    }
    text.family(
        "services_log_history_bytes",
        Kind::Gauge,
        "Bytes of kept logs on disk, as counted within the last minute.",
    );
    for (service, bytes) in history.bytes() {
        text.sample(&[("service", &service)], bytes as f64);
    }
    if let Some((free, size)) = history.room() {
        text.family("services_log_disk_free_bytes", Kind::Gauge, "Free room on the disk of the logs.")
            .sample(&[], free as f64);
        text.family("services_log_disk_size_bytes", Kind::Gauge, "Size of the disk of the logs.")
            .sample(&[], size as f64);
    }
    let trouble = site.fleet.world().log_trouble().is_some();
    text.family("services_log_history_trouble", Kind::Gauge, "1 while logs cannot be written to disk.")
        .sample(&[], if trouble { 1.0 } else { 0.0 });
}

fn of_notifications(site: &Site, text: &mut Text) {
    let Some(notifier) = site.notifier.as_ref().filter(|notifier| !notifier.targets().is_empty()) else {
        return;
    };
    text.family(
        "services_notifications_total",
        Kind::Counter,
        "Messages to each target that were sent, failed after all tries, or found its queue full.",
    );
    for target in notifier.targets() {
        let last = notifier.board().of(&target.name);
        for (result, count) in [("sent", last.sent), ("failed", last.failed), ("dropped", last.dropped)] {
            text.sample(&[("target", &target.name), ("result", result)], count as f64);
        }
    }
}

fn of_the_machine(site: &Site, text: &mut Text) {
    let world = site.fleet.world();
    if let Some(up) = site.fleet.engine_answers() {
        text.family("services_engine_up", Kind::Gauge, "1 while the container engine answers.")
            .sample(&[], if up { 1.0 } else { 0.0 });
    }
    let pulls = world.pulls();
    text.family("services_pulls_total", Kind::Counter, "Pulls of images that came to an end.")
        .sample(&[("result", "done")], pulls.done.get() as f64)
        .sample(&[("result", "failed")], pulls.failed.get() as f64)
        .sample(&[("result", "cancelled")], pulls.cancelled.get() as f64);
    text.family("services_store_errors_total", Kind::Counter, "Reads and writes of the store that failed.")
        .sample(&[], site.fleet.store_errors() as f64);
    of_notifications(site, text);
    // A device that sleeps or is lost was not read: what is known of it is old.
    let gpus = world.monitored_gpus();
    let gpus: Vec<_> =
        gpus.iter().flat_map(|gpus| gpus.iter()).filter(|gpu| gpu.state == GpuState::Ok).collect();
    if !gpus.is_empty() {
        text.family(
            "services_gpu_memory_used_bytes",
            Kind::Gauge,
            "Memory of the device in use, by anybody.",
        );
        for gpu in &gpus {
            let index = gpu.index.to_string();
            text.sample(&[("gpu", &index), ("uuid", &gpu.uuid)], gpu.memory_used_bytes as f64);
        }
        text.family("services_gpu_memory_total_bytes", Kind::Gauge, "Memory of the device.");
        for gpu in &gpus {
            let index = gpu.index.to_string();
            text.sample(&[("gpu", &index), ("uuid", &gpu.uuid)], gpu.memory_total_bytes as f64);
        }
    }
}
