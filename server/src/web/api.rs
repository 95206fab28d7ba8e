//! The plain HTTP beside the stream: for scripts and monitoring.

use super::Site;
use super::problem::Problem;
use app::model::{Image, ImageVerb, Service, ServiceName, Verb};
use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// A service's name out of an address.
pub fn name(text: &str) -> Result<ServiceName, Problem> {
    ServiceName::parse(text)
        .map_err(|_| app::api::ApiError::UnknownService { name: text.chars().take(80).collect() }.into())
}

/// All services.
pub async fn services(site: Site) -> Json<Vec<Service>> {
    Json(site.control.snapshot(site.caller(), None).services)
}

/// One service.
pub async fn service(site: Site, Path(text): Path<String>) -> Result<Json<Service>, Problem> {
    let wanted = name(&text)?;
    let services = site.control.snapshot(site.caller(), None).services;
    let found = services.into_iter().find(|s| s.name == wanted);
    found.map(Json).ok_or_else(|| app::api::ApiError::UnknownService { name: text }.into())
}

fn command(site: &Site, text: &str, verb: Verb) -> Result<Response, Problem> {
    let service = site.control.command(site.caller(), &name(text)?, verb)?;
    Ok((StatusCode::ACCEPTED, Json(service)).into_response())
}

/// Start.
pub async fn start(site: Site, Path(text): Path<String>) -> Result<Response, Problem> {
    command(&site, &text, Verb::Start)
}

/// Stop.
pub async fn stop(site: Site, Path(text): Path<String>) -> Result<Response, Problem> {
    command(&site, &text, Verb::Stop)
}

/// Restart.
pub async fn restart(site: Site, Path(text): Path<String>) -> Result<Response, Problem> {
    command(&site, &text, Verb::Restart)
}

/// Pull the service's image.
pub async fn pull(site: Site, Path(text): Path<String>) -> Result<Response, Problem> {
    image(&site, &text, ImageVerb::Pull).await
}

/// Cancel that.
pub async fn cancel_pull(site: Site, Path(text): Path<String>) -> Result<Response, Problem> {
    image(&site, &text, ImageVerb::Cancel).await
}

async fn image(site: &Site, text: &str, verb: ImageVerb) -> Result<Response, Problem> {
    // Pulls and cancellations end no requests: there is nothing to confirm.
    site.control.image(site.caller(), &name(text)?, verb, false).await?;
    Ok((StatusCode::ACCEPTED, images(site.clone()).await).into_response())
}

/// Images that services name, with their pulls.
pub async fn images(site: Site) -> Json<Vec<Image>> {
    Json(site.control.snapshot(site.caller(), None).images)
}
