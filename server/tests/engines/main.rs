//! Engines as they are met outside of the tests' own: behind a filter that lets only some questions through, and, where one is
//! named by hand, rootless Docker and Podman. docs/LEAST-POWER.md has the list that is compared here.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking and starts the program that it tests"
)]

#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "../watched/machine.rs"]
mod machine;
mod proxy;
mod session;

use machine::{Machine, until};
use proxy::Proxy;
use session::{Container, Direct, becomes, command, free_port, image, its_image, log, service};
use std::collections::{BTreeMap, BTreeSet};

const MANUAL: &str = include_str!("../../../docs/LEAST-POWER.md");

/// The tests' own engine and an image of the simulated vLLM on its registry, where they run.
fn engine() -> Option<(Direct, String)> {
    let (Ok(address), Ok(registry)) =
        (std::env::var("SERVICES_TEST_DOCKER"), std::env::var("SERVICES_TEST_REGISTRY"))
    else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true") || !rustix::process::geteuid().is_root(),
            "no test engine"
        );
        return None;
    };
    Some((Direct::of(&address), format!("{registry}/vllm/vllm-openai:latest")))
}

/// What the manual says is asked: endpoints by the purpose that needs them.
fn written() -> BTreeMap<String, String> {
    let rows = MANUAL.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| {
        let (endpoint, rest) = row.split_once('`')?;
        let purpose = rest.trim_start_matches([' ', '|']).split('|').next()?.trim();
        endpoint.contains(" /").then(|| (endpoint.to_owned(), purpose.to_owned()))
    })
    .collect()
}

fn settings<'a>(
    address: &'a str,
    container: &'a str,
    image: &'a str,
    api: &'a str,
) -> [(&'static str, &'a str); 6] {
    [
        ("DOCKER_HOST", address),
        ("VLLM_RUNTIME", "docker"),
        ("VLLM_CONTAINER", container),
        ("VLLM_IMAGE", image),
        ("VLLM_API_URL", api),
        ("VLLM_MODEL", "Qwen/Qwen2.5-7B-Instruct"),
    ]
}

/// Pull, start, log, restart, stop: what every engine must do. Ends stopped.
fn life(dashboard: &Machine) {
    becomes(dashboard, "stopped");
    command(dashboard, "pull");
    let pulled = until("the pull", || {
        let image = its_image(dashboard);
        (image["pull"]["state"]["pull"] != "running" && !image["pull"].is_null()).then_some(image)
    });
    assert_eq!(pulled["pull"]["state"]["pull"], "done", "{pulled}");
    assert!(pulled["local"]["id"].is_string(), "{pulled}");
    command(dashboard, "start");
    let first = becomes(dashboard, "running");
    assert!(first["container"]["name"].is_string(), "{first}");
    until("its log", || log(dashboard).contains("Application startup complete").then_some(()));
    command(dashboard, "restart");
    until("another run", || {
        let now = service(dashboard);
        (now["run"] != first["run"] && now["state"]["state"] == "running").then_some(())
    });
    until("its log", || log(dashboard).contains("Application startup complete").then_some(()));
    command(dashboard, "stop");
    becomes(dashboard, "stopped");
}

