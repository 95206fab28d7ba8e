//! Every route, asked by everybody who must not be heard.

use super::*;
use crate::access::Visitor;
use crate::settings::{Flags, Sources};
use crate::store::{AuditFilter, Store};
use app::api::Role;
use app::model::Timestamp;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use axum::response::Response;
use std::collections::BTreeMap;
use tower::ServiceExt;

const PASSWORD: &str = "correct horse battery";
const PLANTED: &str = "planted-model-name";

struct House {
    router: Router,
    access: Arc<Access>,
    fleet: Arc<Fleet>,
    rules: rules::Rules,
    _dir: tempfile::TempDir,
}

async fn house() -> House {
    let _ = any_spawner::Executor::init_tokio();
    let dir = tempfile::tempdir().expect("a folder");
    let text = |path: &str| dir.path().join(path).display().to_string();
    let env = BTreeMap::from([
        ("DOCKER_HOST".to_owned(), format!("unix://{}", text("none.sock"))),
        ("VLLM_RUNTIME".to_owned(), "docker".to_owned()),
        ("VLLM_MODEL_NAME".to_owned(), PLANTED.to_owned()),
        ("HF_TOKEN".to_owned(), "hf_planted0secret0planted0secret".to_owned()),
        ("SERVICES_NVML_LIBRARY".to_owned(), text("none.so")),
        ("SERVICES_SYSTEMD_BUS".to_owned(), format!("unix:path={}", text("none.bus"))),
    ]);
    let flags = Flags { state_dir: Some(text("state")), ..Flags::default() };
    let sources = Sources { flags, env };
    let config = sources.load().expect("settings");
    let store = Arc::new(Store::open(&config.dashboard.state_dir.value).expect("a store"));
    let access = Arc::new(Access::new(store.clone(), false));
    let fleet = Fleet::start(&config, sources, store, CancellationToken::new());
    let leptos = LeptosOptions::builder().output_name("services").build();
    let site = Site::new(fleet.clone(), access.clone(), leptos, Vec::new(), CancellationToken::new());
    let router = router(site, Hosts::new(vec!["box.lan".to_owned()]), dir.path());
    let rules = routes().done().1;
    House { router, access, fleet, rules, _dir: dir }
}

impl House {
    async fn account(&self, name: &str, role: Role) -> String {
        if self.access.needs_setup() {
            self.access.set_up_unattended(name, PASSWORD).await.expect("made");
        } else {
            self.access.add_account(name, role, PASSWORD).await.expect("made");
        }
        let visitor = Visitor { ip: [127, 0, 0, 1].into(), agent: "a test", device: None };
        let entry = self.access.sign_in(name, PASSWORD, visitor, Timestamp::now()).await.expect("let in");
        format!("services-{}={}", self.access.instance(), entry.session)
    }

