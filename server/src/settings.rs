//! Layered configuration: flag, then environment, then `services.toml`, then default. Each value knows its origin.
//!
//! In: arguments, the environment, one file. Out: a [`Config`] whose values are types already, or the list of everything
//! that is wrong with it. No other room reads the environment.

pub mod edit;
pub mod fields;
mod file;
mod network;
mod sources;
mod value;

pub use file::text as file_text;
pub use network::Networks;
pub use sources::{Flags, Sources};
pub use value::{ApiUrl, ContainerName, Fraction, Gpus, ImageRef, Secret, Sourced};

use crate::health::Check;
use crate::history::Bounds;
use crate::notify::Target;
use crate::redact::hidden;
use crate::runtime::systemd::Bus;
use crate::vitals::journal::Format;
use app::model::{Origin, ServiceName, Setting};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Everything that was configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// The dashboard itself.
    pub dashboard: Dashboard,
    /// The services, in the order of the page.
    pub services: Vec<ServiceConfig>,
    /// Who is told when something happens.
    pub notify: Vec<Target>,
    /// What is not wrong but should be said.
    pub warnings: Vec<String>,
}

/// The dashboard's own settings.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// Where it listens.
    pub addr: Sourced<SocketAddr>,
    /// Nobody signs in; on loopback only.
    pub no_auth: Sourced<bool>,
    /// The account that is made when there is none.
    pub first_account: Option<FirstAccount>,
    /// The page's address as others know it.
    pub public_url: Sourced<Option<String>>,
    /// Host names it answers to besides loopback's.
    pub hosts: Sourced<Vec<String>>,
    /// The path on its host below which it lives: empty for the root, else `/…` without a slash at the end.
    pub base_path: Sourced<String>,
    /// Proxies that are believed when they tell who asks, and how.
    pub proxies: Sourced<Networks>,
    /// Its certificate, with those that lead to a root; with it, HTTPS is spoken.
    pub tls_cert: Sourced<Option<PathBuf>>,
    /// The key that goes with it.
    pub tls_key: Sourced<Option<PathBuf>>,
    /// What it must remember.
    pub state_dir: Sourced<PathBuf>,
    /// The file with settings.
    pub config: Sourced<PathBuf>,
    /// The engine's address, where one was given.
    pub docker_host: Sourced<Option<String>>,
    /// The driver's library, where it is not where the loader finds it.
    pub nvml_library: Sourced<Option<PathBuf>>,
    /// Registries are asked now and then, while somebody looks, whether they have newer images.
    pub check_images: Sourced<bool>,
    /// How much of the logs is kept.
    pub logs: LogSettings,
    /// The level of the dashboard's own log at the start.
    pub log_level: Sourced<tracing::Level>,
    /// What its lines look like.
    pub log_format: Sourced<Format>,
    /// The bus of systemd.
    pub systemd_bus: Sourced<Bus>,
    /// Folders of this machine whose contents the page may hand to containers: models, adapters.
    pub folders: Vec<PathBuf>,
    /// Neighbouring pages: name and address.
    pub links: Vec<(String, String)>,
}

/// The account that is made at the first start, where nobody is there to type.
#[derive(Clone)]
pub struct FirstAccount {
    /// Its name.
    pub name: String,
    /// Its password, or why there is none: it is needed once, and may be gone afterwards.
    pub password: Result<String, String>,
}

impl std::fmt::Debug for FirstAccount {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "FirstAccount({:?})", self.name)
    }
}

/// How much of the logs is kept on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Bytes of all services together; a tenth of the disk, but no more than 20 GiB, when nothing is said.
    pub size: Sourced<Option<u64>>,
    /// Bytes of one service; half of all when nothing is said.
    pub service_size: Sourced<Option<u64>>,
    /// Days; 0 for ever.
    pub days: Sourced<u64>,
}

impl LogSettings {
    /// The same as bounds.
    pub const fn bounds(&self) -> Bounds {
        Bounds { total: self.size.value, service: self.service_size.value, days: self.days.value }
    }
}

/// What a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A vLLM server.
    Vllm,
    /// A container that exists: never created here.
    Container,
    /// A command of this machine.
    Process {
        /// The program and its arguments.
        command: Vec<String>,
    },
    /// A unit of systemd.
    Systemd {
        /// Its name.
        unit: String,
    },
}

/// Where a service should run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeChoice {
    /// Docker where there is one, else a process, else the demo.
    Auto,
    /// A container.
    Docker,
    /// A command under the shim.
    Process,
    /// The simulation.
    Demo,
}

