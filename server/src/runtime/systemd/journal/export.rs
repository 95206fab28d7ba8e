//! The journal's export format, taken apart. In: bytes in pieces of any size. Out: entries with the few fields that are
//! asked for. Everything kept is bounded.
//!
//! Format: <https://systemd.io/JOURNAL_EXPORT_FORMATS/>: a field is `NAME=value\n`, or `NAME\n`, eight bytes of length
//! (little-endian), the value and `\n`; an empty line ends an entry.

/// The longest value that is kept; the rest of a longer one is passed over and counted in [`Entry::cut`].
pub const VALUE_LIMIT: usize = 1 << 20;
/// A field's name has at most 64 characters (`journal_field_valid` in systemd's `src/libsystemd/sd-journal`).
const NAME_LIMIT: usize = 64;

/// How a line of output ended, where that was not by a newline: `_LINE_BREAK` in `systemd.journal-fields(7)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineBreak {
    /// By a newline, or it is no line of output.
    #[default]
    Newline,
    /// It was longer than the journal's limit: the next entry goes on with it.
    TooLong,
    /// By a NUL, by the end of the stream, or because another process wrote.
    Other,
}

/// How a message came to the journal: `_TRANSPORT` in `systemd.journal-fields(7)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// The program's output. Which of its two pipes is not kept by the journal.
    Stdout,
    /// `syslog(3)`.
    Syslog,
    /// The journal's own protocol: systemd itself, for one.
    Journal,
    /// The kernel, the audit, the journal's own driver, or not said.
    #[default]
    Other,
}

/// One entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// When the journal received it, in microseconds since the Unix epoch (`__REALTIME_TIMESTAMP`); 0 when not said.
    pub realtime_us: u64,
    /// The text, which may be no UTF-8; `None` when it has none.
    pub message: Option<Vec<u8>>,
    /// How many bytes of the text were passed over because it was too long.
    pub cut: u64,
    /// 0 (emergency) to 7 (debug), as syslog counts.
    pub priority: Option<u8>,
    /// How it came.
    pub transport: Transport,
    /// How its line ended.
    pub line_break: LineBreak,
}

/// These bytes are not the export format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotExport {
    /// A field's name is longer than 64 characters.
    #[error("a field's name is longer than 64 characters: this is not the journal's export format")]
    Name,
    /// No newline follows a value whose length was given.
    #[error("a value is longer than its length says: this is not the journal's export format")]
    Length,
}

/// Which field is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Message,
    Realtime,
    Priority,
    Transport,
    LineBreak,
    Other,
}

impl Field {
    fn of(name: &[u8]) -> Self {
        match name {
            b"MESSAGE" => Self::Message,
            b"__REALTIME_TIMESTAMP" => Self::Realtime,
            b"PRIORITY" => Self::Priority,
            b"_TRANSPORT" => Self::Transport,
            b"_LINE_BREAK" => Self::LineBreak,
            _ => Self::Other,
        }
    }

    /// How much of its value is kept.
    const fn limit(self) -> usize {
        match self {
            Self::Message => VALUE_LIMIT,
            Self::Other => 0,
            _ => 64,
        }
    }
}

/// Where in an entry the next byte belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Place {
    /// In a field's name.
    #[default]
    Name,
    /// In a value that ends with its line.
    Text(Field),
    /// In the eight bytes of a length.
    Length(Field, [u8; 8], usize),
    /// In a value of which so many bytes are still to come.
    Binary(Field, u64),
    /// Before the newline behind such a value.
    Closing(Field),
    /// In a remark that is no field: `-- No entries --`, `-- Journal begins at …`.
    Remark,
}

/// Takes the format apart, piece by piece.
#[derive(Debug, Default)]
pub struct Parser {
    place: Place,
    name: Vec<u8>,
    value: Vec<u8>,
    passed_over: u64,
    entry: Entry,
    /// A field of the entry was seen: an empty line then ends it.
    begun: bool,
}

