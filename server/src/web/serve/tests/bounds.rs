//! More connections than there is room for.

use super::*;

const QUIET: &[u8] = b"GET /quiet HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn a_flood_that_says_nothing_keeps_nobody_out_and_holds_no_more_than_its_share() {
    let limits = Limits { of_neighbour: 40, head: LONG * 10, ..Limits::default() };
    let served = start(door(limits)).await;
    let mut flood = Vec::new();
    for _ in 0..300 {
        flood.push(served.connect().await);
    }
    // The same address, and another one.
    let mut same = served.connect().await;
    let said = exchange(&mut same, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(said.ends_with("hello"), "{said}");
    served.answers().await;
    // At most 40 are held; what was sent away ends.
    let end = Instant::now() + LONG;
    while flood.len() > 40 {
        assert!(Instant::now() < end, "{} of 300 are held", flood.len());
        let mut held = Vec::new();
        for mut socket in flood {
            let ended = tokio::time::timeout(Duration::from_millis(1), socket.read(&mut [0])).await;
            if ended.is_err() {
                held.push(socket);
            }
        }
        flood = held;
    }
    assert!(flood.len() > 30, "only as many are sent away as must be, and {} are left", flood.len());
    served.end().await;
}

#[tokio::test]
async fn where_all_are_busy_a_new_one_is_told_so_and_other_addresses_are_served() {
    let served = start(door(Limits { of_neighbour: 10, drain: SHORT, ..Limits::default() })).await;
    let mut held = Vec::new();
    for _ in 0..10 {
        let mut socket = served.connect().await;
        socket.write_all(QUIET).await.expect("sent");
        held.push(socket);
    }
    until("all are busy", || served.endless.load(Ordering::SeqCst) == 10).await;
    let mut eleventh = served.connect().await;
    let said = rest(&mut eleventh).await;
    assert!(said.starts_with("HTTP/1.1 503") && said.ends_with("close some.\n"), "{said}");
    served.answers().await;
    // One leaves, and there is room again.
    drop(held.pop());
    until("its stream ends", || served.endless.load(Ordering::SeqCst) == 9).await;
    let end = Instant::now() + LONG;
    loop {
        let mut again = served.connect().await;
        let said =
            exchange(&mut again, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        if said.ends_with("hello") {
            break;
        }
        assert!(Instant::now() < end, "no room again: {said}");
    }
    served.end().await;
}

#[tokio::test]
async fn idle_connections_of_others_make_room_where_all_seats_are_taken() {
    let served = start(door(Limits { connections: 20, of_neighbour: 15, ..Limits::default() })).await;
    let mut flood = Vec::new();
    for last in 4..8 {
        for _ in 0..15 {
            flood.push(served.connect_from(Ipv4Addr::new(127, 0, 0, last)).await);
        }
    }
    served.answers().await;
    served.end().await;
}
