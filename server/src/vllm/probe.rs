//! Asks a service's port what is there: ready, silent, or somebody else.

use super::http::{Http, NoAnswer};
use app::model::PortHolder;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;

/// The time limit of one question.
const LIMIT: Duration = Duration::from_secs(2);

/// What the port said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `/health` answered 200. What it serves, if that was asked for and answered.
    Ready(Option<Served>),
    /// Nobody listens, or nobody answers in time.
    Silent,
    /// `/health` answered something else than 200 (vLLM says 503 when its engine is dead).
    Unwell(u16),
    /// Something that is not vLLM listens there.
    Other(PortHolder),
}

/// What `/v1/models` lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// The names, base model first.
    pub models: Vec<String>,
    /// Those of them that are adapters.
    pub adapters: Vec<String>,
    /// `max_model_len` of the base model (of the first in the list, where none says so), in tokens.
    pub max_model_len: Option<u64>,
    /// The engine's version.
    pub version: Option<String>,
}

#[derive(Deserialize)]
struct Models {
    data: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct ServedModel {
    id: String,
    #[serde(default)]
    max_model_len: Option<Box<RawValue>>,
    #[serde(default)]
    parent: Option<Box<RawValue>>,
}

impl ServedModel {
    /// One that is odd counts as not told: it must not take the others along.
    fn max_model_len(&self) -> Option<u64> {
        serde_json::from_str(self.max_model_len.as_ref()?.get()).ok()
    }
}

/// Asks `/health`, and `/v1/models` when it is well and `ask_models` wants that.
pub async fn probe(http: &Http, base: &str, token: Option<&str>, ask_models: bool) -> Probe {
    match http.get(base, "/health", None, LIMIT).await {
        Ok((200, _)) => Probe::Ready(if ask_models { served(http, base, token).await } else { None }),
        Ok((status, _)) => match holder(http, base).await {
            Some(PortHolder::Vllm { .. }) | None => Probe::Unwell(status),
            Some(other) => Probe::Other(other),
        },
        Err(NoAnswer::Refused | NoAnswer::Timeout | NoAnswer::Forbidden) => Probe::Silent,
        Err(NoAnswer::Garbage) => Probe::Other(PortHolder::Unknown),
    }
}

async fn served(http: &Http, base: &str, token: Option<&str>) -> Option<Served> {
    let Ok((200, body)) = http.get(base, "/v1/models", token, LIMIT).await else { return None };
    let list = match serde_json::from_slice::<Models>(&body) {
        Ok(list) => list.data,
        Err(error) => {
            tracing::warn!(%base, %error, "/v1/models is not understood");
            Vec::new()
        }
    };
    // One entry that is none must not take the others along.
    let list = list.iter().filter_map(|model| serde_json::from_str::<ServedModel>(model.get()).ok());
    let (base_models, adapters): (Vec<_>, Vec<_>) = list.partition(|m| m.parent.is_none());
    let max_model_len = base_models.iter().chain(&adapters).find_map(ServedModel::max_model_len);
    let names = |models: Vec<ServedModel>| -> Vec<String> {
        models.into_iter().take(64).map(|m| m.id.chars().take(200).collect()).collect()
    };
    let (mut models, adapters) = (names(base_models), names(adapters));
    models.extend(adapters.iter().cloned());
    let version = match http.get(base, "/version", None, LIMIT).await {
        Ok((200, body)) => version_of(&body),
        _ => None,
    };
    Some(Served { models, adapters, max_model_len, version })
}

/// The answer of `/version` and of Ollama's `/api/version`.
fn version_of(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Version {
        version: String,
    }
    serde_json::from_slice::<Version>(body).ok().map(|v| v.version.chars().take(40).collect())
}

/// Says who listens at `base`, as far as HTTP tells. `None` when nobody does.
pub async fn holder(http: &Http, base: &str) -> Option<PortHolder> {
    match http.get(base, "/api/version", None, LIMIT).await {
        Err(NoAnswer::Refused | NoAnswer::Forbidden) => return None,
        Ok((200, body)) => {
            if let Some(version) = version_of(&body) {
                return Some(PortHolder::Ollama { version });
            }
        }
        _ => {}
    }
    match http.get(base, "/version", None, LIMIT).await {
        Ok((200, body)) => {
            Some(version_of(&body).map_or(PortHolder::Unknown, |version| PortHolder::Vllm { version }))
        }
        _ => Some(PortHolder::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Json, Router, http::StatusCode, routing::get};
    use serde_json::json;

    async fn serve(router: Router) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    #[tokio::test]
    async fn a_healthy_vllm_names_its_models_base_first() {
        let models = json!({"data": [
            {"id": "adapter", "parent": "lydia"},
            {"id": "lydia", "parent": null, "max_model_len": 512},
        ]});
        let base = serve(
            Router::new()
                .route("/health", get(|| async {}))
                .route("/v1/models", get(move || async move { Json(models) }))
                .route("/version", get(|| async { Json(json!({"version": "0.32.0"})) })),
        )
        .await;
        let got = probe(&Http::default(), &base, None, true).await;
        let served = Served {
            models: vec!["lydia".into(), "adapter".into()],
            adapters: vec!["adapter".into()],
            max_model_len: Some(512),
            version: Some("0.32.0".into()),
        };
        assert_eq!(got, Probe::Ready(Some(served)));
    }

    #[tokio::test]
    async fn what_is_odd_in_the_list_of_models_takes_nothing_else_along() {
        for (list, models, length) in [
            (r#"{"data": [{"id": "a", "created": 1e400, "max_model_len": 512}]}"#, vec!["a"], Some(512)),
            (
                r#"{"data": [{"id": "a", "max_model_len": 1e400}, {"id": "b", "parent": "a"}]}"#,
                vec!["a", "b"],
                None,
            ),
            (
                r#"{"data": [{"id": "a", "max_model_len": -1}, {"id": 7}, 8, {"id": "b", "max_model_len": 9}]}"#,
                vec!["a", "b"],
                Some(9),
            ),
            (r#"{"data": "none"}"#, vec![], None),
        ] {
            let base = serve(
                Router::new()
                    .route("/health", get(|| async {}))
                    .route("/v1/models", get(move || async move { list }))
                    .route("/version", get(|| async { Json(json!({"version": "0.32.0"})) })),
            )
            .await;
            let Probe::Ready(Some(served)) = probe(&Http::default(), &base, None, true).await else {
                panic!("it is well: {list}");
            };
            assert_eq!(
                (served.models, served.max_model_len),
                (models.iter().map(|m| (*m).to_owned()).collect(), length),
                "{list}"
            );
            assert_eq!(served.version.as_deref(), Some("0.32.0"), "{list}");
        }
    }

    #[tokio::test]
    async fn an_ollama_on_the_port_is_named() {
        let base =
            serve(Router::new().route("/api/version", get(|| async { Json(json!({"version": "0.12.3"})) })))
                .await;
        let got = probe(&Http::default(), &base, None, true).await;
        assert_eq!(got, Probe::Other(PortHolder::Ollama { version: "0.12.3".into() }));
    }

    #[tokio::test]
    async fn a_dead_engine_is_unwell_and_nobody_is_silent() {
        let base = serve(
            Router::new()
                .route("/health", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
                .route("/version", get(|| async { Json(json!({"version": "0.32.0"})) })),
        )
        .await;
        assert_eq!(probe(&Http::default(), &base, None, true).await, Probe::Unwell(503));
        assert_eq!(probe(&Http::default(), "http://127.0.0.1:1", None, true).await, Probe::Silent);
    }

    #[tokio::test]
    async fn garbage_on_the_port_is_not_ready() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, b"SSH-2.0-OpenSSH_9.2\r\n").await;
                open.push(socket);
            }
        });
        assert_eq!(probe(&Http::default(), &base, None, true).await, Probe::Other(PortHolder::Unknown));
    }

    #[tokio::test]
    async fn whoever_hangs_up_without_a_word_is_silent_not_somebody_else() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        tokio::spawn(async move { while listener.accept().await.is_ok() {} });
        assert_eq!(probe(&Http::default(), &base, None, true).await, Probe::Silent);
    }
}
