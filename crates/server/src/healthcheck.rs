//! `--healthcheck`: asks the running server that has the same flags how it is, for whoever watches a container. It comes as a client of
//! the same machine: over the Unix socket, the admin port where that is open, or the public port, with TLS and a password as they ask.

use crate::config::Config;
use crate::net::own_address;
use crate::tls::own_client;
use damselfly_engine::resp::{Reply, ReplyDecoder, encode_command};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::str::FromStr;
use std::time::Duration;

/// How long connecting, sending, and each piece of an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a server has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It answers, whatever it says: loading, or that one has to authenticate.
    Live,
    /// Its data is loaded: it answers reads, from old data if its primary is away.
    Serving,
    /// Serving, and in sync if it is a replica.
    Ready,
}

impl FromStr for Health {
    type Err = String;

    fn from_str(word: &str) -> Result<Health, String> {
        match word {
            "" | "true" | "live" => Ok(Health::Live),
            "serving" => Ok(Health::Serving),
            "ready" => Ok(Health::Ready),
            _ => Err("expected one of live, serving, ready".to_owned()),
        }
    }
}

/// What is asked of whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The configuration of the server.
    pub(crate) config: Box<Config>,
    /// The default user's password.
    pub(crate) password: Option<String>,
    /// What it has to be.
    pub(crate) expected: Health,
}

impl Question {
    /// What the server is, in a line.
    ///
    /// # Errors
    /// What is wrong with it, likewise.
    pub(crate) fn ask(&self) -> Result<String, String> {
        match self.connect() {
            Ok(stream) => self.ask_over(Client::new(stream)),
            // The server showed a certificate that is not in the file (yet), or did not take ours: it answered.
            Err(error) if self.is_answer(&error) => Ok(format!("live: {error}")),
            Err(error) => Err(format!("no connection: {error}")),
        }
    }

    fn is_answer(&self, error: &io::Error) -> bool {
        self.expected == Health::Live && error.kind() == io::ErrorKind::InvalidData
    }

    fn ask_over(&self, mut client: Client) -> Result<String, String> {
        let failed = |error: io::Error| format!("no answer: {error}");
        if self.expected == Health::Live {
            return match client.call(&["PING"]) {
                Ok(_) => Ok("live".to_owned()),
                Err(error) if self.is_answer(&error) => Ok(format!("live: {error}")),
                Err(error) => Err(failed(error)),
            };
        }
        for words in self.credentials() {
            if client.call(&words).map_err(failed)?.as_error().is_none() {
                break;
            }
        }
        // PING is answered while data is loading; this is not.
        let size = client.call(&["DBSIZE"]).map_err(failed)?;
        if let Some(error) = size.as_error() {
            return Err(self.explained(error));
        }
        if self.expected == Health::Serving {
            return Ok("serving".to_owned());
        }
        let info = client.call(&["INFO", "replication"]).map_err(failed)?;
        match info.as_error() {
            Some(error) => Err(self.explained(error)),
            None => readiness(&String::from_utf8_lossy(info.as_text().unwrap_or_default())),
        }
    }

    fn explained(&self, error: &[u8]) -> String {
        let text = String::from_utf8_lossy(error);
        match text.starts_with("NOAUTH") || text.starts_with("NOPERM") {
            true => format!(
                "{text} (the check takes --requirepass in the clear, --masterauth, or an --admin_port with --admin_nopass)"
            ),
            false => text.into_owned(),
        }
    }

    /// The ways to authenticate, the best first.
    fn credentials(&self) -> Vec<Vec<&str>> {
        let config = &self.config;
        let mut ways = Vec::new();
        if let Some(password) = self.password.as_deref().filter(|text| !text.is_empty()) {
            ways.push(vec!["AUTH", password]);
        }
        match (config.masterauth.as_str(), config.masteruser.as_str()) {
            ("", _) => {}
            (password, "") => ways.push(vec!["AUTH", password]),
            (password, user) => ways.push(vec!["AUTH", user, password]),
        }
        ways
    }

    fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let config = &self.config;
        if !config.unixsocket.as_os_str().is_empty() {
            let stream = UnixStream::connect(&config.unixsocket)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            return Ok(Box::new(stream));
        }
        let admin = &config.admin;
        let takes_admin = admin.port > 0 && (admin.nopass || config.port <= 0);
        let (hosts, port) = match takes_admin {
            true if !admin.bind.is_empty() => (&admin.bind, admin.port),
            true => (&config.bind, admin.port),
            false => (&config.bind, config.port),
        };
        let port = u16::try_from(port).ok().filter(|port| *port != 0);
        let port = port.ok_or_else(|| io::Error::other("the flags name no port"))?;
        let address = own_address(hosts, port).map_err(io::Error::other)?;
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        match config.tls && !(takes_admin && admin.no_tls) {
            true => self.secured(stream, address),
            false => Ok(Box::new(stream)),
        }
    }

    fn secured(&self, stream: TcpStream, address: SocketAddr) -> io::Result<Box<dyn Stream>> {
        let client = match own_client(&self.config) {
            Ok(client) => client,
            // Files that can't be used now are no reason to end a server that has read them before; it answers in the clear that
            // it speaks TLS.
            Err(_) if self.expected == Health::Live => return Ok(Box::new(stream)),
            Err(error) => return Err(io::Error::other(error)),
        };
        let name = ServerName::IpAddress(address.ip().into());
        let tls = ClientConnection::new(client, name).map_err(io::Error::other)?;
        Ok(Box::new(StreamOwned::new(tls, stream)))
    }
}

/// Whether a server that says this of its replication is where its data is.
fn readiness(info: &str) -> Result<String, String> {
    let field = |name: &str| {
        let of = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(':')?.to_owned());
        info.lines().find_map(of).unwrap_or_default()
    };
    if field("role") == "master" {
        return Ok("ready: primary".to_owned());
    }
    let primary = format!("{}:{}", field("master_host"), field("master_port"));
    match field("master_link_status").as_str() {
        "up" => Ok(format!("ready: replica, in sync with {primary}")),
        _ => Err(format!("a replica that is not in sync with {primary}")),
    }
}

trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

struct Client {
    stream: Box<dyn Stream>,
    decoder: ReplyDecoder,
}

impl Client {
    fn new(stream: Box<dyn Stream>) -> Client {
        Client {
            stream,
            decoder: ReplyDecoder::default(),
        }
    }

    /// One command, one reply: nothing else comes.
    fn call(&mut self, words: &[&str]) -> io::Result<Reply> {
        let mut request = Vec::new();
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        encode_command(&mut request, &words);
        self.stream.write_all(&request)?;
        self.stream.flush()?;
        let mut buffer = [0; 4096];
        loop {
            let length = match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                length => length?,
            };
            let mut input = &buffer[..length];
            let reply = self.decoder.decode(&mut input);
            if let Some(reply) = reply.map_err(io::Error::other)? {
                return Ok(reply);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_ready_while_its_link_is_up() {
        assert_eq!(
            readiness("# Replication\r\nrole:master\r\n"),
            Ok("ready: primary".into())
        );
        let replica = |link: &str| {
            readiness(&format!(
                "role:slave\r\nmaster_host:h\r\nmaster_port:7\r\nmaster_link_status:{link}\r\n"
            ))
        };
        assert_eq!(
            replica("up"),
            Ok("ready: replica, in sync with h:7".to_owned())
        );
        assert_eq!(
            replica("down"),
            Err("a replica that is not in sync with h:7".to_owned())
        );
    }

    #[test]
    fn words_are_checked() {
        assert_eq!("".parse(), Ok(Health::Live));
        assert_eq!("ready".parse(), Ok(Health::Ready));
        assert!("well".parse::<Health>().is_err());
    }
}
