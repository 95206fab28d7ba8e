//! Reads what an inspection shows, and writes what a creation needs.

use super::{Dialect, Engine};
use crate::runtime::{Activity, Ended, Instance, InstanceId, Launch, RuntimeError};
use app::model::{Candidate, ContainerFacts, Timestamp, UnreachableReason};
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary,
    ContainerSummaryStateEnum, DeviceRequest, HostConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

/// On containers that we created: for which service.
const LABEL_SERVICE: &str = "io.services.service";
/// On containers that we created: from which launch, as a hash.
const LABEL_LAUNCH: &str = "io.services.launch";
/// On containers of a Compose project: its name.
const LABEL_PROJECT: &str = "com.docker.compose.project";
/// Shared memory for the engine's worker processes; an upper limit, not a reservation.
pub const SHM_BYTES: i64 = 16 << 30;
/// Folders below `~/.cache` that outlive a container: weights, and compiled graphs.
pub const CACHES: [&str; 2] = ["huggingface", "vllm"];
/// How long before its start a container's log may already have lines: the engine opens the log first.
const LOG_LEAD_NS: i64 = 200_000_000;
/// A container that was started so soon after it was made is taken to be started for the first time.
const FIRST_START_NS: i64 = 5_000_000_000;

fn nanos(time: Option<&String>) -> Option<i64> {
    // The engine writes year 1 for "never".
    time.and_then(|t| Timestamp::parse_nanos(t)).filter(|ns| *ns > 0)
}

/// What an inspection shows.
///
/// # Errors
/// [`RuntimeError::Away`] when the answer lacks what every engine sends.
pub fn read(
    found: &ContainerInspectResponse,
    service: &str,
    dialect: Dialect,
    engine: &Engine,
) -> Result<Instance, RuntimeError> {
    let garbage = |what: &str| {
        RuntimeError::Away(UnreachableReason::Garbage { detail: format!("an inspection without {what}") })
    };
    let id = found
        .id
        .clone()
        .filter(|id| id.chars().all(|c| c.is_ascii_hexdigit()))
        .ok_or_else(|| garbage("an id"))?;
    let state = found.state.as_ref().ok_or_else(|| garbage("a state"))?;
    let config = found.config.as_ref();
    let host_config = found.host_config.as_ref();
    let started_ns = nanos(state.started_at.as_ref());
    let finished_ns = nanos(state.finished_at.as_ref());
    let activity = match started_ns {
        None => Activity::Created,
        Some(_) if state.running == Some(true) || state.restarting == Some(true) => Activity::Running,
        Some(started) => {
            let told = engine.told(&id);
            let stop_signal = config.and_then(|c| c.stop_signal.as_deref()).map_or(15, signal_number);
            let code = state.exit_code.unwrap_or(-1);
            let at = Timestamp::from_nanos(finished_ns.unwrap_or(started));
            // `podman stop` tells nobody that it was; an end in order, or by SIGTERM, may be that.
            let perhaps_asked = engine.is_podman() && matches!(code, 0 | 143);
            Activity::Ended(Ended {
                code,
                oom: state.oom_killed == Some(true),
                asked_outside: told.asked_before(at, stop_signal, code),
                perhaps_asked,
                at,
            })
        }
    };
    let name = found.name.as_deref().unwrap_or_default().trim_start_matches('/').to_owned();
    let facts = ContainerFacts {
        name,
        id: id.chars().take(12).collect(),
        adopted: !is_ours(found, service),
        auto_remove: host_config.and_then(|h| h.auto_remove) == Some(true),
        restart_policy: host_config
            .and_then(|h| h.restart_policy.as_ref())
            .and_then(|p| p.name)
            .map_or("no", policy_word)
            .to_owned(),
        image_id: found.image.clone(),
        model: (dialect.model_of)(&arguments(found)),
        project: label(found, LABEL_PROJECT).cloned(),
    };
    let created_ns = found.created.as_deref().and_then(Timestamp::parse_nanos);
    let log_from_ns = match (started_ns, finished_ns) {
        // It ran before: that run's last lines end where it finished, or just behind. (Of a container that ended at once
        // the engine may note the end before the start: that is no earlier run.)
        (Some(started), Some(finished)) if activity == Activity::Running && finished < started => {
            (started - LOG_LEAD_NS).max(finished + (started - finished) / 2)
        }
        (Some(started), _) if found.restart_count.unwrap_or(0) > 0 => started - LOG_LEAD_NS,
        // Its first start, as far as can be told: the whole log is its own. The engine may note the start long after the
        // first lines, when the machine is busy.
        (Some(started), Some(_)) if created_ns.is_some_and(|made| started - made < FIRST_START_NS) => 0,
        (Some(started), Some(_)) => started - LOG_LEAD_NS,
        _ => 0,
    };
    Ok(Instance {
        id: InstanceId { id, started_ns: started_ns.unwrap_or(0) },
        activity,
        api_url: api_url(found, dialect, &engine.host()),
        image: config.and_then(|c| c.image.clone()),
        container: Some(facts),
        log_from_ns,
        pids: state.pid.and_then(|p| u32::try_from(p).ok()).filter(|p| *p > 0).into_iter().collect(),
        remnants: Vec::new(),
    })
}

