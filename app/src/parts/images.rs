//! The table Images: what the engine has, who uses it, and what can go.

use super::settings::moment;
use super::view::{Asking, ImageRow, ImagesView};
use crate::at;
use crate::locales::{Lang, PartWords};
use leptos::prelude::*;

/// The table.
pub fn table(view: &ImagesView, lang: Lang) -> AnyView {
    let words = lang.part_words();
    if view.none {
        return ().into_any();
    }
    if view.away {
        return section(words, view! { <p class="hint">{words.images_away}</p> }.into_any());
    }
    if view.rows.is_empty() {
        return section(words, view! { <p class="hint">{words.images_none}</p> }.into_any());
    }
    let rows: Vec<_> = view.rows.iter().map(|it| row(it, words)).collect();
    let refused = view.refused.as_ref().map(|detail| {
        view! { <p class="news bad" tabindex="-1" data-focus="">{(words.refused)(detail)}</p> }
    });
    let freed = view
        .freed
        .map(|freed| view! { <p class="news good" tabindex="-1" data-focus="">{(words.freed)(freed)}</p> });
    let prune = (view.unused.0 > 0 && view.asking.is_none()).then(|| {
        view! {
            <form method="post" action=at("/parts/images/prune")>
                <button type="submit">{(words.prune)(view.unused.0, view.unused.1)}</button>
            </form>
        }
    });
    section(
        words,
        view! {
            {freed}
            {refused}
            {view.asking.as_ref().map(|a| match a {
                Asking::Remove { .. } => asking(a, "/parts/images/remove", words),
                Asking::Prune { .. } => asking(a, "/parts/images/prune", words),
            })}
            <div class="table-frame" tabindex="0" role="region" aria-labelledby="images-title">
                <table aria-labelledby="images-title">
                    <thead>
                        <tr>
                            <th scope="col">{words.image}</th>
                            <th scope="col">{words.size}</th>
                            <th scope="col">{words.built}</th>
                            <th scope="col">{words.used_by}</th>
                            <th></th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
            {prune}
            {view.free_bytes.map(|free| view! { <p class="hint">{(words.free)(free)}</p> })}
        }
        .into_any(),
    )
}

fn section(words: &PartWords, content: AnyView) -> AnyView {
    view! {
        <section class="panel images" aria-labelledby="images-title">
            <h2 id="images-title">{words.images}</h2>
            {content}
        </section>
    }
    .into_any()
}

fn row(it: &ImageRow, words: &PartWords) -> AnyView {
    let id: String = it.id.trim_start_matches("sha256:").chars().take(12).collect();
    let name = if it.tags.is_empty() { format!("{id} ({})", words.untagged) } else { it.tags.join(", ") };
    let used = if it.used_by.is_empty() { words.nobody.to_owned() } else { it.used_by.join(", ") };
    let remove = it.used_by.is_empty().then(|| {
        view! {
            <form method="post" action=at("/parts/images/remove")>
                <input type="hidden" name="id" value=it.id.clone()/>
                <button type="submit" aria-label=format!("{} {name}", words.remove)>{words.remove}</button>
            </form>
        }
    });
    view! {
        <tr>
            <th scope="row" class="mono">{name}</th>
            <td>{(words.gib)(it.bytes)}</td>
            <td>{it.created.map(moment)}</td>
            <td>{used}</td>
            <td>{remove}</td>
        </tr>
    }
    .into_any()
}

/// A question before something is removed: what, and what that frees.
pub fn asking(it: &Asking, to: &'static str, words: &PartWords) -> AnyView {
    let (text, id) = match it {
        Asking::Remove { id, name, bytes } => ((words.ask_remove)(name, *bytes), id.clone()),
        Asking::Prune { ids, names, bytes } => ((words.ask_prune)(names, *bytes), ids.clone()),
    };
    view! {
        <div class="news note" role="group" tabindex="-1" data-focus="" data-hold="">
            <p>{text}</p>
            <form method="post" action=at(to)>
                <input type="hidden" name="id" value=id/>
                <button type="submit" name="confirmed" value="1" class="danger">{words.remove_now}</button>
                <button type="submit" name="confirmed" value="0">{words.cancel}</button>
            </form>
        </div>
    }
    .into_any()
}
