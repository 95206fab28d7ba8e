//! The answer to a request for a log, read off a plain socket: as much of HTTP/1.1 as an engine speaks.
//!
//! Not through an HTTP client: the engine sends each line as a chunk of its own, and a client hands over each chunk by
//! itself, from one task to another. Here one read takes all that has come.

use app::model::UnreachableReason;
use bytes::BytesMut;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// One read takes so much at most.
const READ: usize = 64 << 10;
/// A head that is longer is none.
const HEAD_LIMIT: usize = 16 << 10;

/// An answer whose head was read.
pub struct Body {
    socket: Box<dyn AsyncRead + Send + Unpin>,
    buffer: BytesMut,
    framing: Framing,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes, and more to come.
    Bytes(usize),
    /// The body is over.
    End,
}

impl Body {
    /// Asks the engine at this address (`unix://…`, `tcp://…`, `http://…`) for `path`.
    ///
    /// # Errors
    /// Why it cannot be asked.
    pub async fn get(address: &str, path: &str) -> Result<(u16, Self), UnreachableReason> {
        let refused = |_| UnreachableReason::Refused { address: crate::redact::hidden(address) };
        let asked = if let Some(socket) = address.strip_prefix("unix://") {
            let socket = UnixStream::connect(socket).await.map_err(refused)?;
            Self::ask(socket, "localhost", path).await
        } else {
            let authority = address.split_once("://").map_or(address, |(_, rest)| rest).trim_end_matches('/');
            let socket = TcpStream::connect(authority).await.map_err(refused)?;
            Self::ask(socket, authority, path).await
        };
        asked.map_err(|error| UnreachableReason::Garbage { detail: error.to_string() })
    }

    /// Asks for `path` and reads the answer's head: its status and its body.
    ///
    /// # Errors
    /// When the connection breaks, and when the answer is not HTTP.
    pub async fn ask<S>(mut socket: S, host: &str, path: &str) -> io::Result<(u16, Self)>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await?;
        let mut buffer = BytesMut::with_capacity(READ);
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            if buffer.len() > HEAD_LIMIT {
                return Err(not_http("a head without an end"));
            }
            if socket.read_buf(&mut buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let head = buffer.split_to(end + 4);
        let (status, framing) = head_of(&head)?;
        Ok((status, Self { socket: Box::new(socket), buffer, framing }))
    }

    /// Waits for bytes and hands them over in order, without the framing. Nothing is lost when the waiting is given up.
    ///
    /// # Errors
    /// When the connection breaks before the body is over, and when its framing is broken.
    pub async fn read(&mut self, take: impl FnMut(&[u8])) -> io::Result<Read> {
        // An empty answer: nothing comes, and the connection stays open.
        if self.framing == Framing::Left(0) {
            return Ok(Read::End);
        }
        // What came with the head is the first read.
        if self.buffer.is_empty() {
            self.buffer.reserve(READ);
            if self.socket.read_buf(&mut self.buffer).await? == 0 {
                return match self.framing {
                    Framing::UntilClosed => Ok(Read::End),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
        let count = self.buffer.len();
        let over = self.framing.unpack(&self.buffer, take)?;
        self.buffer.clear();
        Ok(if over { Read::End } else { Read::Bytes(count) })
    }
}

fn not_http(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not an HTTP answer: {what}"))
}

/// The status, and how the body's end is told.
fn head_of(head: &[u8]) -> io::Result<(u16, Framing)> {
    let head = std::str::from_utf8(head).map_err(|_| not_http("the head is not text"))?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1."))
        .and_then(|line| line.split(' ').nth(1)?.parse().ok())
        .ok_or_else(|| not_http("no status"))?;
    let mut framing = Framing::UntilClosed;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked") {
            framing = Framing::Chunked(Part::Size { size: 0, digits: 0 });
        } else if name.eq_ignore_ascii_case("content-length") && framing == Framing::UntilClosed {
            framing = Framing::Left(value.parse().map_err(|_| not_http("a length that is none"))?);
        }
    }
    Ok((status, framing))
}

/// How the body's end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Chunked(Part),
    /// So many bytes are left.
    Left(u64),
    UntilClosed,
}

/// What comes next of a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Hexadecimal digits.
    Size { size: u64, digits: u8 },
    /// `;name=value` behind them.
    Extension { size: u64 },
    /// The `\n` behind them.
    SizeEnd { size: u64 },
    /// So many bytes.
    Data { left: u64 },
    /// The `\r` behind them.
    DataEnd,
    /// The `\n` behind that.
    NextSize,
    /// The last chunk had no bytes. What may follow is of no use here.
    Over,
}

impl Framing {
    /// Takes the framing off; whether the body is over.
    fn unpack(&mut self, mut bytes: &[u8], mut take: impl FnMut(&[u8])) -> io::Result<bool> {
        match self {
            Self::UntilClosed => {
                take(bytes);
                Ok(false)
            }
            Self::Left(left) => {
                let (ours, _) = cut(bytes, *left);
                *left -= ours.len() as u64;
                if !ours.is_empty() {
                    take(ours);
                }
                Ok(*left == 0)
            }
            Self::Chunked(part) => {
                while let Some((first, rest)) = bytes.split_first() {
                    if let Part::Data { left } = part {
                        let (ours, rest) = cut(bytes, *left);
                        *left -= ours.len() as u64;
                        take(ours);
                        bytes = rest;
                        if *left == 0 {
                            *part = Part::DataEnd;
                        }
                        continue;
                    }
                    *part = part.step(*first).ok_or_else(|| not_http("a broken chunk"))?;
                    if *part == Part::Over {
                        break;
                    }
                    bytes = rest;
                }
                Ok(*part == Part::Over)
            }
        }
    }
}

