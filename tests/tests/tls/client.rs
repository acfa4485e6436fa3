//! A TLS client that stays connected.

use super::authority::Identity;
use damselfly_resp::{Reply, ReplyDecoder, encode_command};
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub struct TlsClient {
    stream: StreamOwned<ClientConnection, TcpStream>,
    decoder: ReplyDecoder,
    input: Vec<u8>,
}

impl TlsClient {
    /// Connects to `localhost` with a certificate, and checks that the server is it.
    pub fn connect(address: SocketAddr, ca: &Path, identity: &Identity) -> io::Result<TlsClient> {
        let chain = vec![CertificateDer::from_pem_file(&identity.cert).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&identity.key).unwrap();
        let config = trusting(ca).with_client_auth_cert(chain, key).unwrap();
        TlsClient::with(address, config)
    }

    /// The same without a certificate, as a browser does: it would rather speak HTTP/2.
    pub fn browser(address: SocketAddr, ca: &Path) -> io::Result<TlsClient> {
        let mut config = trusting(ca).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsClient::with(address, config)
    }

    fn with(address: SocketAddr, config: ClientConfig) -> io::Result<TlsClient> {
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(TlsClient {
            stream: StreamOwned::new(session, socket),
            decoder: ReplyDecoder::default(),
            input: Vec::new(),
        })
    }

    pub fn call(&mut self, args: &[&[u8]]) -> io::Result<Reply> {
        let mut bytes = Vec::new();
        encode_command(&mut bytes, args);
        self.stream.write_all(&bytes)?;
        loop {
            let mut rest = &self.input[..];
            let decoded = self.decoder.decode(&mut rest);
            let used = self.input.len() - rest.len();
            self.input.drain(..used);
            if let Some(reply) = decoded.map_err(io::Error::other)? {
                return Ok(reply);
            }
            let mut bytes = [0; 16 * 1024];
            match self.stream.read(&mut bytes)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.input.extend_from_slice(&bytes[..read]),
            }
        }
    }

    /// Sends these pieces, each in a record of its own, and reads until the server ends the connection: an end without TLS's own is an
    /// error, as something could be missing.
    pub fn exchange<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>) -> io::Result<String> {
        for piece in pieces {
            self.stream.write_all(piece)?;
            self.stream.flush()?;
        }
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// The certificate that the server has shown, once something was said.
    pub fn server_certificate(&self) -> CertificateDer<'static> {
        let shown = self.stream.conn.peer_certificates().unwrap();
        shown[0].clone().into_owned()
    }
}

/// Who trusts this CA, and says next whether it has a certificate itself.
fn trusting(ca: &Path) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(ca).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
}
