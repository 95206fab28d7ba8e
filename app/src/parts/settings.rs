//! The form Configuration: fields with what they are and where they come from, what they come to, and what was before.

use super::view::{CheckedView, FieldView, HistoryView, News, SecretView, SettingsView};
use crate::locales::{Lang, PartWords};
use crate::model::{Origin, PendingChange, Timestamp};
use leptos::prelude::*;

/// Fields that stand open; the others are on demand.
const FIRST: [&str; 5] =
    ["VLLM_API_URL", "VLLM_MODEL_NAME", "CUDA_VISIBLE_DEVICES", "GPU_MEMORY_UTILIZATION", "VLLM_MODEL"];

/// A moment as people write it; the server does not know where they are.
pub fn moment(at: Timestamp) -> String {
    let mut text = at.to_string().replace('T', " ");
    text.truncate(16);
    text.push_str(" UTC");
    text
}

/// The same to the second.
pub fn exact(at: Timestamp) -> String {
    let mut text = at.to_string().replace('T', " ");
    text.truncate(19);
    text.push_str(" UTC");
    text
}

/// The whole form.
pub fn form(view: &SettingsView, lang: Lang) -> AnyView {
    let words = lang.part_words();
    let title = format!("settings-{}", view.service);
    let at = |what: &str| crate::at(format!("/parts/settings/{}{what}", view.service));
    let (first, more): (Vec<_>, Vec<_>) = view.fields.iter().partition(|f| FIRST.contains(&f.name));
    let row = |f: &FieldView| field(view, f, words);
    let more_open =
        more.iter().any(|f| f.wrong) || view.news.as_ref().is_some_and(|n| matches!(n, News::Filled { .. }));
    let id = format!("more-{}", view.service);
    let adopted = view.adopted.then(|| view! { <p class="caution">{words.adopted}</p> });
    view! {
        <section class="panel settings">
            <h2 id=title.clone()>{words.configuration}</h2>
            {adopted}
            {news(view, words)}
            <form method="post" action=at("") data-check=at("/check") aria-labelledby=title>
                <input type="hidden" name="base" value=view.base.clone()/>
                <div class="fields">{first.into_iter().map(row).collect::<Vec<_>>()}</div>
                <details id=id open=more_open>
                    <summary>{words.more_settings}</summary>
                    <div class="fields">
                        {more.into_iter().map(row).collect::<Vec<_>>()}
                        {view.secrets.iter().map(|s| secret(view, s, words)).collect::<Vec<_>>()}
                    </div>
                </details>
                <div class="checked" data-checked="" aria-live="polite">{checked(&view.checked, lang)}</div>
                <button type="submit" class="save">{words.save}</button>
            </form>
            {paste(view, words)}
            {history(view, words)}
        </section>
    }
    .into_any()
}

fn news(view: &SettingsView, words: &PartWords) -> Option<AnyView> {
    let it = view.news.as_ref()?;
    let (class, text) = match it {
        News::Saved { running } => ("good", (words.saved)(*running).to_owned()),
        News::Unchanged => ("quiet", words.unchanged.to_owned()),
        News::Conflict { .. } => ("bad", words.conflict.to_owned()),
        News::Wrong => ("bad", words.wrong.to_owned()),
        News::Refused(error) => ("bad", (words.error)(error)),
        News::Filled { .. } => ("note", words.filled.to_owned()),
        News::NotUnderstood(why) => ("bad", (words.misread)(why)),
    };
    // What waits for a person is not taken away under him.
    let hold = (!matches!(it, News::Saved { .. } | News::Unchanged)).then_some("");
    let more = match it {
        News::Conflict { changes } => Some(diff(changes, words)),
        News::Filled { left_out } if !left_out.is_empty() => {
            let rows: Vec<_> = left_out
                .iter()
                .map(|(what, why)| {
                    let why = (words.why_left_out)(*why);
                    view! { <li><code>{what.clone()}</code> " " {why}</li> }
                })
                .collect();
            Some(view! { <p>{words.left_out}</p><ul class="left-out">{rows}</ul> }.into_any())
        }
        _ => None,
    };
    Some(
        view! {
            <div class=format!("news {class}") role="group" tabindex="-1" data-focus="" data-hold=hold>
                <p>{text}</p>
                {more}
            </div>
        }
        .into_any(),
    )
}

