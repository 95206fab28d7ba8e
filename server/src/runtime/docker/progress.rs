//! What the engine tells while it pulls, added up: layers, bytes, speed, time left. And why a pull fails, in types.
//!
//! In: the messages of `POST /images/create`, one by one, with the time. Out: the [`Pull`] that the page shows. Pure.
//! Source of the messages: `moby/distribution` and `moby/pkg/jsonmessage`; recordings are in `tests/fixtures/pull`.

use app::model::{Layer, LayerStage, Pull, PullFailure, PullState, Timestamp};
use std::collections::{HashMap, VecDeque};

/// Layers that are kept; the engine's own limit is 127.
const LAYERS: usize = 512;
/// The speed is that of the last seconds, in milliseconds.
const WINDOW_MS: u64 = 5_000;
/// How often the speed is noted, in milliseconds.
const SAMPLE_MS: u64 = 200;
/// Words of the engine that are kept.
const DETAIL: usize = 500;

/// One message of the engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Message<'a> {
    /// The layer, or the tag.
    pub id: Option<&'a str>,
    /// What happens.
    pub status: &'a str,
    /// Bytes done.
    pub current: Option<u64>,
    /// Bytes in all.
    pub total: Option<u64>,
}

/// One layer as it is followed.
#[derive(Debug)]
struct Seen {
    layer: Layer,
    /// What it weighs on the wire, once known.
    size: Option<u64>,
    /// Downloaded so far.
    got: u64,
}

/// A pull as it goes.
#[derive(Debug)]
pub struct Progress {
    started: Timestamp,
    layers: Vec<Seen>,
    place: HashMap<String, usize>,
    /// (when, bytes downloaded until then)
    samples: VecDeque<(Timestamp, u64)>,
    /// The image is the one that was here.
    up_to_date: bool,
    /// The engine said that it is done.
    finished: bool,
}

impl Progress {
    /// A pull that was asked for at this moment.
    pub fn new(started: Timestamp) -> Self {
        Self {
            started,
            layers: Vec::new(),
            place: HashMap::new(),
            samples: VecDeque::from([(started, 0)]),
            up_to_date: false,
            finished: false,
        }
    }

    /// Takes one message.
    pub fn take(&mut self, message: &Message<'_>, now: Timestamp) {
        if message.status.starts_with("Status: Image is up to date") {
            self.up_to_date = true;
        }
        self.finished |= message.status.starts_with("Status: ");
        let Some(stage) = stage(message.status) else { return };
        let Some(at) = message.id.and_then(|id| self.layer(id)) else { return };
        let Some(seen) = self.layers.get_mut(at) else { return };
        seen.layer.stage = stage;
        let total = message.total.filter(|t| *t > 0);
        match stage {
            LayerStage::Downloading => {
                // A download that is tried again begins anew, or counts only what was left of it.
                seen.size = seen.size.max(total);
                let behind = seen.size.zip(total).map_or(0, |(size, total)| size.saturating_sub(total));
                seen.got = message.current.unwrap_or(0).saturating_add(behind);
                (seen.layer.done_bytes, seen.layer.total_bytes) = (seen.got, seen.size);
            }
            LayerStage::Downloaded | LayerStage::Done => {
                // Small layers come without a message in between: their size is never told.
                seen.size = Some(seen.size.unwrap_or(seen.got));
                seen.got = seen.size.unwrap_or(seen.got);
                (seen.layer.done_bytes, seen.layer.total_bytes) = (seen.got, seen.size);
            }
            LayerStage::Extracting => {
                seen.got = seen.size.unwrap_or(seen.got);
                // The containerd store counts seconds here, without a total.
                let counted = total.is_some();
                seen.layer.done_bytes = message.current.filter(|_| counted).unwrap_or(0);
                seen.layer.total_bytes = total.or(seen.size);
            }
            LayerStage::Exists => (seen.size, seen.got) = (Some(0), 0),
            LayerStage::Waiting => {}
        }
        self.sample(now);
    }

    fn layer(&mut self, id: &str) -> Option<usize> {
        if let Some(at) = self.place.get(id) {
            return Some(*at);
        }
        let fits = (1..=72).contains(&id.len()) && self.layers.len() < LAYERS;
        // The first message carries the tag where later ones carry a layer; only layers are digits.
        if !fits || !id.chars().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        let layer = Layer {
            id: id.chars().take(12).collect(),
            stage: LayerStage::Waiting,
            done_bytes: 0,
            total_bytes: None,
        };
        self.layers.push(Seen { layer, size: None, got: 0 });
        self.place.insert(id.to_owned(), self.layers.len() - 1);
        Some(self.layers.len() - 1)
    }

