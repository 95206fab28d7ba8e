//! The part Requests: what the log of a run says of single requests. Read when somebody asks, never with the page.

use super::parts::{Part, fragment, named};
use super::problem::Problem;
use super::{Site, page};
use crate::logs::Feed;
use crate::vllm::requests::{Fate, Request, Requests};
use app::Route;
use app::api::ApiError;
use app::locales::Lang;
use app::model::{LineKind, ServiceName, Timestamp};
use app::parts::view::{FateView, RequestRow, RequestsView};
use axum::body::Body;
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, Request as HttpRequest, StatusCode};
use axum::response::Response;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Requests in the table.
const SHOWN: usize = 200;
/// Runs to choose from.
const CHOICE: usize = 20;

type Fields = BTreeMap<String, String>;

fn rendered(name: &ServiceName, view: &RequestsView, lang: Lang) -> Part {
    (format!("requests/{name}"), app::parts::requests(view, lang))
}

/// The part as the page first shows it: an offer.
pub fn part(site: &Site, name: &ServiceName, lang: Lang) -> Part {
    let view = RequestsView { service: name.to_string(), runs: runs(site, name), ..RequestsView::default() };
    rendered(name, &view, lang)
}

/// The runs to choose from.
fn runs(site: &Site, name: &ServiceName) -> Vec<(u64, Timestamp)> {
    site.fleet.runs(name, CHOICE, None).into_iter().map(|run| (run.run, run.started)).collect()
}

/// `GET /parts/requests/NAME?run=`
pub async fn get(
    State(site): State<Site>,
    Path(text): Path<String>,
    headers: HeaderMap,
    Query(fields): Query<Fields>,
) -> Result<Response, Problem> {
    let name = named(&site, &text)?;
    let view = read(&site, &name, &fields).await?;
    Ok(fragment(&rendered(&name, &view, page::language(&headers))))
}

/// `POST /parts/requests/NAME`: reads the log of the run that is named, or of the last one.
pub async fn post(
    State(site): State<Site>,
    Path(text): Path<String>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Result<Response, Problem> {
    let name = named(&site, &text)?;
    let view = read(&site, &name, &fields).await?;
    let part = rendered(&name, &view, page::language(&headers));
    if headers.contains_key("x-part") {
        return Ok(fragment(&part));
    }
    let mut request = HttpRequest::new(Body::empty());
    *request.headers_mut() = headers;
    Ok(page::render_with(site, Route::Service { name }, part, StatusCode::OK, request).await)
}

async fn read(site: &Site, name: &ServiceName, fields: &Fields) -> Result<RequestsView, Problem> {
    let wanted = match fields.get("run").filter(|run| !run.is_empty()) {
        None => None,
        Some(run) => Some(run.parse::<u64>().map_err(|_| Problem::parameter("run", run, "a run's number"))?),
    };
    let Some(feed) = site.fleet.feed(name) else {
        return Err(ApiError::UnknownService { name: name.to_string() }.into());
    };
    // It reads all of a run: not on the thread that serves the others.
    let found = tokio::task::spawn_blocking(move || requests(&feed, wanted)).await.map_err(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Failed", "the log could not be read")
    })?;
    let (run, found) = found.map_or((None, Requests::default()), |(run, found)| (Some(run), found));
    let service = site.fleet.world().service(name);
    Ok(RequestsView {
        service: name.to_string(),
        runs: runs(site, name),
        run,
        read: true,
        live: service.is_some_and(|s| s.run == run && s.started.is_some()),
        rows: found.latest().take(SHOWN).map(row).collect(),
        all: found.len() as u64 + found.gone(),
        ends: found.latest().any(|r| r.ended.is_some()),
    })
}

fn requests(feed: &Arc<Feed>, run: Option<u64>) -> Option<(u64, Requests)> {
    let (run, lines) = feed.of_kind(run, LineKind::Request)?;
    let mut found = Requests::default();
    for line in lines {
        found.hear(line.seq, line.time, &line.text);
    }
    Some((run, found))
}

fn row(it: &Request) -> RequestRow {
    RequestRow {
        id: it.id.clone(),
        line: it.line,
        at: it.at,
        took_ms: it.took_ms(),
        fate: match &it.fate {
            Fate::Received => FateView::Received,
            Fate::Added => FateView::Added,
            Fate::Finished(reason) => FateView::Finished(reason.clone()),
            Fate::Aborted => FateView::Aborted,
            Fate::Failed(why) => FateView::Failed(why.clone()),
        },
        prompt_tokens: it.prompt_tokens,
        output_tokens: it.output_tokens,
        parameters: it.parameters.clone(),
        adapter: it.adapter.clone(),
    }
}
