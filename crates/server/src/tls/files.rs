//! What the TLS flags name: keys and certificates in PEM files, checked before anybody relies on them.

use super::TlsError;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

/// Bytes of a file, at most: certificates and keys are small.
const MAX_BYTES: u64 = 4 << 20;

/// The key and the certificates that this server shows, which belong together and are valid now.
pub(super) fn identity(key: &Path, certificate: &Path) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = certificates("tls_cert_file", certificate)?;
    let wrong = |why: String| TlsError::file("tls_cert_file", certificate, why);
    let own = parsed(&chain[0]).map_err(&wrong)?;
    check_dates(&own).map_err(&wrong)?;
    let signing = super::provider()
        .key_provider
        .load_private_key(private_key(key)?)
        .map_err(|error| TlsError::file("tls_key_file", key, error.to_string()))?;
    let fits = signing
        .public_key()
        .is_none_or(|public| public.as_ref() == own.public_key().raw);
    if !fits {
        let why = format!(
            "it is not the key of the certificate in --tls_cert_file={}",
            certificate.display()
        );
        return Err(TlsError::file("tls_key_file", key, why));
    }
    // Not rustls's own check: it can't read certificates of version 1, which `openssl x509 -req` makes.
    Ok(Arc::new(CertifiedKey::new(chain, signing)))
}

/// The certificates of a file, one at least.
pub(super) fn certificates(
    flag: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(flag, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| TlsError::file(flag, path, error.to_string()))?;
    match found.is_empty() {
        true => Err(TlsError::file(
            flag,
            path,
            "there is no certificate in it; only PEM is understood".to_owned(),
        )),
        false => Ok(found),
    }
}

/// The certificates of all files of a directory, one at least. Other files are passed over.
pub(super) fn directory(
    flag: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |why: String| TlsError::file(flag, path, why);
    let entries = std::fs::read_dir(path).map_err(|error| wrong(error.to_string()))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let found: Vec<_> = files
        .iter()
        .filter(|file| file.is_file())
        .filter_map(|file| certificates(flag, file).ok())
        .flatten()
        .collect();
    match found.is_empty() {
        true => Err(wrong(
            "there is no PEM certificate in this directory".to_owned(),
        )),
        false => Ok(found),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = read("tls_key_file", path)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| {
        let text = String::from_utf8_lossy(&bytes);
        let why = match text.contains("ENCRYPTED") {
            true => {
                "the key is encrypted, and there is nobody to ask for the pass phrase; \
                     decrypt it (openssl pkey -in … -out …) and keep it from others by its file's permissions"
            }
            false => "there is no private key in it; only PEM is understood",
        };
        TlsError::file("tls_key_file", path, why.to_owned())
    })
}

fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let wrong = |why: String| TlsError::file(flag, path, why);
    let size = std::fs::metadata(path)
        .map_err(|error| wrong(error.to_string()))?
        .len();
    if size > MAX_BYTES {
        return Err(wrong("it is too large to be a PEM file".to_owned()));
    }
    std::fs::read(path).map_err(|error| wrong(error.to_string()))
}

/// A certificate, to look into it.
pub(super) fn parsed<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, String> {
    X509Certificate::from_der(der)
        .map(|(_, certificate)| certificate)
        .map_err(|error| format!("a certificate can't be read: {error}"))
}

/// Whether it is valid now.
fn check_dates(certificate: &X509Certificate<'_>) -> Result<(), String> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64);
    let (from, to) = (
        certificate.validity().not_before,
        certificate.validity().not_after,
    );
    if from.timestamp() > now {
        return Err(format!("the certificate is not valid before {from}"));
    }
    if to.timestamp() < now {
        return Err(format!("the certificate expired on {to}"));
    }
    Ok(())
}

/// Until when the first certificate is valid, for the log.
pub(super) fn valid_until(identity: &CertifiedKey) -> Option<ASN1Time> {
    Some(parsed(identity.cert.first()?).ok()?.validity().not_after)
}
