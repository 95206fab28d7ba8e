//! Puts together what to run from the settings: the arguments of `vllm serve`, as a list.

use crate::runtime::{Launch, docker::Dialect};
use crate::settings::{Gpus, Kind, ServiceConfig, fields};
use crate::vllm::cli;
use app::model::{FailureKind, RuntimeKind};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// vLLM's own default port, used inside containers.
const INNER_PORT: u16 = 8000;

/// The port that arguments of `vllm serve` name.
pub fn port_of(args: &[String]) -> Option<u16> {
    let at = args.iter().rposition(|a| a == "--port" || a.starts_with("--port="))?;
    args[at].strip_prefix("--port=").or_else(|| args.get(at + 1).map(String::as_str))?.parse().ok()
}

/// The model that arguments of `vllm serve` name: behind `--model`, behind `serve`, or as the first word.
pub fn model_of(args: &[String]) -> Option<String> {
    let flag = args.iter().rposition(|a| a == "--model" || a.starts_with("--model="));
    let named = flag
        .and_then(|at| args[at].strip_prefix("--model=").or_else(|| args.get(at + 1).map(String::as_str)));
    let word = |at: usize| args.get(at).map(String::as_str).filter(|w| !w.starts_with('-'));
    let behind = args.iter().position(|a| a == "serve").and_then(|at| word(at + 1));
    named.or(behind).or_else(|| word(0)).map(str::to_owned)
}

/// Whether an image is one of vLLM's: `vllm/vllm-openai`, its variants and copies in other registries.
pub fn is_image(image: &str) -> bool {
    let repository = image.split('@').next().unwrap_or_default();
    repository
        .rsplit('/')
        .next()
        .is_some_and(|name| name.starts_with("vllm-openai") || name.split(':').next() == Some("vllm"))
}

/// How Docker's room reads any other container.
pub const PLAIN: Dialect =
    Dialect { default_port: 0, port_of: |_| None, model_of: |_| None, is_image: |_| false };

/// How Docker's room reads containers of vLLM.
pub const DIALECT: Dialect = Dialect { default_port: INNER_PORT, port_of, model_of, is_image };

/// Keeps our own questions out of the engine's access log.
pub const QUIET: &str = "--disable-access-log-for-endpoints";

/// Whether this version of vLLM knows [`QUIET`]: since 0.16 (vllm-project/vllm#30011). A version that is not known, or not
/// understood, is taken for an older one.
fn knows_quiet(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split(['.', '+', '-']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(0)), Some(Ok(minor))) => minor >= 16,
        (Some(Ok(major)), _) => major >= 1,
        _ => false,
    }
}

/// What to run for a service that is not vLLM: nothing is added to what the owner listed.
pub fn other(config: &ServiceConfig) -> Launch {
    let mut launch = Launch {
        // None of ours is made: what is listed exists, or is said to be missing.
        missing: match &config.kind {
            Kind::Container => Some(FailureKind::NotThere { name: config.container.value.to_string() }),
            Kind::Vllm | Kind::Process { .. } | Kind::Systemd { .. } => None,
        },
        gpus: vec!["all".to_owned()],
        ..Launch::default()
    };
    if let Kind::Process { command } = &config.kind {
        launch.program = command.first().cloned();
        launch.args = command.iter().skip(1).cloned().collect();
    }
    launch
}

/// A folder that lies in one of those that are let in, and by a link leads out of all of them: it is not handed over.
fn led_out(config: &ServiceConfig, folders: &[PathBuf]) -> Option<FailureKind> {
    let claims = |path: &&PathBuf| config.let_in.iter().any(|folder| path.starts_with(folder));
    let all = folders.iter().chain(&config.hf_home.value);
    let out = all
        .filter(claims)
        .find(|path| path.exists() && !fields::is_let_in(&path.display().to_string(), &config.let_in))?;
    let detail = format!("{} leads out of the folders that services.toml lets in", out.display());
    Some(FailureKind::Refused { action: "start".to_owned(), detail })
}

