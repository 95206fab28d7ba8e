//! What a browser is told once, on the page that it is sent on to after a form: what was done, or why not.
//!
//! The address has only a number that nobody can guess; what it stands for is kept here, for the one who sent the form, and is
//! gone when it was shown. So no link can make the dashboard say anything, let alone ask for a confirmation.

use app::api::{ApiError, Caller};
use app::parts::access::Said;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The parameter of an address that has the number.
pub const KEY: &str = "told";
/// How long it waits for the browser.
const LIFE: Duration = Duration::from_secs(60);
/// How many wait at most; then the oldest goes.
const MOST: usize = 256;

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flash {
    /// What became of a form about accounts.
    Said(Said),
    /// Why a command was not taken.
    Refused(ApiError),
}

struct Waiting {
    number: String,
    account: String,
    since: Instant,
    flash: Flash,
}

/// What waits to be told.
#[derive(Default)]
pub struct Flashes(Mutex<VecDeque<Waiting>>);

impl Flashes {
    /// Keeps something for whoever sent the form; its number. None where the system has no random numbers.
    pub fn keep(&self, caller: &Caller, flash: Flash) -> Option<String> {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes).ok()?;
        let number: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let waiting = Waiting {
            number: number.clone(),
            account: caller.account().to_owned(),
            since: Instant::now(),
            flash,
        };
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() >= MOST {
            list.pop_front();
        }
        list.push_back(waiting);
        Some(number)
    }

    /// Takes what a number stands for, once, and only for the one for whom it was kept.
    pub fn take(&self, caller: &Caller, number: &str) -> Option<Flash> {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|it| it.since.elapsed() < LIFE);
        let at = list.iter().position(|it| it.number == number && it.account == caller.account())?;
        list.remove(at).map(|it| it.flash)
    }
}

/// An address with a number in it, and without what server functions add of their own.
pub fn address(to: &str, number: Option<&str>) -> String {
    let (path, query) = to.split_once('?').unwrap_or((to, ""));
    let (query, anchor) =
        query.split_once('#').map_or((query, None), |(query, anchor)| (query, Some(anchor)));
    let own = ["__path=", "__err=", "told="];
    let mut pairs: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty() && !own.iter().any(|key| pair.starts_with(key)))
        .map(str::to_owned)
        .collect();
    pairs.extend(number.map(|number| format!("{KEY}={number}")));
    let mut out = path.to_owned();
    if !pairs.is_empty() {
        out.push('?');
        out.push_str(&pairs.join("&"));
    }
    if let Some(anchor) = anchor {
        out.push('#');
        out.push_str(anchor);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use app::api::Role;

    #[test]
    fn something_is_told_once_and_to_the_one_whom_it_is_for() {
        let flashes = Flashes::default();
        let (ann, bob) = (Caller::new("ann", Role::Viewer), Caller::new("bob", Role::Admin));
        let number = flashes.keep(&ann, Flash::Said(Said::Saved)).expect("random");
        assert_eq!(flashes.take(&bob, &number), None);
        assert_eq!(flashes.take(&ann, "0"), None);
        assert_eq!(flashes.take(&ann, &number), Some(Flash::Said(Said::Saved)));
        assert_eq!(flashes.take(&ann, &number), None);
        for _ in 0..1000 {
            flashes.keep(&ann, Flash::Said(Said::Removed));
        }
        assert_eq!(flashes.0.lock().expect("whole").len(), MOST);
    }

    #[test]
    fn an_address_keeps_what_is_its_own() {
        assert_eq!(address("/", None), "/");
        assert_eq!(
            address("/services/vllm?run=3&__path=x&__err=abc", Some("7")),
            "/services/vllm?run=3&told=7"
        );
        assert_eq!(address("/?told=1#log", Some("2")), "/?told=2#log");
        assert_eq!(address("/?__err=a", None), "/");
    }
}
