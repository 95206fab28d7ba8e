//! What accounts, their pages and the audit have in common. On the server alone.

use crate::model::Timestamp;
use serde::Serialize;
use std::net::IpAddr;

/// Why somebody is not let in, or something about accounts is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such account, or this is not its password: which of them is not said.
    #[error("name or password is wrong")]
    Wrong,
    /// Too many tries.
    #[error("too many tries; wait {0} s")]
    Wait(u64),
    /// Too many others want to be let in.
    #[error("too many others are signing in; try again")]
    Busy,
    /// The set-up code is another one.
    #[error("the set-up code is wrong")]
    Code,
    /// There is an account already.
    #[error("it is set up already")]
    Done,
    /// The name cannot be used.
    #[error("a name has 1 to 32 of a-z, A-Z, 0-9, '.', '_' and '-', and begins with a letter or a digit")]
    Name,
    /// The password cannot be used.
    #[error("a password has at least 10 characters, at most 512 bytes, and is not the name")]
    Password,
    /// There is one of this name.
    #[error("there is an account of this name")]
    Taken,
    /// It is not there.
    #[error("it is not there")]
    Unknown,
    /// Without it nobody could administer.
    #[error("it is the last account that administers")]
    Last,
    /// A token's name or life is not allowed.
    #[error("a token has a name of 1 to 64 characters and lives 1 to 366 days")]
    Token,
    /// An account has as many tokens as it may.
    #[error("an account has at most 50 tokens: remove one first")]
    Many,
    /// A role that is none.
    #[error("a role is viewer, operator or admin")]
    Role,
    /// The store failed.
    #[error("it could not be written to the state folder")]
    Store,
}

/// A row of the audit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuditRow {
    /// Its number.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who: an account, `ACCOUNT/TOKEN`, `local`, `command line`, or `nobody`.
    pub who: String,
    /// Their role; empty where they have none.
    pub role: String,
    /// From which address.
    pub address: String,
    /// What.
    pub action: String,
    /// To what.
    pub target: String,
    /// `done`, or why not.
    pub result: String,
    /// What exactly, without secrets.
    pub detail: String,
}

impl AuditRow {
    /// Something that a stranger was refused.
    pub fn of_nobody(ip: IpAddr, action: &str, why: &str) -> Self {
        Self {
            at: Timestamp::now(),
            who: "nobody".to_owned(),
            address: ip.to_string(),
            action: action.to_owned(),
            result: format!("refused: {why}"),
            ..Self::default()
        }
    }
}
