//! Who asks, and what they may.

use super::ApiError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

/// What an account may do. Each role may all that those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Looks: states, logs, figures. No secrets.
    Viewer,
    /// Starts, stops, restarts, pulls, cancels.
    Operator,
    /// Changes settings, deletes, manages accounts.
    Admin,
}

impl Role {
    /// All roles, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The word for it in forms, commands and the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The one rule of who may do what.
    pub fn may(self, need: Need) -> bool {
        let least = match need {
            Need::Look => Self::Viewer,
            Need::Operate => Self::Operator,
            Need::Administer => Self::Admin,
        };
        self >= least
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(())
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// To see something.
    Look,
    /// To have a service do something that it does every day.
    Operate,
    /// To change how things are.
    Administer,
}

impl Need {
    /// The least role that may.
    pub fn role(self) -> Role {
        Role::ALL.into_iter().find(|role| role.may(self)).unwrap_or(Role::Admin)
    }
}

/// How many deeds of one request are remembered, and how long the text of one may be.
const DEEDS: usize = 32;
const DEED_BYTES: usize = 4000;

/// Something that a request did, or tried to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// What: `start`, `settings`, `sign-in`.
    pub action: &'static str,
    /// To what: a service, an image, an account.
    pub target: String,
    /// What exactly, without secrets; may be empty.
    pub detail: String,
}

/// Who asks. Made in one place, where the request is let in.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account's name; that of a token is `ACCOUNT/TOKEN`.
    pub name: String,
    /// Without one, nothing is allowed.
    pub role: Option<Role>,
    deeds: Arc<Mutex<Vec<Deed>>>,
}

impl Caller {
    /// Somebody with a role.
    pub fn new(name: impl Into<String>, role: Role) -> Self {
        Self { name: name.into(), role: Some(role), deeds: Arc::default() }
    }

    /// Somebody of whom nothing is known.
    pub fn nobody() -> Self {
        Self { name: "nobody".to_owned(), role: None, deeds: Arc::default() }
    }

    /// The account, of a token, too.
    pub fn account(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// Whether they may.
    ///
    /// # Errors
    /// [`ApiError::SignedOut`], [`ApiError::Forbidden`].
    pub fn check(&self, need: Need) -> Result<(), ApiError> {
        match self.role {
            None => Err(ApiError::SignedOut),
            Some(role) if role.may(need) => Ok(()),
            Some(_) => Err(ApiError::Forbidden { needs: need.role() }),
        }
    }

    /// Remembers what this request does; the audit takes it when the request is over.
    pub fn does(&self, action: &'static str, target: impl Into<String>, detail: impl Into<String>) {
        let mut detail: String = detail.into();
        detail.truncate(detail.floor_char_boundary(DEED_BYTES));
        let mut target: String = target.into();
        target.truncate(target.floor_char_boundary(DEED_BYTES));
        let mut deeds = self.deeds.lock().unwrap_or_else(PoisonError::into_inner);
        if deeds.len() < DEEDS {
            deeds.push(Deed { action, target, detail });
        }
    }

    /// What was remembered, once.
    pub fn deeds(&self) -> Vec<Deed> {
        std::mem::take(&mut *self.deeds.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_what_those_before_it_may_and_nobody_may_nothing() {
        let may = |role: Role| [Need::Look, Need::Operate, Need::Administer].map(|need| role.may(need));
        assert_eq!(may(Role::Viewer), [true, false, false]);
        assert_eq!(may(Role::Operator), [true, true, false]);
        assert_eq!(may(Role::Admin), [true, true, true]);
        assert_eq!(Caller::nobody().check(Need::Look), Err(ApiError::SignedOut));
        assert_eq!(
            Caller::new("v", Role::Viewer).check(Need::Operate),
            Err(ApiError::Forbidden { needs: Role::Operator })
        );
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
    }

    #[test]
    fn deeds_are_bounded_and_taken_once() {
        let caller = Caller::new("a", Role::Admin);
        for _ in 0..100 {
            caller.clone().does("start", "vllm", "é".repeat(5000));
        }
        let deeds = caller.deeds();
        assert_eq!((deeds.len(), deeds[0].detail.len()), (DEEDS, DEED_BYTES));
        assert!(caller.deeds().is_empty());
    }
}
