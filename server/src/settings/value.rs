//! Types of settings: each reads a text by what is allowed, and says so when it refuses.

use crate::reach::{REFUSED, forbidden_host};
use app::model::Origin;
use std::fmt;

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value in force.
    pub value: T,
    /// Who set it.
    pub origin: Origin,
}

impl<T> Sourced<T> {
    /// Somebody set it.
    pub fn is_explicit(&self) -> bool {
        self.origin != Origin::Default
    }
}

/// The address of a vLLM API: `http://HOST[:PORT][/PATH]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiUrl {
    host: String,
    port: u16,
    path: String,
}

impl ApiUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// What is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        const ALLOWED: &str = "allowed is http://HOST[:PORT][/PATH], such as http://localhost:11434";
        if text.starts_with("https://") {
            return Err("https is not supported here: give the plain address of the engine on this machine, http://HOST:PORT".to_owned());
        }
        let rest = text.strip_prefix("http://").ok_or(ALLOWED)?;
        let uri: http::Uri = text.parse().map_err(|_| ALLOWED)?;
        let authority = uri.authority().ok_or(ALLOWED)?;
        if authority.as_str().contains('@') || rest.contains(['?', '#']) || authority.host().is_empty() {
            return Err(format!("{ALLOWED}, without user, query or fragment"));
        }
        if forbidden_host(authority.host()) {
            return Err(format!("{REFUSED}; allowed is the address of an engine"));
        }
        let port = match authority.port() {
            Some(port) => port
                .as_str()
                .parse::<u16>()
                .ok()
                .filter(|p| *p > 0)
                .ok_or("the port must be from 1 to 65535")?,
            None if authority.as_str() != authority.host() => {
                return Err("the port must be from 1 to 65535".to_owned());
            }
            None => 80,
        };
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { host: authority.host().to_owned(), port, path })
    }

    /// The same at another port.
    pub fn with_port(&self, port: u16) -> Self {
        Self { port, ..self.clone() }
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}{}", self.host, self.port, self.path)
    }
}

/// A container's name or id: letters, digits, `_ . -`, beginning with a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContainerName(String);

impl ContainerName {
    /// Reads a name.
    ///
    /// # Errors
    /// What is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fits = (1..=128).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err("allowed are 1 to 128 letters, digits, '_', '.' and '-', beginning with a letter or a digit"
                .to_owned())
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An image: `[REGISTRY/]NAME[:TAG][@DIGEST]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRef(String);

impl ImageRef {
    /// Reads a reference.
    ///
    /// # Errors
    /// What is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let part = |s: &str| {
            !s.is_empty()
                && s.starts_with(|c: char| c.is_ascii_alphanumeric())
                && s.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ':' | '@'))
        };
        if text.len() <= 512 && text.split('/').all(part) {
            Ok(Self(text.to_owned()))
        } else {
            Err("allowed is [REGISTRY/]NAME[:TAG], such as vllm/vllm-openai:latest".to_owned())
        }
    }

    /// The reference.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which GPUs a service may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gpus {
    /// All of them.
    All,
    /// None.
    None,
    /// These, by index or UUID.
    These(Vec<String>),
}

impl Gpus {
    /// Reads `0`, `0,1`, `GPU-…`, `all` or `none`.
    ///
    /// # Errors
    /// What is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "all" => return Ok(Self::All),
            "" | "none" | "-1" => return Ok(Self::None),
            _ => {}
        }
        let mut these = Vec::new();
        for part in text.split(',').map(str::trim) {
            let index = !part.is_empty() && part.len() <= 3 && part.chars().all(|c| c.is_ascii_digit());
            let uuid = (part.starts_with("GPU-") || part.starts_with("MIG-"))
                && part.len() <= 80
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '/'));
            if !index && !uuid {
                return Err(
                    "allowed are GPU indices such as 0 or 0,1, UUIDs such as GPU-…, 'all' and 'none'"
                        .to_owned(),
                );
            }
            if these.iter().any(|t| t == part) {
                return Err(format!("{part} is named twice"));
            }
            these.push(part.to_owned());
        }
        Ok(Self::These(these))
    }
}

impl fmt::Display for Gpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::None => f.write_str("none"),
            Self::These(list) => f.write_str(&list.join(",")),
        }
    }
}

/// A share: more than 0, at most 1. Kept as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fraction(String);

impl Fraction {
    /// Reads a share.
    ///
    /// # Errors
    /// What is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let plain = text.chars().all(|c| c.is_ascii_digit() || c == '.');
        match text.parse::<f64>() {
            Ok(x) if plain && x > 0.0 && x <= 1.0 => Ok(Self(text.to_owned())),
            _ => Err("allowed is a number greater than 0 and at most 1, such as 0.5".to_owned()),
        }
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a secret.
    ///
    /// # Errors
    /// What is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty()
            || text.len() > 4096
            || text.chars().any(|c| c.is_ascii_control() || c == ' ' || !c.is_ascii())
        {
            return Err("allowed are printable ASCII characters without spaces".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// The text itself, for whom it is meant.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}