/// Turns what was seen last of a container that is gone into its end.
pub fn removed(last: &mut Instance, engine: &Engine) {
    if last.activity != Activity::Running {
        return;
    }
    let told = engine.told(&last.id.id);
    let auto_remove = last.container.as_ref().is_some_and(|c| c.auto_remove);
    let (code, at) = told.died.unwrap_or_else(|| (-1, Timestamp::now()));
    // Only `docker rm -f` takes away a running container that has no --rm: somebody asked for it.
    let asked_outside = !auto_remove || told.died.is_none() || told.asked_before(at, 15, code);
    last.activity = Activity::Ended(Ended { code, oom: false, asked_outside, perhaps_asked: false, at });
}

fn policy_word(policy: RestartPolicyNameEnum) -> &'static str {
    match policy {
        RestartPolicyNameEnum::ALWAYS => "always",
        RestartPolicyNameEnum::UNLESS_STOPPED => "unless-stopped",
        RestartPolicyNameEnum::ON_FAILURE => "on-failure",
        RestartPolicyNameEnum::NO | RestartPolicyNameEnum::EMPTY => "no",
    }
}

/// `SIGTERM`, `TERM` or `15`.
fn signal_number(name: &str) -> i32 {
    if let Ok(number) = name.parse() {
        return number;
    }
    match name.trim_start_matches("SIG") {
        "INT" => 2,
        "QUIT" => 3,
        "KILL" => 9,
        "USR1" => 10,
        "USR2" => 12,
        _ => 15,
    }
}

/// What it was told to run with.
fn arguments(found: &ContainerInspectResponse) -> Vec<String> {
    let mut args = found.args.clone().unwrap_or_default();
    args.extend(found.config.as_ref().and_then(|c| c.cmd.clone()).unwrap_or_default());
    args
}

/// Where the API of a container is, by the port that it really publishes.
fn api_url(found: &ContainerInspectResponse, dialect: Dialect, engine_host: &str) -> Option<String> {
    let inner = (dialect.port_of)(&arguments(found)).unwrap_or(dialect.default_port);
    let host_config = found.host_config.as_ref()?;
    if host_config.network_mode.as_deref() == Some("host") {
        return Some(format!("http://{engine_host}:{inner}"));
    }
    let network = found.network_settings.as_ref();
    let live = network.and_then(|n| n.ports.as_ref());
    let planned = host_config.port_bindings.as_ref();
    let key = format!("{inner}/tcp");
    let published = |ports: &HashMap<String, Option<Vec<PortBinding>>>| {
        let bindings = ports.get(&key).cloned().flatten().or_else(|| {
            // One published port and no word about which: it is that one.
            let mut all = ports.values().flatten();
            all.next().filter(|_| all.next().is_none()).cloned()
        })?;
        bindings.into_iter().find_map(|b| {
            let port = b.host_port?.parse::<u16>().ok().filter(|p| *p > 0)?;
            let host = b
                .host_ip
                .filter(|ip| !matches!(ip.as_str(), "" | "0.0.0.0" | "::"))
                .unwrap_or_else(|| engine_host.to_owned());
            Some(if host.contains(':') {
                format!("http://[{host}]:{port}")
            } else {
                format!("http://{host}:{port}")
            })
        })
    };
    live.and_then(published).or_else(|| planned.and_then(published)).or_else(|| {
        let networks = network?.networks.as_ref()?;
        let ip = networks.values().filter_map(|n| n.ip_address.clone()).find(|ip| !ip.is_empty())?;
        Some(format!("http://{ip}:{inner}"))
    })
}

