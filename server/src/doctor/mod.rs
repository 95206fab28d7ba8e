//! `server doctor`: looks at everything that the dashboard needs, and says what to do about what is missing.
//!
//! In: settings, the machine, the engine. Out: one finding for each thing looked at, in words or as JSON. It changes nothing,
//! and a dashboard that runs is not disturbed: nothing of the state folder is opened for writing, no lock is taken.

mod clock;
mod engine;
mod host;
mod port;
mod setup;
mod store;

use crate::settings::{Config, ConfigError, Flags, Sources};
use clap::Parser;
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, but not as well as it could.
    Warning,
    /// It does not work.
    Error,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: the same word for ever.
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What is the case.
    pub what: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, what: what.into(), advice: None }
    }

    fn warning(check: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, level: Level::Warning, what: what.into(), advice: Some(advice.into()) }
    }

    fn error(check: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, level: Level::Error, what: what.into(), advice: Some(advice.into()) }
    }
}

/// Check everything that the dashboard needs, and say what to do. Changes nothing.
#[derive(Debug, Parser)]
#[command(name = "server doctor")]
struct Asked {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

/// Runs the command. `assets` says where the page's files are.
pub fn command(words: &[String], assets: impl Fn() -> Result<PathBuf, String>) -> ExitCode {
    let words = std::iter::once("server doctor".to_owned()).chain(words.iter().cloned());
    let asked = match Asked::try_parse_from(words) {
        Ok(asked) => asked,
        Err(error) => {
            // A closed pipe is the reader's choice.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let findings = examine(&Sources::from_process(asked.flags), &assets());
    let well = findings.iter().all(|finding| finding.level != Level::Error);
    let text = if asked.json { json(&findings, well) } else { plain(&findings) };
    let _ = std::io::stdout().write_all(text.as_bytes());
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn examine(sources: &Sources, assets: &Result<PathBuf, String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let config: Option<Config> = match sources.load() {
        Ok(config) => Some(config),
        Err(ConfigError(wrong)) => {
            findings.extend(wrong.into_iter().map(|line| {
                Finding::error(
                    "settings",
                    line,
                    "Correct it; `server --check-config` shows what is in force.",
                )
            }));
            // What can be known without the file.
            sources.load_text("").ok()
        }
    };
    if let Some(config) = &config {
        if findings.is_empty() {
            findings.push(Finding::ok("settings", format!("{} can be read", setup::shown(config))));
        }
        findings.extend(setup::secrets(config, sources));
        findings.extend(setup::exposures(config));
        findings.push(setup::running(&config.dashboard.state_dir.value));
        findings.extend(host::disk(config));
        findings.extend(store::store(&config.dashboard.state_dir.value));
        findings.push(port::port(config.dashboard.addr.value, &config.dashboard.state_dir.value));
        findings.extend(engine::look(config));
        findings.extend(host::gpu(config.dashboard.nvml_library.value.clone()));
        findings.extend(clock::clock(&config.dashboard.state_dir.value));
    }
    findings.push(host::files());
    findings.push(setup::boot());
    findings.push(setup::assets(assets));
    findings
}

fn plain(findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        let level = match finding.level {
            Level::Ok => "ok     ",
            Level::Warning => "warning",
            Level::Error => "error  ",
        };
        out.push_str(&format!("{level}  {:<9} {}\n", finding.check, finding.what));
        if let Some(advice) = &finding.advice {
            out.push_str(&format!("{:19}{advice}\n", ""));
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    out.push_str(&format!("{}, {}\n", plural(errors, "error"), plural(warnings, "warning")));
    out
}

fn json(findings: &[Finding], well: bool) -> String {
    format!("{}\n", serde_json::json!({ "ok": well, "findings": findings }))
}
