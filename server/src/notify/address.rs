//! Where a target is: an address that may hold tokens, and which addresses of networks are never spoken to.

use std::fmt;
use std::net::IpAddr;

/// The address of a target. It is a secret: only its host is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    tls: bool,
    host: String,
    port: u16,
    /// Path and query.
    rest: String,
}

const ALLOWED: &str = "allowed is https://HOST[:PORT]/PATH without user and fragment; http:// only to this machine or to a private address, such as http://127.0.0.1:8080/hook";

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// What is allowed; the address itself is not repeated.
    pub fn parse(text: &str) -> Result<Self, String> {
        let allowed = || ALLOWED.to_owned();
        if text.len() > 2048 || text.contains(['#', '@', ' ']) {
            // An @ in the path can be written as %40.
            return Err(allowed());
        }
        let uri: http::Uri = text.parse().map_err(|_| allowed())?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(allowed()),
        };
        let authority = uri.authority().ok_or_else(allowed)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let port = match authority.port() {
            Some(port) => port.as_str().parse::<u16>().ok().filter(|p| *p > 0).ok_or_else(allowed)?,
            None if authority.as_str() != authority.host() => return Err(allowed()),
            None if tls => 443,
            None => 80,
        };
        if host.is_empty() {
            return Err(allowed());
        }
        let ip = host.parse::<IpAddr>().ok();
        if ip.is_some_and(forbidden) || crate::reach::forbidden_host(&host) {
            return Err("link-local and metadata addresses are not allowed".to_owned());
        }
        let near = host == "localhost" || ip.is_some_and(is_near);
        if !tls && !near {
            return Err(allowed());
        }
        let rest = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        Ok(Self { tls, host, port, rest })
    }

    /// Whether it is spoken to over TLS.
    pub const fn tls(&self) -> bool {
        self.tls
    }

    /// The host's name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The name as a request says it.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }

    /// Path and query, for whom they are meant.
    pub fn reveal(&self) -> &str {
        &self.rest
    }

    /// A value of the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.rest.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

/// As far as it may be seen.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/…", if self.tls { "https" } else { "http" }, self.authority())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// An address of this machine or of a private network.
fn is_near(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    }
}

/// Addresses that are never spoken to: link-local ones, where clouds keep what a machine may ask about itself, such
/// services at other places, and what is no single machine.
pub fn forbidden(ip: IpAddr) -> bool {
    // Nor is a message for everybody, or for nobody.
    let nobody = match ip.to_canonical() {
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_multicast(),
    };
    nobody || crate::reach::forbidden(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_anywhere_and_http_nearby_are_taken() {
        for good in [
            "https://hooks.example.com/services/T0/B0/secret",
            "https://[2001:db8::1]:8443/x?y=z",
            "http://127.0.0.1:8080/hook",
            "http://localhost/hook",
            "http://192.168.1.5:2586/topic",
            "http://[fd12::1]/x",
        ] {
            assert!(Address::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "hooks.example.com/x",
            "ftp://example.com/x",
            "http://example.com/x",
            "http://8.8.8.8/x",
            "https://user:pass@example.com/x",
            "https://example.com/x#y",
            "https://example.com:0/x",
            "https://example.com:99999/x",
            "https://169.254.169.254/latest",
            "http://169.254.169.254/latest",
            "https://[fe80::1]/x",
            "https://[fd00:ec2::254]/x",
            "https://[::ffff:169.254.169.254]/x",
            "https://100.100.100.200/x",
            "http://0.0.0.0/x",
        ] {
            let refused = Address::parse(bad).expect_err(bad);
            assert!(bad.is_empty() || !refused.contains(bad), "it is not repeated: {refused}");
        }
    }

    #[test]
    fn only_the_host_is_shown() {
        let address = Address::parse("https://hooks.example.com/services/secret?token=secret").expect("read");
        assert_eq!(
            format!("{address} {address:?}"),
            "https://hooks.example.com/… https://hooks.example.com/…"
        );
        assert_eq!(address.reveal(), "/services/secret?token=secret");
        assert_eq!(address.query("token"), Some("secret"));
        assert_eq!(address.query("tok"), None);
    }

    #[test]
    fn what_nat64_and_mapping_hide_is_seen() {
        for ip in
            ["64:ff9b::169.254.169.254", "::ffff:169.254.0.1", "fe80::1", "ff02::1", "::", "255.255.255.255"]
        {
            assert!(forbidden(ip.parse().expect("an address")), "{ip}");
        }
        for ip in ["64:ff9b::8.8.8.8", "10.0.0.1", "127.0.0.1", "2001:db8::1", "::1"] {
            assert!(!forbidden(ip.parse().expect("an address")), "{ip}");
        }
    }
}
