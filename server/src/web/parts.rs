//! The parts of the page that the server alone writes: settings, models, images. `GET /parts/…` gives one, a form of it is
//! posted to an address below it.
//!
//! In: forms. Out: with `X-Part` the part's HTML (and in that header which part it is), without it the whole page with the
//! part as it now is, so that everything works without JavaScript. What is allowed is decided by the supervisor.

use super::problem::Problem;
use super::{Site, page, requests, runs};
use crate::runtime::docker::images::Stored;
use crate::settings::Gpus;
use crate::settings::fields::{self, FIELDS, REST, SECRETS, SecretChange, Values, Wanted, Wrong};
use crate::store::Earlier;
use crate::supervisor::{NotSaved, Outlook};
use crate::vllm::cli::{self, Note, PasteError, QuoteError, Why};
use crate::vllm::models::{self as table, FigureKind, Row, hub};
use app::api::{ApiError, Need};
use app::locales::Lang;
use app::model::{Gpu, ServiceName};
use app::parts::view::{
    Asking, CheckedView, ChosenDevice, DeviceView, FieldView, Fit, HistoryView, ImageRow, ImagesView,
    LeftOut, Misread, ModelRow, ModelsView, News, Pace, Remark, SecretView, SettingsView, Speed, Token,
    Trouble,
};
use app::{Parts, Route};
use axum::Form;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;

type Fields = BTreeMap<String, String>;

/// A rendered part: its address below `/parts/`, and its HTML.
pub(super) type Part = (String, String);

/// All parts of a page, from what is known now.
pub async fn all(site: &Site, only: Option<&ServiceName>, lang: Lang) -> Parts {
    let mut parts = Vec::new();
    let is_vllm = |name: &ServiceName| {
        site.fleet.world().service(name).is_some_and(|s| s.kind == app::model::ServiceKind::Vllm)
    };
    // The runs are those of the log that the page shows.
    let shown = only.cloned().or_else(|| site.fleet.world().services().first().map(|s| s.name.clone()));
    if let Some(name) = &shown {
        parts.push(runs::part(site, name, lang).await);
        parts.extend(is_vllm(name).then(|| requests::part(site, name, lang)));
    }
    // The forms speak of one service: that of the page, or the first of vLLM.
    let main = only.cloned().or_else(|| site.fleet.first_vllm());
    if let Some(name) = main.filter(is_vllm) {
        if site.caller().check(Need::Administer).is_ok()
            && let Ok(view) = settings_view(site, &name, None).await
        {
            parts.push(settings_part(&name, &view, lang));
        }
        let view = models_view(site, &name, true).await;
        // What could not be computed in time is left out: the page asks for it.
        let html = if view.rows.is_empty() { String::new() } else { app::parts::models(&view, lang) };
        parts.push((format!("models/{name}"), html));
    }
    parts.push(("images".to_owned(), app::parts::images(&images_view(site), lang)));
    parts.push(super::notify::written(site, None, lang));
    Parts(parts)
}

pub(super) fn fragment(part: &Part) -> Response {
    let mut response = part.1.clone().into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&part.0) {
        headers.insert("x-part", id);
    }
    response
}

/// The part alone for the page's own script, the whole page for a plain form or a link.
pub(super) async fn reply(site: Site, headers: HeaderMap, route: Route, part: Part) -> Response {
    if headers.contains_key("x-part") {
        return fragment(&part);
    }
    let mut request = Request::new(Body::empty());
    *request.headers_mut() = headers;
    page::render_with(site, route, part, StatusCode::OK, request).await
}

/// The same for a part that shows settings: it says which, so that their own news need not bring it once more.
async fn answer(site: Site, headers: HeaderMap, service: Option<&ServiceName>, part: Part) -> Response {
    let alone = headers.contains_key("x-part");
    let fresh = service.filter(|_| alone).and_then(|name| site.fleet.revision_of(name));
    let route = match service {
        Some(name) => Route::Service { name: name.clone() },
        None => Route::Services,
    };
    let mut response = reply(site, headers, route, part).await;
    if let Some(revision) = fresh {
        response.headers_mut().insert("x-fresh", HeaderValue::from(revision));
    }
    response
}

pub(super) fn named(site: &Site, text: &str) -> Result<ServiceName, Problem> {
    let known = ServiceName::parse(text).ok().filter(|name| site.fleet.config_of(name).is_ok());
    known.ok_or_else(|| ApiError::UnknownService { name: text.chars().take(80).collect() }.into())
}

