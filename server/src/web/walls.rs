//! The walls: who may address us (Host), from where (Origin, Sec-Fetch-Site), and what a browser may do with our answers.
//!
//! Any page in another tab can send requests to a loopback address, and a name that it owns can be pointed there (DNS
//! rebinding). So: the Host must be one of ours; whatever changes something is a POST that does not come from another site,
//! and so is the stream.

use super::client::Client;
use super::problem::Problem;
use crate::access::Access;
use app::api::AuditRow;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::sync::Arc;

/// Host names that we answer to, whatever the port.
#[derive(Clone, Debug)]
pub struct Hosts(Arc<Vec<String>>);

impl Hosts {
    /// Loopback's names, and these.
    pub fn new(further: Vec<String>) -> Self {
        Self(Arc::new(further))
    }

    /// Whether a host, with or without a port, is one of ours.
    pub fn allows(&self, authority: &str) -> bool {
        let host = host_of(authority).to_ascii_lowercase();
        // Brackets are for IPv6 and only as a pair: `[127.0.0.1]` and `::1]` are no hosts.
        let address = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => inner.parse().map(IpAddr::V6),
            None => host.parse().map(IpAddr::V4),
        };
        host == "localhost"
            || address.is_ok_and(|ip| ip.is_loopback())
            || self.0.iter().any(|h| host_of(h) == host)
    }
}

/// The host of `host[:port]` or `[ipv6][:port]`; all of it where it is neither.
fn host_of(authority: &str) -> &str {
    let is_port = |port: &str| port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
    if authority.starts_with('[') {
        let Some((host, rest)) = authority.find(']').map(|end| authority.split_at(end + 1)) else {
            return authority;
        };
        let whole = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        return if whole { host } else { authority };
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if is_port(port) && !host.contains(':') => host,
        _ => authority,
    }
}

/// Whether a request comes from our own page, or from no page at all.
fn same_origin(headers: &HeaderMap, authority: &str, secure: bool) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    match headers.get(header::ORIGIN) {
        // Not a browser, or one so old that nothing can be told: a Host of ours is all that can be asked.
        None => true,
        Some(origin) => {
            origin.to_str().ok().and_then(|o| o.split_once("://")).is_some_and(|(scheme, rest)| {
                let (ours, port) = if secure { ("https", ":443") } else { ("http", ":80") };
                // A browser leaves out the port that goes without saying; a proxy may not.
                let bare = |host: &str| host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
                scheme == ours && bare(rest) == bare(authority)
            })
        }
    }
}

/// Stands before every route.
pub async fn guard(
    State((hosts, access)): State<(Hosts, Arc<Access>)>,
    request: Request,
    next: Next,
) -> Response {
    let refused = |result: &str| {
        access.note(AuditRow {
            target: request.uri().path().chars().take(200).collect(),
            detail: request.method().to_string(),
            ..AuditRow::of_nobody(Client::of(request.extensions()).ip, "request", result)
        });
    };
    let authority = request
        .headers()
        .get(header::HOST)
        .and_then(|h| h.to_str().ok())
        .or_else(|| request.uri().authority().map(axum::http::uri::Authority::as_str))
        .unwrap_or_default()
        .to_owned();
    if !hosts.allows(&authority) {
        let shown: String = authority.chars().take(100).collect();
        refused(&format!("{shown:?} is not a name of this server"));
        return with_headers(
            Problem::new(
                StatusCode::MISDIRECTED_REQUEST,
                "Unknown host",
                format!("{shown:?} is not a name of this server: add it with SERVICES_HOSTS if it should be"),
            )
            .into_response(),
        );
    }
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let guarded = !safe || request.uri().path() == "/api/stream";
    if guarded && !same_origin(request.headers(), &authority, Client::of(request.extensions()).secure) {
        tracing::warn!("refused a request from another site");
        refused("it came from another site");
        return with_headers(
            Problem::new(
                StatusCode::FORBIDDEN,
                "Another site",
                "requests that change something must come from this page",
            )
            .into_response(),
        );
    }
    let ours = request.uri().path().starts_with("/pkg/");
    let response = next.run(request).await;
    let says = response.headers().contains_key(header::CACHE_CONTROL);
    let mut response = with_headers(response);
    if ours && !says {
        // The page's own files are the same for everybody.
        response.headers_mut().remove(header::CACHE_CONTROL);
    }
    response
}

