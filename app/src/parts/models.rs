//! The table Supported models: what can be served here, whether it fits, how fast it is, and the button that fills it in.

use super::images::asking;
use super::settings::moment;
use super::view::{Fit, ModelRow, ModelsView, Speed};
use crate::locales::{Lang, PartWords};
use leptos::prelude::*;

/// The table.
pub fn table(view: &ModelsView, lang: Lang) -> AnyView {
    let words = lang.part_words();
    let at = view.service.as_ref().map(|name| crate::at(format!("/parts/settings/{name}/use")));
    let rows: Vec<_> = view.rows.iter().map(|it| row(view, it, at.as_ref(), words)).collect();
    let about = match &view.device {
        Some(device) => (words.models_for)(&view.title, &device.name, &view.share),
        None => words.models_no_gpu.to_owned(),
    };
    let free = view.free_bytes.map(|free| view! { <p class="hint">{(words.free)(free)}</p> });
    let freed = view
        .freed
        .map(|freed| view! { <p class="news good" tabindex="-1" data-focus="">{(words.freed)(freed)}</p> });
    let refused = view.refused.as_ref().map(|detail| {
        view! { <p class="news bad" tabindex="-1" data-focus="">{(words.refused)(detail)}</p> }
    });
    let troubles: Vec<_> =
        view.troubles.iter().map(|t| view! { <p class="caution">{t.clone()}</p> }).collect();
    view! {
        <section class="panel models" aria-labelledby="models-title">
            <h2 id="models-title">{words.models}</h2>
            <p class="hint" id="models-about">
                {about}
            </p>
            {freed}
            {refused}
            {view.asking.as_ref().map(|a| asking(a, "/parts/cache/delete", words))}
            <div class="table-frame" tabindex="0" role="region" aria-labelledby="models-title">
                <table aria-labelledby="models-title" aria-describedby="models-about">
                    <thead>
                        <tr>
                            <th scope="col">{words.model}</th>
                            <th scope="col">{words.size}</th>
                            <th scope="col">{words.vram}</th>
                            <th scope="col">{words.speed}</th>
                            <th scope="col">{words.fit}</th>
                            <th scope="col">{words.disk}</th>
                            <th></th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
            {troubles}
            {free}
        </section>
    }
    .into_any()
}

fn row(view: &ModelsView, it: &ModelRow, at: Option<&String>, words: &PartWords) -> AnyView {
    let licence = it.licence.as_ref().map(|(id, address)| {
        view! { <a href=address.clone() target="_blank" rel="noopener noreferrer">{id.clone()}</a> }
    });
    let mut about: Vec<String> = Vec::new();
    about.extend(it.adapter_of.as_deref().map(words.adapter_of));
    about.extend(it.quantization.clone());
    let token = (words.token)(it.token);
    if !token.is_empty() {
        about.push(token.to_owned());
    }
    let gib = words.gib;
    let vram = it.vram.map(|bytes| {
        let at = it.context.map(words.at_context).unwrap_or_default();
        view! { <span>{gib(bytes)}</span> <span class="hint">{format!("{} {at}", words.estimated)}</span> }
    });
    let published = it.published_vram.map(|bytes| {
        // As it is published: in decimal gigabytes.
        let gb = (bytes + 500_000_000) / 1_000_000_000;
        view! { <span class="hint">{(words.published_gb)(gb)}</span> }
    });
    let fit = match it.fit {
        Fit::Fits => "fit good",
        Fit::Shorter(_) => "fit note",
        Fit::Not(..) | Fit::Held(_) => "fit bad",
        Fit::NoGpu | Fit::Unknown => "fit quiet",
    };
    let disk = it.disk.map(|(bytes, whole)| {
        let text = if whole { gib(bytes) } else { format!("{}, {}", gib(bytes), words.incomplete) };
        view! { <span>{text}</span> }
    });
    let delete = it.deletable.then(|| {
        view! {
            <form method="post" action=crate::at("/parts/cache/delete")>
                <input type="hidden" name="id" value=it.model.clone()/>
                <input type="hidden" name="service" value=view.service.clone()/>
                <button type="submit" aria-label=format!("{} {}", words.remove, it.title)>{words.remove}</button>
            </form>
        }
    });
    let action = match at {
        _ if it.in_use => view! { <span class="hint">{words.in_use}</span> }.into_any(),
        Some(at) if it.usable => view! {
            <form method="post" action=at.clone()>
                <input type="hidden" name="model" value=it.key.clone()/>
                <button type="submit" aria-label=format!("{} {}", words.use_it, it.title)>{words.use_it}</button>
            </form>
        }
        .into_any(),
        _ => ().into_any(),
    };
    view! {
        <tr>
            <th scope="row">
                <span class="model-title">{it.title.clone()}</span>
                <span class="hint mono">{(it.model != it.title).then(|| it.model.clone())}</span>
                <span class="hint">{about.join(" · ")} " " {licence}</span>
            </th>
            <td>{it.parameters.map(words.billions)}</td>
            <td>{vram} {published}</td>
            <td>{it.speed.map(|s| speed(s, words))} {it.published_speed.map(|p| {
                let text = format!("{}, {}", (words.pace)(p), words.published);
                view! { <span class="hint">{text}</span> }
            })}</td>
            <td><span class=fit>{(words.fits)(&it.fit)}</span></td>
            <td>{disk} {delete}</td>
            <td>{action}</td>
        </tr>
    }
    .into_any()
}

fn speed(it: Speed, words: &PartWords) -> AnyView {
    let source = it.measured.map_or_else(|| words.estimated.to_owned(), |at| (words.measured)(&moment(at)));
    let rate = (words.tokens_per_s)(it.low_per_10s, it.high_per_10s);
    view! {
        <span>{(words.pace)(it.pace)}</span>
        <span class="hint">{format!("{rate}, {source}")}</span>
    }
    .into_any()
}
