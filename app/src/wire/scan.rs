//! Steps through JSON (RFC 8259) piece by piece, without building anything that is not asked for.

use std::borrow::Cow;

/// Nesting beyond this is refused: the wire has none of it.
const DEEPEST: usize = 32;

/// A place in a JSON text.
pub struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    /// At the beginning of `text`.
    pub const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is not white space.
    pub fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    /// Steps over `byte`, if it is the next one.
    pub fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Steps over `byte`, which must be the next one.
    pub fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }

    /// Nothing is left.
    pub fn at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Between the members of a list or a map: `true` when another one follows, `false` at the end.
    pub fn more(&mut self, first: &mut bool, end: u8) -> Option<bool> {
        if self.take(end) {
            return Some(false);
        }
        if !std::mem::replace(first, false) {
            self.expect(b',')?;
        }
        Some(true)
    }

    /// A word such as `true`.
    pub fn word(&mut self, word: &str) -> Option<()> {
        self.peek()?;
        self.text.get(self.at..)?.starts_with(word).then(|| self.at += word.len())
    }

    /// A number, as it is written.
    pub fn number(&mut self) -> Option<&'a str> {
        self.peek()?;
        let from = self.at;
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
        {
            self.at += 1;
        }
        self.text.get(from..self.at).filter(|text| !text.is_empty())
    }

    /// A whole number.
    pub fn whole(&mut self) -> Option<u64> {
        self.number()?.parse().ok()
    }

    /// A string; borrowed when nothing in it is escaped.
    pub fn string(&mut self) -> Option<Cow<'a, str>> {
        self.expect(b'"')?;
        let plain = self.plain()?;
        if self.text.as_bytes().get(self.at) == Some(&b'"') {
            self.at += 1;
            return Some(Cow::Borrowed(plain));
        }
        let mut out = plain.to_owned();
        self.rest(&mut out)?;
        Some(Cow::Owned(out))
    }

    /// A string, put behind what `out` holds.
    pub fn string_into(&mut self, out: &mut String) -> Option<()> {
        self.expect(b'"')?;
        self.rest(out)
    }

    /// Steps over a value, whatever it is.
    pub fn skip(&mut self) -> Option<()> {
        self.skip_within(DEEPEST)
    }

    fn skip_within(&mut self, depth: usize) -> Option<()> {
        let (end, map) = match self.peek()? {
            b'"' => return self.string().map(drop),
            b't' => return self.word("true"),
            b'f' => return self.word("false"),
            b'n' => return self.word("null"),
            b'[' => (b']', false),
            b'{' => (b'}', true),
            _ => return self.number().map(drop),
        };
        self.at += 1;
        let depth = depth.checked_sub(1)?;
        let mut first = true;
        while self.more(&mut first, end)? {
            if map {
                self.string()?;
                self.expect(b':')?;
            }
            self.skip_within(depth)?;
        }
        Some(())
    }

    /// What comes before the next quote or backslash.
    fn plain(&mut self) -> Option<&'a str> {
        let from = self.at;
        let length = self.text.as_bytes().get(from..)?.iter().position(|b| matches!(b, b'"' | b'\\'))?;
        self.at += length;
        self.text.get(from..self.at)
    }

    /// The rest of a string, up to and with its closing quote.
    fn rest(&mut self, out: &mut String) -> Option<()> {
        loop {
            out.push_str(self.plain()?);
            let bytes = self.text.as_bytes();
            if bytes[self.at] == b'"' {
                self.at += 1;
                return Some(());
            }
            let escape = *bytes.get(self.at + 1)?;
            self.at += 2;
            out.push(match escape {
                b'n' => '\n',
                b't' => '\t',
                b'r' => '\r',
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'u' => self.unicode()?,
                b'"' | b'\\' | b'/' => char::from(escape),
                _ => return None,
            });
        }
    }

    /// Four hexadecimal digits, and four more where they are the first half of a pair.
    fn unicode(&mut self) -> Option<char> {
        let high = self.hex()?;
        if !(0xd800..0xdc00).contains(&high) {
            return Some(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        if !self.text.get(self.at..)?.starts_with("\\u") {
            return Some(char::REPLACEMENT_CHARACTER);
        }
        self.at += 2;
        let low = self.hex()?;
        let code = 0x1_0000 + ((high - 0xd800) << 10) + low.checked_sub(0xdc00)?;
        Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}
