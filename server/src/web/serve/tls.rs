//! The certificate: read from two files, and read again when they change.

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// The first byte of whoever speaks TLS.
pub const HANDSHAKE: u8 = 0x16;
/// The largest file that is read.
const LARGEST: u64 = 1 << 20;

/// What a file is known by: another file, or another content, has another mark.
type Mark = [(i64, i64, u64, u64); 2];

/// A certificate with its key, as the files last said.
pub struct Certificates {
    cert: PathBuf,
    key: PathBuf,
    current: RwLock<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    /// The files as they were when they were read last, whatever came of it.
    mark: Option<Mark>,
}

impl Certificates {
    /// Reads both files.
    ///
    /// # Errors
    /// One sentence: which file, and what is wrong with it.
    pub fn load(cert: &Path, key: &Path) -> Result<Self, String> {
        // The mark first: what changes while we read is read again.
        let mark = mark(cert, key);
        let config = Arc::new(read(cert, key)?);
        let current = RwLock::new(Current { config, mark });
        Ok(Self { cert: cert.to_owned(), key: key.to_owned(), current })
    }

    /// Agrees on TLS with a peer.
    ///
    /// # Errors
    /// It speaks none that we do.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> std::io::Result<TlsStream<S>> {
        let config = self.current.read().unwrap_or_else(PoisonError::into_inner).config.clone();
        TlsAcceptor::from(config).accept(stream).await
    }

    /// Reads the files again if they have changed; whether they had. What is in force stays if they are wrong.
    ///
    /// # Errors
    /// What is wrong with them; told once for each change.
    pub fn refresh(&self) -> Result<bool, String> {
        let mark = mark(&self.cert, &self.key);
        if self.current.read().unwrap_or_else(PoisonError::into_inner).mark == mark {
            return Ok(false);
        }
        let config = read(&self.cert, &self.key);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.mark = mark;
        current.config = Arc::new(config?);
        Ok(true)
    }

    /// Takes up renewed files until `stop`.
    pub async fn keep_fresh(self: Arc<Self>, every: Duration, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            let this = self.clone();
            match tokio::task::spawn_blocking(move || this.refresh()).await {
                Ok(Ok(true)) => tracing::info!("the certificate was renewed"),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => tracing::warn!("the certificate of before stays in force: {error}"),
                Err(error) => tracing::error!(%error, "the certificate could not be looked at"),
            }
        }
    }
}

/// The marks of both files; none where one is not there.
fn mark(cert: &Path, key: &Path) -> Option<Mark> {
    let of = |m: Metadata| (m.mtime(), m.mtime_nsec(), m.ino(), m.len());
    Some([of(std::fs::metadata(cert).ok()?), of(std::fs::metadata(key).ok()?)])
}

/// What TLS needs, from both files.
fn read(cert: &Path, key: &Path) -> Result<ServerConfig, String> {
    const CERT: &str = "SERVICES_TLS_CERT";
    const KEY: &str = "SERVICES_TLS_KEY";
    let wrong = |name: &str, path: &Path, what: &str| format!("{name}: {}: {what}", path.display());
    let bytes = contents(cert).map_err(|error| wrong(CERT, cert, &error))?;
    let chain = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|_| wrong(CERT, cert, "it is not in PEM form"))?;
    if chain.is_empty() {
        return Err(wrong(CERT, cert, "it holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)"));
    }
    let bytes = contents(key).map_err(|error| wrong(KEY, key, &error))?;
    let secret = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| {
        wrong(KEY, key, "it holds no key in PEM form without a password (-----BEGIN PRIVATE KEY-----)")
    })?;
    let provider = Arc::new(ring::default_provider());
    let signs = provider.key_provider.load_private_key(secret.clone_key());
    signs.map_err(|_| {
        wrong(
            KEY,
            key,
            "its kind of key is not supported: allowed are RSA, ECDSA (P-256, P-384, P-521) and Ed25519",
        )
    })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                wrong(KEY, key, &format!("it is not the key of the certificate in {}", cert.display()))
            }
            error => wrong(CERT, cert, &format!("it cannot be used: {error}")),
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// A file that is one, and not too large.
fn contents(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("it cannot be read: {error}");
    // Looked at before it is opened: opening a pipe would wait for its other end.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err("it is larger than 1 MiB".to_owned());
    }
    Ok(bytes)
}
