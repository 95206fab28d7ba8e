//! The log windows: the live log, and beside it the lines of one run.
//!
//! The server writes them whole (`parts::logs`), with the last lines as plain rows, which stay when there is no JavaScript.
//! In the browser a [`Feed`] takes over: lines go from the wire into a compact [`store`], the filters [`narrow`] it to rows,
//! and a painter shows what is in view, once per frame. Nothing of this is in the reactive graph. Text of a log is only ever
//! set as text.

#[cfg(any(feature = "hydrate", test))]
mod ansi;
#[cfg(feature = "hydrate")]
mod attach;
#[cfg(feature = "hydrate")]
mod controls;
#[cfg(feature = "hydrate")]
mod feed;
#[cfg(feature = "hydrate")]
mod fetch;
#[cfg(feature = "hydrate")]
mod moves;
#[cfg(any(feature = "hydrate", test))]
mod narrow;
#[cfg(feature = "hydrate")]
mod painter;
#[cfg(any(feature = "hydrate", test))]
mod parse;
#[cfg(feature = "hydrate")]
mod past;
#[cfg(any(feature = "hydrate", feature = "ssr", test))]
pub(crate) mod row;
#[cfg(any(feature = "hydrate", test))]
mod store;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "hydrate", feature = "ssr", test))]
mod view;
#[cfg(any(feature = "hydrate", test))]
mod wrap;

#[cfg(feature = "hydrate")]
pub use attach::attach;
#[cfg(feature = "hydrate")]
pub use feed::Feed;
#[cfg(any(feature = "hydrate", feature = "ssr", test))]
pub use view::LogView;
#[cfg(feature = "ssr")]
pub use view::Times;
