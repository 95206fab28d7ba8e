//! Who sits where: a bound on connections, in all and for each address.
//!
//! Where there is no room, a connection that has nothing to do makes room for a new one: whoever opens thousands and says
//! nothing keeps nobody out. Only where all of them are busy is a new one refused.

use super::Limits;
use super::wire::Pace;
use crate::settings::Networks;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// All connections.
pub struct Seats {
    limits: Limits,
    proxies: Networks,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    all: usize,
    /// The connections of each address, the oldest first.
    by_address: HashMap<IpAddr, BTreeMap<u64, Sitter>>,
}

/// What is known of a connection.
#[derive(Clone)]
struct Sitter {
    pace: Arc<Pace>,
    /// Requests that are not answered to their end.
    requests: Arc<AtomicUsize>,
    leave: CancellationToken,
}

impl Sitter {
    fn busy(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0 || self.pace.waits()
    }
}

impl Taken {
    /// Takes a connection out, if it is still there.
    fn remove(&mut self, place: IpAddr, number: u64) -> Option<Sitter> {
        let theirs = self.by_address.get_mut(&place)?;
        let gone = theirs.remove(&number)?;
        if theirs.is_empty() {
            self.by_address.remove(&place);
        }
        self.all -= 1;
        Some(gone)
    }

    fn idle_of(&self, place: IpAddr) -> Option<(IpAddr, u64)> {
        let idle = self.by_address.get(&place)?.iter().find(|(_, sitter)| !sitter.busy());
        idle.map(|(number, _)| (place, *number))
    }

    /// Sends a connection away that has nothing to do: of this address, or of the one that has most.
    fn make_room(&mut self, of: Option<IpAddr>) -> bool {
        let found = of.map_or_else(
            || {
                let crowd =
                    self.by_address.iter().max_by_key(|(_, theirs)| theirs.len()).map(|(place, _)| *place);
                crowd
                    .and_then(|place| self.idle_of(place))
                    .or_else(|| self.by_address.keys().find_map(|place| self.idle_of(*place)))
            },
            |place| self.idle_of(place),
        );
        let Some(gone) = found.and_then(|(place, number)| self.remove(place, number)) else { return false };
        gone.leave.cancel();
        true
    }
}

/// An address as a bound counts it: a household has a /64 of IPv6, this machine all of 127.0.0.0/8.
fn place(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        ip if ip.is_loopback() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        ip => ip,
    }
}

impl Seats {
    /// None is taken.
    pub fn new(limits: Limits, proxies: Networks) -> Self {
        Self { limits, proxies, taken: Mutex::default() }
    }

    /// A seat for a connection, which leaves when `stop` says so; none where all are busy.
    pub fn take(self: &Arc<Self>, ip: IpAddr, stop: &CancellationToken) -> Option<Seat> {
        let proxy = self.proxies.contain(ip);
        let place = if proxy { ip.to_canonical() } else { place(ip) };
        let neighbour = proxy || place.is_loopback();
        let bound = if neighbour { self.limits.of_neighbour } else { self.limits.of_one };
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = taken.by_address.get(&place).map_or(0, BTreeMap::len);
        if theirs >= bound && !taken.make_room(Some(place)) {
            return None;
        }
        // Some are kept for this machine and the proxies: whoever sits at it gets in, however many strangers are busy.
        let all = if neighbour {
            self.limits.connections
        } else {
            self.limits.connections - self.limits.connections / 8
        };
        if taken.all >= all && !taken.make_room(None) {
            return None;
        }
        let number = taken.next;
        taken.next += 1;
        taken.all += 1;
        let sitter = Sitter { pace: Arc::default(), requests: Arc::default(), leave: stop.child_token() };
        taken.by_address.entry(place).or_default().insert(number, sitter.clone());
        Some(Seat { seats: self.clone(), place, number, sitter })
    }

    fn free(&self, place: IpAddr, number: u64) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(place, number);
    }
}

/// The seat of a connection; free again when it is dropped.
pub struct Seat {
    seats: Arc<Seats>,
    place: IpAddr,
    number: u64,
    sitter: Sitter,
}

impl Seat {
    /// How the peer takes what is sent to it.
    pub fn pace(&self) -> Arc<Pace> {
        self.sitter.pace.clone()
    }

    /// Somebody waits for an answer here, or takes one.
    pub fn busy(&self) -> bool {
        self.sitter.busy()
    }

    /// Where its tickets are counted.
    pub fn tickets(&self) -> Arc<AtomicUsize> {
        self.sitter.requests.clone()
    }

    /// A request has come; it is over when the ticket is dropped.
    pub fn ticket(&self) -> Ticket {
        Ticket::new(&self.sitter.requests)
    }

