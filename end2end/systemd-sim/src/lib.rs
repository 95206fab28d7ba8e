//! A stand-in for systemd where none runs: the manager's interface on a bus, units that really run, a journal to read.
//!
//! `systemd-sim --units DIR --journal FILE [--bus ADDRESS]` owns `org.freedesktop.systemd1` on that bus (without `--bus` on
//! the session's, `DBUS_SESSION_BUS_ADDRESS`) until it is ended, and ends what it started. `systemd-sim journalctl --sim-journal=FILE …`
//! prints the journal as `journalctl --output=export` would. What a unit may say is in `file`; what a unit did is known for
//! as long as the program runs.

mod file;
mod journal;
mod manager;
mod run;
mod unit;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

const USAGE: &str = "usage: systemd-sim --units DIR --journal FILE [--bus ADDRESS]\n       systemd-sim journalctl --sim-journal=FILE [ARGUMENTS of journalctl]";

/// Runs the program with these arguments, without its name.
pub fn run(arguments: &[String]) -> ExitCode {
    let outcome = match arguments.split_first() {
        Some((first, rest)) if first == "journalctl" => journal::print(rest),
        _ => serve(arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &[String]) -> Result<(), String> {
    let (mut units, mut journal, mut bus) = (None, None, None);
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return Err(USAGE.to_owned()) };
        match name.as_str() {
            "--units" => units = Some(PathBuf::from(value)),
            "--journal" => journal = Some(PathBuf::from(value)),
            "--bus" => bus = Some(value.clone()),
            _ => return Err(USAGE.to_owned()),
        }
    }
    let (Some(units), Some(journal)) = (units, journal) else { return Err(USAGE.to_owned()) };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime cannot be started: {error}"))?;
    runtime.block_on(async {
        let world = Arc::new(run::World::new(units, journal::Journal::new(journal)));
        let builder = match &bus {
            Some(address) => zbus::connection::Builder::address(address.as_str()),
            None => zbus::connection::Builder::session(),
        };
        let connection = builder
            .and_then(|b| b.serve_at(manager::PATH, manager::Manager::new(world.clone())))
            .and_then(|b| b.name("org.freedesktop.systemd1"))
            .map_err(|error| error.to_string())?
            .build()
            .await
            .map_err(|error| format!("the bus cannot be used: {error}"))?;
        println!("systemd-sim is on the bus");
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            .map_err(|error| error.to_string())?;
        // A bus that ends takes the stand-in with it: a new one is started with a new bus.
        tokio::select! {
            _ = terminate.recv() => {}
            () = connection.closed() => {}
        }
        world.end_all();
        Ok(())
    })
}
