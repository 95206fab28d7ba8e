//! Requests that no good client sends: each ends in a refusal or a closed connection, and the next client is served.

use super::*;

/// What a broken request may end in.
#[derive(Clone, Copy, Debug)]
enum End {
    /// This status, and the connection ends.
    Refused(u16),
    /// The connection ends without an answer.
    Closed,
    /// This body (of the last answer).
    Answered(&'static str),
}

use End::{Answered, Closed, Refused};

const HEAD: &str = "Host: localhost\r\nConnection: close\r\n";

fn table() -> Vec<(&'static str, Vec<u8>, End)> {
    let text = |text: String| text.into_bytes();
    let post = |headers: &str, body: &str| text(format!("POST /echo HTTP/1.1\r\n{HEAD}{headers}\r\n{body}"));
    vec![
        ("two lengths that differ", post("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"), Refused(400)),
        (
            "two lengths that are equal",
            post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"),
            Refused(400),
        ),
        (
            "a length before chunks",
            post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            Refused(400),
        ),
        (
            "a length behind chunks",
            post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
            Refused(400),
        ),
        (
            "chunks twice",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            Refused(400),
        ),
        ("two lengths in one line", post("Content-Length: 3, 4\r\n", "abcd"), Refused(400)),
        ("a length with a sign", post("Content-Length: +3\r\n", "abc"), Refused(400)),
        ("a length below nothing", post("Content-Length: -1\r\n", ""), Refused(400)),
        ("a length that overflows", post("Content-Length: 99999999999999999999\r\n", ""), Refused(400)),
        ("a length in hexadecimal", post("Content-Length: 0x3\r\n", "abc"), Refused(400)),
        ("an unknown coding", post("Transfer-Encoding: gzip\r\n", "abc"), Refused(400)),
        (
            "chunked, and not last",
            post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
            Refused(400),
        ),
        (
            "a chunk size that is none",
            post("Transfer-Encoding: chunked\r\n", "zz\r\nabc\r\n0\r\n\r\n"),
            Refused(400),
        ),
        (
            "a chunk size that overflows",
            post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\nabc"),
            Refused(400),
        ),
        (
            "a chunk size below nothing",
            post("Transfer-Encoding: chunked\r\n", "-1\r\nabc\r\n0\r\n\r\n"),
            Refused(400),
        ),
        (
            "a chunk longer than its size",
            post("Transfer-Encoding: chunked\r\n", "2\r\nabc\r\n0\r\n\r\n"),
            Refused(400),
        ),
        (
            "a body in good chunks",
            post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"),
            Answered("3"),
        ),
        ("a space before the colon", text(format!("GET / HTTP/1.1\r\n{HEAD}X : y\r\n\r\n")), Refused(400)),
        ("a folded header", text(format!("GET / HTTP/1.1\r\n{HEAD}X: y\r\n z\r\n\r\n")), Refused(400)),
        ("a header without a name", text(format!("GET / HTTP/1.1\r\n{HEAD}: y\r\n\r\n")), Refused(400)),
        ("NUL in a header", text(format!("GET / HTTP/1.1\r\n{HEAD}X: a\0b\r\n\r\n")), Refused(400)),
        ("NUL in the address", text(format!("GET /\0 HTTP/1.1\r\n{HEAD}\r\n")), Refused(400)),
        ("a space in the address", text(format!("GET /a b HTTP/1.1\r\n{HEAD}\r\n")), Refused(400)),
        ("no method", text(format!(" / HTTP/1.1\r\n{HEAD}\r\n")), Refused(400)),
        ("a method that is none", text(format!("G{{T / HTTP/1.1\r\n{HEAD}\r\n")), Refused(400)),
        ("another version", text(format!("GET / HTTP/3.7\r\n{HEAD}\r\n")), Refused(400)),
        ("HTTP/0.9", text("GET /\r\n".to_owned()), Refused(400)),
        ("no HTTP", vec![0xff; 64], Refused(400)),
        ("a greeting of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), Refused(400)),
        ("HTTP/2 without TLS", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), Closed),
        (
            "a head that is too long",
            text(format!("GET / HTTP/1.1\r\n{HEAD}X: {}\r\n\r\n", "y".repeat(40 << 10))),
            Refused(431),
        ),
        (
            "a head without an end",
            text(format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(40 << 10))),
            Refused(431),
        ),
        (
            "too many headers",
            text(format!("GET / HTTP/1.1\r\n{HEAD}{}\r\n", "X: y\r\n".repeat(200))),
            Refused(431),
        ),
        (
            "an address that is too long",
            text(format!("GET /{} HTTP/1.1\r\n{HEAD}\r\n", "y".repeat(40 << 10))),
            Refused(431),
        ),
        ("two hosts", text(format!("GET / HTTP/1.1\r\n{HEAD}Host: evil.example\r\n\r\n")), Refused(400)),
        (
            "another host in the address",
            text(format!("GET http://evil.example/ HTTP/1.1\r\n{HEAD}\r\n")),
            Refused(400),
        ),
        (
            "the host in the address, too",
            text(format!("GET http://localhost/x HTTP/1.1\r\n{HEAD}\r\n")),
            Answered("/x 127.0.0.1 false localhost"),
        ),
        (
            "a proxy is asked for",
            text("CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n".to_owned()),
            Refused(405),
        ),
        ("no place", text(format!("OPTIONS * HTTP/1.1\r\n{HEAD}\r\n")), Refused(400)),
        (
            "a stranger's claims",
            text(format!(
                "GET /x HTTP/1.1\r\n{HEAD}X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\n\r\n"
            )),
            Answered("/x 127.0.0.1 false localhost"),
        ),
        (
            "two requests at once",
            text(format!("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\nGET /b HTTP/1.1\r\n{HEAD}\r\n")),
            Answered("/b 127.0.0.1 false localhost"),
        ),
        (
            "the second of two is broken",
            text("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\nGET /b HTTP/9\r\n\r\n".to_owned()),
            Refused(400),
        ),
        ("empty lines alone", b"\r\n\r\n\r\n".to_vec(), Closed),
    ]
}