/// A container of this kind's image, for the list.
pub fn candidate(summary: &ContainerSummary, dialect: Dialect) -> Option<Candidate> {
    let image = summary.image.clone().filter(|i| (dialect.is_image)(i))?;
    let container = summary.names.as_ref()?.first()?.trim_start_matches('/').to_owned();
    let ports = summary.ports.as_deref().unwrap_or_default();
    let port = ports
        .iter()
        .find(|p| p.private_port == dialect.default_port)
        .or_else(|| ports.first())
        .and_then(|p| p.public_port);
    Some(Candidate {
        container,
        image,
        running: summary.state == Some(ContainerSummaryStateEnum::RUNNING),
        port,
    })
}

fn hash(launch: &Launch) -> String {
    // Not a secret's keeper: only whether two launches are the same.
    let mut hasher = DefaultHasher::new();
    (&launch.image, &launch.args, &launch.env, launch.inner_port, launch.host_port, &launch.gpus)
        .hash(&mut hasher);
    // Only where it is set: containers from before it existed stay as they are.
    if let Some(folder) = &launch.hf_home {
        folder.hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}

/// Its name, or at least twelve digits of its id, is this.
pub fn is_named(found: &ContainerInspectResponse, name: &str) -> bool {
    let by_name = found.name.as_deref().is_some_and(|n| n.trim_start_matches('/') == name);
    by_name || (name.len() >= 12 && found.id.as_deref().is_some_and(|id| id.starts_with(name)))
}

/// We created it for this service.
pub fn is_ours(found: &ContainerInspectResponse, service: &str) -> bool {
    label(found, LABEL_SERVICE).is_some_and(|s| s == service)
}

fn label<'a>(found: &'a ContainerInspectResponse, key: &str) -> Option<&'a String> {
    found.config.as_ref()?.labels.as_ref()?.get(key)
}

/// It has ended, and the engine is taking it away.
pub fn is_leaving(found: &ContainerInspectResponse) -> bool {
    let auto_remove = found.host_config.as_ref().and_then(|h| h.auto_remove) == Some(true);
    found.state.as_ref().is_some_and(|s| {
        s.status == Some(ContainerStateStatusEnum::REMOVING)
            || (auto_remove && s.status == Some(ContainerStateStatusEnum::EXITED))
    })
}

/// We created it, from other settings than these.
pub fn is_outdated(found: &ContainerInspectResponse, service: &str, launch: &Launch) -> bool {
    launch.missing.is_none()
        && is_ours(found, service)
        && label(found, LABEL_LAUNCH).is_some_and(|h| *h != hash(launch))
}

/// What a container sees of this machine: caches, to write, and the launch's own folders, to read.
pub fn binds(launch: &Launch, cache_dir: Option<&Path>) -> Vec<String> {
    let mut binds: Vec<String> = Vec::new();
    if let Some(cache) = cache_dir {
        for folder in CACHES {
            let own = launch.hf_home.as_ref().filter(|_| folder == CACHES[0]);
            let here = own.cloned().unwrap_or_else(|| cache.join(folder));
            binds.push(format!("{}:/root/.cache/{folder}", here.display()));
        }
    }
    // Folders with weights and adapters are seen inside under the same path.
    for folder in launch.folders.iter().filter(|f| f.is_absolute() && f.is_dir()) {
        let path = folder.display().to_string();
        let bind = format!("{path}:{path}:ro");
        if !path.contains(':') && !binds.contains(&bind) {
            binds.push(bind);
        }
    }
    binds
}

