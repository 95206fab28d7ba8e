//! Server functions, one file per noun. On the server they call [`Control`]; in the browser they are a POST.
//!
//! In: what a form or a button carries. Out: success or an [`ApiError`]. No rule of the business lives here.

#[cfg(feature = "ssr")]
mod access;
mod caller;
#[cfg(feature = "ssr")]
mod control;
mod error;
mod service;

#[cfg(feature = "ssr")]
pub use access::{AuditRow, Refused};
pub use caller::{Caller, Deed, Need, Role};
#[cfg(feature = "ssr")]
pub use control::{Answer, Control, SharedControl};
pub use error::ApiError;
pub use service::{
    Adopt, ApplyRemedy, AutoStart, Command, ImageAction, SmokeTest, adopt, apply_remedy, auto_start, command,
    image_action, smoke_test,
};
