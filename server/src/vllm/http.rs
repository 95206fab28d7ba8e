//! A small HTTP client for the services' own ports: one GET or one streamed answer, a time limit, a bounded body, no
//! redirect followed, and no way to where [`reach`] says never.

use crate::reach::{self, Resolver};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
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
    /// It leads where nothing is ever asked.
    #[error("{}", reach::REFUSED)]
    Forbidden,
}

/// The client. Cheap to clone; connections are not kept, so that a dead server is noticed.
#[derive(Clone)]
pub struct Http {
    client: Client<HttpConnector<Resolver>, Full<Bytes>>,
}

impl Default for Http {
    fn default() -> Self {
        let mut connector = HttpConnector::new_with_resolver(Resolver);
        connector.set_connect_timeout(Some(Duration::from_secs(2)));
        Self { client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector) }
    }
}

impl Http {
    /// The head of an answer, whatever it says: what it points to is never followed.
    async fn ask(&self, request: http::Request<Full<Bytes>>) -> Result<http::Response<Incoming>, NoAnswer> {
        // The client takes an address as it is; names go through the resolver.
        if request.uri().host().is_none_or(reach::forbidden_host) {
            return Err(NoAnswer::Forbidden);
        }
        self.client.request(request).await.map_err(|error| why(&error))
    }

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
            let response = self.ask(request).await?;
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
            let response = self.ask(request).await?;
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
        if let Some(io) = inner.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::PermissionDenied
        {
            return NoAnswer::Forbidden;
        }
        source = inner.source();
    }
    NoAnswer::Refused
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::http::{StatusCode, header};
    use axum::routing::any;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const LIMIT: Duration = Duration::from_secs(5);

    async fn serve(router: Router) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_nobody_goes_there() {
        let visits = Arc::new(AtomicUsize::new(0));
        let visit = visits.clone();
        let elsewhere = serve(Router::new().fallback(any(move || {
            visit.fetch_add(1, Ordering::Relaxed);
            async { "caught" }
        })))
        .await;
        for status in [301, 302, 303, 307, 308] {
            let to = format!("{elsewhere}/latest/meta-data");
            let status = StatusCode::from_u16(status).expect("a status");
            let base =
                serve(Router::new().fallback(any(move || async move { (status, [(header::LOCATION, to)]) })))
                    .await;
            let http = Http::default();
            let got = http.get(&base, "/health", Some("secret"), LIMIT).await.map(|(status, _)| status);
            assert_eq!(got, Ok(status.as_u16()));
            let mut said = Vec::new();
            let take = |bytes: &[u8]| said.extend_from_slice(bytes);
            let got = http.post_stream(&base, "/v1/completions", None, "{}".to_owned(), LIMIT, take).await;
            assert_eq!(got, Ok(status.as_u16()));
            assert!(said.is_empty());
        }
        assert_eq!(visits.load(Ordering::Relaxed), 0, "somebody followed");
    }

    #[tokio::test]
    async fn metadata_services_are_not_asked_however_they_are_written() {
        for base in [
            "http://169.254.169.254",
            "http://[fe80::1]:80",
            "http://[::ffff:169.254.169.254]",
            "http://metadata.google.internal",
            "http://2852039166",
            "http://0xa9fea9fe:80",
        ] {
            let got = Http::default().get(base, "/", None, LIMIT).await;
            assert_eq!(got, Err(NoAnswer::Forbidden), "{base}");
        }
    }
}
