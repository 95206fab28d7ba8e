//! The runs of a service: as JSON for programs, and as the part Runs with two of them beside each other.

use super::parts::{Part, fragment, named, reply};
use super::problem::Problem;
use super::{Site, page};
use crate::settings::fields;
use app::Route;
use app::locales::Lang;
use app::model::{Level, RunInfo, ServiceName, State as ServiceState};
use app::parts::view::{ComparedView, RunsView};
use axum::Json;
use axum::extract::{Form, Path, Query};
use axum::http::HeaderMap;
use axum::response::Response;
use std::collections::HashMap;
use std::time::Duration;

/// Runs on one page of the part.
const PAGE: usize = 20;
/// Runs in one answer of the API when nothing is asked for, and at most.
const DEFAULT_RUNS: usize = 100;
const MOST_RUNS: usize = 1_000;

/// Fields of a form or an address, in order: a choice of several comes under one name.
type Pairs = Vec<(String, String)>;

fn number(pairs: &Pairs, key: &str) -> Option<u64> {
    pairs.iter().find(|(k, _)| k == key).and_then(|(_, v)| v.parse().ok())
}

/// How long the page waits for the sizes of logs.
const SIZES_LIMIT: Duration = Duration::from_millis(200);

/// Runs as the store has them, and which of them goes on.
fn known(site: &Site, name: &ServiceName, limit: usize, before: Option<u64>) -> Vec<RunInfo> {
    let mut runs = site.fleet.runs(name, limit, before);
    runs.iter_mut().for_each(|run| mark(site, run));
    runs
}

/// The same, with how large their logs are as far as the disk tells in time.
async fn sized(site: &Site, name: &ServiceName, limit: usize, before: Option<u64>) -> Vec<RunInfo> {
    let mut runs = known(site, name, limit, before);
    let wanted: Vec<u64> = runs.iter().filter(|run| !run.live).map(|run| run.run).collect();
    let (history, service) = (site.fleet.history().clone(), name.clone());
    let read = tokio::task::spawn_blocking(move || {
        let bytes: HashMap<u64, u64> =
            history.kept(service.as_str()).into_iter().map(|kept| (kept.run, kept.bytes)).collect();
        let lines: HashMap<u64, u64> = wanted
            .into_iter()
            .filter_map(|run| Some((run, history.view(&service, Some(run), None).ok()??.lines())))
            .collect();
        (bytes, lines)
    });
    let (bytes, lines) = match tokio::time::timeout(SIZES_LIMIT, read).await {
        Ok(Ok(found)) => found,
        // What was not told in time is shown as not known.
        Ok(Err(_)) | Err(_) => Default::default(),
    };
    let now = site.fleet.feed(name).map(|feed| feed.summary(name));
    for run in &mut runs {
        run.bytes = bytes.get(&run.run).copied();
        run.lines = lines.get(&run.run).copied();
        if let Some(summary) = now.as_ref().filter(|summary| summary.run == Some(run.run)) {
            run.lines = Some(Level::ALL.into_iter().map(|level| summary.counts.of(level)).sum());
        }
    }
    runs
}

fn one(site: &Site, name: &ServiceName, run: u64) -> Option<RunInfo> {
    let mut found = site.fleet.run(run).filter(|found| found.service == *name)?;
    mark(site, &mut found);
    Some(found)
}

fn mark(site: &Site, run: &mut RunInfo) {
    let current = site.fleet.world().service(&run.service).filter(|s| s.run == Some(run.run));
    run.live = run.outcome.is_none()
        && current
            .is_some_and(|s| !matches!(s.state, ServiceState::Stopped { .. } | ServiceState::Failed { .. }));
}

