//! What an engine says of itself.

use super::engine::{Engine, Failed};
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
    let info = engine.ask(|docker| async move { docker.info().await }).await.map_err(away)?;
    let components = version.components.unwrap_or_default();
    let name = components.first().map_or_else(|| "Docker".to_owned(), |first| first.name.clone());
    Ok(About {
        name: if name == "Engine" { "Docker".to_owned() } else { name },
        version: version.version.unwrap_or_default(),
        api: version.api_version.unwrap_or_default(),
        nvidia: info.runtimes.is_some_and(|runtimes| runtimes.contains_key("nvidia")),
        now: info.system_time.and_then(|text| Timestamp::parse_nanos(&text)).map(Timestamp::from_nanos),
    })
}
