//! Plain HTTP at an address that speaks HTTPS: told the right way, once, and then the connection ends.

use super::connection::{Desk, first_version};
use super::seats::Seat;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, StatusCode, header};
use hyper::body::{Body as HttpBody, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use tokio::net::TcpStream;

const SAID: &str = "This address speaks HTTPS alone: ask with https:// instead of http://.\n";

/// Answers one request.
pub async fn answer(socket: TcpStream, desk: &Desk, seat: &Seat) {
    let service =
        service_fn(|request: Request<Incoming>| async move { Ok::<_, Infallible>(way(&request, desk)) });
    let connection =
        first_version(&desk.door.limits).keep_alive(false).serve_connection(TokioIo::new(socket), service);
    // A request's head and an answer that fits into the system's buffer.
    let limit = desk.door.limits.head + desk.door.limits.greeting;
    tokio::select! {
        _ = tokio::time::timeout(limit, connection) => {}
        () = seat.asked_to_leave() => {}
    }
}

/// A browser is sent on to the same place, if it asked for one of our names; everything else is told.
fn way<B: HttpBody>(request: &Request<B>, desk: &Desk) -> Response<String> {
    let mut answer = Response::new(SAID.to_owned());
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.filter(|host| host.parse::<Authority>().is_ok() && desk.door.hosts.allows(host));
    let looks = matches!(*request.method(), Method::GET | Method::HEAD);
    if let (Some(host), true, Some(path)) = (host, looks, request.uri().path_and_query()) {
        let to = HeaderValue::from_str(&format!("https://{host}{path}"));
        if let Ok(to) = to {
            *answer.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            answer.headers_mut().insert(header::LOCATION, to);
        }
    }
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
