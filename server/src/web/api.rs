//! The plain HTTP beside the stream: for scripts and monitoring, and for a log without a browser.

use super::Site;
use super::problem::Problem;
use crate::logs::Selection;
use app::model::{Image, ImageVerb, Level, LogPosition, Service, ServiceName, Stream, Timestamp, Verb};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use std::collections::HashMap;

/// Lines in one answer when nothing is asked for.
const DEFAULT_LINES: usize = 1_000;
/// Lines in one answer at most.
const MOST_LINES: usize = 100_000;

fn name(text: &str) -> Result<ServiceName, Problem> {
    ServiceName::parse(text)
        .map_err(|_| app::api::ApiError::UnknownService { name: text.chars().take(80).collect() }.into())
}

/// The server lives.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// All services.
pub async fn services(State(site): State<Site>) -> Json<Vec<Service>> {
    Json(site.control.snapshot(&site.caller(), None).services)
}

/// One service.
pub async fn service(State(site): State<Site>, Path(text): Path<String>) -> Result<Json<Service>, Problem> {
    let wanted = name(&text)?;
    let services = site.control.snapshot(&site.caller(), None).services;
    let found = services.into_iter().find(|s| s.name == wanted);
    found.map(Json).ok_or_else(|| app::api::ApiError::UnknownService { name: text }.into())
}

fn command(site: &Site, text: &str, verb: Verb) -> Result<Response, Problem> {
    let service = site.control.command(&site.caller(), &name(text)?, verb)?;
    Ok((StatusCode::ACCEPTED, Json(service)).into_response())
}

/// Start.
pub async fn start(State(site): State<Site>, Path(text): Path<String>) -> Result<Response, Problem> {
    command(&site, &text, Verb::Start)
}

/// Stop.
pub async fn stop(State(site): State<Site>, Path(text): Path<String>) -> Result<Response, Problem> {
    command(&site, &text, Verb::Stop)
}

/// Restart.
pub async fn restart(State(site): State<Site>, Path(text): Path<String>) -> Result<Response, Problem> {
    command(&site, &text, Verb::Restart)
}

/// Pull the service's image.
pub async fn pull(State(site): State<Site>, Path(text): Path<String>) -> Result<Response, Problem> {
    image(&site, &text, ImageVerb::Pull).await
}

/// Cancel that.
pub async fn cancel_pull(State(site): State<Site>, Path(text): Path<String>) -> Result<Response, Problem> {
    image(&site, &text, ImageVerb::Cancel).await
}

async fn image(site: &Site, text: &str, verb: ImageVerb) -> Result<Response, Problem> {
    // Pulls and cancellations end no requests: there is nothing to confirm.
    site.control.image(&site.caller(), &name(text)?, verb, false).await?;
    Ok((StatusCode::ACCEPTED, images(State(site.clone())).await).into_response())
}

/// Images that services name, with their pulls.
pub async fn images(State(site): State<Site>) -> Json<Vec<Image>> {
    Json(site.control.snapshot(&site.caller(), None).images)
}

type Parameters = Query<HashMap<String, String>>;

fn feed(site: &Site, text: &str) -> Result<std::sync::Arc<crate::logs::Feed>, Problem> {
    let wanted = name(text)?;
    site.fleet
        .feed(&wanted)
        .ok_or_else(|| app::api::ApiError::UnknownService { name: text.to_owned() }.into())
}

fn number<T: std::str::FromStr>(
    parameters: &HashMap<String, String>,
    key: &str,
    allowed: &str,
) -> Result<Option<T>, Problem> {
    let Some(text) = parameters.get(key) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| Problem::parameter(key, text, allowed))
}

