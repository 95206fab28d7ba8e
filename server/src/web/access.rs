//! The pages about accounts: sign-in and out, set-up, one's own account, all accounts, the audit.

use super::client::Client;
use super::flash::{self, Flash};
use super::gate::{NothingDone, session_cookie};
use super::problem::{Problem, Reason};
use super::{Site, page};
use crate::access::{Entry, Visitor};
use crate::store::{AuditFilter, TokenRow};
use app::api::{AuditRow, Refused, Role};
use app::at;
use app::model::Timestamp;
use app::parts::access::{
    self as parts, AccountRow, AccountView, AccountsView, AuditView, Frame, Said, SessionView, SignInView,
    TokenView,
};
use axum::Form;
use axum::extract::Query;
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use std::collections::HashMap;

type Fields = HashMap<String, String>;

/// Rows of one page of the audit.
const ROWS: usize = 100;
/// Rows of a download.
const MOST_ROWS: usize = 100_000;
/// How long a browser is remembered as one from which somebody signed in.
const DEVICE_AGE: u64 = 365 * 24 * 3600;

fn field<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).map_or("", String::as_str)
}

/// Language, theme, and what is to be said.
pub fn frame(headers: &HeaderMap, me: Option<(String, Role)>, said: Option<Said>) -> Frame {
    Frame { lang: page::language(headers), theme: page::theme(headers), me, said }
}

fn my_frame(site: &Site, headers: &HeaderMap, said: Option<Said>) -> Frame {
    let me = site.guest().filter(|_| !site.access.is_open());
    let me = me.and_then(|guest| Some((guest.caller.name.clone(), guest.caller.role?)));
    frame(headers, me, said)
}

/// A page of these.
pub fn document(status: StatusCode, text: String) -> Response {
    const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; \
                          frame-ancestors 'none'";
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::VARY, HeaderValue::from_static("Cookie, Accept-Language")),
    ];
    (status, headers, text).into_response()
}

/// The same address once more, asked for by a page of ours.
pub fn again(uri: &Uri) -> Response {
    let path = uri.path_and_query().map_or("/", axum::http::uri::PathAndQuery::as_str);
    document(StatusCode::OK, parts::again(&at(back(path))))
}

/// The address of the sign-in that leads back to a path of ours.
pub fn sign_in_address(back: &str) -> String {
    if back == "/" {
        return "/login".to_owned();
    }
    // A slash is read well, and means nothing there.
    format!("/login?back={}", super::search::encoded(back).replace("%2F", "/"))
}

/// A path of ours and nothing else.
fn back(text: &str) -> &str {
    let ours = text.starts_with('/')
        && !text.starts_with("//")
        && !text.contains(['\\', '\r', '\n', '\t', '\0'])
        && !text.starts_with("/login")
        && !leaves(text)
        && text.len() <= 2000;
    if ours { text } else { "/" }
}

/// It has a step upwards, which a browser takes before it asks: below a base path that leads to a neighbour.
fn leaves(text: &str) -> bool {
    let path = text.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase().replace("%2e", ".");
    path.split('/').any(|step| step == "." || step == "..")
}

