//! Signatures, by which a receiver knows that a message is ours, whole and not an old one sent once more.
//!
//! `X-Services-Signature: t=SECONDS,v1=HEX`: HEX is HMAC-SHA256 with the target's secret over `SECONDS.BODY`, where SECONDS
//! is the time since 1970 at which it was sent. A receiver computes the same, compares in constant time, and refuses what is
//! older than five minutes or whose `X-Services-Delivery` it has seen before.

use ring::hmac::{HMAC_SHA256, Key, sign};

/// The header with time and signature.
pub const SIGNATURE: &str = "x-services-signature";
/// The header with the number of a delivery: the same for each try of one message, never used for another.
pub const DELIVERY: &str = "x-services-delivery";

/// The value of the header.
pub fn signature(secret: &str, seconds: i64, body: &[u8]) -> String {
    let key = Key::new(HMAC_SHA256, secret.as_bytes());
    let mut signed = format!("{seconds}.").into_bytes();
    signed.extend_from_slice(body);
    let tag = sign(&key, &signed);
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_other_programs_compute() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef
        let signed = signature("0123456789abcdef", 1_700_000_000, b"{\"a\":1}");
        assert_eq!(signed, EXPECTED);
        assert_ne!(signed, signature("0123456789abcdef", 1_700_000_001, b"{\"a\":1}"));
        assert_ne!(signed, signature("0123456789abcdeg", 1_700_000_000, b"{\"a\":1}"));
    }

    const EXPECTED: &str = "t=1700000000,v1=9eb18f493f8ec135d9eb2dad817c369bb4e9cbfa818657897a7437c1cd8c3a23";
}
