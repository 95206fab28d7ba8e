//! The container engine: whether it can be asked, by whom, and what it offers.

use super::{Finding, clock};
use crate::runtime::docker::{About, Engine, about, default_engine};
use crate::settings::{Config, Kind, RuntimeChoice};
use app::locales::Lang;
use app::model::{Timestamp, UnreachableReason};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What can be told of the engine.
pub fn look(config: &Config) -> Vec<Finding> {
    let given = config.dashboard.docker_host.value.clone();
    let (address, found) = given.clone().map_or_else(default_engine, |address| (address, true));
    let needed = given.is_some()
        || config.services.iter().any(|service| {
            service.kind == Kind::Container
                || (service.kind == Kind::Vllm && service.runtime.value == RuntimeChoice::Docker)
        });
    if !found && !needed {
        return vec![Finding::ok("engine", "there is no container engine, and no service needs one")];
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return vec![Finding::error("engine", format!("it cannot be asked: {error}"), "Try again.")];
        }
    };
    let answer = runtime.block_on(about(&Engine::new(address.clone())));
    runtime.shutdown_background();
    match answer {
        Ok(about) => answers(&crate::redact::hidden(&address), &about, has_nvidia()),
        Err(reason) => vec![silent(&address, &reason, needed)],
    }
}

fn answers(address: &str, about: &About, nvidia: bool) -> Vec<Finding> {
    let whose = if about.rootless { ", run by an ordinary user" } else { "" };
    let mut findings = vec![Finding::ok(
        "engine",
        format!("{} {} answers at {address} (API {}{whose})", about.name, about.version, about.api),
    )];
    if !about.info {
        findings.push(Finding::warning(
            "engine",
            "the proxy in front of the engine does not allow GET /info: no container can be created",
            "Let it through where Services shall create containers: docs/LEAST-POWER.md.",
        ));
    }
    if nvidia && about.info {
        findings.push(if about.nvidia {
            Finding::ok("gpu", "the engine can hand NVIDIA GPUs to containers")
        } else {
            Finding::warning(
                "gpu",
                "there are NVIDIA GPUs, but the engine cannot hand them to containers",
                if about.name == "Podman" {
                    "Services asks Podman for no GPU: make the container yourself with --device nvidia.com/gpu=all (docs/LEAST-POWER.md)."
                } else {
                    "Install nvidia-container-toolkit, then `sudo nvidia-ctk runtime configure --runtime=docker` and restart the engine."
                },
            )
        });
    }
    findings.extend(about.now.map(|engine| clock::beside(engine, Timestamp::now())));
    findings
}

fn silent(address: &str, reason: &UnreachableReason, needed: bool) -> Finding {
    let said = (Lang::En.words().unreachable)(reason);
    let advice = match reason {
        UnreachableReason::Denied { .. } => group_advice(address),
        UnreachableReason::NoSocket { .. } | UnreachableReason::Refused { .. } => {
            "Start the engine (`systemctl start docker`; one of your own: `systemctl --user start docker` or `podman.socket`), or set DOCKER_HOST to where it is.".to_owned()
        }
        _ => said.now,
    };
    if needed {
        Finding::error("engine", said.what, advice)
    } else {
        Finding::warning("engine", said.what, advice)
    }
}

/// Which group opens the socket.
fn group_advice(address: &str) -> String {
    let gid =
        address.strip_prefix("unix://").and_then(|path| std::fs::metadata(path).ok()).map(|meta| meta.gid());
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let name = gid.and_then(|gid| group_of(&groups, gid));
    match (name, gid) {
        (Some("root"), _) | (_, Some(0)) => {
            "Only root may open it: use a socket proxy, rootless Docker or Podman.".to_owned()
        }
        (Some(name), _) => format!(
            "sudo usermod -aG {name} \"$USER\", then log in again. Who is in that group can become root: see docs/SECURITY.md."
        ),
        _ => "Let the user that runs Services into the group that owns the socket, then log in again."
            .to_owned(),
    }
}

fn group_of(groups: &str, gid: u32) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(gid)).then_some(name)
    })
}

/// Whether NVIDIA's driver is loaded here.
fn has_nvidia() -> bool {
    Path::new("/proc/driver/nvidia/version").exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn the_group_of_a_socket_has_a_name() {
        let groups = "root:x:0:\ndocker:x:998:me,you\nbroken\n";
        assert_eq!(group_of(groups, 998), Some("docker"));
        assert_eq!(group_of(groups, 1), None);
    }

    #[test]
    fn an_engine_without_gpus_for_containers_is_told_where_there_are_some() {
        let about = |nvidia| About {
            name: "Docker".to_owned(),
            version: "29.0".to_owned(),
            api: "1.52".to_owned(),
            nvidia,
            rootless: false,
            info: true,
            now: None,
        };
        let levels = |nvidia, here| -> Vec<Level> {
            answers("unix:///x", &about(nvidia), here).iter().map(|finding| finding.level).collect()
        };
        assert_eq!(levels(false, false), [Level::Ok]);
        assert_eq!(levels(false, true), [Level::Ok, Level::Warning]);
        assert_eq!(levels(true, true), [Level::Ok, Level::Ok]);
        // Not asked about GPUs: nothing is claimed of them.
        let silent = About { info: false, ..about(false) };
        let said = answers("unix:///x", &silent, true);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[1].level == Level::Warning && said[1].what.contains("GET /info"), "{said:?}");
    }

    #[test]
    fn a_silent_engine_is_an_error_only_where_it_is_needed() {
        let reason = UnreachableReason::Denied { address: "unix:///x".to_owned() };
        assert_eq!(silent("unix:///x", &reason, true).level, Level::Error);
        assert_eq!(silent("unix:///x", &reason, false).level, Level::Warning);
    }
}
