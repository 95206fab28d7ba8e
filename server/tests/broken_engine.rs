//! What a real engine cannot be made to do: answer garbage, hang, hang up. A fake socket plays it.
#![expect(clippy::expect_used, reason = "a test fails by panicking, in its helpers, too")]

use app::model::UnreachableReason;
use server::runtime::docker::{Engine, EngineEvent};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

/// How the fake answers every request.
#[derive(Clone, Copy)]
enum Answer {
    Bytes(&'static str),
    Nothing,
    HangUp,
}

fn play(socket: &Path, answer: Answer) {
    let listener = UnixListener::bind(socket).expect("bound");
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut peer, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = peer.read(&mut request).await;
            match answer {
                Answer::Bytes(text) => {
                    let _ = peer.write_all(text.as_bytes()).await;
                }
                Answer::Nothing => {}
                Answer::HangUp => continue,
            }
            open.push(peer);
        }
    });
}

/// What the engine's task says of this fake, within ten seconds.
async fn reason(answer: Answer) -> UnreachableReason {
    reason_of(|socket| play(socket, answer)).await.expect("taken for an engine that answers")
}

/// An engine of tomorrow: it speaks API 1.99, and none below `least`. A path without a version is of its own.
fn tomorrow(socket: &Path, least: (u32, u32)) {
    // Nothing happens there.
    answering(socket, least, |_| "");
}

/// One that tells what `events` says to the path of a subscription.
fn answering(
    socket: &Path,
    least: (u32, u32),
    events: impl Fn(&str) -> &'static str + Send + Sync + 'static,
) {
    let listener = UnixListener::bind(socket).expect("bound");
    let events = Arc::new(events);
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut peer, _)) = listener.accept().await {
            let events = events.clone();
            open.push(tokio::spawn(async move {
                let mut request = vec![0; 4096];
                while let Ok(read) = peer.read(&mut request).await {
                    let text = String::from_utf8_lossy(&request[..read]).into_owned();
                    let Some(path) = text.split(' ').nth(1) else { return };
                    if path.contains("/events") {
                        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
                        let _ = peer.write_all(format!("{head}{}", events(path)).as_bytes()).await;
                        continue;
                    }
                    let about = format!(
                        "{{\"Version\":\"99.0\",\"ApiVersion\":\"1.99\",\"MinAPIVersion\":\"{}.{}\",\"SomethingNew\":{{}}}}",
                        least.0, least.1
                    );
                    let body = if path.contains("/version") { about.as_str() } else { "OK" };
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nApi-Version: 1.99\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    if peer.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            }));
        }
    });
}

