//! Who is at the other end of a connection, as far as addresses can tell.

use axum::http::Extensions;
use std::net::{IpAddr, Ipv4Addr};

/// The client of a request: put into it where connections are taken in, read by whoever limits or remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address: behind a trusted proxy, the one that the proxy tells.
    pub ip: IpAddr,
    /// The browser speaks HTTPS, to us or to a trusted proxy.
    pub secure: bool,
}

impl Client {
    /// The client of a request that carries these.
    pub fn of(extensions: &Extensions) -> Self {
        let nearby = Self { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), secure: false };
        extensions.get().copied().unwrap_or(nearby)
    }
}
