//! What an engine says of itself.

use super::engine::{Engine, Failed, is_forbidden};
use app::model::{Timestamp, UnreachableReason};

/// What an engine says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Docker, or another that speaks its language.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The newest version of the API that it speaks.
    pub api: String,
    /// It runs as an ordinary user.
    pub rootless: bool,
    /// It may be asked more than its version.
    pub info: bool,
    /// It can hand NVIDIA GPUs to containers.
    pub nvidia: bool,
    /// What its clock shows.
    pub now: Option<Timestamp>,
}

/// Asks an engine about itself.
///
/// # Errors
/// Why it cannot be asked.
pub async fn about(engine: &Engine) -> Result<About, UnreachableReason> {
    let away = |failed: Failed| match failed {
        Failed::Away(reason) => reason,
        Failed::Server { status, message } => UnreachableReason::Garbage {
            detail: format!("status {status}: {message}").chars().take(300).collect(),
        },
    };
    let version = engine.ask(|docker| async move { docker.version().await }).await.map_err(away)?;
    // A proxy may keep this one back: only creating needs it.
    let info = match engine.ask(|docker| async move { docker.info().await }).await {
        Ok(info) => Some(info),
        Err(Failed::Server { status, message }) if is_forbidden(status, &message) => None,
        Err(failed) => return Err(away(failed)),
    };
    let components = version.components.unwrap_or_default();
    let name = components.first().map_or_else(|| "Docker".to_owned(), |first| first.name.clone());
    let rootless = info.as_ref().is_some_and(|info| {
        info.security_options.iter().flatten().any(|option| option.contains("name=rootless"))
    });
    Ok(About {
        name: match name.as_str() {
            "Engine" => "Docker".to_owned(),
            "Podman Engine" => "Podman".to_owned(),
            _ => name,
        },
        version: version.version.unwrap_or_default(),
        api: version.api_version.unwrap_or_default(),
        rootless,
        info: info.is_some(),
        nvidia: info
            .as_ref()
            .and_then(|info| info.runtimes.as_ref())
            .is_some_and(|runtimes| runtimes.contains_key("nvidia")),
        now: info
            .and_then(|info| info.system_time)
            .and_then(|text| Timestamp::parse_nanos(&text))
            .map(Timestamp::from_nanos),
    })
}
