//! `services.toml`: its shape. Unknown keys are errors that name the key.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The dashboard.
    #[serde(default)]
    pub dashboard: DashboardTable,
    /// The services.
    #[serde(default)]
    pub service: Vec<ServiceTable>,
    /// Who is told when something happens.
    #[serde(default)]
    pub notify: Vec<crate::notify::Table>,
    /// Neighbouring pages.
    #[serde(default)]
    pub links: BTreeMap<String, String>,
}

/// `[dashboard]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DashboardTable {
    /// `SERVICES_ADDR`
    pub addr: Option<String>,
    /// `SERVICES_PUBLIC_URL`
    pub public_url: Option<String>,
    /// `SERVICES_HOSTS`
    pub hosts: Option<Vec<String>>,
    /// `SERVICES_BASE_PATH`
    pub base_path: Option<String>,
    /// `SERVICES_PROXIES`
    pub proxies: Option<Vec<String>>,
    /// `SERVICES_TLS_CERT`
    pub tls_cert: Option<String>,
    /// `SERVICES_TLS_KEY`
    pub tls_key: Option<String>,
    /// `DOCKER_HOST`
    pub docker_host: Option<String>,
    /// `SERVICES_NVML_LIBRARY`
    pub nvml_library: Option<String>,
    /// Folders whose contents the page may hand to containers.
    pub folders: Option<Vec<String>>,
    /// `SERVICES_CHECK_IMAGES`
    pub check_images: Option<bool>,
    /// `SERVICES_LOGS_SIZE`
    pub logs_size: Option<String>,
    /// `SERVICES_LOGS_SERVICE_SIZE`
    pub logs_service_size: Option<String>,
    /// `SERVICES_LOGS_DAYS`
    pub logs_days: Option<u64>,
    /// `SERVICES_SYSTEMD_BUS`
    pub systemd_bus: Option<String>,
    /// `SERVICES_LOG`
    pub log: Option<String>,
    /// `SERVICES_LOG_FORMAT`
    pub log_format: Option<String>,
}

/// `[[service]]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceTable {
    /// Its name in addresses.
    pub name: String,
    /// Its name for people.
    pub title: Option<String>,
    /// What it is: `vllm`, or `container`, `process`, `systemd` for any other service.
    pub kind: Option<String>,
    /// `VLLM_RUNTIME`
    pub runtime: Option<String>,
    /// `VLLM_CONTAINER`
    pub container: Option<String>,
    /// All containers with this label, `KEY` or `KEY=VALUE`, each as a service of its own.
    pub label: Option<String>,
    /// The unit of systemd.
    pub unit: Option<String>,
    /// The command of a process, as a list.
    pub command: Option<Vec<String>>,
    /// How its health is checked: `http://…`, `tcp://HOST:PORT`, or a command as a list.
    pub health: Option<HealthKey>,
    /// `VLLM_IMAGE`
    pub image: Option<String>,
    /// `VLLM_API_URL`
    pub api_url: Option<String>,
    /// `VLLM_MODEL_NAME`
    pub model_name: Option<String>,
    /// `VLLM_MODEL`
    pub model: Option<String>,
    /// `CUDA_VISIBLE_DEVICES`
    pub cuda_visible_devices: Option<TextOrNumber>,
    /// `GPU_MEMORY_UTILIZATION`
    pub gpu_memory_utilization: Option<TextOrNumber>,
    /// Further arguments.
    pub args: Option<Vec<String>>,
    /// `VLLM_START_SILENCE_S`
    pub start_silence_s: Option<TextOrNumber>,
    /// `VLLM_SMOKE_TEST`
    pub smoke_test: Option<bool>,
    /// `HF_HOME`
    pub hf_home: Option<String>,
    /// It is started with the dashboard, and again after a failure.
    pub auto_start: Option<bool>,
    /// With so many failures within the window it stays failed.
    pub restart_budget: Option<u32>,
    /// The window of the budget, in seconds.
    pub restart_window_s: Option<u64>,
    /// `VLLM_API_KEY`
    pub api_key: Option<String>,
    /// `HF_TOKEN`
    pub hf_token: Option<String>,
}

/// A health check in one of its two shapes.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum HealthKey {
    /// An address.
    Address(String),
    /// A command.
    Command(Vec<String>),
}

/// `0.5` and `"0.5"` mean the same.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum TextOrNumber {
    /// A text.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// A number.
    Number(f64),
}

impl TextOrNumber {
    /// As it would be written in the environment.
    pub fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Whole(n) => n.to_string(),
            Self::Number(x) => x.to_string(),
        }
    }
}

/// What is wrong, and where. The line itself is not quoted: it may hold a secret.
pub fn place(text: &str, span: Option<std::ops::Range<usize>>, message: &str) -> String {
    let message = message.lines().next().unwrap_or_default();
    let Some(before) = span.and_then(|s| text.get(..s.start)) else { return message.to_owned() };
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}: {message}")
}

/// Understands the file's text.
///
/// # Errors
/// One sentence with the file's path, the line and the column.
pub fn parse(path: &Path, text: &str) -> Result<File, String> {
    toml_edit::de::from_str(text)
        .map_err(|error| format!("{}: {}", path.display(), place(text, error.span(), error.message())))
}

/// Reads the file; one that is not there is an empty one, unless it was named.
///
/// # Errors
/// One sentence with the file's path.
pub fn read(path: &Path, named: bool) -> Result<File, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => Ok(File::default()),
        Err(error) => Err(format!("{}: cannot be read: {error}", path.display())),
    }
}
