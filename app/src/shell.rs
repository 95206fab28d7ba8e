//! The HTML around the page: head, the boot data, the scripts that hydrate it.

use crate::{App, Boot, at, base};
use leptos::prelude::*;

/// The whole document for one request.
pub fn shell(options: LeptosOptions, boot: &Boot) -> impl IntoView + use<> {
    // Nothing in it can end the script that carries it.
    let json = serde_json::to_string(boot).unwrap_or_default().replace('<', "\\u003c");
    let words = boot.lang.words();
    let boot = boot.clone();
    let role = boot.role.map(|role| role.as_str());
    let open_house = boot
        .open_house
        .then(|| view! { <p class="open-house" role="note">{boot.lang.access_words().open_house}</p> });
    view! {
        <!DOCTYPE html>
        <html lang=boot.lang.code() data-theme=boot.theme.as_str()>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="color-scheme" content="light dark"/>
                <script type="application/json" id="services-boot" data-base=base()>
                    {json}
                </script>
                <title>{words.services}</title>
                <link rel="icon" href=at("/favicon.svg") type="image/svg+xml"/>
                <link rel="stylesheet" href=at("/pkg/services.css")/>
                <HydrationScripts options=options root=base()/>
            </head>
            <body data-role=role>
                <App boot=boot.clone()/>
                {open_house}
            </body>
        </html>
    }
}
