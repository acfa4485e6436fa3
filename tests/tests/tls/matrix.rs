//! Who gets in with what: links to a primary and clients, with passwords and certificates, right, wrong, expired and missing. Each
//! outcome is as the documentation says, and can be read at both ends. The table is printed.

use super::authority::{Authority, Identity};
use super::tool::redis_cli;
use damselfly_tests::{Client, Process, Server, announced, eventually, eventually_some};
use std::path::Path;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20);

/// What a replica is told before it follows.
struct Link {
    what: &'static str,
    host: &'static str,
    settings: Vec<(&'static str, String)>,
    /// What REPLICAOF answers.
    says: &'static str,
    /// What the primary's log says of it.
    logs: &'static str,
}

struct Scene {
    ca: Authority,
    replica_ca: Authority,
    server: Identity,
    replica: Identity,
    stranger: Identity,
}

fn scene() -> Scene {
    let (ca, replica_ca) = (Authority::new("one"), Authority::new("another"));
    Scene {
        server: ca.issue("server", &["localhost"]),
        replica: ca.issue("replica", &[]),
        stranger: replica_ca.issue("stranger", &[]),
        ca,
        replica_ca,
    }
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

fn server(identity: &Identity, more: &[&str]) -> Server {
    let [key, cert] = identity.flags();
    Server::start(&[&["--tls", "--proactor_threads=1", &key, &cert], more].concat())
}

impl Scene {
    /// A link's settings: with a password, an identity, a CA and what is checked.
    fn settings(
        &self,
        password: &str,
        identity: Option<&Identity>,
        ca: Option<&Authority>,
        verify: &str,
    ) -> Vec<(&'static str, String)> {
        let file =
            |of: fn(&Identity) -> &Path| identity.map_or_else(String::new, |id| path(of(id)));
        vec![
            ("masterauth", password.to_owned()),
            ("tls_key_file", file(|id| &id.key)),
            ("tls_cert_file", file(|id| &id.cert)),
            (
                "tls_ca_cert_file",
                ca.map_or_else(String::new, |ca| path(&ca.ca())),
            ),
            ("tls_replication_verify", verify.to_owned()),
            ("tls_replication", "yes".to_owned()),
        ]
    }

    fn plain(&self) -> Vec<(&'static str, String)> {
        vec![
            ("tls_replication", "no".to_owned()),
            ("masterauth", "right".to_owned()),
        ]
    }

    /// A certificate that is still valid when the server starts, and soon no more.
    fn expiring(&self) -> Identity {
        self.ca
            .issue_for("expiring", &["localhost"], Duration::from_secs(2))
    }
}

/// A replica for which the system trusts this CA.
fn replica(system: &Authority) -> (Process, Client) {
    let variables = [("SSL_CERT_FILE", path(&system.ca()))];
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let flags = ["--port=-1", "--bind=127.0.0.1", "--proactor_threads=1"];
    let process = Server::bare(&flags, &variables);
    let address = eventually_some(DEADLINE, "an address", || announced(&process.log()));
    (process, Client::connect(address).unwrap())
}

/// Sets what a row says, follows, and checks both ends.
fn follow(row: &Link, client: &mut Client, primary: &Server, network: &str) {
    let mut set = vec!["CONFIG", "SET"];
    row.settings
        .iter()
        .for_each(|(name, value)| set.extend([name, value.as_str()]));
    let reply = client.try_call(&set).unwrap();
    assert_eq!(reply.as_text(), Some(&b"OK"[..]), "{}: {reply:?}", row.what);
    let port = primary.address().port().to_string();
    let reply = client.try_call(&["REPLICAOF", row.host, &port]).unwrap();
    let text = reply.as_text().or(reply.as_error()).unwrap();
    let text = String::from_utf8_lossy(text).into_owned();
    println!(
        "| link | {network} | {} | {} | {text} |",
        row.what, row.host
    );
    match row.says {
        "OK" => {
            assert_eq!(text, "OK", "{}", row.what);
            eventually(DEADLINE, "a stable link", || {
                client.info("replication")["master_link_status"] == "up"
            });
            client.ok("REPLICAOF NO ONE");
        }
        words => assert!(
            text.starts_with("ERR ") && text.contains(words),
            "{}: {text}",
            row.what
        ),
    }
    eventually(DEADLINE, row.what, || primary.log().contains(row.logs));
    assert_eq!(
        client.info("replication")["role"],
        "master",
        "a failed REPLICAOF changes nothing"
    );
}

#[test]
fn links_are_made_or_refused_for_a_reason_that_both_ends_say() {
    let scene = scene();
    let ca = path(&scene.ca.ca());
    let expiring = scene.expiring();
    let certified = server(&scene.server, &[&format!("--tls_ca_cert_file={ca}")]);
    let password = server(&scene.server, &["--requirepass=right"]);
    let short_lived = server(&expiring, &["--requirepass=right"]);
    let plain = Server::start(&["--proactor_threads=1", "--requirepass=right"]);
    let (_process, mut client) = replica(&scene.replica_ca);
    let (trusting, mut trusting_client) = replica(&scene.ca);
    let row = |what, settings, host, says, logs| Link {
        what,
        host,
        settings,
        says,
        logs,
    };
    let (right, wrong, full) = (Some(&scene.ca), Some(&scene.replica_ca), "full");
    let good = Some(&scene.replica);
    let rows = [
        row(
            "certificate, CA",
            scene.settings("", good, right, full),
            "localhost",
            "OK",
            "",
        ),
        row(
            "certificate of another CA",
            scene.settings("", Some(&scene.stranger), right, full),
            "localhost",
            "fatal alert",
            "UnknownIssuer",
        ),
        row(
            "no certificate",
            scene.settings("right", None, right, full),
            "localhost",
            "CertificateRequired",
            "peer sent no certificates",
        ),
        row(
            "certificate, no CA",
            scene.settings("", good, None, full),
            "localhost",
            "UnknownIssuer",
            "received fatal alert",
        ),
    ];
    rows.iter()
        .for_each(|row| follow(row, &mut client, &certified, "certificates"));
    let rows = [
        row(
            "password, CA",
            scene.settings("right", None, right, full),
            "localhost",
            "OK",
            "",
        ),
        row(
            "wrong password",
            scene.settings("wrong", None, right, full),
            "localhost",
            "WRONGPASS",
            "",
        ),
        row(
            "password, no CA",
            scene.settings("right", None, None, full),
            "localhost",
            "UnknownIssuer",
            "UnknownCA",
        ),
        row(
            "password, wrong CA",
            scene.settings("right", None, wrong, full),
            "localhost",
            "UnknownIssuer",
            "UnknownCA",
        ),
        row(
            "wrong host",
            scene.settings("right", None, right, full),
            "127.0.0.1",
            "not valid for name",
            "BadCertificate",
        ),
        row(
            "wrong host, ca",
            scene.settings("right", None, right, "ca"),
            "127.0.0.1",
            "OK",
            "",
        ),
        row(
            "wrong CA, ca",
            scene.settings("right", None, wrong, "ca"),
            "localhost",
            "UnknownIssuer",
            "",
        ),
        row(
            "wrong CA and host, none",
            scene.settings("right", None, wrong, "none"),
            "127.0.0.1",
            "OK",
            "",
        ),
        row(
            "plain",
            scene.plain(),
            "localhost",
            "this port speaks TLS only",
            "it does not speak TLS",
        ),
    ];
    rows.iter()
        .for_each(|row| follow(row, &mut client, &password, "password"));
    let by_system = row(
        "password, the system's CA",
        scene.settings("right", None, None, full),
        "localhost",
        "OK",
        "",
    );
    follow(&by_system, &mut trusting_client, &password, "password");
    let to_plain = row(
        "TLS",
        scene.settings("right", None, right, full),
        "localhost",
        "this port does not speak TLS",
        "it speaks TLS",
    );
    follow(&to_plain, &mut client, &plain, "no TLS");
    eventually(DEADLINE, "an expired certificate", || {
        let set: Vec<&str> = [
            "CONFIG",
            "SET",
            "tls_ca_cert_file",
            &ca,
            "tls_replication_verify",
            "full",
        ]
        .to_vec();
        client.try_call(&set).unwrap();
        let port = short_lived.address().port().to_string();
        let reply = client.try_call(&["REPLICAOF", "localhost", &port]).unwrap();
        let text = String::from_utf8_lossy(reply.as_error().unwrap_or_default()).into_owned();
        if text.is_empty() {
            client.ok("REPLICAOF NO ONE");
        }
        text.to_lowercase().contains("expired")
    });
    println!("| link | password | expired | localhost | refused |");
    drop(trusting);
    let log = _process.log();
    for relaxed in [
        "--tls_replication_verify=ca: ",
        "--tls_replication_verify=none: ",
    ] {
        assert!(log.contains(relaxed), "{log}");
    }
}

#[test]
fn clients_get_in_or_are_told_why_not() {
    let scene = scene();
    let ca = path(&scene.ca.ca());
    let expired = scene.ca.issue_until("expired", &[], 2020);
    let certified = server(&scene.server, &[&format!("--tls_ca_cert_file={ca}")]);
    let password = server(&scene.server, &["--requirepass=right"]);
    let plain = Server::start(&["--proactor_threads=1"]);
    let cert = |identity: &Identity| {
        vec![
            "--tls".to_owned(),
            "--cert".to_owned(),
            path(&identity.cert),
            "--key".to_owned(),
            path(&identity.key),
            "--cacert".to_owned(),
            ca.clone(),
        ]
    };
    let with = |words: &[&str]| {
        words
            .iter()
            .map(|word| word.to_string())
            .collect::<Vec<_>>()
    };
    let other_ca = path(&scene.replica_ca.ca());
    let tls = with(&["--tls", "--cacert", &ca]);
    let auth =
        |password: &str| [tls.clone(), with(&["-a", password, "--no-auth-warning"])].concat();
    // Who, with which arguments, what it reads, and what the server's log says.
    let rows = [
        (&certified, "certificate", cert(&scene.replica), "PONG", ""),
        (
            &certified,
            "no certificate",
            tls.clone(),
            "closed",
            "peer sent no certificates",
        ),
        (
            &certified,
            "certificate of another CA",
            cert(&scene.stranger),
            "closed",
            "UnknownIssuer",
        ),
        (
            &certified,
            "expired certificate",
            cert(&expired),
            "closed",
            "xpired",
        ),
        (
            &certified,
            "plain",
            Vec::new(),
            "ERR this port speaks TLS only",
            "it does not speak TLS",
        ),
        (&password, "password", auth("right"), "PONG", ""),
        (&password, "wrong password", auth("wrong"), "NOAUTH", ""),
        (&password, "no password", tls.clone(), "NOAUTH", ""),
        (
            &password,
            "wrong CA",
            with(&["--tls", "--cacert", &other_ca]),
            "certificate verify failed",
            "fatal alert",
        ),
        (
            &password,
            "plain",
            Vec::new(),
            "ERR this port speaks TLS only",
            "it does not speak TLS",
        ),
        (
            &plain,
            "TLS to a plain port",
            tls.clone(),
            "wrong version number",
            "it speaks TLS",
        ),
    ];
    for (server, what, arguments, reads, logs) in rows {
        let port = server.address().port().to_string();
        let arguments: Vec<&str> = arguments
            .iter()
            .map(String::as_str)
            .chain(["-p", &port])
            .collect();
        let text = redis_cli(server.dir(), &arguments, &["PING"]);
        println!("| client | {what} | {} |", text.replace('\n', " "));
        assert!(text.contains(reads), "{what}: {text}");
        eventually(DEADLINE, what, || server.log().contains(logs));
    }
}
