//! The table Requests: what the log of a run says of each.

use super::settings::exact;
use super::view::{FateView, RequestRow, RequestsView};
use crate::at;
use crate::locales::{Lang, PartWords, Words};
use leptos::prelude::*;

/// The table, or the offer to read the log for it.
pub fn table(view: &RequestsView, lang: Lang) -> AnyView {
    let (words, page) = (lang.part_words(), lang.words());
    let at = crate::at(format!("/parts/requests/{}", view.service));
    let content = match view {
        RequestsView { read: false, .. } => view! { <p class="hint">{words.requests_hint}</p> }.into_any(),
        RequestsView { run: None, .. } => view! { <p class="hint">{words.requests_no_run}</p> }.into_any(),
        RequestsView { run: Some(_), rows, .. } if rows.is_empty() => {
            view! { <p class="hint">{words.requests_none}</p> }.into_any()
        }
        RequestsView { run: Some(run), .. } => rows(view, *run, words, page),
    };
    let field = format!("requests-of-{}", view.service);
    let choice = (view.runs.len() > 1).then(|| {
        let options: Vec<_> = view
            .runs
            .iter()
            .map(|(run, began)| {
                let text = format!("{}, {}", (words.run_n)(*run), exact(*began));
                let chosen = view.run == Some(*run);
                view! { <option value=run.to_string() selected=chosen>{text}</option> }
            })
            .collect();
        view! {
            <label for=field.clone()>{words.run}</label>
            <select id=field name="run">{options}</select>
        }
    });
    let ask = if view.read { words.requests_again } else { words.requests_read };
    view! {
        <section class="panel requests" aria-labelledby="requests-title">
            <details id=format!("requests-{}", view.service) open=view.read>
                <summary>
                    <h2 id="requests-title">{page.requests}</h2>
                </summary>
                {content}
                <form method="post" action=at aria-labelledby="requests-title">
                    <div class="run-actions">{choice} <button type="submit">{ask}</button></div>
                </form>
            </details>
        </section>
    }
    .into_any()
}

fn rows(view: &RequestsView, run: u64, words: &PartWords, page: &'static Words) -> AnyView {
    let shown = view.rows.len() as u64;
    let rows: Vec<_> = view.rows.iter().map(|it| row(view, run, it, words, page)).collect();
    let no_ends = (!view.ends).then(|| view! { <p class="caution">{words.requests_no_ends}</p> });
    view! {
        <p class="hint" id="requests-about" tabindex="-1" data-focus="">
            {(words.requests_of)(run, shown, view.all)}
        </p>
        {no_ends}
        <div class="table-frame" tabindex="0" role="group" aria-labelledby="requests-title">
            <table role="table" aria-labelledby="requests-title" aria-describedby="requests-about">
                <thead role="rowgroup">
                    <tr role="row">
                        <th scope="col" role="columnheader">{words.request}</th>
                        <th scope="col" role="columnheader">{words.request_at}</th>
                        <th scope="col" role="columnheader">{words.request_state}</th>
                        <th scope="col" role="columnheader">{words.request_took}</th>
                        <th scope="col" role="columnheader">{words.request_tokens}</th>
                        <th scope="col" role="columnheader">{words.request_parameters}</th>
                    </tr>
                </thead>
                <tbody role="rowgroup">{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn row(view: &RequestsView, run: u64, it: &RequestRow, words: &PartWords, page: &'static Words) -> AnyView {
    let class = match it.fate {
        FateView::Finished(_) => "fit good",
        FateView::Aborted | FateView::Failed(_) => "fit bad",
        FateView::Received | FateView::Added => "fit quiet",
    };
    let nothing = || words.nothing.to_owned();
    let mut parameters: Vec<String> =
        it.parameters.iter().map(|(name, value)| format!("{name} {value}")).collect();
    parameters.extend(it.adapter.as_ref().map(|name| format!("LoRA {name}")));
    let parameters = if parameters.is_empty() { nothing() } else { parameters.join(", ") };
    view! {
        <tr role="row">
            <th scope="row" role="rowheader">
                <a
                    class="mono"
                    href=at(format!("/services/{}?run={run}&line={}", view.service, it.line))
                    title=words.request_open
                >
                    {it.id.clone()}
                </a>
            </th>
            <td role="cell" data-label=words.request_at>
                <time datetime=it.at.to_string() title=it.at.to_string()>{exact(it.at)}</time>
            </td>
            <td role="cell" data-label=words.request_state>
                <span class=class>{(words.request_fate)(&it.fate, view.live, view.ends)}</span>
            </td>
            <td role="cell" data-label=words.request_took>{it.took_ms.map_or_else(nothing, page.span)}</td>
            <td role="cell" data-label=words.request_tokens>
                {(words.request_in_out)(it.prompt_tokens, it.output_tokens)}
            </td>
            <td role="cell" data-label=words.request_parameters>{parameters}</td>
        </tr>
    }
    .into_any()
}
