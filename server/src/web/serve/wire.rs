//! A socket that knows for how long its peer has taken nothing.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// For how many looks in a row somebody is waited for. Looks are counted, not time: a machine that slept has not waited.
#[derive(Debug, Default)]
pub struct Pace {
    waits: AtomicBool,
    looks: AtomicU32,
}

impl Pace {
    /// The peer is waited for.
    pub fn wait(&self) {
        self.waits.store(true, Ordering::Relaxed);
    }

    /// The peer has moved.
    pub fn moves(&self) {
        if self.waits() {
            self.looks.store(0, Ordering::Relaxed);
            self.waits.store(false, Ordering::Relaxed);
        }
    }

    /// Whether the peer is waited for.
    pub fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// Looks again: whether the peer was waited for at more than so many looks in a row.
    pub fn exceeds(&self, looks: u32) -> bool {
        self.waits() && self.looks.fetch_add(1, Ordering::Relaxed) >= looks
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
