//! Small requests of the browser beside the stream. Only what the page needs: a GET for text, a POST of a form.

use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Headers, RequestInit, Response};

/// The text at an address of this server; `None` when it does not answer with success.
pub async fn text(address: &str) -> Option<String> {
    answer(address).await.map(|(text, _)| text)
}

/// The text at an address of this server, with the answer that brought it.
pub async fn answer(address: &str) -> Option<(String, Response)> {
    let response: Response =
        JsFuture::from(leptos::prelude::window().fetch_with_str(address)).await.ok()?.dyn_into().ok()?;
    if !response.ok() {
        return None;
    }
    let text = JsFuture::from(response.text().ok()?).await.ok()?.as_string()?;
    Some((text, response))
}

/// Posts a form. The answer: whether it succeeded, and its body.
///
/// # Errors
/// The browser's words when nothing came back.
pub async fn post(address: &str, fields: &str) -> Result<(bool, String), String> {
    send(address, fields).await.map_err(|error| {
        let error: Option<js_sys::Error> = error.dyn_into().ok();
        error.map(|error| String::from(error.message())).unwrap_or_default()
    })
}

/// What the form of a part was answered.
pub struct Answer {
    /// The part that it belongs to.
    pub part: String,
    /// What its `fresh` is by now, where the server has told.
    pub fresh: Option<u64>,
    /// Its HTML.
    pub html: String,
}

/// Posts a form of a part.
///
/// # Errors
/// The browser's words when nothing came back, or what the server said instead.
pub async fn part(address: &str, fields: &str) -> Result<Answer, String> {
    let sent = exchange(address, fields, "text/html").await;
    let (response, body) = sent.map_err(|error| {
        let error: Option<js_sys::Error> = error.dyn_into().ok();
        error.map(|error| String::from(error.message())).unwrap_or_default()
    })?;
    match response.headers().get("x-part").ok().flatten() {
        Some(part) => {
            let fresh = response.headers().get("x-fresh").ok().flatten().and_then(|n| n.parse().ok());
            Ok(Answer { part, fresh, html: body })
        }
        // Not one of ours: a wall's refusal, a proxy's page.
        None => Err(body.chars().take(200).collect()),
    }
}

async fn send(address: &str, fields: &str) -> Result<(bool, String), JsValue> {
    let (response, body) = exchange(address, fields, "application/json").await?;
    Ok((response.ok(), body))
}

async fn exchange(address: &str, fields: &str, accept: &str) -> Result<(Response, String), JsValue> {
    let headers = Headers::new()?;
    headers.set("content-type", "application/x-www-form-urlencoded")?;
    headers.set("accept", accept)?;
    headers.set("x-part", "1")?;
    let request = RequestInit::new();
    request.set_method("POST");
    request.set_body(&JsValue::from_str(fields));
    request.set_headers(&headers);
    let response: Response =
        JsFuture::from(leptos::prelude::window().fetch_with_str_and_init(address, &request))
            .await?
            .dyn_into()?;
    let body = JsFuture::from(response.text()?).await?.as_string().unwrap_or_default();
    Ok((response, body))
}