/// One service's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceConfig {
    /// Its name in addresses.
    pub name: ServiceName,
    /// Its name for people.
    pub title: String,
    /// What it is.
    pub kind: Kind,
    /// All containers with this label are services of their own; this entry is their pattern.
    pub label: Option<String>,
    /// The label by which it was found.
    pub group: Option<String>,
    /// Its own health check.
    pub health: Option<Check>,
    /// Whether `services.toml` says that it is started with the dashboard; otherwise the page's switch does.
    pub auto_start: Option<bool>,
    /// With so many failures within the window it stays failed.
    pub restart_budget: u32,
    /// The window of the budget, in seconds.
    pub restart_window_s: u64,
    /// Where it runs.
    pub runtime: Sourced<RuntimeChoice>,
    /// The container's name.
    pub container: Sourced<ContainerName>,
    /// The image.
    pub image: Sourced<ImageRef>,
    /// Where its API is.
    pub api_url: Sourced<ApiUrl>,
    /// The name it is served under, or the LoRA adapter's.
    pub model_name: Sourced<String>,
    /// The weights: a Hugging Face id or a folder.
    pub model: Sourced<Option<String>>,
    /// Which GPUs.
    pub gpus: Sourced<Gpus>,
    /// The share of GPU memory.
    pub gpu_memory_utilization: Sourced<Fraction>,
    /// Further arguments of `vllm serve`.
    pub args: Sourced<Vec<String>>,
    /// A start that says nothing for this many seconds is called silent.
    pub start_silence: Sourced<u64>,
    /// A short completion is asked for after each start.
    pub smoke_test: Sourced<bool>,
    /// Folders that the page may hand to containers: what claims to lie in one of them must.
    pub let_in: Vec<PathBuf>,
    /// The folder of the Hugging Face cache.
    pub hf_home: Sourced<Option<PathBuf>>,
    /// The key of its API.
    pub api_key: Sourced<Option<Secret>>,
    /// The token for Hugging Face.
    pub hf_token: Sourced<Option<Secret>>,
}

impl ServiceConfig {
    /// It is, or may be, a container.
    pub fn uses_container(&self) -> bool {
        match self.kind {
            Kind::Vllm => matches!(self.runtime.value, RuntimeChoice::Auto | RuntimeChoice::Docker),
            Kind::Container => self.label.is_none(),
            Kind::Process { .. } | Kind::Systemd { .. } => false,
        }
    }

    /// The settings as the page and `--check-config` show them; secrets only say that they are set.
    pub fn report(&self) -> Vec<Setting> {
        let runtime = match self.runtime.value {
            RuntimeChoice::Auto => "auto",
            RuntimeChoice::Docker => "docker",
            RuntimeChoice::Process => "process",
            RuntimeChoice::Demo => "demo",
        };
        let plain = |name: &str, value: Option<String>, origin: &Origin| Setting {
            name: name.to_owned(),
            set: value.is_some(),
            value,
            secret: false,
            origin: origin.clone(),
        };
        let secret = |name: &str, value: &Sourced<Option<Secret>>| Setting {
            name: name.to_owned(),
            value: None,
            secret: true,
            set: value.value.is_some(),
            origin: value.origin.clone(),
        };
        let args = (!self.args.value.is_empty()).then(|| crate::redact::redact(&self.args.value).join(" "));
        vec![
            plain("VLLM_API_URL", Some(self.api_url.value.to_string()), &self.api_url.origin),
            plain("VLLM_MODEL_NAME", Some(self.model_name.value.clone()), &self.model_name.origin),
            plain("CUDA_VISIBLE_DEVICES", Some(self.gpus.value.to_string()), &self.gpus.origin),
            plain(
                "GPU_MEMORY_UTILIZATION",
                Some(self.gpu_memory_utilization.value.to_string()),
                &self.gpu_memory_utilization.origin,
            ),
            plain("VLLM_MODEL", self.model.value.as_deref().map(hidden), &self.model.origin),
            plain("VLLM_RUNTIME", Some(runtime.to_owned()), &self.runtime.origin),
            plain("VLLM_IMAGE", Some(self.image.value.to_string()), &self.image.origin),
            plain("VLLM_CONTAINER", Some(self.container.value.to_string()), &self.container.origin),
            plain("args", args, &self.args.origin),
            plain(
                "HF_HOME",
                self.hf_home.value.as_ref().map(|p| p.display().to_string()),
                &self.hf_home.origin,
            ),
            plain(
                "VLLM_START_SILENCE_S",
                Some(self.start_silence.value.to_string()),
                &self.start_silence.origin,
            ),
            plain("VLLM_SMOKE_TEST", Some(self.smoke_test.value.to_string()), &self.smoke_test.origin),
            secret("VLLM_API_KEY", &self.api_key),
            secret("HF_TOKEN", &self.hf_token),
        ]
    }
}

