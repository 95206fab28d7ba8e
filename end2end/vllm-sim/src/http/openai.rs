//! Completions and chat completions, whole or as a stream of server-sent events.

use super::{Api, json};
use crate::clock;
use crate::engine::{Refused, Request, token_text};
use crate::log::{Level, Process};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json as value};
use std::convert::Infallible;
use tokio::sync::mpsc;

/// Tokens of a chat answer that sets no limit.
const CHAT_TOKENS: u64 = 48;
const ENGINE_DEAD: &str = "EngineCore encountered an issue. See stack trace (above) for the root cause.";
const SERVER_ERROR: &str = "InternalServerError";
const DRAINING: &str = "cannot schedule new futures after shutdown";
const FINGERPRINT: &str = "vllm-0.32.0-5ff4210c";

pub fn routes() -> Router<Api> {
    Router::new().route("/v1/completions", post(completions)).route("/v1/chat/completions", post(chat))
}

async fn completions(State(api): State<Api>, body: Bytes) -> Response {
    respond(api, &body, Kind::Text).await
}

async fn chat(State(api): State<Api>, body: Bytes) -> Response {
    respond(api, &body, Kind::Chat).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Chat,
}

/// A request that was understood.
struct Job {
    kind: Kind,
    id: String,
    model: String,
    created: u64,
    request: Request,
    stream: bool,
    include_usage: bool,
}

async fn respond(api: Api, body: &[u8], kind: Kind) -> Response {
    let job = match Job::read(&api, body, kind) {
        Ok(job) => job,
        Err(refusal) => return refusal.into_response(),
    };
    if api.engine.args.log_requests {
        job.log(&api);
    }
    if job.stream { stream(api, job) } else { whole(&api, &job).await }
}

async fn whole(api: &Api, job: &Job) -> Response {
    match api.engine.generate(job.request, None).await {
        Ok(()) => {
            let text: String = (0..job.request.max_tokens).map(token_text).collect();
            json(StatusCode::OK, job.answer(&text).to_string())
        }
        Err(refused) => error_response(api, refused),
    }
}

fn error_response(api: &Api, refused: Refused) -> Response {
    let message = match refused {
        Refused::Draining => {
            api.player.refused_while_draining();
            DRAINING
        }
        Refused::EngineDead | Refused::ClientGone => ENGINE_DEAD,
    };
    Refusal {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        kind: SERVER_ERROR,
        param: None,
        message: message.to_owned(),
    }
    .into_response()
}

/// Each token as an event of its own. An engine that refuses is told at once, with a status.
fn stream(api: Api, job: Job) -> Response {
    match api.engine.health() {
        crate::engine::Health::Serving => {}
        crate::engine::Health::Draining => return error_response(&api, Refused::Draining),
        crate::engine::Health::Dead => return error_response(&api, Refused::EngineDead),
    }
    let (events, pending) = mpsc::channel::<String>(64);
    tokio::spawn(async move {
        // A client that goes away ends the request through the closed channel.
        let _ = send_events(&api, &job, &events).await;
    });
    let body = futures::stream::unfold(pending, |mut pending| async {
        pending.recv().await.map(|event| (Ok::<_, Infallible>(event), pending))
    });
    ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], Body::from_stream(body)).into_response()
}

async fn send_events(
    api: &Api,
    job: &Job,
    events: &mpsc::Sender<String>,
) -> Result<(), mpsc::error::SendError<String>> {
    let event = |data: Value| format!("data: {data}\n\n");
    if job.kind == Kind::Chat {
        events.send(event(job.chunk("", Some("assistant"), None))).await?;
    }
    let (each, mut made) = mpsc::channel(16);
    let last = job.request.max_tokens.saturating_sub(1);
    let generate = api.engine.generate(job.request, Some(each));
    // `made` goes when this is done: a client that is gone ends the generation too.
    let forward = async move {
        while let Some(index) = made.recv().await {
            let finish = (index == last).then_some(job.request.finish);
            events.send(event(job.chunk(token_text(index), None, finish))).await?;
        }
        Ok(())
    };
    let (outcome, sent) = tokio::join!(generate, forward);
    sent?;
    match outcome {
        Ok(()) if job.include_usage => events.send(event(job.usage_chunk())).await?,
        Ok(()) => {}
        Err(_) => {
            events.send(event(error_body(500, SERVER_ERROR, None, ENGINE_DEAD))).await?;
        }
    }
    events.send("data: [DONE]\n\n".to_owned()).await
}