    fn done(&self) -> u64 {
        self.layers.iter().map(|l| l.got).fold(0, u64::saturating_add)
    }

    fn sample(&mut self, now: Timestamp) {
        let done = self.done();
        let last = self.samples.back().copied().unwrap_or((self.started, 0));
        if done < last.1 {
            // A layer began anew: what was before says nothing of the speed.
            self.samples = VecDeque::from([(now, done)]);
        } else if now.since(last.0) >= SAMPLE_MS {
            self.samples.push_back((now, done));
        }
        while self.samples.len() > 2 && self.samples.get(1).is_some_and(|(at, _)| now.since(*at) >= WINDOW_MS)
        {
            self.samples.pop_front();
        }
    }

    /// Whether the engine has said that it is done; a stream that merely ends is an engine that died.
    pub const fn finished(&self) -> bool {
        self.finished
    }

    /// Whether the image is the one that was here before.
    pub const fn up_to_date(&self) -> bool {
        self.up_to_date
    }

    /// Bytes that are still to be downloaded, as far as known.
    pub fn missing_bytes(&self) -> u64 {
        self.layers.iter().filter_map(|l| Some(l.size?.saturating_sub(l.got))).fold(0, u64::saturating_add)
    }

    /// The pull as it is now.
    pub fn pull(&self, state: PullState, now: Timestamp) -> Pull {
        let done_bytes = self.done();
        let unknown = self.layers.iter().filter(|l| l.size.is_none()).count();
        let total_bytes = self.layers.iter().filter_map(|l| l.size).fold(0, u64::saturating_add);
        let running = state == PullState::Running;
        let downloading = self.layers.iter().any(|l| l.layer.stage == LayerStage::Downloading);
        let speed = self.samples.front().filter(|_| running && downloading).and_then(|(at, bytes)| {
            let ms = now.since(*at);
            (ms >= SAMPLE_MS * 2)
                .then(|| u128::from(done_bytes.saturating_sub(*bytes)) * 1000 / u128::from(ms))
        });
        let speed = speed.and_then(|s| u64::try_from(s).ok());
        let left_s = speed.filter(|s| *s > 0 && unknown == 0).map(|s| self.missing_bytes().div_ceil(s));
        Pull {
            started: self.started,
            state,
            layers: self.layers.iter().map(|l| l.layer.clone()).collect(),
            done_bytes,
            total_bytes,
            unknown_layers: u32::try_from(unknown).unwrap_or(u32::MAX),
            bytes_per_s: speed,
            left_s,
        }
    }
}

fn stage(status: &str) -> Option<LayerStage> {
    Some(match status {
        "Pulling fs layer" | "Waiting" | "Preparing" => LayerStage::Waiting,
        "Downloading" => LayerStage::Downloading,
        "Verifying Checksum" | "Download complete" => LayerStage::Downloaded,
        "Extracting" => LayerStage::Extracting,
        "Pull complete" => LayerStage::Done,
        "Already exists" => LayerStage::Exists,
        other if other.starts_with("Retrying in") => LayerStage::Waiting,
        _ => return None,
    })
}

