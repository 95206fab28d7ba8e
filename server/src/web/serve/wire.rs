//! A socket that knows since when its peer takes nothing.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Since when somebody is waited for.
#[derive(Debug)]
pub struct Pace {
    begun: Instant,
    /// Milliseconds from then on, and one more; 0 when nobody is waited for.
    since: AtomicU64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { begun: Instant::now(), since: AtomicU64::new(0) }
    }
}

impl Pace {
    /// The peer is waited for, from now on if it was not before.
    pub fn wait(&self) {
        if !self.waits() {
            let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
            self.since.store(now + 1, Ordering::Relaxed);
        }
    }

    /// The peer has moved.
    pub fn moves(&self) {
        if self.waits() {
            self.since.store(0, Ordering::Relaxed);
        }
    }

    /// Whether the peer is waited for.
    pub fn waits(&self) -> bool {
        self.since.load(Ordering::Relaxed) != 0
    }

    /// Whether the peer has been waited for so long.
    pub fn exceeds(&self, limit: Duration) -> bool {
        match self.since.load(Ordering::Relaxed) {
            0 => false,
            since => self.begun.elapsed().saturating_sub(Duration::from_millis(since - 1)) >= limit,
        }
    }
}

/// The socket of a connection.
pub struct Wire {
    socket: TcpStream,
    pace: Arc<Pace>,
}

impl Wire {
    /// A socket whose peer's pace is kept here.
    pub const fn new(socket: TcpStream, pace: Arc<Pace>) -> Self {
        Self { socket, pace }
    }

    fn watched(&self, done: Poll<Result<usize>>) -> Poll<Result<usize>> {
        match done {
            Poll::Pending => self.pace.wait(),
            Poll::Ready(_) => self.pace.moves(),
        }
        done
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        let done = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.watched(done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let done = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.watched(done)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