impl Parser {
    /// Takes the next bytes; hands over each entry that they complete.
    ///
    /// # Errors
    /// [`NotExport`]; the parser is of no use any more then.
    pub fn take(&mut self, mut bytes: &[u8], mut each: impl FnMut(Entry)) -> Result<(), NotExport> {
        while let Some(&first) = bytes.first() {
            match std::mem::take(&mut self.place) {
                // No field's name begins so.
                Place::Name if first == b'-' && self.name.is_empty() => self.place = Place::Remark,
                Place::Name => bytes = self.name(bytes, &mut each)?,
                Place::Remark => {
                    let (_, rest, ended) = line(bytes);
                    bytes = rest;
                    self.place = if ended { Place::Name } else { Place::Remark };
                }
                Place::Text(field) => {
                    let (value, rest, ended) = line(bytes);
                    self.keep(field, value);
                    bytes = rest;
                    if ended {
                        self.close(field);
                    } else {
                        self.place = Place::Text(field);
                    }
                }
                Place::Length(field, mut length, have) => {
                    if let Some(byte) = length.get_mut(have) {
                        *byte = first;
                    }
                    bytes = bytes.get(1..).unwrap_or_default();
                    self.place = if have + 1 < length.len() {
                        Place::Length(field, length, have + 1)
                    } else {
                        match u64::from_le_bytes(length) {
                            0 => Place::Closing(field),
                            length => Place::Binary(field, length),
                        }
                    };
                }
                Place::Binary(field, left) => {
                    let now = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    let (value, rest) = bytes.split_at(now);
                    self.keep(field, value);
                    bytes = rest;
                    let left = left.saturating_sub(now as u64);
                    self.place = if left == 0 { Place::Closing(field) } else { Place::Binary(field, left) };
                }
                Place::Closing(field) => {
                    if first != b'\n' {
                        return Err(NotExport::Length);
                    }
                    bytes = bytes.get(1..).unwrap_or_default();
                    self.close(field);
                }
            }
        }
        Ok(())
    }

    /// Reads in a field's name; what is left of the bytes.
    fn name<'a>(&mut self, bytes: &'a [u8], each: &mut impl FnMut(Entry)) -> Result<&'a [u8], NotExport> {
        let end = bytes.iter().position(|b| matches!(b, b'=' | b'\n'));
        let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        if self.name.len() + part.len() > NAME_LIMIT {
            return Err(NotExport::Name);
        }
        self.name.extend_from_slice(part);
        let Some((&by, rest)) = rest.split_first() else {
            self.place = Place::Name;
            return Ok(rest);
        };
        if by == b'\n' && self.name.is_empty() {
            if std::mem::take(&mut self.begun) {
                each(std::mem::take(&mut self.entry));
            }
            self.place = Place::Name;
            return Ok(rest);
        }
        let field = Field::of(&self.name);
        self.name.clear();
        self.begun = true;
        self.place = if by == b'=' { Place::Text(field) } else { Place::Length(field, [0; 8], 0) };
        Ok(rest)
    }

    fn keep(&mut self, field: Field, bytes: &[u8]) {
        let room = field.limit().saturating_sub(self.value.len());
        let (kept, over) = bytes.split_at(room.min(bytes.len()));
        self.value.extend_from_slice(kept);
        self.passed_over += over.len() as u64;
    }

    /// Puts a value that is complete into the entry.
    fn close(&mut self, field: Field) {
        let value = std::mem::take(&mut self.value);
        let passed_over = std::mem::take(&mut self.passed_over);
        let text = || std::str::from_utf8(&value).ok();
        match field {
            Field::Message => {
                self.entry.message = Some(value);
                self.entry.cut = passed_over;
            }
            Field::Realtime => self.entry.realtime_us = text().and_then(|t| t.parse().ok()).unwrap_or(0),
            Field::Priority => {
                self.entry.priority = text().and_then(|t| t.parse().ok()).filter(|p| *p <= 7);
            }
            Field::Transport => {
                self.entry.transport = match value.as_slice() {
                    b"stdout" => Transport::Stdout,
                    b"syslog" => Transport::Syslog,
                    b"journal" => Transport::Journal,
                    _ => Transport::Other,
                };
            }
            Field::LineBreak => {
                self.entry.line_break = match value.as_slice() {
                    b"line-max" => LineBreak::TooLong,
                    _ => LineBreak::Other,
                };
            }
            Field::Other => {}
        }
    }
}

/// The bytes up to the first newline, what is behind it, and whether there is one.
fn line(bytes: &[u8]) -> (&[u8], &[u8], bool) {
    match bytes.iter().position(|b| *b == b'\n') {
        Some(end) => {
            let (value, rest) = bytes.split_at(end);
            (value, rest.get(1..).unwrap_or_default(), true)
        }
        None => (bytes, &[], false),
    }
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
