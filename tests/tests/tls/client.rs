//! A TLS client that stays connected.

use super::authority::Identity;
use damselfly_resp::{Reply, ReplyDecoder, encode_command};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
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
    /// Connects as `localhost`, and checks that the server is it.
    pub fn connect(address: SocketAddr, ca: &Path, identity: &Identity) -> io::Result<TlsClient> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(ca).unwrap();
        roots.add(ca).unwrap();
        let chain = vec![CertificateDer::from_pem_file(&identity.cert).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&identity.key).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .unwrap();
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

    /// The certificate that the server has shown, once something was said.
    pub fn server_certificate(&self) -> CertificateDer<'static> {
        let shown = self.stream.conn.peer_certificates().unwrap();
        shown[0].clone().into_owned()
    }
}
