use super::*;

const PASSWORD: &str = "correct horse battery";

fn ip(n: u32) -> IpAddr {
    IpAddr::from(n.to_be_bytes())
}

fn stranger(n: u32) -> Visitor<'static> {
    Visitor { ip: ip(n), agent: "a browser", device: None }
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + ms)
}

struct House {
    access: Access,
    _dir: tempfile::TempDir,
}

fn house(open: bool) -> House {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).expect("opens");
    House { access: Access::new(Arc::new(store), open), _dir: dir }
}

fn of(session: &str) -> Credentials<'_> {
    Credentials { session: Some(session), bearer: None }
}

#[tokio::test]
async fn the_first_account_takes_the_code_and_takes_it_once() {
    let House { access, _dir } = house(false);
    let code = access.setup_code().expect("a code");
    assert!(access.needs_setup() && access.who(Credentials::default(), at(0)).is_none());
    let wrong = access.set_up("AAAA-BBBB-CCCC-DDDD", "root", PASSWORD, stranger(1), at(0)).await;
    assert_eq!(wrong.err(), Some(Refused::Code));
    for (name, password, refused) in [
        ("../root", PASSWORD, Refused::Name),
        ("", PASSWORD, Refused::Name),
        ("local", PASSWORD, Refused::Name),
        ("root", "short", Refused::Password),
        ("administrator", "administrator", Refused::Password),
    ] {
        let result = access.set_up(&code, name, password, stranger(1), at(0)).await;
        assert_eq!(result.err(), Some(refused), "{name}");
    }
    let typed = code.to_lowercase().replace('-', " ");
    let entry = access.set_up(&typed, "root", PASSWORD, stranger(2), at(0)).await.expect("made");
    let guest = access.who(of(&entry.session), at(1)).expect("let in");
    assert_eq!((guest.caller.name.as_str(), guest.caller.role), ("root", Some(Role::Admin)));
    assert!(!access.needs_setup() && access.setup_code().is_none());
    assert_eq!(access.set_up(&code, "eve", PASSWORD, stranger(3), at(0)).await.err(), Some(Refused::Done));
    assert_eq!(access.set_up_unattended("eve", PASSWORD).await, Ok(false));
}

#[tokio::test]
async fn guessing_the_code_has_a_limit() {
    let House { access, _dir } = house(false);
    for _ in 0..10 {
        assert_eq!(access.set_up("X", "root", PASSWORD, stranger(1), at(0)).await.err(), Some(Refused::Code));
    }
    assert!(matches!(
        access.set_up("X", "root", PASSWORD, stranger(1), at(0)).await.err(),
        Some(Refused::Wait(_))
    ));
    // Whoever else is at this address locks nobody out who has the right one.
    let code = access.setup_code().expect("a code");
    assert!(access.set_up(&code, "root", PASSWORD, stranger(1), at(0)).await.is_ok());
}

#[tokio::test]
async fn sessions_end_by_idleness_by_age_by_hand_and_with_the_password() {
    let House { access, _dir } = house(false);
    access.set_up_unattended("root", PASSWORD).await.expect("made");
    let enter = |now| access.sign_in("ROOT", PASSWORD, stranger(1), now);
    let first = enter(at(0)).await.expect("let in");
    let second = enter(at(0)).await.expect("let in");
    assert_ne!(first.session, second.session, "each has its own");
    assert!(access.who(of(&first.session), at(IDLE_MS - 1)).is_some());
    assert!(access.who(of(&second.session), at(IDLE_MS)).is_none(), "nobody used it");
    // Used again and again, it still ends.
    for day in 1..30 {
        assert!(access.who(of(&first.session), at(day * 24 * 3_600_000)).is_some(), "day {day}");
    }
    assert!(access.who(of(&first.session), at(ABSOLUTE_MS)).is_none());

    let mut streams = access.changes();
    streams.mark_unchanged();
    let third = enter(at(10)).await.expect("let in");
    access.sign_out(&third.session);
    assert!(access.who(of(&third.session), at(11)).is_none());
    assert!(streams.has_changed().expect("alive"), "streams look again");
    let (mine, other) = (enter(at(10)).await.expect("in"), enter(at(10)).await.expect("in"));
    let keep = access.who(of(&mine.session), at(11)).and_then(|guest| guest.session).map(|s| s.id);
    let wrong = access.change_password("root", "not the old one", "another password", keep, false).await;
    assert_eq!(wrong.err(), Some(Refused::Wrong));
    access.change_password("root", PASSWORD, "another password", keep, false).await.expect("changed");
    assert!(
        access.who(of(&mine.session), at(12)).is_some() && access.who(of(&other.session), at(12)).is_none()
    );
    assert_eq!(enter(at(13)).await.err(), Some(Refused::Wrong));
}

