//! Checks against small real servers and programs.

use super::*;
use proptest::prelude::*;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn words(list: &[&str]) -> Check {
    Check::command(list.iter().map(|w| (*w).to_owned()).collect()).unwrap()
}

fn why(outcome: Outcome) -> Why {
    match outcome {
        Outcome::Unhealthy { why } => why,
        Outcome::Healthy => panic!("healthy"),
    }
}

/// A server that gives everybody this answer.
async fn server(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut asked = [0u8; 1024];
            let _ = socket.read(&mut asked).await;
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    port
}

async fn get_answered(answer: &'static str) -> Outcome {
    let port = server(answer).await;
    run(&Check::parse(&format!("http://127.0.0.1:{port}/health")).unwrap()).await
}

#[test]
fn the_three_kinds_are_read_and_shown_again() {
    for (text, shown) in [
        ("http://127.0.0.1:5432/health", "http://127.0.0.1:5432/health"),
        ("http://localhost", "http://localhost:80/"),
        ("http://[::1]:8080/a?b=c", "http://[::1]:8080/a?b=c"),
        ("tcp://127.0.0.1:5432", "tcp://127.0.0.1:5432"),
        ("tcp://[::1]:5432", "tcp://[::1]:5432"),
        ("cmd:pg_isready  -q -p 5432", "cmd:pg_isready -q -p 5432"),
    ] {
        assert_eq!(Check::parse(text).map(|c| c.to_string()), Ok(shown.to_owned()));
    }
}

#[test]
fn what_is_no_check_is_refused_with_what_is_allowed() {
    assert!(matches!(Check::parse("https://a"), Err(CheckError::Https(_))));
    for text in ["", "ftp://a", "127.0.0.1:80", "CMD:x"] {
        assert!(matches!(Check::parse(text), Err(CheckError::Kind(_))), "{text}");
    }
    for text in [
        "tcp://a",
        "tcp://a:0",
        "tcp://:1",
        "tcp://a:65536",
        "tcp://a:+1",
        "http://a b/",
        "http://u@a/",
        "http://a/\r\nX: y",
        "http://[a]/",
    ] {
        assert!(matches!(Check::parse(text), Err(CheckError::Address(_))), "{text}");
    }
    for text in [
        "http://169.254.169.254/",
        "tcp://169.254.1.1:80",
        "tcp://[fe80::1]:80",
        "http://metadata.google.internal/x",
    ] {
        assert!(matches!(Check::parse(text), Err(CheckError::Forbidden(_))), "{text}");
    }
    for text in ["cmd:a | b", "cmd:a 'b c'", "cmd:echo $HOME"] {
        assert!(matches!(Check::parse(text), Err(CheckError::Shell(_))), "{text}");
    }
    assert_eq!(Check::parse("cmd: "), Err(CheckError::Words));
    assert_eq!(Check::command(vec![]), Err(CheckError::Words));
}

#[tokio::test]
async fn statuses_from_200_to_399_are_healthy_and_others_are_named() {
    assert_eq!(get_answered("HTTP/1.1 204 No Content\r\n\r\n").await, Outcome::Healthy);
    assert_eq!(
        get_answered("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n").await,
        Outcome::Healthy
    );
    let down = get_answered("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(why(down), Why::Status { status: 503 });
    assert_eq!(why(get_answered("SSH-2.0-OpenSSH_9.2\r\n").await), Why::Garbage);
}

#[tokio::test]
async fn a_host_that_turns_out_to_be_a_metadata_service_is_not_asked() {
    // 169.254.169.254, as the system's resolver reads it, and as it may be written by mistake.
    for text in ["http://2852039166/", "tcp://2852039166:80", "tcp://0xa9fea9fe:80"] {
        let Err(error) = Check::parse(text) else { panic!("{text} was taken") };
        assert!(error.to_string().contains(crate::reach::REFUSED), "{error}");
    }
    // A name is looked at when it is resolved.
    let error = crate::reach::resolve("2852039166", 80).await.unwrap_err();
    assert_eq!(error.to_string(), crate::reach::REFUSED);
}

#[tokio::test]
async fn a_port_that_accepts_is_healthy_and_a_closed_one_is_refused() {
    let port = server("").await;
    assert_eq!(run(&Check::parse(&format!("tcp://127.0.0.1:{port}")).unwrap()).await, Outcome::Healthy);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    for kind in ["tcp", "http"] {
        let check = Check::parse(&format!("{kind}://127.0.0.1:{closed}")).unwrap();
        assert_eq!(why(run(&check).await), Why::Refused, "{kind}");
    }
}

#[tokio::test]
async fn a_command_is_healthy_when_it_exits_with_0_and_its_words_are_kept_otherwise() {
    assert_eq!(run(&words(&["true"])).await, Outcome::Healthy);
    let no = run(&words(&["sh", "-c", "echo not yet >&2; exit 7"])).await;
    assert_eq!(why(no), Why::Exited { code: 7, said: "not yet".into() });
    assert_eq!(why(run(&words(&["sh", "-c", "kill -9 $$"])).await), Why::Killed { signal: 9 });
    assert!(
        matches!(why(run(&words(&["/nonexistent"])).await), Why::NotRun { program, .. } if program == "/nonexistent")
    );
}

#[tokio::test]
async fn words_reach_the_program_as_they_are() {
    assert_eq!(run(&words(&["test", "$HOME; exit 1", "=", "$HOME; exit 1"])).await, Outcome::Healthy);
}

#[tokio::test]
async fn a_flood_of_output_is_bounded_and_holds_nobody_up() {
    let flood = run(&words(&["sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x; exit 1"])).await;
    assert!(matches!(why(flood), Why::Exited { code: 1, said } if said.len() == 300));
}

#[tokio::test]
async fn a_command_that_hangs_is_killed_with_all_that_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let script = format!("sleep 60 & echo $! > {}; wait", file.display());
    let list = ["sh", "-c", &script].map(str::to_owned);
    let begun = Instant::now();
    assert_eq!(command::run(&list, Duration::from_secs(1)).await, Err(Why::Timeout { seconds: 1 }));
    assert!(begun.elapsed() < Duration::from_secs(3));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let pid = std::fs::read_to_string(file).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
}

#[tokio::test]
async fn a_command_that_leaves_a_child_behind_is_not_waited_for() {
    let begun = Instant::now();
    assert_eq!(run(&words(&["sh", "-c", "sleep 3 & exit 0"])).await, Outcome::Healthy);
    assert!(begun.elapsed() < Duration::from_secs(2));
}

proptest! {
    #[test]
    fn what_is_read_is_read_again_from_how_it_is_shown(text in "(http://|tcp://|cmd:|)[a-z0-9:./\\[\\] -]{0,40}") {
        if let Ok(check) = Check::parse(&text) {
            prop_assert_eq!(Check::parse(&check.to_string()), Ok(check));
        }
    }
}
