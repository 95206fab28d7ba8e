//! Connections: who may have one, for how long, and what of it becomes a request. Only this room knows sockets and TLS.
//!
//! In: a listening socket and the routes. Out: each request with its [`Client`](super::Client) in its extensions, one `Host`
//! and one `Cookie`. A peer that says nothing, says it slowly, or does not take what it asked for is let go; nobody waits
//! for it.

mod answer;
mod connection;
mod front;
mod plain;
mod seats;
mod strict;
mod tls;
mod upload;
mod wire;

pub use tls::Certificates;

use super::Hosts;
use crate::settings::Networks;
use axum::Router;
use connection::Desk;
use seats::{Seat, Seats};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What connections may take of us.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections, all in all.
    pub connections: usize,
    /// Those of one address.
    pub of_one: usize,
    /// Those of a loopback address and of a trusted proxy, which speak for many.
    pub of_neighbour: usize,
    /// To agree on TLS.
    pub greeting: Duration,
    /// To send a request's head; the next one begins when the answer before it is sent.
    pub head: Duration,
    /// A connection over HTTP/2 without any request.
    pub idle: Duration,
    /// A peer that takes nothing of what it asked for.
    pub stuck: Duration,
    /// A request's body may take so long, and longer by a second for each 4 KiB that came.
    pub body: Duration,
    /// To end everything that is open when the server stops.
    pub drain: Duration,
    /// Between two looks at the certificate's files.
    pub renewal: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            of_one: 256,
            of_neighbour: 1024,
            greeting: Duration::from_secs(10),
            head: Duration::from_secs(20),
            idle: Duration::from_secs(90),
            stuck: Duration::from_secs(60),
            body: Duration::from_secs(30),
            drain: Duration::from_secs(3),
            renewal: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// As many connections as the files that this process may have open allow: half of them, since the engine, the logs and
    /// the store need theirs.
    pub fn within_files(self) -> Self {
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let most = files.and_then(|n| usize::try_from(n / 2).ok()).unwrap_or(usize::MAX).max(1);
        Self {
            connections: self.connections.min(most),
            of_one: self.of_one.min(most),
            of_neighbour: self.of_neighbour.min(most * 3 / 4 + 1),
            ..self
        }
    }
}

/// The fewest open files that a dashboard can do with: its own, the engine's, and some connections.
const FEWEST_FILES: u64 = 256;

/// How many files this process may have open.
///
/// # Errors
/// They are too few, with the number that is needed.
pub fn enough_files() -> Result<usize, String> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    match limit {
        Some(limit) if limit < FEWEST_FILES => Err(format!(
            "this process may have {limit} files open, and needs at least {FEWEST_FILES}: raise the limit (`ulimit -n`, or LimitNOFILE= of a unit)"
        )),
        limit => Ok(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)),
    }
}

/// How connections are taken in.
#[derive(Clone)]
pub struct Door {
    /// The certificate; without one, plain HTTP is spoken.
    pub tls: Option<Arc<Certificates>>,
    /// Peers that are believed when they tell who asks.
    pub proxies: Networks,
    /// Where the dashboard lives on its host: empty for the root.
    pub base: String,
    /// Our names, for the way from HTTP to HTTPS.
    pub hosts: Hosts,
    /// What connections may take of us.
    pub limits: Limits,
}

/// Between two tries to accept where the system has no room for another connection.
const FULL: Duration = Duration::from_millis(100);
/// Between two warnings about connections that were refused.
const QUIET: Duration = Duration::from_secs(30);

