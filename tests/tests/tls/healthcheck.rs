//! `damselfly --healthcheck` of a server that speaks TLS.

use super::authority::Authority;
use damselfly_tests::{Server, eventually_some};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20);

fn check(health: &str, flags: &[&str]) -> (bool, String) {
    let health = format!("--healthcheck={health}");
    let mut check = Server::bare(&[&[health.as_str()], flags].concat(), &[]);
    let status = eventually_some(DEADLINE, "an end", || check.exit_status());
    (status.success(), check.log().trim().to_owned())
}

#[test]
fn the_server_is_known_by_its_own_certificate() {
    let (ca, other) = (Authority::new("one"), Authority::new("another"));
    let identity = ca.issue("server", &["localhost"]);
    let [key, cert] = identity.flags();
    let authority = format!("--tls_ca_cert_file={}", ca.ca().display());
    let flags = ["--tls", "--proactor_threads=1", &key, &cert, &authority];
    let server = Server::start(&flags);
    let port = format!("--port={}", server.address().port());
    let with = ["--bind=127.0.0.1", &port];
    assert_eq!(
        check("ready", &[&with[..], &flags].concat()),
        (true, "ready: primary".to_owned())
    );
    assert_eq!(
        check("live", &[&with[..], &flags].concat()),
        (true, "live".to_owned())
    );
    // Another certificate than that of the running server: alive, and not to be given a password.
    let [key, cert] = other.issue("server", &["localhost"]).flags();
    let strange = ["--tls", &key, &cert, "--requirepass=secret"];
    let strange = [&with[..], &strange].concat();
    let (good, says) = check("ready", &strange);
    assert!(!good && says.contains("certificate"), "{says}");
    assert!(check("live", &strange).0);
}
