//! TLS: certificates, their renewal, what does not speak it, and HTTP/2.

use super::*;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::path::{Path, PathBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

struct Files {
    folder: tempfile::TempDir,
    cert: PathBuf,
    key: PathBuf,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let files = Self { folder, cert, key };
        files.renew();
        files
    }

    /// Another certificate; it is returned.
    fn renew(&self) -> String {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        // As those who renew do: a new file in the place of the old one.
        for (path, text) in [(&self.cert, cert.pem()), (&self.key, signing_key.serialize_pem())] {
            let beside = path.with_extension("new");
            std::fs::write(&beside, text).expect("written");
            std::fs::rename(&beside, path).expect("moved");
        }
        cert.pem()
    }

    fn pem(&self) -> String {
        std::fs::read_to_string(&self.cert).expect("read")
    }
}

const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

async fn secure(files: &Files, limits: Limits) -> Served {
    let certificates = Certificates::load(&files.cert, &files.key).expect("loaded");
    start(Door { tls: Some(Arc::new(certificates)), ..door(limits) }).await
}

/// A client that trusts this certificate alone.
async fn greet(
    served: &Served,
    trusted: &str,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).expect("a certificate")).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").expect("a name");
    let greeting = TlsConnector::from(Arc::new(config)).connect(name, served.connect().await);
    tokio::time::timeout(LONG, greeting).await.expect("in time")
}

