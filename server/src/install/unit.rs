//! The text of the dashboard's unit. In: a [`Request`]. Out: a unit file that explains itself, its marker line first.
//!
//! Directives: `systemd.unit(5)`, `systemd.service(5)`, `systemd.exec(5)`, `systemd.kill(5)`.

use super::write::marked;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Whose unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The machine's, as root.
    System,
    /// The machine's, as an ordinary user.
    SystemAs {
        /// The user's name.
        user: String,
        /// Further groups: the engine's, and those that may read GPUs and the journal.
        groups: Vec<String>,
    },
    /// One user's.
    User,
}

/// What the unit is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whose unit.
    pub scope: Scope,
    /// This program, as an absolute path.
    pub program: PathBuf,
    /// The dashboard's flags.
    pub flags: Vec<String>,
    /// `PATH` as it is now: services that are processes are looked for on it.
    pub path: Option<String>,
    /// Where the page's files are, if they are not beside the program.
    pub site_root: Option<String>,
}

/// Why no unit can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A word that a unit file cannot hold.
    #[error("{0:?} cannot be written into a unit: it holds a control character, or is not UTF-8")]
    Word(String),
    /// systemd wants to know exactly which program.
    #[error("{0:?} is not an absolute path: install from where the program will stay")]
    Relative(String),
    /// It goes into the unit as it is.
    #[error(
        "{0:?} is no user's name: allowed are up to 32 of a-z, 0-9, _ and -, beginning with a letter or _"
    )]
    User(String),
}

/// A word as `ExecStart=` and `Environment=` take it: in quotes, `%` doubled, and `$` doubled where variables are replaced.
fn quoted(word: &str, variables: bool) -> Result<String, RequestError> {
    if word.chars().any(char::is_control) {
        return Err(RequestError::Word(word.chars().take(120).collect()));
    }
    let mut text = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '%' => text.push_str("%%"),
            '$' if variables => text.push_str("$$"),
            _ => text.push(c),
        }
    }
    text.push('"');
    Ok(text)
}

/// Words of letters, digits and what has no meaning to systemd stay as they are, for whoever reads the file.
fn word(word: &str) -> Result<String, RequestError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '=' | ':' | ',');
    if !word.is_empty() && word.chars().all(plain) { Ok(word.to_owned()) } else { quoted(word, true) }
}

/// The unit's text.
///
/// # Errors
/// [`RequestError`].
pub fn unit_file(request: &Request) -> Result<String, RequestError> {
    let shown = request.program.display().to_string();
    let program = request.program.to_str().ok_or_else(|| RequestError::Word(shown.clone()))?;
    if !request.program.is_absolute() {
        return Err(RequestError::Relative(shown));
    }
    // A path is not split at spaces but unquoted; specifiers are replaced in it all the same.
    let mut command = vec![word(program)?];
    for flag in &request.flags {
        command.push(word(flag)?);
    }
    let mut environment = String::new();
    for (name, value) in [("PATH", &request.path), ("LEPTOS_SITE_ROOT", &request.site_root)] {
        if let Some(value) = value {
            environment.push_str(&format!("Environment={}\n", quoted(&format!("{name}={value}"), false)?));
        }
    }
    let command = command.join(" ");
    let (after, hardening, target) = match &request.scope {
        Scope::System => (SYSTEM_AFTER, SYSTEM_HARDENING.to_owned(), "multi-user.target"),
        Scope::SystemAs { user, groups } => {
            (SYSTEM_AFTER, format!("{SYSTEM_HARDENING}{}", ordinary(user, groups)?), "multi-user.target")
        }
        Scope::User => (USER_AFTER, String::new(), "default.target"),
    };
    Ok(marked(&format!(
        "[Unit]
Description=Services: the page that manages this machine's background services
{after}# Ten starts in five minutes are a loop, not bad luck: then it stays down until somebody looks.
StartLimitIntervalSec=300
StartLimitBurst=10

[Service]
Type=exec
ExecStart={command}
# PATH as it was at the installation: services that run as processes are looked for on it.
{environment}# Further settings, such as VLLM_MODEL=… or SERVICES_CONFIG=…, one a line. The file may be missing.
EnvironmentFile=-%E/services/environment

# Only the dashboard itself is signalled when the unit stops or restarts: the services that it runs as processes live in
# the same control group and must outlive it.
KillMode=process
TimeoutStopSec=20
# One service that runs out of memory is that service's failure: without this systemd would end the whole unit for it.
OOMPolicy=continue

Restart=always
RestartSec=2
# 2 is a wrong configuration: starting again does not mend it.
RestartPreventExitStatus=2

# Services that run as processes inherit these limits; an inference server opens many files and threads.
LimitNOFILE=1048576
TasksMax=infinity

# Hardening. Services that run as processes inherit it, too, so only what an inference server can live with is here.
# Left out on purpose: PrivateDevices= and DeviceAllow= (GPUs; ProtectClock= would imply the latter), ProtectProc= (who
# holds a GPU's memory is read from /proc of others), PrivateTmp= (what services share there would go with each restart),
# ProtectKernelModules= and a filter of @module (the NVIDIA driver may load one at first use), a filter of @mount
# (apptainer and bwrap mount what they run), MemoryDenyWriteExecute= (compilers at run time), ProtectHome= and
# ProtectSystem=strict (models, settings and the state folder), PrivateNetwork= (the services' ports).
# The Docker socket is as good as root: no option here changes that.
NoNewPrivileges=yes
LockPersonality=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
{hardening}
[Install]
WantedBy={target}
"
    )))
}

