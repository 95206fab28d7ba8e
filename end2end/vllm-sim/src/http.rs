//! The API: `api` has what every vLLM answers, `openai` the completions, `control` the test controls.
//! Around all of them stand the access log and the API key.

mod api;
mod control;
mod openai;

use crate::cli::ServeArgs;
use crate::engine::Engine;
use crate::script::Player;
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What a test control asks of the main loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Exit with that code, now.
    Exit(u8),
    /// Let EngineCore die.
    Crash,
}

/// What handlers share.
#[derive(Clone)]
struct Api {
    engine: Arc<Engine>,
    player: Player,
    commands: mpsc::Sender<Command>,
    /// Until then requests are accepted and never answered.
    hangs_until: Arc<Mutex<Option<Instant>>>,
    flooding: Arc<AtomicBool>,
}

/// All routes. Those under `/sim` only where the knob asks for them.
pub fn router(engine: Arc<Engine>, player: Player, commands: mpsc::Sender<Command>) -> Router {
    let controlled = engine.knobs.control;
    let api = Api {
        engine,
        player,
        commands,
        hangs_until: Arc::new(Mutex::new(None)),
        flooding: Arc::new(AtomicBool::new(false)),
    };
    let mut router = Router::new().merge(api::routes()).merge(openai::routes());
    if controlled {
        router = router.merge(control::routes());
    }
    router
        .fallback(|| async { detail(StatusCode::NOT_FOUND) })
        .method_not_allowed_fallback(|| async { detail(StatusCode::METHOD_NOT_ALLOWED) })
        .layer(from_fn_with_state(api.clone(), around))
        .with_state(api)
}

/// The API key, the server's name, the access log and its counters.
async fn around(State(api): State<Api>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.to_string());
    let mut response = if is_open(&api.engine.args, &path, request.headers().get(header::AUTHORIZATION)) {
        next.run(request).await
    } else {
        json(StatusCode::UNAUTHORIZED, "{\"error\":\"Unauthorized\"}".to_owned())
    };
    response.headers_mut().insert(header::SERVER, HeaderValue::from_static("uvicorn"));
    if !path.starts_with("/sim/") {
        let status = response.status();
        if !api::UNCOUNTED.contains(&path.as_str()) {
            let handler =
                if status == StatusCode::NOT_FOUND && !path.starts_with("/v1/") { "none" } else { &path };
            api.engine.metrics().http(handler, method.as_str(), status.as_u16());
        }
        if api.engine.args.quiet_paths.as_ref().is_some_and(|quiet| !quiet.contains(&path)) {
            let reason = status.canonical_reason().unwrap_or_default();
            let line = format!("{method} {target} HTTP/1.1");
            api.engine.log.access(peer.as_deref().unwrap_or("-"), &line, status.as_u16(), reason);
        }
    }
    response
}

/// The key guards the paths below, and nothing else.
fn is_open(args: &ServeArgs, path: &str, given: Option<&HeaderValue>) -> bool {
    let guarded = ["/v1", "/v2", "/inference"].iter().any(|prefix| path.starts_with(prefix));
    let key = given.and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
    !guarded
        || args.api_keys.is_empty()
        || key.is_some_and(|key| args.api_keys.iter().any(|known| known == key))
}

/// A JSON body.
fn json(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// FastAPI's own errors.
fn detail(status: StatusCode) -> Response {
    json(status, format!("{{\"detail\":\"{}\"}}", status.canonical_reason().unwrap_or_default()))
}

/// The value of a query parameter.
fn query<'a>(uri: &'a axum::http::Uri, name: &str) -> Option<&'a str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}
