//! The engine's images: what is there, pulls, the registry's digest, tags, removal.
//!
//! In: references that were parsed by allow-list. Out: plain facts, and why something failed, in types. Holds nothing.

use super::Engine;
use super::credentials::credentials;
use super::engine::{Failed, is_forbidden};
use super::progress::{Message, Progress, failure};
use crate::runtime::NOT_ALLOWED;
use app::model::{Pull, PullFailure, PullState, Timestamp};
use bollard::errors::Error;
use bollard::query_parameters::{CreateImageOptions, ListImagesOptions, RemoveImageOptions, TagImageOptions};
use futures::StreamExt;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// A pull that tells nothing for so long is given up. The engine itself tries a slow registry again several times.
const SILENCE: Duration = Duration::from_secs(600);
/// How often a pull is shown anew.
const SHOW: Duration = Duration::from_millis(250);
/// How long a registry may take to tell a digest.
const REGISTRY: Duration = Duration::from_secs(30);
/// How long removing an image may take: gigabytes of small files.
const REMOVE: Duration = Duration::from_secs(300);

/// One image as the engine stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its id, `sha256:…`.
    pub id: String,
    /// Its tags, `NAME:TAG`.
    pub tags: Vec<String>,
    /// The digests it was pulled by, `NAME@sha256:…`.
    pub digests: Vec<String>,
    /// What it takes unpacked, in bytes.
    pub bytes: u64,
    /// When it was built.
    pub created: Option<Timestamp>,
    /// Names of the containers, running or not, that were made from it.
    pub used_by: Vec<String>,
}

impl Stored {
    /// Whether it was pulled by this digest under this name.
    pub fn has_digest(&self, name: &str, digest: &str) -> bool {
        self.digests.iter().any(|d| {
            let stored = Reference::of(d);
            familiar(stored.name) == familiar(name) && stored.digest == Some(digest)
        })
    }

    /// Whether all that it is called belongs to one of these repositories.
    pub fn is_of(&self, names: &[&str]) -> bool {
        let ours = |text: &String| names.iter().any(|n| familiar(n) == familiar(Reference::of(text).name));
        self.tags.iter().all(ours) && self.digests.iter().all(ours)
    }

    /// Whether a reference means this image.
    pub fn is(&self, reference: &str) -> bool {
        let wanted = Reference::of(reference);
        if let Some(digest) = wanted.digest {
            return self.has_digest(wanted.name, digest);
        }
        self.tags.iter().any(|tag| {
            let stored = Reference::of(tag);
            familiar(stored.name) == familiar(wanted.name) && stored.tag() == wanted.tag()
        })
    }
}

/// The parts of `[REGISTRY/]NAME[:TAG][@DIGEST]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// `[REGISTRY/]NAME`.
    pub name: &'a str,
    tag: Option<&'a str>,
    /// `sha256:…`.
    pub digest: Option<&'a str>,
}

impl<'a> Reference<'a> {
    /// Takes a reference apart.
    pub fn of(text: &'a str) -> Self {
        let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
        // A colon before the last slash belongs to the registry's port.
        let from = rest.rfind('/').map_or(0, |at| at + 1);
        let colon = rest.get(from..).and_then(|last| last.rfind(':')).map(|at| from + at);
        match colon {
            Some(at) => Self { name: rest.get(..at).unwrap_or(rest), tag: rest.get(at + 1..), digest },
            None => Self { name: rest, tag: None, digest },
        }
    }

    /// The tag; `latest` where none is named.
    pub fn tag(&self) -> &'a str {
        self.tag.unwrap_or("latest")
    }
}

/// `docker.io/library/x`, `library/x` and `x` are one.
fn familiar(name: &str) -> &str {
    let name =
        name.strip_prefix("docker.io/").or_else(|| name.strip_prefix("index.docker.io/")).unwrap_or(name);
    name.strip_prefix("library/").filter(|rest| !rest.contains('/')).unwrap_or(name)
}

fn words(failed: Failed) -> PullFailure {
    match failed {
        Failed::Server { status, message } => told(status, &message),
        Failed::Away(_) => PullFailure::EngineAway,
    }
}

fn told(status: u16, message: &str) -> PullFailure {
    if is_forbidden(status, message) {
        // Nothing was said by a registry.
        return PullFailure::Other { detail: NOT_ALLOWED.to_owned() };
    }
    failure(message, Some(status))
}