/// What an ordinary user's unit has beyond root's.
fn ordinary(user: &str, groups: &[String]) -> Result<String, RequestError> {
    if !is_name(user) {
        return Err(RequestError::User(user.chars().take(120).collect()));
    }
    let groups = groups.iter().filter(|group| is_name(group)).cloned().collect::<Vec<_>>().join(" ");
    let groups = if groups.is_empty() {
        String::new()
    } else {
        format!(
            "# The engine's socket (as good as root), GPUs and the journal, as far as they are here.\nSupplementaryGroups={groups}\n"
        )
    };
    Ok(format!(
        "# An ordinary user. It has no capability, and cannot get one.
User={user}
{groups}Environment=SERVICES_STATE_DIR=/var/lib/services
CapabilityBoundingSet=
"
    ))
}

/// As `useradd` takes them.
fn is_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_lowercase() || c == '_';
    name.starts_with(first)
        && name.len() <= 32
        && name.chars().all(|c| first(c) || c.is_ascii_digit() || c == '-')
}

/// The groups of this machine that an ordinary user needs: that of the engine's socket, else `docker`, and those that may
/// read GPUs and the journal.
pub fn groups(etc_group: &str, socket: &Path) -> Vec<String> {
    let lines = || etc_group.lines().filter_map(|line| line.split_once(':'));
    let owner = std::fs::metadata(socket).ok().map(|meta| meta.gid().to_string());
    let of_socket = lines().find(|(_, rest)| owner.is_some() && rest.split(':').nth(1) == owner.as_deref());
    let engine = of_socket.map_or("docker", |(name, _)| name);
    [engine, "render", "video", "systemd-journal"]
        .into_iter()
        .filter(|wanted| *wanted != "root" && lines().any(|(name, _)| name == *wanted))
        .map(str::to_owned)
        .collect()
}

const SYSTEM_AFTER: &str = "# Docker first, where there is one, so that its containers are seen at once; without it the dashboard starts all the same.
Wants=network-online.target docker.service
After=network-online.target docker.service
";

const USER_AFTER: &str = "# Rootless Docker is a unit of the user; the machine's own cannot be waited for from here, and need not be.
After=docker.service
";

const SYSTEM_HARDENING: &str = "# /usr and /boot cannot be written; /etc can, since services.toml may be kept there and the page edits it.
ProtectSystem=yes
ProtectHostname=yes
# /var/lib/services, where the dashboard keeps its state as root unless it is told otherwise.
StateDirectory=services
StateDirectoryMode=0700
# What neither the dashboard nor an inference server does.
ProtectControlGroups=yes
ProtectKernelLogs=yes
RestrictRealtime=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallFilter=~@clock @cpu-emulation @obsolete @raw-io @reboot @swap
SystemCallErrorNumber=EPERM
";
