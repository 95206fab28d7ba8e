//! Reads a container's log over a connection of its own.
//!
//! Not through the client library: it collects a terminal's output without bound until a newline, and takes some of it
//! for frames. Here every buffer has a bound, and a frame is handed over where it lies.
//!
//! Format: <https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach>, "Stream
//! format": 1 byte stream, 3 zero bytes, 4 bytes length, then the payload; with `timestamps=1` each payload begins with an
//! RFC 3339 time and a space. A container with a terminal has no frames: its lines begin with the time.

use super::body::{Body, Read};
use super::engine::forbidden;
use crate::runtime::{FollowEnd, FramePosition, FrameSink, RuntimeError};
use app::model::{Stream, Timestamp, UnreachableReason};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// For connecting and for the answer's head; the body then comes when there is something to say.
const LIMIT: Duration = Duration::from_secs(10);
/// The engine cuts messages at 16 KiB; a frame longer than this is none.
const FRAME_LIMIT: usize = 1 << 20;
/// Where the engine cuts a terminal's long lines, putting a time before each piece.
const PIECE: usize = 16 * 1024;
/// While lines keep coming, those of so long are read at once: the engine sends each by itself, and a read, a batch and a
/// send for each would cost more than the lines do.
const GATHER: Duration = Duration::from_millis(1);
/// A read that brings so much says that the engine had to wait for us, which it is slow to recover from: the reads after it
/// gather nothing.
const MUCH: usize = 24 << 10;
const HURRY: u32 = 64;
/// Bytes of an unfinished frame for which room is kept.
const IDLE_CAPACITY: usize = 64 << 10;

/// The log of a container.
#[derive(Clone, Copy, Debug)]
pub struct Log<'a> {
    /// The engine's.
    pub address: &'a str,
    /// The container's.
    pub id: &'a str,
    /// It has a terminal.
    pub tty: bool,
    /// The engine answers nothing at all before there is a line: Podman.
    pub mute: bool,
}

/// How far a log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Until the container ends.
    Live,
    /// To the end of what is there.
    End,
    /// To what was written at this time, in nanoseconds since the Unix epoch.
    Time(i64),
}

impl Log<'_> {
    /// Reads from behind `from`, until the connection breaks or `stop` is cancelled at the latest. Where the reading ended.
    ///
    /// # Errors
    /// [`RuntimeError::Away`] when no connection could be made.
    pub async fn read(
        &self,
        from: FramePosition,
        to: To,
        sink: &mut dyn FrameSink,
        stop: &CancellationToken,
    ) -> Result<(FollowEnd, FramePosition), RuntimeError> {
        let Self { address, id, tty, mute } = *self;
        let away = |reason| RuntimeError::Away(reason);
        let timeout = || UnreachableReason::Timeout { address: address.to_owned(), seconds: LIMIT.as_secs() };
        let at = |name: &str, ns: i64| format!("&{name}={}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000);
        let since = if from.time_ns > 0 { at("since", from.time_ns) } else { String::new() };
        let until = match to {
            To::Time(ns) if (1..i64::MAX).contains(&ns) => at("until", ns),
            _ => String::new(),
        };
        let live = u8::from(to == To::Live);
        // The id was checked to be hexadecimal when it was read.
        let path =
            format!("/containers/{id}/logs?follow={live}&stdout=1&stderr=1&timestamps=1{since}{until}");
        let answer = Body::get(address, &path);
        let answer = async {
            if mute && to == To::Live {
                return Ok(answer.await);
            }
            tokio::time::timeout(LIMIT, answer).await
        };
        let answer = tokio::select! {
            answer = answer => answer,
            () = stop.cancelled() => return Ok((FollowEnd::Broken, from)),
        };
        let mut body = match answer {
            Ok(Ok((200, body))) => body,
            // The container is gone.
            Ok(Ok((404, _))) => return Ok((FollowEnd::Complete, from)),
            Ok(Ok((403 | 405, _))) => return Err(away(forbidden("GET /containers/…/logs"))),
            Ok(Ok((other, _))) => {
                let detail = format!("the log was answered with {other}");
                return Err(away(UnreachableReason::Garbage { detail }));
            }
            Ok(Err(reason)) => return Err(away(reason)),
            Err(_) => return Err(away(timeout())),
        };
        let mut reader = Reader::new(tty, from);
        let mut hurry = 0_u32;
        loop {
            let mut understood = Ok(());
            let read = tokio::select! {
                read = body.read(|bytes| {
                    if understood.is_ok() {
                        understood = reader.take(bytes, sink);
                    }
                }) => read,
                () = stop.cancelled() => return Ok((FollowEnd::Broken, reader.last)),
            };
            if understood.is_err() {
                tracing::error!(container = id, "the engine's log stream is not understood");
                sink.flush();
                return Ok((FollowEnd::Garbled, reader.last));
            }
            match read {
                Ok(Read::End) => {
                    reader.finish(sink);
                    sink.flush();
                    return Ok((FollowEnd::Complete, reader.last));
                }
                Ok(Read::Bytes(count)) => {
                    sink.flush();
                    hurry = if count >= MUCH { HURRY } else { hurry.saturating_sub(1) };
                    if hurry == 0 {
                        tokio::select! {
                            () = tokio::time::sleep(GATHER) => {}
                            () = stop.cancelled() => return Ok((FollowEnd::Broken, reader.last)),
                        }
                    }
                }
                Err(_) => {
                    sink.flush();
                    return Ok((FollowEnd::Broken, reader.last));
                }
            }
        }
    }
}

/// The stream is not one of frames.
#[derive(Debug, PartialEq, Eq)]
struct NotFrames;

