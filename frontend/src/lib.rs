//! The WASM entry: hydrates the page that the server rendered. Everything else lives in `app`.
#![deny(unsafe_op_in_unsafe_fn)]

/// Called by the script that the server puts into the page once the module is loaded.
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    app::hydrate();
}
