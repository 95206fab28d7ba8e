//! Reads a container's log over a connection of its own.
//!
//! Not through the client library: it collects a terminal's output without bound until a newline, and takes some of it
//! for frames. Here every buffer has a bound, and a frame is handed over without a copy.
//!
//! Format: <https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach>, "Stream
//! format": 1 byte stream, 3 zero bytes, 4 bytes length, then the payload; with `timestamps=1` each payload begins with an
//! RFC 3339 time and a space. A container with a terminal has no frames: its lines begin with the time.

use crate::runtime::{FollowEnd, FramePosition, FrameSink, RuntimeError};
use app::model::{Stream, Timestamp, UnreachableReason};
use bytes::{Buf, Bytes, BytesMut};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

/// For connecting and for the answer's head; the body then comes when there is something to say.
const LIMIT: Duration = Duration::from_secs(10);
/// The engine cuts messages at 16 KiB; a frame longer than this is none.
const FRAME_LIMIT: usize = 1 << 20;
/// Where the engine cuts a terminal's long lines, putting a time before each piece.
const PIECE: usize = 16 * 1024;

/// Reads from behind `from` until the container ends (or, unless `live`, to the end of what is there), the connection breaks
/// or `stop` is cancelled. Where the reading ended.
///
/// # Errors
/// [`RuntimeError::Away`] when no connection could be made.
pub async fn follow(
    address: &str,
    id: &str,
    tty: bool,
    from: FramePosition,
    live: bool,
    sink: &mut dyn FrameSink,
    stop: &CancellationToken,
) -> Result<(FollowEnd, FramePosition), RuntimeError> {
    let away = |reason| RuntimeError::Away(reason);
    let timeout = || UnreachableReason::Timeout { address: address.to_owned(), seconds: LIMIT.as_secs() };
    let refused = || UnreachableReason::Refused { address: address.to_owned() };
    let since = if from.time_ns > 0 {
        format!("&since={}.{:09}", from.time_ns / 1_000_000_000, from.time_ns % 1_000_000_000)
    } else {
        String::new()
    };
    // The id was checked to be hexadecimal when it was read.
    let path =
        format!("/containers/{id}/logs?follow={}&stdout=1&stderr=1&timestamps=1{since}", u8::from(live));
    let body = tokio::time::timeout(LIMIT, async {
        if let Some(socket) = address.strip_prefix("unix://") {
            open(tokio::net::UnixStream::connect(socket).await.map_err(|_| refused())?, "localhost", &path)
                .await
        } else {
            let authority = address.split_once("://").map_or(address, |(_, rest)| rest).trim_end_matches('/');
            open(tokio::net::TcpStream::connect(authority).await.map_err(|_| refused())?, authority, &path)
                .await
        }
    });
    let mut body = match body.await {
        Ok(Ok(Some(body))) => body,
        Ok(Ok(None)) => return Ok((FollowEnd::Complete, from)),
        Ok(Err(reason)) => return Err(away(reason)),
        Err(_) => return Err(away(timeout())),
    };
    let mut reader = Reader::new(tty, from);
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = stop.cancelled() => return Ok((FollowEnd::Broken, reader.last)),
        };
        match frame {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    if reader.take(data, sink).is_err() {
                        tracing::error!(container = id, "the engine's log stream is not understood");
                        return Ok((FollowEnd::Broken, reader.last));
                    }
                    sink.flush();
                }
            }
            Some(Err(_)) => return Ok((FollowEnd::Broken, reader.last)),
            None => {
                reader.finish(sink);
                sink.flush();
                return Ok((FollowEnd::Complete, reader.last));
            }
        }
    }
}

/// Sends the request; the body, or `None` when the container is gone.
async fn open<S>(
    socket: S,
    host: &str,
    path: &str,
) -> Result<Option<hyper::body::Incoming>, UnreachableReason>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let garbage = |detail: String| UnreachableReason::Garbage { detail };
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(socket)).await.map_err(|e| garbage(e.to_string()))?;
    // Ends with the body: dropping that closes the connection.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a log connection ended");
        }
    });
    let request = http::Request::get(path)
        .header(http::header::HOST, host)
        .body(Empty::<Bytes>::new())
        .map_err(|e| garbage(e.to_string()))?;
    let response = sender.send_request(request).await.map_err(|e| garbage(e.to_string()))?;
    match response.status().as_u16() {
        200 => Ok(Some(response.into_body())),
        404 => Ok(None),
        other => Err(garbage(format!("the log was answered with {other}"))),
    }
}

