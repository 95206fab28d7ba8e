//! What Podman says in other words than Docker, read so that both mean the same.
//!
//! Its containers have states that Docker's do not, and the client library refuses an answer whole for one word that it does
//! not know. So these answers are read here, and only then handed to its types.

use super::body::{Body, Read};
use super::engine::Failed;
use app::model::UnreachableReason;
use bollard::models::{ContainerInspectResponse, ContainerSummary};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A longer answer is none: lists of hundreds of containers are shorter.
const LONGEST: usize = 16 << 20;

/// How a container is; its name was checked.
pub async fn inspect(address: &str, name: &str) -> Result<ContainerInspectResponse, Failed> {
    let mut found = get(address, &format!("/containers/{name}/json")).await?;
    if let Some(state) = found.get_mut("State") {
        translate(state, "Status");
    }
    typed(found)
}

/// All containers, running or not.
pub async fn containers(address: &str) -> Result<Vec<ContainerSummary>, Failed> {
    let mut found = get(address, "/containers/json?all=true").await?;
    for container in found.as_array_mut().into_iter().flatten() {
        translate(container, "State");
    }
    typed(found)
}

/// Podman's states in Docker's words: <https://docs.podman.io/en/latest/markdown/podman-ps.1.html>.
fn translate(state: &mut Value, key: &str) {
    let (word, running) = match state.get(key).and_then(Value::as_str) {
        Some("configured" | "initialized") => ("created", None),
        // It was sent its signal, and has not ended.
        Some("stopping") => ("running", Some(true)),
        // It has ended, and is still cleaned up behind: a start now would lose its published ports to that.
        Some("stopped") => ("removing", None),
        Some("created" | "running" | "paused" | "restarting" | "removing" | "exited" | "dead") | None => {
            return;
        }
        Some(_) => ("", None),
    };
    if let Some(state) = state.as_object_mut() {
        state.insert(key.to_owned(), Value::from(word));
        if let (Some(running), true) = (running, state.contains_key("Running")) {
            state.insert("Running".to_owned(), Value::from(running));
        }
    }
}

fn garbage(detail: &dyn ToString) -> Failed {
    Failed::Away(UnreachableReason::Garbage { detail: detail.to_string().chars().take(300).collect() })
}

fn typed<T: DeserializeOwned>(found: Value) -> Result<T, Failed> {
    serde_json::from_value(found).map_err(|error| garbage(&error))
}

async fn get(address: &str, path: &str) -> Result<Value, Failed> {
    let (status, mut body) = Body::get(address, path).await.map_err(Failed::Away)?;
    let mut text = Vec::new();
    while body.read(|bytes| text.extend_from_slice(bytes)).await.map_err(|error| garbage(&error))?
        != Read::End
    {
        if text.len() > LONGEST {
            return Err(garbage(&"an answer without an end"));
        }
    }
    let found: Result<Value, _> = serde_json::from_slice(&text);
    match (status, found) {
        (200, found) => found.map_err(|error| garbage(&error)),
        (_, found) => {
            let said = found.ok().and_then(|found| Some(found.get("message")?.as_str()?.to_owned()));
            let message = said.unwrap_or_else(|| String::from_utf8_lossy(&text).into_owned());
            Err(Failed::Server { status, message })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::{ContainerStateStatusEnum, ContainerSummaryStateEnum};

    #[test]
    fn states_that_docker_does_not_know_are_read_as_what_they_mean() {
        // As Podman 4.3.1 answers in the moment after a signal.
        let state = |status: &str, running: bool| {
            let mut state = serde_json::json!({
                "Status": status, "Running": running, "Pid": 0, "ExitCode": 137,
                "StartedAt": "2026-11-23T06:53:22.261113394Z", "FinishedAt": "2026-11-23T06:53:27.123466531Z",
                "Health": {"Status": "", "FailingStreak": 0, "Log": null}
            });
            translate(&mut state, "Status");
            let found: ContainerInspectResponse =
                typed(serde_json::json!({"Id": "ab", "State": state})).expect("read");
            let state = found.state.expect("set");
            (state.status, state.running)
        };
        assert_eq!(state("stopped", false), (Some(ContainerStateStatusEnum::REMOVING), Some(false)));
        assert_eq!(state("stopping", false), (Some(ContainerStateStatusEnum::RUNNING), Some(true)));
        assert_eq!(state("initialized", false), (Some(ContainerStateStatusEnum::CREATED), Some(false)));
        assert_eq!(state("running", true), (Some(ContainerStateStatusEnum::RUNNING), Some(true)));
        assert_eq!(state("a new word", true), (Some(ContainerStateStatusEnum::EMPTY), Some(true)));
    }

    #[test]
    fn one_container_does_not_spoil_the_list() {
        let mut list =
            serde_json::json!([{"Id": "ab", "State": "stopping"}, {"Id": "cd", "State": "exited"}]);
        for container in list.as_array_mut().expect("a list") {
            translate(container, "State");
        }
        let list: Vec<ContainerSummary> = typed(list).expect("read");
        let states: Vec<_> = list.iter().map(|container| container.state).collect();
        assert_eq!(
            states,
            [Some(ContainerSummaryStateEnum::RUNNING), Some(ContainerSummaryStateEnum::EXITED)]
        );
    }
}
