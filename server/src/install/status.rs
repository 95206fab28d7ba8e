//! Whether the dashboard comes back after a reboot. In: files below a root folder. Out: a [`BootStatus`]. Bounded: a few
//! small files and the names in a few folders.

use super::UNIT;
use std::path::{Path, PathBuf};

/// How many entries of a folder are looked at.
const ENTRIES: usize = 2048;

/// Whether the dashboard starts at boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootStatus {
    /// It does.
    Installed {
        /// By what.
        how: How,
    },
    /// Its unit is there, but nothing starts it.
    NotEnabled,
    /// There is no unit of it.
    NotInstalled,
    /// It runs in a container: whether that is started at boot is known to the engine, not from inside.
    InContainer,
    /// No systemd runs here: what starts at boot is somebody else's to say.
    Unknown,
}

/// What starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The machine's systemd.
    System,
    /// The user's, which starts at boot when the user lingers, else at the first login.
    User {
        /// `loginctl enable-linger` was run for this user.
        lingers: bool,
    },
}

/// Looks at the files below `root` (`/`). `config_home` is where the user's settings are (`~/.config`), `user` the user's
/// name, as far as they are known; both are taken as they are, not below `root`.
pub fn boot_status(root: &Path, config_home: Option<&Path>, user: Option<&str>) -> BootStatus {
    let at = |path: &str| root.join(path);
    if at(".dockerenv").exists() || at("run/.containerenv").exists() {
        return BootStatus::InContainer;
    }
    let comm = std::fs::read_to_string(at("proc/1/comm")).unwrap_or_default();
    if comm.trim_end() != "systemd" {
        return BootStatus::Unknown;
    }
    // Also a unit that somebody wrote for it, under any name: the one that this process runs in.
    let mut units = vec![UNIT.to_owned()];
    units.extend(own_unit(&std::fs::read_to_string(at("proc/self/cgroup")).unwrap_or_default()));
    let system = [at("etc/systemd/system"), at("usr/lib/systemd/system"), at("lib/systemd/system")];
    let of_user: Vec<PathBuf> = config_home
        .map(|home| home.join("systemd/user"))
        .into_iter()
        .chain([at("etc/systemd/user")])
        .collect();
    let wanted = |folders: &[PathBuf]| folders.iter().any(|folder| is_wanted(folder, &units));
    if wanted(&system) {
        return BootStatus::Installed { how: How::System };
    }
    if wanted(&of_user) {
        let plain = |name: &&str| !name.is_empty() && !name.contains('/') && !name.starts_with('.');
        let lingers = user.filter(plain).is_some_and(|user| at("var/lib/systemd/linger").join(user).exists());
        return BootStatus::Installed { how: How::User { lingers } };
    }
    let there = |folders: &[PathBuf]| {
        folders.iter().any(|folder| units.iter().any(|unit| folder.join(unit).symlink_metadata().is_ok()))
    };
    if there(&system) || there(&of_user) { BootStatus::NotEnabled } else { BootStatus::NotInstalled }
}

/// Whether a target wants one of these units: a link in `*.wants` or `*.requires`. Masked ones (a link to `/dev/null` in the
/// unit's own place) start no more.
fn is_wanted(folder: &Path, units: &[String]) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().take(ENTRIES);
    let targets: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "wants" || kind == "requires"))
        .collect();
    units.iter().any(|unit| {
        let masked = std::fs::read_link(folder.join(unit)).is_ok_and(|to| to == Path::new("/dev/null"));
        !masked && targets.iter().any(|target| target.join(unit).symlink_metadata().is_ok())
    })
}

/// The service unit that a process with this `/proc/PID/cgroup` runs in; not the user's manager itself.
fn own_unit(cgroup: &str) -> Option<String> {
    let name = cgroup.lines().filter_map(|line| line.rsplit('/').next()).find(|n| n.ends_with(".service"))?;
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@' | b':' | b'\\'));
    (plain && !name.starts_with("user@")).then(|| name.to_owned())
}