#[tokio::test]
async fn a_stranger_cannot_lock_the_owner_out() {
    let House { access, _dir } = house(false);
    access.set_up_unattended("root", PASSWORD).await.expect("made");
    let entry = access.sign_in("root", PASSWORD, stranger(1), at(0)).await.expect("let in");
    for n in 0..40 {
        let result = access.sign_in("root", "a wrong password", stranger(1000 + n % 4), at(1)).await;
        assert!(matches!(result.err(), Some(Refused::Wrong | Refused::Wait(_))));
    }
    // Even from the attacker's own address.
    let owner = Visitor { device: Some(&entry.device), ..stranger(1000) };
    assert!(access.sign_in("root", PASSWORD, owner, at(2)).await.is_ok());
    // And on a new browser from elsewhere.
    assert!(access.sign_in("root", PASSWORD, stranger(7), at(2)).await.is_ok());
    // The cookie of one account's browser says nothing of another account.
    access.add_account("eve", Role::Viewer, PASSWORD).await.expect("made");
    let eve = access.sign_in("eve", PASSWORD, stranger(8), at(2)).await.expect("let in");
    for _ in 0..12 {
        let guess = Visitor { device: Some(&eve.device), ..stranger(9) };
        let _ = access.sign_in("root", "a wrong password", guess, at(3)).await;
    }
    let guess = Visitor { device: Some(&eve.device), ..stranger(9) };
    assert!(matches!(access.sign_in("root", PASSWORD, guess, at(3)).await.err(), Some(Refused::Wait(_))));
}

#[tokio::test]
async fn a_flood_of_strangers_waits_and_those_who_were_here_do_not() {
    let House { access, _dir } = house(false);
    access.set_up_unattended("root", PASSWORD).await.expect("made");
    let entry = access.sign_in("root", PASSWORD, stranger(1), at(0)).await.expect("let in");
    let access = Arc::new(access);
    let flood: Vec<_> = (0..64)
        .map(|n| {
            let access = access.clone();
            tokio::spawn(
                async move { access.sign_in("root", "a wrong password", stranger(100 + n), at(0)).await },
            )
        })
        .collect();
    tokio::task::yield_now().await;
    let owner = Visitor { device: Some(&entry.device), ..stranger(2) };
    assert!(access.sign_in("root", PASSWORD, owner, at(0)).await.is_ok(), "served amid the flood");
    let mut busy = 0;
    for task in flood {
        busy += usize::from(task.await.expect("ended").err() == Some(Refused::Busy));
    }
    assert!(busy >= 64 - WAITING - 1, "{busy} were sent away at once");
}

#[tokio::test]
async fn tokens_are_worth_no_more_than_their_owner_and_end() {
    let House { access, _dir } = house(false);
    access.set_up_unattended("root", PASSWORD).await.expect("made");
    access.add_account("op", Role::Operator, PASSWORD).await.expect("made");
    let op = access.accounts().into_iter().find(|a| a.name == "op").expect("there");
    let add = |role, days, name| access.add_token(op.id, op.role, name, role, days, at(0));
    assert_eq!(add(Role::Admin, 1, "x").err(), Some(Refused::Role), "more than its owner");
    assert_eq!(add(Role::Viewer, 0, "x").err(), Some(Refused::Token));
    assert_eq!(add(Role::Viewer, 1, "").err(), Some(Refused::Token));
    let token = add(Role::Operator, 1, "monitoring").expect("made");
    let bearer = Credentials { bearer: Some(&token), session: None };
    let guest = access.who(bearer, at(1)).expect("let in");
    assert_eq!((guest.caller.name.as_str(), guest.caller.role), ("op/monitoring", Some(Role::Operator)));
    access.set_role("op", Role::Viewer).expect("set");
    assert_eq!(access.who(bearer, at(2)).expect("let in").caller.role, Some(Role::Viewer));
    assert!(access.who(bearer, at(24 * 3_600_000)).is_none(), "a day later");
    assert!(access.who(of(&token), at(1)).is_none(), "a token is no session");
    let id = access.tokens(None, at(1))[0].id;
    assert!(access.remove_token(id, Some(op.id + 1)).is_err(), "another's");
    assert!(access.remove_token(id, Some(op.id)).is_ok() && access.who(bearer, at(1)).is_none());
}

