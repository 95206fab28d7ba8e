//! Small requests of the browser beside the stream. Only what the page needs: a GET for text, a POST of a form.

use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Headers, RequestInit, Response};

/// The text at an address of this server; `None` when it does not answer with success.
pub async fn text(address: &str) -> Option<String> {
    let response: Response =
        JsFuture::from(leptos::prelude::window().fetch_with_str(address)).await.ok()?.dyn_into().ok()?;
    if !response.ok() {
        return None;
    }
    JsFuture::from(response.text().ok()?).await.ok()?.as_string()
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

async fn send(address: &str, fields: &str) -> Result<(bool, String), JsValue> {
    let headers = Headers::new()?;
    headers.set("content-type", "application/x-www-form-urlencoded")?;
    headers.set("accept", "application/json")?;
    let request = RequestInit::new();
    request.set_method("POST");
    request.set_body(&JsValue::from_str(fields));
    request.set_headers(&headers);
    let response: Response =
        JsFuture::from(leptos::prelude::window().fetch_with_str_and_init(address, &request))
            .await?
            .dyn_into()?;
    let body = JsFuture::from(response.text()?).await?.as_string().unwrap_or_default();
    Ok((response.ok(), body))
}