impl Job {
    fn read(api: &Api, body: &[u8], kind: Kind) -> Result<Self, Refusal> {
        let bad = |message: &str| Refusal {
            status: StatusCode::BAD_REQUEST,
            kind: "Bad Request",
            param: None,
            message: message.to_owned(),
        };
        let body: Value =
            serde_json::from_slice(body).map_err(|problem| bad(&format!("JSON decode error: {problem}")))?;
        let args = &api.engine.args;
        let model = body.get("model").and_then(Value::as_str).unwrap_or(args.served_name()).to_owned();
        let known = args.served_names.contains(&model)
            || (args.served_names.is_empty() && args.model == model)
            || args.loras.iter().any(|lora| lora.name == model);
        if !known {
            let message = format!("The model `{model}` does not exist.");
            return Err(Refusal {
                status: StatusCode::NOT_FOUND,
                kind: "NotFoundError",
                param: Some("model"),
                message,
            });
        }
        let prompt = match kind {
            Kind::Text => {
                body.get("prompt").ok_or_else(|| bad("Either prompt or prompt_embeds must be provided."))?
            }
            Kind::Chat => body.get("messages").filter(|messages| messages.is_array()).ok_or_else(|| {
                bad("[{'type': 'missing', 'loc': ('body', 'messages'), 'msg': 'Field required'}]")
            })?,
        };
        let prompt_tokens = tokens_of(prompt);
        let limit = ["max_completion_tokens", "max_tokens"]
            .iter()
            .find_map(|key| body.get(*key))
            .filter(|v| !v.is_null());
        let length = api.engine.max_model_len;
        let (max_tokens, finish) = match limit.map(Value::as_u64) {
            Some(Some(0) | None) => return Err(bad("max_tokens must be at least 1, got 0.")),
            Some(Some(limit)) => (limit, "length"),
            None if kind == Kind::Text => (16, "length"),
            None => (CHAT_TOKENS.min(length.saturating_sub(prompt_tokens)), "stop"),
        };
        if prompt_tokens + max_tokens > length {
            return Err(bad(&format!(
                "This model's maximum context length is {length} tokens. However, you requested {max_tokens} output tokens and your prompt contains {prompt_tokens} input tokens, for a total of {} tokens. Please reduce the length of the input prompt or the number of requested output tokens.",
                prompt_tokens + max_tokens
            )));
        }
        let prefix = if kind == Kind::Text { "cmpl" } else { "chatcmpl" };
        Ok(Self {
            kind,
            id: format!("{prefix}-{:016x}", clock::arbitrary()),
            model,
            created: clock::since_epoch().as_secs(),
            request: Request { prompt_tokens, max_tokens, finish },
            stream: body.get("stream").and_then(Value::as_bool).unwrap_or(false),
            include_usage: body
                .pointer("/stream_options/include_usage")
                .and_then(Value::as_bool)
                .unwrap_or(false),
        })
    }

