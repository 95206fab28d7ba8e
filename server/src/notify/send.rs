//! Delivers one message to one target: over TLS but for what is near, within a limit, without following anybody elsewhere.

use super::address::{Address, forbidden};
use super::sign::{DELIVERY, SIGNATURE, signature};
use super::target::Target;
use super::write::Written;
use app::model::Timestamp;
use bytes::Bytes;
use http::header;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long one try may take, from the name's look-up to the answer's head.
const LIMIT: Duration = Duration::from_secs(10);
/// The longest that a target may ask us to wait before the next try.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Why a message did not arrive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Its name means nothing, or nobody answers for it.
    #[error("the host's name cannot be resolved")]
    NoName,
    /// Its name means an address that is never spoken to.
    #[error("the host's name means an address that is not allowed (link-local or metadata)")]
    Forbidden,
    /// Nobody listens.
    #[error("nobody listens there")]
    Refused,
    /// Who listens is not who it should be, or does not speak TLS.
    #[error("TLS: {0}")]
    Tls(String),
    /// This machine trusts nobody.
    #[error("TLS: this machine has no root certificates; install ca-certificates")]
    NoRoots,
    /// No answer in time.
    #[error("no answer within {} s", LIMIT.as_secs())]
    Timeout,
    /// It sends us elsewhere.
    #[error("it answers with a redirect ({0}), which is not followed: give the final address")]
    Redirect(u16),
    /// It does not want the message.
    #[error("it answers with status {0}")]
    Status(u16, Option<Duration>),
    /// It does not speak HTTP.
    #[error("it does not speak HTTP")]
    Garbage,
}

impl Trouble {
    /// Whether another try may go better, and after how long at least.
    pub fn again(&self) -> Option<Duration> {
        match self {
            Self::NoName | Self::Refused | Self::Timeout | Self::Garbage | Self::Tls(_) => {
                Some(Duration::ZERO)
            }
            Self::Status(408 | 425 | 429 | 500.., wait) => Some(wait.unwrap_or_default().min(LONGEST_WAIT)),
            Self::Forbidden | Self::NoRoots | Self::Redirect(_) | Self::Status(..) => None,
        }
    }
}

/// Delivers, once. `delivery` is the message's number.
///
/// # Errors
/// [`Trouble`].
pub async fn send(target: &Target, written: &Written, delivery: &str) -> Result<(), Trouble> {
    tokio::time::timeout(LIMIT, attempt(target, written, delivery)).await.unwrap_or(Err(Trouble::Timeout))
}

async fn attempt(target: &Target, written: &Written, delivery: &str) -> Result<(), Trouble> {
    let address = &target.address;
    let mut request = http::Request::post(written.path.as_str())
        .header(header::HOST, address.authority())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("services/", env!("CARGO_PKG_VERSION")))
        .header(DELIVERY, delivery);
    for (name, value) in &written.headers {
        request = request.header(*name, value);
    }
    if let Some(secret) = &target.secret {
        let seconds = Timestamp::now().millis() / 1000;
        request = request.header(SIGNATURE, signature(secret.reveal(), seconds, &written.body));
    }
    // Only an address that was not read as one could fail here.
    let request = request.body(Full::new(Bytes::from(written.body.clone()))).map_err(|_| Trouble::Garbage)?;
    let stream = connect(address).await?;
    if !address.tls() {
        return exchange(stream, request).await;
    }
    let name = ServerName::try_from(address.host().to_owned()).map_err(|_| Trouble::NoName)?;
    let connector = TlsConnector::from(tls().ok_or(Trouble::NoRoots)?);
    let stream = connector.connect(name, stream).await.map_err(|error| Trouble::Tls(tls_words(&error)))?;
    exchange(stream, request).await
}

/// What is wrong with the other side's TLS, in few words.
fn tls_words(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(why)) => {
            format!(
                "its certificate is not valid ({})",
                format!("{why:?}").chars().take(60).collect::<String>()
            )
        }
        Some(other) => other.to_string().chars().take(120).collect(),
        None => "the connection was closed".to_owned(),
    }
}

/// Connects to what the name means now. It is looked up once: what is checked is what is spoken to.
async fn connect(address: &Address) -> Result<TcpStream, Trouble> {
    let found =
        tokio::net::lookup_host((address.host(), address.port())).await.map_err(|_| Trouble::NoName)?;
    let found: Vec<SocketAddr> = found.take(16).collect();
    if found.is_empty() {
        return Err(Trouble::NoName);
    }
    if found.iter().any(|place| forbidden(place.ip())) {
        return Err(Trouble::Forbidden);
    }
    for place in found {
        if let Ok(stream) = TcpStream::connect(place).await {
            return Ok(stream);
        }
    }
    Err(Trouble::Refused)
}

async fn exchange<S>(stream: S, request: http::Request<Full<Bytes>>) -> Result<(), Trouble>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|_| Trouble::Garbage)?;
    let answer = sender.send_request(request);
    tokio::pin!(answer, connection);
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        // It has hung up; what it said before is there.
        _ = &mut connection => answer.await,
    };
    let answer = answer.map_err(|_| Trouble::Garbage)?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    if status.is_redirection() {
        return Err(Trouble::Redirect(status.as_u16()));
    }
    let wait = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Err(Trouble::Status(status.as_u16(), wait.map(Duration::from_secs)))
}

/// Whom we trust: the roots of this machine, read once.
fn tls() -> Option<Arc<ClientConfig>> {
    static CONFIG: OnceLock<Option<Arc<ClientConfig>>> = OnceLock::new();
    CONFIG
        .get_or_init(|| {
            let mut roots = rustls::RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return None;
            }
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .ok()?
                .with_root_certificates(roots)
                .with_no_client_auth();
            Some(Arc::new(config))
        })
        .clone()
}
