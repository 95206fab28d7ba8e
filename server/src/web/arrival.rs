//! What is done for every request, whatever becomes of it: it gets an id, is counted and timed.
//!
//! The id is ours: one that a client sends is not looked at, since whoever may choose ids may make others' lines look like
//! its own. It stands in the answer (`X-Request-Id`) and in every line of the dashboard's log that the request causes while
//! it is answered. Neither the log nor the counters see the address that was asked for, only the route's pattern: addresses
//! may hold what is nobody's business.

use crate::vitals::Vitals;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Extensions, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;
use tracing::Instrument;

/// Where the id stands in an answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The number of a request: unique over restarts of the dashboard, as good as certainly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        static BEGINNING: LazyLock<String> = LazyLock::new(|| {
            let boot = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
            boot.chars().filter(char::is_ascii_hexdigit).take(8).collect()
        });
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        Self(format!("{}-{number:06x}", *BEGINNING).into())
    }

    /// The id of a request that carries these.
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The pattern of the route that answers.
fn route(request: &Request) -> String {
    match request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) {
        // The router's own name for what is below a folder.
        Some(path) if path.starts_with("/pkg/") => "/pkg/{file}".to_owned(),
        Some(path) => path.to_owned(),
        None => "none".to_owned(),
    }
}

/// Methods are chosen by clients: those that are none of HTTP's own have one name together.
const fn method(of: &Method) -> &'static str {
    match *of {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}

/// Stands before everything else.
pub async fn arrival(State(vitals): State<Arc<Vitals>>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = RequestId::new();
    let route = route(&request);
    request.extensions_mut().insert(id.clone());
    let span =
        tracing::error_span!("request", id = id.as_str(), method = method(request.method()), route = %route);
    let mut response = async {
        let response = next.run(request).await;
        tracing::debug!(status = response.status().as_u16(), "answered");
        response
    }
    .instrument(span)
    .await;
    vitals.requests.count(&route, response.status().as_u16(), began.elapsed());
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}
