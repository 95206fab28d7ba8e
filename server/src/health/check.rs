//! What a check says in the settings, read once.

use crate::reach::{REFUSED, forbidden_host};
use std::fmt;

/// The longest text, and the longest word of a command.
const LONGEST: usize = 2048;
/// The most words of a command.
const WORDS: usize = 64;

/// How a service is asked whether it is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// GET this; 2xx and 3xx are healthy.
    Http(HttpTarget),
    /// Connect to this.
    Tcp(TcpTarget),
    /// Run this program with these arguments; never empty.
    Command(Vec<String>),
}

/// An address to GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTarget {
    base: String,
    path: String,
}

/// An address to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpTarget {
    host: String,
    port: u16,
}

impl HttpTarget {
    /// `http://host:port`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// From the first `/` on.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl TcpTarget {
    /// The host, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

/// Why a check was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// None of the three kinds.
    #[error(
        "{0:?} is not a check: allowed are http://HOST:PORT/PATH, tcp://HOST:PORT and cmd:PROGRAM ARGUMENTS"
    )]
    Kind(String),
    /// There is no TLS here: the service is asked on this machine.
    #[error("{0:?}: https is not supported: name the service's plain port, or check with a command")]
    Https(String),
    /// The address is not understood.
    #[error("{0:?} is not an address: allowed are a host name or address, ':' and a port from 1 to 65535")]
    Address(String),
    /// A metadata service, or an address of the link.
    #[error("{0:?} is not allowed: {REFUSED}")]
    Forbidden(String),
    /// A command that only a shell would understand.
    #[error(
        "{0:?}: quotes and the characters | & ; < > $ ` \\ mean nothing here, there is no shell: write the command as a list of words"
    )]
    Shell(String),
    /// No program, or too much.
    #[error(
        "a command has 1 to {WORDS} words of at most {LONGEST} characters, without NUL, and its first is not empty"
    )]
    Words,
}

impl Check {
    /// Reads `http://…`, `tcp://HOST:PORT` or `cmd:PROGRAM ARGUMENTS` (split at spaces).
    ///
    /// # Errors
    /// [`CheckError`] says what is allowed.
    pub fn parse(text: &str) -> Result<Self, CheckError> {
        let shown = || text.chars().take(120).collect::<String>();
        if text.len() > LONGEST {
            return Err(CheckError::Kind(shown()));
        }
        if let Some(rest) = text.strip_prefix("http://") {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let (host, port) = address(authority, Some(80)).ok_or_else(|| CheckError::Address(shown()))?;
            if forbidden_host(&host) {
                return Err(CheckError::Forbidden(shown()));
            }
            let plain =
                |c: char| c.is_ascii_graphic() && !matches!(c, '#' | '"' | '<' | '>' | '\\' | '^' | '`');
            if !path.chars().all(plain) {
                return Err(CheckError::Address(shown()));
            }
            let host = if host.contains(':') { format!("[{host}]") } else { host };
            let path = if path.is_empty() { "/".to_owned() } else { path.to_owned() };
            return Ok(Self::Http(HttpTarget { base: format!("http://{host}:{port}"), path }));
        }
        if let Some(rest) = text.strip_prefix("tcp://") {
            let (host, port) = address(rest, None).ok_or_else(|| CheckError::Address(shown()))?;
            if forbidden_host(&host) {
                return Err(CheckError::Forbidden(shown()));
            }
            return Ok(Self::Tcp(TcpTarget { host, port }));
        }
        if let Some(rest) = text.strip_prefix("cmd:") {
            let of_a_shell =
                |c: char| matches!(c, '\'' | '"' | '|' | '&' | ';' | '<' | '>' | '$' | '`' | '\\');
            if rest.contains(of_a_shell) {
                return Err(CheckError::Shell(shown()));
            }
            return Self::command(rest.split_whitespace().map(str::to_owned).collect());
        }
        Err(if text.starts_with("https://") { CheckError::Https(shown()) } else { CheckError::Kind(shown()) })
    }

    /// A command, as its program and arguments. Every character of a word is taken as it is.
    ///
    /// # Errors
    /// [`CheckError::Words`].
    pub fn command(words: Vec<String>) -> Result<Self, CheckError> {
        let fits = words.first().is_some_and(|program| !program.is_empty())
            && words.len() <= WORDS
            && words.iter().all(|word| word.len() <= LONGEST && !word.contains('\0'));
        if fits { Ok(Self::Command(words)) } else { Err(CheckError::Words) }
    }
}

/// Host and port of `host:port`, `[::1]:port`, or without a port where there is a default.
fn address(text: &str, default: Option<u16>) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || host.len() > 253 || !host.chars().all(plain) {
        return None;
    }
    let port = match port {
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().ok().filter(|p| *p != 0)?,
        Some(_) => return None,
        None => default?,
    };
    Some((host.to_owned(), port))
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(target) => write!(f, "{}{}", target.base, target.path),
            Self::Tcp(TcpTarget { host, port }) if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp(TcpTarget { host, port }) => write!(f, "tcp://{host}:{port}"),
            Self::Command(words) => write!(f, "cmd:{}", words.join(" ")),
        }
    }
}
