//! Images that services name: whether they are here, how a pull goes, whether the registry has a newer one.

use super::Timestamp;
use serde::{Deserialize, Serialize};

/// An image that a service names. Event `image` carries the whole object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The reference as the settings write it, such as `vllm/vllm-openai:latest`.
    pub reference: String,
    /// What the engine has under this reference.
    #[serde(default)]
    pub local: Option<LocalImage>,
    /// The pull that runs, or the last one.
    #[serde(default)]
    pub pull: Option<Pull>,
    /// What the registry said when it was last asked for a newer one.
    #[serde(default)]
    pub newer: Option<Newer>,
}

/// An image of this machine's engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalImage {
    /// Its id, `sha256:…`.
    pub id: String,
    /// What it takes unpacked, in bytes; layers that it shares with others are counted, too.
    pub bytes: u64,
    /// When it was built.
    #[serde(default)]
    pub created: Option<Timestamp>,
}

/// One pull.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// When it was asked for.
    pub started: Timestamp,
    /// How it goes, or went.
    pub state: PullState,
    /// Its layers, in the image's order.
    #[serde(default)]
    pub layers: Vec<Layer>,
    /// Bytes downloaded, of the layers that were not here.
    #[serde(default)]
    pub done_bytes: u64,
    /// Bytes to download, as far as the registry has told.
    #[serde(default)]
    pub total_bytes: u64,
    /// Layers whose size is not known yet.
    #[serde(default)]
    pub unknown_layers: u32,
    /// Downloaded per second, over the last seconds.
    #[serde(default)]
    pub bytes_per_s: Option<u64>,
    /// Seconds that the download needs at this speed, where all sizes are known.
    #[serde(default)]
    pub left_s: Option<u64>,
}

/// How a pull goes, or went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "pull", rename_all = "kebab-case")]
pub enum PullState {
    /// It runs.
    Running,
    /// The image is here.
    Done {
        /// Since when.
        at: Timestamp,
        /// It is another one than before.
        changed: bool,
    },
    /// It failed.
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        why: PullFailure,
    },
    /// Somebody cancelled it.
    Cancelled {
        /// When.
        at: Timestamp,
    },
    /// The dashboard ended in the middle of it, and the pull with it.
    Interrupted,
}

/// Why a pull, or a question to the registry, failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum PullFailure {
    /// The registry has no such image or tag.
    NoSuchTag,
    /// The registry refuses it without (other) credentials; it may also not exist: registries do not tell.
    Denied,
    /// The registry limits how often one may ask.
    RateLimit,
    /// The registry cannot be reached, or broke off.
    RegistryAway {
        /// The engine's own words.
        detail: String,
    },
    /// The disk is full.
    NoSpace {
        /// Bytes that the download alone needs, as far as known.
        #[serde(default)]
        needed_bytes: Option<u64>,
        /// Bytes that are free where the engine keeps images.
        #[serde(default)]
        free_bytes: Option<u64>,
    },
    /// The engine cannot be asked.
    EngineAway,
    /// Something else.
    Other {
        /// The engine's own words.
        detail: String,
    },
}

/// One layer of a pull.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Its id, the first twelve digits.
    pub id: String,
    /// What happens to it.
    pub stage: LayerStage,
    /// Bytes done in this stage.
    pub done_bytes: u64,
    /// Bytes of this stage, where known.
    #[serde(default)]
    pub total_bytes: Option<u64>,
}

/// What happens to a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerStage {
    /// Its turn has not come.
    Waiting,
    /// It comes over the network.
    Downloading,
    /// Its checksum is computed, or it waits to be unpacked.
    Downloaded,
    /// It is unpacked.
    Extracting,
    /// It is here.
    Done,
    /// It was here already.
    Exists,
}

/// Whether the registry has another image under the same reference. Found by digest, nothing is pulled for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "newer", rename_all = "kebab-case")]
pub enum Newer {
    /// The registry is being asked.
    Checking,
    /// The one here is the registry's.
    Current {
        /// When it was asked.
        at: Timestamp,
    },
    /// The registry has another one.
    Available {
        /// When it was asked.
        at: Timestamp,
        /// Its digest.
        digest: String,
    },
    /// It could not be found out.
    Unknown {
        /// When it was tried.
        at: Timestamp,
        /// Why.
        why: PullFailure,
    },
}