    /// The server stops, or somebody else needs the seat.
    pub async fn asked_to_leave(&self) {
        self.sitter.leave.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.free(self.place, self.number);
    }
}

/// A request that is not answered to its end.
pub struct Ticket(Arc<AtomicUsize>);

impl Ticket {
    /// One more among these.
    pub fn new(among: &Arc<AtomicUsize>) -> Self {
        among.fetch_add(1, Ordering::Relaxed);
        Self(among.clone())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(connections: usize, of_one: usize, of_neighbour: usize) -> Arc<Seats> {
        let limits = Limits { connections, of_one, of_neighbour, ..Limits::default() };
        Arc::new(Seats::new(limits, Networks::parse("10.0.0.0/8").expect("a network")))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn sent_away(seat: &Seat) -> bool {
        seat.sitter.leave.is_cancelled()
    }

    #[test]
    fn each_address_has_so_many_and_neighbours_have_more() {
        let (seats, stop) = (seats(100, 2, 3), CancellationToken::new());
        for (address, bound) in [
            ("203.0.113.1", 2),
            ("203.0.113.2", 2),
            ("127.0.0.1", 3),
            ("10.0.0.7", 3),
            ("::ffff:203.0.113.9", 2),
            ("2001:db8::1", 2),
        ] {
            let mut held = Vec::new();
            for _ in 0..bound {
                let seat = seats.take(ip(address), &stop).expect(address);
                held.push((seat.ticket(), seat));
            }
            assert!(seats.take(ip(address), &stop).is_none(), "{address}: one too many");
            drop(held.pop());
            assert!(seats.take(ip(address), &stop).is_some(), "{address}: what is left is free again");
        }
        let _one = seats.take(ip("2001:db8:1:1::1"), &stop).map(|s| (s.ticket(), s));
        let _two = seats.take(ip("2001:db8:1:1:ffff::2"), &stop).map(|s| (s.ticket(), s));
        assert!(seats.take(ip("2001:db8:1:1:abcd::3"), &stop).is_none(), "a /64 counts as one address");
    }

    #[test]
    fn this_machine_is_one_address_and_gets_in_however_many_strangers_are_busy() {
        let (seats, stop) = (seats(16, 16, 2), CancellationToken::new());
        let take = |address: &str| seats.take(ip(address), &stop).map(|seat| (seat.ticket(), seat));
        let strangers: Vec<_> = (1..=14).filter_map(|n| take(&format!("203.0.113.{n}"))).collect();
        assert_eq!(strangers.len(), 14);
        assert!(take("203.0.113.99").is_none(), "the last two are not for strangers");
        let _ours = (take("127.0.0.1").expect("kept for us"), take("127.9.9.9").expect("and a second"));
        for address in ["127.0.0.2", "::1"] {
            assert!(take(address).is_none(), "{address} is the same machine");
        }
    }

    #[test]
    fn whoever_has_nothing_to_do_makes_room_the_oldest_first() {
        let (seats, stop) = (seats(100, 3, 3), CancellationToken::new());
        let held: Vec<Seat> = (0..3).filter_map(|_| seats.take(ip("203.0.113.1"), &stop)).collect();
        let busy = held[0].ticket();
        let fourth = seats.take(ip("203.0.113.1"), &stop).expect("room was made");
        assert_eq!(held.iter().map(sent_away).collect::<Vec<_>>(), [false, true, false]);
        assert!(!sent_away(&fourth));
        drop(busy);
        let _fifth = seats.take(ip("203.0.113.1"), &stop).expect("room was made");
        assert!(sent_away(&held[0]), "the oldest, now that it is idle");
    }

    #[test]
    fn where_all_seats_are_taken_the_largest_crowd_makes_room() {
        let (seats, stop) = (seats(5, 4, 4), CancellationToken::new());
        let crowd: Vec<Seat> = (0..4).filter_map(|_| seats.take(ip("203.0.113.1"), &stop)).collect();
        let other = seats.take(ip("203.0.113.2"), &stop).expect("there is room");
        let third = seats.take(ip("203.0.113.3"), &stop).expect("room was made");
        assert_eq!(crowd.iter().filter(|seat| sent_away(seat)).count(), 1);
        assert!(!sent_away(&other) && !sent_away(&third));
        let _busy: Vec<Ticket> = crowd.iter().chain([&other, &third]).map(Seat::ticket).collect();
        assert!(seats.take(ip("203.0.113.4"), &stop).is_none(), "all are busy");
        drop((crowd, other, third));
        assert_eq!(seats.taken.lock().expect("whole").all, 0, "all are free");
        assert!(seats.taken.lock().expect("whole").by_address.is_empty());
    }
}
