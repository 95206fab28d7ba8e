//! The smoke test: one short completion, streamed, with a clock beside it.
//!
//! In: the API's address and the name that is served. Out: [`Smoke`]. Greedy and without a special prompt, so that it costs
//! little and means the same each time.

use super::http::Http;
use app::model::{Smoke, Timestamp};
use serde::Deserialize;
use std::time::{Duration, Instant};

/// The time limit of the whole test.
const LIMIT: Duration = Duration::from_secs(60);
/// Tokens that are asked for.
const TOKENS: u32 = 24;

/// Asks for a completion.
pub async fn smoke(http: &Http, base: &str, token: Option<&str>, model: &str) -> Smoke {
    let question = serde_json::json!({
        "model": model,
        "prompt": "Count from one to twenty in words:",
        "max_tokens": TOKENS,
        "temperature": 0,
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    let began = Instant::now();
    let mut answer = Answer::default();
    let end = http
        .post_stream(base, "/v1/completions", token, question.to_string(), LIMIT, |bytes| {
            answer.take(bytes, began);
        })
        .await;
    let at = Timestamp::now();
    match (end, answer.first) {
        (Ok(200), Some(first)) => Smoke::Passed {
            at,
            first_token_ms: u64::try_from(first.as_millis()).unwrap_or(u64::MAX),
            tokens: answer.tokens(),
            tokens_per_10s: answer.rate(),
        },
        (Ok(200), None) => Smoke::Failed { at, detail: "the answer holds no token".to_owned() },
        (Ok(status), _) => Smoke::Failed { at, detail: format!("HTTP {status}: {}", answer.refusal()) },
        (Err(why), _) => Smoke::Failed { at, detail: why.to_string() },
    }
}

/// The stream of an answer as it comes.
#[derive(Default)]
struct Answer {
    /// What is not yet a whole line; bounded, since a line of an answer is short.
    rest: Vec<u8>,
    /// The beginning of a body that is no stream.
    body: Vec<u8>,
    first: Option<Duration>,
    last: Duration,
    pieces: u32,
    usage: Option<u32>,
}

impl Answer {
    const LINE: usize = 64 << 10;
    const BODY: usize = 4 << 10;

    fn take(&mut self, bytes: &[u8], began: Instant) {
        let room = Self::BODY.saturating_sub(self.body.len());
        self.body.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.line(&line, began);
        }
        if self.rest.len() > Self::LINE {
            self.rest.clear();
        }
    }

    fn line(&mut self, line: &[u8], began: Instant) {
        #[derive(Deserialize)]
        struct Piece {
            #[serde(default)]
            choices: Vec<Choice>,
            #[serde(default)]
            usage: Option<Usage>,
        }
        #[derive(Deserialize)]
        struct Choice {
            #[serde(default)]
            text: String,
        }
        #[derive(Deserialize)]
        struct Usage {
            completion_tokens: u32,
        }
        let Some(piece) =
            line.strip_prefix(b"data: ").and_then(|data| serde_json::from_slice::<Piece>(data).ok())
        else {
            return;
        };
        if let Some(usage) = piece.usage {
            self.usage = Some(usage.completion_tokens);
        }
        if piece.choices.iter().any(|c| !c.text.is_empty()) {
            self.last = began.elapsed();
            self.first.get_or_insert(self.last);
            self.pieces += 1;
        }
    }

    fn tokens(&self) -> u32 {
        self.usage.unwrap_or(self.pieces)
    }

    /// Over the time from the first token to the last, in which all but the first were made.
    fn rate(&self) -> Option<u32> {
        let took = u64::try_from(self.last.checked_sub(self.first?)?.as_micros()).ok().filter(|t| *t > 0)?;
        let made = u64::from(self.tokens().checked_sub(1)?);
        u32::try_from(made * 10_000_000 / took).ok().filter(|_| made > 0)
    }

    /// The `message` of an error in OpenAI's form, else the beginning of the body.
    fn refusal(&self) -> String {
        let json: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        let message = json.as_ref().and_then(|v| {
            v.pointer("/error/message").or_else(|| v.get("message")).or_else(|| v.get("detail"))?.as_str()
        });
        let text = message.map_or_else(|| String::from_utf8_lossy(&self.body).into_owned(), str::to_owned);
        text.chars().take(300).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, http::StatusCode, routing::post};

    async fn ask(status: StatusCode, body: &'static str) -> Smoke {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        let router = Router::new().route("/v1/completions", post(move || async move { (status, body) }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        smoke(&Http::default(), &base, None, "lydia").await
    }

    #[tokio::test]
    async fn tokens_are_counted_as_the_engine_counts_them() {
        let body = "data: {\"choices\":[{\"text\":\"one\"}]}\n\ndata: {\"choices\":[{\"text\":\" two\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"completion_tokens\":24}}\n\ndata: [DONE]\n\n";
        let Smoke::Passed { tokens, .. } = ask(StatusCode::OK, body).await else { panic!("it passes") };
        assert_eq!(tokens, 24);
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_the_engines_words() {
        let cases = [
            (
                StatusCode::UNAUTHORIZED,
                r#"{"error":"Unauthorized"}"#,
                r#"HTTP 401: {"error":"Unauthorized"}"#,
            ),
            (
                StatusCode::NOT_FOUND,
                r#"{"error":{"message":"The model `x` does not exist.","code":404}}"#,
                "HTTP 404: The model `x` does not exist.",
            ),
            (StatusCode::OK, "data: [DONE]\n\n", "the answer holds no token"),
        ];
        for (status, body, want) in cases {
            let Smoke::Failed { detail, .. } = ask(status, body).await else { panic!("it fails") };
            assert_eq!(detail, want);
        }
    }

    #[tokio::test]
    async fn nobody_there_is_a_failure_not_a_wait() {
        let got = smoke(&Http::default(), "http://127.0.0.1:1", None, "m").await;
        assert!(matches!(got, Smoke::Failed { detail, .. } if detail == "nobody listens"));
    }

    #[test]
    fn the_rate_leaves_the_first_token_out() {
        let answer = Answer {
            first: Some(Duration::from_millis(500)),
            last: Duration::from_millis(1_500),
            usage: Some(11),
            ..Answer::default()
        };
        assert_eq!(answer.rate(), Some(100));
        assert_eq!(Answer { usage: Some(1), ..answer }.rate(), None);
        assert_eq!(Answer::default().rate(), None);
    }

    proptest::proptest! {
        #[test]
        fn no_stream_breaks_it(pieces in proptest::collection::vec("(data: |\\{|\\}|\"choices\":|\\[|\\]|\n|[ -~]){0,6}", 0..20)) {
            let mut answer = Answer::default();
            for piece in pieces {
                answer.take(piece.as_bytes(), Instant::now());
            }
            let _ = (answer.tokens(), answer.rate(), answer.refusal());
        }
    }
}
