//! Listening sockets.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use super::resolve_ipv4_first;

/// How often a free port is looked for that is free on all addresses.
const FREE_PORT_ATTEMPTS: usize = 16;

/// How to listen.
#[derive(Debug, Clone)]
pub struct ListenOptions {
    /// Names and addresses; empty = all interfaces. `*` is all of IPv4, `::*` all of IPv6, and one
    /// with a `-` before it may be missing on this machine.
    pub hosts: Vec<String>,
    /// The port, the same on all addresses; -1 = a free one.
    pub port: i32,
    /// Connections that wait in the kernel for being accepted.
    pub backlog: u32,
    /// Whether several sockets may listen on the same address and share its connections.
    /// Off by default, because it lets two servers start on one port without an error.
    pub reuse_port: bool,
}

impl Default for ListenOptions {
    fn default() -> Self {
        ListenOptions {
            hosts: Vec::new(),
            port: -1,
            backlog: 256,
            reuse_port: false,
        }
    }
}

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// A name that does not resolve.
    #[error("cannot resolve {host}: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// The system's error.
        source: io::Error,
    },
    /// An address that can't be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// A Unix socket that can't be listened on.
    #[error("--unixsocket={}: {source}", .path.display())]
    Unix {
        /// Its path.
        path: std::path::PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// No port is free on all addresses.
    #[error("found no port that is free on all addresses")]
    NoFreePort,
    /// Every address was one that may be missing, and all are.
    #[error("none of the addresses exists on this machine")]
    NoAddress,
}

/// One address to listen on.
struct Target {
    address: SocketAddr,
    /// Whether it may be missing.
    optional: bool,
}

/// Opens the sockets, non-blocking, all on the same port. Port 0 gives none: it means no TCP.
///
/// # Errors
/// [`ListenError`]; no socket stays open then.
///
/// # Examples
/// ```
/// use damselfly_server::{ListenOptions, listen};
///
/// let options = ListenOptions { hosts: vec!["127.0.0.1".to_owned()], ..ListenOptions::default() };
/// let listeners = listen(&options)?;
/// assert_ne!(listeners[0].local_addr()?.port(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn listen(options: &ListenOptions) -> Result<Vec<TcpListener>, ListenError> {
    match u16::try_from(options.port) {
        Ok(0) => Ok(Vec::new()),
        Ok(port) => listen_on(&targets(&options.hosts, port)?, options),
        Err(_) => listen_on_free_port(options),
    }
}