/// What to run for this service. Without weights the launch says so in `missing`. `version` is the engine's, where an
/// earlier start has told it.
pub fn launch(config: &ServiceConfig, runtime: RuntimeKind, version: Option<&str>) -> Launch {
    let host_port = config.api_url.value.port();
    let (model, missing) = match (runtime, &config.model.value) {
        (_, Some(model)) => (model.clone(), None),
        (RuntimeKind::Demo, None) => ("Qwen/Qwen2.5-7B-Instruct".to_owned(), None),
        (_, None) => (String::new(), Some(FailureKind::ModelNotSet)),
    };
    let inner_port = if runtime == RuntimeKind::Docker { INNER_PORT } else { host_port };
    // Inside a container all interfaces: what is reachable is decided by the published port, which is on loopback.
    let host = if runtime == RuntimeKind::Docker { "0.0.0.0" } else { "127.0.0.1" };
    let mut args = Vec::new();
    match runtime {
        RuntimeKind::Docker | RuntimeKind::Systemd => {}
        RuntimeKind::Process => args.push("serve".to_owned()),
        RuntimeKind::Demo => args.extend(["vllm-sim", "serve"].map(str::to_owned)),
    }
    let pairs = [
        ("--model", model),
        ("--served-model-name", config.model_name.value.clone()),
        ("--gpu-memory-utilization", config.gpu_memory_utilization.value.to_string()),
        ("--host", host.to_owned()),
        ("--port", inner_port.to_string()),
    ];
    for (flag, value) in pairs {
        // What the owner gave among the further arguments wins.
        if !config.args.value.iter().any(|a| a == flag || a.starts_with(&format!("{flag}="))) {
            args.extend([flag.to_owned(), value]);
        }
    }
    let mut extras = Vec::new();
    let given = |flag: &str| config.args.value.iter().any(|a| a.split('=').next() == Some(flag));
    if version.is_some_and(knows_quiet) && !given(QUIET) && !given("--disable-uvicorn-access-log") {
        extras.extend([QUIET, "/health,/metrics,/ping,/version"].map(str::to_owned));
    }
    args.extend(config.args.value.iter().cloned());
    if runtime == RuntimeKind::Demo {
        args.extend(["--sim-demo", "--sim-speed", "3"].map(str::to_owned));
    }
    let mut env = BTreeMap::new();
    if let Some(key) = &config.api_key.value {
        // vLLM reads its key from this variable: unlike an argument it is not shown to every user of the machine.
        env.insert("VLLM_API_KEY".to_owned(), key.reveal().to_owned());
    }
    if let Some(token) = &config.hf_token.value {
        env.insert("HF_TOKEN".to_owned(), token.reveal().to_owned());
    }
    if runtime == RuntimeKind::Process
        && let Some(home) = &config.hf_home.value
    {
        env.insert("HF_HOME".to_owned(), home.display().to_string());
    }
    let gpus = match &config.gpus.value {
        Gpus::All => vec!["all".to_owned()],
        Gpus::None => Vec::new(),
        Gpus::These(list) => list.clone(),
    };
    let image = Some(config.image.value.to_string());
    // The demo's engine is a part of this very binary.
    let program = if runtime == RuntimeKind::Demo {
        std::env::current_exe().ok().map(|exe| exe.display().to_string())
    } else {
        Some("vllm".to_owned())
    };
    let hf_home = config.hf_home.value.clone();
    // A process sees them anyway; a container only what it is given.
    let adapters = cli::split(&config.args.value).0.lora_modules;
    let adapters = adapters.iter().filter_map(|module| cli::lora_path(module));
    let folders = config.model.value.clone().into_iter().chain(adapters);
    let folders: Vec<PathBuf> = folders.filter(|path| path.starts_with('/')).map(PathBuf::from).collect();
    let missing = missing.or_else(|| led_out(config, &folders));
    Launch {
        image,
        program,
        args,
        extras,
        env,
        inner_port,
        host_port,
        gpus,
        hf_home,
        folders,
        renew: false,
        missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::service as config;

    #[test]
    fn a_container_listens_inside_on_8000_and_is_published_where_the_address_says() {
        let launch = launch(
            &config(&[("VLLM_MODEL", "Qwen/Qwen2.5-7B"), ("VLLM_API_URL", "http://localhost:9000")]),
            RuntimeKind::Docker,
            None,
        );
        assert_eq!((launch.inner_port, launch.host_port), (8000, 9000));
        let line = launch.args.join(" ");
        assert_eq!(
            line,
            "--model Qwen/Qwen2.5-7B --served-model-name lydia --gpu-memory-utilization 0.5 --host 0.0.0.0 --port 8000"
        );
        assert!(launch.env.is_empty(), "none of our variables reach the engine");
    }

    #[test]
    fn a_process_is_told_to_listen_on_loopback_and_secrets_stay_out_of_the_arguments() {
        let launch = launch(
            &config(&[("VLLM_MODEL", "m"), ("VLLM_API_KEY", "sk-1"), ("HF_TOKEN", "hf_2")]),
            RuntimeKind::Process,
            None,
        );
        assert!(
            launch.args.join(" ").contains("serve --model m")
                && launch.args.join(" ").contains("--host 127.0.0.1 --port 11434")
        );
        assert!(!launch.args.iter().any(|a| a.contains("sk-1") || a.contains("hf_2")));
        assert_eq!(launch.env.len(), 2);
    }

    #[test]
    fn our_probes_are_kept_out_of_the_access_log_of_versions_that_can() {
        let args =
            |version| launch(&config(&[("VLLM_MODEL", "m")]), RuntimeKind::Docker, version).extras.join(" ");
        for knows in ["0.16.0", "v0.32.0", "0.32.0+cpu", "0.20.1.dev5", "1.0"] {
            assert!(args(Some(knows)).contains("--disable-access-log-for-endpoints /health,"), "{knows}");
        }
        for does_not in [None, Some("0.15.1"), Some("0.6.6.post1"), Some("dev"), Some("")] {
            assert!(!args(does_not).contains("--disable-access-log"), "{does_not:?}");
        }
    }

    #[test]
    fn without_weights_there_is_nothing_to_launch() {
        assert_eq!(launch(&config(&[]), RuntimeKind::Docker, None).missing, Some(FailureKind::ModelNotSet));
        assert_eq!(launch(&config(&[]), RuntimeKind::Demo, None).missing, None);
    }

    #[test]
    fn the_port_and_the_image_of_a_foreign_container_are_understood() {
        let args = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(port_of(&args("serve m --port 9000")), Some(9000));
        assert_eq!(port_of(&args("--port=1 --port=9001")), Some(9001));
        assert_eq!(port_of(&args("serve m --port")), None);
        for image in [
            "vllm/vllm-openai:latest",
            "localhost:5000/vllm/vllm-openai",
            "registry.example/x/vllm-openai-cpu:v1",
            "vllm:dev",
        ] {
            assert!(is_image(image), "{image}");
        }
        for image in ["ollama/ollama", "vllm-proxy", "postgres", "sha256:abcd"] {
            assert!(!is_image(image), "{image}");
        }
    }
}