/// All images, the newest first.
///
/// # Errors
/// [`PullFailure`].
pub async fn list(engine: &Engine) -> Result<Vec<Stored>, PullFailure> {
    let options = ListImagesOptions { all: false, ..Default::default() };
    let images = engine.ask(|d| async move { d.list_images(Some(options)).await }).await.map_err(words)?;
    let containers = engine.containers().await.map_err(words)?;
    let mut users: HashMap<String, Vec<String>> = HashMap::new();
    for container in containers {
        let name = container.names.and_then(|n| n.into_iter().next()).unwrap_or_default();
        let name = name.trim_start_matches('/').to_owned();
        users.entry(container.image_id.unwrap_or_default()).or_default().push(name);
    }
    let mut all: Vec<Stored> = images
        .into_iter()
        .map(|image| {
            let real = |list: Vec<String>| list.into_iter().filter(|t| !t.starts_with("<none>")).collect();
            Stored {
                used_by: users.remove(&image.id).unwrap_or_default(),
                tags: real(image.repo_tags),
                digests: real(image.repo_digests),
                bytes: u64::try_from(image.size).unwrap_or(0),
                created: (image.created > 0)
                    .then(|| Timestamp::from_millis(image.created.saturating_mul(1000))),
                id: image.id,
            }
        })
        .collect();
    all.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
    Ok(all)
}

/// The id of what a reference or id means here; `None` when there is no such image.
///
/// # Errors
/// [`PullFailure::EngineAway`], or the engine's refusal.
pub async fn id_of(engine: &Engine, reference: &str) -> Result<Option<String>, PullFailure> {
    match engine.ask(|d| async move { d.inspect_image(reference).await }).await {
        Ok(found) => Ok(found.id),
        Err(Failed::Server { status: 404, .. }) => Ok(None),
        Err(failed) => Err(words(failed)),
    }
}

/// Pulls an image, and tells about it a few times each second. Dropping the future cancels the pull: the engine ends what
/// nobody waits for. True when another image than before has come.
///
/// # Errors
/// [`PullFailure`].
pub async fn pull(
    engine: &Engine,
    reference: &str,
    started: Timestamp,
    mut show: impl FnMut(Pull),
) -> Result<bool, (PullFailure, Progress)> {
    let mut progress = Progress::new(started);
    // Podman does not say whether another image came.
    let before = if engine.is_podman() { id_of(engine, reference).await.ok().flatten() } else { None };
    let credentials = credentials(reference).await;
    let docker = match engine.client().await {
        Ok(docker) => docker,
        Err(failed) => return Err((words(failed), progress)),
    };
    let parts = Reference::of(reference);
    let options = CreateImageOptions {
        from_image: Some(match parts.digest {
            Some(digest) => format!("{}@{digest}", parts.name),
            None => parts.name.to_owned(),
        }),
        // Without a tag the engine would pull all of them.
        tag: parts.digest.is_none().then(|| parts.tag().to_owned()),
        ..Default::default()
    };
    let mut messages = Box::pin(docker.create_image(Some(options), None, credentials));
    let mut shown: Option<Instant> = None;
    loop {
        let message = match tokio::time::timeout(SILENCE, messages.next()).await {
            Err(_) => {
                let detail = format!("nothing was heard for {} s", SILENCE.as_secs());
                return Err((PullFailure::RegistryAway { detail }, progress));
            }
            Ok(None) => break,
            Ok(Some(message)) => message,
        };
        match message {
            Ok(message) => {
                let bytes = message.progress_detail.as_ref();
                let count = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok());
                let message = Message {
                    id: message.id.as_deref(),
                    status: message.status.as_deref().unwrap_or_default(),
                    current: count(bytes.and_then(|b| b.current)),
                    total: count(bytes.and_then(|b| b.total)),
                };
                let now = Timestamp::now();
                progress.take(&message, now);
                if shown.is_none_or(|at| at.elapsed() >= SHOW) {
                    shown = Some(Instant::now());
                    show(progress.pull(PullState::Running, now));
                }
            }
            Err(Error::DockerStreamError { error }) => return Err((failure(&error, None), progress)),
            Err(error) => {
                let why = match engine.failed(error) {
                    Failed::Server { status, message } => told(status, &message),
                    // The connection broke: does the engine still live?
                    Failed::Away(_) => match engine.ask(|d| async move { d.ping().await }).await {
                        Ok(_) => PullFailure::Other { detail: "the engine broke off".to_owned() },
                        Err(_) => PullFailure::EngineAway,
                    },
                };
                return Err((why, progress));
            }
        }
    }
    show(progress.pull(PullState::Running, Timestamp::now()));
    // A stream that ends without an error may be an engine that died in the middle.
    // (Podman has no word for the end; its stream is not cut off without an error.)
    if !progress.finished() && !engine.is_podman() {
        return Err((PullFailure::EngineAway, progress));
    }
    match id_of(engine, reference).await {
        Ok(now @ Some(_)) if engine.is_podman() => Ok(now != before),
        Ok(Some(_)) => Ok(!progress.up_to_date()),
        Ok(None) => Err((PullFailure::Other { detail: "the engine broke off".to_owned() }, progress)),
        Err(why) => Err((why, progress)),
    }
}