/// What the engine's task says of a fake within ten seconds; nothing where it is taken for an engine.
async fn reason_of(play: impl FnOnce(&Path)) -> Option<UnreachableReason> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let socket = dir.path().join("docker.sock");
    play(&socket);
    let engine = Engine::new(format!("unix://{}", socket.display()));
    let stop = CancellationToken::new();
    let task = tokio::spawn(engine.clone().run(stop.clone()));
    let end = Instant::now() + Duration::from_secs(10);
    let seen = loop {
        match engine.away() {
            Some(UnreachableReason::NotAskedYet) => {}
            other => break other,
        }
        assert!(Instant::now() < end, "nothing was said of it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), task).await.expect("ends in time").expect("no panic");
    seen
}

#[tokio::test]
async fn an_engine_that_answers_garbage_is_said_to() {
    let json =
        "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nContent-Type: application/json\r\n\r\n{\"not\": json";
    for text in [json, "SSH-2.0-OpenSSH_9.2\r\n"] {
        let reason = reason(Answer::Bytes(text)).await;
        assert!(matches!(reason, UnreachableReason::Garbage { .. }), "{text:?}: {reason:?}");
    }
}

#[tokio::test]
async fn an_engine_of_tomorrow_is_understood_as_long_as_it_speaks_what_is_spoken_here() {
    assert_eq!(reason_of(|socket| tomorrow(socket, (1, 40))).await, None);
    let Some(UnreachableReason::Garbage { detail }) = reason_of(|socket| tomorrow(socket, (1, 90))).await
    else {
        panic!("nothing was said of it")
    };
    for word in ["from version 1.90 on", "up to 1.", "A newer Services is needed"] {
        assert!(detail.contains(word), "{detail}");
    }
}

/// What a subscription's path asks for since.
fn since(path: &str) -> Option<String> {
    Some(path.split("since=").nth(1)?.split('&').next()?.to_owned())
}

#[tokio::test]
async fn a_stream_that_something_cut_off_is_asked_for_again_from_the_last_event_on() {
    /// One event, and the end.
    const STARTED: &str = "9b\r\n{\"Type\":\"container\",\"Action\":\"start\",\"Actor\":{\"ID\":\"abcdef\",\"Attributes\":{\"name\":\"vllm\"}},\"scope\":\"local\",\"time\":1795348800,\"timeNano\":1795348800123456789}\r\n0\r\n\r\n";
    let dir = tempfile::tempdir().expect("a temporary folder");
    let socket = dir.path().join("docker.sock");
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = asked.clone();
    answering(&socket, (1, 40), move |path| {
        let mut asked = seen.lock().expect("whole");
        asked.push(path.to_owned());
        // The first tells something, the second breaks, the third stays.
        ["", STARTED, "not a chunk\r\n", ""][asked.len().min(3)]
    });
    let engine = Engine::new(format!("unix://{}", socket.display()));
    let mut events = engine.subscribe();
    let stop = CancellationToken::new();
    let task = tokio::spawn(engine.clone().run(stop.clone()));
    let read = async {
        let mut heard = Vec::new();
        // It is looked at again, once it is listened to again.
        while asked.lock().expect("whole").len() < 3 || heard.last() != Some(&EngineEvent::Up) {
            heard.push(events.recv().await.expect("told"));
        }
        heard
    };
    let heard = tokio::time::timeout(Duration::from_secs(20), read).await.expect("told in time");
    let started = EngineEvent::Container { id: "abcdef".to_owned(), name: "vllm".to_owned() };
    assert!(heard.contains(&started), "{heard:?}");
    assert!(!heard.iter().any(|event| matches!(event, EngineEvent::Away(_))), "{heard:?}");
    let asked = asked.lock().expect("whole").clone();
    for path in &asked[1..] {
        assert_eq!(since(path).as_deref(), Some("1795348800"), "{path}");
    }
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), task).await.expect("ends in time").expect("no panic");
}

#[tokio::test]
async fn an_engine_whose_streams_all_end_at_once_is_said_to() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let socket = dir.path().join("docker.sock");
    answering(&socket, (1, 40), |_| "0\r\n\r\n");
    let engine = Engine::new(format!("unix://{}", socket.display()));
    let mut events = engine.subscribe();
    let stop = CancellationToken::new();
    let task = tokio::spawn(engine.clone().run(stop.clone()));
    let read = async {
        loop {
            if let EngineEvent::Away(reason) = events.recv().await.expect("told") {
                return reason;
            }
        }
    };
    let reason = tokio::time::timeout(Duration::from_secs(20), read).await.expect("told in time");
    assert_eq!(reason, UnreachableReason::Garbage { detail: "its events ended".to_owned() });
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), task).await.expect("ends in time").expect("no panic");
}

#[tokio::test]
async fn an_engine_that_hangs_is_given_up_in_time() {
    let reason = reason(Answer::Nothing).await;
    assert!(matches!(reason, UnreachableReason::Timeout { seconds: 5, .. }), "{reason:?}");
}

#[tokio::test]
async fn an_engine_that_hangs_up_has_refused() {
    let reason = reason(Answer::HangUp).await;
    assert!(matches!(reason, UnreachableReason::Refused { .. }), "{reason:?}");
}

#[tokio::test]
async fn an_engine_that_is_not_there_has_no_socket() {
    let engine = Engine::new("unix:///nonexistent/docker.sock".to_owned());
    let stop = CancellationToken::new();
    let task = tokio::spawn(engine.clone().run(stop.clone()));
    let mut events = engine.subscribe();
    let first = tokio::time::timeout(Duration::from_secs(5), events.recv()).await;
    assert!(first.is_ok() || engine.away().is_some());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(matches!(engine.away(), Some(UnreachableReason::NoSocket { .. })), "{:?}", engine.away());
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), task).await.expect("ends in time").expect("no panic");
}
