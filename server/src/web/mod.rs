//! HTTP: routes, the walls around them, the page, the stream, and the plain API beside it. Only this room knows HTTP.
//!
//! In: requests. Out: answers made from memory; commands go to the `Control`. Nothing here waits for Docker, NVML or a
//! service's port.

mod access;
mod api;
mod arrival;
mod client;
mod describe;
mod explain;
mod flash;
mod gate;
mod logs;
mod monitor;
mod notify;
mod page;
mod parts;
mod problem;
mod quota;
mod requests;
mod rules;
mod runs;
mod search;
pub mod serve;
mod stream;
mod walls;

pub use arrival::{REQUEST_ID, RequestId};
pub use client::Client;
pub use walls::Hosts;

use crate::access::{Access, Guest};
use crate::notify::Notifier;
use crate::supervisor::{Fleet, FleetControl};
use crate::vitals::Vitals;
use crate::vitals::journal::Journal;
use app::api::{Caller, Need, SharedControl};
use axum::extract::{DefaultBodyLimit, FromRequestParts};
use axum::http::request::Parts;
use axum::middleware::from_fn;
use axum::routing::any;
use axum::{Extension, Router};
use flash::Flashes;
use gate::Gate;
use leptos::config::LeptosOptions;
use quota::{Quotas, Share};
use rules::{Demand, FUNCTIONS_AT, Routes};
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::services::ServeDir;

/// What every handler has at hand, and who it is for.
#[derive(Clone)]
pub struct Site {
    /// The services.
    pub fleet: Arc<Fleet>,
    /// What the page may ask.
    pub control: SharedControl,
    /// Who is let in.
    pub access: Arc<Access>,
    /// Leptos' own options.
    pub leptos: LeptosOptions,
    /// Neighbouring pages.
    pub links: Arc<Vec<(String, String)>>,
    /// Cancelled when the server stops: streams say goodbye.
    pub stop: CancellationToken,
    /// The dashboard's own figures.
    pub vitals: Arc<Vitals>,
    /// The dashboard's own log.
    pub journal: Arc<Journal>,
    /// Who is told when something happens.
    pub notifier: Option<Arc<Notifier>>,
    /// What many share.
    quotas: Quotas,
    /// What browsers are told once.
    flashes: Arc<Flashes>,
    /// Who asks, where the gate let somebody in.
    guest: Option<Arc<Guest>>,
}

impl Site {
    /// Puts a site together.
    pub fn new(
        fleet: Arc<Fleet>,
        access: Arc<Access>,
        leptos: LeptosOptions,
        links: Vec<(String, String)>,
        stop: CancellationToken,
    ) -> Self {
        let control: SharedControl = Arc::new(FleetControl(fleet.clone()));
        let (vitals, journal) = (Arc::default(), Arc::new(Journal::silent()));
        let links = Arc::new(links);
        let quotas = Quotas::default();
        Self {
            fleet,
            control,
            access,
            leptos,
            links,
            stop,
            vitals,
            journal,
            notifier: None,
            quotas,
            flashes: Arc::default(),
            guest: None,
        }
    }

    /// The same with these notifications.
    pub fn with_notifier(self, notifier: Arc<Notifier>) -> Self {
        Self { notifier: Some(notifier), ..self }
    }

    /// The same with this log.
    pub fn with_journal(self, journal: Journal) -> Self {
        Self { journal: Arc::new(journal), ..self }
    }

    /// A place among those who read or send much; `None` when none becomes free in time.
    async fn reader(&self) -> Option<Share> {
        self.quotas.readers.wait(self.caller(), 1, PATIENCE).await
    }

    /// Who asks.
    pub fn guest(&self) -> Option<&Guest> {
        self.guest.as_deref()
    }

    /// Who asks, as far as rights go: nobody, where the gate let nobody in.
    pub fn caller(&self) -> &Caller {
        static NOBODY: LazyLock<Caller> = LazyLock::new(Caller::nobody);
        self.guest.as_ref().map_or(&NOBODY, |guest| &guest.caller)
    }
}

/// Handlers take the site as an argument: only so does it know who asks.
impl FromRequestParts<Self> for Site {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, site: &Self) -> Result<Self, Infallible> {
        Ok(Self { guest: parts.extensions.get::<Guest>().cloned().map(Arc::new), ..site.clone() })
    }
}

/// How long a place among those who read or send much may be waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Commands and forms are small.
const BODY_LIMIT: usize = 64 << 10;
/// A log to explain may be large.
const LOG_LIMIT: usize = 64 << 20;

const LOOK: Demand = Demand::Role(Need::Look);
const OPERATE: Demand = Demand::Role(Need::Operate);
const ADMINISTER: Demand = Demand::Role(Need::Administer);

/// The parts that the server alone writes.
fn parts() -> Routes {
    Routes::default()
        .get("/parts/settings/{name}", ADMINISTER, parts::settings)
        .post("/parts/settings/{name}", ADMINISTER, "", parts::save)
        .post("/parts/settings/{name}/check", ADMINISTER, "", parts::check)
        .post("/parts/settings/{name}/paste", ADMINISTER, "", parts::paste)
        .post("/parts/settings/{name}/use", ADMINISTER, "", parts::use_model)
        .post("/parts/settings/{name}/restore", ADMINISTER, "", parts::restore)
        .post("/parts/cache/delete", ADMINISTER, "", parts::delete_model)
        .get("/parts/models/{name}", LOOK, parts::models)
        .get("/parts/runs/{name}", LOOK, runs::get)
        .post("/parts/runs/{name}", LOOK, "", runs::turned)
        .get("/parts/runs/{name}/compare", LOOK, runs::compare)
        .post("/parts/runs/{name}/compare", LOOK, "", runs::compared)
        .get("/parts/requests/{name}", LOOK, requests::get)
        .post("/parts/requests/{name}", LOOK, "", requests::post)
        .get("/parts/notify", LOOK, notify::part)
        .post("/parts/notify/test", ADMINISTER, "notify-test", notify::test)
        .get("/parts/images", LOOK, parts::images)
        .post("/parts/images/remove", ADMINISTER, "", parts::remove_image)
        .post("/parts/images/prune", ADMINISTER, "", parts::prune_images)
}