impl Dashboard {
    /// The page's address for links in messages: the one that was given, or the first host's.
    pub fn public_url(&self) -> Option<String> {
        let scheme = if self.tls_cert.value.is_some() { "https" } else { "http" };
        let (port, base) = (self.addr.value.port(), &self.base_path.value);
        let of_host = || Some(format!("{scheme}://{}:{port}{base}", self.hosts.value.first()?));
        self.public_url.value.clone().or_else(of_host)
    }

    /// As `--check-config` shows them.
    pub fn report(&self) -> Vec<Setting> {
        let row = |name: &str, value: Option<String>, origin: &Origin| Setting {
            name: name.to_owned(),
            set: value.is_some(),
            value,
            secret: false,
            origin: origin.clone(),
        };
        let path = |path: &Sourced<Option<PathBuf>>| path.value.as_ref().map(|p| p.display().to_string());
        let proxies = (!self.proxies.value.is_empty()).then(|| self.proxies.value.to_string());
        let base_path = (!self.base_path.value.is_empty()).then(|| self.base_path.value.clone());
        let hosts = (!self.hosts.value.is_empty()).then(|| self.hosts.value.join(","));
        vec![
            row("SERVICES_ADDR", Some(self.addr.value.to_string()), &self.addr.origin),
            row("SERVICES_NO_AUTH", Some(self.no_auth.value.to_string()), &self.no_auth.origin),
            row("SERVICES_PUBLIC_URL", self.public_url.value.clone(), &self.public_url.origin),
            row("SERVICES_HOSTS", hosts, &self.hosts.origin),
            row("SERVICES_BASE_PATH", base_path, &self.base_path.origin),
            row("SERVICES_PROXIES", proxies, &self.proxies.origin),
            row("SERVICES_TLS_CERT", path(&self.tls_cert), &self.tls_cert.origin),
            row("SERVICES_TLS_KEY", path(&self.tls_key), &self.tls_key.origin),
            row(
                "SERVICES_STATE_DIR",
                Some(self.state_dir.value.display().to_string()),
                &self.state_dir.origin,
            ),
            row("SERVICES_CONFIG", Some(self.config.value.display().to_string()), &self.config.origin),
            row("DOCKER_HOST", self.docker_host.value.as_deref().map(hidden), &self.docker_host.origin),
            row(
                "SERVICES_CHECK_IMAGES",
                Some(self.check_images.value.to_string()),
                &self.check_images.origin,
            ),
            row(
                "SERVICES_LOGS_SIZE",
                self.logs.size.value.map(|bytes| bytes.to_string()),
                &self.logs.size.origin,
            ),
            row(
                "SERVICES_LOGS_SERVICE_SIZE",
                self.logs.service_size.value.map(|bytes| bytes.to_string()),
                &self.logs.service_size.origin,
            ),
            row("SERVICES_LOGS_DAYS", Some(self.logs.days.value.to_string()), &self.logs.days.origin),
            row("SERVICES_SYSTEMD_BUS", Some(self.systemd_bus.value.to_string()), &self.systemd_bus.origin),
            row(
                "SERVICES_LOG",
                Some(self.log_level.value.to_string().to_lowercase()),
                &self.log_level.origin,
            ),
            row(
                "SERVICES_LOG_FORMAT",
                Some(self.log_format.value.as_str().to_owned()),
                &self.log_format.origin,
            ),
            row(
                "SERVICES_NVML_LIBRARY",
                self.nvml_library.value.as_ref().map(|p| p.display().to_string()),
                &self.nvml_library.origin,
            ),
        ]
    }
}

/// Who else may change a file or a folder on which the dashboard relies: whoever may, decides what is run. `None` where nobody.
pub fn exposed(path: &std::path::Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(path).ok()?;
    let (mode, owner) = (found.mode() & 0o7777, found.uid());
    let own = rustix::process::geteuid().as_raw();
    let shown = path.display();
    if mode & 0o022 != 0 {
        return Some(format!("{shown} can be changed by others (mode {mode:o}): chmod go-w {shown}"));
    }
    (owner != own && owner != 0)
        .then(|| format!("{shown} belongs to another user (UID {owner}), who can change it"))
}

/// Everything that is wrong with a configuration, one sentence each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

#[cfg(test)]
pub(crate) mod tests;
