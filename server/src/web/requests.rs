//! The part Requests: what the log of a run says of single requests. Read when somebody asks, never with the page.

use super::parts::{Part, fragment, named, reply};
use super::problem::Problem;
use super::{Site, logs, page};
use crate::history::{Direction, Filter, Query, View};
use crate::vllm::requests::{Fate, Request, Requests};
use app::Route;
use app::locales::Lang;
use app::model::{LineKind, ServiceName, Timestamp};
use app::parts::view::{FateView, RequestRow, RequestsView};
use axum::extract::{Form, Path, Query as Address};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

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
    site: Site,
    Path(text): Path<String>,
    headers: HeaderMap,
    Address(fields): Address<Fields>,
) -> Result<Response, Problem> {
    let name = named(&site, &text)?;
    let view = read(&site, &name, &fields).await?;
    Ok(fragment(&rendered(&name, &view, page::language(&headers))))
}

/// `POST /parts/requests/NAME`: reads the log of the run that is named, or of the last one.
pub async fn post(
    site: Site,
    Path(text): Path<String>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Result<Response, Problem> {
    let name = named(&site, &text)?;
    let view = read(&site, &name, &fields).await?;
    let part = rendered(&name, &view, page::language(&headers));
    Ok(reply(site, headers, Route::Service { name }, part).await)
}

async fn read(site: &Site, name: &ServiceName, fields: &Fields) -> Result<RequestsView, Problem> {
    let wanted = match fields.get("run").filter(|run| !run.is_empty()) {
        None => None,
        Some(run) => Some(run.parse::<u64>().map_err(|_| Problem::parameter("run", run, "a run's number"))?),
    };
    // It reads all of a run: with the others that read much, and not on a thread that serves the others.
    let Some(_place) = site.reader().await else {
        return Err(logs::busy());
    };
    let view = match logs::view(site, name, wanted).await {
        Ok(view) => Some(view),
        Err(problem) if problem.is_missing() => None,
        Err(problem) => return Err(problem),
    };
    let found = tokio::task::spawn_blocking(move || view.map(|view| (view.run, requests(&view)))).await;
    let found = found.map_err(|_| {
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

fn requests(view: &View) -> Requests {
    let mut found = Requests::default();
    // Blocks in which no line can be about a request are not taken apart.
    let query = Query::pattern("request |response |request\\(").ok();
    let filter = Filter { query, ..Filter::default() };
    view.visit(0..=u64::MAX, Direction::Forwards, &filter, |line, _| {
        if line.kind == LineKind::Request {
            found.hear(line.seq, Timestamp::from_millis(line.ms), line.text);
        }
        ControlFlow::Continue(())
    });
    found
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