// Settings.

/// What a form sends: values, secrets, and what it was made from.
fn wanted(fields: &Fields) -> (Wanted, Option<Values>) {
    let mut wanted = Wanted::default();
    for (name, _) in FIELDS {
        let value = fields.get(name).map(|v| v.split_whitespace().collect::<Vec<_>>().join(" "));
        // Arguments keep their own spaces; what is between them means nothing.
        let value = if matches!(name, REST | "--lora-modules") {
            fields.get(name).map(|v| v.trim().to_owned())
        } else {
            value
        };
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            wanted.values.insert(name.to_owned(), value);
        }
    }
    for (name, _) in SECRETS {
        let new = fields.get(name).map(|v| v.trim()).filter(|v| !v.is_empty());
        if let Some(new) = new {
            wanted.secrets.insert(name.to_owned(), SecretChange::Set(new.to_owned()));
        } else if fields.get(&format!("{name}-remove")).is_some_and(|v| v == "1") {
            wanted.secrets.insert(name.to_owned(), SecretChange::Remove);
        }
    }
    (wanted, fields.get("base").and_then(|base| serde_json::from_str(base).ok()))
}

/// The form: with what is in force, or with what somebody is writing.
async fn settings_view(
    site: &Site,
    name: &ServiceName,
    writing: Option<&Wanted>,
) -> Result<SettingsView, ApiError> {
    let (config, kind) = site.fleet.config_of(name)?;
    let now = fields::values(&config);
    let shown = writing.map_or_else(|| now.clone(), |w| w.values.clone());
    let checked = match writing {
        Some(writing) => checked_view(site, name, writing).await,
        None => CheckedView { command: Some(site.fleet.command_of(&config, kind)), ..CheckedView::default() },
    };
    let wrong = |field: &str| checked.troubles.iter().any(|t| t.field() == Some(field));
    let fields = FIELDS
        .iter()
        .map(|(field, _)| FieldView {
            name: field,
            value: shown.get(*field).cloned().unwrap_or_default(),
            default: default_of(field).to_owned(),
            origin: fields::origin(&config, field).clone(),
            read_only: fields::is_read_only(&config, field),
            choices: match *field {
                "--quantization" | "--dtype" => cli::choices(field).iter().map(|c| (*c).to_owned()).collect(),
                "VLLM_IMAGE" => image_choices(site, &config.image.value.to_string()),
                _ => Vec::new(),
            },
            wrong: wrong(field),
        })
        .collect();
    let secrets = SECRETS
        .iter()
        .map(|(field, _)| SecretView {
            name: field,
            set: match *field {
                "HF_TOKEN" => config.hf_token.value.is_some(),
                _ => config.api_key.value.is_some(),
            },
            read_only: fields::is_read_only(&config, field),
            origin: fields::origin(&config, field).clone(),
        })
        .collect();
    let earlier = site.fleet.earlier(name);
    let adopted =
        site.fleet.world().service(name).is_some_and(|s| s.container.as_ref().is_some_and(|c| c.adopted));
    Ok(SettingsView {
        service: name.to_string(),
        base: serde_json::to_string(&now).unwrap_or_default(),
        fields,
        secrets,
        news: None,
        checked,
        history: history(&earlier, &now),
        adopted,
        devices: site.fleet.world().gpus().iter().map(device).collect(),
        pasted: String::new(),
    })
}

fn image_choices(site: &Site, image: &str) -> Vec<String> {
    let repository = crate::runtime::docker::images::Reference::of(image).name.to_owned();
    let stored = site.fleet.images().stored();
    let tags = stored.iter().flat_map(|s| &s.tags);
    let of_this = |tag: &&String| crate::runtime::docker::images::Reference::of(tag).name == repository;
    tags.filter(of_this).take(50).cloned().collect()
}

fn default_of(field: &str) -> &'static str {
    match field {
        "VLLM_API_URL" => "http://localhost:11434",
        "VLLM_MODEL_NAME" => "lydia",
        "CUDA_VISIBLE_DEVICES" => "0",
        "GPU_MEMORY_UTILIZATION" => "0.5",
        "VLLM_IMAGE" => "vllm/vllm-openai:latest",
        _ => "",
    }
}

