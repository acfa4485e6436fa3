//! Certificates for tests.

use damselfly_tests::TempDir;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;

/// A CA whose certificates lie in a directory.
pub struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// A key and its certificate.
pub struct Identity {
    pub key: PathBuf,
    pub cert: PathBuf,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let dir = TempDir::new("tls").unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
        Authority {
            dir,
            issuer: Issuer::new(params, key),
        }
    }

    /// Its own certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A new file.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A certificate of this common name, for these hosts.
    pub fn issue(&self, name: &str, hosts: &[&str]) -> Identity {
        self.issue_until(name, hosts, 4000)
    }

    /// The same, valid until the end of a year.
    pub fn issue_until(&self, name: &str, hosts: &[&str], year: i32) -> Identity {
        self.issue_to(name, hosts, date_time_ymd(year, 12, 31))
    }

    /// The same, valid for some time from now.
    pub fn issue_for(&self, name: &str, hosts: &[&str], time: Duration) -> Identity {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        self.issue_to(name, hosts, date_time_ymd(1970, 1, 1) + now + time)
    }

    fn issue_to(&self, name: &str, hosts: &[&str], end: OffsetDateTime) -> Identity {
        let hosts: Vec<String> = hosts.iter().map(|host| host.to_string()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = end;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let identity = Identity {
            key: self.file(&format!("{name}-key.pem")),
            cert: self.file(&format!("{name}-cert.pem")),
        };
        // Put in place in one step each, as whoever replaces certificates of a running server does.
        for (path, text) in [
            (&identity.key, key.serialize_pem()),
            (&identity.cert, certificate.pem()),
        ] {
            let new = path.with_extension("new");
            std::fs::write(&new, text).unwrap();
            std::fs::rename(&new, path).unwrap();
        }
        identity
    }
}

impl Identity {
    /// The flags of a server that shows it.
    pub fn flags(&self) -> [String; 2] {
        [
            format!("--tls_key_file={}", self.key.display()),
            format!("--tls_cert_file={}", self.cert.display()),
        ]
    }
}