/// The stream is not one of frames.
#[derive(Debug, PartialEq, Eq)]
struct NotFrames;

/// Takes a body apart.
struct Reader {
    tty: bool,
    pending: BytesMut,
    /// Skip what is not behind this.
    from: FramePosition,
    /// How many frames with exactly `from.time_ns` have come.
    equal: u32,
    /// Behind the last frame that was handed over.
    last: FramePosition,
}

impl Reader {
    fn new(tty: bool, from: FramePosition) -> Self {
        Self { tty, pending: BytesMut::new(), from, equal: 0, last: from }
    }

    fn take(&mut self, data: Bytes, sink: &mut dyn FrameSink) -> Result<(), NotFrames> {
        if self.tty {
            self.pending.extend_from_slice(&data);
            let pending = self.pending.split().freeze();
            let left = self.terminal(&pending, sink);
            self.pending.extend_from_slice(&left);
            return Ok(());
        }
        if self.pending.is_empty() {
            // The usual case: whole frames, read in place.
            let mut data = data;
            while let Some(frame) = next_frame(&mut data)? {
                self.frame(&frame, sink);
            }
            self.pending.extend_from_slice(&data);
        } else {
            self.pending.extend_from_slice(&data);
            let mut all = self.pending.split().freeze();
            while let Some(frame) = next_frame(&mut all)? {
                self.frame(&frame, sink);
            }
            self.pending.extend_from_slice(&all);
        }
        Ok(())
    }

    fn frame(&mut self, frame: &(Stream, Bytes), sink: &mut dyn FrameSink) {
        let (stream, payload) = frame;
        let (time_ns, text) = split_time(payload);
        let time_ns = time_ns.unwrap_or_else(|| Timestamp::now().millis() * 1_000_000);
        self.hand_over(time_ns, *stream, text, sink);
    }

    fn hand_over(&mut self, time_ns: i64, stream: Stream, text: &[u8], sink: &mut dyn FrameSink) {
        if time_ns < self.from.time_ns {
            return;
        }
        if time_ns == self.from.time_ns {
            self.equal += 1;
            if self.equal <= self.from.nth {
                return;
            }
        }
        let nth = if time_ns == self.last.time_ns { self.last.nth.saturating_add(1) } else { 1 };
        self.last = FramePosition { time_ns, nth };
        sink.frame(time_ns, stream, text);
    }

    /// Messages of a terminal: `TIME SP bytes… \n`, cut after 16 KiB, where another `TIME SP` follows. Only whole messages
    /// are handed over, so that they are counted alike however the stream is cut. Returns what is left, at most 16 KiB.
    fn terminal(&mut self, data: &Bytes, sink: &mut dyn FrameSink) -> Bytes {
        let mut at = 0;
        while at < data.len() {
            let (time_ns, text) = split_time(&data[at..]);
            let piece = &text[..text.len().min(PIECE)];
            let end = match piece.iter().position(|b| *b == b'\n') {
                Some(newline) => newline + 1,
                None if piece.len() == PIECE => PIECE,
                None => break,
            };
            let time_ns = time_ns.unwrap_or_else(|| Timestamp::now().millis() * 1_000_000);
            self.hand_over(time_ns, Stream::Stdout, &text[..end], sink);
            at = data.len() - text.len() + end;
        }
        data.slice(at..)
    }

    /// A terminal's last message may lack its newline.
    fn finish(&mut self, sink: &mut dyn FrameSink) {
        if self.tty && !self.pending.is_empty() {
            let rest = self.pending.split().freeze();
            let (time_ns, text) = split_time(&rest);
            self.hand_over(
                time_ns.unwrap_or_else(|| Timestamp::now().millis() * 1_000_000),
                Stream::Stdout,
                text,
                sink,
            );
        }
    }
}

