//! The export format's parser: what systemd 252 really printed, and whatever else could come.

use super::*;
use proptest::prelude::*;

fn parse(pieces: &[&[u8]]) -> Result<Vec<Entry>, NotExport> {
    let (mut parser, mut entries) = (Parser::default(), Vec::new());
    for piece in pieces {
        parser.take(piece, |entry| entries.push(entry))?;
    }
    Ok(entries)
}

/// From `journalctl -o export` of systemd 252.38.
const PRINTED: &[u8] = b"__CURSOR=s=45;i=7f1;x=b2\n__REALTIME_TIMESTAMP=1795377832453214\n_BOOT_ID=82bb\nPRIORITY=6\n_TRANSPORT=stdout\nMESSAGE=begin\n\n__CURSOR=s=45;i=7f2\n__REALTIME_TIMESTAMP=1795377832453552\nPRIORITY=3\n_TRANSPORT=syslog\nMESSAGE\n\x0a\0\0\0\0\0\0\0caf\xc3\xa9 \x01bin\n\n";

#[test]
fn text_and_binary_fields_of_a_real_journal_are_read() {
    let entries = parse(&[PRINTED]).unwrap();
    let first = Entry {
        realtime_us: 1_795_377_832_453_214,
        message: Some(b"begin".to_vec()),
        priority: Some(6),
        transport: Transport::Stdout,
        ..Entry::default()
    };
    let second = Entry {
        realtime_us: 1_795_377_832_453_552,
        message: Some("café \u{1}bin".into()),
        priority: Some(3),
        transport: Transport::Syslog,
        ..Entry::default()
    };
    assert_eq!(entries, [first, second]);
}

#[test]
fn a_line_that_was_cut_by_the_journal_is_marked() {
    let entries = parse(&[b"MESSAGE=a\n_LINE_BREAK=line-max\n\nMESSAGE=b\n_LINE_BREAK=eof\n\n"]).unwrap();
    let breaks: Vec<LineBreak> = entries.iter().map(|e| e.line_break).collect();
    assert_eq!(breaks, [LineBreak::TooLong, LineBreak::Other]);
}

#[test]
fn a_message_with_newlines_and_equal_signs_is_one_message() {
    let entries = parse(&[b"MESSAGE\n\x07\0\0\0\0\0\0\0a\n\nb=c\n\n", b"\nMESSAGE=d=e\n\n\n"]).unwrap();
    let texts: Vec<_> = entries.into_iter().filter_map(|e| e.message).collect();
    assert_eq!(texts, [b"a\n\nb=c\n".to_vec(), b"d=e".to_vec()]);
}

#[test]
fn an_empty_binary_value_is_a_value() {
    let entries = parse(&[b"MESSAGE\n\0\0\0\0\0\0\0\0\n\n"]).unwrap();
    assert_eq!(entries.first().and_then(|e| e.message.clone()), Some(Vec::new()));
}

#[test]
fn a_huge_message_is_cut_and_what_is_missing_counted() {
    let mut bytes = b"MESSAGE=".to_vec();
    bytes.resize(bytes.len() + VALUE_LIMIT + 5, b'x');
    bytes.extend_from_slice(b"\nPRIORITY=4\n\n");
    let entries = parse(&[&bytes]).unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].cut, 5);
    assert_eq!(entries[0].message.as_ref().map(Vec::len), Some(VALUE_LIMIT));
    assert_eq!(entries[0].priority, Some(4));
}

#[test]
fn remarks_of_journalctl_are_no_fields() {
    let entries =
        parse(&[b"-- Journal begins at Sun, ends at Mon. --\nMESSAGE=a\n\n-- No entries --\n"]).unwrap();
    assert_eq!(entries.len(), 1);
}

#[test]
fn what_is_not_the_format_is_said_to_be_none() {
    assert_eq!(parse(&[b"MESSAGE\n\x01\0\0\0\0\0\0\0ab\n"]), Err(NotExport::Length));
    assert_eq!(parse(&[&[b'a'; 65]]), Err(NotExport::Name));
}

/// Writes an entry as the format wants it: binary wherever text would not do.
fn written(message: &[u8], time: u64) -> Vec<u8> {
    let mut bytes = format!("__REALTIME_TIMESTAMP={time}\n").into_bytes();
    if message.contains(&b'\n') {
        bytes.extend_from_slice(b"MESSAGE\n");
        bytes.extend_from_slice(&(message.len() as u64).to_le_bytes());
    } else {
        bytes.extend_from_slice(b"MESSAGE=");
    }
    bytes.extend_from_slice(message);
    bytes.extend_from_slice(b"\n\n");
    bytes
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_do_no_harm_and_say_the_same(
        bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'='), Just(b'-'), Just(b'A'), Just(0u8), Just(1u8), any::<u8>()], 0..400),
        cuts in prop::collection::vec(1usize..40, 1..40),
    ) {
        let whole = parse(&[&bytes]);
        let (mut pieces, mut rest) = (Vec::new(), bytes.as_slice());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (piece, more) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = more;
        }
        prop_assert_eq!(parse(&pieces), whole);
    }

    #[test]
    fn what_was_written_is_read_again(
        messages in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..60), any::<u32>()), 0..10),
        cut in 1usize..20,
    ) {
        let bytes: Vec<u8> = messages.iter().flat_map(|(m, t)| written(m, u64::from(*t))).collect();
        let pieces: Vec<&[u8]> = bytes.chunks(cut).collect();
        let read: Vec<(Vec<u8>, u64)> =
            parse(&pieces).unwrap().into_iter().map(|e| (e.message.unwrap_or_default(), e.realtime_us)).collect();
        let wanted: Vec<(Vec<u8>, u64)> = messages.into_iter().map(|(m, t)| (m, u64::from(t))).collect();
        prop_assert_eq!(read, wanted);
    }
}
