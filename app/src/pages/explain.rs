//! A log from anywhere, pasted or dropped, explained. A plain form: it needs no script.

use crate::at;
use crate::components::dynamic::nothing;
use crate::components::failure::{evidence, remedies};
use crate::live::World;
use crate::model::{Cause, Explained, ExplainedPhase};
use leptos::prelude::*;

/// The page.
pub fn explain(world: World, explained: Option<Explained>) -> AnyView {
    let words = world.words;
    let result = explained.map_or_else(nothing, |it| result(world, &it));
    view! {
        <main class="explain">
            <p class="back"><a href=at("/")>{words.home}</a></p>
            {result}
            <section class="panel" aria-labelledby="explain-title">
                <h2 id="explain-title">{words.explain}</h2>
                <p class="quiet">{words.explain_hint}</p>
                <form method="post" action=at("/explain") enctype="multipart/form-data">
                    <label>
                        <span>{words.explain_log}</span>
                        <textarea name="log" rows="12" class="mono" spellcheck="false"></textarea>
                    </label>
                    <label>
                        <span>{words.explain_file}</span>
                        <input type="file" name="file"/>
                    </label>
                    <button type="submit">{words.explain_button}</button>
                </form>
            </section>
        </main>
    }
    .into_any()
}

fn result(world: World, it: &Explained) -> AnyView {
    let words = world.words;
    let mut parts = vec![view! { <p class="outcome">{(words.outcome)(it.outcome)}</p> }.into_any()];
    if let Some(diagnosis) = &it.diagnosis {
        let class = if diagnosis.cause == Cause::Unknown { "quiet" } else { "what" };
        parts.push(view! { <p class=class>{(words.cause)(diagnosis)}</p> }.into_any());
        parts.push(evidence(words.evidence, &diagnosis.evidence));
        parts.push(remedies(world, diagnosis, None, RwSignal::new(None)));
    }
    if !it.phases.is_empty() {
        parts.push(phases(world, &it.phases));
    }
    view! {
        <section class="panel explained" aria-label=words.explain_result role="region">
            {parts}
        </section>
    }
    .into_any()
}

fn phases(world: World, all: &[ExplainedPhase]) -> AnyView {
    let words = world.words;
    let rows: Vec<_> = all
        .iter()
        .map(|it| {
            view! {
                <li class="done" data-phase=it.phase.id()>
                    <span class="mark" aria-hidden="true"></span>
                    <span class="name">{(words.phase)(it.phase)}</span>
                    <span class="took">{it.took_ms.map(words.span)}</span>
                    <span class="usual"></span>
                </li>
            }
            .into_any()
        })
        .collect();
    view! { <div class="phases"><ol aria-label=words.phases>{rows}</ol></div> }.into_any()
}