const fn status(refused: &Refused) -> StatusCode {
    match refused {
        Refused::Wrong | Refused::Code => StatusCode::UNAUTHORIZED,
        Refused::Wait(_) => StatusCode::TOO_MANY_REQUESTS,
        Refused::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Refused::Done | Refused::Taken | Refused::Last | Refused::Many => StatusCode::CONFLICT,
        Refused::Unknown => StatusCode::NOT_FOUND,
        Refused::Name | Refused::Password | Refused::Token | Refused::Role => StatusCode::BAD_REQUEST,
        Refused::Store => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A page that says why not.
fn refused(refused: &Refused, text: String) -> Response {
    let mut response = document(status(refused), text);
    response.extensions_mut().insert(Reason(refused.to_string()));
    if let Refused::Wait(seconds) = refused {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
    }
    response
}

fn device_cookie(site: &Site, client: Client) -> String {
    let prefix = if client.secure { "__Host-" } else { "" };
    format!("{prefix}services-device-{}", site.access.instance())
}

struct Where {
    client: Client,
    agent: String,
    device: Option<String>,
}

impl Where {
    fn of(site: &Site, headers: &HeaderMap, extensions: &Extensions) -> Self {
        let client = Client::of(extensions);
        let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        let device = page::cookie(headers, &device_cookie(site, client)).map(str::to_owned);
        Self { client, agent: agent.to_owned(), device }
    }

    fn visitor(&self) -> Visitor<'_> {
        Visitor { ip: self.client.ip, agent: &self.agent, device: self.device.as_deref() }
    }
}

fn cookie(name: &str, value: &str, age: Option<u64>, client: Client) -> Option<HeaderValue> {
    // Cookies whose name begins with `__Host-` are for the whole host, or they are none.
    let (path, secure) = if client.secure { ("/", "; Secure") } else { (page::cookie_path(), "") };
    let age = age.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    HeaderValue::from_str(&format!("{name}={value}; Path={path}; HttpOnly; SameSite=Strict{secure}{age}"))
        .ok()
}

/// Sends somebody on who was let in, with the cookies that say so.
fn let_in(site: &Site, entry: &Entry, to: &str, client: Client) -> Response {
    let mut response = Redirect::to(&at(to)).into_response();
    let session = session_cookie(site.access.instance(), client.secure);
    let days = u64::try_from(crate::access::ABSOLUTE_MS / 1000).ok();
    let cookies = [
        cookie(&session, &entry.session, days, client),
        cookie(&device_cookie(site, client), &entry.device, Some(DEVICE_AGE), client),
    ];
    for cookie in cookies.into_iter().flatten() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Writes down that somebody was let in who was nobody before.
fn note_entry(site: &Site, client: Client, action: &str, entry: &Entry) {
    site.access.note(AuditRow {
        at: Timestamp::now(),
        who: entry.name.clone(),
        role: entry.role.to_string(),
        address: client.ip.to_string(),
        action: action.to_owned(),
        result: "done".to_owned(),
        ..AuditRow::default()
    });
}

/// Writes down that nobody was let in.
fn note_refusal(site: &Site, client: Client, action: &str, target: String, why: &Refused) {
    site.access.note(AuditRow { target, ..AuditRow::of_nobody(client.ip, action, &why.to_string()) });
}

/// `GET /login`
pub async fn login(site: Site, Query(fields): Query<Fields>, headers: HeaderMap) -> Response {
    let back = back(field(&fields, "back")).to_owned();
    if site.access.needs_setup() {
        return Redirect::to(&at("/setup")).into_response();
    }
    if site.guest().is_some() {
        return Redirect::to(&at(back)).into_response();
    }
    let view = SignInView { name: String::new(), back };
    document(StatusCode::OK, parts::sign_in(&view, &frame(&headers, None, None)))
}

/// `POST /login`
pub async fn sign_in(
    site: Site,
    headers: HeaderMap,
    extensions: Extensions,
    Form(fields): Form<Fields>,
) -> Response {
    let from = Where::of(&site, &headers, &extensions);
    let name = field(&fields, "name").trim();
    let to = back(field(&fields, "back"));
    let result =
        site.access.sign_in(name, field(&fields, "password"), from.visitor(), Timestamp::now()).await;
    match result {
        Ok(entry) => {
            // Who signs in anew leaves the session that the browser had.
            for old in page::cookies(&headers, &session_cookie(site.access.instance(), from.client.secure)) {
                site.access.sign_out(old);
            }
            note_entry(&site, from.client, "sign-in", &entry);
            let_in(&site, &entry, to, from.client)
        }
        Err(why) => {
            // Somebody may have typed the password here: only the name of an account is written down.
            let known = site.access.account(name);
            let target = known.map_or_else(|_| "(unknown name)".to_owned(), |it| it.name);
            note_refusal(&site, from.client, "sign-in", target, &why);
            let view = SignInView { name: name.chars().take(32).collect(), back: to.to_owned() };
            refused(&why, parts::sign_in(&view, &frame(&headers, None, Some(Said::Refused(why.clone())))))
        }
    }
}

/// `POST /logout`
pub async fn sign_out(site: Site, headers: HeaderMap, extensions: Extensions) -> Response {
    let client = Client::of(&extensions);
    let name = session_cookie(site.access.instance(), client.secure);
    let ended = page::cookies(&headers, &name).filter(|session| site.access.sign_out(session)).count();
    let mut response = Redirect::to(&at("/login")).into_response();
    if ended == 0 {
        response.extensions_mut().insert(NothingDone);
    }
    if let Some(gone) = cookie(&name, "", Some(0), client) {
        response.headers_mut().append(header::SET_COOKIE, gone);
    }
    response
}

/// `GET /setup`
pub async fn setup(site: Site, headers: HeaderMap) -> Response {
    if !site.access.needs_setup() {
        return Redirect::to(&at("/")).into_response();
    }
    document(StatusCode::OK, parts::set_up("admin", &frame(&headers, None, None)))
}

/// `POST /setup`
pub async fn set_up(
    site: Site,
    headers: HeaderMap,
    extensions: Extensions,
    Form(fields): Form<Fields>,
) -> Response {
    let from = Where::of(&site, &headers, &extensions);
    let name = field(&fields, "name").trim();
    let (code, password) = (field(&fields, "code"), field(&fields, "password"));
    match site.access.set_up(code, name, password, from.visitor(), Timestamp::now()).await {
        Ok(entry) => {
            note_entry(&site, from.client, "set-up", &entry);
            let_in(&site, &entry, "/", from.client)
        }
        Err(why) => {
            note_refusal(&site, from.client, "set-up", String::new(), &why);
            let name: String = name.chars().take(32).collect();
            refused(&why, parts::set_up(&name, &frame(&headers, None, Some(Said::Refused(why.clone())))))
        }
    }
}

fn account_page(site: &Site, headers: &HeaderMap, made: Option<String>, news: Option<Said>) -> String {
    let now = Timestamp::now();
    let guest = site.guest();
    let mine = guest.and_then(|guest| guest.session.as_ref()).map(|session| session.id);
    let account = guest.and_then(|guest| guest.account);
    // Without an account of one's own there is nothing to list: a token, or an open house.
    let sessions = account.map(|id| site.access.sessions(Some(id), now)).unwrap_or_default();
    let tokens = account.map(|id| site.access.tokens(Some(id), now)).unwrap_or_default();
    let view = AccountView {
        sessions: sessions
            .into_iter()
            .map(|it| SessionView {
                id: it.id,
                mine: Some(it.id) == mine,
                created: it.created,
                seen: it.seen,
                address: it.address,
                agent: it.agent,
            })
            .collect(),
        tokens: tokens.into_iter().map(token_view).collect(),
        made,
        open: site.access.is_open(),
    };
    parts::account(&view, &my_frame(site, headers, news))
}

fn token_view(it: TokenRow) -> TokenView {
    TokenView { id: it.id, owner: it.owner, name: it.name, role: it.role, expires: it.expires, used: it.used }
}

/// Sends the browser on to a page that says what was done: to load it again sends nothing twice.
fn done(site: &Site, page: &str, news: Said) -> Response {
    let nothing = news == Said::Ended(0);
    let number = site.flashes.keep(site.caller(), Flash::Said(news));
    let mut response = Redirect::to(&at(flash::address(page, number.as_deref()))).into_response();
    if nothing {
        response.extensions_mut().insert(NothingDone);
    }
    response
}

/// What is to be said once, after a form of one's own.
fn said(site: &Site, fields: &Fields) -> Option<Said> {
    match site.flashes.take(site.caller(), field(fields, flash::KEY))? {
        Flash::Said(said) => Some(said),
        Flash::Refused(_) => None,
    }
}

/// What became of a form about one's own account.
fn answered(site: &Site, headers: &HeaderMap, result: Result<Said, Refused>) -> Response {
    match result {
        Ok(news) => done(site, "/account", news),
        Err(why) => refused(&why, account_page(site, headers, None, Some(Said::Refused(why.clone())))),
    }
}

/// Forms about an account need one: a token or an open house has none.
fn own(site: &Site) -> Result<(i64, Option<i64>), Refused> {
    let guest = site.guest().ok_or(Refused::Unknown)?;
    let account = guest.account.ok_or(Refused::Unknown)?;
    Ok((account, guest.session.as_ref().map(|session| session.id)))
}

/// `GET /account`
pub async fn account(site: Site, Query(fields): Query<Fields>, headers: HeaderMap) -> Response {
    document(StatusCode::OK, account_page(&site, &headers, None, said(&site, &fields)))
}

/// `POST /account/password`
pub async fn password(site: Site, headers: HeaderMap, Form(fields): Form<Fields>) -> Response {
    let name = site.caller().name.clone();
    site.caller().does("account-password", name.clone(), "");
    let result = match own(&site) {
        Ok((_, keep)) => {
            let (old, new) = (field(&fields, "old"), field(&fields, "new"));
            let tokens = ticked(&fields, "tokens");
            if tokens {
                site.caller().does("token-remove", name.clone(), "all");
            }
            site.access.change_password(&name, old, new, keep, tokens).await.map(|()| tokens)
        }
        Err(why) => Err(why),
    };
    let news = |tokens| if tokens { Said::TokensToo } else { Said::PasswordChanged };
    answered(&site, &headers, result.map(news))
}

/// `POST /account/sessions`
pub async fn sessions(site: Site, headers: HeaderMap, Form(fields): Form<Fields>) -> Response {
    let which = field(&fields, "end");
    site.caller().does("sessions-end", site.caller().name.clone(), which.to_owned());
    let result = own(&site).and_then(|(account, keep)| match which.parse::<i64>() {
        Ok(id) => {
            if site.access.end_session(id, Some(account)) {
                Ok(Said::Ended(1))
            } else {
                Err(Refused::Unknown)
            }
        }
        Err(_) if which == "others" => site.access.end_sessions(account, keep).map(Said::Ended),
        Err(_) => Err(Refused::Unknown),
    });
    answered(&site, &headers, result)
}

fn ticked(fields: &Fields, name: &str) -> bool {
    field(fields, name) == "1"
}

/// Takes a token of an account away, and writes down which it was.
fn removed_token(site: &Site, owner: &str, account: i64, id: &str) -> Result<Said, Refused> {
    let number = id.parse().map_err(|_| Refused::Unknown);
    let removed = number.and_then(|number| site.access.remove_token(number, Some(account)));
    let name = removed.clone().unwrap_or_else(|_| id.chars().take(20).collect());
    site.caller().does("token-remove", format!("{owner}/{name}"), "");
    removed.map(|_| Said::Removed)
}

/// `POST /account/tokens`
pub async fn tokens(site: Site, headers: HeaderMap, Form(fields): Form<Fields>) -> Response {
    if let Some(id) = fields.get("remove") {
        let result =
            own(&site).and_then(|(account, _)| removed_token(&site, &site.caller().name, account, id));
        return answered(&site, &headers, result);
    }
    let name = field(&fields, "name").trim();
    let (role, days) = (field(&fields, "role"), field(&fields, "days"));
    site.caller().does("token-add", format!("{}/{name}", site.caller().name), format!("{role}, {days} days"));
    let made = own(&site).and_then(|(account, _)| {
        let role = role.parse().map_err(|()| Refused::Role)?;
        let days = days.parse().map_err(|_| Refused::Token)?;
        let owner = site.caller().role.ok_or(Refused::Unknown)?;
        site.access.add_token(account, owner, name, role, days, Timestamp::now())
    });
    match made {
        Ok(token) => document(StatusCode::OK, account_page(&site, &headers, Some(token), None)),
        Err(why) => answered(&site, &headers, Err(why)),
    }
}

fn accounts_page(site: &Site, headers: &HeaderMap, asking: Option<String>, news: Option<Said>) -> String {
    let now = Timestamp::now();
    let me = site.guest().and_then(|guest| guest.account);
    let accounts = site
        .access
        .accounts()
        .into_iter()
        .map(|it| AccountRow {
            sessions: site.access.sessions(Some(it.id), now).len(),
            mine: Some(it.id) == me,
            name: it.name,
            role: it.role,
        })
        .collect();
    let tokens = site.access.tokens(None, now).into_iter().map(token_view).collect();
    parts::accounts(&AccountsView { accounts, tokens, asking }, &my_frame(site, headers, news))
}

/// `GET /accounts`
pub async fn accounts(site: Site, Query(fields): Query<Fields>, headers: HeaderMap) -> Response {
    document(StatusCode::OK, accounts_page(&site, &headers, None, said(&site, &fields)))
}

/// `POST /accounts`
pub async fn change_account(site: Site, headers: HeaderMap, Form(fields): Form<Fields>) -> Response {
    let name = field(&fields, "account").trim();
    let role = field(&fields, "role").parse::<Role>().map_err(|()| Refused::Role);
    let does = |action, detail: &str| site.caller().does(action, name.to_owned(), detail.to_owned());
    let result = match field(&fields, "do") {
        "add" => {
            does("account-add", field(&fields, "role"));
            match role {
                Ok(role) => site.access.add_account(name, role, field(&fields, "password")).await,
                Err(why) => Err(why),
            }
            .map(|()| Said::Saved)
        }
        "role" => {
            does("account-role", field(&fields, "role"));
            role.and_then(|role| site.access.set_role(name, role)).map(|()| Said::Saved)
        }
        "password" => {
            does("account-password", "");
            let mine = name.eq_ignore_ascii_case(&site.caller().name);
            let keep = own(&site).ok().and_then(|(_, session)| session).filter(|_| mine);
            let tokens = ticked(&fields, "tokens");
            if tokens {
                does("token-remove", "all");
            }
            let set = site.access.set_password(name, field(&fields, "password"), keep, tokens).await;
            set.map(|()| if mine && !tokens { Said::PasswordChanged } else { Said::Saved })
        }
        "sign-out" => {
            does("sessions-end", "all");
            site.access.account(name).and_then(|it| site.access.end_sessions(it.id, None)).map(Said::Ended)
        }
        "remove" => {
            does("account-remove", "asked");
            match site.access.account(name) {
                Ok(_) => {
                    let text = accounts_page(&site, &headers, Some(name.to_owned()), None);
                    return document(StatusCode::OK, text);
                }
                Err(why) => Err(why),
            }
        }
        "remove-really" => {
            does("account-remove", "");
            site.access.remove_account(name).map(|()| Said::Removed)
        }
        "token-remove" => {
            let account = site.access.account(name);
            account.and_then(|it| removed_token(&site, &it.name, it.id, field(&fields, "token")))
        }
        other => {
            let allowed = "add, role, password, sign-out, remove, remove-really or token-remove";
            return Problem::parameter("do", other, allowed).into_response();
        }
    };
    match result {
        Ok(news) => done(&site, "/accounts", news),
        Err(why) => refused(&why, accounts_page(&site, &headers, None, Some(Said::Refused(why.clone())))),
    }
}

fn wanted(fields: &Fields) -> Result<AuditFilter, Problem> {
    let text = |name: &str| fields.get(name).filter(|text| !text.is_empty()).cloned();
    let before = match text("before") {
        None => None,
        Some(number) => {
            Some(number.parse().map_err(|_| Problem::parameter("before", &number, "a row's number"))?)
        }
    };
    let refused = field(fields, "refused") == "1";
    Ok(AuditFilter { who: text("who"), action: text("action"), text: text("text"), refused, before })
}

fn address(path: &str, fields: &Fields, before: Option<i64>) -> String {
    let mut address = format!("{path}?");
    for key in ["who", "action", "text", "refused"] {
        let value = field(fields, key);
        if !value.is_empty() {
            address.push_str(&format!("{key}={}&", super::search::encoded(value)));
        }
    }
    if let Some(before) = before {
        address.push_str(&format!("before={before}"));
    }
    address.trim_end_matches(['?', '&']).to_owned()
}

/// `GET /audit`
pub async fn audit(
    site: Site,
    headers: HeaderMap,
    Query(fields): Query<Fields>,
) -> Result<Response, Problem> {
    let filter = wanted(&fields)?;
    let store = site.access.store().clone();
    let read = tokio::task::spawn_blocking(move || (store.audit(&filter, ROWS), store.audit_words()));
    let failed = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Failed", "the audit could not be read");
    let (rows, (names, actions)) = read.await.map_err(failed)?;
    let older =
        rows.last().filter(|_| rows.len() == ROWS).map(|row| at(address("/audit", &fields, Some(row.id))));
    let view = AuditView {
        who: field(&fields, "who").to_owned(),
        action: field(&fields, "action").to_owned(),
        text: field(&fields, "text").to_owned(),
        refused: field(&fields, "refused") == "1",
        names,
        actions,
        older,
        export: at(address("/api/audit", &fields, None)),
        rows,
    };
    Ok(document(StatusCode::OK, parts::audit(&view, &my_frame(&site, &headers, None))))
}

/// `GET /api/audit`: the same as JSON lines, all of it.
pub async fn export(site: Site, Query(fields): Query<Fields>) -> Result<Response, Problem> {
    let mut filter = wanted(&fields)?;
    let store = site.access.store().clone();
    let body = super::logs::written(&site, move |out| {
        let mut left = MOST_ROWS;
        while left > 0 {
            let rows = store.audit(&filter, left.min(1000));
            let Some(last) = rows.last() else { return };
            (filter.before, left) = (Some(last.id), left - rows.len());
            for row in &rows {
                let line = serde_json::to_string(row).unwrap_or_default();
                let more = out.write(|text| {
                    text.push_str(&line);
                    text.push('\n');
                });
                if more.is_break() {
                    return;
                }
            }
        }
    })
    .await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/jsonl; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment; filename=\"services-audit.jsonl\""),
        ),
    ];
    Ok((headers, body).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_led_back_to_our_own_pages_alone() {
        for ours in ["/", "/services/vllm?run=1&q=a%20b", "/explain"] {
            assert_eq!(back(ours), ours);
        }
        for foreign in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "/a\r\nb",
            "/login?back=/",
            "javascript:1",
        ] {
            assert_eq!(back(foreign), "/", "{foreign}");
        }
        for upwards in
            ["/..", "/../other", "/a/../../other", "/%2e%2e/other", "/%2E./other", "/./x", "/a/.%2e?x"]
        {
            assert_eq!(back(upwards), "/", "{upwards}");
        }
        assert_eq!(
            sign_in_address("/services/vllm?run=1&q=a"),
            "/login?back=/services/vllm%3Frun%3D1%26q%3Da"
        );
        assert_eq!(sign_in_address("/"), "/login");
    }

    #[test]
    fn cookies_are_for_us_alone() {
        let ip = std::net::IpAddr::from([127, 0, 0, 1]);
        let text = |secure| {
            let client = Client { ip, secure };
            cookie(&session_cookie("ab12", secure), "v", Some(9), client).expect("a value")
        };
        assert_eq!(text(false), "services-ab12=v; Path=/; HttpOnly; SameSite=Strict; Max-Age=9");
        assert_eq!(
            text(true),
            "__Host-services-ab12=v; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=9"
        );
    }
}