impl Part {
    /// What comes behind this byte; `None` where it does not belong.
    fn step(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Size { size, digits: 1.. } | Self::Extension { size }, b'\r') => Self::SizeEnd { size },
            (Self::Size { size, digits: 1.. }, b';' | b' ' | b'\t') => Self::Extension { size },
            (Self::Size { size, digits: digits @ 0..16 }, _) => {
                let digit = char::from(byte).to_digit(16)?;
                Self::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (Self::Extension { size }, b' '..=b'~' | b'\t') => Self::Extension { size },
            (Self::SizeEnd { size: 0 }, b'\n') => Self::Over,
            (Self::SizeEnd { size }, b'\n') => Self::Data { left: size },
            (Self::DataEnd, b'\r') => Self::NextSize,
            (Self::NextSize, b'\n') => Self::Size { size: 0, digits: 0 },
            _ => return None,
        })
    }
}

/// The first `at` bytes, as far as there are so many, and the rest.
fn cut(bytes: &[u8], at: u64) -> (&[u8], &[u8]) {
    bytes.split_at(usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What an answer brings when it comes in these pieces, and how it ends.
    fn read(pieces: &[&[u8]]) -> Result<(u16, Vec<u8>), io::ErrorKind> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let (ours, mut theirs) = tokio::io::duplex(1 << 20);
            let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
            let play = async move {
                for piece in pieces {
                    // Whoever has read the end does not wait for more.
                    let _ = theirs.write_all(&piece).await;
                    tokio::task::yield_now().await;
                }
            };
            let ask = async {
                let (status, mut body) = Body::ask(ours, "localhost", "/x").await.map_err(|e| e.kind())?;
                let mut all = Vec::new();
                loop {
                    match body.read(|bytes| all.extend_from_slice(bytes)).await {
                        Ok(Read::End) => return Ok((status, all)),
                        Ok(_) => {}
                        Err(error) => return Err(error.kind()),
                    }
                }
            };
            tokio::join!(ask, play).0
        })
    }

    fn chunked(pieces: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
            bytes.extend(piece);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn a_body_is_the_same_however_it_is_cut(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..12),
            cuts in prop::collection::vec(1..120_usize, 1..40),
        ) {
            let bytes = chunked(&pieces);
            let mut cut_up = Vec::new();
            let (mut rest, mut cuts) = (bytes.as_slice(), cuts.into_iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
                cut_up.push(piece);
                rest = after;
            }
            prop_assert_eq!(read(&cut_up), Ok((200, pieces.concat())));
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), digits in "[0-9a-fA-F;\r\n]{0,40}") {
            let _ = read(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", digits.as_bytes(), &bytes]);
            let _ = read(&[&bytes]);
        }
    }

    #[test]
    fn the_end_is_told_in_three_ways() {
        let length = b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nhello and more";
        assert_eq!(read(&[length]), Ok((404, b"hello".to_vec())));
        assert_eq!(read(&[b"HTTP/1.0 200 OK\r\n\r\nall of it"]), Ok((200, b"all of it".to_vec())));
        // Behind it nothing comes, and nothing is waited for.
        let empty = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(read(&[empty]), Ok((500, Vec::new())));
        let extended = b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3;a=b\r\nabc\r\n0 \r\n\r\n";
        assert_eq!(read(&[extended]), Ok((200, b"abc".to_vec())));
    }

    #[test]
    fn a_body_that_breaks_off_is_not_taken_for_one_that_ended() {
        let whole = chunked(&[b"one".to_vec(), b"two".to_vec()]);
        // The last chunk is over with the first of its line ends.
        for length in 0..whole.len() - 2 {
            assert_eq!(
                read(&[&whole[..length]]),
                Err(io::ErrorKind::UnexpectedEof),
                "cut off behind {length}"
            );
        }
        let short = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
        assert_eq!(read(&[short]), Err(io::ErrorKind::UnexpectedEof));
    }

    #[test]
    fn what_is_not_http_is_refused() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for body in ["x\r\n", "\r\n", "3\r\nabcd\r\n", "3\nabc", "00000000000000001\r\n", "3\rabc"] {
            let answer = format!("{head}{body}");
            assert_eq!(read(&[answer.as_bytes()]), Err(io::ErrorKind::InvalidData), "{body:?}");
        }
        for answer in [
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
            "HTTP/1.1 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        ] {
            assert_eq!(read(&[answer.as_bytes()]), Err(io::ErrorKind::InvalidData), "{answer:?}");
        }
        let endless = "x".repeat(HEAD_LIMIT + 1);
        assert_eq!(read(&[endless.as_bytes()]), Err(io::ErrorKind::InvalidData));
    }
}