/// The last answer of a conversation: its status and its body.
fn last(said: &str) -> Option<(u16, &str)> {
    let answer = said.rfind("HTTP/1.").map(|at| &said[at..])?;
    let status = answer.split(' ').nth(1)?.get(..3)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1))
}

#[tokio::test]
async fn each_broken_request_is_refused_and_the_next_client_is_served() {
    let served = start(door(Limits { head: SHORT, body: SHORT, ..Limits::default() })).await;
    for (what, bytes, end) in table() {
        let mut socket = served.connect().await;
        let said = exchange(&mut socket, &bytes).await;
        let last = last(&said);
        let fits = match end {
            Refused(status) => last.is_some_and(|(got, _)| got == status),
            Closed => said.is_empty(),
            Answered(body) => last.is_some_and(|(status, got)| status == 200 && got.ends_with(body)),
        };
        assert!(fits, "{what}: expected {end:?}, got {said:?}");
        served.answers().await;
    }
    served.end().await;
}

/// A length and chunks in one request: one of the two is believed, and nothing of the rest is taken for a request.
#[tokio::test]
async fn a_length_beside_chunks_smuggles_no_request() {
    let served = start(door(Limits { head: SHORT, ..Limits::default() })).await;
    for headers in [
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
    ] {
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let mut socket = served.connect().await;
        let request = format!("POST /echo HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n0\r\n\r\n{smuggled}");
        let said = exchange(&mut socket, request.as_bytes()).await;
        assert!(!said.contains("/smuggled"), "{said}");
    }
    served.end().await;
}

#[tokio::test]
async fn a_client_that_shuts_its_side_leaves_nothing_behind() {
    let served = start(door(Limits { head: SHORT, ..Limits::default() })).await;
    for request in [
        "",
        "GET",
        "GET / HTTP/1.1\r\nHost: local",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc",
    ] {
        let mut socket = served.connect().await;
        socket.write_all(request.as_bytes()).await.expect("sent");
        socket.shutdown().await.expect("shut");
        let _ = rest(&mut socket).await;
    }
    let mut socket = served.connect().await;
    socket.write_all(b"GET /quiet HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    until("the stream opens", || served.endless.load(Ordering::SeqCst) == 1).await;
    socket.shutdown().await.expect("shut");
    until("the stream ends with its reader", || served.endless.load(Ordering::SeqCst) == 0).await;
    served.answers().await;
    served.end().await;
}

#[tokio::test]
async fn random_bytes_stop_nothing() {
    let served = start(door(Limits { head: SHORT, body: SHORT, ..Limits::default() })).await;
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let words: [&[u8]; 14] = [
        b"GET ",
        b"POST ",
        b"/echo",
        b" HTTP/1.1\r\n",
        b"Host: localhost\r\n",
        b"Content-Length: ",
        b"7",
        b"\r\n",
        b"\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"\0",
        b"\xff\xfe",
        b": ",
        b"Expect: 100-continue\r\n",
    ];
    for _ in 0..200 {
        let bytes: Vec<u8> = (0..next() % 30).flat_map(|_| words[(next() % 14) as usize].to_vec()).collect();
        let mut socket = served.connect().await;
        let _ = socket.write_all(&bytes).await;
        let _ = socket.shutdown().await;
        let _ = rest(&mut socket).await;
    }
    served.answers().await;
    served.end().await;
}
