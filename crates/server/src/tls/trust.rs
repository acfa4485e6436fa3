//! Whom a peer's certificate makes it.
//!
//! Chains are checked by webpki. It does not read certificates of X.509 version 1, which `openssl x509 -req` makes of a request
//! when it is told of no extension, so a leaf of that version is checked here: signed by one of the trusted certificates, and
//! valid now. A certificate that names no host in the extension for it (SAN) stands for the common name of its subject.

use super::files::parsed;
use rustls::CertificateError::{
    BadEncoding, BadSignature, Expired, NotValidForNameContext, NotValidYet, UnknownIssuer,
};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, Error, PeerMisbehaved, RootCertStore};
use std::sync::Arc;
use x509_parser::prelude::{X509Certificate, X509Version};

/// The certificates that others are measured by.
#[derive(Debug)]
pub(super) struct Trust {
    /// For webpki.
    pub(super) roots: Arc<RootCertStore>,
    /// The same, whole.
    certificates: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Trust {
    pub(super) fn new(certificates: Vec<CertificateDer<'static>>) -> Trust {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        Trust {
            roots: Arc::new(roots),
            certificates,
            algorithms: super::provider().signature_verification_algorithms,
        }
    }

    /// Whether somebody trusted vouches for a server's certificate.
    pub(super) fn check_chain(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        if let Some(checked) = self.check_without_webpki(end, now) {
            return checked;
        }
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end)?,
            &self.roots,
            between,
            now,
            self.algorithms.all,
        )
    }

    /// The check of those that webpki does not know: trusted themselves, or of version 1.
    pub(super) fn check_without_webpki(
        &self,
        end: &CertificateDer<'_>,
        now: UnixTime,
    ) -> Option<Result<(), Error>> {
        let Ok(certificate) = parsed(end) else {
            return Some(Err(BadEncoding.into()));
        };
        if self.certificates.iter().any(|trusted| trusted == end) {
            return Some(check_dates(&certificate, now));
        }
        (certificate.version() == X509Version::V1).then(|| {
            check_dates(&certificate, now)?;
            self.check_issuer(&certificate)
        })
    }

    /// Whether one of the trusted certificates has signed this one.
    fn check_issuer(&self, certificate: &X509Certificate<'_>) -> Result<(), Error> {
        let mut error = UnknownIssuer;
        for der in &self.certificates {
            let Ok(issuer) = parsed(der) else { continue };
            let is_named = issuer.subject().as_raw() == certificate.issuer().as_raw();
            if !is_named || !(issuer.is_ca() || issuer.version() == X509Version::V1) {
                continue;
            }
            if self.has_signed(&issuer, certificate) {
                return Ok(());
            }
            error = BadSignature;
        }
        Err(error.into())
    }

    fn has_signed(&self, issuer: &X509Certificate<'_>, certificate: &X509Certificate<'_>) -> bool {
        let signature = &certificate.signature_value.data;
        let (key_type, signature_type) = (
            issuer.public_key().algorithm.algorithm.as_bytes(),
            certificate.signature_algorithm.algorithm.as_bytes(),
        );
        self.algorithms.all.iter().any(|algorithm| {
            names(algorithm.public_key_alg_id().as_ref(), key_type)
                && names(algorithm.signature_alg_id().as_ref(), signature_type)
                && algorithm
                    .verify_signature(
                        &issuer.public_key().subject_public_key.data,
                        certificate.tbs_certificate.as_ref(),
                        signature,
                    )
                    .is_ok()
        })
    }

    /// Whether the handshake was signed with the certificate's key.
    pub(super) fn check_tls12(
        &self,
        message: &[u8],
        end: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let Some(certificate) = version_1(end) else {
            return verify_tls12_signature(message, end, signed, &self.algorithms);
        };
        let key = certificate.public_key();
        let key_type = key.algorithm.algorithm.as_bytes();
        let schemes = self.algorithms.mapping.iter();
        let known = schemes
            .filter(|(scheme, _)| *scheme == signed.scheme)
            .flat_map(|(_, algorithms)| *algorithms);
        let mut known = known.peekable();
        if known.peek().is_none() {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        let signature = signed.signature();
        let valid = known.any(|algorithm| {
            names(algorithm.public_key_alg_id().as_ref(), key_type)
                && algorithm
                    .verify_signature(&key.subject_public_key.data, message, signature)
                    .is_ok()
        });
        match valid {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => Err(BadSignature.into()),
        }
    }

    /// The same, as TLS 1.3 does it.
    pub(super) fn check_tls13(
        &self,
        message: &[u8],
        end: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match version_1(end) {
            None => verify_tls13_signature(message, end, signed, &self.algorithms),
            Some(certificate) => verify_tls13_signature_with_raw_key(
                message,
                &SubjectPublicKeyInfoDer::from(certificate.public_key().raw),
                signed,
                &self.algorithms,
            ),
        }
    }

    /// The signatures that are understood.
    pub(super) fn schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whether the certificate is for a host of this name or address.
pub(super) fn check_name(end: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Error> {
    let certificate = parsed(end).map_err(|_| Error::from(BadEncoding))?;
    let has_names = certificate
        .subject_alternative_name()
        .is_ok_and(|names| names.is_some());
    if has_names {
        return verify_server_name(&ParsedCertificate::try_from(end)?, name);
    }
    let wanted = name.to_str();
    let subject = certificate.subject();
    let common = subject.iter_common_name();
    let presented: Vec<&str> = common.filter_map(|name| name.as_str().ok()).collect();
    match presented.iter().any(|common| is_for(common, &wanted)) {
        true => Ok(()),
        false => Err(NotValidForNameContext {
            expected: name.to_owned(),
            presented: presented.into_iter().map(str::to_owned).collect(),
        }
        .into()),
    }
}

/// Whether a common name, perhaps with `*` for its first part, is for this host.
fn is_for(common: &str, host: &str) -> bool {
    let without_first = |name: &str| {
        name.split_once('.')
            .map(|(_, rest)| rest.to_ascii_lowercase())
    };
    common.eq_ignore_ascii_case(host)
        || (common.starts_with("*.")
            && host.parse::<std::net::IpAddr>().is_err()
            && without_first(common) == without_first(host))
}

fn check_dates(certificate: &X509Certificate<'_>, now: UnixTime) -> Result<(), Error> {
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let validity = certificate.validity();
    if validity.not_before.timestamp() > now {
        return Err(NotValidYet.into());
    }
    match validity.not_after.timestamp() < now {
        true => Err(Expired.into()),
        false => Ok(()),
    }
}

/// The certificate, if it is of version 1.
fn version_1<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    parsed(der)
        .ok()
        .filter(|certificate| certificate.version() == X509Version::V1)
}

/// Whether an algorithm identifier (its contents: an OBJECT IDENTIFIER, then parameters) is of this object identifier.
fn names(identifier: &[u8], object: &[u8]) -> bool {
    matches!(identifier, [6, length, rest @ ..] if usize::from(*length) == object.len() && rest.starts_with(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names_are_for_their_host() {
        for (common, host) in [
            ("Localhost", "localhost"),
            ("10.0.0.1", "10.0.0.1"),
            ("*.a.b", "x.a.b"),
        ] {
            assert!(is_for(common, host), "{common} {host}");
        }
        for (common, host) in [
            ("localhost", "local"),
            ("*.a.b", "x.y.a.b"),
            ("*.0.0.1", "10.0.0.1"),
            ("", "a"),
        ] {
            assert!(!is_for(common, host), "{common} {host}");
        }
    }

    #[test]
    fn algorithm_identifiers_are_told_apart() {
        assert!(names(&[6, 2, 1, 2, 5, 0], &[1, 2]));
        assert!(
            !names(&[6, 2, 1, 2], &[1, 3])
                && !names(&[6, 3, 1, 2, 3], &[1, 2])
                && !names(&[], &[1])
        );
    }
}