/// Refuses a body that says it is too long before anybody reads it.
pub async fn body_size(request: Request, next: Next) -> Response {
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse::<u64>().ok());
    let limit = if request.uri().path().ends_with("/explain") { super::LOG_LIMIT } else { super::BODY_LIMIT };
    if length.is_some_and(|l| l > limit as u64) {
        return Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Too large",
            format!("a body may have at most {limit} bytes"),
        )
        .into_response();
    }
    next.run(request).await
}

/// What a browser may do with our answers. The page brings its own policy, with its nonce.
pub fn with_headers(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 6] = [
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Whatever says nothing else is about this moment, and may be about somebody.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_named_hosts_are_ours_and_no_others() {
        let hosts = Hosts::new(vec!["box.lan".into()]);
        for ours in [
            "localhost",
            "localhost:3000",
            "LOCALHOST:1",
            "127.0.0.1:3000",
            "127.5.6.7",
            "[::1]:3000",
            "box.lan:8443",
            "box.lan",
        ] {
            assert!(hosts.allows(ours), "{ours}");
        }
        for foreign in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:3000",
            "192.168.0.1",
            "[::2]:3000",
            "box.lan.evil",
            "[::1]evil",
            "[::1].evil.example:3000",
            "[::1]:80evil",
            "[::1",
            "::1]",
            "::1",
            "[127.0.0.1]",
            "[[::1]]",
            "localhost:3000:4",
            "127.0.0.1:123456",
            "box.lan:x",
        ] {
            assert!(!hosts.allows(foreign), "{foreign}");
        }
    }

    #[test]
    fn the_scheme_counts_and_the_port_that_goes_without_saying_does_not() {
        let same = |origin: &str, authority: &str, secure: bool| {
            let value = HeaderValue::from_str(origin).expect("a value");
            same_origin(&HeaderMap::from_iter([(header::ORIGIN, value)]), authority, secure)
        };
        assert!(same("https://box.lan", "box.lan", true));
        assert!(same("https://box.lan", "BOX.lan:443", true));
        assert!(same("http://box.lan", "box.lan:80", false));
        assert!(same("https://box.lan:8443", "box.lan:8443", true));
        for (origin, authority, secure) in [
            ("http://box.lan", "box.lan", true),
            ("https://box.lan", "box.lan", false),
            ("https://box.lan", "box.lan:80", true),
            ("https://box.lan:80", "box.lan", true),
            ("https://box.lan:8443", "box.lan", true),
            ("https://box.lan.evil", "box.lan", true),
        ] {
            assert!(!same(origin, authority, secure), "{origin} at {authority}");
        }
    }

    #[test]
    fn another_site_is_told_from_our_page() {
        let with = |pairs: &[(&str, &str)]| {
            let headers: HeaderMap = pairs
                .iter()
                .map(|(k, v)| {
                    (
                        HeaderName::from_bytes(k.as_bytes()).expect("a name"),
                        HeaderValue::from_str(v).expect("a value"),
                    )
                })
                .collect();
            same_origin(&headers, "127.0.0.1:3000", false)
        };
        assert!(with(&[]));
        assert!(with(&[("origin", "http://127.0.0.1:3000")]));
        assert!(with(&[("sec-fetch-site", "same-origin"), ("origin", "null")]));
        assert!(with(&[("sec-fetch-site", "none")]));
        for bad in [
            &[("origin", "http://evil.example")][..],
            &[("origin", "null")],
            &[("origin", "http://127.0.0.1:3001")],
            &[("origin", "https://127.0.0.1:3000")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:3000")],
        ] {
            assert!(!with(bad), "{bad:?}");
        }
    }
}