/// Lines of a run as JSON lines: `run`, `after=RUN.SEQ`, `before=SEQ`, `around=SEQ`, `at=TIME`, `levels=error,warning`,
/// `stream=stderr`, `q`, `limit`.
pub async fn logs(
    State(site): State<Site>,
    Path(text): Path<String>,
    Query(parameters): Parameters,
) -> Result<Response, Problem> {
    let feed = feed(&site, &text)?;
    let mut selection = Selection {
        run: number(&parameters, "run", "a run's number")?,
        before: number(&parameters, "before", "a line's number")?,
        around: number(&parameters, "around", "a line's number")?,
        query: parameters.get("q").cloned().unwrap_or_default(),
        limit: number::<usize>(&parameters, "limit", "a number of lines from 1 to 100000")?
            .unwrap_or(DEFAULT_LINES),
        ..Selection::default()
    };
    if !(1..=MOST_LINES).contains(&selection.limit) {
        return Err(Problem::parameter(
            "limit",
            &selection.limit.to_string(),
            "a number of lines from 1 to 100000",
        ));
    }
    if let Some(after) = number::<LogPosition>(&parameters, "after", "RUN.SEQ, such as 17.4203")? {
        selection.run = Some(after.run);
        selection.after = Some(after.seq);
    }
    if let Some(levels) = parameters.get("levels") {
        for word in levels.split(',').filter(|w| !w.is_empty()) {
            let level: Level = word
                .parse()
                .map_err(|()| Problem::parameter("levels", word, "debug, info, warning, error and other"))?;
            selection.levels.push(level);
        }
    }
    selection.stream = match parameters.get("stream").map(String::as_str) {
        None => None,
        Some("stdout") => Some(Stream::Stdout),
        Some("stderr") => Some(Stream::Stderr),
        Some(other) => return Err(Problem::parameter("stream", other, "stdout and stderr")),
    };
    let at = match parameters.get("at") {
        None => None,
        Some(text) => Some(
            Timestamp::parse(text)
                .ok_or_else(|| Problem::parameter("at", text, "a time such as 2026-11-22T12:00:00Z"))?,
        ),
    };
    // It reads all of a run: not on the thread that serves the others.
    let asked = tokio::task::spawn_blocking(move || {
        let ends = feed.ends(selection.run);
        if let Some(time) = at {
            // Nothing is that late: the end.
            selection.around = Some(feed.line_at(selection.run, time).unwrap_or(u64::MAX));
        }
        (feed.select(&selection), ends)
    });
    let (selected, ends) = asked.await.map_err(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Failed", "the log could not be searched")
    })?;
    let Some(run) = selected.run else {
        return Err(Problem::new(StatusCode::NOT_FOUND, "Unknown run", "this run is not at hand"));
    };
    let (_, first, last) = ends.unwrap_or((Timestamp::from_millis(0), 0, 0));
    let headers = [
        (header::HeaderName::from_static("x-first"), HeaderValue::from(first)),
        (header::HeaderName::from_static("x-last"), HeaderValue::from(last)),
        (header::CONTENT_TYPE, HeaderValue::from_static("application/jsonl; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::HeaderName::from_static("x-run"), HeaderValue::from(run)),
    ];
    Ok((headers, selected.json_lines).into_response())
}

/// The log as plain text, also of a service that does not run: `run`, `download=1`.
pub async fn container_logs(
    State(site): State<Site>,
    Path(text): Path<String>,
    Query(parameters): Parameters,
) -> Result<Response, Problem> {
    let feed = feed(&site, &text)?;
    let run: Option<u64> = number(&parameters, "run", "a run's number")?;
    let (current, previous) = feed.run_numbers();
    if run.is_some() && run != current && run != previous {
        return Err(Problem::new(StatusCode::NOT_FOUND, "Unknown run", "this run is not at hand"));
    }
    let pieces = futures::stream::iter(feed.raw(run)).map(Ok::<_, std::convert::Infallible>);
    let mut response = Body::from_stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if parameters.get("download").is_some_and(|d| d == "1") {
        let shown = run.or(current).unwrap_or(0);
        if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{text}-run-{shown}.log\""))
        {
            headers.insert(header::CONTENT_DISPOSITION, value);
        }
    }
    Ok(response)
}