#[test]
fn what_is_asked_of_an_engine_is_what_the_manual_lists() {
    let Some((direct, reference)) = engine() else { return };
    let proxy = Proxy::before(&direct.0, |_| true);
    let container = Container::new(&direct, "asked");
    let api = format!("http://127.0.0.1:{}", free_port());
    let address = proxy.address();
    let variables = settings(&address, &container.name, &reference, &api);
    let dashboard = Machine::start("", &variables);
    life(&dashboard);

    image(&dashboard, "check");
    until("the registry's word", || its_image(&dashboard)["newer"]["at"].is_string().then_some(()));
    // Somebody gives the engine another image under the same name: move to it, and let the one before go.
    command(&dashboard, "start");
    becomes(&dashboard, "running");
    let (name, tag) = reference.rsplit_once(':').expect("a tag");
    let other = std::env::var("SERVICES_TEST_IMAGE").expect("an image");
    assert_eq!(direct.ask("POST", &format!("/images/{other}/tag?repo={name}&tag={tag}"), "").0, 201);
    until("the other image", || {
        let (image, service) = (its_image(&dashboard), service(&dashboard));
        (image["local"]["id"] != service["container"]["image_id"]).then_some(())
    });
    image(&dashboard, "renew");
    until("the move", || {
        let now = service(&dashboard);
        (now["state"]["state"] == "running" && now["kept_image"].is_object()).then_some(())
    });
    image(&dashboard, "forget");
    until("that it is gone", || service(&dashboard)["kept_image"].is_null().then_some(()));
    // A restart policy of the container's own is ended.
    let policy = r#"{"RestartPolicy":{"Name":"always"}}"#;
    assert_eq!(direct.ask("POST", &format!("/containers/{}/update", container.name), policy).0, 200);
    let taken = dashboard.post("/api/fn/auto-start", "service=vllm&on=false&take=true");
    assert!(taken.status < 400, "{}", taken.body);
    command(&dashboard, "stop");
    becomes(&dashboard, "stopped");
    // The next one finds other settings: its container is made anew.
    let mut variables = variables.to_vec();
    variables.push(("VLLM_MODEL_NAME", "another"));
    let dashboard = dashboard.again("", &variables);
    becomes(&dashboard, "stopped");
    command(&dashboard, "start");
    becomes(&dashboard, "running");
    command(&dashboard, "stop");
    becomes(&dashboard, "stopped");
    drop(dashboard);
    drop(container);
    direct.ask("DELETE", &format!("/images/{reference}"), "");

    let written: BTreeSet<String> = written().into_keys().collect();
    assert_eq!(proxy.asked(), written, "left: asked in this session; right: docs/LEAST-POWER.md");
}

/// Through a filter that lets only these purposes through.
fn behind(direct: &Direct, purposes: &'static [&'static str]) -> Proxy {
    let written = written();
    Proxy::before(&direct.0, move |endpoint| {
        written.get(endpoint).is_some_and(|purpose| purposes.contains(&purpose.as_str()))
    })
}

