//! How often somebody may try a password. Guessing is slow from any one address, and slower for an account that is under
//! attack; whoever signed in from a browser before is counted apart, so that no stranger locks the owner out.

use app::model::Timestamp;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Tries at once, and how long it takes until there is one more.
const TRIES: u64 = 10;
const ONE_MORE_MS: u64 = 30_000;
/// An account for which so many strangers failed within the hour is under attack: each address has fewer tries.
const ATTACK: usize = 30;
const ATTACK_TRIES: u64 = 2;
const HOUR_MS: i64 = 3_600_000;
/// Entries of each table at most; then what is oldest goes.
const MOST: usize = 10_000;
/// Refusals that are written down at once, and how long it takes until there is one more.
const NOTES: u64 = 100;
const NOTE_MS: u64 = 1_000;
/// Changes of one account at once, and how long it takes until there is one more: more than people make.
const CHANGES: u64 = 120;
const CHANGE_MS: u64 = 500;

/// What was used up, and when it was looked at.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    used_ms: u64,
    at: Timestamp,
}

impl Bucket {
    /// Takes one of `most`, each of which costs `one_ms`; otherwise says after how many milliseconds there is one.
    fn take(&mut self, most: u64, one_ms: u64, now: Timestamp) -> Result<(), u64> {
        let used = self.used(now);
        if used + one_ms > most * one_ms {
            *self = Self { used_ms: used, at: now };
            return Err(used + one_ms - most * one_ms);
        }
        *self = Self { used_ms: used + one_ms, at: now };
        Ok(())
    }

    fn used(&self, now: Timestamp) -> u64 {
        // A clock that goes back gives nothing and takes nothing.
        self.used_ms.saturating_sub(now.since(self.at))
    }
}

/// Who tried how often.
#[derive(Debug, Default)]
pub struct Limits {
    addresses: HashMap<IpAddr, Bucket>,
    devices: HashMap<[u8; 32], Bucket>,
    /// When strangers failed for a name, the last ones.
    failures: HashMap<String, Vec<Timestamp>>,
    /// Refusals that were written down, and how many were not: of strangers together, and of each account.
    notes: HashMap<String, (Bucket, u64)>,
    /// Changes by accounts.
    changes: HashMap<String, Bucket>,
}

impl Limits {
    /// One try at an account's password. How many seconds to wait otherwise.
    pub fn try_sign_in(
        &mut self,
        ip: IpAddr,
        known: Option<[u8; 32]>,
        name: &str,
        now: Timestamp,
    ) -> Result<(), u64> {
        if let Some(device) = known {
            return take(&mut self.devices, device, TRIES, now);
        }
        let attacked = self.failures.get(&key(name)).is_some_and(|at| recent(at, now) >= ATTACK);
        take(&mut self.addresses, network(ip), if attacked { ATTACK_TRIES } else { TRIES }, now)
    }

    /// One try at something else that can be guessed.
    pub fn try_address(&mut self, ip: IpAddr, now: Timestamp) -> Result<(), u64> {
        take(&mut self.addresses, network(ip), TRIES, now)
    }

    /// The password was right: this one try does not count. Those before it do, or whoever has an account could guess at
    /// others without end.
    pub fn forgive(&mut self, ip: IpAddr, known: Option<[u8; 32]>) {
        let bucket = match known {
            Some(device) => self.devices.get_mut(&device),
            None => self.addresses.get_mut(&network(ip)),
        };
        if let Some(bucket) = bucket {
            bucket.used_ms = bucket.used_ms.saturating_sub(ONE_MORE_MS);
        }
    }

    /// One try at something that only whoever is signed in can try.
    pub fn try_own(&mut self, of: [u8; 32], now: Timestamp) -> Result<(), u64> {
        take(&mut self.devices, of, TRIES, now)
    }

    /// A password was wrong. Whether that was counted: beyond an attack's number it is not.
    pub fn failed(&mut self, name: &str, now: Timestamp) -> bool {
        make_room(&mut self.failures, |at| at.last().copied());
        let at = self.failures.entry(key(name)).or_default();
        at.retain(|at| now.apart(*at) < HOUR_MS.unsigned_abs());
        let counts = at.len() < ATTACK;
        if counts {
            at.push(now);
        }
        counts
    }

    /// The password that was counted as wrong was right.
    pub fn succeeded(&mut self, name: &str) {
        if let Some(at) = self.failures.get_mut(&key(name)) {
            at.pop();
        }
    }

    /// One change by an account. How many seconds to wait otherwise.
    pub fn try_change(&mut self, who: &str, now: Timestamp) -> Result<(), u64> {
        if !self.changes.contains_key(who) {
            make_room(&mut self.changes, |bucket| Some(bucket.at));
        }
        let bucket = self.changes.entry(who.to_owned()).or_insert(Bucket { used_ms: 0, at: now });
        bucket.take(CHANGES, CHANGE_MS, now).map_err(|ms| ms.div_ceil(1000))
    }

