//! Settings, secrets in files, a dashboard that runs, the start at boot, the page's files.

use super::Finding;
use crate::install::{BootStatus, How};
use crate::settings::{Config, Sources};
use app::model::Origin;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where settings are read from, as words.
pub fn shown(config: &Config) -> String {
    let file = &config.dashboard.config.value;
    if file.exists() { file.display().to_string() } else { format!("{} (there is none)", file.display()) }
}

/// Whether others may read what is in the file.
pub fn secrets(config: &Config, sources: &Sources) -> Option<Finding> {
    let file = &config.dashboard.config.value;
    let mode = std::fs::metadata(file).ok()?.permissions().mode() & 0o777;
    let from_file = |set: bool, origin: &Origin| set && *origin == Origin::File;
    let of_service = config.services.iter().any(|service| {
        from_file(service.api_key.value.is_some(), &service.api_key.origin)
            || from_file(service.hf_token.value.is_some(), &service.hf_token.origin)
    });
    let of_target = config.notify.iter().any(|target| target.origin == Origin::File);
    // A file that cannot be understood may hold any.
    let broken = sources.load().is_err();
    let holds = of_service || of_target || broken;
    Some(if mode & 0o077 == 0 {
        Finding::ok("secrets", format!("{} is for its owner alone", file.display()))
    } else if holds {
        Finding::warning(
            "secrets",
            format!("{} holds secrets, and others may read it (mode {mode:o})", file.display()),
            format!("chmod 600 {}", file.display()),
        )
    } else {
        Finding::ok("secrets", format!("{} holds no secrets", file.display()))
    })
}

/// Who else may change what the dashboard relies on.
pub fn exposures(config: &Config) -> Vec<Finding> {
    let paths = [&config.dashboard.state_dir.value, &config.dashboard.config.value];
    let told = paths.into_iter().filter_map(|path| crate::settings::exposed(path));
    let advice = "Whoever may change it decides what Services runs.";
    told.map(|what| Finding::warning("owner", what, advice)).collect()
}

/// Who holds the state folder.
pub fn holder(state_dir: &Path) -> Option<u32> {
    let inode = std::fs::metadata(state_dir.join("lock")).ok()?.ino();
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    // `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`; taking the lock to try it would disturb whoever starts now.
    locks.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        (words.next()? == "FLOCK").then_some(())?;
        let pid: u32 = words.nth(2)?.parse().ok()?;
        let held: u64 = words.next()?.rsplit(':').next()?.parse().ok()?;
        (held == inode).then_some(pid)
    })
}

/// Whether a dashboard runs on this state folder.
pub fn running(state_dir: &Path) -> Finding {
    match holder(state_dir) {
        Some(pid) => Finding::ok("dashboard", format!("a dashboard runs (PID {pid})")),
        None => Finding::ok("dashboard", "no dashboard runs on this state folder"),
    }
}

/// Whether the dashboard comes back after a reboot.
pub fn boot() -> Finding {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let config = variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".config")));
    let user = variable("USER").or_else(|| variable("LOGNAME"));
    let check = "boot";
    match crate::install::boot_status(Path::new("/"), config.as_deref(), user.as_deref()) {
        BootStatus::Installed { how: How::System } => {
            Finding::ok(check, "systemd starts it with the machine")
        }
        BootStatus::Installed { how: How::User { lingers: true } } => {
            Finding::ok(check, "systemd starts it with the machine, as this user")
        }
        BootStatus::Installed { how: How::User { lingers: false } } => Finding::warning(
            check,
            "it is installed for this user and starts only when the user logs in",
            "loginctl enable-linger",
        ),
        BootStatus::NotEnabled => Finding::warning(
            check,
            "its unit is there, but nothing starts it",
            format!("systemctl enable --now {}", crate::install::UNIT),
        ),
        BootStatus::NotInstalled => Finding::warning(
            check,
            "it does not start with the machine",
            "`server install` writes a unit for systemd",
        ),
        BootStatus::InContainer => Finding::ok(check, "it runs in a container: its engine starts it"),
        BootStatus::Unknown => Finding::ok(check, "no systemd runs here: what starts at boot cannot be told"),
    }
}

/// Whether the page's files are there.
pub fn assets(found: &Result<PathBuf, String>) -> Finding {
    match found {
        Ok(folder) => Finding::ok("assets", format!("the page's files are in {}", folder.display())),
        Err(why) => Finding::error("assets", why.clone(), "Keep the folder `site` beside the program."),
    }
}
