//! Puts the layers together.

use super::file::{self, File, HealthKey, ServiceTable};
use super::network::Networks;
use super::value::{ApiUrl, ContainerName, Fraction, Gpus, ImageRef, Secret, Sourced};
use super::{Config, ConfigError, Dashboard, FirstAccount, Kind, LogSettings, RuntimeChoice, ServiceConfig};
use crate::health::Check;
use crate::notify;
use crate::runtime::systemd::{Bus, UnitName};
use crate::vitals::journal::{self, Format};
use app::model::{Origin, ServiceName};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Flags of the command line. Each has a variable and, but for the paths, a key in the file.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// Nobody signs in: whoever reaches the loopback address may do everything [SERVICES_NO_AUTH=true]
    #[arg(long)]
    pub no_auth: bool,
    /// Where to listen [SERVICES_ADDR] [default: 127.0.0.1:3000]
    #[arg(long, value_name = "IP:PORT")]
    pub addr: Option<String>,
    /// Further host names to answer to, separated by commas [SERVICES_HOSTS]
    #[arg(long, value_name = "NAMES")]
    pub hosts: Option<String>,
    /// The path below which a proxy shows the dashboard, such as /llm [SERVICES_BASE_PATH]
    #[arg(long, value_name = "PATH")]
    pub base_path: Option<String>,
    /// Proxies to believe: addresses and networks, separated by commas [SERVICES_PROXIES]
    #[arg(long, value_name = "ADDRESSES")]
    pub proxies: Option<String>,
    /// Certificate file (PEM, with its chain): HTTPS is spoken [SERVICES_TLS_CERT]
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<String>,
    /// The certificate's key file (PEM) [SERVICES_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<String>,
    /// Folder for what must be remembered [SERVICES_STATE_DIR]
    #[arg(long, value_name = "FOLDER")]
    pub state_dir: Option<String>,
    /// The file with settings [SERVICES_CONFIG] [default: services.toml in the state folder]
    #[arg(long, value_name = "FILE")]
    pub config: Option<String>,
    /// Address of the Docker engine [DOCKER_HOST]
    #[arg(long, value_name = "URL")]
    pub docker_host: Option<String>,
    /// Address of the vLLM API [VLLM_API_URL] [default: http://localhost:11434]
    #[arg(long, value_name = "URL")]
    pub vllm_api_url: Option<String>,
    /// Name the model is served under, or the LoRA adapter's [VLLM_MODEL_NAME] [default: lydia]
    #[arg(long, value_name = "NAME")]
    pub vllm_model_name: Option<String>,
    /// GPUs: indices, UUIDs, all or none [CUDA_VISIBLE_DEVICES] [default: 0]
    #[arg(long, value_name = "GPUS")]
    pub cuda_visible_devices: Option<String>,
    /// Share of GPU memory, more than 0, at most 1 [GPU_MEMORY_UTILIZATION] [default: 0.5]
    #[arg(long, value_name = "SHARE")]
    pub gpu_memory_utilization: Option<String>,
    /// Weights: Hugging Face id or folder [VLLM_MODEL]
    #[arg(long, value_name = "MODEL")]
    pub vllm_model: Option<String>,
    /// auto, docker, process or demo [VLLM_RUNTIME] [default: auto]
    #[arg(long, value_name = "RUNTIME")]
    pub vllm_runtime: Option<String>,
    /// The image [VLLM_IMAGE] [default: vllm/vllm-openai:latest]
    #[arg(long, value_name = "IMAGE")]
    pub vllm_image: Option<String>,
    /// The container's name [VLLM_CONTAINER] [default: vllm]
    #[arg(long, value_name = "NAME")]
    pub vllm_container: Option<String>,
}

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The command line.
    pub flags: Flags,
    /// The environment.
    pub env: BTreeMap<String, String>,
}

/// Collects what is wrong while values are read.
struct Reader<'a> {
    sources: &'a Sources,
    wrong: Vec<String>,
}

