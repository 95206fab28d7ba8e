//! Commands to a service.

use super::ApiError;
use crate::model::{ImageVerb, Verb};
use leptos::prelude::*;

/// Start, stop or restart a service.
///
/// # Errors
/// See [`ApiError`].
#[server(prefix = "/api/fn", endpoint = "command")]
pub async fn command(
    service: String,
    verb: Verb,
    // Requests that run, or a plan that does not fit, were shown; it is wanted all the same.
    #[server(default)] confirmed: bool,
) -> Result<(), ApiError> {
    let name = named(service)?;
    let (control, caller) = context()?;
    if !confirmed {
        control.objection(&caller, &name, verb).await?;
    }
    control.command(&caller, &name, verb).map(drop)
}

/// Make the change of a remedy, and start.
///
/// # Errors
/// See [`ApiError`].
#[server(prefix = "/api/fn", endpoint = "remedy")]
pub async fn apply_remedy(
    service: String,
    cause: String,
    remedy: usize,
    // The value as it stood on the button.
    #[server(default)] value: String,
) -> Result<(), ApiError> {
    let name = named(service)?;
    let (control, caller) = context()?;
    control.apply_remedy(&caller, &name, &cause, remedy, &value)
}

/// Ask the engine for a short completion, as a test.
///
/// # Errors
/// See [`ApiError`].
#[server(prefix = "/api/fn", endpoint = "smoke")]
pub async fn smoke_test(service: String) -> Result<(), ApiError> {
    let name = named(service)?;
    let (control, caller) = context()?;
    control.smoke_test(&caller, &name)
}

/// Pull the image of a service, cancel that, ask for a newer one, move to it or back.
///
/// # Errors
/// See [`ApiError`].
#[server(prefix = "/api/fn", endpoint = "image")]
pub async fn image_action(
    service: String,
    action: ImageVerb,
    // Requests that run were shown; it is wanted all the same.
    #[server(default)] confirmed: bool,
) -> Result<(), ApiError> {
    let name = named(service)?;
    let (control, caller) = context()?;
    control.image(&caller, &name, action, confirmed).await
}

/// Turn the switch that keeps a service running. `take` ends the container's own restart policy.
///
/// # Errors
/// See [`ApiError`].
#[server(prefix = "/api/fn", endpoint = "auto-start")]
pub async fn auto_start(service: String, on: bool, #[server(default)] take: bool) -> Result<(), ApiError> {
    let name = named(service)?;
    let (control, caller) = context()?;
    control.auto_start(&caller, &name, on, take).await
}

/// Take a container that exists as a service.
///
/// # Errors
/// See [`ApiError`].
#[server(prefix = "/api/fn", endpoint = "adopt")]
pub async fn adopt(container: String) -> Result<(), ApiError> {
    let (control, caller) = context()?;
    control.adopt(&caller, &container).map(drop)
}

#[cfg(feature = "ssr")]
fn named(service: String) -> Result<crate::model::ServiceName, ApiError> {
    crate::model::ServiceName::parse(&service).map_err(|_| ApiError::UnknownService { name: service })
}

#[cfg(feature = "ssr")]
fn context() -> Result<(super::SharedControl, super::Caller), ApiError> {
    use_context().zip(use_context()).ok_or_else(|| ApiError::Transport { detail: "no caller".to_owned() })
}