fn field(view: &SettingsView, it: &FieldView, words: &PartWords) -> AnyView {
    let id = format!("{}-{}", view.service, it.name.trim_start_matches('-'));
    let (hint, list) = (format!("{id}-hint"), format!("{id}-list"));
    let origin = match it.origin {
        Origin::Default => None,
        ref other => Some(view! { <span class="origin">{(words.set_by)(other)}</span> }),
    };
    let own = it.default.is_empty() || it.default == it.value;
    let default = if own { String::new() } else { (words.default_is)(&it.default) };
    let help = format!("{} {default}", (words.help)(it.name));
    let invalid = it.wrong.then_some("true");
    let area = matches!(it.name, "args" | "--lora-modules");
    let input = if area {
        view! {
            <textarea
                id=id.clone()
                name=it.name
                rows="2"
                spellcheck="false"
                readonly=it.read_only
                aria-describedby=hint.clone()
                aria-invalid=invalid
            >
                {escaped(&it.value)}
            </textarea>
        }
        .into_any()
    } else {
        let kind = if it.name == "GPU_MEMORY_UTILIZATION" { Some("decimal") } else { None };
        view! {
            <input
                id=id.clone()
                name=it.name
                value=it.value.clone()
                placeholder=it.default.clone()
                list=(!it.choices.is_empty() || it.name == "CUDA_VISIBLE_DEVICES").then(|| list.clone())
                inputmode=kind
                autocomplete="off"
                spellcheck="false"
                readonly=it.read_only
                aria-describedby=hint.clone()
                aria-invalid=invalid
            />
        }
        .into_any()
    };
    let choices = (!it.choices.is_empty() || it.name == "CUDA_VISIBLE_DEVICES").then(|| {
        let devices: Vec<_> = view
            .devices
            .iter()
            .filter(|_| it.name == "CUDA_VISIBLE_DEVICES")
            .map(|d| {
                let label = format!("{}: {}", d.name, (words.free)(d.free_bytes));
                view! { <option value=d.index.to_string()>{label}</option> }
            })
            .collect();
        let all: Vec<_> = it.choices.iter().map(|c| view! { <option value=c.clone()></option> }).collect();
        view! { <datalist id=list>{devices} {all}</datalist> }
    });
    view! {
        <div class="field">
            <label for=id>{(words.label)(it.name)}</label>
            {origin}
            {input}
            {choices}
            <p class="hint" id=hint>
                {help}
            </p>
        </div>
    }
    .into_any()
}

/// Text for the inside of a `<textarea>`, which the renderer writes as it is.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn secret(view: &SettingsView, it: &SecretView, words: &PartWords) -> AnyView {
    let id = format!("{}-{}", view.service, it.name);
    let hint = format!("{id}-hint");
    let state = if it.set { words.secret_set } else { words.secret_not_set };
    let state =
        if it.read_only { format!("{state}, {}", (words.set_by)(&it.origin)) } else { state.to_owned() };
    let remove = (it.set && !it.read_only).then(|| {
        view! {
            <label class="tick">
                <input type="checkbox" name=format!("{}-remove", it.name) value="1"/>
                {words.secret_remove}
            </label>
        }
    });
    view! {
        <div class="field">
            <label for=id.clone()>{it.name}</label>
            <span class="origin">{state}</span>
            <input
                id=id
                name=it.name
                type="password"
                autocomplete="new-password"
                placeholder=if it.set { words.secret_keep } else { "" }
                readonly=it.read_only
                aria-describedby=hint.clone()
            />
            {remove}
            <p class="hint" id=hint>
                {(words.help)(it.name)}
            </p>
        </div>
    }
    .into_any()
}

/// What the values come to: what is wrong, what changes, whether it fits, the command.
pub fn checked(it: &CheckedView, lang: Lang) -> AnyView {
    let words = lang.part_words();
    let list = |class: &'static str, rows: Vec<String>| {
        (!rows.is_empty()).then(|| {
            let rows: Vec<_> = rows.into_iter().map(|r| view! { <li>{r}</li> }).collect();
            view! { <ul class=class>{rows}</ul> }
        })
    };
    let mut changes = it.changes.clone();
    changes.extend(it.secrets.iter().map(|name| PendingChange {
        name: name.clone(),
        running: None,
        next: Some((words.secret_changed)(name)),
    }));
    let changes = (!changes.is_empty()).then(|| {
        view! {
            <p class="hint">{words.changes}</p>
            {diff(&changes, words)}
        }
    });
    let command = it.command.clone().map(|text| {
        view! {
            <p class="hint">{words.command}</p>
            <pre class="command mono" tabindex="0" role="group" aria-label=words.command>
                {text}
            </pre>
        }
    });
    let plan = it.plan.as_ref().map(|plan| view! { <p class="hint">{(words.plan)(plan)}</p> });
    view! {
        {list("troubles", it.troubles.iter().map(words.trouble).collect())}
        {list("remarks", it.remarks.iter().map(words.remark).collect())}
        {plan}
        {changes}
        {command}
    }
    .into_any()
}

