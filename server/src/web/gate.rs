//! The gate: every request is asked who it is from, and whether they may, before anybody does anything for it. What it changed
//! and what it was refused goes into the audit.
//!
//! In: a request whose host and origin are ours. Out: the same request with its [`Guest`], or a refusal.

use super::client::Client;
use super::problem::{Problem, Reason};
use super::rules::{Demand, Rule, Rules};
use super::{access, explain, page};
use crate::access::{Access, Credentials, Guest};
use app::api::{ApiError, AuditRow, Caller, Need};
use app::model::Timestamp;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use std::sync::Arc;

/// What the gate needs to know.
#[derive(Clone)]
pub struct Gate {
    /// Who is let in.
    pub access: Arc<Access>,
    /// And where.
    pub rules: Rules,
}

/// The name of the session's cookie: of this dashboard alone, since those of all ports of a host are sent to each.
pub fn session_cookie(instance: &str, secure: bool) -> String {
    if secure { format!("__Host-services-{instance}") } else { format!("services-{instance}") }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Who a request is from. Of several cookies with the session's name each is tried: a neighbour on the same host may have set
/// one, and must not sign anybody out by it.
pub fn guest(access: &Access, headers: &HeaderMap, client: Client) -> Option<Guest> {
    let name = session_cookie(access.instance(), client.secure);
    let now = Timestamp::now();
    let bearer = bearer(headers);
    if bearer.is_none()
        && let Some(guest) = page::cookies(headers, &name)
            .find_map(|session| access.who(Credentials { session: Some(session), bearer }, now))
    {
        return Some(guest);
    }
    access.who(Credentials { session: None, bearer }, now)
}

/// Stands before every route.
pub async fn gate(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let client = Client::of(request.extensions());
    let open = Rule { demand: Demand::Open, action: "" };
    let rule = match &route {
        // The page's own files, the same for everybody: whatever begins so goes to them and nowhere else.
        _ if uri.path().starts_with("/pkg/") => Some(open),
        Some(route) => gate.rules.of(&method, route.as_str(), uri.path()),
        None => None,
    };
    let guest = guest(&gate.access, request.headers(), client);
    let caller = guest.as_ref().map_or_else(Caller::nobody, |guest| guest.caller.clone());
    // An address or a method that is not written down does nothing, and is told so to those who may look.
    let demand = rule.map_or(Demand::Role(Need::Look), |rule| rule.demand);
    let action = rule.map_or("", |rule| rule.action);
    let allowed = match demand {
        Demand::Open => Ok(()),
        Demand::Role(need) => caller.check(need),
    };
    let only_reads = route.as_ref().is_some_and(|route| explain::is_route(route.as_str()));
    let changes = method == Method::POST && !only_reads;
    if allowed.is_ok()
        && changes
        && let Err(seconds) = gate.access.may_change(&caller, Timestamp::now())
    {
        let detail = format!("this account makes too many changes: try again in {seconds} s");
        let mut response = Problem::new(StatusCode::TOO_MANY_REQUESTS, "Too many", detail).into_response();
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        caller.does(if action.is_empty() { "request" } else { action }, target(&uri), "");
        note(&gate.access, &caller, client, action, &uri, &response);
        return response;
    }
    let Err(error) = allowed else {
        if let Some(guest) = guest {
            request.extensions_mut().insert(guest);
        }
        let work = async move {
            let response = next.run(request).await;
            note(&gate.access, &caller, client, action, &uri, &response);
            response
        };
        if !changes {
            return work.await;
        }
        // Whoever hangs up meanwhile does not undo what was begun: it is done, and written down.
        let done = tokio::spawn(work).await;
        return done.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response());
    };
    let signed_out = error == ApiError::SignedOut;
    if !(signed_out && is_look(&method, &uri)) {
        caller.does(if action.is_empty() { "request" } else { action }, target(&uri), "");
    }
    let fresh = signed_out && gate.access.needs_setup();
    let response = refusal(&error, fresh, &uri, request.headers(), client, &gate.access);
    note(&gate.access, &caller, client, action, &uri, &response);
    response
}

