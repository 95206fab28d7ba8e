//! Requests made from the description, more or less as it says, and what comes back.

use crate::chance::Chance;
use crate::machine::LIMIT;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

/// One thing that the description says can be asked.
pub struct Operation {
    pub method: String,
    pub path: String,
    /// Of programs, not of the page.
    pub plain: bool,
    query: Vec<String>,
    fields: Vec<String>,
    answers: Vec<String>,
}

/// All of them.
pub fn operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, place) in document["paths"].as_object().expect("paths") {
        for (method, operation) in
            place.as_object().expect("a place").iter().filter(|(key, _)| *key != "parameters")
        {
            let names = |list: &Value| -> Vec<String> {
                let named = list.as_array().into_iter().flatten().filter(|one| one["in"] == "query");
                named.filter_map(|one| Some(one["name"].as_str()?.to_owned())).collect()
            };
            let content = operation["requestBody"]["content"].as_object();
            let schema =
                content.and_then(|content| content.values().next()?["schema"]["properties"].as_object());
            all.push(Operation {
                method: method.to_ascii_uppercase(),
                path: path.clone(),
                plain: operation["tags"][0] == "plain",
                query: names(&operation["parameters"]),
                fields: schema.map(|fields| fields.keys().cloned().collect()).unwrap_or_default(),
                answers: operation["responses"].as_object().expect("answers").keys().cloned().collect(),
            });
        }
    }
    all
}

impl Operation {
    /// Whether the description allows this failure.
    pub fn may_fail_with(&self, status: u16) -> bool {
        self.answers.contains(&status.to_string())
    }
}

/// Names that forms of the page use, for whom the description has none.
const FIELDS: &[&str] = &[
    "service",
    "verb",
    "action",
    "confirmed",
    "on",
    "take",
    "container",
    "cause",
    "remedy",
    "value",
    "id",
    "name",
    "password",
    "role",
    "remove",
    "before",
    "with-before",
    "run",
    "a",
    "b",
    "theme",
    "language",
    "next",
    "code",
    "level",
    "model",
    "revision",
    "base",
    "text",
    "days",
    "end",
];
const FUNCTIONS: &[&str] = &["command", "smoke", "image", "remedy", "auto-start", "adopt", "nothing", ""];
const KINDS: &[&str] = &[
    "application/x-www-form-urlencoded",
    "application/json",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    "multipart/form-data; boundary=\"\"",
    "text/plain",
    "application/x-www-form-urlencoded; charset=\u{ff}",
    "",
    "*/*",
    "application/cbor",
];

/// A request in bytes, and whether HTTP itself is kept to.
pub struct Request {
    pub bytes: Vec<u8>,
    pub sound: bool,
}

