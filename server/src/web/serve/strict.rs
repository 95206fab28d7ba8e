//! HTTP/1.1 requests whose length can be read in two ways: refused before the HTTP library, which takes one of the two, sees
//! them (RFC 9112, 6.1 and 6.3: such a request may be an attempt to smuggle another one past a proxy).
//!
//! What is read is followed from request to request, heads line by line, bodies by their length. In a head with a second
//! `Content-Length`, a second `Transfer-Encoding`, or both, a byte is made one that no head may have: the library answers 400.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of a line that are looked at: a name and a number.
const LINE: usize = 128;

/// What comes next.
#[derive(Debug)]
enum Next {
    /// The first line of a request.
    Request,
    /// A header, or the end of the head.
    Header,
    /// So many bytes of a body.
    Body(u64),
    /// The size of a chunk.
    Size,
    /// So many bytes of a chunk, and its line end.
    Chunk(u64),
    /// What stands behind the last chunk.
    Trailer,
    /// It is none, and the library ends the connection.
    Nothing,
}

/// Where a connection is.
#[derive(Debug)]
struct Scanner {
    next: Next,
    line: Vec<u8>,
    length: Option<u64>,
    coded: bool,
}

impl Scanner {
    const fn new() -> Self {
        Self { next: Next::Request, line: Vec::new(), length: None, coded: false }
    }

    /// Follows what was read, and spoils a head that says two things.
    fn follow(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let taken = match &mut self.next {
                Next::Nothing => return,
                Next::Body(left) | Next::Chunk(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= taken as u64;
                    taken
                }
                Next::Request | Next::Header | Next::Size | Next::Trailer => {
                    let end = bytes.iter().position(|byte| *byte == b'\n');
                    let taken = end.map_or(bytes.len(), |end| end + 1);
                    let room = LINE.saturating_sub(self.line.len());
                    self.line.extend(bytes.iter().take(taken.min(room)));
                    if end.is_some()
                        && !self.line_ended()
                        && let Some(last) = bytes.get_mut(taken - 1)
                    {
                        *last = 0;
                    }
                    taken
                }
            };
            match self.next {
                Next::Body(0) => self.next = Next::Request,
                Next::Chunk(0) => self.next = Next::Size,
                _ => {}
            }
            bytes = bytes.get_mut(taken..).unwrap_or_default();
        }
    }

    /// A line is whole. False where it contradicts one before it.
    fn line_ended(&mut self) -> bool {
        let whole = std::mem::take(&mut self.line);
        let line = whole.trim_ascii_end();
        match self.next {
            // Empty lines before a request are passed over.
            Next::Request if !line.is_empty() => {
                (self.length, self.coded) = (None, false);
                self.next = Next::Header;
            }
            Next::Header if line.is_empty() => {
                self.next = match self.length {
                    _ if self.coded => Next::Size,
                    Some(length) if length > 0 => Next::Body(length),
                    _ => Next::Request,
                };
            }
            Next::Header => return self.header(line, whole.len() >= LINE),
            Next::Size => {
                let digits = line.split(|byte| !byte.is_ascii_hexdigit()).next().unwrap_or_default();
                let size =
                    std::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
                self.next = match size {
                    Some(0) => Next::Trailer,
                    Some(size) => size.checked_add(2).map_or(Next::Nothing, Next::Chunk),
                    None => Next::Nothing,
                };
            }
            Next::Trailer if line.is_empty() => self.next = Next::Request,
            _ => {}
        }
        true
    }

    fn header(&mut self, line: &[u8], cut: bool) -> bool {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default().trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            if cut || self.coded || self.length.is_some() {
                return false;
            }
            let number = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
            match number {
                Some(number) => self.length = Some(number),
                None => self.next = Next::Nothing,
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.coded || self.length.is_some() {
                return false;
            }
            self.coded = true;
        }
        true
    }
}

/// A stream whose requests have one length.
pub struct Strict<S> {
    stream: S,
    scanner: Scanner,
}

impl<S> Strict<S> {
    /// Around a stream at whose beginning a request begins.
    pub const fn new(stream: S) -> Self {
        Self { stream, scanner: Scanner::new() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buf.filled().len();
        let done = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.scanner.follow(buf.filled_mut().get_mut(before..).unwrap_or_default());
        done
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whether nothing is spoiled, whatever the pieces in which it comes.
    fn passes(text: &str, step: usize) -> bool {
        let mut scanner = Scanner::new();
        let mut bytes = text.as_bytes().to_vec();
        bytes.chunks_mut(step.max(1)).for_each(|piece| scanner.follow(piece));
        bytes == text.as_bytes()
    }

    const GOOD: &str = "\r\nPOST /a HTTP/1.1\r\nHost: h\r\ncontent-length:  5 \r\n\r\nab\n\ncGET / HTTP/1.1\r\n\r\n\
        POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n10\r\nContent-Length:1\r\n0\r\nX: y\r\n\r\n";

    #[test]
    fn requests_with_one_length_pass_and_others_do_not_wherever_they_stand() {
        for step in 1..40 {
            assert!(passes(&GOOD.repeat(3), step), "{step}");
            for two in [
                "Content-Length: 3\r\nContent-Length: 3\r\n",
                "Content-Length: 3\r\nX: y\r\nCONTENT-length:3\n",
                "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
                "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                &format!("Content-Length:{}3\r\n", " ".repeat(200)),
            ] {
                assert!(!passes(&format!("{GOOD}POST / HTTP/1.1\r\nHost: h\r\n{two}\r\nabc"), step), "{two}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(text in "[ -~\\r\\n]{0,200}", step in 1..50_usize) {
            passes(&text, step);
            passes(&format!("{GOOD}{text}"), step);
        }
    }
}