/// `GET /api/services/NAME/runs`: the newest first; `limit`, `before=RUN`.
pub async fn api(
    site: Site,
    Path(text): Path<String>,
    Query(pairs): Query<Pairs>,
) -> Result<Json<Vec<RunInfo>>, Problem> {
    let name = named(&site, &text)?;
    let read = |key: &str, allowed: &str| match pairs.iter().find(|(k, _)| k == key) {
        None => Ok(None),
        Some((_, value)) => {
            value.parse::<u64>().map(Some).map_err(|_| Problem::parameter(key, value, allowed))
        }
    };
    const LIMIT: &str = "a number of runs from 1 to 1000";
    let limit = match read("limit", LIMIT)? {
        None => DEFAULT_RUNS,
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=MOST_RUNS).contains(limit))
            .ok_or_else(|| Problem::parameter("limit", &limit.to_string(), LIMIT))?,
    };
    let before = read("before", "a run's number")?;
    Ok(Json(sized(&site, &name, limit, before).await))
}

async fn view(site: &Site, name: &ServiceName, before: Option<u64>) -> RunsView {
    let mut runs = sized(site, name, PAGE + 1, before).await;
    let older = runs.len() > PAGE;
    runs.truncate(PAGE);
    RunsView { service: name.to_string(), runs, older, newer: before.is_some(), ..RunsView::default() }
}

fn rendered(name: &ServiceName, view: &RunsView, lang: Lang) -> Part {
    (format!("runs/{name}"), app::parts::runs(view, lang))
}

/// The part as the page first shows it.
pub async fn part(site: &Site, name: &ServiceName, lang: Lang) -> Part {
    rendered(name, &view(site, name, None).await, lang)
}

/// `GET /parts/runs/NAME`
pub async fn get(site: Site, Path(text): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let name = named(&site, &text)?;
    Ok(fragment(&part(&site, &name, page::language(&headers)).await))
}

/// `POST /parts/runs/NAME`: the list opened, from a run on where one is named.
pub async fn turned(
    site: Site,
    Path(text): Path<String>,
    headers: HeaderMap,
    Form(pairs): Form<Pairs>,
) -> Result<Response, Problem> {
    let name = named(&site, &text)?;
    let mut view = view(&site, &name, number(&pairs, "before")).await;
    view.open = true;
    Ok(answer(site, headers, &name, &view).await)
}

/// `GET /parts/runs/NAME/compare?a=&b=`
pub async fn compare(
    site: Site,
    path: Path<String>,
    headers: HeaderMap,
    Query(pairs): Query<Pairs>,
) -> Result<Response, Problem> {
    compared(site, path, headers, Form(pairs)).await
}

/// `POST /parts/runs/NAME/compare`: two that were chosen, or one with the one before it.
pub async fn compared(
    site: Site,
    Path(text): Path<String>,
    headers: HeaderMap,
    Form(pairs): Form<Pairs>,
) -> Result<Response, Problem> {
    let name = named(&site, &text)?;
    let two = match number(&pairs, "with-before") {
        Some(run) => one(&site, &name, run).and_then(|b| Some((known(&site, &name, 1, Some(run)).pop()?, b))),
        None => {
            let mut chosen: Vec<u64> = pairs
                .iter()
                .filter(|(key, _)| matches!(key.as_str(), "run" | "a" | "b"))
                .filter_map(|(_, value)| value.parse().ok())
                .collect();
            chosen.sort_unstable();
            chosen.dedup();
            match chosen.as_slice() {
                [a, b] => one(&site, &name, *a).zip(one(&site, &name, *b)),
                _ => None,
            }
        }
    };
    let mut view = view(&site, &name, None).await;
    view.open = true;
    view.not_two = two.is_none();
    view.compared = two.map(|(a, b)| {
        let settings = a.configuration.as_ref().zip(b.configuration.as_ref());
        let changes = settings.map(|(a, b)| fields::changes(a, b));
        ComparedView { a, b, changes }
    });
    Ok(answer(site, headers, &name, &view).await)
}

async fn answer(site: Site, headers: HeaderMap, name: &ServiceName, view: &RunsView) -> Response {
    let part = rendered(name, view, page::language(&headers));
    reply(site, headers, Route::Service { name: name.clone() }, part).await
}