/// The digest that the registry has under a reference. Nothing is pulled.
///
/// # Errors
/// [`PullFailure`].
pub async fn registry_digest(engine: &Engine, reference: &str) -> Result<String, PullFailure> {
    let credentials = credentials(reference).await;
    let asked = engine.ask_slowly(|d| async move { d.inspect_registry_image(reference, credentials).await });
    match tokio::time::timeout(REGISTRY, asked).await {
        Err(_) => Err(PullFailure::RegistryAway {
            detail: format!("the registry did not answer within {} s", REGISTRY.as_secs()),
        }),
        // Podman does not know the question; the status is not about the image.
        Ok(Err(Failed::Server { status: 404, .. })) if engine.is_podman() => Err(PullFailure::Other {
            detail: "Podman does not tell what a registry has without pulling".to_owned(),
        }),
        Ok(Err(failed)) => Err(words(failed)),
        Ok(Ok(found)) => found
            .descriptor
            .digest
            .ok_or_else(|| PullFailure::Other { detail: "the registry told no digest".to_owned() }),
    }
}

/// Gives an image another name.
///
/// # Errors
/// [`PullFailure`].
pub async fn tag(engine: &Engine, image: &str, reference: &str) -> Result<(), PullFailure> {
    let parts = Reference::of(reference);
    let options = TagImageOptions { repo: Some(parts.name.to_owned()), tag: Some(parts.tag().to_owned()) };
    engine.ask(|d| async move { d.tag_image(image, Some(options)).await }).await.map_err(words)
}

/// Removes a name, and the image with it where it was the last one. `force` removes an image by its id with all of its
/// names; one that a container was made from stays in any case.
///
/// # Errors
/// The engine's words: it is in use, or not there.
pub async fn remove(engine: &Engine, image: &str, force: bool) -> Result<(), PullFailure> {
    let options = RemoveImageOptions { force, ..Default::default() };
    let removed =
        engine.ask_within(REMOVE, |d| async move { d.remove_image(image, Some(options), None).await }).await;
    match removed {
        Ok(_) | Err(Failed::Server { status: 404, .. }) => Ok(()),
        Err(Failed::Server { status, message }) if !is_forbidden(status, &message) => {
            Err(PullFailure::Other { detail: message.chars().take(500).collect() })
        }
        Err(failed) => Err(words(failed)),
    }
}

/// Where the engine keeps images, where that is a folder of this machine.
pub async fn folder(engine: &Engine) -> Option<std::path::PathBuf> {
    if !engine.address().starts_with("unix://") {
        return None;
    }
    let info = engine.ask(|d| async move { d.info().await }).await.ok()?;
    info.docker_root_dir.map(std::path::PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(tags: &[&str], digests: &[&str]) -> Stored {
        Stored {
            id: "sha256:1".into(),
            tags: tags.iter().map(|t| (*t).to_owned()).collect(),
            digests: digests.iter().map(|d| (*d).to_owned()).collect(),
            bytes: 1,
            created: None,
            used_by: Vec::new(),
        }
    }

    #[test]
    fn references_are_taken_apart() {
        let parts = |text| {
            let r = Reference::of(text);
            (r.name, r.tag(), r.digest)
        };
        assert_eq!(parts("vllm/vllm-openai"), ("vllm/vllm-openai", "latest", None));
        assert_eq!(parts("localhost:5000/a/b:v1"), ("localhost:5000/a/b", "v1", None));
        assert_eq!(parts("localhost:5000/a"), ("localhost:5000/a", "latest", None));
        assert_eq!(parts("a:b@sha256:12"), ("a", "b", Some("sha256:12")));
        assert_eq!(parts(""), ("", "latest", None));
    }

    #[test]
    fn one_image_is_found_by_all_of_its_names() {
        let image = stored(&["vllm/vllm-openai:latest", "ubuntu:22.04"], &["vllm/vllm-openai@sha256:ab"]);
        for name in [
            "vllm/vllm-openai",
            "docker.io/vllm/vllm-openai:latest",
            "docker.io/library/ubuntu:22.04",
            "vllm/vllm-openai@sha256:ab",
            "vllm/vllm-openai:latest@sha256:ab",
        ] {
            assert!(image.is(name), "{name}");
        }
        for name in ["vllm/vllm-openai:v1", "ubuntu", "vllm/vllm-openai@sha256:ac", "other/vllm-openai"] {
            assert!(!image.is(name), "{name}");
        }
    }
}
