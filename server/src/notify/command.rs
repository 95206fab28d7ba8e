//! `server notify test [NAME]`: sends a test to one target, or to all, without a dashboard.

use super::owner::test;
use crate::settings::{ConfigError, Flags, Sources};
use std::process::ExitCode;

const USAGE: &str = "usage: server notify test [NAME]\n\nSends a test message to the target NAME of services.toml, or to all of them.\n";

/// Runs the command.
pub fn command(words: &[String]) -> ExitCode {
    let name = match words {
        [verb] if verb == "test" => None,
        [verb, name] if verb == "test" => Some(name.as_str()),
        [help] if help == "--help" || help == "-h" => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let config = match Sources::from_process(Flags::default()).load() {
        Ok(config) => config,
        Err(ConfigError(wrong)) => {
            for line in wrong {
                eprintln!("{line}");
            }
            return ExitCode::from(2);
        }
    };
    let targets: Vec<_> = config.notify.iter().filter(|t| name.is_none_or(|name| t.name == name)).collect();
    if targets.is_empty() {
        let known: Vec<&str> = config.notify.iter().map(|target| target.name.as_str()).collect();
        match name {
            Some(name) => eprintln!("there is no target {name:?}; there are: {}", known.join(", ")),
            None => {
                eprintln!(
                    "there are no targets: add [[notify]] to services.toml, or set SERVICES_NOTIFY_URL"
                );
            }
        }
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the runtime cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let base = config.dashboard.public_url();
    let mut all = true;
    for target in targets {
        match runtime.block_on(test(target, base.as_deref())) {
            Ok(()) => println!("{}: sent to {}", target.name, target.address),
            Err(why) => {
                all = false;
                println!("{}: not sent to {}: {why}", target.name, target.address);
            }
        }
    }
    // A name that is still looked up holds its thread.
    runtime.shutdown_background();
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
