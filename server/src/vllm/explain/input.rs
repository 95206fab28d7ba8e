//! What is read as a log: no archive, no program, and no longer than anybody waits for it.

use std::io::{self, BufRead, ErrorKind, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Bytes that are looked at.
const LOOK: usize = 8 << 10;
/// Bytes that are handed on at once: between two pieces the limits are looked at.
const PIECE: usize = 64 << 10;

/// What a file is by its first bytes, where that is no log, and what to do about it.
pub fn no_log(head: &[u8]) -> Option<&'static str> {
    const KNOWN: [(&[u8], &str); 8] = [
        (b"\x1F\x8B", "gzip: unpack it first"),
        (b"\x28\xB5\x2F\xFD", "zstd: unpack it first"),
        (b"\xFD7zXZ\0", "xz: unpack it first"),
        (b"BZh", "bzip2: unpack it first"),
        (b"PK\x03\x04", "zip: unpack it first"),
        (b"\xFF\xFE", "UTF-16: convert it to UTF-8 first"),
        (b"\xFE\xFF", "UTF-16: convert it to UTF-8 first"),
        (b"\x7FELF", "a program, no log"),
    ];
    if let Some((_, what)) = KNOWN.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(what);
    }
    // A log that was emptied while it was written begins with zeros; one that is not UTF-8 is still text.
    let bytes = || head.iter().take(LOOK).filter(|byte| **byte != 0);
    // Terminals' control characters are part of many a log; a tenth of others is no text.
    let odd = |byte: &&u8| matches!(byte, 1..=6 | 14..=26 | 28..=31 | 127);
    (bytes().filter(odd).count() * 10 > bytes().count()).then_some("binary, no log")
}

/// A log in memory, until a moment or until nobody waits for it any more.
pub struct Limited<'a> {
    /// What is not read yet.
    pub rest: &'a [u8],
    /// Reading fails from then on.
    pub until: Instant,
    /// Reading fails when this is set.
    pub left: &'a AtomicBool,
}

impl Read for Limited<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let taken = self.fill_buf()?.read(out)?;
        self.consume(taken);
        Ok(taken)
    }
}

impl BufRead for Limited<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left.load(Ordering::Relaxed) || Instant::now() >= self.until {
            return Err(ErrorKind::TimedOut.into());
        }
        Ok(self.rest.get(..PIECE).unwrap_or(self.rest))
    }

    fn consume(&mut self, taken: usize) {
        self.rest = self.rest.get(taken..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vllm::explain::explain;
    use std::time::Duration;

    #[test]
    fn archives_and_programs_are_named_and_logs_are_not() {
        let program = std::fs::read("/proc/self/exe").expect("this program");
        for (bytes, what) in [
            (&b"\x1F\x8B\x08\0\0"[..], "gzip"),
            (b"\xFF\xFEI\0N\0F\0O\0", "UTF-16"),
            (&program, "program"),
            (program.get(64..).unwrap_or_default(), "binary"),
        ] {
            assert!(no_log(bytes).is_some_and(|told| told.contains(what)), "{what}");
            let error = explain(bytes).expect_err("no log");
            assert!(error.kind() == ErrorKind::InvalidData && error.to_string().contains(what), "{error}");
        }
        for log in [
            &b""[..],
            b"\n",
            b"INFO 11-22 [a.py:1] x\n",
            b"\x1B[32mINFO\x1B[0m\r\n",
            "Привет\n".as_bytes(),
            b"\0\0\0\0INFO x\n",
        ] {
            assert_eq!(no_log(log), None);
        }
    }

    #[test]
    fn reading_ends_at_its_limit_and_with_who_waits_for_it() {
        let log = b"x\n".repeat(200_000);
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(600));
        let read = |until, left| {
            explain(Limited { rest: &log, until, left: &AtomicBool::new(left) }).map_err(|e| e.kind())
        };
        assert_eq!(read(now, false), Err(ErrorKind::TimedOut));
        assert_eq!(read(later, true), Err(ErrorKind::TimedOut));
        assert!(read(later, false).is_ok());
    }

    #[test]
    fn empty_lines_count_and_say_nothing() {
        let log = |blank: usize| {
            let text = format!("{}ValueError: No supported config format found\n", "\n".repeat(blank));
            explain(text.as_bytes()).expect("read")
        };
        let (few, many) = (log(3), log(3_000_000));
        assert_eq!(few.cause, many.cause);
        assert_eq!((few.evidence[0].line, many.evidence[0].line), (4, 3_000_001));
    }
}
