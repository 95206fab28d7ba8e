//! What of a request is believed: where it was sent to, who sent it, and over what.
//!
//! A proxy that is trusted may tell all three; from anybody else such headers are taken away, so that nothing behind can
//! read them. `Forwarded` (RFC 7239) is not read: one way to tell is enough, and two could contradict each other.

use crate::settings::Networks;
use crate::web::Client;
use crate::web::problem::Problem;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use std::net::{IpAddr, SocketAddr};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// All headers by which proxies tell of whom they speak for.
const TOLD: [HeaderName; 8] = [
    FOR,
    PROTO,
    HOST,
    PREFIX,
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-ssl"),
    HeaderName::from_static("x-real-ip"),
];

/// The most proxies that one request came through.
const HOPS: usize = 16;

/// Puts a request in order: a path without a host, one `Host`, one `Cookie`, nothing that only claims, and who sent it.
///
/// # Errors
/// The request says two things at once, or nothing that can be answered.
pub fn admit<B>(
    request: &mut Request<B>,
    peer: IpAddr,
    secure: bool,
    proxies: &Networks,
    base: &str,
) -> Result<(), Problem> {
    if *request.method() == Method::CONNECT {
        return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Wrong method", "this is no proxy"));
    }
    let host = one_host(request)?;
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    if !path.starts_with('/') {
        return Err(bad("the address has no path"));
    }
    if request.uri().authority().is_some() || request.uri().scheme().is_some() {
        *request.uri_mut() = path.parse::<Uri>().map_err(|_| bad("the address is not understood"))?;
    }
    // A proxy that has taken the base away says so; who else says it is not believed, and loses it here.
    let taken =
        proxies.contain(peer) && last(request.headers(), &PREFIX).is_some_and(|told| names(told, base));
    if !taken && let Some(path) = below(request.uri(), base) {
        *request.uri_mut() = path.parse::<Uri>().map_err(|_| bad("the address is not understood"))?;
    }
    let headers = request.headers_mut();
    if let Some(host) = host {
        headers.insert(header::HOST, host);
    }
    join_cookies(headers)?;
    let mut client = Client { ip: peer.to_canonical(), secure };
    if proxies.contain(peer) {
        client.ip = told_for(headers, proxies).unwrap_or(client.ip);
        match last(headers, &PROTO) {
            Some("https") => client.secure = true,
            Some("http") => client.secure = false,
            _ => {}
        }
        if headers.contains_key(HOST) {
            let told = last(headers, &HOST).and_then(|host| host.parse::<Authority>().ok());
            let told = told.filter(|host| !host.as_str().contains('@'));
            let told = told.and_then(|host| HeaderValue::from_str(host.as_str()).ok());
            headers.insert(header::HOST, told.ok_or_else(|| bad("X-Forwarded-Host is no host"))?);
        }
    }
    for name in TOLD {
        headers.remove(name);
    }
    request.extensions_mut().insert(client);
    Ok(())
}

/// Whether a proxy tells the base.
fn names(told: &str, base: &str) -> bool {
    told.trim_end_matches('/') == base
}

/// A path below the base, without it; `None` where it does not begin so.
fn below(uri: &Uri, base: &str) -> Option<String> {
    if base.is_empty() {
        return None;
    }
    let rest = uri.path_and_query()?.as_str().strip_prefix(base)?;
    match rest.as_bytes().first() {
        Some(b'/') => Some(rest.to_owned()),
        None | Some(b'?') => Some(format!("/{rest}")),
        _ => None,
    }
}

fn bad(what: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "Bad request", what)
}

/// Where a request was sent to: by its address (HTTP/2, and HTTP/1.1 to a proxy) or by its `Host`, which must agree.
fn one_host<B>(request: &Request<B>) -> Result<Option<HeaderValue>, Problem> {
    let mut told = request.headers().get_all(header::HOST).iter();
    let (first, second) = (told.next(), told.next());
    if second.is_some() {
        return Err(bad("there is more than one Host"));
    }
    let Some(authority) = request.uri().authority().map(Authority::as_str) else {
        return Ok(first.cloned());
    };
    if first.is_some_and(|host| !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes())) {
        return Err(bad("the address and Host name different hosts"));
    }
    HeaderValue::from_str(authority).map(Some).map_err(|_| bad("the address has no host"))
}

/// Over HTTP/2 a browser may send its cookies one by one.
fn join_cookies(headers: &mut HeaderMap) -> Result<(), Problem> {
    let all: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if all.len() > 1 {
        let joined = HeaderValue::from_bytes(&all.join(&b"; "[..]))
            .map_err(|_| bad("the cookies are not understood"))?;
        headers.insert(header::COOKIE, joined);
    }
    Ok(())
}

/// The last entry of a list: what the nearest proxy says.
fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim)
}