/// Takes a body apart.
struct Reader {
    tty: bool,
    /// A frame that has not come whole yet.
    pending: Vec<u8>,
    /// Skip what is not behind this.
    from: FramePosition,
    /// How many frames with exactly `from.time_ns` have come.
    equal: u32,
    /// Behind the last frame that was handed over.
    last: FramePosition,
}

impl Reader {
    const fn new(tty: bool, from: FramePosition) -> Self {
        Self { tty, pending: Vec::new(), from, equal: 0, last: from }
    }

    fn take(&mut self, data: &[u8], sink: &mut dyn FrameSink) -> Result<(), NotFrames> {
        if self.pending.is_empty() {
            // The usual case: whole frames, read in place.
            let used = self.whole(data, sink)?;
            self.pending.extend_from_slice(&data[used..]);
            return Ok(());
        }
        let mut all = std::mem::take(&mut self.pending);
        all.extend_from_slice(data);
        let used = self.whole(&all, sink)?;
        all.drain(..used);
        all.shrink_to(IDLE_CAPACITY);
        self.pending = all;
        Ok(())
    }

    /// Hands over what is whole; how many bytes that was.
    fn whole(&mut self, data: &[u8], sink: &mut dyn FrameSink) -> Result<usize, NotFrames> {
        if self.tty {
            return Ok(self.terminal(data, sink));
        }
        let mut at = 0;
        while let Some((stream, payload)) = next_frame(&data[at..])? {
            at += HEAD + payload.len();
            let (time, text) = split_time(payload);
            self.hand_over(time, stream, text, sink);
        }
        Ok(at)
    }

    fn hand_over(&mut self, time: Option<Time>, stream: Stream, text: &[u8], sink: &mut dyn FrameSink) {
        let Time { ns: time_ns, whole_second } = time.unwrap_or_else(Time::now);
        // Where whole seconds are told, the engine has left out what was earlier within the second.
        let within = if whole_second { self.from.time_ns.rem_euclid(SECOND) } else { 0 };
        if time_ns < self.from.time_ns.saturating_sub(within) {
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
    /// are handed over, so that they are counted alike however the stream is cut; what is left is 16 KiB at most.
    fn terminal(&mut self, data: &[u8], sink: &mut dyn FrameSink) -> usize {
        let mut at = 0;
        while at < data.len() {
            let (time, text) = split_time(&data[at..]);
            let piece = &text[..text.len().min(PIECE)];
            let end = match piece.iter().position(|b| *b == b'\n') {
                Some(newline) => newline + 1,
                None if piece.len() == PIECE => PIECE,
                None => break,
            };
            self.hand_over(time, Stream::Stdout, &text[..end], sink);
            at = data.len() - text.len() + end;
        }
        at
    }

    /// A terminal's last message may lack its newline.
    fn finish(&mut self, sink: &mut dyn FrameSink) {
        if self.tty && !self.pending.is_empty() {
            let rest = std::mem::take(&mut self.pending);
            let (time, text) = split_time(&rest);
            self.hand_over(time, Stream::Stdout, text, sink);
        }
    }
}

/// A second, in nanoseconds.
const SECOND: i64 = 1_000_000_000;

/// When a message was written, as the engine tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Time {
    ns: i64,
    /// The engine tells no fraction of a second: Podman.
    whole_second: bool,
}

impl Time {
    /// The clock, for what carries no time.
    fn now() -> Self {
        Self { ns: Timestamp::now().millis() * 1_000_000, whole_second: false }
    }
}

/// Bytes of a frame's head.
const HEAD: usize = 8;

/// The first frame, if it is there whole: its pipe and its payload.
fn next_frame(data: &[u8]) -> Result<Option<(Stream, &[u8])>, NotFrames> {
    if data.len() < HEAD {
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
    Ok(data.get(HEAD..HEAD + length).map(|payload| (stream, payload)))
}

/// Cuts the time off the front of a payload.
fn split_time(payload: &[u8]) -> (Option<Time>, &[u8]) {
    let Some(space) = payload.iter().take(40).position(|b| *b == b' ') else { return (None, payload) };
    let word = std::str::from_utf8(&payload[..space]).ok();
    let time = word
        .and_then(|word| Some(Time { ns: Timestamp::parse_nanos(word)?, whole_second: !word.contains('.') }));
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
            reader.take(piece, &mut seen).expect("frames");
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
    fn whole_seconds_begin_before_what_is_asked_for() {
        // As Podman 4.3 answers a question for what came behind 06:22:03.79: it counts exactly, and tells seconds.
        let mut bytes = framed(1, "2026-11-23T06:22:03Z (APIServer pid=1) INFO one\r\n");
        bytes.extend(framed(1, "2026-11-23T06:22:04Z two\r\n"));
        let at = |text| Timestamp::parse_nanos(text).expect("a time");
        let from = |text| FramePosition { time_ns: at(text), nth: 0 };
        let count = |from: FramePosition| read(false, from, &bytes, 9).len();
        assert_eq!(count(from("2026-11-23T06:22:03.79Z")), 2);
        assert_eq!(count(from("2026-11-23T06:22:04.1Z")), 1);
        // Gone on with behind a line that was told: by its number within the second.
        assert_eq!(count(FramePosition { nth: 1, ..from("2026-11-23T06:22:03Z") }), 1);
        // Docker tells fractions, and they count.
        let exact = framed(1, "2026-11-23T06:22:03.5Z one\n");
        assert_eq!(read(false, from("2026-11-23T06:22:03.79Z"), &exact, 9).len(), 0);
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
        assert_eq!(reader.take(b"HTTP is not a frame", &mut seen), Err(NotFrames));
        let huge = [1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(reader.take(&huge, &mut seen), Err(NotFrames));
    }
}
