//! A setting as the page shows it.

use serde::{Deserialize, Serialize};

/// Where a value came from; the first that has one wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "origin", rename_all = "kebab-case")]
pub enum Origin {
    /// A flag of the command line.
    Flag,
    /// The environment.
    Environment,
    /// `services.toml`.
    File,
    /// Chosen in the page by adopting a container.
    Adopted,
    /// Nobody set it.
    Default,
}

/// One value with its origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The variable's name, such as `VLLM_API_URL`.
    pub name: String,
    /// The value in force; absent when there is none. A secret is never sent: `set` says that there is one.
    pub value: Option<String>,
    /// It is a secret.
    #[serde(default)]
    pub secret: bool,
    /// It has a value.
    pub set: bool,
    /// Where the value came from.
    pub origin: Origin,
}
