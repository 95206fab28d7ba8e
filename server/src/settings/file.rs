//! `services.toml`: its shape. Unknown keys are errors that name the key.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
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

/// The number of `/dev/null`.
const NULL: u64 = 0x103;
/// The largest file that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// The file's text; none where there is no such file. A link that leads nowhere, a pipe, a device or a folder is no missing file.
///
/// # Errors
/// One sentence with the file's path.
pub fn text(path: &Path) -> Result<Option<String>, String> {
    let shown = path.display();
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return match std::fs::read_link(path) {
                Ok(to) => Err(format!("{shown}: is a link to {}, which is not there", to.display())),
                Err(_) => Ok(None),
            };
        }
        Err(error) => return Err(format!("{shown}: cannot be read: {error}")),
    };
    // The usual way to say that there is none.
    if found.rdev() == NULL && found.file_type().is_char_device() {
        return Ok(None);
    }
    // Asked before it is opened: a pipe that nobody writes to would be waited for without end.
    if !found.is_file() {
        return Err(format!("{shown}: is not a regular file"));
    }
    if found.len() > LARGEST {
        return Err(format!("{shown}: is larger than {} MiB", LARGEST >> 20));
    }
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{shown}: cannot be read: {error}")),
    }
}

/// Reads the file; one that is not there is an empty one, unless it was named.
///
/// # Errors
/// One sentence with the file's path.
pub fn read(path: &Path, named: bool) -> Result<File, String> {
    match text(path)? {
        Some(text) => parse(path, &text),
        None if named && !path.exists() => {
            Err(format!("{}: cannot be read: there is no such file", path.display()))
        }
        None => Ok(File::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_told_from_none_and_never_waited_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let place = |name: &str| dir.path().join(name);
        assert_eq!(text(&place("none")), Ok(None));
        assert!(read(&place("none"), false).is_ok());
        assert!(read(&place("none"), true).is_err());
        assert!(read(Path::new("/dev/null"), true).is_ok());
        assert!(read(Path::new("/dev/zero"), true).is_err());
        std::os::unix::fs::symlink(place("nowhere"), place("link")).expect("linked");
        std::os::unix::fs::symlink(place("link"), place("link2")).expect("linked");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            place("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .expect("a pipe");
        std::os::unix::fs::symlink(place("pipe"), place("link3")).expect("linked");
        for name in ["link", "link2", "link3", "pipe", ""] {
            for named in [false, true] {
                let told = read(&place(name), named).expect_err("no file");
                assert!(told.contains(&place(name).display().to_string()), "{told}");
            }
        }
        std::fs::write(place("large"), vec![b'#'; 5 << 20]).expect("written");
        assert!(text(&place("large")).is_err_and(|told| told.contains("4 MiB")));
        std::fs::write(place("good"), "# mine\n").expect("written");
        std::os::unix::fs::symlink(place("good"), place("link4")).expect("linked");
        assert_eq!(text(&place("link4")), Ok(Some("# mine\n".to_owned())));
    }
}