/// The pages about accounts.
fn accounts() -> Routes {
    Routes::default()
        .get("/login", Demand::Open, access::login)
        .post("/login", Demand::Open, "", access::sign_in)
        .get("/setup", Demand::Open, access::setup)
        .post("/setup", Demand::Open, "", access::set_up)
        .post("/logout", LOOK, "sign-out", access::sign_out)
        .get("/account", LOOK, access::account)
        .post("/account/password", LOOK, "", access::password)
        .post("/account/sessions", LOOK, "", access::sessions)
        .post("/account/tokens", LOOK, "", access::tokens)
        .get("/accounts", ADMINISTER, access::accounts)
        .post("/accounts", ADMINISTER, "", access::change_account)
        .get("/audit", ADMINISTER, access::audit)
}

/// The plain HTTP beside the page.
fn plain() -> Routes {
    Routes::default()
        .get("/healthz", Demand::Open, monitor::healthz)
        .get("/readyz", Demand::Open, monitor::readyz)
        .get("/metrics", LOOK, monitor::metrics)
        .get("/api/openapi.json", LOOK, describe::openapi)
        .get("/api/log-level", LOOK, monitor::log_level)
        .post("/api/log-level", ADMINISTER, "log-level", monitor::set_log_level)
        .get("/api/services", LOOK, api::services)
        .get("/api/services/{name}", LOOK, api::service)
        .post("/api/services/{name}/start", OPERATE, "start", api::start)
        .post("/api/services/{name}/stop", OPERATE, "stop", api::stop)
        .post("/api/services/{name}/restart", OPERATE, "restart", api::restart)
        .post("/api/services/{name}/pull", OPERATE, "image", api::pull)
        .post("/api/services/{name}/pull/cancel", OPERATE, "image", api::cancel_pull)
        .get("/api/images", LOOK, api::images)
        .get("/api/services/{name}/logs", LOOK, logs::logs)
        .get("/api/services/{name}/search", LOOK, logs::search)
        .get("/api/services/{name}/container-logs", LOOK, logs::container_logs)
        .get("/api/services/{name}/runs", LOOK, runs::api)
        .get("/api/stream", LOOK, stream::stream)
        .get("/api/audit", ADMINISTER, access::export)
        .within(|routes| routes.layer(from_fn(problem::told)))
}

/// All routes with their rules; around them what belongs to each kind.
fn routes() -> Routes {
    let small = || RequestBodyLimitLayer::new(BODY_LIMIT);
    let logs = Routes::default()
        .get("/explain", LOOK, explain::form)
        .post("/explain", LOOK, "", explain::page)
        .and(
            Routes::default()
                .post("/api/explain", LOOK, "", explain::api)
                .within(|routes| routes.layer(from_fn(problem::told))),
        )
        .within(|routes| routes.layer(from_fn(quota::counted)).layer(RequestBodyLimitLayer::new(LOG_LIMIT)));
    // Pages are text, and much of it the same words. The stream and the logs are never compressed: they must not wait.
    let pages = Routes::default()
        .get("/", LOOK, page::services)
        .get("/services/{name}", LOOK, page::service)
        .and(parts())
        .and(accounts())
        .within(|routes| {
            // Counted as they are made: of what is packed nobody knows the length beforehand.
            let routes = routes.layer(from_fn(quota::counted));
            routes.layer(CompressionLayer::new().quality(CompressionLevel::Fastest)).layer(small())
        });
    let functions = Routes::default()
        .post(FUNCTIONS_AT, LOOK, "", page::server_function)
        .within(|routes| routes.layer(from_fn(problem::told)));
    Routes::default()
        .get("/services/{name}/search", LOOK, search::page)
        .post("/preferences", Demand::Open, "", page::preferences)
        .get("/favicon.svg", Demand::Open, page::icon)
        .and(functions)
        .and(plain())
        .within(|routes| routes.layer(from_fn(quota::counted)).layer(small()))
        .and(pages)
        .and(logs)
}

/// All routes, behind all walls.
pub fn router(site: Site, hosts: Hosts, assets: &Path) -> Router {
    let files = ServeDir::new(assets.join("pkg")).precompressed_br().precompressed_gzip();
    let (routes, rules) = routes().done();
    let (access, vitals, answers) = (site.access.clone(), site.vitals.clone(), site.quotas.answers.clone());
    let gate = Gate { access: access.clone(), rules };
    routes
        .route("/api/{*rest}", any(problem::no_such_place))
        .nest_service("/pkg", files)
        .fallback(page::not_found)
        .method_not_allowed_fallback(problem::wrong_method)
        .with_state(site)
        .layer(Extension(answers))
        .layer(axum::middleware::from_fn_with_state(gate, gate::gate))
        // `body_size` answers a length that is told, the limits end a body that grows without telling.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(walls::body_size))
        .layer(axum::middleware::from_fn_with_state((hosts, access), walls::guard))
        .layer(axum::middleware::from_fn_with_state(vitals, arrival::arrival))
}

#[cfg(test)]
mod tests;
