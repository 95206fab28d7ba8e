//! A JSON value as a tree, and how plain types are read from it.

use super::Scan;
use crate::model::{ServiceName, Timestamp};
use std::borrow::Cow;

const DEEPEST: usize = 32;

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json<'a> {
    /// `null`, and what is not there.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(&'a str),
    /// A string.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<Self>),
    /// A map, in its order.
    Map(Vec<(Cow<'a, str>, Self)>),
}

impl<'a> Json<'a> {
    /// Reads a whole text.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut scan = Scan::new(text);
        let value = Self::next(&mut scan, DEEPEST)?;
        scan.at_end().then_some(value)
    }

    fn next(scan: &mut Scan<'a>, depth: usize) -> Option<Self> {
        let depth = depth.checked_sub(1)?;
        let mut first = true;
        Some(match scan.peek()? {
            b'"' => Self::Text(scan.string()?),
            b't' => scan.word("true").map(|()| Self::Bool(true))?,
            b'f' => scan.word("false").map(|()| Self::Bool(false))?,
            b'n' => scan.word("null").map(|()| Self::Null)?,
            b'[' => {
                scan.expect(b'[')?;
                let mut list = Vec::new();
                while scan.more(&mut first, b']')? {
                    list.push(Self::next(scan, depth)?);
                }
                Self::List(list)
            }
            b'{' => {
                scan.expect(b'{')?;
                let mut map = Vec::new();
                while scan.more(&mut first, b'}')? {
                    let key = scan.string()?;
                    scan.expect(b':')?;
                    map.push((key, Self::next(scan, depth)?));
                }
                Self::Map(map)
            }
            _ => Self::Number(scan.number()?),
        })
    }

    /// The member of a map.
    pub fn at(&self, key: &str) -> &Self {
        match self {
            Self::Map(map) => {
                map.iter().find(|(name, _)| name == key).map_or(&Self::Null, |(_, value)| value)
            }
            _ => &Self::Null,
        }
    }

    /// The member of a list.
    pub fn nth(&self, at: usize) -> &Self {
        match self {
            Self::List(list) => list.get(at).unwrap_or(&Self::Null),
            _ => &Self::Null,
        }
    }

    /// The text of a string.
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

/// A type that can be read from JSON.
pub trait Read: Sized {
    /// The value, if it is one of this type.
    fn read(json: &Json<'_>) -> Option<Self>;
}

impl Read for String {
    fn read(json: &Json<'_>) -> Option<Self> {
        json.text().map(str::to_owned)
    }
}

impl Read for bool {
    fn read(json: &Json<'_>) -> Option<Self> {
        if let Json::Bool(value) = json { Some(*value) } else { None }
    }
}

impl Read for i64 {
    fn read(json: &Json<'_>) -> Option<Self> {
        if let Json::Number(digits) = json { digits.parse().ok() } else { None }
    }
}

impl Read for u64 {
    fn read(json: &Json<'_>) -> Option<Self> {
        if let Json::Number(digits) = json { digits.parse().ok() } else { None }
    }
}

macro_rules! narrower {
    ($($type:ty as $wide:ty),*) => { $(
        impl Read for $type {
            fn read(json: &Json<'_>) -> Option<Self> {
                <$wide>::read(json)?.try_into().ok()
            }
        }
    )* };
}
narrower!(u32 as u64, u16 as u64, i32 as i64);

impl<T: Read> Read for Box<T> {
    fn read(json: &Json<'_>) -> Option<Self> {
        T::read(json).map(Self::new)
    }
}

impl<T: Read> Read for Option<T> {
    fn read(json: &Json<'_>) -> Option<Self> {
        if *json == Json::Null { Some(None) } else { T::read(json).map(Some) }
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(json: &Json<'_>) -> Option<Self> {
        match json {
            Json::List(list) => list.iter().map(T::read).collect(),
            Json::Null => Some(Self::new()),
            _ => None,
        }
    }
}

impl<A: Read, B: Read> Read for (A, B) {
    fn read(json: &Json<'_>) -> Option<Self> {
        Some((A::read(json.nth(0))?, B::read(json.nth(1))?))
    }
}

impl Read for Timestamp {
    fn read(json: &Json<'_>) -> Option<Self> {
        Self::parse(json.text()?)
    }
}

impl Read for ServiceName {
    fn read(json: &Json<'_>) -> Option<Self> {
        Self::parse(json.text()?).ok()
    }
}
