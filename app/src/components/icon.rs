//! Inline SVG: the marks of states, each of another shape, and the icons of buttons. Always beside a word.

use crate::model::State;
use leptos::prelude::*;

/// Icons of buttons.
#[derive(Clone, Copy)]
pub enum Icon {
    /// Start.
    Play,
    /// Stop.
    Stop,
    /// Restart.
    Restart,
    /// Follow.
    Down,
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
            "M3.8 1.5L8 5.7l4.2-4.2 2.3 2.3L10.300 8l4.2 4.200-2.300 2.300L8 10.300l-4.200 4.200-2.300-2.300L5.700 8 1.500 3.800z"
        }
        // A triangle with a bar.
        State::Unresponsive { .. } => "M8 1l7.500 13.500H.5zM7 5.500v4.500h2V5.500zM7 11.200v2h2v-2z",
        // A dashed ring.
        State::Unreachable { .. } => {
            "M7 1.100v2.300a4.700 4.700 0 0 0-3.600 3.600H1.100A7 7 0 0 1 7 1.100zM9 1.100A7 7 0 0 1 14.900 7h-2.300A4.700 4.700 0 0 0 9 3.400zM1.100 9h2.300A4.700 4.700 0 0 0 7 12.600v2.300A7 7 0 0 1 1.100 9zM12.600 9h2.300A7 7 0 0 1 9 14.900v-2.300A4.700 4.700 0 0 0 12.600 9z"
        }
    }
}

/// An icon.
pub fn icon(icon: Icon) -> AnyView {
    path(match icon {
        Icon::Play => "M4 2l10 6-10 6z",
        Icon::Stop => "M3 3h10v10H3z",
        Icon::Restart => "M8 2a6 6 0 0 1 4.500 2V1.500H14.500V7.500H8.500V5.500H11.300A4 4 0 1 0 12 8.500H14A6 6 0 1 1 8 2z",
        Icon::Down => "M7 1h2v8.200l3.300-3.300 1.400 1.400L8 13 2.300 7.300l1.400-1.400L7 9.200zM2 13.500h12v1.500H2z",
        Icon::Download => "M7 1h2v6.200l2.300-2.300 1.400 1.400L8 11 3.300 6.300l1.400-1.400L7 7.200zM2 10h2v3h8v-3h2v5H2z",
        Icon::System => "M1 2h14v10H9.500v1.500H12V15H4v-1.500h2.500V12H1zM2.800 3.800v6.400h10.400V3.800z",
        Icon::Sun => "M8 4.500a3.500 3.500 0 1 0 0 7a3.500 3.500 0 1 0 0-7zM7.200 .5h1.600v2.500H7.200zM7.200 13h1.600v2.500H7.200zM.5 7.200H3v1.600H.5zM13 7.200h2.500v1.600H13z",
        Icon::Moon => "M6.500 1.200A7 7 0 1 0 14.800 9.500A5.600 5.600 0 0 1 6.500 1.200z",
    }).into_any()
}

/// A drawing of 16 by 16 that takes the colour of its text and is not read aloud.
pub fn path(d: &'static str) -> AnyView {
    view! {
        <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
            <path fill="currentColor" fill-rule="evenodd" d=d></path>
        </svg>
    }
    .into_any()
}