/// What the engine's words mean. `status` is the HTTP status where the answer had no stream.
pub fn failure(message: &str, status: Option<u16>) -> PullFailure {
    let lower = message.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|w| lower.contains(w));
    if has(&["no space left on device", "disk quota exceeded"]) {
        PullFailure::NoSpace { needed_bytes: None, free_bytes: None }
    } else if has(&["toomanyrequests", "too many requests", "rate limit"]) {
        PullFailure::RateLimit
    } else if has(&["manifest unknown", "manifest for", "no such image", "name unknown", "name_unknown"])
        || has(&["repository name not known", "failed to resolve reference"]) && has(&["not found"])
    {
        PullFailure::NoSuchTag
    } else if lower == "denied"
        || has(&[
            "unauthorized",
            "no basic auth credentials",
            "pull access denied",
            "access denied",
            "access to the requested resource is not authorized",
            "authentication required",
            "403 forbidden",
            "401 unauthorized",
            "denied:",
        ])
    {
        PullFailure::Denied
    } else if has(&[
        "connection refused",
        "no such host",
        "i/o timeout",
        "client.timeout",
        "context deadline exceeded",
        "connection reset",
        "unexpected eof",
        "tls handshake",
        "network is unreachable",
        "server misbehaving",
        "no route to host",
        "received unexpected http status: 5",
        "500 internal server error",
        "502 bad gateway",
        "503 service",
        "504 gateway",
        "server gave http response to https client",
        "x509:",
        ": eof",
    ]) {
        PullFailure::RegistryAway { detail: message.chars().take(DETAIL).collect() }
    } else if status == Some(404) {
        PullFailure::NoSuchTag
    } else {
        PullFailure::Other { detail: message.chars().take(DETAIL).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn message<'a>(id: &'a str, status: &'a str, bytes: Option<(u64, u64)>) -> Message<'a> {
        Message { id: Some(id), status, current: bytes.map(|b| b.0), total: bytes.map(|b| b.1) }
    }

    #[test]
    fn bytes_layers_speed_and_time_left_are_added_up() {
        let mut progress = Progress::new(at(0));
        progress.take(&message("latest", "Pulling from vllm/vllm-openai", None), at(0));
        for id in ["aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"] {
            progress.take(&message(id, "Pulling fs layer", None), at(0));
        }
        progress.take(&message("aaaaaaaaaaaa", "Already exists", None), at(10));
        progress.take(&message("bbbbbbbbbbbb", "Downloading", Some((100_000, 1_000_000))), at(1_000));
        let pull = progress.pull(PullState::Running, at(1_000));
        assert_eq!((pull.layers.len(), pull.done_bytes, pull.total_bytes), (3, 100_000, 1_000_000));
        assert_eq!((pull.unknown_layers, pull.left_s), (1, None), "a layer of unknown size is to come");
        progress.take(&message("cccccccccccc", "Downloading", Some((0, 900_000))), at(1_500));
        progress.take(&message("bbbbbbbbbbbb", "Downloading", Some((200_000, 1_000_000))), at(2_000));
        let pull = progress.pull(PullState::Running, at(2_000));
        assert_eq!((pull.bytes_per_s, pull.left_s), (Some(100_000), Some(17)));
    }

    #[test]
    fn a_layer_that_begins_anew_does_not_make_the_speed_negative() {
        let mut progress = Progress::new(at(0));
        progress.take(&message("aaaaaaaaaaaa", "Downloading", Some((500, 1_000))), at(1_000));
        progress.take(&message("aaaaaaaaaaaa", "Retrying in 5 seconds", None), at(2_000));
        progress.take(&message("aaaaaaaaaaaa", "Downloading", Some((10, 1_000))), at(8_000));
        let pull = progress.pull(PullState::Running, at(9_000));
        assert_eq!((pull.done_bytes, pull.bytes_per_s), (10, Some(0)));
    }

    #[test]
    fn seconds_of_unpacking_are_not_taken_for_bytes() {
        let mut progress = Progress::new(at(0));
        progress.take(&message("aaaaaaaaaaaa", "Downloading", Some((1_000, 1_000))), at(100));
        let extracting = Message { total: None, ..message("aaaaaaaaaaaa", "Extracting", Some((7, 0))) };
        progress.take(&extracting, at(200));
        assert_eq!(progress.pull(PullState::Running, at(200)).layers[0].done_bytes, 0);
        progress.take(&message("aaaaaaaaaaaa", "Pull complete", None), at(300));
        let pull = progress.pull(PullState::Done { at: at(300), changed: true }, at(300));
        assert_eq!((pull.done_bytes, pull.total_bytes, pull.unknown_layers), (1_000, 1_000, 0));
    }

    #[test]
    fn what_the_engine_says_becomes_a_cause() {
        let away = |detail: &str| PullFailure::RegistryAway { detail: detail.to_owned() };
        let full = PullFailure::NoSpace { needed_bytes: None, free_bytes: None };
        for (words, cause) in [
            (
                "manifest for vllm/vllm-openai:nope not found: manifest unknown: manifest unknown",
                PullFailure::NoSuchTag,
            ),
            (
                "pull access denied for x/y, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
                PullFailure::Denied,
            ),
            ("toomanyrequests: You have reached your pull rate limit.", PullFailure::RateLimit),
            ("failed to register layer: write /x: no space left on device", full),
            (
                "Get \"https://registry.test/v2/\": dial tcp: lookup registry.test: no such host",
                away("Get \"https://registry.test/v2/\": dial tcp: lookup registry.test: no such host"),
            ),
            ("something new", PullFailure::Other { detail: "something new".into() }),
        ] {
            assert_eq!(failure(words, None), cause, "{words}");
        }
    }

    /// What the engine wrote, recorded with a registry of our own: see the folder's README.
    fn recorded(name: &str) -> (Option<u16>, Progress, Vec<u64>, Option<PullFailure>) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pull/");
        let text = std::fs::read_to_string(format!("{folder}{name}.jsonl")).expect("recorded");
        let status = name.split('-').next().and_then(|s| s.parse().ok()).filter(|s| *s != 200);
        let (mut progress, mut done, mut why) = (Progress::new(at(0)), Vec::new(), None);
        for (n, line) in (1..).zip(text.lines()) {
            let json: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let error = json["errorDetail"]["message"].as_str().or(json["message"].as_str());
            if let Some(error) = error {
                why = Some(failure(error, status));
                break;
            }
            let message = Message {
                id: json["id"].as_str(),
                status: json["status"].as_str().unwrap_or_default(),
                current: json["progressDetail"]["current"].as_u64(),
                total: json["progressDetail"]["total"].as_u64(),
            };
            progress.take(&message, at(n * 100));
            done.push(progress.pull(PullState::Running, at(n * 100)).done_bytes);
        }
        (status, progress, done, why)
    }

    #[test]
    fn a_recorded_pull_counts_up_to_every_byte() {
        let (_, progress, done, why) = recorded("200-three-layers");
        assert!(done.is_sorted() && why.is_none());
        let pull = progress.pull(PullState::Done { at: at(0), changed: true }, at(0));
        assert_eq!((pull.done_bytes, pull.total_bytes, pull.unknown_layers), (300_005_376, 300_005_376, 0));
        assert!(pull.layers.len() == 3 && pull.layers.iter().all(|l| l.stage == LayerStage::Done));
        let resumed = recorded("200-connection-cut-once").1;
        let pull = resumed.pull(PullState::Done { at: at(0), changed: true }, at(0));
        assert_eq!(pull.done_bytes, pull.total_bytes, "what was resumed is counted whole");
        assert_eq!(pull.total_bytes, 60_005_376);
        assert!(progress.finished() && !recorded("200-engine-term").1.finished());
        assert!(recorded("200-up-to-date").1.up_to_date() && !progress.up_to_date());
    }

    #[test]
    fn recorded_refusals_are_told_apart() {
        for (name, wanted) in [
            ("404-no-such-tag", "no-such-tag"),
            ("404-no-such-repository", "no-such-tag"),
            ("404-denied-403", "denied"),
            ("404-bearer-no-credentials", "denied"),
            ("500-bearer-wrong-credentials", "denied"),
            ("500-basic-no-credentials", "denied"),
            ("500-basic-wrong-credentials", "denied"),
            ("500-unauthorized-401", "denied"),
            ("500-denied-403-one-word", "denied"),
            ("500-unauthorized-401-one-word", "denied"),
            ("500-rate-limit-429", "rate-limit"),
            ("200-rate-limit-429-layers", "rate-limit"),
            ("500-registry-away", "registry-away"),
            ("500-registry-silent", "registry-away"),
            ("500-no-such-host", "registry-away"),
            ("500-broken-500", "registry-away"),
            ("500-unavailable-503", "registry-away"),
            ("200-disk-full-downloading", "no-space"),
            ("200-disk-full-extracting", "no-space"),
            ("200-corrupt", "other"),
            ("400-bad-reference", "other"),
        ] {
            let why = recorded(name).3.unwrap_or_else(|| panic!("{name} fails"));
            let json = serde_json::to_value(&why).expect("plain data");
            assert_eq!(json["why"], wanted, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_messages_add_up_without_a_panic(
            all in proptest::collection::vec((0_usize..4, 0_usize..9, any::<Option<u64>>(), any::<Option<u64>>(), any::<i64>()), 0..60)
        ) {
            const STATUS: [&str; 9] = ["Pulling fs layer", "Waiting", "Downloading", "Verifying Checksum", "Download complete", "Extracting", "Pull complete", "Already exists", "Retrying in 1 second"];
            let mut progress = Progress::new(at(0));
            for (id, status, current, total, time) in all {
                let id = ["aaaaaaaaaaaa", "bbbbbbbbbbbb", "latest", ""][id];
                progress.take(&Message { id: Some(id), status: STATUS[status], current, total }, at(time));
                let pull = progress.pull(PullState::Running, at(time));
                prop_assert!(pull.layers.len() <= 2);
            }
        }
    }
}