async fn h2(served: &Served, trusted: &str, window: Option<u32>) -> SendRequest<Empty<Bytes>> {
    let stream = greet(served, trusted, BOTH, &["h2"]).await.expect("agreed");
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    if let Some(window) = window {
        builder.initial_stream_window_size(window);
    }
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

fn asks(path: &str) -> hyper::Request<Empty<Bytes>> {
    hyper::Request::get(format!("https://localhost{path}")).body(Empty::new()).expect("a request")
}

async fn text(sender: &mut SendRequest<Empty<Bytes>>, path: &str) -> String {
    let answer = tokio::time::timeout(LONG, sender.send_request(asks(path)))
        .await
        .expect("in time")
        .expect("answered");
    let body = answer.into_body().collect().await.expect("whole").to_bytes();
    String::from_utf8_lossy(&body).into_owned()
}

#[tokio::test]
async fn both_versions_of_tls_and_of_http_are_spoken_and_the_client_is_secure() {
    let files = Files::new();
    let served = secure(&files, Limits { drain: SHORT, ..Limits::default() }).await;
    for version in BOTH {
        let mut stream = greet(&served, &files.pem(), &[*version], &["http/1.1"]).await.expect("agreed");
        stream
            .write_all(b"GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await
            .expect("sent");
        let mut said = String::new();
        let _ = stream.read_to_string(&mut said).await;
        assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("/x 127.0.0.1 true localhost"), "{said}");
    }
    let mut sender = h2(&served, &files.pem(), None).await;
    assert_eq!(text(&mut sender, "/x").await, "/x 127.0.0.1 true localhost");
    // Far more streams than a browser opens connections, over one of them.
    let mut open = Vec::new();
    for _ in 0..30 {
        let mut body = sender.send_request(asks("/quiet")).await.expect("answered").into_body();
        let first = body.frame().await.expect("a piece").expect("whole").into_data().expect("bytes");
        assert_eq!(first, "first");
        open.push(body);
    }
    assert_eq!(text(&mut sender, "/").await, "hello");
    drop(open);
    until("the streams end with their readers", || served.endless.load(Ordering::SeqCst) == 0).await;
    // One that has no end is cut when the server stops.
    let _held = sender.send_request(asks("/quiet")).await.expect("answered");
    served.end().await;
}

#[tokio::test]
async fn a_stream_that_is_not_taken_over_http2_is_let_go_and_an_idle_connection_too() {
    let files = Files::new();
    let served = secure(&files, Limits { stuck: SHORT, idle: LONG, ..Limits::default() }).await;
    let mut sender = h2(&served, &files.pem(), Some(1 << 16)).await;
    // Its window is never opened again: the socket moves, but this stream does not.
    let unread = sender.send_request(asks("/flood")).await.expect("answered");
    until("it is let go", || served.endless.load(Ordering::SeqCst) == 0).await;
    drop(unread);
    let mut other = h2(&served, &files.pem(), None).await;
    assert_eq!(text(&mut other, "/").await, "hello");
    served.end().await;

    let served = secure(&files, Limits { stuck: SHORT, idle: SHORT, ..Limits::default() }).await;
    let mut sender = h2(&served, &files.pem(), None).await;
    assert_eq!(text(&mut sender, "/").await, "hello");
    until("it ends", || sender.is_closed()).await;
    served.end().await;
}

#[tokio::test]
async fn renewed_files_are_taken_up_and_bad_ones_change_nothing() {
    let files = Files::new();
    let first = files.pem();
    let certificates = Certificates::load(&files.cert, &files.key).expect("loaded");
    assert_eq!(certificates.refresh(), Ok(false), "nothing has changed");
    std::fs::write(&files.key, "no key").expect("written");
    let told = certificates.refresh().expect_err("a bad file");
    assert!(told.starts_with("SERVICES_TLS_KEY:") && told.contains("key.pem"), "{told}");
    assert_eq!(certificates.refresh(), Ok(false), "told once");
    let served = start(Door {
        tls: Some(Arc::new(certificates)),
        ..door(Limits { renewal: Duration::from_millis(20), ..Limits::default() })
    })
    .await;
    greet(&served, &first, BOTH, &[]).await.expect("the first is in force");
    std::fs::remove_file(&files.cert).expect("removed");
    greet(&served, &first, BOTH, &[]).await.expect("the first is still in force");
    let second = files.renew();
    let end = Instant::now() + LONG;
    while greet(&served, &second, BOTH, &[]).await.is_err() {
        assert!(Instant::now() < end, "the renewed certificate was not taken up");
    }
    assert!(greet(&served, &first, BOTH, &[]).await.is_err(), "the first is gone");
    served.end().await;
}

#[test]
fn wrong_files_are_told_with_their_name_and_what_is_wrong() {
    let (ours, theirs) = (Files::new(), Files::new());
    let place = |name: &str, text: &str| {
        let path = ours.folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let key_text = std::fs::read_to_string(&ours.key).expect("read");
    let broken = ours.pem().replace("MII", "!!!");
    let half: String = ours.pem().chars().take(200).collect();
    let locked = key_text.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let absent = ours.folder.path().join("absent.pem");
    let wrong: [(&str, &Path, &Path, &str); 11] = [
        ("SERVICES_TLS_CERT", &absent, &ours.key, "cannot be read"),
        ("SERVICES_TLS_KEY", &ours.cert, &absent, "cannot be read"),
        ("SERVICES_TLS_CERT", ours.folder.path(), &ours.key, "not a file"),
        ("SERVICES_TLS_CERT", &place("empty", ""), &ours.key, "no certificate"),
        ("SERVICES_TLS_CERT", &ours.key, &ours.key, "no certificate"),
        ("SERVICES_TLS_CERT", &place("broken", &broken), &ours.key, "PEM"),
        ("SERVICES_TLS_CERT", &place("half", &half), &ours.key, "PEM"),
        ("SERVICES_TLS_CERT", &place("large", &"x".repeat(2 << 20)), &ours.key, "larger"),
        ("SERVICES_TLS_KEY", &ours.cert, &ours.cert, "no key"),
        ("SERVICES_TLS_KEY", &ours.cert, &place("locked", &locked), "password"),
        ("SERVICES_TLS_KEY", &ours.cert, &theirs.key, "not the key of the certificate"),
    ];
    for (name, cert, key, what) in wrong {
        let told = Certificates::load(cert, key).err().unwrap_or_default();
        assert!(told.starts_with(name) && told.contains(what), "{name}, {what}: {told:?}");
        assert!(!told.contains("PRIVATE KEY") || told.contains("-----BEGIN PRIVATE KEY-----)"), "{told}");
    }
}

#[tokio::test]
async fn plain_http_is_shown_the_way() {
    let files = Files::new();
    let served = secure(&files, Limits { head: SHORT, greeting: SHORT, ..Limits::default() }).await;
    for (request, status, holds) in [
        (
            "GET /services/vllm?a=1 HTTP/1.1\r\nHost: box.lan:3000\r\n\r\n",
            "307",
            "location: https://box.lan:3000/services/vllm?a=1\r\n",
        ),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "400", "HTTPS alone"),
        (
            "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "307",
            "location: https://localhost/\r\n",
        ),
        (
            "POST /api/services/vllm/start HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
            "400",
            "HTTPS alone",
        ),
        ("GET / HTTP/1.1\r\n\r\n", "400", "HTTPS alone"),
        ("nonsense\r\n\r\n", "400", "HTTP/1.1 400"),
    ] {
        let mut socket = served.connect().await;
        let said = exchange(&mut socket, request.as_bytes()).await;
        assert!(
            said.starts_with(&format!("HTTP/1.1 {status}")) && said.contains(holds),
            "{request:?}: {said}"
        );
    }
    // Half a greeting, and none at all, end at their limit.
    for half in [&b""[..], &[tls::HANDSHAKE, 3, 1, 2, 0, 1]] {
        let mut socket = served.connect().await;
        exchange(&mut socket, half).await;
    }
    greet(&served, &files.pem(), BOTH, &[]).await.expect("others are greeted");
    served.end().await;
}
