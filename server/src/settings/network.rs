//! Networks: an address, or an address and how many of its bits count.

use std::fmt;
use std::net::IpAddr;

/// One network, such as `10.0.0.0/8`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `ADDRESS` or `ADDRESS/BITS`.
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => {
                let plain = (1..=3).contains(&bits.len()) && bits.bytes().all(|b| b.is_ascii_digit());
                (address, Some(bits.parse::<u8>().ok().filter(|_| plain)?))
            }
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { address, bits })
    }

    /// Whether an address lies in it.
    fn contains(self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                ours.to_bits() & mask == theirs.to_bits() & mask
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                ours.to_bits() & mask == theirs.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = if self.address.is_ipv4() { 32 } else { 128 };
        if self.bits == most {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.bits)
        }
    }
}

/// Several networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

impl Networks {
    /// Reads a list that is separated by commas.
    ///
    /// # Errors
    /// What is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(Network::parse).collect::<Option<Vec<_>>>().map(Self).ok_or_else(|| {
            "allowed are addresses and networks separated by commas, such as 10.0.0.7, 192.168.1.0/24 and fd00::/8"
                .to_owned()
        })
    }

    /// Whether an address lies in one of them. An IPv4 address that came over IPv6 counts as what it is.
    pub fn contain(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(ip))
    }

    /// There are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(Network::to_string).collect();
        f.write_str(&parts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(list: &str, ip: &str) -> bool {
        Networks::parse(list).expect("a list").contain(ip.parse().expect("an address"))
    }

    #[test]
    fn an_address_is_in_a_network_if_its_first_bits_are_the_same() {
        for (list, ip) in [
            ("10.0.0.7", "10.0.0.7"),
            ("10.0.0.0/8", "10.255.1.2"),
            ("192.168.1.128/25", "192.168.1.200"),
            ("0.0.0.0/0", "8.8.8.8"),
            ("fd00::/8", "fd12:3456::1"),
            ("::/0", "2001:db8::1"),
            ("::1", "::1"),
            ("10.0.0.1, 172.16.0.0/12", "172.31.255.255"),
            ("10.0.0.7", "::ffff:10.0.0.7"),
        ] {
            assert!(has(list, ip), "{ip} is in {list}");
        }
        for (list, ip) in [
            ("", "127.0.0.1"),
            ("10.0.0.7", "10.0.0.8"),
            ("10.0.0.0/8", "11.0.0.0"),
            ("192.168.1.128/25", "192.168.1.127"),
            ("0.0.0.0/0", "::1"),
            ("::/0", "127.0.0.1"),
            ("fd00::/8", "fe00::1"),
        ] {
            assert!(!has(list, ip), "{ip} is not in {list}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_what_is_allowed() {
        for bad in
            ["proxy.lan", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.1/", "10.0.0.1/+8", "10.0.0.1:80", "*"]
        {
            let error = Networks::parse(bad).expect_err(bad);
            assert!(error.contains("allowed"), "{error}");
        }
        assert_eq!(Networks::parse("10.0.0.0/8 , ::1").expect("a list").to_string(), "10.0.0.0/8,::1");
        assert!(Networks::parse(" , ").expect("a list").is_empty());
    }
}
