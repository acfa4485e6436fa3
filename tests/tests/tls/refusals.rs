//! Flags that do not fit together: the server does not start, and says which flag is to blame.

use super::authority::{Authority, Identity};
use damselfly_tests::{Server, eventually_some};
use std::path::Path;
use std::time::Duration;

/// The exit code and the output of a server that does not start.
fn refused(flags: &[String]) -> String {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let flags = [&["--port=-1", "--bind=127.0.0.1"], &flags[..]].concat();
    let mut process = Server::bare(&flags, &[]);
    let status = eventually_some(
        Duration::from_secs(20),
        "the end of a refused start",
        || process.exit_status(),
    );
    let log = process.log();
    assert!(
        !status.success() && !log.contains("panicked"),
        "{flags:?}: {log}"
    );
    log
}

fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

fn tls(identity: &Identity, more: &[&str]) -> Vec<String> {
    let more = more.iter().map(|flag| flag.to_string());
    ["--tls".to_owned()]
        .into_iter()
        .chain(identity.flags())
        .chain(more)
        .collect()
}

#[test]
fn half_configured_tls_does_not_start_and_names_the_flag() {
    let ca = Authority::new("refusals");
    let good = ca.issue("good", &["localhost"]);
    let other = ca.issue("other", &["localhost"]);
    let expired = ca.issue_until("expired", &["localhost"], 2020);
    let mixed = Identity {
        key: other.key.clone(),
        cert: good.cert.clone(),
    };
    let der = ca.file("der");
    std::fs::write(&der, [0x30, 0x82, 0, 0]).unwrap();
    let not_pem = Identity {
        key: good.key.clone(),
        cert: der,
    };
    let encrypted = ca.file("encrypted.pem");
    std::fs::write(
        &encrypted,
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    )
    .unwrap();
    let locked = Identity {
        key: encrypted,
        cert: good.cert.clone(),
    };
    let password = "--requirepass=secret";
    let ca_file = flag("tls_ca_cert_file", &ca.ca());
    let cases: Vec<(Vec<String>, [&str; 2])> = vec![
        (
            vec!["--tls".into(), password.into()],
            ["--tls:", "--tls_key_file"],
        ),
        (
            vec![flag("tls_key_file", &good.key)],
            ["--tls_key_file=", "--tls_cert_file is missing"],
        ),
        (
            vec![flag("tls_cert_file", &good.cert)],
            ["--tls_cert_file=", "--tls_key_file is missing"],
        ),
        (tls(&good, &[]), ["--tls:", "--requirepass"]),
        (
            tls(&good, &["--tls_auth_clients=optional", &ca_file]),
            ["--tls:", "--requirepass"],
        ),
        (
            tls(&mixed, &[password]),
            ["--tls_key_file=", "is not the key of the certificate"],
        ),
        (
            tls(&expired, &[password]),
            ["--tls_cert_file=", "expired on"],
        ),
        (tls(&not_pem, &[password]), ["--tls_cert_file=", "only PEM"]),
        (tls(&locked, &[password]), ["--tls_key_file=", "encrypted"]),
        (
            tls(&good, &["--tls_ca_cert_file=/no/such/file"]),
            ["--tls_ca_cert_file=/no/such/file", "No such file"],
        ),
        (
            tls(&good, &["--tls_ca_cert_dir=/proc/self/task"]),
            ["--tls_ca_cert_dir=", "no PEM certificate"],
        ),
        (
            vec!["--tls_replication".into(), ca_file.clone()],
            ["--tls_replication:", "--masterauth"],
        ),
        (
            vec!["--tls_replication_verify=half".into()],
            ["--tls_replication_verify", "full, ca, none"],
        ),
    ];
    for (flags, words) in cases {
        let log = refused(&flags);
        for word in words {
            assert!(log.contains(word), "{flags:?} should say {word:?}: {log}");
        }
        assert!(!log.contains("secret"), "{log}");
    }
}
