//! A log from anywhere, explained: as a page from a form, as JSON for programs.

use super::Site;
use super::page;
use super::problem::Problem;
use super::quota::Share;
use crate::vllm::explain::{self, Explanation, Limited, explain};
use app::Route;
use app::model::{Explained, ExplainedPhase, Outcome};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart};
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a body may take to come.
const LIMIT: Duration = Duration::from_secs(60);
/// How long reading it may take: some ten times what 64 MiB of a real log need.
const READING: Duration = Duration::from_secs(20);

/// Each holds its whole log in memory: one at a time for each account.
async fn place(site: &Site) -> Result<Share, Problem> {
    site.quotas.explanations.wait(site.caller(), 1, super::PATIENCE).await.ok_or_else(|| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Busy",
            "other logs are being explained; try again in a moment",
        )
    })
}

/// Whether a route explains: nothing is done that should outlive who asked for it.
pub fn is_route(route: &str) -> bool {
    matches!(route, "/explain" | "/api/explain")
}

/// Ends the reading when it is dropped: when nobody waits for it any more.
#[derive(Default)]
struct Left(Arc<AtomicBool>);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn slow() -> Problem {
    let detail = format!("the log did not come within {} s", LIMIT.as_secs());
    Problem::new(StatusCode::REQUEST_TIMEOUT, "Too slow", detail)
}

/// `GET /explain`
pub async fn form(site: Site, request: Request<Body>) -> Response {
    page::render(site, Route::Explain, None, StatusCode::OK, request).await
}

/// `POST /explain`: a form with `log` or `file`.
pub async fn page(site: Site, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let again = Request::from_parts(parts.clone(), Body::empty());
    let place = match place(&site).await {
        Ok(place) => place,
        Err(problem) => return problem.into_response(),
    };
    let log = async {
        let form = Multipart::from_request(Request::from_parts(parts, body), &())
            .await
            .map_err(|error| bad(&error.body_text()))?;
        log_of(form).await.map_err(|detail| bad(&detail))
    };
    let explanation = match tokio::time::timeout(LIMIT, log).await {
        Ok(Ok(log)) => run(log, place).await,
        Ok(Err(problem)) => Err(problem),
        Err(_) => Err(slow()),
    };
    match explanation {
        Ok(explanation) => {
            page::render(site, Route::Explain, Some(shown(explanation)), StatusCode::OK, again).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// `POST /api/explain`: the log as the body, the same JSON as `server explain --json`.
pub async fn api(site: Site, request: Request<Body>) -> Result<Json<Explanation>, Problem> {
    let place = place(&site).await?;
    let log = tokio::time::timeout(LIMIT, Bytes::from_request(request, &())).await.map_err(|_| slow())?;
    let log = log.map_err(|e| bad(&e.body_text()))?;
    run(log.into(), place).await.map(Json)
}

fn bad(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "Not a log", format!("a log or a file is wanted: {detail}"))
}

/// The file, if one was chosen; else what was pasted.
async fn log_of(mut form: Multipart) -> Result<Vec<u8>, String> {
    let mut pasted = Vec::new();
    while let Some(field) = form.next_field().await.map_err(|e| e.body_text())? {
        let name = field.name().unwrap_or_default().to_owned();
        if name != "log" && name != "file" {
            continue;
        }
        let bytes = field.bytes().await.map_err(|e| e.body_text())?;
        if name == "file" && !bytes.is_empty() {
            return Ok(bytes.into());
        }
        if name == "log" {
            pasted = bytes.into();
        }
    }
    Ok(pasted)
}

async fn run(log: Vec<u8>, place: Share) -> Result<Explanation, Problem> {
    let waits = Left::default();
    let left = waits.0.clone();
    let read = tokio::task::spawn_blocking(move || {
        let _place = place;
        explain(Limited { rest: &log, until: Instant::now() + READING, left: &left })
    });
    match read.await {
        Ok(Ok(explanation)) => Ok(explanation),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::TimedOut => {
            let detail = format!("the log could not be read within {} s", READING.as_secs());
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Too much", detail))
        }
        Ok(Err(error)) => Err(bad(&error.to_string())),
        Err(error) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Failed", error.to_string())),
    }
}

fn shown(it: Explanation) -> Explained {
    let milli = |seconds: f64| (seconds * 1000.0).max(0.0) as u64;
    Explained {
        outcome: match it.outcome {
            explain::Outcome::Ready => Outcome::Ready,
            explain::Outcome::Failed => Outcome::Failed,
            explain::Outcome::Stopped => Outcome::Stopped,
            explain::Outcome::Incomplete => Outcome::Incomplete,
        },
        diagnosis: it.diagnosis,
        phases: it
            .phases
            .iter()
            .map(|p| ExplainedPhase { phase: p.phase, took_ms: p.took_s.map(milli) })
            .collect(),
    }
}