impl Reader<'_> {
    /// The first layer that has a value.
    fn pick(
        &self,
        env: Option<&str>,
        flag: Option<&String>,
        file: Option<String>,
    ) -> Option<Sourced<String>> {
        if let Some(value) = flag.filter(|_| env.is_some()) {
            return Some(Sourced { value: value.clone(), origin: Origin::Flag });
        }
        if let Some(value) = env.and_then(|name| self.sources.env.get(name)) {
            return Some(Sourced { value: value.clone(), origin: Origin::Environment });
        }
        file.map(|value| Sourced { value, origin: Origin::File })
    }

    /// Reads a value by its type; what is wrong is noted with its name, the value and what is allowed.
    fn read<T>(
        &mut self,
        label: &str,
        picked: Option<Sourced<String>>,
        default: T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Sourced<T> {
        let Some(Sourced { value: text, origin }) = picked else {
            return Sourced { value: default, origin: Origin::Default };
        };
        match parse(&text) {
            Ok(value) => Sourced { value, origin },
            Err(allowed) => {
                let shown: String = if label.ends_with("KEY") || label.ends_with("TOKEN") {
                    "its value".into()
                } else {
                    format!("{:?}", crate::redact::hidden(&text).chars().take(120).collect::<String>())
                };
                let from = match origin {
                    Origin::Flag => " (flag)",
                    Origin::File => " (services.toml)",
                    _ => " (environment)",
                };
                self.wrong.push(format!("{label}{from}: {shown} is not allowed: {allowed}"));
                Sourced { value: default, origin }
            }
        }
    }
}

fn text(what: &str) -> Result<String, String> {
    if what.is_empty() || what.len() > 512 || what.starts_with('-') || what.chars().any(char::is_control) {
        return Err(
            "allowed are 1 to 512 characters, not beginning with '-', without control characters".to_owned()
        );
    }
    Ok(what.to_owned())
}

fn seconds(what: &str) -> Result<u64, String> {
    what.parse()
        .ok()
        .filter(|s| (1..=86_400).contains(s))
        .ok_or_else(|| "allowed is a whole number of seconds from 1 to 86400".to_owned())
}

/// The least that a log may have.
const LEAST_LOGS: u64 = 16 << 20;

fn bytes(what: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 8] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("", 1),
    ];
    let (number, unit) = what.split_at(what.bytes().take_while(u8::is_ascii_digit).count());
    let factor = UNITS.iter().find(|(name, _)| *name == unit.trim_start()).map(|(_, factor)| *factor);
    number
        .parse::<u64>()
        .ok()
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor))
        .filter(|bytes| *bytes >= LEAST_LOGS)
        .ok_or_else(|| "allowed are sizes from 16MiB on, such as 500MiB, 20GiB and 2TB".to_owned())
}

fn days(what: &str) -> Result<u64, String> {
    let days = what.parse().ok().filter(|days| *days <= 36_500);
    days.ok_or_else(|| "allowed are whole days up to 36500, and 0 for ever".to_owned())
}

fn switch(what: &str) -> Result<bool, String> {
    match what {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("allowed are true and false".to_owned()),
    }
}

fn runtime(what: &str) -> Result<RuntimeChoice, String> {
    match what {
        "auto" => Ok(RuntimeChoice::Auto),
        "docker" => Ok(RuntimeChoice::Docker),
        "process" => Ok(RuntimeChoice::Process),
        "demo" => Ok(RuntimeChoice::Demo),
        _ => Err("allowed are auto, docker, process and demo".to_owned()),
    }
}

/// A folder of this machine that may be mounted: absolute, without `..` and without what a mount would take apart.
fn folder(what: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(what);
    let plain = path.is_absolute()
        && what.len() <= 1024
        && !what.contains([':', '\0', '\n'])
        && !path.components().any(|c| c == std::path::Component::ParentDir);
    // The whole of the machine, or what it is run by, is no cache.
    let system = [
        "/", "/etc", "/usr", "/bin", "/sbin", "/lib", "/boot", "/dev", "/proc", "/sys", "/run", "/var/run",
        "/root", "/home", "/var", "/var/lib",
    ];
    let below = [
        "/etc/",
        "/dev/",
        "/proc/",
        "/sys/",
        "/run/",
        "/var/run/",
        "/boot/",
        "/usr/",
        "/bin/",
        "/sbin/",
        "/lib/",
    ];
    let trimmed = if what.len() > 1 { what.trim_end_matches('/') } else { what };
    if plain && !system.contains(&trimmed) && !below.iter().any(|b| what.starts_with(b)) {
        Ok(path)
    } else {
        Err("allowed is the absolute path of a folder for data, without ':' and '..', and not one of the system".to_owned())
    }
}

fn bus(what: &str) -> Result<Bus, String> {
    Bus::parse(what).map_err(|error| error.to_string())
}

