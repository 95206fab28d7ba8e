//! Whether a service answers, whatever it is. In: a [`Check`] from the settings. Out: an [`Outcome`], within five seconds.
//!
//! Three kinds: an HTTP GET (2xx and 3xx are healthy), a TCP connection that is accepted, a command that exits with 0. No
//! shell anywhere. Knows nothing of what the service is.

mod check;
mod command;

pub use check::{Check, CheckError, HttpTarget, TcpTarget};

use crate::reach;
use crate::vllm::http::{Http, NoAnswer};
use std::time::Duration;

/// How long a check may take, all in all.
pub const LIMIT: Duration = Duration::from_secs(5);

/// How a check went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The service answers.
    Healthy,
    /// It does not, or not as it should.
    Unhealthy {
        /// In which way.
        why: Why,
    },
}

/// Why a service is not healthy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Nobody listens there, or whoever does hangs up without a word.
    #[error("nobody listens there")]
    Refused,
    /// The name cannot be resolved, or there is no way to it, or it leads where nothing is ever asked.
    #[error("cannot be reached: {detail}")]
    Unreachable {
        /// The system's words.
        detail: String,
    },
    /// No answer in time.
    #[error("no answer within {seconds} s")]
    Timeout {
        /// The limit.
        seconds: u64,
    },
    /// It answers, but not in HTTP.
    #[error("its answer is not understood")]
    Garbage,
    /// It answers with another status than 2xx and 3xx.
    #[error("answers with status {status}")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// The command says no.
    #[error("the command exited with {code}: {said}")]
    Exited {
        /// Its exit code.
        code: i32,
        /// The beginning of what it printed; may be empty.
        said: String,
    },
    /// A signal ended the command.
    #[error("the command was ended by signal {signal}")]
    Killed {
        /// The signal's number.
        signal: i32,
    },
    /// The command cannot be run.
    #[error("{program} cannot be run: {detail}")]
    NotRun {
        /// The program.
        program: String,
        /// The system's words.
        detail: String,
    },
}

/// Runs a check; at most [`LIMIT`] and a moment to clean up.
pub async fn run(check: &Check) -> Outcome {
    let done = match check {
        Check::Http(target) => get(target).await,
        Check::Tcp(target) => connect(target).await,
        Check::Command(words) => command::run(words, LIMIT).await,
    };
    match done {
        Ok(()) => Outcome::Healthy,
        Err(why) => Outcome::Unhealthy { why },
    }
}

const fn too_late() -> Why {
    Why::Timeout { seconds: LIMIT.as_secs() }
}

async fn get(target: &HttpTarget) -> Result<(), Why> {
    match Http::default().get(target.base(), target.path(), None, LIMIT).await {
        Ok((200..=399, _)) => Ok(()),
        Ok((status, _)) => Err(Why::Status { status }),
        Err(NoAnswer::Refused) => Err(Why::Refused),
        Err(NoAnswer::Timeout) => Err(too_late()),
        Err(NoAnswer::Garbage) => Err(Why::Garbage),
        Err(NoAnswer::Forbidden) => Err(Why::Unreachable { detail: reach::REFUSED.to_owned() }),
    }
}

async fn connect(target: &TcpTarget) -> Result<(), Why> {
    let connecting = async {
        let found = reach::resolve(target.host(), target.port()).await?;
        tokio::net::TcpStream::connect(found.as_slice()).await
    };
    match tokio::time::timeout(LIMIT, connecting).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(match error.kind() {
            std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::ConnectionReset => Why::Refused,
            std::io::ErrorKind::TimedOut => too_late(),
            _ => Why::Unreachable { detail: error.to_string().chars().take(200).collect() },
        }),
        Err(_) => Err(too_late()),
    }
}

#[cfg(test)]
mod tests;
