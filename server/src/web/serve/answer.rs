//! The body of an answer on its way out.
//!
//! Over HTTP/2 a socket that moves proves nothing: one stream of many can be held back by a peer that opens no window for
//! it. So each body notes for how long its last piece has not been taken; pieces are small enough that a slow line takes one
//! within the limit.

use super::seats::Ticket;
use super::wire::Pace;
use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

/// The largest piece that is given to HTTP/2 at once.
const PIECE: usize = 32 << 10;
/// From so many noted bodies on, those that are gone are struck out.
const SWEEP: usize = 256;

/// The open bodies of a connection.
#[derive(Default)]
pub struct Bodies(Mutex<Vec<Weak<Pace>>>);

impl Bodies {
    fn note(&self) -> Arc<Pace> {
        let pace = Arc::new(Pace::default());
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() >= SWEEP {
            list.retain(|old| old.strong_count() > 0);
        }
        list.push(Arc::downgrade(&pace));
        pace
    }

    /// Looks again: whether a body was not taken from at more than so many looks in a row.
    pub fn exceed(&self, looks: u32) -> bool {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|old| old.strong_count() > 0);
        // All of them are looked at, whatever the first says.
        list.iter().filter_map(Weak::upgrade).filter(|pace| pace.exceeds(looks)).count() > 0
    }
}

/// An answer's body; the request is over when it is dropped.
pub struct Answer {
    body: Body,
    /// What is left of the last piece, and where its pace is kept: over HTTP/2 alone.
    split: Option<(Bytes, Arc<Pace>)>,
    _ticket: Ticket,
}

impl Answer {
    /// As it is, for HTTP/1.1.
    pub const fn whole(body: Body, ticket: Ticket) -> Self {
        Self { body, split: None, _ticket: ticket }
    }

    /// In pieces, for HTTP/2.
    pub fn pieces(body: Body, ticket: Ticket, bodies: &Bodies) -> Self {
        Self { body, split: Some((Bytes::new(), bodies.note())), _ticket: ticket }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let Some((rest, pace)) = &mut this.split else { return Pin::new(&mut this.body).poll_frame(cx) };
        // Whoever asks for more has taken what it had.
        pace.moves();
        if rest.is_empty() {
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => *rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return other,
            }
        }
        pace.wait();
        let piece = rest.split_to(rest.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.split.as_ref().is_none_or(|(rest, _)| rest.is_empty()) && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.split.as_ref().map_or(0, |(rest, _)| rest.len() as u64);
        if rest > 0 {
            // The upper bound first: it may not be below the lower one.
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper + rest);
            }
            hint.set_lower(hint.lower() + rest);
        }
        hint
    }
}