/// Lets the system choose a port on the first address, and takes the same on the others.
fn listen_on_free_port(options: &ListenOptions) -> Result<Vec<TcpListener>, ListenError> {
    let mut targets = targets(&options.hosts, 0)?;
    for _ in 0..FREE_PORT_ATTEMPTS {
        targets
            .iter_mut()
            .for_each(|target| target.address.set_port(0));
        let Some((first, port)) = first_listener(&targets, options)? else {
            return Err(ListenError::NoAddress);
        };
        let mut rest = targets.split_off(first.1 + 1);
        rest.iter_mut()
            .for_each(|target| target.address.set_port(port));
        let others = listen_on(&rest, options);
        targets.append(&mut rest);
        match others {
            Ok(others) => return Ok(std::iter::once(first.0).chain(others).collect()),
            Err(ListenError::NoAddress) => return Ok(vec![first.0]),
            Err(ListenError::Bind { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(ListenError::NoFreePort)
}

/// The first address that can be listened on, its index, and its port.
type First = ((TcpListener, usize), u16);

fn first_listener(
    targets: &[Target],
    options: &ListenOptions,
) -> Result<Option<First>, ListenError> {
    for (index, target) in targets.iter().enumerate() {
        let bind_error = |source| ListenError::Bind {
            address: target.address,
            source,
        };
        match open(target.address, options) {
            Ok(listener) => {
                let port = listener.local_addr().map_err(bind_error)?.port();
                return Ok(Some(((listener, index), port)));
            }
            Err(error) if target.optional && is_missing(&error) => {}
            Err(error) => return Err(bind_error(error)),
        }
    }
    Ok(None)
}

fn listen_on(targets: &[Target], options: &ListenOptions) -> Result<Vec<TcpListener>, ListenError> {
    let mut listeners = Vec::with_capacity(targets.len());
    for target in targets {
        match open(target.address, options) {
            Ok(listener) => listeners.push(listener),
            Err(error) if target.optional && is_missing(&error) => {}
            Err(source) => {
                return Err(ListenError::Bind {
                    address: target.address,
                    source,
                });
            }
        }
    }
    if listeners.is_empty() {
        Err(ListenError::NoAddress)
    } else {
        Ok(listeners)
    }
}

/// Where a server that listens on these is reached from its own machine.
///
/// # Errors
/// A name can't be resolved.
pub(crate) fn own_address(hosts: &[String], port: u16) -> Result<SocketAddr, ListenError> {
    let targets = targets(hosts, port)?;
    let mut address = targets.first().ok_or(ListenError::NoAddress)?.address;
    match address {
        SocketAddr::V4(any) if any.ip().is_unspecified() => {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        SocketAddr::V6(any) if any.ip().is_unspecified() => {
            address.set_ip(Ipv6Addr::LOCALHOST.into());
        }
        _ => {}
    }
    Ok(address)
}

fn targets(hosts: &[String], port: u16) -> Result<Vec<Target>, ListenError> {
    let any = ["*".to_owned(), "-::*".to_owned()];
    let hosts = if hosts.is_empty() { &any[..] } else { hosts };
    let mut targets: Vec<Target> = Vec::new();
    for host in hosts {
        for target in targets_of(host, port)? {
            if !targets.iter().any(|seen| seen.address == target.address) {
                targets.push(target);
            }
        }
    }
    Ok(targets)
}

fn targets_of(host: &str, port: u16) -> Result<Vec<Target>, ListenError> {
    let (name, optional) = match host.strip_prefix('-') {
        Some(name) => (name, true),
        None => (host, false),
    };
    match name {
        "*" => {
            return Ok(vec![Target {
                address: (Ipv4Addr::UNSPECIFIED, port).into(),
                optional,
            }]);
        }
        "::*" => {
            return Ok(vec![Target {
                address: (Ipv6Addr::UNSPECIFIED, port).into(),
                optional,
            }]);
        }
        _ => {}
    }
    let resolved = resolve_ipv4_first(name, port).map_err(|source| ListenError::Resolve {
        host: name.to_owned(),
        source,
    })?;
    // A name stands for its first address; the others may be missing, as ::1 of localhost often is.
    let targets = resolved.into_iter().enumerate();
    Ok(targets
        .map(|(index, address)| Target {
            address,
            optional: optional || index > 0,
        })
        .collect())
}

fn open(address: SocketAddr, options: &ListenOptions) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restarted server must get its port though old connections are in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        // IPv4 has a socket of its own.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Whether an address or its whole family does not exist on this machine.
fn is_missing(error: &io::Error) -> bool {
    let unsupported = error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    unsupported
        || matches!(
            error.kind(),
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn a_server_on_any_address_is_reached_on_its_own_machine() {
        let reached = |hosts: &[&str]| own_address(&on(hosts, 0).hosts, 7).unwrap().to_string();
        assert_eq!(reached(&[]), "127.0.0.1:7");
        assert_eq!(reached(&["::*"]), "[::1]:7");
        assert_eq!(reached(&["10.1.2.3", "127.0.0.1"]), "10.1.2.3:7");
    }

    fn on(hosts: &[&str], port: i32) -> ListenOptions {
        ListenOptions {
            hosts: hosts.iter().map(|host| host.to_string()).collect(),
            port,
            ..ListenOptions::default()
        }
    }

    fn addresses(listeners: &[TcpListener]) -> Vec<SocketAddr> {
        listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap())
            .collect()
    }

    #[test]
    fn a_free_port_is_chosen_and_reachable() {
        let listeners = listen(&on(&["127.0.0.1"], -1)).unwrap();
        let address = addresses(&listeners)[0];
        assert_ne!(address.port(), 0);
        TcpStream::connect(address).unwrap();
    }

    #[test]
    fn all_interfaces_share_one_port() {
        let found = addresses(&listen(&on(&[], -1)).unwrap());
        assert!(found[0].is_ipv4() && found[0].ip().is_unspecified());
        assert!(
            found
                .iter()
                .all(|address| address.port() == found[0].port())
        );
    }

    #[test]
    fn localhost_listens_on_ipv4_first() {
        let found = addresses(&listen(&on(&["localhost"], -1)).unwrap());
        assert_eq!(found[0].ip(), Ipv4Addr::LOCALHOST);
    }

    #[test]
    fn several_addresses_get_several_sockets_each_once() {
        let listeners = listen(&on(&["127.0.0.1", "127.0.0.2", "127.0.0.1"], -1)).unwrap();
        let ips: Vec<_> = addresses(&listeners)
            .iter()
            .map(|address| address.ip().to_string())
            .collect();
        assert_eq!(ips, ["127.0.0.1", "127.0.0.2"]);
    }

    #[test]
    fn port_zero_means_no_tcp() {
        assert!(listen(&on(&["127.0.0.1"], 0)).unwrap().is_empty());
    }

    #[test]
    fn a_taken_port_is_an_error_that_names_the_address() {
        let first = listen(&on(&["127.0.0.1"], -1)).unwrap();
        let port = addresses(&first)[0].port();
        let error = listen(&on(&["127.0.0.1"], port.into())).unwrap_err();
        assert!(
            error.to_string().contains(&format!("127.0.0.1:{port}")),
            "{error}"
        );
    }

    #[test]
    fn reuse_port_lets_two_sockets_share_an_address() {
        let options = ListenOptions {
            reuse_port: true,
            ..on(&["127.0.0.1"], -1)
        };
        let first = listen(&options).unwrap();
        let port = i32::from(addresses(&first)[0].port());
        assert_eq!(
            addresses(&listen(&ListenOptions { port, ..options }).unwrap()),
            addresses(&first)
        );
    }

    #[test]
    fn foreign_addresses_are_errors_unless_marked() {
        // 192.0.2.0/24 is for documentation: no machine has it.
        assert!(matches!(
            listen(&on(&["192.0.2.1"], -1)),
            Err(ListenError::Bind { .. })
        ));
        assert!(matches!(
            listen(&on(&["-192.0.2.1"], -1)),
            Err(ListenError::NoAddress)
        ));
        assert_eq!(
            listen(&on(&["-192.0.2.1", "127.0.0.1"], -1)).unwrap().len(),
            1
        );
        assert_eq!(
            listen(&on(&["127.0.0.1", "-192.0.2.1"], -1)).unwrap().len(),
            1
        );
        assert!(matches!(
            listen(&on(&["no-such-host.invalid"], -1)),
            Err(ListenError::Resolve { .. })
        ));
    }
}
