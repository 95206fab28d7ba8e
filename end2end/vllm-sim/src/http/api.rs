//! What every vLLM answers: health, models, version, metrics.

use super::{Api, json};
use crate::clock;
use crate::engine::Health;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use std::sync::PoisonError;
use tokio::time::Instant;

/// Paths that the HTTP counters leave out.
pub const UNCOUNTED: [&str; 5] = ["/metrics", "/health", "/load", "/ping", "/version"];

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/health", get(health))
        .route("/ping", get(health).post(health))
        .route("/version", get(|| async { json(StatusCode::OK, "{\"version\":\"0.32.0\"}".to_owned()) }))
        .route("/load", get(load))
        .route("/metrics", get(metrics))
        .route("/v1/models", get(models))
        .route("/kv_event_sources", get(|| async { json(StatusCode::OK, "{}".to_owned()) }))
        .route("/docs", get(|| async { Html("<title>vLLM (simulated)</title>") }))
        .route("/openapi.json", get(|| async { json(StatusCode::OK, OPENAPI.to_owned()) }))
}

const OPENAPI: &str =
    "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"vLLM API Server\",\"version\":\"0.32.0\"},\"paths\":{}}";

/// 200, or 503 once the engine is dead. While it is made to hang there is no answer at all.
async fn health(State(api): State<Api>) -> Response {
    let until = *api.hangs_until.lock().unwrap_or_else(PoisonError::into_inner);
    if until.is_some_and(|until| Instant::now() < until) {
        std::future::pending::<()>().await;
    }
    match api.engine.health() {
        Health::Serving | Health::Draining => StatusCode::OK.into_response(),
        Health::Dead => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn load(State(api): State<Api>) -> Response {
    json(StatusCode::OK, format!("{{\"server_load\":{}}}", api.engine.in_flight()))
}

async fn metrics(State(api): State<Api>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=1.0.0; charset=utf-8")];
    (kind, api.engine.render_metrics()).into_response()
}

/// The base model under each of its names, then the adapters.
async fn models(State(api): State<Api>) -> Response {
    let args = &api.engine.args;
    let length = api.engine.max_model_len;
    let mut cards = Vec::new();
    let names =
        if args.served_names.is_empty() { std::slice::from_ref(&args.model) } else { &args.served_names };
    for name in names {
        cards.push(card(name, &args.model, "null", &length.to_string()));
    }
    for lora in &args.loras {
        cards.push(card(&lora.name, &lora.path, &quoted(args.served_name()), "null"));
    }
    json(StatusCode::OK, format!("{{\"object\":\"list\",\"data\":[{}]}}", cards.join(",")))
}

/// One model, its keys in vLLM's order.
fn card(id: &str, root: &str, parent: &str, length: &str) -> String {
    let (id, root, now, permission) =
        (quoted(id), quoted(root), clock::since_epoch().as_secs(), clock::arbitrary());
    format!(
        "{{\"id\":{id},\"object\":\"model\",\"created\":{now},\"owned_by\":\"vllm\",\"root\":{root},\"parent\":{parent},\"max_model_len\":{length},\"permission\":[{{\"id\":\"modelperm-{permission:016x}\",\"object\":\"model_permission\",\"created\":{now},\"allow_create_engine\":false,\"allow_sampling\":true,\"allow_logprobs\":true,\"allow_search_indices\":false,\"allow_view\":true,\"allow_fine_tuning\":false,\"organization\":\"*\",\"group\":null,\"is_blocking\":false}}]}}"
    )
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
