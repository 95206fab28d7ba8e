//! One connection in either version of HTTP: its requests are admitted, its answers watched, its end bounded.

use super::answer::{Answer, Bodies};
use super::seats::{Seat, Ticket};
use super::strict::Strict;
use super::{Door, Limits, front, upload};
use crate::web::walls;
use axum::Router;
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tower::Service;

/// The longest head of a request: its first line and all headers.
const HEAD: usize = 32 << 10;
/// What is kept of an answer until the peer takes it, beside the piece at hand.
const BUFFER: usize = 64 << 10;
/// Requests at the same time over one connection.
const STREAMS: u32 = 100;
/// A peer that says nothing is asked whether it is still there.
const PING: Duration = Duration::from_secs(20);

/// How often within the limit a peer that takes nothing is looked at.
const LOOKS: u32 = 8;

/// What a connection needs to answer.
#[derive(Clone)]
pub struct Desk {
    /// The routes.
    pub app: Router,
    /// How connections are taken in.
    pub door: Arc<Door>,
    /// The other end.
    pub peer: IpAddr,
    /// All that runs for connections.
    pub tasks: TaskTracker,
}

impl Desk {
    /// Serves HTTP/1.1 to its end.
    pub async fn http1<S>(&self, stream: S, seat: &Seat, secure: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request| {
            let ticket = seat.ticket();
            self.answer(request, secure, move |body| Answer::whole(body, ticket))
        });
        let connection =
            first_version(&self.door.limits).serve_connection(TokioIo::new(Strict::new(stream)), service);
        self.attend(connection, seat, None).await;
    }

    /// Serves HTTP/2 to its end.
    pub async fn http2<S>(&self, stream: S, seat: &Seat)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let bodies = Arc::new(Bodies::default());
        let (desk, noted, seat_tickets) = (self.clone(), bodies.clone(), seat.tickets());
        let service = service_fn(move |request| {
            let (desk, noted, ticket) = (desk.clone(), noted.clone(), Ticket::new(&seat_tickets));
            async move { desk.answer(request, true, move |body| Answer::pieces(body, ticket, &noted)).await }
        });
        let connection = http2::Builder::new(Crew(self.tasks.clone()))
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD as u32)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .serve_connection(TokioIo::new(stream), service);
        self.attend(connection, seat, Some(&bodies)).await;
    }

    /// One request, answered.
    async fn answer(
        &self,
        request: Request<Incoming>,
        secure: bool,
        wrap: impl FnOnce(axum::body::Body) -> Answer,
    ) -> Result<Response<Answer>, Infallible> {
        let mut request = request.map(|body| upload::watched(body, &self.door.limits));
        let answer = match front::admit(&mut request, self.peer, secure, &self.door.proxies, &self.door.base)
        {
            Ok(()) => {
                // Routes are always ready, and their error is none.
                let Ok(answer) = self.app.clone().call(request).await;
                answer
            }
            Err(problem) => walls::with_headers(problem.into_response()),
        };
        Ok(answer.map(wrap))
    }

    /// Lets a connection run until it ends, or has to.
    async fn attend<C>(&self, connection: C, seat: &Seat, bodies: Option<&Bodies>)
    where
        C: Future<Output = hyper::Result<()>> + Parting,
    {
        let Limits { idle, stuck, .. } = self.door.limits;
        let mut connection = pin!(connection);
        let mut look = tokio::time::interval((stuck / LOOKS).max(Duration::from_millis(10)));
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut leaving, mut busy_at) = (false, Instant::now());
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(peer = %self.peer, %error, "a connection ended");
                    }
                    return;
                }
                () = seat.asked_to_leave(), if !leaving => {
                    if !seat.busy() {
                        return;
                    }
                    leaving = true;
                    connection.as_mut().part();
                }
                _ = look.tick() => {
                    if seat.pace().exceeds(LOOKS) || bodies.is_some_and(|bodies| bodies.exceed(LOOKS)) {
                        tracing::debug!(peer = %self.peer, "let go: it takes nothing");
                        return;
                    }
                    if seat.busy() {
                        busy_at = Instant::now();
                    } else if leaving || busy_at.elapsed() >= idle {
                        return;
                    }
                }
            }
        }
    }
}

/// HTTP/1.1 within the limits.
pub fn first_version(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_header_size(HEAD)
        .max_buf_size(BUFFER);
    builder
}

/// A connection that can be told to end when its answers have.
pub trait Parting {
    /// No further request is taken.
    fn part(self: Pin<&mut Self>);
}

impl<S, F> Parting for http1::Connection<TokioIo<S>, F>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    F: hyper::service::HttpService<Incoming, ResBody = Answer, Error = Infallible>,
{
    fn part(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S, F> Parting for http2::Connection<TokioIo<S>, F, Crew>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    F: hyper::service::HttpService<Incoming, ResBody = Answer, Error = Infallible>,
    F::Future: Send + 'static,
{
    fn part(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Runs the streams of HTTP/2 among all that runs for connections.
#[derive(Clone)]
pub struct Crew(TaskTracker);

impl<F> hyper::rt::Executor<F> for Crew
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, work: F) {
        self.0.spawn(async move {
            work.await;
        });
    }
}
