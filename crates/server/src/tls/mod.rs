//! TLS: what the flags ask for, read from PEM files, for clients and for the link to a primary; read again when the files change.
//!
//! Whoever is connected stays so: a new certificate is for those who come after it.

mod files;
mod handshake;
mod refusals;
mod stream;
mod trust;
mod upstream;
mod verify;
mod watch;

pub(crate) use handshake::encrypted;
pub(crate) use refusals::{is_tls, refuse_tls, tell};
pub use stream::TlsStream;
pub(crate) use watch::watch_files;

use crate::config::{Config, TlsClients, TlsVerify};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ServerConfig};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};
use trust::Trust;
use verify::{ClientVerifier, PrimaryVerifier};

/// A flag that TLS can't be had with, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct TlsError {
    /// The flag, without dashes.
    pub flag: &'static str,
    /// Its value, if that is a file or directory.
    path: Option<PathBuf>,
    why: String,
}

impl TlsError {
    fn flag(flag: &'static str, why: impl Into<String>) -> TlsError {
        TlsError {
            flag,
            path: None,
            why: why.into(),
        }
    }

    fn file(flag: &'static str, path: &Path, why: String) -> TlsError {
        TlsError {
            path: Some(path.to_owned()),
            ..TlsError::flag(flag, why)
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(out, "--{}={}: {}", self.flag, path.display(), self.why),
            None => write!(out, "--{}: {}", self.flag, self.why),
        }
    }
}

/// What handshakes are made with.
#[derive(Debug, Default)]
pub struct Loaded {
    /// For clients; `None`: they come in the clear.
    server: Option<Arc<ServerConfig>>,
    /// For the link to a primary; `None`: it is plain.
    client: Option<Arc<ClientConfig>>,
    /// Whether every client has to show a certificate.
    pub certifies_clients: bool,
    identity: Option<Arc<CertifiedKey>>,
}

impl Loaded {
    /// Whether clients have to encrypt.
    pub fn encrypts_clients(&self) -> bool {
        self.server.is_some()
    }

    fn of(config: &Config) -> Result<Loaded, TlsError> {
        check_flags(config)?;
        let identity = match config.tls_key_file.as_os_str().is_empty() {
            true => None,
            false => Some(files::identity(
                &config.tls_key_file,
                &config.tls_cert_file,
            )?),
        };
        let mut loaded = Loaded::default();
        if config.tls {
            loaded.server = Some(server(config, identity.clone())?);
            loaded.certifies_clients =
                has_ca(config) && config.tls_auth_clients == TlsClients::Required;
        }
        if config.tls_replication {
            loaded.client = Some(client(config, identity.clone())?);
        }
        loaded.identity = identity;
        Ok(loaded)
    }
}

/// The server's TLS, as it is now.
#[derive(Debug, Default)]
pub struct Tls {
    current: RwLock<Arc<Loaded>>,
    /// How the files were when they were looked at last, and whether what they held is in use.
    seen: Mutex<watch::Seen>,
}

impl Tls {
    /// Reads what the configuration names.
    ///
    /// # Errors
    /// [`TlsError`] about the first flag that is wrong; it changes nothing.
    pub fn load(&self, config: &Config) -> Result<(), TlsError> {
        // Looked at before they are read: a change while they are read is one that is noticed afterwards.
        let seen = watch::Seen::of(config);
        let loaded = Loaded::of(config)?;
        announce(config, &loaded);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        Ok(())
    }

    /// Whether [`Tls::load`] would take this configuration.
    ///
    /// # Errors
    /// As [`Tls::load`].
    pub fn check(config: &Config) -> Result<(), TlsError> {
        Loaded::of(config).map(drop)
    }

    /// What handshakes are made with now.
    pub fn current(&self) -> Arc<Loaded> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The cryptography behind TLS.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    PROVIDER.clone()
}

fn has_ca(config: &Config) -> bool {
    !config.tls_ca_cert_file.as_os_str().is_empty()
        || !config.tls_ca_cert_dir.as_os_str().is_empty()
}

/// Whether the flags fit together.
fn check_flags(config: &Config) -> Result<(), TlsError> {
    let is_given = |path: &Path| !path.as_os_str().is_empty();
    let (key, certificate) = (&config.tls_key_file, &config.tls_cert_file);
    match (is_given(key), is_given(certificate)) {
        (true, false) => {
            let why = "a key is of no use without its certificate: --tls_cert_file is missing";
            return Err(TlsError::file("tls_key_file", key, why.to_owned()));
        }
        (false, true) => {
            let why = "a certificate is of no use without its key: --tls_key_file is missing";
            return Err(TlsError::file("tls_cert_file", certificate, why.to_owned()));
        }
        _ => {}
    }
    if config.tls && !is_given(key) {
        let why = "clients can't be served over TLS without --tls_key_file and --tls_cert_file";
        return Err(TlsError::flag("tls", why));
    }
    check_authentication(config, is_given(key))
}

