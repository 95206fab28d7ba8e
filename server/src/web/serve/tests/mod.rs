//! The room as a whole, over real sockets, with limits that are short.

mod bounds;
mod broken;
mod secure;
mod slow;

use super::*;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::routing::{any, get, post};
use bytes::Bytes;
use futures::StreamExt;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;

/// Nothing here takes so long; what does has failed.
pub const LONG: Duration = Duration::from_secs(20);
/// A limit that is to be met.
pub const SHORT: Duration = Duration::from_millis(300);

/// A server, and what it has open.
pub struct Served {
    pub address: SocketAddr,
    pub stop: CancellationToken,
    pub task: JoinHandle<()>,
    /// Answers without an end that are still being made.
    pub endless: Arc<AtomicUsize>,
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn routes(endless: Arc<AtomicUsize>) -> Router {
    let count = move || {
        endless.fetch_add(1, Ordering::SeqCst);
        Counted(endless.clone())
    };
    let quiet = count.clone();
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route(
            "/echo",
            post(|body: Body| async {
                to_bytes(body, 1 << 20)
                    .await
                    .map(|b| b.len().to_string())
                    .map_err(|_| axum::http::StatusCode::BAD_REQUEST)
            }),
        )
        .route(
            "/flood",
            get(move || {
                let counted = count();
                async move {
                    let piece = Bytes::from(vec![b'x'; 64 << 10]);
                    Body::from_stream(futures::stream::repeat(piece).map(move |piece| {
                        let _held = &counted;
                        Ok::<_, std::convert::Infallible>(piece)
                    }))
                }
            }),
        )
        .route(
            "/quiet",
            get(move || {
                let counted = quiet();
                async move {
                    let first = futures::stream::once(async { Bytes::from_static(b"first") });
                    Body::from_stream(first.chain(futures::stream::pending()).map(move |piece| {
                        let _held = &counted;
                        Ok::<_, std::convert::Infallible>(piece)
                    }))
                }
            }),
        )
        .fallback(any(|request: Request| async move {
            let client = crate::web::Client::of(request.extensions());
            let host =
                request.headers().get("host").and_then(|h| h.to_str().ok()).unwrap_or("none").to_owned();
            format!("{} {} {} {host}", request.uri(), client.ip, client.secure)
        }))
}

pub fn door(limits: Limits) -> Door {
    Door {
        tls: None,
        // Each of them counts by itself; all other addresses of loopback are one.
        proxies: Networks::parse("127.0.0.2,127.0.0.4/30,127.0.0.9").expect("networks"),
        base: String::new(),
        hosts: Hosts::new(vec!["box.lan".to_owned()]),
        limits,
    }
}

pub async fn start(door: Door) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (stop, endless) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
    let task = tokio::spawn(serve(listener, routes(endless.clone()), door, stop.clone()));
    Served { address, stop, task, endless }
}

impl Served {
    pub async fn connect(&self) -> TcpStream {
        self.connect_from(Ipv4Addr::LOCALHOST).await
    }

    /// A connection from another of loopback's addresses.
    pub async fn connect_from(&self, ip: Ipv4Addr) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((ip, 0).into()).expect("loopback is all of 127.0.0.0/8");
        let connecting = tokio::time::timeout(LONG, socket.connect(self.address));
        connecting.await.expect("in time").expect("connected")
    }

    /// The server answers a good request.
    pub async fn answers(&self) {
        let mut socket = self.connect_from(Ipv4Addr::new(127, 0, 0, 9)).await;
        let said =
            exchange(&mut socket, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("hello"), "{said}");
    }

    /// It ends within its limit, and leaves nothing.
    pub async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(LONG, self.task).await.expect("within the limit").expect("no panic");
        until("all answers end", || self.endless.load(Ordering::SeqCst) == 0).await;
    }
}

/// Sends this and reads to the end, or until nothing comes for long.
pub async fn exchange(socket: &mut TcpStream, bytes: &[u8]) -> String {
    // A server may hang up before it has read everything.
    let _ = socket.write_all(bytes).await;
    rest(socket).await
}

/// What comes until the end.
pub async fn rest(socket: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match tokio::time::timeout(LONG, socket.read(&mut piece)).await {
            Ok(Ok(0) | Err(_)) => break,
            Ok(Ok(n)) => said.extend_from_slice(&piece[..n]),
            Err(_) => {
                panic!("the connection is still open after {LONG:?}: {}", String::from_utf8_lossy(&said))
            }
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !done() {
        assert!(Instant::now() < end, "{what}: not within {LONG:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
