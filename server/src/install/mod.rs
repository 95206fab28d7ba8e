//! Running the dashboard at boot. In: `server install …`, or the question whether it is installed. Out: a systemd unit on
//! disk, text on standard output, a [`BootStatus`]. Starts nothing and asks no bus: files only.
//!
//! - `unit`: the unit's text; `compose`: the compose file's; `write`: puts a unit in its place without ever overwriting
//!   what somebody else wrote; `status`: whether the dashboard comes back after a reboot.

mod compose;
mod status;
mod unit;
mod write;

pub use compose::compose_file;
pub use status::{BootStatus, How, boot_status};
pub use unit::{Request, RequestError, Scope, unit_file};
pub use write::{WriteError, Written, write_unit};

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The machine's engine, whose group an ordinary user needs.
const SOCKET: &str = "/var/run/docker.sock";
/// The unit's name.
pub const UNIT: &str = "services-dashboard.service";

const USAGE: &str = "usage: server install [--user | --as USER] [--print] [FLAGS of the dashboard…]
       server install --compose

Writes a systemd unit that runs this program at boot with these flags, and says what to do next.
  --user     for this user, in ~/.config/systemd/user, without root
  --as USER  a unit of the machine that runs as this ordinary user, with the groups of the engine's socket and of GPUs
  --print    write the unit to standard output and nothing to the disk
  --compose  print a compose file that runs the dashboard as a container";

/// `server install`: the words behind `install`. `check` refuses flags that the dashboard would not take.
pub fn command(words: &[String], check: impl Fn(&[String]) -> Result<(), String>) -> ExitCode {
    crate::terminal::end(answer(words, check))
}

/// What `server install` was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    help: bool,
    user: bool,
    /// Words behind `--as`; it needs one.
    run_as: Option<Option<String>>,
    print: bool,
    compose: bool,
    /// For the dashboard.
    flags: Vec<String>,
}

fn asked(words: &[String]) -> Asked {
    let mut asked = Asked::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--help" | "-h" => asked.help = true,
            "--user" => asked.user = true,
            "--as" => asked.run_as = Some(words.next().cloned()),
            "--print" => asked.print = true,
            "--compose" => asked.compose = true,
            _ => asked.flags.push(word.clone()),
        }
    }
    asked
}

fn answer(words: &[String], check: impl Fn(&[String]) -> Result<(), String>) -> Result<String, String> {
    let asked = asked(words);
    if asked.help {
        return Ok(format!("{USAGE}\n"));
    }
    check(&asked.flags)?;
    if asked.compose {
        return compose_file(&asked.flags).map_err(|error| error.to_string());
    }
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let scope = match (asked.user, asked.run_as) {
        (false, None) => Scope::System,
        (true, None) => Scope::User,
        (false, Some(Some(user))) => {
            let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
            Scope::SystemAs { groups: unit::groups(&groups, Path::new(SOCKET)), user }
        }
        (_, Some(_)) => return Err("--as needs a user's name, and does not go with --user".to_owned()),
    };
    let request = Request {
        scope,
        program: std::env::current_exe()
            .map_err(|error| format!("this program's own path is not known: {error}"))?,
        flags: asked.flags,
        path: variable("PATH"),
        site_root: variable("LEPTOS_SITE_ROOT"),
    };
    let text = unit_file(&request).map_err(|error| error.to_string())?;
    if asked.print {
        return Ok(text);
    }
    let folder = match request.scope {
        Scope::System | Scope::SystemAs { .. } if rustix::process::geteuid().is_root() => {
            PathBuf::from("/etc/systemd/system")
        }
        Scope::System | Scope::SystemAs { .. } => {
            return Err("only root may install a unit of the machine: use sudo, or --user for one of yours"
                .to_owned());
        }
        Scope::User => variable("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute())
            .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".config")))
            .ok_or("HOME is not set: where this user's units are is not known")?
            .join("systemd/user"),
    };
    let written = write_unit(&folder, &text).map_err(|error| error.to_string())?;
    Ok(format!("{}\n{}", written_words(&written), next(&request.scope)))
}

fn written_words(written: &Written) -> String {
    match written {
        Written::New(path) => format!("Wrote {}.", path.display()),
        Written::Replaced(path) => format!("Wrote {} anew.", path.display()),
        Written::Same(path) => format!("{} is as it should be already.", path.display()),
    }
}

/// The commands that are left to the person.
fn next(scope: &Scope) -> String {
    let (control, journal) = match scope {
        Scope::User => ("systemctl --user", "journalctl --user"),
        Scope::System | Scope::SystemAs { .. } => ("systemctl", "journalctl"),
    };
    let mut text = format!("Next:\n  {control} daemon-reload && {control} enable --now {UNIT}\n");
    if *scope == Scope::User {
        text.push_str("So that it starts at boot and not only when you log in:\n  loginctl enable-linger\n");
    }
    // Without an account, nobody gets in without that code.
    text.push_str(&format!(
        "Where nobody has an account yet, its log tells the code that makes the first one:\n  {journal} --unit {UNIT} --grep code\n"
    ));
    text
}

#[cfg(test)]
mod tests;