/// Somebody without a session who opens a page, or whose stream goes on asking: nothing that was refused to an enemy.
fn is_look(method: &Method, uri: &Uri) -> bool {
    *method == Method::GET && (!uri.path().starts_with("/api/") || uri.path() == "/api/stream")
}

fn target(uri: &Uri) -> String {
    uri.path().chars().take(200).collect()
}

/// Writes down what was done, or was not.
fn note(
    access: &Access,
    caller: &Caller,
    client: Client,
    action: &'static str,
    uri: &Uri,
    response: &Response,
) {
    let mut deeds = caller.deeds();
    if response.extensions().get::<NothingDone>().is_some() {
        return;
    }
    if deeds.is_empty() && !action.is_empty() {
        caller.does(action, target(uri), "");
        deeds = caller.deeds();
    }
    let status = response.status();
    let reason = response.extensions().get::<Reason>().map(|reason| reason.0.clone());
    let result = if status.is_client_error() || status.is_server_error() || reason.is_some() {
        format!("refused: {}", reason.unwrap_or_else(|| status.to_string()))
    } else if response.extensions().get::<SignedOut>().is_some() {
        "refused: sign in first".to_owned()
    } else {
        "done".to_owned()
    };
    for deed in deeds {
        access.note(AuditRow {
            id: 0,
            at: Timestamp::now(),
            who: caller.name.clone(),
            role: caller.role.map(|role| role.to_string()).unwrap_or_default(),
            address: client.ip.to_string(),
            action: deed.action.to_owned(),
            target: deed.target,
            result: result.clone(),
            detail: deed.detail,
        });
    }
}

/// What was asked for changed nothing: there is nothing to write down.
#[derive(Clone, Copy)]
pub struct NothingDone;

/// A redirect to the sign-in: nothing was done.
#[derive(Clone, Copy)]
struct SignedOut;

fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.contains("text/html") && !headers.contains_key("x-part")
}

fn refusal(
    error: &ApiError,
    fresh: bool,
    uri: &Uri,
    headers: &HeaderMap,
    client: Client,
    access: &Access,
) -> Response {
    if uri.path() == "/api/stream" && *error == ApiError::SignedOut {
        // An EventSource is told nothing of a status: the stream itself says it, and ends.
        let text = "event: bye\ndata: {\"reason\":\"signed-out\"}\n\n";
        let mut response = text.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.extensions_mut().insert(SignedOut);
        return response;
    }
    let api = uri.path().starts_with("/api/") && !uri.path().starts_with("/api/fn/");
    if wants_page(headers) && !api {
        if let ApiError::Forbidden { needs } = error {
            let text = app::parts::access::forbidden(*needs, &access::frame(headers, None, None));
            let mut response = access::document(StatusCode::FORBIDDEN, text);
            response.extensions_mut().insert(Reason(error.to_string()));
            return response;
        }
        // Behind a link on another site, the browser keeps a strict cookie back: one step further it is our own page that asks.
        let cookies_kept_back = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site")
            && page::cookie(headers, &session_cookie(access.instance(), client.secure)).is_none();
        if cookies_kept_back && !fresh {
            return access::again(uri);
        }
        let path = uri.path_and_query().map_or("/", axum::http::uri::PathAndQuery::as_str);
        let to = if fresh { "/setup".to_owned() } else { access::sign_in_address(path) };
        let mut response = Redirect::to(&app::at(to)).into_response();
        response.extensions_mut().insert(SignedOut);
        return response;
    }
    if uri.path().starts_with("/api/fn/") {
        // The page's own functions read their refusals.
        let body = serde_json::to_string(error).unwrap_or_default();
        let status =
            if *error == ApiError::SignedOut { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/json")], Body::from(body)).into_response();
        response.extensions_mut().insert(Reason(error.to_string()));
        return response;
    }
    let mut response = if fresh {
        let detail = format!(
            "there is no account yet: open {} in a browser, or run `server user add`",
            app::at("/setup")
        );
        Problem::new(StatusCode::UNAUTHORIZED, "Not set up", detail).into_response()
    } else {
        Problem::from(error.clone()).into_response()
    };
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