/// Before beside after.
pub fn diff(all: &[PendingChange], words: &PartWords) -> AnyView {
    diff_under(all, [words.was, words.will_be], words)
}

/// What differs between two sides, under what each is called.
pub fn diff_under(all: &[PendingChange], sides: [&str; 2], words: &PartWords) -> AnyView {
    let sides = sides.map(str::to_owned);
    let rows: Vec<_> = all
        .iter()
        .map(|it| {
            let text = |value: &Option<String>| value.clone().unwrap_or_else(|| words.nothing.to_owned());
            view! {
                <tr>
                    <th scope="row" class="mono">{it.name.clone()}</th>
                    <td><del>{text(&it.running)}</del></td>
                    <td><ins>{text(&it.next)}</ins></td>
                </tr>
            }
        })
        .collect();
    view! {
        <table class="changes">
            <thead>
                <tr>
                    <th></th>
                    {sides.map(|side| view! { <th scope="col">{side}</th> }).collect_view()}
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

fn paste(view: &SettingsView, words: &PartWords) -> AnyView {
    let (id, at) =
        (format!("paste-{}", view.service), crate::at(format!("/parts/settings/{}/paste", view.service)));
    let open = !view.pasted.is_empty();
    let field = format!("{id}-text");
    view! {
        <details id=id open=open>
            <summary>{words.paste}</summary>
            <form method="post" action=at class="paste">
                <label for=field.clone()>{words.paste_hint}</label>
                <textarea id=field name="command" rows="3" class="mono" spellcheck="false">
                    {escaped(&view.pasted)}
                </textarea>
                <button type="submit">{words.fill}</button>
            </form>
        </details>
    }
    .into_any()
}

fn history(view: &SettingsView, words: &PartWords) -> AnyView {
    let at = crate::at(format!("/parts/settings/{}/restore", view.service));
    let good = view.history.iter().find(|h| h.last_good).map(|h| {
        view! {
            <form method="post" action=at.clone() class="back-to-good">
                <input type="hidden" name="id" value=h.id.to_string()/>
                <button type="submit">{words.back_to_good}</button>
                <span class="hint">{h.ready.map(|at| (words.became_ready)(&moment(at)))}</span>
            </form>
        }
    });
    let rows: Vec<_> = view.history.iter().map(|it| earlier(it, &at, words)).collect();
    let list = if rows.is_empty() {
        view! { <p class="hint">{words.history_empty}</p> }.into_any()
    } else {
        view! { <ol class="history">{rows}</ol> }.into_any()
    };
    view! {
        {good}
        <details id=format!("history-{}", view.service)>
            <summary>{words.history}</summary>
            {list}
        </details>
    }
    .into_any()
}

fn earlier(it: &HistoryView, at: &str, words: &PartWords) -> AnyView {
    let mut said = vec![moment(it.at), (words.who_name)(&it.who)];
    said.extend(it.ready.map(|at| (words.became_ready)(&moment(at))));
    said.extend(it.current.then(|| words.current.to_owned()));
    let changes = if it.changes.is_empty() && it.secrets.is_empty() {
        view! { <p class="hint">{words.first_seen}</p> }.into_any()
    } else {
        let mut all = it.changes.clone();
        all.extend(it.secrets.iter().map(|name| PendingChange {
            name: name.clone(),
            running: None,
            next: Some((words.secret_changed)(name)),
        }));
        diff(&all, words)
    };
    let restore = (!it.current).then(|| {
        view! {
            <form method="post" action=at.to_owned()>
                <input type="hidden" name="id" value=it.id.to_string()/>
                <button type="submit">{words.restore}</button>
            </form>
        }
    });
    view! {
        <li>
            <p class="hint">{said.join(" · ")}</p>
            {changes}
            {restore}
        </li>
    }
    .into_any()
}
