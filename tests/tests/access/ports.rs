//! The admin port, what only it may run, and the Unix socket.

use damselfly_resp::Reply;
use damselfly_tests::{Client, Process, Server, TempDir, eventually_some};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20);
const REFUSED: &str = "ERR Cannot execute restricted command (admin only)";

/// Where the admin port is.
pub fn admin_address(process: &Process) -> SocketAddr {
    eventually_some(DEADLINE, "an admin port", || {
        let log = process.log();
        let lines = log.lines();
        let address = lines
            .filter_map(|line| line.strip_prefix("admin port on "))
            .next();
        address.and_then(|address| address.parse().ok())
    })
}

fn error(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.as_error().unwrap_or_default()).into_owned()
}

#[test]
fn restricted_commands_run_on_the_admin_port_alone() {
    let server = Server::start(&[
        "--admin_port=-1",
        "--proactor_threads=2",
        "--restricted_commands=FLUSHALL,config,client|kill",
    ]);
    let mut public = server.client();
    public.ok("SET kept 1");
    for line in [
        "FLUSHALL",
        "CONFIG GET port",
        "CONFIG SET maxclients 5",
        "CLIENT KILL ID 1",
    ] {
        assert_eq!(error(&public.call(line)), REFUSED, "{line}");
    }
    public.ok("CLIENT LIST");
    // Not by a detour either.
    public.ok("MULTI");
    assert_eq!(error(&public.call("FLUSHALL")), REFUSED);
    assert!(error(&public.call("EXEC")).starts_with("EXECABORT"));
    let script = public
        .try_call(&["EVAL", "return redis.call('flushall')", "0"])
        .unwrap();
    assert!(
        error(&script).contains("can't run this command"),
        "{script:?}"
    );
    let script = public
        .try_call(&["EVAL", "return redis.call('set', KEYS[1], 2)", "1", "kept"])
        .unwrap();
    assert_eq!(error(&script), "");
    assert_eq!(public.text("GET kept"), "2");
    let mut admin = Client::connect(admin_address(&server)).unwrap();
    admin.ok("CONFIG GET port");
    admin.ok("FLUSHALL");
    assert_eq!(public.integer("DBSIZE"), 0);
}

#[test]
fn a_restricted_command_that_does_not_exist_is_refused_at_the_start() {
    let mut process = Server::bare(
        &[
            "--port=-1",
            "--admin_port=-1",
            "--restricted_commands=flush",
        ],
        &[],
    );
    let status = eventually_some(DEADLINE, "its end", || process.exit_status());
    assert!(
        !status.success()
            && process
                .log()
                .contains("--restricted_commands: there is no command flush"),
        "{}",
        process.log()
    );
}

#[test]
fn the_admin_port_asks_for_the_password_unless_told_otherwise() {
    let server = Server::start(&["--admin_port=-1", "--requirepass=right"]);
    let mut admin = Client::connect(admin_address(&server)).unwrap();
    assert!(error(&admin.call("PING")).starts_with("NOAUTH"));
    let server = Server::start(&["--admin_port=-1", "--requirepass=right", "--admin_nopass"]);
    let mut admin = Client::connect(admin_address(&server)).unwrap();
    admin.ok("CONFIG SET maxclients 100");
    admin.ok("RESET");
    admin.ok("SET key 1");
    assert!(error(&server.client().call("PING")).starts_with("NOAUTH"));
}

#[test]
fn the_unix_socket_serves_and_goes_with_the_server() {
    let dir = TempDir::new("socket").unwrap();
    let path = dir.path().join("s");
    let socket = path.display().to_string();
    let flag = format!("--unixsocket={socket}");
    let mut server = Server::start(&[&flag, "--unixsocketperm=700", "--requirepass=right"]);
    let cli = |line: &[&str]| {
        let mut command = Command::new("redis-cli");
        command
            .args(["-s", &socket, "-a", "right", "--no-auth-warning"])
            .args(line);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert_eq!(cli(&["SET", "key", "value"]), "OK\n");
    let clients = cli(&["CLIENT", "LIST"]);
    assert!(
        clients.contains(&format!("addr={socket}:0 laddr={socket}:0 ")),
        "{clients}"
    );
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let mut second = Server::bare(&["--port=-1", &flag], &[]);
    eventually_some(DEADLINE, "the end of a second server", || {
        second.exit_status()
    });
    assert!(second.log().contains(&flag), "{}", second.log());
    assert_eq!(cli(&["GET", "key"]), "value\n");
    server.terminate(DEADLINE).unwrap();
    assert!(!path.exists());
}