#[tokio::test]
async fn the_last_admin_stays_and_an_open_house_asks_nobody() {
    let House { access, _dir } = house(false);
    access.set_up_unattended("root", PASSWORD).await.expect("made");
    assert_eq!(access.set_role("root", Role::Viewer), Err(Refused::Last));
    assert_eq!(access.remove_account("root"), Err(Refused::Last));
    assert_eq!(access.remove_account("nobody"), Err(Refused::Unknown));
    let House { access, _dir } = house(true);
    assert!(!access.needs_setup() && access.setup_code().is_none());
    let guest = access.who(Credentials::default(), at(0)).expect("let in");
    assert_eq!((guest.caller.name.as_str(), guest.caller.role), ("local", Some(Role::Admin)));
}

/// What is written to disk lets nobody in.
#[tokio::test]
async fn the_store_has_neither_passwords_nor_tokens() {
    let House { access, _dir } = house(false);
    access.set_up_unattended("root", PASSWORD).await.expect("made");
    let entry = access.sign_in("root", PASSWORD, stranger(1), at(0)).await.expect("let in");
    let id = access.accounts()[0].id;
    let token = access.add_token(id, Role::Admin, "t", Role::Admin, 1, at(0)).expect("made");
    let mut seen = 0;
    for file in std::fs::read_dir(_dir.path()).expect("a folder").flatten() {
        let bytes = std::fs::read(file.path()).expect("read");
        seen += bytes.len();
        for secret in [PASSWORD, &entry.session, &entry.device, &token] {
            assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{:?}", file.path());
        }
    }
    assert!(seen > 4096);
}

#[tokio::test]
async fn a_clock_that_jumps_makes_no_session_that_lives_for_ever_and_locks_nobody_out_for_long() {
    const DAY: i64 = 24 * 3_600_000;
    const YEAR: i64 = 365 * DAY;
    let House { access, _dir } = house(false);
    access.set_up_unattended("root", PASSWORD).await.expect("made");
    let root = access.account("root").expect("there");
    // Signed in while the clock was a year ahead.
    let early = access.sign_in("root", PASSWORD, stranger(1), at(YEAR)).await.expect("let in");
    let token = access.add_token(root.id, Role::Admin, "t", Role::Viewer, 366, at(YEAR)).expect("made");
    assert!(access.who(of(&early.session), at(YEAR + 1)).is_some());
    assert!(access.who(of(&early.session), at(0)).is_none(), "it would live for a year and a month");
    assert!(access.who(Credentials { session: None, bearer: Some(&token) }, at(0)).is_none());
    // An hour back is no reason to sign in anew.
    let hour = access.sign_in("root", PASSWORD, stranger(1), at(3_600_000)).await.expect("let in");
    assert!(access.who(of(&hour.session), at(0)).is_some());
    // Used while the clock was ahead, and then not for a week of true time.
    let used = access.sign_in("root", PASSWORD, stranger(1), at(0)).await.expect("let in");
    assert!(access.who(of(&used.session), at(6 * DAY)).is_some());
    assert!(access.who(of(&used.session), at(DAY)).is_some(), "now it is known when it was used");
    assert!(access.who(of(&used.session), at(8 * DAY)).is_none(), "idle since the first day");
    // Tries that were used up in a future that was none come back after the usual half minute.
    for _ in 0..11 {
        let _ = access.sign_in("root", "a wrong password", stranger(9), at(YEAR)).await;
    }
    let refused = |now| access.sign_in("root", PASSWORD, stranger(9), at(now));
    assert!(matches!(refused(0).await.err(), Some(Refused::Wait(seconds)) if seconds <= 30));
    assert!(refused(31_000).await.is_ok());
}
