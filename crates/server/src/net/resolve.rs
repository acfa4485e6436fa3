//! Names to addresses.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// The addresses of a name, IPv4 before IPv6: `localhost` reaches a server that listens on
/// 127.0.0.1 alone without a failed attempt before. Blocks while the system resolves.
///
/// # Errors
/// The system's, when the name does not resolve; never an empty list.
pub fn resolve_ipv4_first(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in (bare, port).to_socket_addrs()? {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses.sort_by_key(SocketAddr::is_ipv6);
    if addresses.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("{host} has no address"),
        ));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_ipv4_first() {
        let addresses = resolve_ipv4_first("localhost", 7).unwrap();
        assert_eq!(addresses[0].to_string(), "127.0.0.1:7");
    }

    #[test]
    fn addresses_are_taken_with_and_without_brackets() {
        for host in ["::1", "[::1]"] {
            assert_eq!(
                resolve_ipv4_first(host, 7).unwrap()[0].to_string(),
                "[::1]:7"
            );
        }
    }

    #[test]
    fn what_does_not_resolve_is_an_error() {
        assert!(resolve_ipv4_first("no-such-host.invalid", 7).is_err());
    }
}