/// Makes one; `authority` is the header that says who asks.
pub fn request(chance: &mut Chance, operation: &Operation, address: &str, authority: &str) -> Request {
    let mut sound = true;
    let mut line = match chance.below(24) {
        0 => b"HEAD ".to_vec(),
        1 => b"PUT ".to_vec(),
        2 => b"OPTIONS ".to_vec(),
        _ => format!("{} ", operation.method).into_bytes(),
    };
    let mut parts = operation.path.split(['{', '}']);
    line.extend(parts.next().unwrap_or_default().bytes());
    while let Some(name) = parts.next() {
        let value = match (name, chance.below(3)) {
            ("function", 0 | 1) => chance.pick(FUNCTIONS).as_bytes().to_vec(),
            (_, 0 | 1) => b"one".to_vec(),
            _ => chance.value(),
        };
        let escaped = chance.escaped(&value);
        line.extend(escaped);
        line.extend(parts.next().unwrap_or_default().bytes());
    }
    let mut names: Vec<&str> = operation.query.iter().map(String::as_str).collect();
    names.extend(["", "x", "limit", "logs"]);
    if chance.one_in(2) {
        line.push(b'?');
        line.extend(pairs(chance, &names));
    }
    // What HTTP has no place for makes another request of it, which is answered all the same.
    let odd = |byte: &u8| *byte <= b' ' || *byte >= 0x7f || b"\"<>\\^`{|}#".contains(byte);
    sound &= !line[operation.method.len().min(line.len()) + 1..].iter().any(odd);
    line.extend(b" HTTP/1.1\r\n");
    let mut head = line;
    head.extend(format!("Host: {address}\r\nConnection: close\r\n").bytes());
    head.extend(authority.bytes());
    if chance.one_in(8) {
        let value = chance.value();
        let name = chance.pick(&[
            "Last-Event-ID",
            "Cookie",
            "Accept",
            "Accept-Language",
            "If-None-Match",
            "Range",
            "Referer",
        ]);
        let text: Vec<u8> =
            value.into_iter().filter(|byte| *byte >= b' ' && *byte != 0x7f).take(4000).collect();
        head.extend(format!("{name}: ").bytes());
        head.extend(text);
        head.extend(b"\r\n");
    }
    let body = if operation.method == "POST" { body(chance, operation, &mut head) } else { Vec::new() };
    if operation.method == "POST" {
        head.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
    }
    head.extend(b"\r\n");
    let mut bytes = head;
    bytes.extend(body);
    match chance.below(30) {
        0 => {
            sound = false;
            let at = chance.below(bytes.len());
            bytes.truncate(at);
        }
        1 => {
            sound = false;
            let at = chance.below(bytes.len());
            bytes[at] = chance.next() as u8;
        }
        _ => {}
    }
    Request { bytes, sound }
}

fn pairs(chance: &mut Chance, names: &[&str]) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..chance.below(6) {
        let name = chance.pick(names).as_bytes().to_vec();
        // The same name twice comes by itself.
        let value = chance.value();
        let (name, value) = (chance.escaped(&name), chance.escaped(&value));
        text.extend(name);
        if !chance.one_in(9) {
            text.push(b'=');
        }
        text.extend(value);
        text.push(b'&');
    }
    text.truncate(12_000);
    text
}

fn body(chance: &mut Chance, operation: &Operation, head: &mut Vec<u8>) -> Vec<u8> {
    let kind = if chance.one_in(3) { chance.pick(KINDS) } else { KINDS[0] };
    head.extend(b"Content-Type: ");
    head.extend(kind.chars().map(|c| c as u8));
    head.extend(b"\r\n");
    let mut names: Vec<&str> = operation.fields.iter().map(String::as_str).collect();
    names.extend(FIELDS);
    match chance.below(8) {
        0 => chance.bytes(300),
        1 => b"{\"service\":\"one\",\"verb\":{\"a\":[1,2,{}]},\"x\":1e999}".to_vec(),
        2 => b"[".repeat(chance.below(20_000)),
        3 => b"--x\r\nContent-Disposition: form-data; name=\"log\"; filename=\"\xff\0\"\r\n\r\nINFO 1\r\n--x"
            .to_vec(),
        _ => pairs(chance, &names),
    }
}

/// What came back, as far as something did.
pub struct Answer {
    pub status: u16,
    pub head: String,
}

/// Sends it and reads the answer's head; `None` where the server hung up on what is no request.
pub fn send(address: &str, request: &Request) -> Option<Answer> {
    let mut peer = TcpStream::connect(address).expect("connected");
    peer.set_read_timeout(Some(LIMIT)).expect("set");
    // It may be refused before all of it was read.
    let _ = peer.write_all(&request.bytes);
    if !request.sound {
        // Whoever waits for the rest hears that there is none.
        let _ = peer.shutdown(Shutdown::Write);
    }
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    // A stream does not end: its head is enough.
    while !seen.windows(4).any(|four| four == b"\r\n\r\n") {
        match peer.read(&mut piece) {
            Ok(read) if read > 0 => seen.extend_from_slice(&piece[..read]),
            _ => break,
        }
    }
    let text = String::from_utf8_lossy(&seen).into_owned();
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok())?;
    let head = text.split("\r\n\r\n").next().unwrap_or_default().to_ascii_lowercase();
    Some(Answer { status, head })
}