fn history(earlier: &[Earlier], now: &Values) -> Vec<HistoryView> {
    let good =
        earlier.iter().filter(|e| e.ready.is_some() && e.after != *now).max_by_key(|e| e.ready).map(|e| e.id);
    let mut current_seen = false;
    earlier
        .iter()
        .take(30)
        .map(|e| {
            let current = !current_seen && e.after == *now;
            current_seen |= current;
            HistoryView {
                id: e.id,
                at: e.at,
                who: e.who.clone(),
                changes: e.before.as_ref().map_or_else(Vec::new, |before| fields::changes(before, &e.after)),
                secrets: e.secrets.clone(),
                ready: e.ready,
                current,
                last_good: good == Some(e.id),
            }
        })
        .collect()
}

fn device(gpu: &Gpu) -> DeviceView {
    DeviceView {
        index: gpu.index,
        uuid: gpu.uuid.clone(),
        name: gpu.name.clone(),
        free_bytes: gpu.memory_total_bytes.saturating_sub(gpu.memory_used_bytes),
        total_bytes: gpu.memory_total_bytes,
    }
}

async fn checked_view(site: &Site, name: &ServiceName, wanted: &Wanted) -> CheckedView {
    let Ok((config, _)) = site.fleet.config_of(name) else { return CheckedView::default() };
    let mut view = CheckedView {
        changes: fields::changes(&fields::values(&config), &wanted.values),
        secrets: wanted.secrets.keys().cloned().collect(),
        ..CheckedView::default()
    };
    let rest = cli::words(wanted.values.get(REST).map_or("", String::as_str)).unwrap_or_default();
    view.remarks.extend(cli::check(&rest).notes.into_iter().map(|n| remark(n.note, n.flag)));
    match site.fleet.look_at(name, wanted).await {
        Err(error) => view.troubles.push(Trouble::File(error.to_string())),
        Ok(Err(wrong)) => view.troubles.extend(wrong.into_iter().map(trouble)),
        Ok(Ok(outlook)) => add(&mut view, outlook),
    }
    view
}

fn add(view: &mut CheckedView, outlook: Outlook) {
    view.command = Some(outlook.command);
    view.plan = outlook.plan;
    view.troubles.extend(outlook.port_of.map(|(port, service)| Trouble::PortOf { port, service }));
    view.troubles.extend(outlook.no_such_gpus.into_iter().map(Trouble::NoSuchGpu));
    view.remarks.extend(outlook.port_held.map(|(port, by)| Remark::PortHeld { port, by }));
    view.remarks.extend(outlook.gpus.iter().map(|gpu| {
        let it = device(gpu);
        Remark::Gpu(ChosenDevice {
            index: it.index,
            name: it.name,
            free_bytes: it.free_bytes,
            total_bytes: it.total_bytes,
        })
    }));
    let shared = outlook.shared.into_iter();
    view.remarks.extend(shared.map(|(index, service, percent)| Remark::GpuShared {
        index,
        service,
        percent,
    }));
}

fn remark(note: Note, flag: String) -> Remark {
    match note {
        Note::LoadsCode => Remark::LoadsCode(flag),
        Note::OpensFiles => Remark::OpensFiles(flag),
        Note::TrustsRequests => Remark::TrustsRequests(flag),
        Note::ReadsSettings => Remark::ReadsSettings(flag),
        Note::MovesApi => Remark::MovesApi(flag),
        Note::LogsContents => Remark::LogsContents(flag),
        Note::Outdated => Remark::Outdated(flag),
        Note::SeveralNames => Remark::SeveralNames,
        Note::UnusualValue => Remark::UnusualValue(flag),
    }
}

