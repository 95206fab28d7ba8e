//! Why a command was refused: codes for the page, which has the words.

use crate::model::{ImageVerb, Verb};
use serde::{Deserialize, Serialize};
use server_fn::codec::JsonEncoding;
use server_fn::error::{FromServerFnError, ServerFnErrorErr};

/// One variant per refusal that a user can meet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "error", rename_all = "kebab-case")]
pub enum ApiError {
    /// There is no such service.
    #[error("there is no service named {name:?}")]
    UnknownService {
        /// The name that was asked for.
        name: String,
    },
    /// A name that no service, container or image can have.
    #[error("{detail}")]
    BadName {
        /// Which, and what is allowed.
        detail: String,
    },
    /// The engine cannot be asked now.
    #[error("the engine that runs this service cannot be reached")]
    Unreachable,
    /// The container is not, or no longer, one that can be adopted.
    #[error("{container:?} is not a container that can be adopted")]
    NotACandidate {
        /// The container.
        container: String,
    },
    /// Requests are running: a stop would end them. Asked for again with `confirmed` it is done.
    #[error("{requests} requests are running; confirm to {verb:?} all the same")]
    RequestsRunning {
        /// The service.
        service: String,
        /// What was asked for.
        verb: Verb,
        /// How many run or wait.
        requests: u32,
    },
    /// Requests are running: moving to another image would end them. Asked for again with `confirmed` it is done.
    #[error("{requests} requests are running; confirm to restart on the other image all the same")]
    ImageRequestsRunning {
        /// The service.
        service: String,
        /// What was asked for.
        action: ImageVerb,
        /// How many run or wait.
        requests: u32,
    },
    /// The memory plan says that the start cannot succeed. Asked for again with `confirmed` it is done.
    #[error(
        "it needs {short_bytes} bytes more GPU memory than it may have; confirm to {verb:?} all the same"
    )]
    WillNotFit {
        /// The service.
        service: String,
        /// What was asked for.
        verb: Verb,
        /// What is missing, in bytes.
        short_bytes: u64,
        /// What it needs, in bytes.
        needed_bytes: u64,
        /// What it may have, or what is free, in bytes.
        available_bytes: u64,
        /// It would fit if others did not hold the memory.
        held_by_others: bool,
    },
    /// The failure that the remedy belongs to is not the case any more.
    #[error("the service has moved on; look at it again")]
    Stale,
    /// The value is set by a flag or the environment, which wins over what the page could write.
    #[error("{name} is set by a flag or the environment of Services; change it there")]
    ReadOnly {
        /// The variable or key.
        name: String,
    },
    /// The container was not created here: its command is not ours to change.
    #[error(
        "the container {container:?} was not created by Services; change its command where it was created"
    )]
    NotOurs {
        /// The container.
        container: String,
    },
    /// `services.toml` could not be changed.
    #[error("services.toml could not be changed: {detail}")]
    File {
        /// What is wrong.
        detail: String,
    },
    /// The service has no image that could be pulled.
    #[error("this service has no image that could be pulled")]
    NoImage,
    /// An image cannot be pulled, kept or removed.
    #[error("{detail}")]
    Image {
        /// Why not.
        detail: String,
    },
    /// The switch is set in `services.toml`.
    #[error("{name} is set in services.toml; change it there")]
    InFile {
        /// The key.
        name: String,
    },
    /// The engine refused.
    #[error("the engine refused: {detail}")]
    Refused {
        /// Its words.
        detail: String,
    },
    /// Another service that runs has the port.
    #[error("port {port} belongs to {with}, which runs")]
    PortClash {
        /// The port.
        port: u16,
        /// The other service.
        with: String,
    },
    /// Nobody is signed in, or not any more.
    #[error("sign in first")]
    SignedOut,
    /// The role does not allow it.
    #[error("this takes the role {needs}")]
    Forbidden {
        /// The least role that may.
        needs: super::Role,
    },
    /// Too many commands at once.
    #[error("the service is busy with earlier commands")]
    Busy,
    /// The request did not reach the server, or came back broken.
    #[error("the request failed: {detail}")]
    Transport {
        /// The transport's words.
        detail: String,
    },
}

impl FromServerFnError for ApiError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        Self::Transport { detail: error.to_string() }
    }
}
