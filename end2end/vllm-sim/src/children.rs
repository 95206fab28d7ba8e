//! The processes EngineCore and Worker. They do nothing, but are there to be seen, to survive the main
//! process, and to die. EngineCore starts Worker, as in the real one, and tells the main process about
//! it through a pipe: a line with the worker's pid, a second line when the worker is gone. The end of
//! the pipe is the end of EngineCore.

use crate::signals::{self, Stop};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use tokio::sync::mpsc;

/// The variable by which a re-executed simulator knows what it is.
pub const ROLE: &str = "SIM_ROLE";

/// What this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Main,
    EngineCore,
    Worker,
    /// A main process on its last step, see [`signals::die_of`].
    DieOf(Stop),
}

impl Role {
    /// Read from the environment; without a role this is the main process.
    pub fn of_this_process() -> Self {
        match std::env::var(ROLE).as_deref() {
            Ok("engine-core") => Self::EngineCore,
            Ok("worker") => Self::Worker,
            Ok("die-of-sigterm") => Self::DieOf(Stop::Terminate),
            Ok("die-of-sigint") => Self::DieOf(Stop::Interrupt),
            _ => Self::Main,
        }
    }
}

/// What happened to the child processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    EngineCore,
    Worker,
}

/// The running child processes, or none (`SIM_CHILDREN=0`).
#[derive(Debug)]
pub struct Children {
    engine: Option<Child>,
    /// The worker's pid; EngineCore is its parent.
    worker: Option<u32>,
}

impl Children {
    /// No processes; deaths are then only played.
    pub fn none() -> Self {
        Self { engine: None, worker: None }
    }

    /// Starts EngineCore and through it Worker, and reports deaths to `deaths`.
    pub fn start(prefix: &[String], deaths: mpsc::Sender<Death>) -> std::io::Result<Self> {
        let mut engine =
            child_command("engine-core", "VLLM::EngineCore", prefix)?.stdout(Stdio::piped()).spawn()?;
        let mut reports = BufReader::new(engine.stdout.take().ok_or(std::io::ErrorKind::BrokenPipe)?);
        let mut line = String::new();
        reports.read_line(&mut line)?;
        let worker = line.trim().parse().ok();
        std::thread::Builder::new().name("children".to_owned()).spawn(move || {
            let mut line = String::new();
            let death = match reports.read_line(&mut line) {
                Ok(length) if length > 0 => Death::Worker,
                _ => Death::EngineCore,
            };
            // Nobody listens once the main process is stopping.
            let _ = deaths.blocking_send(death);
        })?;
        Ok(Self { engine: Some(engine), worker })
    }

    /// The pids of EngineCore and Worker.
    pub fn pids(&self) -> Option<(u32, u32)> {
        Some((self.engine.as_ref()?.id(), self.worker?))
    }

    /// Kills EngineCore only, as a crash would. False where there is no such process.
    pub fn crash_engine(&self) -> bool {
        self.engine.as_ref().is_some_and(|engine| kill(engine.id()))
    }

    /// Kills what is left of them and waits for EngineCore. Worker first: it is not ours to wait for.
    pub fn end(&mut self) {
        if let Some(worker) = self.worker.take() {
            kill(worker);
        }
        if let Some(mut engine) = self.engine.take() {
            kill(engine.id());
            // It cannot fail for a child of ours; the process ends right after in any case.
            let _ = engine.wait();
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.end();
    }
}

fn kill(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL).is_ok())
}

fn child_command(role: &str, title: &str, prefix: &[String]) -> std::io::Result<Command> {
    #[expect(clippy::disallowed_methods, reason = "EngineCore and Worker are this program itself")]
    let mut command = Command::new(std::env::current_exe()?);
    command.arg0(title).args(prefix).env(ROLE, role).stdin(Stdio::null());
    Ok(command)
}

/// Runs as EngineCore or Worker until killed.
pub fn run_child(role: Role, prefix: &[String]) -> ExitCode {
    if let Role::DieOf(signal) = role {
        return signals::raise_and_exit(signal);
    }
    let name = if role == Role::EngineCore { c"VLLM::EngineCore" } else { c"VLLM::Worker" };
    // The kernel cuts it at 15 characters. A name is for the eye only: without it all goes on.
    let _ = rustix::thread::set_name(name);
    // Ctrl-C reaches the whole group; only the main process decides what follows.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let _guard = runtime.as_ref().map(tokio::runtime::Runtime::enter);
    let _interrupts = runtime
        .as_ref()
        .ok()
        .and_then(|_| tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).ok());
    match role {
        Role::EngineCore => match engine_core(prefix) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        _ => loop {
            std::thread::park();
        },
    }
}

/// Starts Worker, reports its pid, and reports its death. A worker survives the death of EngineCore.
fn engine_core(prefix: &[String]) -> std::io::Result<()> {
    // Worker's stdout goes where EngineCore's stderr goes: stdout is the pipe of the reports, and a
    // pipe that Worker held open would hide the end of EngineCore.
    let stderr = std::os::fd::AsFd::as_fd(&std::io::stderr()).try_clone_to_owned()?;
    let mut worker = child_command("worker", "VLLM::Worker", prefix)?.stdout(stderr).spawn()?;
    let mut reports = std::io::stdout();
    writeln!(reports, "{}", worker.id())?;
    reports.flush()?;
    worker.wait()?;
    // The main process may be gone: then nobody is left to be told.
    let _ = writeln!(reports, "worker gone").and_then(|()| reports.flush());
    loop {
        std::thread::park();
    }
}
