//! Inline SVG: the marks of states, each of another shape, and the icons of buttons. Always beside a word.

use crate::model::State;
use leptos::prelude::*;

/// Icons of buttons.
#[cfg_attr(not(feature = "ssr"), allow(dead_code, reason = "the server alone writes some buttons"))]
#[derive(Clone, Copy)]
pub enum Icon {
    /// Start.
    Play,
    /// Stop.
    Stop,
    /// Restart.
    Restart,
    /// Adopt.
    Plus,
    /// Follow.
    Down,
    /// The next one.
    Next,
    /// The one before.
    Before,
    /// Download.
    Download,
    /// The theme of the system.
    System,
    /// The light theme.
    Sun,
    /// The dark theme.
    Moon,
}

/// The mark of a state.
pub const fn state_path(state: &State) -> &'static str {
    match state {
        // A full disc.
        State::Running { .. } => "M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13z",
        // An open square.
        State::Stopped { .. } => "M2 2h12v12H2zM4.5 4.5v7h7v-7z",
        // Three quarters of a ring.
        State::Starting { .. } => "M8 1v2.5a4.5 4.5 0 1 1-4.5 4.5H1A7 7 0 1 0 8 1z",
        // A pointer down.
        State::Stopping { .. } => "M1.5 3h13L8 14.5z",
        // A cross.
        State::Failed { .. } => {
            "M3.8 1.5L8 5.7l4.2-4.2 2.3 2.3L10.3 8l4.2 4.2-2.3 2.3L8 10.3l-4.2 4.2-2.3-2.3L5.7 8 1.5 3.8z"
        }
        // A triangle with a bar.
        State::Unresponsive { .. } => "M8 1l7.5 13.5H.5zM7 5.5v4.5h2V5.5zM7 11.2v2h2v-2z",
        // A dashed ring.
        State::Unreachable { .. } => {
            "M7 1.1v2.3a4.7 4.7 0 0 0-3.6 3.6H1.1A7 7 0 0 1 7 1.1zM9 1.1A7 7 0 0 1 14.9 7h-2.3A4.7 4.7 0 0 0 9 3.4zM1.1 9h2.3A4.7 4.7 0 0 0 7 12.6v2.3A7 7 0 0 1 1.1 9zM12.6 9h2.3A7 7 0 0 1 9 14.9v-2.3A4.7 4.7 0 0 0 12.6 9z"
        }
    }
}

/// An icon.
pub fn icon(icon: Icon) -> AnyView {
    let drawing = match icon {
        Icon::Play => "M4 2l10 6-10 6z",
        Icon::Stop => "M3 3h10v10H3z",
        Icon::Restart => "M8 2a6 6 0 0 1 4.5 2V1.5H14.5V7.5H8.5V5.5H11.3A4 4 0 1 0 12 8.5H14A6 6 0 1 1 8 2z",
        Icon::Plus => "M7 2h2v5h5v2H9v5H7V9H2V7h5z",
        Icon::Next => "M7 2h2v7.2l3.3-3.3 1.4 1.4L8 13 2.3 7.3l1.4-1.4L7 9.2z",
        Icon::Before => "M7 14h2V6.8l3.3 3.3 1.4-1.4L8 3 2.3 8.7l1.4 1.4L7 6.8z",
        Icon::Down => "M7 1h2v8.2l3.3-3.3 1.4 1.4L8 13 2.3 7.3l1.4-1.4L7 9.2zM2 13.5h12v1.5H2z",
        Icon::Download => "M7 1h2v6.2l2.3-2.3 1.4 1.4L8 11 3.3 6.3l1.4-1.4L7 7.2zM2 10h2v3h8v-3h2v5H2z",
        Icon::System => "M1 2h14v10H9.5v1.5H12V15H4v-1.5h2.5V12H1zM2.8 3.8v6.4h10.4V3.8z",
        Icon::Sun => {
            "M8 4.5a3.5 3.5 0 1 0 0 7a3.5 3.5 0 1 0 0-7zM7.2 .5h1.6v2.5H7.2zM7.2 13h1.6v2.5H7.2zM.5 7.2H3v1.6H.5zM13 7.2h2.5v1.6H13z"
        }
        Icon::Moon => "M6.5 1.2A7 7 0 1 0 14.8 9.5A5.6 5.6 0 0 1 6.5 1.2z",
    };
    path(drawing)
}

/// A drawing of 16 by 16 that takes the colour of its text and is not read aloud.
fn path(d: &'static str) -> AnyView {
    view! {
        <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
            <path fill="currentColor" fill-rule="evenodd" d=d></path>
        </svg>
    }
    .into_any()
}
