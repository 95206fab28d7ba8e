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
            own || within(ip).is_some_and(|ip| forbidden(IpAddr::V4(ip)))
        }
    }
}

/// The IPv4 address that an IPv6 address carries: mapped, compatible, translated (64:ff9b::/96) or tunnelled (2002::/16).
fn within(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let parts = ip.segments();
    let of = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match parts {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(of(high, low)),
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

/// Whether a host, as it is written in an address, is never asked.
pub fn forbidden_host(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return forbidden(ip);
    }
    let name = bare.trim_end_matches('.').to_ascii_lowercase();
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

    const NEVER: [&str; 22] = [
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
            "my-instance-data",
        ] {
            assert!(!forbidden_host(host), "{host}");
        }
    }

    #[tokio::test]
    async fn what_a_host_resolves_to_is_checked_however_it_is_written() {
        // The resolver reads all of these as 169.254.169.254; none of them is written as an address in the usual way.
        for host in ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"] {
            assert!(!forbidden_host(host), "{host} says nothing by itself");
            let error = resolve(host, 80).await.expect_err(host);
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{host}: {error}");
        }
        assert!(!resolve("localhost", 80).await.expect("loopback").is_empty());
    }
}
