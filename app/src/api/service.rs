//! Commands to a service.

use super::ApiError;
use crate::model::Verb;
use leptos::prelude::*;

/// Start, stop or restart a service.
///
/// # Errors
/// See [`ApiError`].
#[server(prefix = "/api/fn", endpoint = "command")]
pub async fn command(service: String, verb: Verb) -> Result<(), ApiError> {
    let name =
        crate::model::ServiceName::parse(&service).map_err(|_| ApiError::UnknownService { name: service })?;
    let (control, caller) = context()?;
    control.command(&caller, &name, verb).map(drop)
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
fn context() -> Result<(super::SharedControl, super::Caller), ApiError> {
    use_context().zip(use_context()).ok_or_else(|| ApiError::Transport { detail: "no caller".to_owned() })
}