/// Serves until `stop`, and then for as long as open answers need to end, `drain` at most.
pub async fn serve(listener: TcpListener, app: Router, door: Door, stop: CancellationToken) {
    let limits = door.limits;
    let tasks = TaskTracker::new();
    let cut = CancellationToken::new();
    let seats = Arc::new(Seats::new(limits, door.proxies.clone()));
    // The routes are put together once, not for each connection.
    let app: Router = app.with_state(());
    let door = Arc::new(door);
    if let Some(certificates) = door.tls.clone() {
        tasks.spawn(certificates.keep_fresh(limits.renewal, stop.clone()));
    }
    let mut refusals = Refusals::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_peers(error.kind()) => continue,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(FULL).await;
                continue;
            }
        };
        let Some(seat) = seats.take(peer.ip(), &stop) else {
            refusals.note(peer);
            refuse(socket, door.tls.is_some());
            continue;
        };
        let desk = Desk {
            app: app.clone(),
            door: door.clone(),
            peer: peer.ip().to_canonical(),
            tasks: tasks.clone(),
        };
        let cut = cut.clone();
        tasks.spawn(async move { cut.run_until_cancelled(welcome(socket, desk, seat)).await });
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(limits.drain, tasks.wait()).await.is_err() {
        cut.cancel();
        // What was cut is dropped where it stands.
        let _ = tokio::time::timeout(limits.drain, tasks.wait()).await;
    }
}

/// What a peer did to its own connection.
const fn is_peers(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset)
}

/// One connection, from its first byte on.
async fn welcome(socket: TcpStream, desk: Desk, seat: Seat) {
    // A batch of lines goes when it is there: gathering is done before, and a delayed acknowledgement holds 40 ms.
    let _ = socket.set_nodelay(true);
    // A peer that is gone without a word is noticed, although what is sent to it fits into the system's buffers.
    let stuck = u32::try_from(desk.door.limits.stuck.as_millis()).unwrap_or(u32::MAX);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&socket, stuck);
    let Some(certificates) = desk.door.tls.clone() else {
        return desk.http1(wire::Wire::new(socket, seat.pace()), &seat, false).await;
    };
    let greeting = desk.door.limits.greeting;
    let first = async {
        let mut byte = [0];
        socket.peek(&mut byte).await.ok().filter(|n| *n > 0).map(|_| byte[0])
    };
    let first = tokio::select! {
        first = tokio::time::timeout(greeting, first) => first,
        () = seat.asked_to_leave() => return,
    };
    match first {
        Ok(Some(tls::HANDSHAKE)) => {}
        Ok(Some(_)) => return plain::answer(socket, &desk, &seat).await,
        Ok(None) | Err(_) => return,
    }
    let wire = wire::Wire::new(socket, seat.pace());
    let agreed = tokio::select! {
        agreed = tokio::time::timeout(greeting, certificates.accept(wire)) => agreed,
        () = seat.asked_to_leave() => return,
    };
    let Ok(Ok(stream)) = agreed else {
        return tracing::debug!(peer = %desk.peer, "no TLS was agreed on");
    };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        desk.http2(stream, &seat).await;
    } else {
        desk.http1(stream, &seat, true).await;
    }
}

/// Says that there is no room, if that takes no time.
fn refuse(socket: TcpStream, tls: bool) {
    const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nconnection: close\r\nretry-after: 5\r\ncontent-length: 54\r\n\r\nThere are too many connections from here; close some.\n";
    // Whoever speaks TLS would not understand it.
    let Some(mut socket) = socket.into_std().ok().filter(|_| !tls) else { return };
    // It does not wait; and what came is read, or closing would take back what is said.
    let _ = socket.write(FULL);
    let _ = socket.shutdown(Shutdown::Write);
    let _ = socket.read(&mut [0; 4096]);
}

/// Connections that were refused, told now and then.
#[derive(Default)]
struct Refusals {
    told: Option<Instant>,
    since: u64,
}

impl Refusals {
    fn note(&mut self, peer: SocketAddr) {
        self.since += 1;
        if self.told.is_none_or(|told| told.elapsed() >= QUIET) {
            tracing::warn!(peer = %peer.ip(), refused = self.since, "too many connections");
            self.told = Some(Instant::now());
            self.since = 0;
        }
    }
}

#[cfg(test)]
mod tests;
