//! Credentials for private registries, as the engine's own client keeps them: `config.json`, and the helpers it names.
//!
//! In: a registry's name. Out: what goes into the header of one request. Nothing is kept, shown or logged.

use bollard::auth::DockerCredentials;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long a helper may take; it may ask a keychain.
const HELPER_LIMIT: Duration = Duration::from_secs(10);
/// The longest file, and the longest answer of a helper.
const BYTES: u64 = 1 << 20;
/// The name under which the client keeps Docker Hub.
const HUB: &str = "https://index.docker.io/v1/";

#[derive(Debug, Default, Deserialize)]
struct ConfigFile {
    #[serde(default)]
    auths: HashMap<String, Entry>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
    #[serde(default, rename = "credHelpers")]
    helpers: HashMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default, rename = "identitytoken")]
    token: Option<String>,
}

/// What a helper answers (docker-credential-helpers, `get`).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// The registry of a reference, as the client writes it.
pub fn registry_of(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => HUB,
    }
}

/// Where the client keeps its configuration.
fn config_path() -> Option<PathBuf> {
    let folder = std::env::var_os("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker")))?;
    Some(folder.join("config.json"))
}

/// The credentials for a reference's registry, if there are any. What cannot be read is logged and counts as none: the
/// registry may answer all the same.
pub async fn credentials(reference: &str) -> Option<DockerCredentials> {
    let path = config_path()?;
    from_file(&path, registry_of(reference)).await
}

async fn from_file(path: &Path, registry: &str) -> Option<DockerCredentials> {
    let mut text = String::new();
    let file = tokio::fs::File::open(path).await.ok()?;
    if let Err(error) = file.take(BYTES).read_to_string(&mut text).await {
        tracing::warn!(%error, "the engine's client configuration cannot be read");
        return None;
    }
    let file: ConfigFile = match serde_json::from_str(&text) {
        Ok(file) => file,
        Err(error) => {
            tracing::warn!(line = error.line(), "the engine's client configuration is not understood");
            return None;
        }
    };
    let matches = |key: &str| bare(key) == bare(registry);
    let helper = file.helpers.iter().find(|(key, _)| matches(key)).map(|(_, helper)| helper);
    if let Some(helper) = helper.or(file.store.as_ref()) {
        return ask(helper, registry).await;
    }
    let entry = file.auths.into_iter().find(|(key, _)| matches(key))?.1;
    let (username, password) = match entry.auth.as_deref().and_then(decoded) {
        Some((name, password)) => (Some(name), Some(password)),
        None => (entry.username, entry.password),
    };
    if username.is_none() && entry.token.is_none() {
        return None;
    }
    Some(made(registry, username, password, entry.token))
}

fn made(
    registry: &str,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
) -> DockerCredentials {
    DockerCredentials {
        username,
        password,
        identitytoken,
        serveraddress: Some(registry.to_owned()),
        ..DockerCredentials::default()
    }
}

/// `https://index.docker.io/v1/` and `index.docker.io` are one.
fn bare(registry: &str) -> &str {
    let rest =
        registry.strip_prefix("https://").or_else(|| registry.strip_prefix("http://")).unwrap_or(registry);
    let host = rest.split('/').next().unwrap_or_default();
    if matches!(host, "docker.io" | "registry-1.docker.io") { "index.docker.io" } else { host }
}

/// `user:password`, in base64.
fn decoded(text: &str) -> Option<(String, String)> {
    let bytes = base64(text)?;
    let text = String::from_utf8(bytes).ok()?;
    let (name, password) = text.trim_end_matches('\0').split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// Plain base64 (RFC 4648); white space is skipped.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in text.bytes().filter(|b| !b.is_ascii_whitespace()).take_while(|b| *b != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    Some(out)
}

/// Asks a credential helper (`docker-credential-NAME get`), which reads the registry from its input.
#[expect(
    clippy::disallowed_methods,
    reason = "the client's own credential helpers are programs; argv, no shell"
)]
async fn ask(helper: &str, registry: &str) -> Option<DockerCredentials> {
    if helper.is_empty() || !helper.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
        tracing::warn!("the engine's client names a credential helper that is no name");
        return None;
    }
    let mut command = std::process::Command::new(format!("docker-credential-{helper}"));
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true);
    let exchange = async {
        let mut child = command.spawn().ok()?;
        child.stdin.take()?.write_all(registry.as_bytes()).await.ok()?;
        let mut text = String::new();
        child.stdout.take()?.take(BYTES).read_to_string(&mut text).await.ok()?;
        child.wait().await.ok().filter(std::process::ExitStatus::success)?;
        serde_json::from_str::<Answer>(&text).ok()
    };
    let Ok(answer) = tokio::time::timeout(HELPER_LIMIT, exchange).await else {
        tracing::warn!(helper, "the credential helper did not answer in time");
        return None;
    };
    let Answer { username, secret } = answer?;
    // A helper answers with this name where the secret is a token.
    let token = username == "<token>";
    Some(if token {
        made(registry, None, None, Some(secret))
    } else {
        made(registry, Some(username), Some(secret), None)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_registry_is_what_stands_before_the_first_slash_if_it_is_a_host() {
        for (reference, registry) in [
            ("vllm/vllm-openai:latest", HUB),
            ("ubuntu", HUB),
            ("localhost:5000/a/b:c", "localhost:5000"),
            ("localhost/a", "localhost"),
            ("ghcr.io/x/y@sha256:ab", "ghcr.io"),
        ] {
            assert_eq!(registry_of(reference), registry, "{reference}");
        }
    }

    #[tokio::test]
    async fn stored_logins_are_found_by_host_and_shown_to_nobody_else() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("config.json");
        std::fs::write(&path, r#"{"auths":{"https://index.docker.io/v1/":{"auth":"bWU6c2U6Y3JldA=="},"ghcr.io":{"identitytoken":"t"},"empty.test":{}}}"#).expect("written");
        let hub = from_file(&path, HUB).await.expect("known");
        assert_eq!((hub.username.as_deref(), hub.password.as_deref()), (Some("me"), Some("se:cret")));
        assert_eq!(from_file(&path, "ghcr.io").await.and_then(|c| c.identitytoken).as_deref(), Some("t"));
        assert!(from_file(&path, "other.test").await.is_none());
        assert!(from_file(&path, "empty.test").await.is_none());
        std::fs::write(&path, "{").expect("written");
        assert!(from_file(&path, HUB).await.is_none());
    }

    #[tokio::test]
    async fn a_helper_is_a_name_and_never_a_path() {
        let dir = tempfile::tempdir().expect("a folder");
        let program = dir.path().join("evil");
        std::fs::write(&program, "#!/bin/sh\ntouch \"$0.ran\"\n").expect("written");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("set");
        let path = dir.path().join("config.json");
        let helper = format!("x/../../{}", program.display());
        std::fs::write(&path, serde_json::json!({ "credsStore": helper }).to_string()).expect("written");
        assert!(from_file(&path, "ghcr.io").await.is_none());
        assert!(!dir.path().join("evil.ran").exists());
    }

    #[test]
    fn base64_is_read_with_and_without_padding() {
        assert_eq!(base64("bWU6eA==").as_deref(), Some(b"me:x".as_slice()));
        assert_eq!(base64("bWU6eA").as_deref(), Some(b"me:x".as_slice()));
        assert_eq!(base64("").as_deref(), Some(b"".as_slice()));
        assert_eq!(base64("ü"), None);
    }
}
