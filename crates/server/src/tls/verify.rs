//! The two verifiers of rustls: of clients' certificates, and of a primary's.

use super::trust::{Trust, check_name};
use crate::config::TlsVerify;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::sync::Arc;

/// Of a primary's certificate.
#[derive(Debug)]
pub(super) struct PrimaryVerifier {
    pub(super) trust: Trust,
    pub(super) verify: TlsVerify,
}

impl ServerCertVerifier for PrimaryVerifier {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.verify != TlsVerify::None {
            self.trust.check_chain(end, between, now)?;
        }
        if self.verify == TlsVerify::Full {
            check_name(end, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        end: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust.check_tls12(message, end, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        end: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust.check_tls13(message, end, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.schemes()
    }
}

/// Of clients' certificates.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    trust: Trust,
    webpki: Arc<dyn ClientCertVerifier>,
    mandatory: bool,
}

impl ClientVerifier {
    /// `mandatory`: those who show none are turned away.
    pub(super) fn new(trust: Trust, mandatory: bool) -> Result<ClientVerifier, String> {
        let webpki =
            WebPkiClientVerifier::builder_with_provider(trust.roots.clone(), super::provider())
                .build()
                .map_err(|error| error.to_string())?;
        Ok(ClientVerifier {
            trust,
            webpki,
            mandatory,
        })
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.webpki.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.trust.check_without_webpki(end, now) {
            Some(checked) => checked.map(|()| ClientCertVerified::assertion()),
            None => self.webpki.verify_client_cert(end, between, now),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        end: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust.check_tls12(message, end, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        end: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust.check_tls13(message, end, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.schemes()
    }
}
