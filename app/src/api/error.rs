//! Why a command was refused: codes for the page, which has the words.

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
