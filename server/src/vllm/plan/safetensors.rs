//! Reads the header of a safetensors file: how many values of which type it holds, without touching the values.
//!
//! The format: eight bytes with the header's length, little-endian; a JSON object of that length, which gives each tensor's type,
//! shape and place; the values (<https://github.com/huggingface/safetensors>, "Format"). Foreign input: the header is streamed and
//! only sums are kept, so that memory does not grow with it; every sum is checked; a tensor that lies about its size, or lies over
//! another one, is an error.

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, de};
use std::fmt;
use std::io::{self, BufReader, Read};
use thiserror::Error;

/// The longest header that is read, in bytes: the limit of the safetensors library itself.
pub const HEADER_LIMIT: u64 = 100_000_000;

/// What a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Values of 16-bit floats (F16, BF16).
    pub half: u64,
    /// Values of 32 and 64-bit floats.
    pub single: u64,
    /// Bytes of everything else: quantized weights, their scales, indices.
    pub other_bytes: u64,
    /// Bytes of all values.
    pub data_bytes: u64,
    /// Values of a tensor called `lm_head.weight`.
    pub head: u64,
    /// Tensors.
    pub tensors: u64,
}

/// Why a header could not be read.
#[derive(Debug, Error)]
pub enum HeaderError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It ends before its header does.
    #[error("it ends after {0} bytes, within its header")]
    Cut(u64),
    /// The header is longer than [`HEADER_LIMIT`].
    #[error("its header has {0} bytes, more than the {HEADER_LIMIT} that the format allows")]
    TooLong(u64),
    /// The header is not what the format says.
    #[error("its header is not one of safetensors: {0}")]
    Malformed(String),
    /// The file is shorter than its header says: a download that was not finished.
    #[error("it has {has} bytes of {wants}: the download is not complete")]
    Short {
        /// Its length.
        has: u64,
        /// The length that the header implies.
        wants: u64,
    },
}

/// Reads a header from memory; for whole small files and for fuzzing.
///
/// # Errors
/// [`HeaderError`], each case.
pub fn header_bytes(bytes: &[u8]) -> Result<Header, HeaderError> {
    header(bytes, bytes.len() as u64, None)
}

/// Reads a header. `length` is the file's, in bytes; tensors of `model.layers.N` with N ≥ `layers` are left out: they are drafting
/// layers, which are loaded only for speculative decoding.
///
/// # Errors
/// [`HeaderError`], each case.
pub fn header(mut reader: impl Read, length: u64, layers: Option<u64>) -> Result<Header, HeaderError> {
    let mut size = [0; 8];
    reader.read_exact(&mut size).map_err(|e| cut(e, length))?;
    let size = u64::from_le_bytes(size);
    if size > HEADER_LIMIT {
        return Err(HeaderError::TooLong(size));
    }
    if size > length.saturating_sub(8) {
        return Err(HeaderError::Cut(length));
    }
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(reader.take(size)));
    let (header, end) = Tensors { layers }.deserialize(&mut json).map_err(|e| malformed(e, length))?;
    json.end().map_err(|e| malformed(e, length))?;
    let wants = end.saturating_add(8 + size);
    if wants > length { Err(HeaderError::Short { has: length, wants }) } else { Ok(header) }
}

fn cut(error: io::Error, length: u64) -> HeaderError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        HeaderError::Cut(length)
    } else {
        HeaderError::Io(error)
    }
}

fn malformed(error: serde_json::Error, length: u64) -> HeaderError {
    match error.classify() {
        serde_json::error::Category::Io => cut(error.into(), length),
        _ => HeaderError::Malformed(error.to_string()),
    }
}

/// The object of all tensors; gives their sums and where the last value ends.
struct Tensors {
    layers: Option<u64>,
}

impl<'de> DeserializeSeed<'de> for Tensors {
    type Value = (Header, u64);
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Tensors {
    type Value = (Header, u64);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut sums = Header::default();
        let mut end = 0_u64;
        let mut stored = 0_u64;
        while let Some(name) = map.next_key_seed(Name { layers: self.layers })? {
            if matches!(name, Named::Metadata) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let tensor: Tensor = map.next_value()?;
            let bytes =
                tensor.bytes().ok_or_else(|| A::Error::custom("a tensor's shape and place do not agree"))?;
            stored = stored
                .checked_add(bytes)
                .ok_or_else(|| A::Error::custom("more bytes than can be counted"))?;
            end = end.max(tensor.data_offsets.1);
            if !matches!(name, Named::Drafting) {
                sums.add(&tensor, bytes, matches!(name, Named::Head));
            }
        }
        // Values lie one after the other: if they add up to more than where the last one ends, some lie over others.
        if stored > end {
            return Err(A::Error::custom("tensors overlap"));
        }
        Ok((sums, end))
    }
}

