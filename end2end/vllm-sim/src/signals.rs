//! SIGTERM and SIGINT, and how a process dies of a signal it handles.

use std::os::unix::process::CommandExt;
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A request to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
}

/// Handlers for SIGTERM and SIGINT. Until they are installed the kernel does what Python's start does:
/// it ends the process, except process 1 of a container, which ignores the signal.
pub struct Stops {
    terminate: Signal,
    interrupt: Signal,
}

impl Stops {
    /// Installs the handlers; needs a runtime.
    pub fn install() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next request to stop.
    pub async fn next(&mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => Stop::Terminate,
            _ = self.interrupt.recv() => Stop::Interrupt,
        }
    }
}

/// Whether this is a container's first process, which no default action of a signal can end.
pub fn is_first_process() -> bool {
    std::process::id() == 1
}

/// Ends this process by `signal`, as Python does after a `KeyboardInterrupt`: an exit code of 130 for a
/// shell, a death by SIGINT for the parent. A handler cannot be removed without unsafe code, but `exec`
/// removes them all: the same process starts over in the role that only raises the signal.
pub fn die_of(signal: Stop, reexec_prefix: &[String]) -> ExitCode {
    if !is_first_process()
        && let Ok(exe) = std::env::current_exe()
    {
        #[expect(clippy::disallowed_methods, reason = "it replaces itself; that is how it dies of a signal")]
        let mut command = std::process::Command::new(exe);
        let role = if signal == Stop::Terminate { "die-of-sigterm" } else { "die-of-sigint" };
        // Returns only if it failed; the exit code says the same then.
        let _ = command.args(reexec_prefix).env(crate::children::ROLE, role).exec();
    }
    code_of(signal)
}

/// 128 plus the number of the signal.
pub fn code_of(signal: Stop) -> ExitCode {
    ExitCode::from(if signal == Stop::Terminate { 143 } else { 130 })
}

/// In the process that `die_of` left: no handlers, so the signal does its default.
pub fn raise_and_exit(signal: Stop) -> ExitCode {
    let number = match signal {
        Stop::Terminate => rustix::process::Signal::TERM,
        Stop::Interrupt => rustix::process::Signal::INT,
    };
    // If it cannot be sent, the code below says the same.
    let _ = rustix::process::kill_process(rustix::process::getpid(), number);
    code_of(signal)
}