fn trouble(wrong: Wrong) -> Trouble {
    match wrong {
        Wrong::Value { field, allowed } => Trouble::Value { field, allowed },
        Wrong::ReadOnly { field } => Trouble::ReadOnly(field),
        Wrong::Folder { field, folder } => Trouble::Folder { field, folder },
        Wrong::Source { field, value } => Trouble::Source { field, value },
        Wrong::Uncontained { flag, value: false } => Trouble::Uncontained(flag),
        Wrong::Uncontained { flag, value: true } => Trouble::UncontainedValue(flag),
        Wrong::Standing { flag } => Trouble::Standing(flag),
        Wrong::Trusted { field } => Trouble::Trusted(field),
        Wrong::Words { field, why } => Trouble::Words { field, why: misread_quote(&why) },
        Wrong::File { detail } => Trouble::File(detail),
        Wrong::Argument(wrong) => match wrong {
            cli::Wrong::Unknown { flag, nearest } => {
                Trouble::UnknownFlag { flag, nearest: nearest.map(str::to_owned) }
            }
            cli::Wrong::Ambiguous { flag, could } => {
                Trouble::UnknownFlag { flag, nearest: could.first().map(|f| (*f).to_owned()) }
            }
            cli::Wrong::Owned { flag, field } => Trouble::Owned { flag, field: field_of(field) },
            cli::Wrong::NoValue { flag } => Trouble::NoValue(flag),
            cli::Wrong::ValueNotTaken { flag } => Trouble::ValueNotTaken(flag),
            cli::Wrong::OnlyPrints { flag } => Trouble::OnlyPrints(flag),
            cli::Wrong::Stray { word } => Trouble::Stray(word),
        },
    }
}

const fn field_of(field: cli::Field) -> &'static str {
    match field {
        cli::Field::Model => "VLLM_MODEL",
        cli::Field::ModelName => "VLLM_MODEL_NAME",
        cli::Field::Address => "VLLM_API_URL",
        cli::Field::Share => "GPU_MEMORY_UTILIZATION",
        cli::Field::ApiKey => "VLLM_API_KEY",
        cli::Field::HfToken => "HF_TOKEN",
        cli::Field::MaxModelLen => "--max-model-len",
        cli::Field::Quantization => "--quantization",
        cli::Field::TensorParallelSize => "--tensor-parallel-size",
        cli::Field::Dtype => "--dtype",
        cli::Field::LoraModules => "--lora-modules",
    }
}

fn misread_quote(why: &QuoteError) -> Misread {
    match why {
        QuoteError::Unclosed { .. } => Misread::Unclosed,
        QuoteError::Operator { what } => Misread::Shell((*what).to_owned()),
        QuoteError::Expansion { what } => Misread::Shell(what.clone()),
        QuoteError::Typographic { found } => Misread::Shell(found.to_string()),
        QuoteError::Comment => Misread::Shell("#".to_owned()),
        QuoteError::TooLong => Misread::Nothing,
    }
}

fn settings_part(name: &ServiceName, view: &SettingsView, lang: Lang) -> Part {
    (format!("settings/{name}"), app::parts::settings(view, lang))
}

/// `GET /parts/settings/NAME`
pub async fn settings(site: Site, Path(text): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let name = named(&site, &text)?;
    match settings_view(&site, &name, None).await {
        Ok(view) => Ok(fragment(&settings_part(&name, &view, page::language(&headers)))),
        Err(error) => Err(error.into()),
    }
}

