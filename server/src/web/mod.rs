//! HTTP: routes, the walls around them, the page, the stream, and the plain API beside it. Only this room knows HTTP.
//!
//! In: requests. Out: answers made from memory; commands go to the `Control`. Nothing here waits for Docker, NVML or a
//! service's port.

mod api;
mod client;
mod explain;
mod logs;
mod page;
mod parts;
mod problem;
mod requests;
mod runs;
mod search;
mod stream;
mod walls;

pub use client::Client;
pub use walls::Hosts;

use crate::supervisor::{Fleet, FleetControl};
use app::api::{Caller, SharedControl, Who};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get, post};
use leptos::config::LeptosOptions;
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::services::ServeDir;

/// What every handler has at hand.
#[derive(Clone)]
pub struct Site {
    /// The services.
    pub fleet: Arc<Fleet>,
    /// What the page may ask.
    pub control: SharedControl,
    /// Leptos' own options.
    pub leptos: LeptosOptions,
    /// Neighbouring pages.
    pub links: Arc<Vec<(String, String)>>,
    /// Cancelled when the server stops: streams say goodbye.
    pub stop: CancellationToken,
}

impl Site {
    /// Puts a site together.
    pub fn new(
        fleet: Arc<Fleet>,
        leptos: LeptosOptions,
        links: Vec<(String, String)>,
        stop: CancellationToken,
    ) -> Self {
        let control: SharedControl = Arc::new(FleetControl(fleet.clone()));
        Self { fleet, control, leptos, links: Arc::new(links), stop }
    }

    /// Who asks. The one place where callers are made: today whoever reaches the loopback address.
    pub const fn caller(&self) -> Caller {
        Caller { who: Who::Local }
    }
}

/// Commands and forms are small.
const BODY_LIMIT: usize = 64 << 10;
/// A log to explain may be large.
const LOG_LIMIT: usize = 64 << 20;

/// The parts that the server alone writes.
fn parts() -> Router<Site> {
    Router::new()
        .route("/parts/settings/{name}", get(parts::settings).post(parts::save))
        .route("/parts/settings/{name}/check", post(parts::check))
        .route("/parts/settings/{name}/paste", post(parts::paste))
        .route("/parts/settings/{name}/use", post(parts::use_model))
        .route("/parts/settings/{name}/restore", post(parts::restore))
        .route("/parts/models/delete", post(parts::delete_model))
        .route("/parts/models/{name}", get(parts::models))
        .route("/parts/runs/{name}", get(runs::get).post(runs::turned))
        .route("/parts/runs/{name}/compare", get(runs::compare).post(runs::compared))
        .route("/parts/requests/{name}", get(requests::get).post(requests::post))
        .route("/parts/images", get(parts::images))
        .route("/parts/images/remove", post(parts::remove_image))
        .route("/parts/images/prune", post(parts::prune_images))
}

/// All routes, behind all walls.
pub fn router(site: Site, hosts: Hosts, assets: &Path) -> Router {
    let files = ServeDir::new(assets.join("pkg")).precompressed_br().precompressed_gzip();
    let logs = Router::new()
        .route("/explain", get(explain::form).post(explain::page))
        .route("/api/explain", post(explain::api))
        .layer(RequestBodyLimitLayer::new(LOG_LIMIT));
    // Pages are text, and much of it the same words. The stream and the logs are never compressed: they must not wait.
    let pages = Router::new()
        .route("/", get(page::services))
        .route("/services/{name}", get(page::service))
        .merge(parts())
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest));
    Router::new()
        .route("/services/{name}/search", get(search::page))
        .route("/preferences", post(page::preferences))
        .route("/favicon.svg", get(page::icon))
        .route("/healthz", get(api::healthz))
        .route("/api/services", get(api::services))
        .route("/api/services/{name}", get(api::service))
        .route("/api/services/{name}/start", post(api::start))
        .route("/api/services/{name}/stop", post(api::stop))
        .route("/api/services/{name}/restart", post(api::restart))
        .route("/api/services/{name}/pull", post(api::pull))
        .route("/api/services/{name}/pull/cancel", post(api::cancel_pull))
        .route("/api/images", get(api::images))
        .route("/api/services/{name}/logs", get(logs::logs))
        .route("/api/services/{name}/search", get(logs::search))
        .route("/api/services/{name}/container-logs", get(logs::container_logs))
        .route("/api/services/{name}/runs", get(runs::api))
        .route("/api/stream", get(stream::stream))
        .route("/api/fn/{function}", post(page::server_function))
        .route("/api/{*rest}", any(problem::no_such_place))
        .nest_service("/pkg", files)
        .fallback(page::not_found)
        .layer(RequestBodyLimitLayer::new(BODY_LIMIT))
        .merge(pages.layer(RequestBodyLimitLayer::new(BODY_LIMIT)))
        .merge(logs)
        .method_not_allowed_fallback(problem::wrong_method)
        .with_state(site)
        // `body_size` answers a length that is told, the limits end a body that grows without telling.
        .layer(DefaultBodyLimit::disable())
        .layer(axum::middleware::from_fn(walls::body_size))
        .layer(axum::middleware::from_fn_with_state(hosts, walls::guard))
}