    fn log(&self, api: &Api) {
        let id = if self.kind == Kind::Text { format!("{}-0", self.id) } else { self.id.clone() };
        let max_tokens = self.request.max_tokens;
        let say = |source, text: &str| api.engine.log.vllm(Process::ApiServer, Level::Info, source, text);
        say(
            "request_logger.py:65",
            &format!(
                "Received request {id}: params: SamplingParams(n=1, presence_penalty=0.0, frequency_penalty=0.0, repetition_penalty=1.0, temperature=1.0, watermarking=None, top_p=1.0, top_k=0, min_p=0.0, seed=None, stop=[], stop_token_ids=[], bad_words=[], thinking_token_budget=None, include_stop_str_in_output=False, ignore_eos=False, max_tokens={max_tokens}, min_tokens=0, logprobs=None, prompt_logprobs=None, skip_special_tokens=True, spaces_between_special_tokens=True, structured_outputs=None, extra_args=None), lora_request: None."
            ),
        );
        say("async_llm.py:578", &format!("Added request {id}-{:08x}.", clock::arbitrary() >> 32));
    }

    fn usage(&self) -> Value {
        let Request { prompt_tokens, max_tokens, .. } = self.request;
        value!({"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens + max_tokens,
            "completion_tokens": max_tokens, "prompt_tokens_details": null, "completion_tokens_details": null})
    }

    fn answer(&self, text: &str) -> Value {
        let (object, mut choice) = match self.kind {
            Kind::Text => {
                ("text_completion", value!({"text": text, "prompt_logprobs": null, "prompt_token_ids": null}))
            }
            Kind::Chat => (
                "chat.completion",
                value!({"message": {"role": "assistant", "content": text, "refusal": null, "annotations": null,
                    "audio": null, "function_call": null, "tool_calls": [], "reasoning": null}}),
            ),
        };
        choice["index"] = 0.into();
        choice["finish_reason"] = self.request.finish.into();
        for key in ["logprobs", "stop_reason", "token_ids", "routed_experts"] {
            choice[key] = Value::Null;
        }
        value!({"id": self.id, "object": object, "created": self.created, "model": self.model, "choices": [choice],
            "service_tier": null, "system_fingerprint": FINGERPRINT, "usage": self.usage(),
            "kv_transfer_params": null, "ec_transfer_params": null, "metrics": null})
    }

    fn chunk(&self, text: &str, role: Option<&str>, finish: Option<&str>) -> Value {
        let (object, mut choice) = match (self.kind, role) {
            (Kind::Text, _) => ("text_completion", value!({"text": text})),
            (Kind::Chat, Some(role)) => {
                ("chat.completion.chunk", value!({"delta": {"role": role, "content": text}}))
            }
            (Kind::Chat, None) => ("chat.completion.chunk", value!({"delta": {"content": text}})),
        };
        choice["index"] = 0.into();
        choice["logprobs"] = Value::Null;
        choice["finish_reason"] = finish.map_or(Value::Null, Value::from);
        value!({"id": self.id, "object": object, "created": self.created, "model": self.model, "choices": [choice]})
    }

    fn usage_chunk(&self) -> Value {
        let object = if self.kind == Kind::Text { "text_completion" } else { "chat.completion.chunk" };
        value!({"id": self.id, "object": object, "created": self.created, "model": self.model, "choices": [],
            "usage": self.usage()})
    }
}

/// A guess: one token for four bytes of text, one for each number.
fn tokens_of(prompt: &Value) -> u64 {
    match prompt {
        Value::String(text) => text.len() as u64 / 4 + 1,
        Value::Number(_) => 1,
        Value::Array(items) => items.iter().map(tokens_of).sum(),
        Value::Object(fields) => fields.get("content").or_else(|| fields.get("text")).map_or(0, tokens_of),
        Value::Null | Value::Bool(_) => 0,
    }
}

/// A request that gets an error instead of an answer.
struct Refusal {
    status: StatusCode,
    kind: &'static str,
    param: Option<&'static str>,
    message: String,
}

impl Refusal {
    fn into_response(self) -> Response {
        json(self.status, error_body(self.status.as_u16(), self.kind, self.param, &self.message).to_string())
    }
}

fn error_body(code: u16, kind: &str, param: Option<&str>, message: &str) -> Value {
    value!({"error": {"message": message, "type": kind, "param": param, "code": code}})
}
