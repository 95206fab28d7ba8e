//! Where the dashboard never connects to on a service's behalf: the addresses at which clouds hand out a machine's
//! credentials, and the link's own addresses. In: a host, as it was written or as it resolves. Out: yes or no.
//!
//! An address in the settings is checked when it is read; a name again each time it is resolved, since it may point
//! elsewhere by then.

use futures::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll};

/// What such an address is told.
pub const REFUSED: &str = "link-local addresses and those of a cloud's metadata service are never asked";

/// Names of metadata services, with all names below them.
const NAMES: [&str; 5] =
    ["metadata.google.internal", "metadata.goog", "metadata", "instance-data", "instance-data.ec2.internal"];

/// Metadata services that are not link-local: Alibaba, Oracle's older one, Azure's wire server.
const FOUR: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];

/// Google's on IPv6.
const GOOGLE: Ipv6Addr = Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254);

/// Whether an address is never asked.
pub fn forbidden(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local() || FOUR.contains(&ip),
        IpAddr::V6(ip) => {
            let parts = ip.segments();
            // fe80::/10, and Amazon's fd00:ec2::/32.
            let own = parts[0] & 0xffc0 == 0xfe80 || (parts[0], parts[1]) == (0xfd00, 0xec2) || ip == GOOGLE;
            own || within(ip).into_iter().any(|ip| forbidden(IpAddr::V4(ip)))
        }
    }
}

/// The IPv4 addresses that an IPv6 address carries, or may carry: mapped, compatible, translated (RFC 2765; RFC 6052 with the
/// prefix 64:ff9b::/96; RFC 8215 with any prefix below 64:ff9b:1::/48), tunnelled (6to4; Teredo, RFC 4380; ISATAP, RFC 5214).
fn within(ip: Ipv6Addr) -> Vec<Ipv4Addr> {
    let bits = ip.to_bits();
    // The 32 bits that end so many bits before the end.
    let at = |shift: u32| Ipv4Addr::from_bits((bits >> shift) as u32);
    // RFC 6052 leaves out the bits 64 to 71.
    let around = |prefix: u32| {
        let joined = (bits >> 64 << 56) | (bits & ((1 << 56) - 1));
        Ipv4Addr::from_bits((joined >> (120 - 32 - prefix)) as u32)
    };
    match ip.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            vec![at(0)]
        }
        [0x64, 0xff9b, 1, ..] => vec![around(48), around(56), at(24), at(0)],
        [0x2002, ..] => vec![at(80)],
        [0x2001, 0, ..] => vec![at(64), Ipv4Addr::from_bits(!(bits as u32))],
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => vec![at(0)],
        _ => Vec::new(),
    }
}

/// An IPv4 address as the system's resolver reads it: one to four numbers, decimal, octal or hexadecimal, of which the last
/// fills what the others leave.
fn loosely(host: &str) -> Option<Ipv4Addr> {
    let number = |text: &str| {
        let (digits, radix) = match text.as_bytes() {
            [b'0', b'x' | b'X', rest @ ..] if !rest.is_empty() => (&text[2..], 16),
            [b'0', _, ..] => (&text[1..], 8),
            _ => (text, 10),
        };
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_alphanumeric());
        u32::from_str_radix(digits, radix).ok().filter(|_| plain)
    };
    let numbers: Vec<u32> = host.split('.').map(number).collect::<Option<_>>()?;
    let (last, firsts) = numbers.split_last()?;
    if firsts.len() > 3 || firsts.iter().any(|part| *part > 255) {
        return None;
    }
    let left = 32 - 8 * u32::try_from(firsts.len()).ok()?;
    if left < 32 && last >> left != 0 {
        return None;
    }
    let high = firsts.iter().fold(0_u64, |all, part| all << 8 | u64::from(*part));
    u32::try_from(high << left | u64::from(*last)).ok().map(Ipv4Addr::from_bits)
}

/// Whether a host, as it is written in an address, is never asked.
pub fn forbidden_host(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    // A zone says through which link.
    let address = bare.split('%').next().unwrap_or(bare);
    if let Some(ip) = address.parse::<IpAddr>().ok().or_else(|| loosely(bare).map(IpAddr::V4)) {
        return forbidden(ip);
    }
    let name = bare.to_ascii_lowercase();
    NAMES
        .iter()
        .any(|known| name.strip_suffix(known).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

/// Where a host is; an error if any of its addresses is never asked.
///
/// # Errors
/// The name is unknown, or leads where we do not go.
pub async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>> {
    let refused = || Error::new(ErrorKind::PermissionDenied, REFUSED);
    if forbidden_host(host) {
        return Err(refused());
    }
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    if found.iter().any(|address| forbidden(address.ip())) { Err(refused()) } else { Ok(found) }
}

/// [`resolve`] for the HTTP client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resolver;

impl tower::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        // The client puts the port in itself.
        Box::pin(async move { Ok(resolve(name.as_str(), 0).await?.into_iter()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: [&str; 42] = [
        "169.254.169.254",
        "169.254.170.2",
        "169.254.0.1",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "[fe80::1]",
        "[febf::1]",
        "[fd00:ec2::254]",
        "[fd20:ce::254]",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[::169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
        "[::ffff:0:169.254.169.254]",
        "[64:ff9b:1:a9fe:a9:fe00::]",
        "[64:ff9b:1:ffa9:fe:a9fe::]",
        "[64:ff9b:1:ffff:a9:fea9:fe00:0]",
        "[64:ff9b:1::a9fe:a9fe]",
        "[64:ff9b:1:2:3:4:a9fe:a9fe]",
        "[2001:0:a9fe:a9fe::1]",
        "[2001:0:0:0:0:0:5601:5601]",
        "[2001:db8::200:5efe:a9fe:a9fe]",
        "[fe80::1%eth0]",
        "169.254.169.254.",
        "2852039166",
        "0xa9fea9fe",
        "0XA9FEA9FE",
        "0251.0376.0251.0376",
        "0xa9.254.0251.254",
        "169.254.43518",
        "169.16689662",
        "0250.077.0201.020",
        "1684301000.",
        "metadata.google.internal",
        "METADATA.Google.Internal.",
        "x.metadata.google.internal",
        "metadata.goog",
        "metadata",
        "instance-data",
        "instance-data.ec2.internal",
    ];

    #[test]
    fn metadata_services_are_known_by_name_and_by_every_way_to_write_their_address() {
        for host in NEVER {
            assert!(forbidden_host(host), "{host}");
        }
        for host in [
            "localhost",
            "127.0.0.1",
            "[::1]",
            "10.0.0.7",
            "192.168.1.1",
            "100.100.100.201",
            "169.253.1.1",
            "[fd00::1]",
            "[fec0::1]",
            "[::ffff:10.0.0.1]",
            "gpu.lan",
            "metadata.example",
            "mymetadata",
            "2130706433",
            "0x7f000001",
            "0177.1",
            "09",
            "256.1.1.1",
            "1.2.3.4.5",
            "0x",
            "a.1",
            "[64:ff9b:1::7f00:1]",
            "my-instance-data",
        ] {
            assert!(!forbidden_host(host), "{host}");
        }
    }

    #[tokio::test]
    async fn what_a_host_resolves_to_is_checked_however_it_is_written() {
        // The resolver reads all of these as 169.254.169.254; none of them is written as an address in the usual way.
        for host in ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"] {
            assert!(forbidden_host(host), "{host} says it by itself");
            let error = resolve(host, 80).await.expect_err(host);
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{host}: {error}");
        }
        assert!(!resolve("localhost", 80).await.expect("loopback").is_empty());
    }
}
