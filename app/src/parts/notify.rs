//! The part Notifications: the targets of webhooks, and the switch of this browser's own.

use super::settings::moment;
use super::view::{NotifyRow, NotifyView};
use crate::at;
use crate::locales::{Lang, NotifyWords};
use leptos::prelude::*;

/// The part.
pub fn table(view: &NotifyView, lang: Lang) -> AnyView {
    let words = lang.notify_words();
    let tested = view.tested.as_ref().map(|it| match &it.trouble {
        None => view! { <p class="news good" tabindex="-1" data-focus="">{(words.test_sent)(&it.name)}</p> }.into_any(),
        Some(why) => {
            view! { <p class="news bad" tabindex="-1" data-focus="">{(words.test_not_sent)(&it.name, why)}</p> }.into_any()
        }
    });
    let targets = if view.rows.is_empty() {
        view! { <p class="hint">{words.no_targets}</p> }.into_any()
    } else {
        let rows: Vec<_> = view.rows.iter().map(|it| row(it, view.may_test, words)).collect();
        view! {
            <div class="table-frame" tabindex="0" role="region" aria-labelledby="notify-title">
                <table aria-labelledby="notify-title">
                    <thead>
                        <tr>
                            <th scope="col">{words.target}</th>
                            <th scope="col">{words.last}</th>
                            <th></th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        }
        .into_any()
    };
    view! {
        <section class="panel notify" aria-labelledby="notify-title">
            <h2 id="notify-title">{words.title}</h2>
            {tested}
            {targets}
            <div class="browser">
                <h3>{words.browser}</h3>
                <p class="hint no-script">{words.browser_no_script}</p>
                <p class="hint insecure">{words.browser_insecure}</p>
                <p class="hint denied">{words.browser_denied}</p>
                <button type="button" class="off" data-notify-switch="">{words.browser_on}</button>
                <button type="button" class="on" data-notify-switch="">{words.browser_off}</button>
            </div>
        </section>
    }
    .into_any()
}

fn row(it: &NotifyRow, may_test: bool, words: &NotifyWords) -> AnyView {
    let last = match &it.last {
        None => words.never.to_owned(),
        Some((at, None)) => format!("{} {}", moment(*at), words.sent),
        Some((at, Some(why))) => format!("{} {}", moment(*at), (words.not_sent)(why)),
    };
    let waiting = (it.waiting > 0).then(|| format!(", {}", (words.waiting)(it.waiting)));
    let signed = if it.signed { format!(", {}", words.signed) } else { String::new() };
    let form = format!("{}{signed}, {}", it.preset, (words.floor)(it.floor));
    let test = may_test.then(|| {
        view! {
            <form method="post" action=at("/parts/notify/test")>
                <input type="hidden" name="target" value=it.name.clone()/>
                <button type="submit" aria-label=format!("{} {}", words.send_test, it.name)>{words.send_test}</button>
            </form>
        }
    });
    view! {
        <tr>
            <th scope="row">
                {it.name.clone()}
                <span class="mono quiet">{it.place.clone()}</span>
                <span class="quiet">{form}</span>
            </th>
            <td>{last}{waiting}</td>
            <td>{test}</td>
        </tr>
    }
    .into_any()
}
