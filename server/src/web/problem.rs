//! Refusals to programs, as RFC 9457 problem details.

use app::api::ApiError;
use axum::Json;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// One refusal.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
}

impl Problem {
    /// A refusal with this status.
    pub fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, title, detail: detail.into() }
    }

    /// What exactly is wrong.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What was asked for is not here.
    pub fn is_missing(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// A parameter that is not allowed.
    pub fn parameter(name: &str, value: &str, allowed: &str) -> Self {
        let value: String = value.chars().take(80).collect();
        Self::new(
            StatusCode::BAD_REQUEST,
            "Bad parameter",
            format!("{name}: {value:?} is not allowed: {allowed}"),
        )
    }
}

/// Why something was refused: with the answer, for the audit.
#[derive(Clone, Debug)]
pub struct Reason(pub String);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({ "type": "about:blank", "title": self.title, "status": self.status.as_u16(), "detail": self.detail });
        let mut response = (self.status, Json(body)).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.extensions_mut().insert(Reason(self.detail));
        response
    }
}

/// The status of an error, and what it is in two words.
pub fn status_of(error: &ApiError) -> (StatusCode, &'static str) {
    match error {
        ApiError::UnknownService { .. } => (StatusCode::NOT_FOUND, "Unknown service"),
        ApiError::BadName { .. } => (StatusCode::BAD_REQUEST, "Bad name"),
        ApiError::NotACandidate { .. } => (StatusCode::CONFLICT, "Not a candidate"),
        ApiError::Unreachable => (StatusCode::SERVICE_UNAVAILABLE, "Engine unreachable"),
        ApiError::RequestsRunning { .. } => (StatusCode::CONFLICT, "Requests are running"),
        ApiError::ImageRequestsRunning { .. } => (StatusCode::CONFLICT, "Requests are running"),
        ApiError::WillNotFit { .. } => (StatusCode::CONFLICT, "Will not fit"),
        ApiError::Stale => (StatusCode::CONFLICT, "Stale"),
        ApiError::ReadOnly { .. } => (StatusCode::CONFLICT, "Read-only"),
        ApiError::NotOurs { .. } => (StatusCode::CONFLICT, "Not ours"),
        ApiError::File { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "File"),
        ApiError::NoImage => (StatusCode::CONFLICT, "No image"),
        ApiError::Image { .. } => (StatusCode::CONFLICT, "Image"),
        ApiError::InFile { .. } => (StatusCode::CONFLICT, "Set in services.toml"),
        ApiError::Refused { .. } => (StatusCode::BAD_GATEWAY, "Refused by the engine"),
        ApiError::PortClash { .. } => (StatusCode::CONFLICT, "Port clash"),
        ApiError::SignedOut => (StatusCode::UNAUTHORIZED, "Not signed in"),
        ApiError::Forbidden { .. } => (StatusCode::FORBIDDEN, "Not allowed"),
        ApiError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "Busy"),
        ApiError::Transport { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "Failed"),
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        let (status, title) = status_of(&error);
        Self::new(status, title, error.to_string())
    }
}

/// Words of a refusal that are handed on.
const MOST_WORDS: usize = 4 << 10;

/// Around the plain API: what refuses there in plain words, before a handler was asked, is told to programs as all else is.
pub async fn told(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let plain = kind.is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !(status.is_client_error() || status.is_server_error()) || !plain {
        return response;
    }
    let (parts, body) = response.into_parts();
    let words = to_bytes(body, MOST_WORDS).await.unwrap_or_default();
    let words = String::from_utf8_lossy(&words);
    let title = status.canonical_reason().unwrap_or("Refused");
    let mut told = Problem::new(status, title, if words.is_empty() { title } else { &words }).into_response();
    // What says how to go on.
    for name in [header::ALLOW, header::RETRY_AFTER] {
        if let Some(value) = parts.headers.get(&name) {
            told.headers_mut().insert(name, value.clone());
        }
    }
    told
}

/// For addresses under `/api` that are none.
pub async fn no_such_place(uri: Uri) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "No such address",
        format!("nothing lives at {}", uri.path().chars().take(200).collect::<String>()),
    )
}

/// For addresses that know other methods.
pub async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Wrong method", format!("{path} does not take {method}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::routing::post;
    use tower::ServiceExt;

    #[tokio::test]
    async fn a_refusal_in_plain_words_keeps_what_says_how_to_go_on() {
        let busy = || async { (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "7")], "too much") };
        let router = Router::new().route("/x", post(busy)).layer(axum::middleware::from_fn(told));
        for (method, status, name, value) in [
            (Method::GET, StatusCode::METHOD_NOT_ALLOWED, header::ALLOW, "POST"),
            (Method::POST, StatusCode::SERVICE_UNAVAILABLE, header::RETRY_AFTER, "7"),
        ] {
            let request = Request::builder().method(method).uri("/x").body(Body::empty()).expect("a request");
            let answer = router.clone().oneshot(request).await.expect("an answer");
            assert_eq!(answer.status(), status);
            assert_eq!(answer.headers()[name], value);
            assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
        }
    }
}