/// Whether there is a way to tell friends from others at both ends.
fn check_authentication(config: &Config, has_key: bool) -> Result<(), TlsError> {
    let has_passwords = !config.requirepass.is_empty() || !config.aclfile.as_os_str().is_empty();
    let certifies = has_ca(config) && config.tls_auth_clients == TlsClients::Required;
    if config.tls && !has_passwords && !certifies {
        let why = "nobody would have to authenticate: clients need a password (--requirepass, --aclfile) or \
                   certificates (--tls_ca_cert_file or --tls_ca_cert_dir names who may sign them)";
        return Err(TlsError::flag("tls", why));
    }
    if config.tls
        && config.tls_auth_clients == TlsClients::Required
        && !has_ca(config)
        && !has_passwords
    {
        return Err(TlsError::flag(
            "tls_auth_clients",
            "there is no CA to check certificates with",
        ));
    }
    if config.tls_replication && !has_key && config.masterauth.is_empty() {
        let why = "this server could not authenticate to its primary: it needs a password (--masterauth) or a \
                   certificate (--tls_key_file and --tls_cert_file)";
        return Err(TlsError::flag("tls_replication", why));
    }
    Ok(())
}

/// The certificates of those who may sign, if the configuration names any.
fn named_ca(config: &Config) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let (file, dir) = (&config.tls_ca_cert_file, &config.tls_ca_cert_dir);
    let mut found = Vec::new();
    if !file.as_os_str().is_empty() {
        found.extend(files::certificates("tls_ca_cert_file", file)?);
    }
    if !dir.as_os_str().is_empty() {
        found.extend(files::directory("tls_ca_cert_dir", dir)?);
    }
    Ok(found)
}

fn server(
    config: &Config,
    identity: Option<Arc<CertifiedKey>>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let wrong = |why: String| TlsError::flag("tls", why);
    let identity = identity.ok_or_else(|| wrong("there is no certificate".to_owned()))?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?;
    let asks = has_ca(config) && config.tls_auth_clients != TlsClients::No;
    let builder = if asks {
        let mandatory = config.tls_auth_clients == TlsClients::Required;
        let verifier = ClientVerifier::new(Trust::new(named_ca(config)?), mandatory)
            .map_err(|why| TlsError::flag("tls_ca_cert_file", why))?;
        builder.with_client_cert_verifier(Arc::new(verifier))
    } else {
        builder.with_no_client_auth()
    };
    let resolver = SingleCertAndKey::from(identity);
    Ok(Arc::new(builder.with_cert_resolver(Arc::new(resolver))))
}

fn client(
    config: &Config,
    identity: Option<Arc<CertifiedKey>>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let mut certificates = named_ca(config)?;
    if certificates.is_empty() && config.tls_replication_verify != TlsVerify::None {
        certificates = system_ca()?;
    }
    let verifier = PrimaryVerifier {
        trust: Trust::new(certificates),
        verify: config.tls_replication_verify,
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::flag("tls_replication", error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok(Arc::new(match identity {
        Some(identity) => {
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
        }
        None => builder.with_no_client_auth(),
    }))
}

/// For a client of this server itself on its own machine, which knows the server by its certificate, and shows the same.
///
/// # Errors
/// [`TlsError`]: a file can't be used.
pub(crate) fn own_client(config: &Config) -> Result<Arc<ClientConfig>, TlsError> {
    let identity = files::identity(&config.tls_key_file, &config.tls_cert_file)?;
    let verifier = PrimaryVerifier {
        trust: Trust::new(identity.cert[..1].to_vec()),
        verify: TlsVerify::Ca,
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::flag("tls", error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let resolver = SingleCertAndKey::from(identity);
    Ok(Arc::new(
        builder.with_client_cert_resolver(Arc::new(resolver)),
    ))
}

/// The certificates that the system trusts.
fn system_ca() -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    match found.certs.is_empty() {
        true => Err(TlsError::flag(
            "tls_replication",
            "this system trusts no certificates (Debian has them in ca-certificates): \
             --tls_ca_cert_file or --tls_ca_cert_dir has to name who signs the primary's",
        )),
        false => Ok(found.certs),
    }
}

/// Says in the log what holds from now on, and what it gives up.
fn announce(config: &Config, loaded: &Loaded) {
    if let Some(until) = loaded.identity.as_deref().and_then(files::valid_until) {
        let certificate = config.tls_cert_file.display();
        tracing::info!(%certificate, valid_until = %until, clients = config.tls, replication = config.tls_replication, "TLS certificate read");
        if !config.tls && !config.tls_replication {
            tracing::warn!(
                "a TLS key is given, but neither --tls nor --tls_replication: nothing is encrypted"
            );
        }
    }
    if loaded.client.is_some() {
        match config.tls_replication_verify {
            TlsVerify::Full => {}
            TlsVerify::Ca => tracing::warn!(
                "--tls_replication_verify=ca: a primary's host name is not checked; whoever has any certificate of these CAs can pose as the primary"
            ),
            TlsVerify::None => tracing::warn!(
                "--tls_replication_verify=none: a primary's certificate is not checked; whoever is on the way to it can read and change everything"
            ),
        }
    }
}
