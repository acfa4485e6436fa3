//! The link to a primary over TLS.

use super::Tls;
use super::stream::{Carrier, TlsStream};
use damselfly_engine::replicate::{SecureUpstream, Securing, Transport};
use damselfly_engine::replication::LinkError;
use rustls::pki_types::ServerName;
use std::io;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

impl SecureUpstream for Tls {
    fn secure<'a>(&'a self, socket: TcpStream, host: &'a str) -> Securing<'a> {
        let client = self.current().client.clone();
        Box::pin(async move {
            let Some(client) = client else {
                return Ok(Transport::Plain(socket));
            };
            let name = ServerName::try_from(host.to_owned()).map_err(|_| LinkError::Tls {
                why: format!("{host} is no host name or address"),
            })?;
            let connecting = TlsConnector::from(client).connect(name, Carrier::new(socket));
            match connecting.into_fallible().await {
                Ok(stream) => Ok(Transport::Secure(Box::new(TlsStream::new(stream)))),
                Err((error, mut carrier)) => Err(LinkError::Tls {
                    why: explained(&error, &carrier.take_first()),
                }),
            }
        })
    }
}

/// What went wrong. A peer that answers in the clear is one that does not speak TLS, and may say more in what it answers.
fn explained(error: &io::Error, first: &[u8]) -> String {
    if first.first().is_some_and(|byte| byte.is_ascii_graphic()) {
        let answer = first.escape_ascii().to_string();
        let answer = answer.trim_end_matches("\\r\\n");
        return format!("the primary does not speak TLS on this port; it answers: {answer}");
    }
    error.to_string()
}