    /// Whether one more refusal is written down, of strangers (an empty name) or of an account: how many before it were not.
    pub fn try_note(&mut self, who: &str, now: Timestamp) -> Option<u64> {
        if !self.notes.contains_key(who) {
            make_room(&mut self.notes, |(bucket, _)| Some(bucket.at));
        }
        let (bucket, unlisted) =
            self.notes.entry(who.to_owned()).or_insert((Bucket { used_ms: 0, at: now }, 0));
        if bucket.take(NOTES, NOTE_MS, now).is_ok() {
            Some(std::mem::take(unlisted))
        } else {
            *unlisted += 1;
            None
        }
    }
}

fn take<K: Hash + Eq + Copy>(
    table: &mut HashMap<K, Bucket>,
    key: K,
    most: u64,
    now: Timestamp,
) -> Result<(), u64> {
    if !table.contains_key(&key) {
        make_room(table, |bucket| Some(bucket.at));
    }
    let bucket = table.entry(key).or_insert(Bucket { used_ms: 0, at: now });
    bucket.take(most, ONE_MORE_MS, now).map_err(|ms| ms.div_ceil(1000))
}

/// Where a table is full, the older half of it goes.
fn make_room<K: Hash + Eq + Clone, V>(table: &mut HashMap<K, V>, at: impl Fn(&V) -> Option<Timestamp>) {
    if table.len() < MOST {
        return;
    }
    let mut times: Vec<Option<Timestamp>> = table.values().map(&at).collect();
    times.sort_unstable();
    let middle = times[times.len() / 2];
    table.retain(|_, value| at(value) > middle);
}

fn recent(at: &[Timestamp], now: Timestamp) -> usize {
    at.iter().filter(|at| now.apart(**at) < HOUR_MS.unsigned_abs()).count()
}

fn key(name: &str) -> String {
    name.chars().take(32).collect::<String>().to_ascii_lowercase()
}

/// One network has as many addresses of IPv6 as it likes: they count as one.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        // Whoever is on this machine has as many of these as they like, too.
        IpAddr::V4(v4) if v4.is_loopback() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1000)
    }

    fn ip(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[test]
    fn an_address_has_ten_tries_and_then_one_each_half_minute() {
        let mut limits = Limits::default();
        for _ in 0..10 {
            limits.try_sign_in(ip(1), None, "a", at(0)).expect("allowed");
        }
        assert_eq!(limits.try_sign_in(ip(1), None, "a", at(0)), Err(30));
        assert_eq!(limits.try_sign_in(ip(1), None, "another", at(0)), Err(30), "whatever the name");
        assert_eq!(limits.try_sign_in(ip(2), None, "a", at(0)), Ok(()));
        assert_eq!(limits.try_sign_in(ip(1), None, "a", at(30)), Ok(()));
        assert!(limits.try_sign_in(ip(1), None, "a", at(30)).is_err());
        assert!(limits.try_sign_in(ip(1), None, "a", at(-4000)).is_err(), "a clock that goes back");
        let v6 = |text: &str| text.parse::<IpAddr>().expect("an address");
        for n in 0..10 {
            limits.try_sign_in(v6(&format!("2001:db8:1:2::{n}")), None, "a", at(0)).expect("allowed");
        }
        assert!(limits.try_sign_in(v6("2001:db8:1:2::ffff"), None, "a", at(0)).is_err(), "one network");
        assert!(limits.try_sign_in(v6("2001:db8:1:3::1"), None, "a", at(0)).is_ok());
    }

    #[test]
    fn an_attack_leaves_each_address_little_and_the_owner_everything() {
        let mut limits = Limits::default();
        for n in 0..30 {
            limits.try_sign_in(ip(n), None, "root", at(0)).expect("allowed");
            limits.failed("ROOT", at(0));
        }
        assert!(limits.try_sign_in(ip(100), None, "root", at(1)).is_ok());
        assert!(limits.try_sign_in(ip(100), None, "root", at(1)).is_ok());
        assert!(limits.try_sign_in(ip(100), None, "root", at(1)).is_err());
        for _ in 0..10 {
            assert!(limits.try_sign_in(ip(1), Some([1; 32]), "root", at(1)).is_ok(), "a known browser");
        }
        assert!(limits.try_sign_in(ip(1), Some([1; 32]), "root", at(1)).is_err(), "has a bound, too");
        limits.forgive(ip(1), Some([1; 32]));
        assert!(
            limits.try_sign_in(ip(1), Some([1; 32]), "root", at(1)).is_ok(),
            "the right one does not count"
        );
        assert!(limits.try_sign_in(ip(1), Some([1; 32]), "root", at(1)).is_err(), "those before it do");
        for _ in 0..5 {
            assert!(limits.try_sign_in(ip(101), None, "root", at(3700)).is_ok(), "an hour later it is over");
        }
    }

    #[test]
    fn tables_are_bounded_and_refusals_counted() {
        let mut limits = Limits::default();
        for n in 0..30_000 {
            let _ = limits.try_sign_in(ip(n), None, "a", at(i64::from(n)));
            limits.failed(&format!("name{n}"), at(i64::from(n)));
        }
        assert!(limits.addresses.len() <= MOST && limits.failures.len() <= MOST);
        assert!(limits.addresses.contains_key(&ip(29_999)), "the newest stay");
        assert_eq!((0..500).filter(|_| limits.try_note("", at(0)).is_some()).count(), 100);
        assert_eq!(limits.try_note("eve", at(0)), Some(0), "each has its own");
        assert_eq!(limits.try_note("", at(10)), Some(400));
    }
}
