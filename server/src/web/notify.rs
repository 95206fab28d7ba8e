//! The part Notifications: who is told, how the last message fared, a test for each.

use super::parts::{Part, fragment, reply};
use super::{Site, page};
use app::Route;
use app::api::Need;
use app::locales::Lang;
use app::parts::view::{NotifyRow, NotifyView, Tested};
use axum::Form;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

/// The part as it is now.
pub(super) fn written(site: &Site, tested: Option<Tested>, lang: Lang) -> Part {
    let rows = site.notifier.iter().flat_map(|notifier| {
        notifier.targets().iter().map(|target| {
            let known = notifier.board().of(&target.name);
            NotifyRow {
                name: target.name.clone(),
                place: target.address.to_string(),
                preset: target.preset.as_str(),
                floor: target.floor.as_str(),
                signed: target.secret.is_some(),
                last: known.last.map(|(at, outcome)| (at, outcome.err().map(|why| why.to_string()))),
                waiting: known.waiting,
            }
        })
    });
    let may_test = site.caller().check(Need::Administer).is_ok();
    let view = NotifyView { rows: rows.collect(), tested, may_test };
    ("notify".to_owned(), app::parts::notify(&view, lang))
}

/// `GET /parts/notify`
pub async fn part(site: Site, headers: HeaderMap) -> Response {
    fragment(&written(&site, None, page::language(&headers)))
}

/// The form of a test.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    #[serde(default)]
    target: String,
}

/// `POST /parts/notify/test`: sends a test, and shows what came of it.
pub async fn test(site: Site, headers: HeaderMap, Form(wanted): Form<Wanted>) -> Response {
    let outcome = match &site.notifier {
        Some(notifier) => notifier.test(&wanted.target).await,
        None => None,
    };
    let tested = outcome
        .map(|outcome| Tested { name: wanted.target, trouble: outcome.err().map(|why| why.to_string()) });
    let part = written(&site, tested, page::language(&headers));
    reply(site, headers, Route::Services, part).await
}