fn address(what: &str) -> Result<SocketAddr, String> {
    let addr: SocketAddr =
        what.parse().map_err(|_| "allowed is IP:PORT, such as 127.0.0.1:3000".to_owned())?;
    Ok(addr)
}

/// The account of an unattended set-up: its password stands in the environment, or in a file that it names.
fn first_account(env: &BTreeMap<String, String>, wrong: &mut Vec<String>) -> Option<FirstAccount> {
    let name = env.get("SERVICES_ADMIN").cloned().unwrap_or_else(|| "admin".to_owned());
    let password = match (env.get("SERVICES_ADMIN_PASSWORD"), env.get("SERVICES_ADMIN_PASSWORD_FILE")) {
        (Some(_), Some(_)) => {
            wrong.push("SERVICES_ADMIN_PASSWORD and SERVICES_ADMIN_PASSWORD_FILE are both set: allowed is one of them".to_owned());
            return None;
        }
        (Some(password), None) => Ok(password.clone()),
        // It may be a pipe: `<(pass show services)`.
        (None, Some(path)) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(text.lines().next().unwrap_or_default().to_owned()),
            Err(error) => Err(format!("SERVICES_ADMIN_PASSWORD_FILE: {path:?} cannot be read: {error}")),
        },
        (None, None) => return None,
    };
    Some(FirstAccount { name, password })
}

fn hosts(what: &str) -> Result<Vec<String>, String> {
    let mut list = Vec::new();
    for host in what.split(',').map(str::trim).filter(|h| !h.is_empty()) {
        let fits = host.len() <= 253
            && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']'));
        if !fits {
            return Err("allowed are host names separated by commas, without scheme and port".to_owned());
        }
        list.push(host.to_ascii_lowercase());
    }
    Ok(list)
}

/// Where the dashboard lives on its host: the root as an empty text, else `/…` without a slash at the end.
fn base_path(what: &str) -> Result<String, String> {
    let path = what.trim_end_matches('/');
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
    let part = |part: &str| !part.is_empty() && part.chars().all(letters) && part.chars().any(|c| c != '.');
    let fits = path.len() <= 200 && path.strip_prefix('/').is_none_or(|rest| rest.split('/').all(part));
    if fits && (path.is_empty() || path.starts_with('/')) {
        Ok(path.to_owned())
    } else {
        Err("allowed is a path of letters, digits, and - _ . ~ such as /llm or /box/llm; / is the root"
            .to_owned())
    }
}

/// The page's address, for links.
fn public_url(what: &str) -> Result<Option<String>, String> {
    let uri = what.parse::<http::Uri>().ok();
    let fits = uri.as_ref().is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.query().is_none()
            && uri.authority().is_some_and(|a| !a.host().is_empty() && !a.as_str().contains('@'))
    });
    if fits && what.len() <= 512 && !what.contains('#') {
        Ok(Some(what.trim_end_matches('/').to_owned()))
    } else {
        Err("allowed is http(s)://HOST[:PORT][/PATH], such as https://box.example.com/services".to_owned())
    }
}

fn docker_host(what: &str) -> Result<Option<String>, String> {
    if ["unix://", "tcp://", "http://"]
        .iter()
        .any(|scheme| what.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
    {
        Ok(Some(what.to_owned()))
    } else {
        Err("allowed are unix:///PATH, tcp://HOST:PORT and http://HOST:PORT".to_owned())
    }
}

fn default_state_dir(env: &BTreeMap<String, String>) -> PathBuf {
    if let Some(dir) = env.get("XDG_STATE_HOME").filter(|d| d.starts_with('/')) {
        return PathBuf::from(dir).join("services");
    }
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/services");
    }
    env.get("HOME").map_or_else(
        || PathBuf::from("/var/lib/services"),
        |home| PathBuf::from(home).join(".local/state/services"),
    )
}

impl Sources {
    /// Where the state folder and the file with settings are, whatever is in them.
    pub fn places(&self) -> (PathBuf, PathBuf) {
        let place = |flag: &Option<String>, name: &str| {
            flag.as_ref().or_else(|| self.env.get(name)).filter(|path| !path.is_empty()).map(PathBuf::from)
        };
        let state = place(&self.flags.state_dir, "SERVICES_STATE_DIR");
        let state = state.unwrap_or_else(|| default_state_dir(&self.env));
        let config = place(&self.flags.config, "SERVICES_CONFIG");
        (state.clone(), config.unwrap_or_else(|| state.join("services.toml")))
    }

