//! Unit files. In: a folder of `NAME.service`. Out: the few settings that the stand-in understands.
//!
//! `ExecStart=` (split at spaces), `Restart=` (told, not done), `TimeoutStopSec=` in seconds, whether there is an
//! `[Install]` section; and, to make it refuse: `SimResult=WORD`, with which a start job ends without having run anything,
//! `SimDeny=yes`, with which nobody may do anything with the unit, and `SimForget=yes`, with which all that was known of it
//! is forgotten when it has ended in order, as systemd does with a unit that nothing refers to.

use std::path::Path;
use std::time::Duration;

/// One unit's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitFile {
    pub command: Vec<String>,
    pub restart: String,
    pub stop_limit: Duration,
    pub installable: bool,
    pub result: Option<String>,
    pub denied: bool,
    pub forget: bool,
}

/// Reads the file of a unit; `None` where there is none.
pub fn read(dir: &Path, unit: &str) -> Option<UnitFile> {
    if unit.contains('/') || !unit.ends_with(".service") {
        return None;
    }
    let template = unit.split_once('@').map(|(template, _)| format!("{template}@.service"));
    let text = std::fs::read_to_string(dir.join(unit))
        .ok()
        .or_else(|| template.and_then(|template| std::fs::read_to_string(dir.join(template)).ok()))?;
    Some(parse(&text))
}

fn parse(text: &str) -> UnitFile {
    let value = |key: &str| {
        text.lines().rev().find_map(|line| line.strip_prefix(key)?.strip_prefix('=').map(str::trim))
    };
    UnitFile {
        command: value("ExecStart").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
        restart: value("Restart").unwrap_or("no").to_owned(),
        stop_limit: Duration::from_secs(value("TimeoutStopSec").and_then(|s| s.parse().ok()).unwrap_or(90)),
        installable: text.lines().any(|line| line.trim() == "[Install]"),
        result: value("SimResult").map(str::to_owned),
        denied: value("SimDeny") == Some("yes"),
        forget: value("SimForget") == Some("yes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_key_counts_and_what_is_missing_has_a_default() {
        let file = parse("[Service]\nExecStart=/bin/a\nExecStart=/bin/b  x y\n[Install]\n");
        assert_eq!(file.command, ["/bin/b", "x", "y"]);
        assert!(file.installable && !file.denied);
        assert_eq!((file.restart.as_str(), file.stop_limit.as_secs()), ("no", 90));
    }
}