/// The nearest address that is no proxy of ours: what is left of it anybody may have written.
fn told_for(headers: &HeaderMap, proxies: &Networks) -> Option<IpAddr> {
    let mut nearest = None;
    let lines = headers.get_all(FOR).iter().rev().map(|value| value.to_str().unwrap_or_default());
    for told in lines.flat_map(|line| line.rsplit(',')).take(HOPS) {
        let Some(ip) = address(told.trim()) else { break };
        nearest = Some(ip);
        if !proxies.contain(ip) {
            break;
        }
    }
    nearest
}

/// An address as proxies write it: with a port or without, IPv6 with brackets or without.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let ip = bare.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|a| a.ip()))?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PROXIES: &str = "10.0.0.0/8,127.0.0.1,::1";

    fn request(uri: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request")
    }

    /// Who sent this, over what, and to which host.
    fn told(peer: &str, headers: &[(&str, &str)]) -> (String, bool, String) {
        let mut request = request("/", headers);
        let proxies = Networks::parse(PROXIES).expect("networks");
        admit(&mut request, peer.parse().expect("an address"), false, &proxies, "").expect("admitted");
        for name in TOLD {
            assert!(!request.headers().contains_key(&name), "{name} is gone");
        }
        let client = Client::of(request.extensions());
        let host = request.headers().get(header::HOST).map(|h| h.to_str().expect("text").to_owned());
        (client.ip.to_string(), client.secure, host.unwrap_or_default())
    }

    #[test]
    fn a_stranger_claims_in_vain() {
        let claims = [
            ("host", "localhost:3000"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("forwarded", "for=127.0.0.1;proto=https;host=evil.example"),
            ("x-real-ip", "127.0.0.1"),
        ];
        let as_it_is = ("203.0.113.9".to_owned(), false, "localhost:3000".to_owned());
        assert_eq!(told("203.0.113.9", &claims), as_it_is);
        assert_eq!(told("::ffff:203.0.113.9", &claims), as_it_is);
    }

    #[test]
    fn a_trusted_proxy_is_believed() {
        let told_by = |headers: &[(&str, &str)]| {
            let all: Vec<(&str, &str)> =
                [("host", "127.0.0.1:3000")].iter().chain(headers).copied().collect();
            told("10.0.0.7", &all)
        };
        for (headers, ip, secure, host) in [
            (&[][..], "10.0.0.7", false, "127.0.0.1:3000"),
            (
                &[
                    ("x-forwarded-for", "203.0.113.9"),
                    ("x-forwarded-proto", "https"),
                    ("x-forwarded-host", "box.lan"),
                ],
                "203.0.113.9",
                true,
                "box.lan",
            ),
            // The client wrote the first; the proxies added the others.
            (&[("x-forwarded-for", "127.0.0.1, 203.0.113.9")], "203.0.113.9", false, "127.0.0.1:3000"),
            (
                &[("x-forwarded-for", "1.2.3.4, 203.0.113.9, 10.1.1.1")],
                "203.0.113.9",
                false,
                "127.0.0.1:3000",
            ),
            (
                &[("x-forwarded-for", "1.2.3.4"), ("x-forwarded-for", "203.0.113.9,10.1.1.1")],
                "203.0.113.9",
                false,
                "127.0.0.1:3000",
            ),
            // All of them ours: the farthest.
            (&[("x-forwarded-for", "10.2.2.2, 10.1.1.1")], "10.2.2.2", false, "127.0.0.1:3000"),
            // What is not understood ends it.
            (&[("x-forwarded-for", "1.2.3.4, unknown, 10.1.1.1")], "10.1.1.1", false, "127.0.0.1:3000"),
            (&[("x-forwarded-for", "unknown")], "10.0.0.7", false, "127.0.0.1:3000"),
            (&[("x-forwarded-for", "203.0.113.9:4711")], "203.0.113.9", false, "127.0.0.1:3000"),
            (&[("x-forwarded-for", "[2001:db8::1]:4711")], "2001:db8::1", false, "127.0.0.1:3000"),
            (&[("x-forwarded-for", "2001:db8::1")], "2001:db8::1", false, "127.0.0.1:3000"),
            (&[("x-forwarded-proto", "https, http")], "10.0.0.7", false, "127.0.0.1:3000"),
            (&[("x-forwarded-host", "evil.example, box.lan:8443")], "10.0.0.7", false, "box.lan:8443"),
            (&[("forwarded", "for=1.2.3.4;proto=https")], "10.0.0.7", false, "127.0.0.1:3000"),
        ] {
            assert_eq!(told_by(headers), (ip.to_owned(), secure, host.to_owned()), "{headers:?}");
        }
    }

    #[test]
    fn the_address_and_the_host_must_agree() {
        let none = Networks::default();
        let peer = IpAddr::from([127, 0, 0, 1]);
        let mut absolute = request("http://localhost:3000/api/services?x=1", &[("host", "LOCALHOST:3000")]);
        admit(&mut absolute, peer, false, &none, "").expect("admitted");
        assert_eq!(absolute.uri(), "/api/services?x=1");
        assert_eq!(absolute.headers()[header::HOST], "localhost:3000");
        let mut alone = request("https://box.lan/x", &[]);
        admit(&mut alone, peer, true, &none, "").expect("admitted");
        assert_eq!(
            (alone.uri().to_string().as_str(), &alone.headers()[header::HOST]),
            ("/x", &"box.lan".parse().expect("a value"))
        );
        for (uri, headers) in [
            ("http://localhost:3000/", &[("host", "evil.example")][..]),
            ("/", &[("host", "localhost"), ("host", "localhost")]),
            ("/", &[("host", "localhost"), ("host", "evil.example")]),
            ("*", &[("host", "localhost")]),
        ] {
            assert!(admit(&mut request(uri, headers), peer, false, &none, "").is_err(), "{uri} {headers:?}");
        }
        let mut connect = request("localhost:3000", &[]);
        *connect.method_mut() = Method::CONNECT;
        assert!(admit(&mut connect, peer, false, &none, "").is_err());
    }

    #[test]
    fn a_host_that_a_proxy_tells_must_be_one() {
        let proxies = Networks::parse(PROXIES).expect("networks");
        for host in ["user@box.lan", "box.lan/x", "", "a b", "box.lan:port:1"] {
            let mut request = request("/", &[("host", "localhost"), ("x-forwarded-host", host)]);
            let got = admit(&mut request, IpAddr::from([127, 0, 0, 1]), false, &proxies, "");
            assert!(got.is_err(), "{host:?}: {:?}", request.headers().get(header::HOST));
        }
    }

    /// Where a request that was sent to `path` arrives.
    fn arrives(path: &str, base: &str, peer: [u8; 4], headers: &[(&str, &str)]) -> String {
        let mut request = request(path, headers);
        let proxies = Networks::parse(PROXIES).expect("networks");
        admit(&mut request, IpAddr::from(peer), false, &proxies, base).expect("admitted");
        assert!(!request.headers().contains_key(PREFIX), "it is gone");
        request.uri().to_string()
    }

    #[test]
    fn the_base_is_taken_away_once() {
        for (sent, base, arrived) in [
            ("/services/vllm?run=1", "", "/services/vllm?run=1"),
            ("/llm", "/llm", "/"),
            ("/llm?x=1", "/llm", "/?x=1"),
            ("/llm/", "/llm", "/"),
            ("/llm/api/stream?logs=vllm", "/llm", "/api/stream?logs=vllm"),
            ("/llm/llm/x", "/llm", "/llm/x"),
            ("/llmx/y", "/llm", "/llmx/y"),
            ("/box/llm/metrics", "/box/llm", "/metrics"),
            // Asked without it, by somebody on this machine.
            ("/healthz", "/llm", "/healthz"),
            ("http://localhost:3000/llm/x", "/llm", "/x"),
            // What looks like another host afterwards is a path like any other.
            ("/llm//evil.example/x", "/llm", "//evil.example/x"),
        ] {
            assert_eq!(arrives(sent, base, [203, 0, 113, 9], &[]), arrived, "{sent} below {base:?}");
        }
    }

    #[test]
    fn a_proxy_that_has_taken_the_base_away_says_so() {
        let told = [("x-forwarded-prefix", "/services")];
        let of = |peer, headers| arrives("/services/vllm", "/services", peer, headers);
        assert_eq!(of([10, 0, 0, 7], &told), "/services/vllm");
        assert_eq!(of([10, 0, 0, 7], &[("x-forwarded-prefix", "/services/")]), "/services/vllm");
        assert_eq!(of([10, 0, 0, 7], &[("x-forwarded-prefix", "/other")]), "/vllm");
        assert_eq!(of([10, 0, 0, 7], &[]), "/vllm");
        assert_eq!(of([203, 0, 113, 9], &told), "/vllm", "a stranger is not believed");
    }

    #[test]
    fn cookies_that_come_one_by_one_are_read_as_one() {
        let mut request = request("/", &[("host", "localhost"), ("cookie", "a=1; b=2"), ("cookie", "c=3")]);
        admit(&mut request, IpAddr::from([127, 0, 0, 1]), false, &Networks::default(), "").expect("admitted");
        let cookies: Vec<_> = request.headers().get_all(header::COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
    }

    proptest! {
        /// However many addresses a client writes in front, the one that counts is the one that our proxy saw.
        #[test]
        fn what_a_client_writes_in_front_changes_nothing(claims in proptest::collection::vec("[ -~]{0,30}", 0..6)) {
            let claimed = claims.join(", ");
            let line = format!("{claimed}, 203.0.113.9, 10.1.1.1");
            let got = told("127.0.0.1", &[("host", "localhost"), ("x-forwarded-for", &line)]);
            prop_assert_eq!(got.0, "203.0.113.9");
            // And one who is not trusted is who he is.
            let got = told("198.51.100.1", &[("host", "localhost"), ("x-forwarded-for", &line)]);
            prop_assert_eq!(got.0, "198.51.100.1");
        }
    }
}
