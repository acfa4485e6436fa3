//! Certificates are replaced while everything runs: nobody who is connected notices, and who comes is shown the new one.

use super::authority::{Authority, Identity};
use super::client::TlsClient;
use damselfly_tests::{Server, eventually};
use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(20);

fn server(ca: &Authority, identity: &Identity, more: &[&str]) -> Server {
    let [key, cert] = identity.flags();
    let ca = format!("--tls_ca_cert_file={}", ca.ca().display());
    let flags = ["--tls", &key, &cert, &ca];
    Server::start(&[&flags[..], more].concat())
}

fn certificate(identity: &Identity) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(&identity.cert).unwrap()
}

#[test]
fn certificates_are_replaced_under_load_without_losing_a_link() {
    let ca = Authority::new("rotation");
    let (first, client) = (ca.issue("server", &["localhost"]), ca.issue("client", &[]));
    let primary = server(&ca, &first, &["--proactor_threads=2"]);
    let replica_identity = ca.issue("replica", &["localhost"]);
    let replica = server(
        &ca,
        &replica_identity,
        &["--proactor_threads=2", "--tls_replication"],
    );
    let connect = |address: SocketAddr| TlsClient::connect(address, &ca.ca(), &client).unwrap();
    let mut follower = connect(replica.address());
    let port = primary.address().port().to_string();
    let followed = follower.call(&[b"REPLICAOF", b"localhost", port.as_bytes()]);
    assert_eq!(followed.unwrap().as_text(), Some(&b"OK"[..]));

    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (mut client, stop, written) = (connect(primary.address()), &stop, &written);
            scope.spawn(move || {
                let mut count = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    let key = format!("key:{thread}:{}", count % 1000);
                    // A lost connection panics here.
                    let reply =
                        client.call(&[b"SET", key.as_bytes(), count.to_string().as_bytes()]);
                    assert_eq!(reply.unwrap().as_text(), Some(&b"OK"[..]));
                    count += 1;
                    written.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let old = shown(&mut connect(primary.address()));
        assert_eq!(old, certificate(&first));
        let second = replace(&ca, "server");
        let begun = Instant::now();
        eventually(DEADLINE, "the new certificate is shown", || {
            shown(&mut connect(primary.address())) == certificate(&second)
        });
        println!("the new certificate is shown after {:.1?}", begun.elapsed());
        let before = written.load(Ordering::Relaxed);
        eventually(DEADLINE, "writers go on", || {
            written.load(Ordering::Relaxed) > before + 100
        });
        stop.store(true, Ordering::Relaxed);
    });
    let info = |client: &mut TlsClient| {
        let reply = client.call(&[b"INFO", b"replication"]).unwrap();
        String::from_utf8(reply.as_text().unwrap().to_vec()).unwrap()
    };
    eventually(DEADLINE, "the replica has everything", || {
        info(&mut connect(primary.address())).contains("state=stable_sync,lag=0,")
    });
    let text = info(&mut follower);
    assert!(
        text.contains("master_link_status:up") && text.contains("master_reconnects:0"),
        "{text}"
    );
    println!(
        "{} writes meanwhile on 4 connections over TLS, none of which broke; the replica: master_reconnects:0",
        written.load(Ordering::Relaxed)
    );
}

fn shown(client: &mut TlsClient) -> CertificateDer<'static> {
    client.call(&[b"PING"]).unwrap();
    client.server_certificate()
}

fn replace(ca: &Authority, name: &str) -> Identity {
    ca.issue(name, &["localhost"])
}

#[test]
fn what_is_wrong_with_new_files_is_logged_and_the_old_stay_in_use() {
    let ca = Authority::new("half-way");
    let (first, client) = (ca.issue("server", &["localhost"]), ca.issue("client", &[]));
    let mut server = server(&ca, &first, &["--proactor_threads=1"]);
    let old = certificate(&first);
    let connect = || TlsClient::connect(server.address(), &ca.ca(), &client).unwrap();
    std::fs::write(&first.key, "nothing").unwrap();
    eventually(DEADLINE, "the log says so", || {
        server.log().contains("those read before stay in use")
    });
    assert_eq!(shown(&mut connect()), old);
    let mut admin = connect();
    let refused = admin.call(&[b"CONFIG", b"SET", b"tls", b"yes"]).unwrap();
    let refused = String::from_utf8_lossy(refused.as_error().unwrap()).into_owned();
    assert!(
        refused.contains("--tls_key_file=") && refused.contains("no private key"),
        "{refused}"
    );
    let second = replace(&ca, "server");
    let set = admin.call(&[b"CONFIG", b"SET", b"tls", b"yes"]).unwrap();
    assert_eq!(set.as_text(), Some(&b"OK"[..]));
    assert_eq!(shown(&mut connect()), certificate(&second));
    // The same by a signal.
    let third = replace(&ca, "server");
    server.signal(Signal::HUP);
    eventually(DEADLINE, "the certificate after SIGHUP", || {
        let mut client = TlsClient::connect(server.address(), &ca.ca(), &client).unwrap();
        shown(&mut client) == certificate(&third)
    });
    admin.call(&[b"PING"]).unwrap();
}
