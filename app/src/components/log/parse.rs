//! Event `lines`, read from JSON straight into the store: no line becomes an object of its own.

use super::ansi::Style;
use super::store::Store;
use crate::model::{Level, LevelCounts, Span, Stream, Timestamp};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Where the counts of a run stand: what the server counted, and up to which line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// The run.
    pub run: u64,
    /// Lines up to this one are in the counts.
    pub upto: u64,
    /// Lines per level.
    pub counts: LevelCounts,
}

impl Counted {
    fn line(&mut self, run: u64, seq: u64, level: Level) {
        if run > self.run {
            *self = Self { run, ..Self::default() };
        }
        if run == self.run && seq > self.upto {
            self.upto = seq;
            self.counts.add(level);
        }
    }
}

/// Reads `{"run":…,"lines":[[…],…]}` into the store and the counts.
///
/// # Errors
/// What serde says; the lines before the broken one are kept.
pub fn lines(json: &str, store: &mut Store, counted: &mut Counted) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(json);
    Payload { store, counted }.deserialize(&mut reader)?;
    reader.end()
}

/// Reads one line, `[…]`, of the run.
///
/// # Errors
/// What serde says.
pub fn line(json: &str, run: u64, store: &mut Store) -> Result<(), serde_json::Error> {
    let mut counted = Counted::default();
    LineSeed { run, store, counted: &mut counted }.deserialize(&mut serde_json::Deserializer::from_str(json))
}

struct Payload<'a> {
    store: &'a mut Store,
    counted: &'a mut Counted,
}

impl<'de> DeserializeSeed<'de> for Payload<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Payload<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lines of a run")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut run = None;
        while let Some(key) = map.next_key::<&str>()? {
            match (key, run) {
                ("run", _) => run = Some(map.next_value::<u64>()?),
                ("lines", Some(run)) => {
                    map.next_value_seed(LinesSeed { run, store: self.store, counted: self.counted })?;
                }
                ("lines", None) => return Err(A::Error::custom("the run must come before its lines")),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct LinesSeed<'a> {
    run: u64,
    store: &'a mut Store,
    counted: &'a mut Counted,
}

impl<'de> DeserializeSeed<'de> for LinesSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for LinesSeed<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lines")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        loop {
            let line = LineSeed { run: self.run, store: self.store, counted: self.counted };
            if seq.next_element_seed(line)?.is_none() {
                return Ok(());
            }
        }
    }
}

struct LineSeed<'a> {
    run: u64,
    store: &'a mut Store,
    counted: &'a mut Counted,
}

impl<'de> DeserializeSeed<'de> for LineSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for LineSeed<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a line")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<(), A::Error> {
        let short = || A::Error::custom("a line has six parts");
        let seq: u64 = parts.next_element()?.ok_or_else(short)?;
        let time: Timestamp = parts.next_element()?.ok_or_else(short)?;
        let _: Stream = parts.next_element()?.ok_or_else(short)?;
        let level: Level = parts.next_element()?.ok_or_else(short)?;
        self.counted.line(self.run, seq, level);
        if !self.store.wants(self.run, seq) {
            while parts.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        let mut mark = self.store.mark();
        parts.next_element_seed(Append(self.store))?.ok_or_else(short)?;
        self.store.end_source(&mut mark);
        parts.next_element_seed(Append(self.store))?.ok_or_else(short)?;
        if let Some(spans) = parts.next_element::<Vec<Span>>()? {
            for Span(from, to, words) in spans {
                self.store.span(from, to, Style::parse(&words));
            }
        }
        while parts.next_element::<IgnoredAny>()?.is_some() {}
        self.store.commit(mark, self.run, seq, time, level);
        Ok(())
    }
}

struct Append<'a>(&'a mut Store);

impl<'de> DeserializeSeed<'de> for Append<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Append<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.append(text);
        Ok(())
    }
}