impl Header {
    /// Adds another file's sums.
    pub fn plus(self, other: Self) -> Self {
        Self {
            half: self.half.saturating_add(other.half),
            single: self.single.saturating_add(other.single),
            other_bytes: self.other_bytes.saturating_add(other.other_bytes),
            data_bytes: self.data_bytes.saturating_add(other.data_bytes),
            head: self.head.saturating_add(other.head),
            tensors: self.tensors.saturating_add(other.tensors),
        }
    }

    fn add(&mut self, tensor: &Tensor, bytes: u64, head: bool) {
        let bits = tensor.dtype.0;
        let values = bytes.saturating_mul(8).checked_div(bits).unwrap_or(0);
        match tensor.dtype.1 {
            Family::Half => self.half = self.half.saturating_add(values),
            Family::Single => self.single = self.single.saturating_add(values),
            Family::Other => self.other_bytes = self.other_bytes.saturating_add(bytes),
        }
        if head {
            self.head = self.head.saturating_add(values);
        }
        self.data_bytes = self.data_bytes.saturating_add(bytes);
        self.tensors = self.tensors.saturating_add(1);
    }
}

/// What a key of the header means.
enum Named {
    Metadata,
    Head,
    Drafting,
    Weight,
}

struct Name {
    layers: Option<u64>,
}

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Named;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Named, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Named;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tensor's name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Named, E> {
        let layer = || name.strip_prefix("model.layers.")?.split('.').next()?.parse::<u64>().ok();
        Ok(match name {
            "__metadata__" => Named::Metadata,
            "lm_head.weight" => Named::Head,
            _ if self.layers.is_some_and(|layers| layer().is_some_and(|n| n >= layers)) => Named::Drafting,
            _ => Named::Weight,
        })
    }
}

#[derive(Deserialize)]
struct Tensor {
    dtype: Kind,
    shape: Shape,
    data_offsets: (u64, u64),
}

impl Tensor {
    /// Its bytes, if shape, type and place agree.
    fn bytes(&self) -> Option<u64> {
        let bytes = self.data_offsets.1.checked_sub(self.data_offsets.0)?;
        let bits = self.dtype.0;
        // A type that came after this was written: its place is all that is known.
        let expected = if bits == 0 { bytes } else { self.shape.0?.checked_mul(bits)?.div_ceil(8) };
        (expected == bytes).then_some(bytes)
    }
}

enum Family {
    Half,
    Single,
    Other,
}

/// A type: its bits (0 when unknown) and what becomes of it.
struct Kind(u64, Family);

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Types;
        impl Visitor<'_> for Types {
            type Value = Kind;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a type's name")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Kind, E> {
                Ok(match name {
                    "F16" | "BF16" => Kind(16, Family::Half),
                    "F32" => Kind(32, Family::Single),
                    "F64" => Kind(64, Family::Single),
                    "I64" | "U64" | "C64" => Kind(64, Family::Other),
                    "I32" | "U32" => Kind(32, Family::Other),
                    "I16" | "U16" => Kind(16, Family::Other),
                    "I8" | "U8" | "BOOL" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" => Kind(8, Family::Other),
                    "F6_E2M3" | "F6_E3M2" => Kind(6, Family::Other),
                    "F4" => Kind(4, Family::Other),
                    _ => Kind(0, Family::Other),
                })
            }
        }
        deserializer.deserialize_str(Types)
    }
}