    /// The environment of this process.
    pub fn from_process(flags: Flags) -> Self {
        let env = std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .collect();
        Self { flags, env }
    }

    /// Reads everything.
    ///
    /// # Errors
    /// All that is wrong, not only the first.
    pub fn load(&self) -> Result<Config, ConfigError> {
        self.load_with(None)
    }

    /// Reads everything as if the file held this text.
    ///
    /// # Errors
    /// All that is wrong, not only the first.
    pub fn load_text(&self, text: &str) -> Result<Config, ConfigError> {
        self.load_with(Some(text))
    }

    fn load_with(&self, text: Option<&str>) -> Result<Config, ConfigError> {
        let mut reader = Reader { sources: self, wrong: Vec::new() };
        let path = |what: &str| {
            if what.is_empty() { Err("allowed is a path".to_owned()) } else { Ok(PathBuf::from(what)) }
        };
        let picked = reader.pick(Some("SERVICES_STATE_DIR"), self.flags.state_dir.as_ref(), None);
        let state_dir = reader.read("SERVICES_STATE_DIR", picked, default_state_dir(&self.env), path);
        let picked = reader.pick(Some("SERVICES_CONFIG"), self.flags.config.as_ref(), None);
        let config = reader.read("SERVICES_CONFIG", picked, state_dir.value.join("services.toml"), path);
        let read = match text {
            Some(text) => file::parse(&config.value, text),
            None => file::read(&config.value, config.is_explicit()),
        };
        let file = read.unwrap_or_else(|error| {
            reader.wrong.push(error);
            File::default()
        });
        let picked =
            reader.pick(Some("SERVICES_ADDR"), self.flags.addr.as_ref(), file.dashboard.addr.clone());
        let addr = reader.read("SERVICES_ADDR", picked, SocketAddr::from(([127, 0, 0, 1], 3000)), address);
        let flag = self.flags.no_auth.then(|| "true".to_owned());
        let picked = reader.pick(Some("SERVICES_NO_AUTH"), flag.as_ref(), None);
        let no_auth = reader.read("SERVICES_NO_AUTH", picked, false, switch);
        let first_account = first_account(&self.env, &mut reader.wrong);
        if no_auth.value && !addr.value.ip().is_loopback() {
            reader.wrong.push(format!(
                "SERVICES_NO_AUTH: nobody would have to sign in at {}: it is allowed with a loopback address only",
                addr.value
            ));
        }
        let picked = reader.pick(Some("SERVICES_PUBLIC_URL"), None, file.dashboard.public_url.clone());
        let public_url = reader.read("SERVICES_PUBLIC_URL", picked, None, public_url);
        let picked = reader.pick(
            Some("SERVICES_HOSTS"),
            self.flags.hosts.as_ref(),
            file.dashboard.hosts.clone().map(|h| h.join(",")),
        );
        let hosts = reader.read("SERVICES_HOSTS", picked, Vec::new(), hosts);
        let picked = reader.pick(
            Some("SERVICES_BASE_PATH"),
            self.flags.base_path.as_ref(),
            file.dashboard.base_path.clone(),
        );
        let base_path = reader.read("SERVICES_BASE_PATH", picked, String::new(), base_path);
        let picked = reader.pick(
            Some("SERVICES_PROXIES"),
            self.flags.proxies.as_ref(),
            file.dashboard.proxies.clone().map(|list| list.join(",")),
        );
        let proxies = reader.read("SERVICES_PROXIES", picked, Networks::default(), Networks::parse);
        if no_auth.value && !proxies.value.is_empty() {
            let why = "nobody would have to sign in who reaches the proxy: it is not allowed together with SERVICES_PROXIES";
            reader.wrong.push(format!("SERVICES_NO_AUTH: {why}"));
        }
        let file_path = |what: &str| if what.is_empty() { Ok(None) } else { path(what).map(Some) };
        let picked = reader.pick(
            Some("SERVICES_TLS_CERT"),
            self.flags.tls_cert.as_ref(),
            file.dashboard.tls_cert.clone(),
        );
        let tls_cert = reader.read("SERVICES_TLS_CERT", picked, None, file_path);
        let picked = reader.pick(
            Some("SERVICES_TLS_KEY"),
            self.flags.tls_key.as_ref(),
            file.dashboard.tls_key.clone(),
        );
        let tls_key = reader.read("SERVICES_TLS_KEY", picked, None, file_path);
        for (one, other, given) in [
            ("SERVICES_TLS_CERT", "SERVICES_TLS_KEY", tls_cert.value.is_some() && tls_key.value.is_none()),
            ("SERVICES_TLS_KEY", "SERVICES_TLS_CERT", tls_key.value.is_some() && tls_cert.value.is_none()),
        ] {
            if given {
                reader.wrong.push(format!("{other}: is not set, but {one} is: allowed are both or neither"));
            }
        }
        let picked = reader.pick(
            Some("DOCKER_HOST"),
            self.flags.docker_host.as_ref(),
            file.dashboard.docker_host.clone(),
        );
        let docker_host =
            reader.read("DOCKER_HOST", picked.filter(|p| !p.value.is_empty()), None, docker_host);

        let picked = reader.pick(Some("SERVICES_NVML_LIBRARY"), None, file.dashboard.nvml_library.clone());
        let nvml_library = reader.read("SERVICES_NVML_LIBRARY", picked, None, |text| path(text).map(Some));

        let picked = reader.pick(
            Some("SERVICES_CHECK_IMAGES"),
            None,
            file.dashboard.check_images.map(|b| b.to_string()),
        );
        let check_images = reader.read("SERVICES_CHECK_IMAGES", picked, true, switch);
        let picked = reader.pick(Some("SERVICES_LOGS_SIZE"), None, file.dashboard.logs_size.clone());
        let size = reader.read("SERVICES_LOGS_SIZE", picked, None, |text| bytes(text).map(Some));
        let picked =
            reader.pick(Some("SERVICES_LOGS_SERVICE_SIZE"), None, file.dashboard.logs_service_size.clone());
        let service_size =
            reader.read("SERVICES_LOGS_SERVICE_SIZE", picked, None, |text| bytes(text).map(Some));
        let picked =
            reader.pick(Some("SERVICES_LOGS_DAYS"), None, file.dashboard.logs_days.map(|d| d.to_string()));
        let days = reader.read("SERVICES_LOGS_DAYS", picked, 30, days);
        let logs = LogSettings { size, service_size, days };
        let picked = reader.pick(Some("SERVICES_SYSTEMD_BUS"), None, file.dashboard.systemd_bus.clone());
        let system_bus = Bus::parse("system").map_err(|e| ConfigError(vec![e.to_string()]))?;
        let systemd_bus = reader.read("SERVICES_SYSTEMD_BUS", picked, system_bus, bus);
        let picked = reader.pick(Some("SERVICES_LOG"), None, file.dashboard.log.clone());
        let log_level = reader.read("SERVICES_LOG", picked, tracing::Level::INFO, |text| {
            journal::level(text).ok_or_else(|| journal::ALLOWED.to_owned())
        });
        let picked = reader.pick(Some("SERVICES_LOG_FORMAT"), None, file.dashboard.log_format.clone());
        let log_format = reader.read("SERVICES_LOG_FORMAT", picked, Format::Text, |text| {
            Format::parse(text).ok_or_else(|| "allowed are text and json".to_owned())
        });

        let mut folders = Vec::new();
        for text in file.dashboard.folders.iter().flatten() {
            match folder(text) {
                Ok(path) => folders.push(path),
                Err(allowed) => {
                    reader.wrong.push(format!("dashboard.folders: {text:?} is not allowed: {allowed}"));
                }
            }
        }

        let notify = notify::targets(file.notify, &self.env, &mut reader.wrong);
        let mut warnings = Vec::new();
        let tables = if file.service.is_empty() {
            vec![ServiceTable { name: "vllm".into(), ..Default::default() }]
        } else {
            file.service
        };
        if !tables.iter().any(|t| t.name == "vllm") {
            for name in [
                "VLLM_API_URL",
                "VLLM_MODEL_NAME",
                "GPU_MEMORY_UTILIZATION",
                "VLLM_MODEL",
                "VLLM_IMAGE",
                "VLLM_CONTAINER",
            ] {
                if self.env.contains_key(name) {
                    warnings.push(format!(
                        "{name} is set, but services.toml lists no service named vllm: it has no effect"
                    ));
                }
            }
        }
        let mut services: Vec<ServiceConfig> = Vec::new();
        for table in tables {
            if let Some(service) = self.service(&mut reader, table) {
                if services.iter().any(|s| s.name == service.name) {
                    reader.wrong.push(format!("service {}: the name is used twice", service.name));
                }
                let twin = services.iter().find(|s| {
                    s.container.value == service.container.value
                        && s.uses_container()
                        && service.uses_container()
                });
                if let Some(twin) = twin {
                    reader.wrong.push(format!(
                        "service {}: container {} belongs to service {} already",
                        service.name, service.container.value, twin.name
                    ));
                }
                services.push(service);
            }
        }
        let mut links = Vec::new();
        for (name, url) in file.links {
            if url.starts_with("http://")
                || url.starts_with("https://")
                || (url.starts_with('/') && !url.starts_with("//"))
            {
                links.push((name, url));
            } else {
                reader.wrong.push(format!(
                    "links.{name}: {url:?} is not allowed: allowed are http://…, https://… and /PATH"
                ));
            }
        }
        for service in &mut services {
            service.let_in.clone_from(&folders);
        }
        if reader.wrong.is_empty() {
            Ok(Config {
                dashboard: Dashboard {
                    addr,
                    no_auth,
                    first_account,
                    public_url,
                    hosts,
                    base_path,
                    proxies,
                    tls_cert,
                    tls_key,
                    state_dir,
                    config,
                    docker_host,
                    nvml_library,
                    check_images,
                    logs,
                    log_level,
                    log_format,
                    systemd_bus,
                    folders,
                    links,
                },
                services,
                notify,
                warnings,
            })
        } else {
            Err(ConfigError(reader.wrong))
        }
    }

