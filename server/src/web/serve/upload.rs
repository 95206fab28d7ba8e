//! The body of a request on its way in: one that comes too slowly is an error.

use super::Limits;
use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Bytes that must come in a second, once the limit is over.
const RATE: u64 = 4 << 10;

/// It came too slowly.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request's body comes too slowly")]
pub struct TooSlow;

/// A request's body.
struct Upload {
    body: Incoming,
    begun: Instant,
    limit: Duration,
    came: u64,
    late: Pin<Box<Sleep>>,
}

/// The body for a handler; nothing is watched where nothing comes.
pub fn watched(body: Incoming, limits: &Limits) -> Body {
    if body.is_end_stream() {
        return Body::empty();
    }
    let (begun, limit) = (Instant::now(), limits.body);
    Body::new(Upload { body, begun, limit, came: 0, late: Box::pin(tokio::time::sleep(limit)) })
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.came += frame.data_ref().map_or(0, |data| data.len() as u64);
                let due = self.begun + self.limit + Duration::from_secs(self.came / RATE);
                self.late.as_mut().reset(due);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(other) => Poll::Ready(other.map(|frame| frame.map_err(Into::into))),
            Poll::Pending => self.late.as_mut().poll(cx).map(|()| Some(Err(TooSlow.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