/// The form of a service, with what is being written and what is to be said.
async fn say(
    site: Site,
    headers: HeaderMap,
    name: &ServiceName,
    writing: Option<&Wanted>,
    base: Option<&Values>,
    news: News,
    pasted: String,
) -> Result<Response, Problem> {
    let lang = page::language(&headers);
    match settings_view(&site, name, writing).await {
        Ok(mut view) => {
            if let Some(base) = base {
                view.base = serde_json::to_string(base).unwrap_or_default();
            }
            (view.news, view.pasted) = (Some(news), pasted);
            let part = settings_part(name, &view, lang);
            Ok(answer(site, headers, Some(name), part).await)
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /parts/settings/NAME`
pub async fn save(
    site: Site,
    Path(text): Path<String>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Result<Response, Problem> {
    let name = named(&site, &text)?;
    let (wanted, base) = wanted(&fields);
    // A form without what it was made from is no form of ours.
    let Some(base) = base else {
        let news = News::Refused(ApiError::Stale);
        return say(site, headers, &name, Some(&wanted), None, news, String::new()).await;
    };
    // What is set elsewhere is not sent by a form whose field is read-only in every browser: it stays as it is.
    let runs = site.fleet.world().service(&name).is_some_and(|s| s.started.is_some());
    let revision = site.fleet.revision_of(&name);
    match site.fleet.save_elsewhere(&name, &site.caller().name, Some(base.clone()), wanted.clone()).await {
        Ok(changed) => {
            if changed {
                note_change(&site, &name);
            }
            site.fleet.taken(&name, revision).await;
            let news = if changed { News::Saved { running: runs } } else { News::Unchanged };
            say(site, headers, &name, None, None, news, String::new()).await
        }
        Err(NotSaved::Conflict(changes)) => {
            // Saved once more, it goes over what was changed: he has seen it now.
            say(site, headers, &name, Some(&wanted), None, News::Conflict { changes }, String::new()).await
        }
        Err(NotSaved::Wrong(_)) => {
            say(site, headers, &name, Some(&wanted), Some(&base), News::Wrong, String::new()).await
        }
        Err(NotSaved::Refused(error)) => {
            say(site, headers, &name, Some(&wanted), Some(&base), News::Refused(error), String::new()).await
        }
    }
}

/// Tells the audit what was changed; of secrets only that they were.
fn note_change(site: &Site, name: &ServiceName) {
    let Some(last) = site.fleet.earlier(name).into_iter().next() else { return };
    let before = last.before.unwrap_or_default();
    let mut changes = Vec::new();
    for key in before.keys().chain(last.after.keys().filter(|key| !before.contains_key(*key))) {
        let (was, is) = (before.get(key), last.after.get(key));
        if was != is {
            let text = |value: Option<&String>| value.map_or_else(|| "(default)".to_owned(), Clone::clone);
            let shown = |value| crate::redact::redact(text(value).split_whitespace()).join(" ");
            changes.push(format!("{key}: {} → {}", shown(was), shown(is)));
        }
    }
    changes.extend(last.secrets.iter().map(|secret| format!("{secret}: another secret")));
    site.caller().does("settings", name.as_str(), changes.join("; "));
}

/// `POST /parts/settings/NAME/check`: what is being written, looked at.
pub async fn check(
    site: Site,
    Path(text): Path<String>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Result<Response, Problem> {
    let name = named(&site, &text)?;
    let view = checked_view(&site, &name, &wanted(&fields).0).await;
    Ok(fragment(&(format!("settings/{name}"), app::parts::checked(&view, page::language(&headers)))))
}

/// `POST /parts/settings/NAME/paste`: fills the form from a command.
pub async fn paste(
    site: Site,
    Path(text): Path<String>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Result<Response, Problem> {
    let name = named(&site, &text)?;
    let command = fields.get("command").cloned().unwrap_or_default();
    match cli::paste(&command) {
        Ok(pasted) => {
            let left_out =
                pasted.left_out.iter().map(|l| (l.what.clone(), left_out(l.why))).collect::<Vec<_>>();
            match site.fleet.filled(&name, &pasted) {
                Ok(mut wanted) => {
                    // A secret is never sent back to a page: it must be written into its field.
                    let mut left_out = left_out;
                    left_out.extend(wanted.secrets.keys().map(|s| (s.clone(), LeftOut::ValueElsewhere)));
                    wanted.secrets.clear();
                    say(site, headers, &name, Some(&wanted), None, News::Filled { left_out }, String::new())
                        .await
                }
                Err(error) => Err(error.into()),
            }
        }
        Err(error) => {
            let why = match error {
                PasteError::Quote(why) => misread_quote(&why),
                PasteError::Nothing | PasteError::Nested => Misread::Nothing,
                PasteError::UnknownProgram { program } => Misread::Program(program),
                PasteError::OtherCommand { program, command } => {
                    Misread::Program(format!("{program} {command}"))
                }
                PasteError::NoImage { program } => Misread::Missing(format!("{program} run … IMAGE")),
                PasteError::NoValue { option } => Misread::Missing(option),
            };
            let words: Vec<&str> = command.split_whitespace().collect();
            let kept = cut(&crate::redact::redact(&words).join(" "));
            say(site, headers, &name, None, None, News::NotUnderstood(why), kept).await
        }
    }
}

/// At most 4,000 characters.
fn cut(text: &str) -> String {
    text.chars().take(4_000).collect()
}

const fn left_out(why: Why) -> LeftOut {
    match why {
        Why::Handled | Why::SharedMemory | Why::Wrapper => LeftOut::Handled,
        Why::HostMount => LeftOut::HostMount,
        Why::ModelMoved => LeftOut::ModelMoved,
        Why::OtherCache => LeftOut::OtherCache,
        Why::DockerSocket | Why::Network | Why::Privileged | Why::Device => LeftOut::Power,
        Why::Restart => LeftOut::Restart,
        Why::Variable => LeftOut::Variable,
        Why::ValueElsewhere => LeftOut::ValueElsewhere,
        Why::LoopbackOnly => LeftOut::LoopbackOnly,
        Why::GpuCount | Why::GpusUnclear => LeftOut::Gpus,
        Why::Overridden => LeftOut::Overridden,
        Why::EntryPoint
        | Why::FurtherNames
        | Why::FurtherKeys
        | Why::FurtherPorts
        | Why::PortUnclear
        | Why::Limits
        | Why::Option
        | Why::UnknownOption => LeftOut::NoField,
    }
}

/// `POST /parts/settings/NAME/use`: fills the form from a model of the table.
pub async fn use_model(
    site: Site,
    Path(text): Path<String>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Result<Response, Problem> {
    let name = named(&site, &text)?;
    let key = fields.get("model").map_or("", String::as_str);
    let rows = site.fleet.models_for(&name).await.map(|(rows, _)| rows).unwrap_or_default();
    let row = rows.iter().find(|row| key_of(row) == key);
    match row.ok_or(ApiError::Stale).and_then(|row| site.fleet.used(&name, row)) {
        Ok(wanted) => {
            let news = News::Filled { left_out: Vec::new() };
            say(site, headers, &name, Some(&wanted), None, news, String::new()).await
        }
        Err(error) => say(site, headers, &name, None, None, News::Refused(error), String::new()).await,
    }
}

/// `POST /parts/settings/NAME/restore`: earlier settings are those in force again.
pub async fn restore(
    site: Site,
    Path(text): Path<String>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Result<Response, Problem> {
    let name = named(&site, &text)?;
    let id = fields.get("id").and_then(|id| id.parse::<i64>().ok());
    let found = site.fleet.earlier(&name).into_iter().find(|e| Some(e.id) == id);
    let Some(found) = found else {
        return say(site, headers, &name, None, None, News::Refused(ApiError::Stale), String::new()).await;
    };
    let wanted = Wanted { values: found.after, secrets: BTreeMap::new() };
    let runs = site.fleet.world().service(&name).is_some_and(|s| s.started.is_some());
    let revision = site.fleet.revision_of(&name);
    match site.fleet.save_elsewhere(&name, &site.caller().name, None, wanted.clone()).await {
        Ok(true) => {
            note_change(&site, &name);
            site.fleet.taken(&name, revision).await;
            say(site, headers, &name, None, None, News::Saved { running: runs }, String::new()).await
        }
        Ok(false) => say(site, headers, &name, None, None, News::Unchanged, String::new()).await,
        Err(NotSaved::Refused(error)) => {
            say(site, headers, &name, Some(&wanted), None, News::Refused(error), String::new()).await
        }
        Err(NotSaved::Conflict(_) | NotSaved::Wrong(_)) => {
            say(site, headers, &name, Some(&wanted), None, News::Wrong, String::new()).await
        }
    }
}

// Models.

/// What Use names: the model and what it is served with.
fn key_of(row: &Row) -> String {
    let args = row.usable.as_ref().map(|u| u.args.join(" ")).unwrap_or_default();
    format!("{} {args}", row.model)
}

const fn pace(class: table::SpeedClass) -> Pace {
    match class {
        table::SpeedClass::Fast => Pace::Fast,
        table::SpeedClass::Medium => Pace::Medium,
        table::SpeedClass::Slow => Pace::Slow,
    }
}

fn model_row(row: &Row, title: &str) -> ModelRow {
    let in_use = row.services.iter().any(|s| s == title);
    ModelRow {
        key: key_of(row),
        title: row.title.clone(),
        model: row.model.clone(),
        adapter_of: row.adapter_of.clone(),
        parameters: row.parameters,
        quantization: row.quantization.clone(),
        vram: row.vram.map(|f| f.value),
        published_vram: row.published_vram.map(|f| f.value),
        context: row.context_tokens,
        speed: row.speed.map(|f| Speed {
            low_per_10s: f.value.low_per_10s,
            high_per_10s: f.value.high_per_10s,
            pace: pace(f.value.class),
            measured: match f.kind {
                FigureKind::Measured { at } => Some(at),
                FigureKind::Estimate | FigureKind::Published => None,
            },
        }),
        published_speed: row.published_speed.map(|f| pace(f.value)),
        fit: match row.fit {
            table::Fit::Fits => Fit::Fits,
            table::Fit::FitsShorter { longest } => Fit::Shorter(longest),
            table::Fit::DoesNotFit { short_bytes, share_percent } => Fit::Not(short_bytes, share_percent),
            table::Fit::HeldByOthers { short_bytes } => Fit::Held(short_bytes),
            table::Fit::Unknown { why: table::WhyUnknown::NoGpu } => Fit::NoGpu,
            table::Fit::Unknown { .. } => Fit::Unknown,
        },
        licence: row.licence.as_ref().map(|l| (l.id.clone(), l.address.clone())),
        token: match row.token {
            table::Token::NotNeeded => Token::NotNeeded,
            table::Token::Needed => Token::Needed,
            table::Token::Unknown => Token::Unknown,
        },
        disk: row.disk.map(|d| (d.bytes + d.bytes_incomplete, d.complete)),
        in_use,
        usable: row.usable.is_some() && !in_use,
        deletable: row.disk.is_some() && row.services.is_empty(),
    }
}

/// The table. `quick`: a page that is rendered waits for no disk.
async fn models_view(site: &Site, name: &ServiceName, quick: bool) -> ModelsView {
    let Ok((config, _)) = site.fleet.config_of(name) else { return ModelsView::default() };
    let gpus = site.fleet.world().gpus();
    let chosen = gpus.iter().find(|g| match &config.gpus.value {
        Gpus::All => true,
        Gpus::None => false,
        Gpus::These(list) => list.iter().any(|one| *one == g.index.to_string() || *one == g.uuid),
    });
    let found = if quick { site.fleet.models_at_once(name).await } else { site.fleet.models_for(name).await };
    let (rows, troubles) = found.unwrap_or_default();
    let cache = crate::supervisor::hub_caches_of(&config).into_iter().find(|c| c.is_dir());
    ModelsView {
        service: Some(name.to_string()),
        title: config.title.clone(),
        rows: rows.iter().map(|row| model_row(row, &config.title)).collect(),
        device: chosen.map(device),
        share: config.gpu_memory_utilization.value.to_string(),
        free_bytes: cache.and_then(|c| hub::free_bytes(&c).ok()),
        asking: None,
        refused: None,
        freed: None,
        troubles,
    }
}

/// `GET /parts/models/NAME`
pub async fn models(site: Site, Path(text): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let name = named(&site, &text)?;
    let view = models_view(&site, &name, false).await;
    Ok(fragment(&(format!("models/{name}"), app::parts::models(&view, page::language(&headers)))))
}

/// `POST /parts/cache/delete`: asks first, then deletes.
pub async fn delete_model(site: Site, headers: HeaderMap, Form(fields): Form<Fields>) -> Response {
    let service = fields.get("service").and_then(|s| ServiceName::parse(s).ok());
    let Some(name) = service.or_else(|| site.fleet.first_vllm()) else {
        return Problem::from(ApiError::Stale).into_response();
    };
    let id = fields.get("id").cloned().unwrap_or_default();
    let mut view = models_view(&site, &name, false).await;
    match fields.get("confirmed").map(String::as_str) {
        None => {
            let row = view.rows.iter().find(|r| r.model == id && r.deletable);
            view.asking = row.map(|r| Asking::Remove {
                id: id.clone(),
                name: r.title.clone(),
                bytes: r.disk.map_or(0, |d| d.0),
            });
        }
        Some("1") => match site.fleet.delete_model(&name, &id).await {
            Ok(bytes) => {
                site.caller().does("model-delete", id.clone(), format!("{bytes} bytes"));
                view = models_view(&site, &name, false).await;
                view.freed = Some(bytes);
            }
            Err(detail) => view.refused = Some(detail),
        },
        Some(_) => {}
    }
    let part = (format!("models/{name}"), app::parts::models(&view, page::language(&headers)));
    answer(site, headers, None, part).await
}

// Images.

fn images_view(site: &Site) -> ImagesView {
    let images = site.fleet.images();
    let stored = images.stored();
    let named = images.named();
    let users = |s: &Stored| {
        let mut users = s.used_by.clone();
        let services = site.fleet.world().services();
        for reference in named.iter().filter(|r| s.is(r)) {
            let of = services.iter().filter(|service| service.pulls.as_ref() == Some(reference));
            users.extend(of.map(|service| service.title.clone()));
        }
        users.extend(services.iter().filter_map(|service| {
            let kept = service.kept_image.as_ref().filter(|k| k.id == s.id)?;
            Some(format!("{} ({})", service.title, kept.reference))
        }));
        users.dedup();
        users
    };
    let unused = images.unused();
    ImagesView {
        rows: stored
            .iter()
            .map(|s| ImageRow {
                id: s.id.clone(),
                tags: s.tags.clone(),
                bytes: s.bytes,
                created: s.created,
                used_by: users(s),
            })
            .collect(),
        unused: (unused.len(), unused.iter().map(|s| s.bytes).sum()),
        free_bytes: images.folder().and_then(|f| hub::free_bytes(&f).ok()),
        away: site.fleet.engine_away(),
        none: site.fleet.engine_away()
            && site.fleet.world().services().iter().all(|s| s.runtime != app::model::RuntimeKind::Docker),
        ..ImagesView::default()
    }
}

fn images_part(view: &ImagesView, headers: &HeaderMap) -> Part {
    ("images".to_owned(), app::parts::images(view, page::language(headers)))
}

/// `GET /parts/images`
pub async fn images(site: Site, headers: HeaderMap) -> Response {
    fragment(&images_part(&images_view(&site), &headers))
}

/// `POST /parts/images/remove`: asks first, then removes one image.
pub async fn remove_image(site: Site, headers: HeaderMap, Form(fields): Form<Fields>) -> Response {
    let id = fields.get("id").cloned().unwrap_or_default();
    let mut view = images_view(&site);
    let row = view.rows.iter().find(|r| r.id == id && r.used_by.is_empty()).cloned();
    match (row, fields.get("confirmed").map(String::as_str)) {
        (None, _) => view.refused = Some(ApiError::Stale.to_string()),
        (Some(row), None) => {
            let name = if row.tags.is_empty() { row.id.clone() } else { row.tags.join(", ") };
            view.asking = Some(Asking::Remove { id, name, bytes: row.bytes });
        }
        (Some(_), Some("1")) => {
            let before = view.free_bytes;
            match site.fleet.images().remove(&id).await {
                Ok(()) => {
                    site.caller().does("image-remove", id.clone(), "");
                    view = freed(&site, before);
                }
                Err(error) => view.refused = Some(error.to_string()),
            }
        }
        (Some(_), Some(_)) => {}
    }
    let part = images_part(&view, &headers);
    answer(site, headers, None, part).await
}

/// The table after something was removed, with what is free now and was not before.
fn freed(site: &Site, before: Option<u64>) -> ImagesView {
    let mut view = images_view(site);
    view.freed = Some(view.free_bytes.zip(before).map_or(0, |(now, before)| now.saturating_sub(before)));
    view
}

/// `POST /parts/images/prune`: asks first, then removes all that nothing uses.
pub async fn prune_images(site: Site, headers: HeaderMap, Form(fields): Form<Fields>) -> Response {
    let mut view = images_view(&site);
    let unused = site.fleet.images().unused();
    match fields.get("confirmed").map(String::as_str) {
        None if !unused.is_empty() => {
            let name = |s: &Stored| {
                let id: String = s.id.trim_start_matches("sha256:").chars().take(12).collect();
                s.tags.first().cloned().unwrap_or(id)
            };
            view.asking = Some(Asking::Prune {
                ids: unused.iter().map(|s| s.id.as_str()).collect::<Vec<_>>().join(","),
                names: unused.iter().map(name).collect(),
                bytes: unused.iter().map(|s| s.bytes).sum(),
            });
        }
        Some("1") => {
            let before = view.free_bytes;
            let mut refused = None;
            // Those that were asked about, and that nothing uses still.
            let asked: Vec<&str> = fields.get("id").map_or("", String::as_str).split(',').collect();
            for image in unused.iter().filter(|i| asked.contains(&i.id.as_str())) {
                match site.fleet.images().remove(&image.id).await {
                    Ok(()) => site.caller().does("image-remove", image.id.clone(), "no longer used"),
                    Err(error) => refused = Some(error.to_string()),
                }
            }
            view = freed(&site, before);
            view.refused = refused;
        }
        _ => {}
    }
    let part = images_part(&view, &headers);
    answer(site, headers, None, part).await
}
