//! What a real engine cannot be made to do: answer garbage, hang, hang up. A fake socket plays it.
#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, in its helpers, too")]

use app::model::UnreachableReason;
use server::runtime::docker::Engine;
use std::path::Path;
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
    let dir = tempfile::tempdir().expect("a temporary folder");
    let socket = dir.path().join("docker.sock");
    play(&socket, answer);
    let engine = Engine::new(format!("unix://{}", socket.display()));
    let stop = CancellationToken::new();
    let task = tokio::spawn(engine.clone().run(stop.clone()));
    let end = Instant::now() + Duration::from_secs(10);
    let seen = loop {
        match engine.away() {
            Some(UnreachableReason::NotAskedYet) => {}
            Some(reason) => break reason,
            None => panic!("taken for an engine that answers"),
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