/// A container as somebody else makes one: it runs.
fn somebodys(direct: &Direct, name: &str) {
    let image = std::env::var("SERVICES_TEST_IMAGE").expect("an image");
    let body = format!(r#"{{"Image":"{image}","Cmd":["--model","m","--port","8000"]}}"#);
    assert_eq!(direct.ask("POST", &format!("/containers/create?name={name}"), &body).0, 201);
    assert_eq!(direct.ask("POST", &format!("/containers/{name}/start"), "").0, 204);
}

#[test]
fn who_may_only_look_sees_all_and_is_told_why_nothing_can_be_started() {
    let Some((direct, reference)) = engine() else { return };
    let container = Container::new(&direct, "looked");
    somebodys(&direct, &container.name);
    let proxy = behind(&direct, &["look"]);
    let api = format!("http://127.0.0.1:{}", free_port());
    let address = proxy.address();
    let dashboard = Machine::start("", &settings(&address, &container.name, &reference, &api));
    until("its state", || {
        matches!(service(&dashboard)["state"]["state"].as_str(), Some("starting" | "running")).then_some(())
    });
    until("its log", || log(&dashboard).contains("Application startup complete").then_some(()));
    // Not stopped, as the filter wants it: that is told at once.
    let refusal = || {
        let now = service(&dashboard)["state"].clone();
        let refused = now["state"] == "failed" && now["failure"]["kind"] == "refused";
        refused.then(|| now.to_string())
    };
    command(&dashboard, "stop");
    let told = until("the refusal", refusal);
    assert!(told.contains("the proxy in front of the engine does not allow it"), "{told}");
    command(&dashboard, "pull");
    let told = until("the refusal", || {
        let pull = its_image(&dashboard)["pull"].clone();
        (pull["state"]["pull"] == "failed").then(|| pull.to_string())
    });
    assert!(told.contains("the proxy in front of the engine does not allow it"), "{told}");
    // Ended by somebody who may: seen at once. Started by us: refused, in words.
    direct.ask("POST", &format!("/containers/{}/kill?signal=SIGKILL", container.name), "");
    until("the end", || (service(&dashboard)["state"]["failure"]["kind"] == "killed").then_some(()));
    command(&dashboard, "start");
    let told = until("the refusal", refusal);
    assert!(told.contains("the proxy in front of the engine does not allow it"), "{told}");
    assert!(!dashboard.log().contains("panicked"), "{}", dashboard.log());
}

#[test]
fn each_question_that_is_not_let_through_is_named() {
    let Some((direct, reference)) = engine() else { return };
    let written = written();
    let looks =
        || written.iter().filter(|(_, purpose)| *purpose == "look").map(|(endpoint, _)| endpoint.clone());
    for kept_back in looks() {
        let container = Container::new(&direct, "named");
        somebodys(&direct, &container.name);
        let back = kept_back.clone();
        let proxy = Proxy::before(&direct.0, move |endpoint| endpoint != back);
        let (address, api) = (proxy.address(), format!("http://127.0.0.1:{}", free_port()));
        let dashboard = Machine::start("", &settings(&address, &container.name, &reference, &api));
        // What needs it says so; the rest goes on.
        let seen = until(&kept_back, || {
            let now = service(&dashboard);
            let state = now["state"]["state"].as_str().unwrap_or_default().to_owned();
            let why = now["state"]["reason"].to_string();
            let told = state == "unreachable" && why.contains("forbidden");
            let lives = matches!(state.as_str(), "starting" | "running");
            (told || lives).then_some((state, why))
        });
        let needed = matches!(
            kept_back.as_str(),
            "GET /version" | "GET /_ping" | "GET /events" | "GET /containers/{name}/json"
        );
        if needed {
            let words = kept_back.replace("{name}", "…");
            until(&kept_back, || {
                let now = service(&dashboard)["state"].clone();
                (now["reason"]["question"] == words.as_str()).then_some(())
            });
            assert!(dashboard.get("/").body.contains("proxy does not allow"), "{kept_back}: {seen:?}");
        } else {
            assert_ne!(seen.0, "unreachable", "{kept_back}: {seen:?}");
        }
        assert!(!dashboard.log().contains("panicked"), "{}", dashboard.log());
    }
}

/// `make test-engines`: the same life on an engine that is named by hand.
#[test]
#[ignore = "needs SERVICES_TRY_ENGINE"]
fn an_engine_that_is_named_lives_it_too() {
    let address = std::env::var("SERVICES_TRY_ENGINE").expect("SERVICES_TRY_ENGINE: unix:///PATH");
    let reference =
        std::env::var("SERVICES_TRY_IMAGE").expect("SERVICES_TRY_IMAGE: an image of vLLM that can be pulled");
    let direct = Direct::of(&address);
    let container = Container::new(&direct, "tried");
    let api = format!("http://127.0.0.1:{}", free_port());
    let dashboard = Machine::start("", &settings(&address, &container.name, &reference, &api));
    life(&dashboard);
    // Somebody else ends it in order, somebody else kills it.
    command(&dashboard, "start");
    becomes(&dashboard, "running");
    let signal =
        |name: &str| direct.ask("POST", &format!("/containers/{}/kill?signal={name}", container.name), "").0;
    assert_eq!(signal("SIGTERM"), 204);
    let ended = becomes(&dashboard, "stopped");
    assert!(ended["state"]["note"].is_null() || ended.to_string().contains("outside"), "{ended}");
    command(&dashboard, "start");
    becomes(&dashboard, "running");
    assert_eq!(signal("SIGKILL"), 204);
    becomes(&dashboard, "failed");
    // Removed behind our back: made again.
    direct.ask("DELETE", &format!("/containers/{}?force=true", container.name), "");
    command(&dashboard, "start");
    becomes(&dashboard, "running");
    command(&dashboard, "stop");
    becomes(&dashboard, "stopped");
    assert!(!dashboard.log().contains("panicked"), "{}", dashboard.log());
}
