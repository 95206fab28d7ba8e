//! A small HTTP client for the services' own ports: one GET or one streamed answer, a time limit, a bounded body, no
//! redirect followed.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use std::time::Duration;

/// The longest body that is read.
const BODY_LIMIT: usize = 1 << 20;

/// Why there was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Nobody listens, or whoever does hangs up without a word, as Docker's proxy does before its container listens.
    #[error("nobody listens")]
    Refused,
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// It does not speak HTTP, or broke off, or sent more than 1 MiB.
    #[error("not understood")]
    Garbage,
}

/// The client. Cheap to clone; connections are not kept, so that a dead server is noticed.
#[derive(Clone)]
pub struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Default for Http {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(Duration::from_secs(2)));
        Self { client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector) }
    }
}

impl Http {
    /// GET `base``path`, with a bearer token where one is given. The answer's status and body.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn get(
        &self,
        base: &str,
        path: &str,
        token: Option<&str>,
        limit: Duration,
    ) -> Result<(u16, Bytes), NoAnswer> {
        let mut request = http::Request::get(format!("{}{path}", base.trim_end_matches('/')));
        if let Some(token) = token {
            request = request.header(http::header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::default()).map_err(|_| NoAnswer::Garbage)?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| why(&error))?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), BODY_LIMIT)
                .collect()
                .await
                .map_err(|_| NoAnswer::Garbage)?;
            Ok((status, body.to_bytes()))
        };
        tokio::time::timeout(limit, exchange).await.unwrap_or(Err(NoAnswer::Timeout))
    }
}

impl Http {
    /// POST `json` to `base``path` and hand over the answer's body as it comes. The answer's status.
    ///
    /// # Errors
    /// [`NoAnswer`]; what came before it has been handed over.
    pub async fn post_stream(
        &self,
        base: &str,
        path: &str,
        token: Option<&str>,
        json: String,
        limit: Duration,
        mut take: impl FnMut(&[u8]),
    ) -> Result<u16, NoAnswer> {
        let mut request = http::Request::post(format!("{}{path}", base.trim_end_matches('/')))
            .header(http::header::CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(http::header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::from(json)).map_err(|_| NoAnswer::Garbage)?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| why(&error))?;
            let status = response.status().as_u16();
            let mut body = Limited::new(response.into_body(), BODY_LIMIT);
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|_| NoAnswer::Garbage)?;
                if let Some(bytes) = frame.data_ref() {
                    take(bytes);
                }
            }
            Ok(status)
        };
        tokio::time::timeout(limit, exchange).await.unwrap_or(Err(NoAnswer::Timeout))
    }
}

fn why(error: &hyper_util::client::legacy::Error) -> NoAnswer {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(hyper) = inner.downcast_ref::<hyper::Error>() {
            // Bytes that came before we asked are somebody's greeting; hyper has no question for that kind.
            let greeted = format!("{hyper:?}").contains("UnexpectedMessage");
            return if hyper.is_parse() || greeted { NoAnswer::Garbage } else { NoAnswer::Refused };
        }
        source = inner.source();
    }
    NoAnswer::Refused
}