    fn service(&self, reader: &mut Reader<'_>, table: ServiceTable) -> Option<ServiceConfig> {
        let name = match ServiceName::parse(&table.name) {
            Ok(name) => name,
            Err(error) => {
                reader.wrong.push(format!("service: {error}"));
                return None;
            }
        };
        // Variables and flags speak of the service named vllm.
        let main = name.as_str() == "vllm";
        let env = |variable: &'static str| main.then_some(variable);
        let label =
            |variable: &str| if main { variable.to_owned() } else { format!("service {name}: {variable}") };
        let f = &self.flags;
        let get = |variable: &'static str, flag: Option<&String>, file: Option<String>| {
            (label(variable), reader.pick(env(variable), flag, file))
        };
        let api_url = get("VLLM_API_URL", f.vllm_api_url.as_ref(), table.api_url);
        let model_name = get("VLLM_MODEL_NAME", f.vllm_model_name.as_ref(), table.model_name);
        let gpus = get(
            "CUDA_VISIBLE_DEVICES",
            f.cuda_visible_devices.as_ref(),
            table.cuda_visible_devices.map(file::TextOrNumber::into_text),
        );
        let share = get(
            "GPU_MEMORY_UTILIZATION",
            f.gpu_memory_utilization.as_ref(),
            table.gpu_memory_utilization.map(file::TextOrNumber::into_text),
        );
        let model = get("VLLM_MODEL", f.vllm_model.as_ref(), table.model);
        let runs = get("VLLM_RUNTIME", f.vllm_runtime.as_ref(), table.runtime);
        let image = get("VLLM_IMAGE", f.vllm_image.as_ref(), table.image);
        let container = get("VLLM_CONTAINER", f.vllm_container.as_ref(), table.container);
        let hf_home = get("HF_HOME", None, table.hf_home);
        let api_key = get("VLLM_API_KEY", None, table.api_key);
        let hf_token = get("HF_TOKEN", None, table.hf_token);
        let silence =
            get("VLLM_START_SILENCE_S", None, table.start_silence_s.map(file::TextOrNumber::into_text));
        let smoke = get("VLLM_SMOKE_TEST", None, table.smoke_test.map(|b| b.to_string()));
        let args = match table.args {
            Some(list) => {
                if list.iter().any(|a| a.len() > 8192 || a.contains('\0')) {
                    reader.wrong.push(format!(
                        "service {name}: args: an argument may have at most 8192 characters and no NUL"
                    ));
                }
                Sourced { value: list, origin: Origin::File }
            }
            None => Sourced { value: Vec::new(), origin: Origin::Default },
        };
        let mut wrong = |key: &str, why: String| reader.wrong.push(format!("service {name}: {key}: {why}"));
        let kind = match table.kind.as_deref().unwrap_or("vllm") {
            "vllm" => Kind::Vllm,
            "container" => Kind::Container,
            "process" => Kind::Process { command: table.command.clone().unwrap_or_default() },
            "systemd" => {
                Kind::Systemd { unit: table.unit.clone().unwrap_or_else(|| format!("{name}.service")) }
            }
            other => {
                wrong(
                    "kind",
                    format!("{other:?} is not allowed: allowed are vllm, container, process and systemd"),
                );
                Kind::Vllm
            }
        };
        match &kind {
            Kind::Process { command } if command.is_empty() || command.iter().any(|w| w.contains('\0')) => {
                wrong(
                    "command",
                    "a process needs its command as a list, such as [\"redis-server\", \"--port\", \"6379\"]"
                        .to_owned(),
                );
            }
            Kind::Systemd { unit } => {
                if let Err(error) = UnitName::parse(unit) {
                    wrong("unit", error.to_string());
                }
            }
            _ => {}
        }
        for (key, given, fits) in [
            ("command", table.command.is_some(), matches!(kind, Kind::Process { .. })),
            ("unit", table.unit.is_some(), matches!(kind, Kind::Systemd { .. })),
            ("label", table.label.is_some(), kind == Kind::Container),
            ("health", table.health.is_some(), kind != Kind::Vllm),
        ] {
            if given && !fits {
                wrong(key, "it does not go with this kind of service".to_owned());
            }
        }
        let health = match table.health.map(|h| match h {
            HealthKey::Address(text) => Check::parse(&text),
            HealthKey::Command(words) => Check::command(words),
        }) {
            Some(Err(error)) => {
                wrong("health", error.to_string());
                None
            }
            Some(Ok(check)) => Some(check),
            None => None,
        };
        if table
            .label
            .as_ref()
            .is_some_and(|l| l.is_empty() || l.len() > 512 || l.chars().any(char::is_control))
        {
            wrong("label", "allowed is KEY or KEY=VALUE".to_owned());
        }
        let restart_budget = table.restart_budget.unwrap_or(3);
        let restart_window_s = table.restart_window_s.unwrap_or(600);
        if !(1..=100).contains(&restart_budget) {
            wrong("restart_budget", "allowed is a number from 1 to 100".to_owned());
        }
        if !(10..=86_400).contains(&restart_window_s) {
            wrong("restart_window_s", "allowed is a number of seconds from 10 to 86400".to_owned());
        }
        let default_url = ApiUrl::parse("http://localhost:11434").ok()?;
        let default_container = ContainerName::parse(name.as_str()).ok()?;
        let default_image = ImageRef::parse("vllm/vllm-openai:latest").ok()?;
        let default_share = Fraction::parse("0.5").ok()?;
        Some(ServiceConfig {
            kind,
            label: table.label,
            group: None,
            health,
            auto_start: table.auto_start,
            restart_budget,
            restart_window_s,
            title: table.title.unwrap_or_else(|| if main { "vLLM".to_owned() } else { name.to_string() }),
            api_url: reader.read(&api_url.0, api_url.1, default_url, ApiUrl::parse),
            model_name: reader.read(&model_name.0, model_name.1, "lydia".to_owned(), text),
            gpus: reader.read(&gpus.0, gpus.1, Gpus::These(vec!["0".to_owned()]), Gpus::parse),
            gpu_memory_utilization: reader.read(&share.0, share.1, default_share, Fraction::parse),
            model: reader.read(&model.0, model.1, None, |t| text(t).map(Some)),
            runtime: reader.read(&runs.0, runs.1, RuntimeChoice::Auto, runtime),
            image: reader.read(&image.0, image.1, default_image, ImageRef::parse),
            container: reader.read(&container.0, container.1, default_container, ContainerName::parse),
            let_in: Vec::new(),
            hf_home: reader
                .read(&hf_home.0, hf_home.1.filter(|p| !p.value.is_empty()), None, |t| folder(t).map(Some)),
            api_key: reader.read(&api_key.0, api_key.1, None, |t| Secret::parse(t).map(Some)),
            hf_token: reader.read(&hf_token.0, hf_token.1, None, |t| Secret::parse(t).map(Some)),
            start_silence: reader.read(&silence.0, silence.1, 300, seconds),
            smoke_test: reader.read(&smoke.0, smoke.1, false, switch),
            args,
            name,
        })
    }
}
