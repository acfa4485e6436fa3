//! Protected mode: clients from elsewhere, while nobody has to say who they are.

use damselfly_tests::{Client, Server, announced, eventually_some};
use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20);

/// An address of this machine that is not of the loopback.
fn outside() -> IpAddr {
    let route = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.200:9")?;
        Ok(socket.local_addr()?.ip())
    });
    if let Ok(address) = route.as_ref()
        && !address.is_loopback()
    {
        return *address;
    }
    // A machine without a network: an address that nobody else has.
    let added = Command::new("ip")
        .args(["addr", "add", "10.213.77.1/32", "dev", "lo"])
        .output();
    assert!(
        added.is_ok(),
        "this machine has no address but the loopback's, and none can be added: {route:?}"
    );
    "10.213.77.1".parse().unwrap()
}

fn all_that_is_said(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    text
}

#[test]
fn strangers_are_denied_as_by_redis_until_there_is_a_password() {
    let port = damselfly_tests::free_address().unwrap().port().to_string();
    let arguments = [
        "--port",
        &port,
        "--bind",
        "*",
        "--protected-mode",
        "yes",
        "--save",
        "",
    ];
    let redis =
        damselfly_tests::Process::start("/usr/bin/redis-server".as_ref(), &arguments, &[]).unwrap();
    let process = Server::bare(&["--port=-1", "--bind=*", "--proactor_threads=1"], &[]);
    let own = eventually_some(DEADLINE, "an address", || announced(&process.log()));
    let at = |ip: IpAddr, port: u16| SocketAddr::from((ip, port));
    let redis_port = port.parse().unwrap();
    let local: IpAddr = "127.0.0.1".parse().unwrap();
    eventually_some(DEADLINE, "redis", || {
        Client::connect(at(local, redis_port)).ok()
    });
    let stranger = at(outside(), own.port());
    let denied = all_that_is_said(stranger);
    assert!(denied.starts_with("-DENIED "), "{denied}");
    assert_eq!(denied, all_that_is_said(at(outside(), redis_port)));
    drop(redis);
    let mut friend = Client::connect(at(local, own.port())).unwrap();
    let rejected: u64 = friend.info("stats")["rejected_connections"]
        .parse()
        .unwrap();
    assert_eq!(rejected, 1);
    let can_ping = || {
        Client::connect(stranger)
            .unwrap()
            .try_call(&["PING"])
            .unwrap()
    };
    friend.ok("CONFIG SET protected-mode no");
    assert_eq!(can_ping().as_text(), Some(&b"PONG"[..]));
    friend.ok("CONFIG SET protected-mode yes requirepass right");
    assert!(
        can_ping()
            .as_error()
            .is_some_and(|error| error.starts_with(b"NOAUTH"))
    );
}

#[test]
fn an_admin_port_that_is_open_on_purpose_is_open_to_strangers() {
    for (flag, is_open) in [
        ("--no_tls_on_admin_port", true),
        ("--admin_nopass", true),
        ("--port=0", false),
    ] {
        let process = Server::bare(
            &["--port=-1", "--admin_port=-1", "--proactor_threads=1", flag],
            &[],
        );
        let admin = super::ports::admin_address(&process);
        let stranger = SocketAddr::from((outside(), admin.port()));
        let reply = Client::connect(stranger).unwrap().try_call(&["PING"]);
        let is_served = reply.is_ok_and(|reply| reply.as_text() == Some(b"PONG"));
        assert_eq!(is_served, is_open, "{flag}");
    }
}
