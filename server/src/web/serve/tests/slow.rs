//! Peers that take their time.

use super::*;

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_ends_at_its_limit() {
    let served = start(door(Limits { head: SHORT, ..Limits::default() })).await;
    let mut socket = served.connect().await;
    let trickle = async {
        let line = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ".iter().chain(std::iter::repeat(&b'y'));
        for byte in line {
            if socket.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // It would go on for ever.
    tokio::time::timeout(LONG, trickle).await.expect("the server hangs up");
    served.end().await;
}

#[tokio::test]
async fn whoever_says_nothing_or_nothing_more_is_let_go() {
    let served = start(door(Limits { head: SHORT, ..Limits::default() })).await;
    let mut silent = served.connect().await;
    assert_eq!(rest(&mut silent).await, "");
    let mut idle = served.connect().await;
    let said = exchange(&mut idle, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(said.ends_with("hello"), "the answer came, and later the end: {said}");
    served.end().await;
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_refused() {
    let served = start(door(Limits { body: SHORT, ..Limits::default() })).await;
    let mut socket = served.connect().await;
    let head = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nsome";
    let said = exchange(&mut socket, head).await;
    assert!(said.starts_with("HTTP/1.1 400"), "{said}");
    served.end().await;
}

#[tokio::test]
async fn whoever_takes_nothing_of_an_answer_is_let_go_and_a_quiet_stream_is_not() {
    let served = start(door(Limits { stuck: SHORT, idle: SHORT, head: SHORT, ..Limits::default() })).await;
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes();
    let mut quiet = served.connect().await;
    quiet.write_all(&ask("/quiet")).await.expect("sent");
    until("the quiet stream opens", || served.endless.load(Ordering::SeqCst) == 1).await;
    let mut stuck = Vec::new();
    for _ in 0..5 {
        let mut socket = served.connect().await;
        socket.write_all(&ask("/flood")).await.expect("sent");
        stuck.push(socket);
    }
    // One that reads on.
    let mut reader = served.connect().await;
    reader.write_all(&ask("/flood")).await.expect("sent");
    let reading = tokio::spawn(async move {
        let mut piece = vec![0; 64 << 10];
        let mut taken = 0_usize;
        while let Ok(n) = reader.read(&mut piece).await {
            if n == 0 {
                break;
            }
            taken += n;
        }
        taken
    });
    until("the stuck ones are let go", || served.endless.load(Ordering::SeqCst) == 2).await;
    assert!(!reading.is_finished(), "whoever reads is kept");
    // Long after all limits the quiet stream is there, and so is the one that reads.
    tokio::time::sleep(SHORT * 4).await;
    assert_eq!(served.endless.load(Ordering::SeqCst), 2);
    assert!(!reading.is_finished());
    served.answers().await;
    served.end().await;
    assert!(reading.await.expect("no panic") > 1 << 20);
    drop((quiet, stuck));
}

#[tokio::test]
async fn when_the_server_stops_answers_end_first_and_what_has_no_end_is_cut() {
    let (limits, gate) = (Limits { drain: SHORT, ..Limits::default() }, Arc::new(tokio::sync::Notify::new()));
    let (open, wait) = (Arc::new(AtomicUsize::new(0)), gate.clone());
    let counted = open.clone();
    let app = Router::new().route(
        "/gate",
        get(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                wait.notified().await;
                "through"
            }
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let stop = CancellationToken::new();
    let long = Limits { drain: LONG, ..limits };
    let task = tokio::spawn(serve(listener, app, door(long), stop.clone()));
    let mut socket = TcpStream::connect(address).await.expect("connected");
    let mut idle = TcpStream::connect(address).await.expect("connected");
    socket.write_all(b"GET /gate HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    until("the request is there", || open.load(Ordering::SeqCst) == 1).await;
    stop.cancel();
    assert_eq!(rest(&mut idle).await, "", "what is idle ends at once");
    assert!(!task.is_finished(), "the answer is waited for");
    until("nobody listens any more", || std::net::TcpStream::connect(address).is_err()).await;
    gate.notify_one();
    assert!(rest(&mut socket).await.ends_with("through"), "the answer arrives whole");
    tokio::time::timeout(LONG, task).await.expect("ended").expect("no panic");

    let served = start(door(limits)).await;
    let mut endless = served.connect().await;
    endless.write_all(b"GET /quiet HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    until("the stream opens", || served.endless.load(Ordering::SeqCst) == 1).await;
    served.end().await;
}
