//! Connecting, replaceable: TCP here, TLS, simulated networks and fault proxies elsewhere.

use std::{future::Future, net::SocketAddr};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::error::LinkError;

/// Makes connections to a primary. Cloned to every thread that has a flow.
pub trait Connect: Clone + Send + 'static {
    /// What it makes.
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;

    /// Connects to `host` and `port`. The caller bounds it in time.
    fn connect(
        &self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = Result<Self::Stream, LinkError>>;
}

/// Plain TCP, without delay of small writes. `localhost` is IPv4 first: that is where servers listen.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpConnect;

impl Connect for TcpConnect {
    type Stream = TcpStream;

    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, LinkError> {
        let mut last = None;
        for address in resolve(host, port).await? {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    let prepared = stream.set_nodelay(true);
                    return prepared
                        .map(|()| stream)
                        .map_err(|error| LinkError::Connect {
                            why: error.to_string(),
                        });
                }
                Err(error) => last = Some(format!("{address}: {error}")),
            }
        }
        Err(LinkError::Connect {
            why: last.unwrap_or_else(|| "no address".to_owned()),
        })
    }
}

/// All addresses of `host`; for `localhost`, IPv4 ones first.
async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, LinkError> {
    let failed = |why: String| LinkError::Resolve {
        host: host.to_owned(),
        why,
    };
    let found = tokio::net::lookup_host((host, port))
        .await
        .map_err(|error| failed(error.to_string()))?;
    let mut addresses: Vec<SocketAddr> = found.collect();
    if addresses.is_empty() {
        return Err(failed("no address".to_owned()));
    }
    if host.eq_ignore_ascii_case("localhost") {
        addresses.sort_by_key(|address| !address.is_ipv4());
    }
    Ok(addresses)
}