/// What to create for a launch.
pub fn body(launch: &Launch, service: &str, nvidia: bool, cache_dir: Option<&Path>) -> ContainerCreateBody {
    let port = format!("{}/tcp", launch.inner_port);
    let binding =
        PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(launch.host_port.to_string()) };
    let devices = (nvidia && !launch.gpus.is_empty()).then(|| {
        let all = launch.gpus == ["all"];
        vec![DeviceRequest {
            driver: Some("nvidia".to_owned()),
            count: all.then_some(-1),
            device_ids: (!all).then(|| launch.gpus.clone()),
            capabilities: Some(vec![vec!["gpu".to_owned()]]),
            options: None,
        }]
    });
    ContainerCreateBody {
        image: launch.image.clone(),
        cmd: Some(launch.args.iter().chain(&launch.extras).cloned().collect()),
        env: Some(launch.env.iter().map(|(k, v)| format!("{k}={v}")).collect()),
        exposed_ports: Some(vec![port.clone()]),
        labels: Some(HashMap::from([
            (LABEL_SERVICE.to_owned(), service.to_owned()),
            (LABEL_LAUNCH.to_owned(), hash(launch)),
        ])),
        host_config: Some(HostConfig {
            port_bindings: Some(HashMap::from([(port, Some(vec![binding]))])),
            binds: Some(binds(launch, cache_dir)),
            shm_size: Some(SHM_BYTES),
            device_requests: devices,
            // The dashboard is the only restarter: an engine's policy loops for ever on a broken configuration.
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::NO),
                maximum_retry_count: None,
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// What is needed to create this container again, as JSON.
pub fn recipe(found: &ContainerInspectResponse) -> Option<String> {
    let mut body = serde_json::to_value(found.config.as_ref()?).ok()?;
    let object = body.as_object_mut()?;
    // The engine chose these; a new container gets its own.
    object.remove("Hostname");
    object.insert("HostConfig".to_owned(), serde_json::to_value(found.host_config.as_ref()?).ok()?);
    serde_json::to_string(&body).ok()
}

/// Reads a recipe.
pub fn from_recipe(recipe: &str) -> Option<ContainerCreateBody> {
    serde_json::from_str(recipe)
        .inspect_err(|error| tracing::error!(%error, "the kept recipe of a removed container cannot be read"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch() -> Launch {
        Launch {
            image: Some("vllm/vllm-openai:latest".into()),
            args: ["--model", "m", "--port", "8000"].map(str::to_owned).to_vec(),
            inner_port: 8000,
            host_port: 11434,
            gpus: vec!["0".into()],
            ..Launch::default()
        }
    }

    #[test]
    fn a_new_container_is_published_on_loopback_and_never_restarted_by_the_engine() {
        let body = body(&launch(), "vllm", true, None);
        let host = body.host_config.expect("set");
        let binding = host.port_bindings.expect("set")["8000/tcp"].clone().expect("set").remove(0);
        assert_eq!(
            (binding.host_ip.as_deref(), binding.host_port.as_deref()),
            (Some("127.0.0.1"), Some("11434"))
        );
        assert_eq!(host.restart_policy.and_then(|p| p.name), Some(RestartPolicyNameEnum::NO));
        assert_eq!(host.device_requests.expect("set")[0].device_ids, Some(vec!["0".to_owned()]));
    }

    #[test]
    fn gpus_are_requested_only_where_the_engine_offers_them() {
        assert_eq!(body(&launch(), "vllm", false, None).host_config.expect("set").device_requests, None);
        let none = Launch { gpus: Vec::new(), ..launch() };
        assert_eq!(body(&none, "vllm", true, None).host_config.expect("set").device_requests, None);
    }

    #[test]
    fn the_published_port_is_read_from_the_container() {
        let dialect =
            Dialect { default_port: 8000, port_of: |_| None, model_of: |_| None, is_image: |_| true };
        let found = |ports: &str| -> ContainerInspectResponse {
            serde_json::from_str(&format!(r#"{{"Id":"ab","Name":"/v","State":{{"Running":true,"StartedAt":"2026-11-22T12:00:00Z"}},"HostConfig":{{"NetworkMode":"bridge"}},"NetworkSettings":{{"Ports":{ports},"Networks":{{"bridge":{{"IPAddress":"172.17.0.2"}}}}}}}}"#)).expect("reads")
        };
        let url = |ports: &str| api_url(&found(ports), dialect, "127.0.0.1");
        assert_eq!(
            url(r#"{"8000/tcp":[{"HostIp":"0.0.0.0","HostPort":"9100"}]}"#).as_deref(),
            Some("http://127.0.0.1:9100")
        );
        assert_eq!(
            url(r#"{"9999/tcp":[{"HostIp":"127.0.0.1","HostPort":"9200"}]}"#).as_deref(),
            Some("http://127.0.0.1:9200")
        );
        assert_eq!(url(r#"{"8000/tcp":null}"#).as_deref(), Some("http://172.17.0.2:8000"));
    }

    #[test]
    fn changed_settings_make_our_own_container_outdated_and_leave_others_alone() {
        let ours = |launch: &Launch| ContainerInspectResponse {
            config: Some(bollard::models::ContainerConfig {
                labels: body(launch, "vllm", false, None).labels,
                ..Default::default()
            }),
            ..Default::default()
        };
        let other = Launch { host_port: 1, ..launch() };
        assert!(!is_outdated(&ours(&launch()), "vllm", &launch()));
        assert!(is_outdated(&ours(&launch()), "vllm", &other));
        assert!(!is_outdated(&ContainerInspectResponse::default(), "vllm", &other));
    }
}