/// How many values a shape has; `None` when they cannot be counted.
struct Shape(Option<u64>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Dimensions;
        impl<'de> Visitor<'de> for Dimensions {
            type Value = Shape;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of dimensions")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
                let mut values = Some(1_u64);
                while let Some(dimension) = seq.next_element::<u64>()? {
                    values = values.and_then(|v| v.checked_mul(dimension));
                }
                Ok(Shape(values))
            }
        }
        deserializer.deserialize_seq(Dimensions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with this header and this many bytes of values.
    fn file(json: &str, data: usize) -> Vec<u8> {
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(json.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    }

    const TWO: &str = r#"{"__metadata__":{"format":"pt","deep":[[[]]]},
        "lm_head.weight":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},
        "model.layers.0.scale":{"dtype":"F32","shape":[],"data_offsets":[12,16]},
        "model.layers.1.qweight":{"dtype":"I32","shape":[2],"data_offsets":[16,24]}}"#;

    #[test]
    fn values_are_counted_by_their_type() {
        let header = header_bytes(&file(TWO, 24)).expect("a header");
        let wanted = Header { half: 6, single: 1, other_bytes: 8, data_bytes: 24, head: 6, tensors: 3 };
        assert_eq!(header, wanted);
        assert_eq!(header.plus(header).half, 12);
    }

    #[test]
    fn drafting_layers_are_left_out() {
        let bytes = file(TWO, 24);
        let header = header(bytes.as_slice(), bytes.len() as u64, Some(1)).expect("a header");
        assert_eq!((header.other_bytes, header.tensors), (0, 2));
    }

    #[test]
    fn a_download_that_was_not_finished_is_told_from_garbage() {
        let whole = file(TWO, 24);
        for length in 0..whole.len() {
            let error = header_bytes(&whole[..length]).expect_err("cut");
            assert!(matches!(error, HeaderError::Cut(_) | HeaderError::Short { .. }), "{length}: {error}");
        }
        assert!(matches!(header_bytes(&file("[]", 0)), Err(HeaderError::Malformed(_))));
        assert!(matches!(header_bytes(&file("{}  x", 0)), Err(HeaderError::Malformed(_))));
        assert!(matches!(header_bytes(&[0xff; 16]), Err(HeaderError::TooLong(_))));
    }

    #[test]
    fn sizes_that_lie_are_errors() {
        for entry in [
            r#"{"dtype":"F16","shape":[2,3],"data_offsets":[0,11]}"#,
            r#"{"dtype":"F16","shape":[3],"data_offsets":[6,0]}"#,
            r#"{"dtype":"U8","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,0]}"#,
            r#"{"dtype":"F64","shape":[18446744073709551615],"data_offsets":[0,18446744073709551615]}"#,
            r#"{"dtype":"F16","shape":[-1],"data_offsets":[0,0]}"#,
            r#"{"dtype":"F16","shape":[1.5],"data_offsets":[0,3]}"#,
            r#"{"dtype":"F16","shape":[1]}"#,
            "7",
        ] {
            let json = format!("{{\"a\":{entry}}}");
            assert!(matches!(header_bytes(&file(&json, 64)), Err(HeaderError::Malformed(_))), "{entry}");
        }
        let whole = r#"{"dtype":"U8","shape":[1152921504606846976],"data_offsets":[0,1152921504606846976]}"#;
        assert!(matches!(
            header_bytes(&file(&format!("{{\"a\":{whole}}}"), 64)),
            Err(HeaderError::Short { .. })
        ));
        let twice = format!("{{\"a\":{whole},\"b\":{whole}}}");
        assert!(matches!(header_bytes(&file(&twice, 64)), Err(HeaderError::Malformed(_))));
    }

    #[test]
    fn tensors_that_lie_over_each_other_are_an_error() {
        let json = r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#;
        assert!(
            matches!(header_bytes(&file(json, 6)), Err(HeaderError::Malformed(text)) if text.contains("overlap"))
        );
    }

    #[test]
    fn a_header_that_is_deeper_than_anything_is_refused_without_a_fall() {
        let deep = format!("{{\"a\":{}", "[".repeat(1_000_000));
        assert!(header_bytes(&file(&deep, 0)).is_err());
        let deep = format!("{{\"__metadata__\":{}", "{\"a\":".repeat(200_000));
        assert!(header_bytes(&file(&deep, 0)).is_err());
    }

    #[test]
    fn a_type_that_came_later_counts_by_its_place() {
        let json = r#"{"a":{"dtype":"F3_E9M9","shape":[9],"data_offsets":[0,5]}}"#;
        assert_eq!(header_bytes(&file(json, 5)).expect("a header").other_bytes, 5);
    }
}