    async fn ask(&self, asked: Asked<'_>) -> (StatusCode, Response<()>, String) {
        let mut request = Request::builder().method(asked.method.clone()).uri(asked.path);
        request = request.header(header::HOST, asked.host.unwrap_or("127.0.0.1:3000"));
        if *asked.method == Method::POST {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        for (name, value) in [
            (header::COOKIE, asked.cookie),
            (header::AUTHORIZATION, asked.bearer),
            (header::ORIGIN, asked.origin),
            (header::ACCEPT, asked.accept),
        ] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let request = request.body(Body::empty()).expect("a request");
        let answer = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = answer.into_parts();
        // A stream that is let in does not end.
        let body =
            match tokio::time::timeout(std::time::Duration::from_secs(5), to_bytes(body, 1 << 20)).await {
                Ok(Ok(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
                _ => "(no end)".to_owned(),
            };
        (parts.status, Response::from_parts(parts, ()), body)
    }

    /// The same with a form.
    async fn form(&self, asked: Asked<'_>, form: &str) -> (StatusCode, Response<()>, String) {
        let mut request = Request::builder().method(Method::POST).uri(asked.path);
        for (name, value) in [
            (header::HOST, Some("127.0.0.1:3000")),
            (header::CONTENT_TYPE, Some("application/x-www-form-urlencoded")),
            (header::COOKIE, asked.cookie),
            (header::ACCEPT, asked.accept),
        ] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let request = request.body(Body::from(form.to_owned())).expect("a request");
        let answer = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, 4 << 20).await.expect("an end");
        (parts.status, Response::from_parts(parts, ()), String::from_utf8_lossy(&body).into_owned())
    }

    /// Every address with the method that it takes, and what it asks for.
    fn addresses(&self) -> Vec<(Method, String, Demand)> {
        let mut all = Vec::new();
        for (method, route, rule) in self.rules.all() {
            if route == FUNCTIONS_AT {
                for (function, need, _) in rules::FUNCTIONS {
                    all.push((method.clone(), format!("/api/fn/{function}"), Demand::Role(need)));
                }
            } else {
                all.push((method.clone(), route.replace("{name}", "vllm"), rule.demand));
            }
        }
        all.sort_by_key(|(method, path, _)| (path.clone(), method.to_string()));
        assert!(all.len() > 50, "{}", all.len());
        all
    }
}

#[derive(Clone, Copy)]
struct Asked<'a> {
    method: &'a Method,
    path: &'a str,
    cookie: Option<&'a str>,
    bearer: Option<&'a str>,
    origin: Option<&'a str>,
    host: Option<&'a str>,
    accept: Option<&'a str>,
}

const fn asked<'a>(method: &'a Method, path: &'a str) -> Asked<'a> {
    Asked { method, path, cookie: None, bearer: None, origin: None, host: None, accept: None }
}

/// Refused, and nothing told.
fn refused(what: &str, answer: &(StatusCode, Response<()>, String)) {
    let (status, response, body) = answer;
    let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
    let led_away = *status == StatusCode::SEE_OTHER && to.starts_with("/login");
    let stream = body == "event: bye\ndata: {\"reason\":\"signed-out\"}\n\n";
    let no = matches!(*status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    assert!(no || led_away || stream, "{what}: {status} {body}");
    assert!(!body.contains(PLANTED) && !body.contains("hf_planted"), "{what} tells: {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_heard_without_leave_at_any_address() {
    let house = house().await;
    let admin = house.account("root", Role::Admin).await;
    let viewer = house.account("eve", Role::Viewer).await;
    let operator = house.account("op", Role::Operator).await;
    // Ended sessions and tokens, replayed.
    let gone = house.account("gone", Role::Admin).await;
    house.access.remove_account("gone").expect("removed");
    let root = house.access.accounts().into_iter().find(|a| a.name == "root").expect("there").id;
    let long_ago = Timestamp::now().plus_millis(-2 * 24 * 3_600_000);
    let expired = house.access.add_token(root, Role::Admin, "old", Role::Admin, 1, long_ago).expect("made");
    let expired = format!("Bearer {expired}");
    let device = admin.replace("services-", "services-device-");
    for (method, path, demand) in house.addresses() {
        let plain = asked(&method, &path);
        let what = |who: &str| format!("{who}: {method} {path}");
        if let Demand::Role(need) = demand {
            for (who, ask) in [
                ("nobody", plain),
                ("nobody with a browser", Asked { accept: Some("text/html"), ..plain }),
                ("a removed account", Asked { cookie: Some(&gone), ..plain }),
                ("garbage", Asked { cookie: Some("services-x=; services-=%00; ;;="), ..plain }),
                ("a browser that is known, without a session", Asked { cookie: Some(&device), ..plain }),
                ("an expired token", Asked { bearer: Some(&expired), ..plain }),
                ("no token", Asked { bearer: Some("Bearer "), ..plain }),
                (
                    "a wrong token beside a right session",
                    Asked { bearer: Some("Bearer x"), cookie: Some(&admin), ..plain },
                ),
            ] {
                refused(&what(who), &house.ask(ask).await);
            }
            // What somebody may do to their own session ends it.
            let own = path == "/logout" || (path.starts_with("/account/") && method == Method::POST);
            for (role, cookie) in [(Role::Viewer, &viewer), (Role::Operator, &operator)] {
                if own {
                    continue;
                }
                let answer = house.ask(Asked { cookie: Some(cookie), ..plain }).await;
                if role.may(need) {
                    let no = matches!(answer.0, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
                    assert!(
                        !no || path.starts_with("/account") || path == "/logout",
                        "{}: {:?}",
                        what(role.as_str()),
                        answer
                    );
                } else {
                    assert_eq!(answer.0, StatusCode::FORBIDDEN, "{}", what(role.as_str()));
                    refused(&what(role.as_str()), &answer);
                }
            }
        }
        // Another host, whoever asks; another site, whoever's browser asks.
        let foreign = house.ask(Asked { cookie: Some(&admin), host: Some("evil.example"), ..plain }).await;
        assert_eq!(foreign.0, StatusCode::MISDIRECTED_REQUEST, "{}", what("another host"));
        if method == Method::POST || path == "/api/stream" {
            for origin in ["https://evil.example", "null", "http://127.0.0.1:3001"] {
                let foreign = house.ask(Asked { cookie: Some(&admin), origin: Some(origin), ..plain }).await;
                assert_eq!(foreign.0, StatusCode::FORBIDDEN, "{}", what(origin));
            }
        }
    }
    house.fleet.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_something_is_no_get_and_what_is_not_written_down_is_not_there() {
    let house = house().await;
    let admin = house.account("root", Role::Admin).await;
    let addresses = house.addresses();
    for (method, path, _) in &addresses {
        let gets = addresses.iter().any(|(m, p, _)| p == path && m == Method::GET);
        for other in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
            if (other == Method::GET && gets) || path == "/api/stream" {
                continue;
            }
            refused(&format!("{other} {path}"), &house.ask(asked(&other, path)).await);
            let answer = house.ask(Asked { cookie: Some(&admin), ..asked(&other, path) }).await;
            let none = matches!(answer.0, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_FOUND);
            assert!(none, "{other} {path}, which takes {method}: {answer:?}");
        }
    }
    for path in [
        "/api/nothing",
        "/nothing",
        "/api/fn/nothing",
        "/api/services/vllm/nothing",
        "/../etc/passwd",
        "/pkg/../../x",
    ] {
        let answer = house.ask(asked(&Method::GET, path)).await;
        let none =
            matches!(answer.0, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND);
        assert!(none, "{path}: {answer:?}");
    }
    house.fleet.shut_down().await;
}

/// The page's functions register themselves: each has its rule.
#[test]
fn every_server_function_has_its_rule() {
    let known: Vec<String> = rules::FUNCTIONS.iter().map(|(name, ..)| format!("/api/fn/{name}")).collect();
    let mut there: Vec<String> =
        server_fn::axum::server_fn_paths().map(|(path, _)| path.to_owned()).collect();
    there.sort_unstable();
    let mut expected = known;
    expected.sort_unstable();
    assert_eq!(there, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_and_refusals_are_in_the_audit() {
    let house = house().await;
    let admin = house.account("root", Role::Admin).await;
    let viewer = house.account("eve", Role::Viewer).await;
    let start = |cookie| Asked { cookie: Some(cookie), ..asked(&Method::POST, "/api/services/vllm/start") };
    assert_eq!(house.ask(start(&viewer)).await.0, StatusCode::FORBIDDEN);
    // The engine is away.
    assert_eq!(house.ask(start(&admin)).await.0, StatusCode::SERVICE_UNAVAILABLE);
    house.ask(asked(&Method::POST, "/api/services/vllm/stop")).await;
    house.ask(Asked { host: Some("evil.example"), ..asked(&Method::GET, "/") }).await;
    house.ask(Asked { cookie: Some(&admin), ..asked(&Method::POST, "/logout") }).await;
    assert!(
        house
            .ask(Asked { cookie: Some(&admin), ..asked(&Method::GET, "/api/services") })
            .await
            .0
            .is_client_error()
    );
    let rows = house.access.store().audit(&AuditFilter::default(), 10);
    let told: Vec<_> = rows
        .iter()
        .rev()
        .map(|row| {
            [
                row.who.as_str(),
                row.role.as_str(),
                row.action.as_str(),
                row.target.as_str(),
                row.result.as_str(),
            ]
        })
        .collect();
    assert_eq!(
        told,
        [
            ["eve", "viewer", "start", "/api/services/vllm/start", "refused: this takes the role operator"],
            [
                "root",
                "admin",
                "start",
                "vllm",
                "refused: the engine that runs this service cannot be reached"
            ],
            ["nobody", "", "stop", "/api/services/vllm/stop", "refused: sign in first"],
            ["nobody", "", "request", "/", "refused: \"evil.example\" is not a name of this server"],
            ["root", "admin", "sign-out", "/logout", "done"],
            ["nobody", "", "request", "/api/services", "refused: sign in first"],
        ]
    );
    house.fleet.shut_down().await;
}

/// What the audit says of a function is what became of it, whatever the client says of where it came from.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_talks_the_audit_into_another_result() {
    // {"error":"forbidden","needs":"admin"}, as an address that leads back would carry it.
    const FORGED: &str = "x?__err=eyJlcnJvciI6ImZvcmJpZGRlbiIsIm5lZWRzIjoiYWRtaW4ifQ==";
    let house = house().await;
    let root = house.account("root", Role::Admin).await;
    let call = async |accept: &str, referer: Option<&str>, form: &'static str| {
        let mut request = Request::builder().method(Method::POST).uri("/api/fn/auto-start");
        for (name, value) in [
            (header::HOST, "127.0.0.1:3000"),
            (header::CONTENT_TYPE, "application/x-www-form-urlencoded"),
            (header::COOKIE, &root),
            (header::ACCEPT, accept),
        ] {
            request = request.header(name, value);
        }
        if let Some(referer) = referer {
            request = request.header(header::REFERER, referer);
        }
        let request = request.body(Body::from(form)).expect("a request");
        let answer = house.router.clone().oneshot(request).await.expect("an answer");
        let row = house.access.store().audit(&AuditFilter::default(), 1).remove(0);
        (answer.status().as_u16(), row.target, row.result)
    };
    for referer in [None, Some(FORGED), Some("http://127.0.0.1:3000/services/vllm")] {
        let (_, target, result) = call("text/html", referer, "service=vllm&on=true").await;
        assert_eq!((target.as_str(), result.as_str()), ("vllm", "done"), "{referer:?}");
        let (status, target, result) = call("text/html", referer, "service=nobody&on=true").await;
        assert_eq!((status / 100, target.as_str()), (3, "nobody"), "{referer:?}");
        assert!(result.starts_with("refused: ") && result.contains("nobody"), "{referer:?}: {result}");
    }
    let json = "application/json";
    assert_eq!(call(json, None, "service=vllm&on=true").await, (200, "vllm".to_owned(), "done".to_owned()));
    assert_eq!(call(json, None, "service=nobody&on=true").await.0, 404);
    let (status, _, result) = call(json, None, "x=1").await;
    assert!(status == 400 && result.contains("service"), "{status} {result}");
    house.fleet.shut_down().await;
}

/// Where nothing was done, nothing is written down; what viewers and operators do has a rate, and drives out nothing of what
/// administrators did.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_fills_the_audit_with_nothing() {
    let house = house().await;
    let admin = house.account("root", Role::Admin).await;
    let viewer = house.account("eve", Role::Viewer).await;
    let eve = house.access.accounts().into_iter().find(|a| a.name == "eve").expect("there").id;
    let now = Timestamp::now();
    let token = house.access.add_token(eve, Role::Viewer, "t", Role::Viewer, 9, now).expect("made");
    let bearer = format!("Bearer {token}");
    let rows = || house.access.store().audit(&AuditFilter::default(), 10_000);
    let before = rows().len();
    let out = Asked { bearer: Some(&bearer), ..asked(&Method::POST, "/logout") };
    let end = Asked { cookie: Some(&viewer), ..asked(&Method::POST, "/account/sessions") };
    for _ in 0..50 {
        assert_eq!(house.ask(out).await.0, StatusCode::SEE_OTHER);
        assert!(house.form(end, "end=others").await.0.is_redirection());
    }
    assert_eq!(rows().len(), before, "nothing was done");
    // What is done is written down, and has a rate: a token is made and removed, over and over.
    let other = house.account("bob", Role::Operator).await;
    let bob = house.access.accounts().into_iter().find(|a| a.name == "bob").expect("there").id;
    let form = Asked { cookie: Some(&other), ..asked(&Method::POST, "/account/tokens") };
    let (mut done, mut refused) = (0, 0);
    for round in 0..300 {
        let made = house.form(form, &format!("name=x{round}&role=viewer&days=1")).await.0;
        if made == StatusCode::TOO_MANY_REQUESTS {
            refused += 1;
            continue;
        }
        let token = house.access.tokens(Some(bob), now).into_iter().find(|it| it.name.starts_with('x'));
        let id = token.expect("made").id;
        let removed = house.form(form, &format!("remove={id}")).await.0;
        done += 1 + usize::from(removed != StatusCode::TOO_MANY_REQUESTS);
        if removed == StatusCode::TOO_MANY_REQUESTS {
            house.access.remove_token(id, Some(bob)).expect("removed");
        }
    }
    let by_bob = rows().iter().filter(|row| row.who == "bob" && row.result == "done").count();
    assert_eq!(by_bob, done, "all that was done");
    assert!((120..300).contains(&done) && refused > 0, "120 at once, then a few: {done}, {refused} refused");
    assert_eq!(
        house.ask(Asked { cookie: Some(&admin), ..asked(&Method::POST, "/logout") }).await.0,
        StatusCode::SEE_OTHER
    );
    assert_eq!(rows()[0].who, "root", "what an administrator does is always written down");
    house.fleet.shut_down().await;
}

/// No link makes the dashboard say something of its own, or ask for a confirmation.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_address_says_is_not_shown() {
    let house = house().await;
    let admin = house.account("root", Role::Admin).await;
    let get = |path| Asked { cookie: Some(&admin), accept: Some("text/html"), ..asked(&Method::GET, path) };
    // {"error":"requests-running","running":7}, {"error":"file","detail":"PWNED"}
    for path in [
        "/?__err=eyJlcnJvciI6InJlcXVlc3RzLXJ1bm5pbmciLCJydW5uaW5nIjo3fQ%3D%3D",
        "/?__err=eyJlcnJvciI6ImZpbGUiLCJkZXRhaWwiOiJQV05FRCJ9",
        "/services/vllm?__path=/api/fn/command&__err=eyJlcnJvciI6ImZpbGUiLCJkZXRhaWwiOiJQV05FRCJ9",
        "/?told=PWNED",
        "/account?said=password",
        "/account?told=PWNED",
        "/accounts?said=ended-7",
    ] {
        let plain = house.ask(get(path.split('?').next().expect("a path"))).await.2;
        let said = house.ask(get(path)).await.2;
        assert!(!said.contains("PWNED"), "{path}");
        for sign in ["role=\"alert\"", "role=\"status\"", "confirmed", "anyway"] {
            assert_eq!(said.matches(sign).count(), plain.matches(sign).count(), "{path}: {sign}");
        }
    }
    // After a form of one's own it is said once, and to nobody else.
    let form =
        Asked { cookie: Some(&admin), accept: Some("text/html"), ..asked(&Method::POST, "/api/fn/command") };
    let (status, response, _) = house.form(form, "service=nobody&verb=start").await;
    assert!(status.is_redirection(), "{status}");
    let to = response.headers()[header::LOCATION].to_str().expect("text").to_owned();
    assert!(to.contains("told=") && !to.contains("__err"), "{to}");
    let other = house.account("eve", Role::Viewer).await;
    let theirs = house.ask(Asked { cookie: Some(&other), ..get(&to) }).await.2;
    assert!(!theirs.contains("nobody"), "not theirs");
    assert!(house.ask(get(&to)).await.2.contains("nobody"), "once");
    assert!(!house.ask(get(&to)).await.2.contains("nobody"), "and not again");
    house.fleet.shut_down().await;
}

/// A neighbour on the same host may set a cookie of the same name: it signs nobody out.
#[tokio::test(flavor = "multi_thread")]
async fn of_several_cookies_with_the_sessions_name_each_is_tried() {
    let house = house().await;
    let admin = house.account("root", Role::Admin).await;
    let name = admin.split('=').next().expect("a name");
    for cookies in [
        format!("{name}=tossed; {admin}"),
        format!("{admin}; {name}=tossed"),
        format!("{name}=; {name}=%00; {admin}; x=y"),
    ] {
        let asks = Asked { cookie: Some(&cookies), ..asked(&Method::GET, "/api/services") };
        assert_eq!(house.ask(asks).await.0, StatusCode::OK, "{cookies}");
    }
    let many = format!("{}{admin}", format!("{name}=x; ").repeat(60));
    let asks = Asked { cookie: Some(&many), ..asked(&Method::GET, "/api/services") };
    assert_eq!(house.ask(asks).await.0, StatusCode::UNAUTHORIZED, "a few are looked at");
    let both = format!("{name}=tossed; {admin}");
    house.ask(Asked { cookie: Some(&both), ..asked(&Method::POST, "/logout") }).await;
    let after = house.ask(Asked { cookie: Some(&admin), ..asked(&Method::GET, "/api/services") }).await;
    assert_eq!(after.0, StatusCode::UNAUTHORIZED, "signed out, whatever came first");
    house.fleet.shut_down().await;
}

/// Answers of the API are about this moment and this caller, and refusals of any kind are problems.
#[tokio::test(flavor = "multi_thread")]
async fn answers_are_not_kept_and_refusals_of_programs_are_problems() {
    let house = house().await;
    let admin = house.account("root", Role::Admin).await;
    for (method, path, _) in house.addresses() {
        if path == "/logout" || path == "/favicon.svg" || path.starts_with("/account") {
            continue;
        }
        let (status, response, body) =
            house.ask(Asked { cookie: Some(&admin), ..asked(&method, &path) }).await;
        let kept = response.headers().get(header::CACHE_CONTROL).and_then(|v| v.to_str().ok()).unwrap_or("");
        assert!(kept.contains("no-store"), "{method} {path}: {kept:?}");
        if path.starts_with("/api/") && (status.is_client_error() || status.is_server_error()) {
            let kind = response.headers().get(header::CONTENT_TYPE).expect("a kind").to_str().expect("text");
            assert!(kind.contains("json"), "{method} {path}: {status} {kind} {body}");
        }
    }
    for path in ["/api/log-level", "/api/fn/command", "/api/fn/adopt"] {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::HOST, "127.0.0.1:3000")
            .header(header::COOKIE, &admin)
            .header(header::CONTENT_TYPE, "text/plain")
            .body(Body::from("x"))
            .expect("a request");
        let answer = house.router.clone().oneshot(request).await.expect("an answer");
        assert!(answer.status().is_client_error(), "{path}: {}", answer.status());
        assert!(answer.headers()[header::CONTENT_TYPE].to_str().expect("text").contains("json"), "{path}");
    }
    house.fleet.shut_down().await;
}

/// A service may have any name that its settings allow: no address of ours is in its way.
#[test]
fn no_address_takes_a_services_name_away() {
    let rules = routes().done().1;
    let all: Vec<Vec<&str>> = rules.all().map(|(_, route, _)| route.split('/').collect()).collect();
    for named in &all {
        for at in (0..named.len()).filter(|at| named[*at] == "{name}") {
            let rival = all.iter().find(|other| {
                other.len() > at
                    && other[..at] == named[..at]
                    && other[at] != "{name}"
                    && app::model::ServiceName::parse(other[at]).is_ok()
            });
            assert_eq!(rival, None, "beside {named:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_there_is_an_account_everything_leads_to_the_set_up() {
    let house = house().await;
    let page = house.ask(Asked { accept: Some("text/html"), ..asked(&Method::GET, "/") }).await;
    assert_eq!(page.0, StatusCode::SEE_OTHER);
    assert_eq!(page.1.headers()[header::LOCATION], "/setup");
    let (status, _, body) = house.ask(asked(&Method::GET, "/api/services")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(body.contains("server user add"), "{body}");
    assert_eq!(house.ask(asked(&Method::GET, "/healthz")).await.0, StatusCode::OK);
    house.fleet.shut_down().await;
}