/// Cuts the next whole frame off the front.
fn next_frame(data: &mut Bytes) -> Result<Option<(Stream, Bytes)>, NotFrames> {
    if data.len() < 8 {
        return Ok(None);
    }
    let stream = match data[..4] {
        [0 | 1, 0, 0, 0] => Stream::Stdout,
        [2, 0, 0, 0] => Stream::Stderr,
        _ => return Err(NotFrames),
    };
    let length = u32::from_be_bytes([data[4], data[5], data[6], data[7]]) as usize;
    if length > FRAME_LIMIT {
        return Err(NotFrames);
    }
    if data.len() < 8 + length {
        return Ok(None);
    }
    data.advance(8);
    Ok(Some((stream, data.split_to(length))))
}

/// Cuts the time off the front of a payload.
fn split_time(payload: &[u8]) -> (Option<i64>, &[u8]) {
    let Some(space) = payload.iter().take(40).position(|b| *b == b' ') else { return (None, payload) };
    let time = std::str::from_utf8(&payload[..space]).ok().and_then(Timestamp::parse_nanos);
    if time.is_some() { (time, &payload[space + 1..]) } else { (None, payload) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Seen(Vec<(i64, Stream, String)>);

    impl FrameSink for Seen {
        fn frame(&mut self, time_ns: i64, stream: Stream, bytes: &[u8]) {
            self.0.push((time_ns, stream, String::from_utf8_lossy(bytes).into_owned()));
        }
        fn flush(&mut self) {}
    }

    fn framed(stream: u8, text: &str) -> Vec<u8> {
        let mut bytes = vec![stream, 0, 0, 0];
        bytes.extend(u32::try_from(text.len()).expect("short").to_be_bytes());
        bytes.extend(text.as_bytes());
        bytes
    }

    fn read(tty: bool, from: FramePosition, bytes: &[u8], cut: usize) -> Vec<(i64, Stream, String)> {
        let mut reader = Reader::new(tty, from);
        let mut seen = Seen::default();
        for piece in bytes.chunks(cut) {
            reader.take(Bytes::copy_from_slice(piece), &mut seen).expect("frames");
        }
        seen.0
    }

    #[test]
    fn frames_are_found_wherever_the_stream_is_cut() {
        let mut bytes = framed(1, "1970-01-01T00:00:01.000000005Z one\n");
        bytes.extend(framed(2, "1970-01-01T00:00:02Z two"));
        for cut in 1..bytes.len() {
            let seen = read(false, FramePosition::default(), &bytes, cut);
            assert_eq!(
                seen,
                [
                    (1_000_000_005, Stream::Stdout, "one\n".into()),
                    (2_000_000_000, Stream::Stderr, "two".into())
                ],
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn what_was_read_before_is_skipped_exactly() {
        let mut bytes = Vec::new();
        for text in ["a", "b", "c"] {
            bytes.extend(framed(1, &format!("1970-01-01T00:00:01Z {text}\n")));
        }
        let seen = read(false, FramePosition { time_ns: 1_000_000_000, nth: 2 }, &bytes, 7);
        assert_eq!(seen.into_iter().map(|s| s.2).collect::<Vec<_>>(), ["c\n"]);
    }

    #[test]
    fn a_terminal_has_times_and_no_frames() {
        let long = "x".repeat(PIECE + 10);
        let mut bytes = b"1970-01-01T00:00:01Z hello\r\n1970-01-01T00:00:02Z ".to_vec();
        bytes.extend(&long.as_bytes()[..PIECE]);
        bytes.extend(b"1970-01-01T00:00:03Z ");
        bytes.extend(&long.as_bytes()[PIECE..]);
        bytes.extend(b"\r\n");
        for cut in [1, 3, 39, 1000, bytes.len()] {
            let seen = read(true, FramePosition::default(), &bytes, cut);
            let text: String = seen.iter().map(|s| s.2.as_str()).collect();
            assert_eq!(text, format!("hello\r\n{long}\r\n"), "cut at {cut}");
            assert_eq!(seen[0].0, 1_000_000_000);
        }
    }

    #[test]
    fn garbage_is_refused_and_not_collected() {
        let mut reader = Reader::new(false, FramePosition::default());
        let mut seen = Seen::default();
        assert_eq!(reader.take(Bytes::from_static(b"HTTP is not a frame"), &mut seen), Err(NotFrames));
        let huge = [1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(reader.take(Bytes::copy_from_slice(&huge), &mut seen), Err(NotFrames));
    }
}
