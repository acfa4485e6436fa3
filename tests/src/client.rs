//! A small blocking client: one request, one reply, or many in a pipeline.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use damselfly_resp::{Reply, ReplyDecoder, encode_command};

/// How long a reply may take, unless [`Client::set_timeout`] says otherwise.
const REPLY_TIMEOUT: Duration = Duration::from_secs(20);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A command: its name and its arguments.
pub type Args = Vec<Vec<u8>>;

/// Splits a line at blanks: for commands without binary arguments.
pub fn words(line: &str) -> Args {
    line.split_whitespace()
        .map(|word| word.as_bytes().to_vec())
        .collect()
}

/// A connection to a server.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    decoder: ReplyDecoder,
    input: Vec<u8>,
    taken: usize,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// The system's.
    pub fn connect(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        stream.set_write_timeout(Some(REPLY_TIMEOUT))?;
        Ok(Client {
            stream,
            decoder: ReplyDecoder::default(),
            input: Vec::new(),
            taken: 0,
        })
    }

    /// Sets how long sending or receiving may take; `None` = for ever.
    ///
    /// # Errors
    /// The system's.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)?;
        self.stream.set_write_timeout(timeout)
    }

    /// The connection's own address, as CLIENT LIST shows it.
    ///
    /// # Errors
    /// The system's.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The system's.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a command.
    ///
    /// # Errors
    /// The system's.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<()> {
        let mut bytes = Vec::new();
        let args: Vec<&[u8]> = args.iter().map(AsRef::as_ref).collect();
        encode_command(&mut bytes, &args);
        self.send_raw(&bytes)
    }

    /// Waits for a reply.
    ///
    /// # Errors
    /// The system's, `UnexpectedEof` when the server closed the connection, `InvalidData` when it
    /// does not speak the protocol.
    pub fn receive(&mut self) -> io::Result<Reply> {
        self.receive_with_bytes().map(|(reply, _)| reply)
    }

    /// Waits for a reply, and gives its bytes too.
    ///
    /// # Errors
    /// As [`receive`](Client::receive).
    pub fn receive_with_bytes(&mut self) -> io::Result<(Reply, Vec<u8>)> {
        let mut bytes = Vec::new();
        loop {
            let mut rest = &self.input[self.taken..];
            let before = rest.len();
            let reply = self.decoder.decode(&mut rest);
            let used = before - rest.len();
            bytes.extend_from_slice(&self.input[self.taken..self.taken + used]);
            self.taken += used;
            match reply {
                Ok(Some(reply)) => return Ok((reply, bytes)),
                Ok(None) => self.fill()?,
                Err(error) => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        error.to_string(),
                    ));
                }
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.taken = 0;
        self.input.resize(64 * 1024, 0);
        let result = loop {
            match self.stream.read(&mut self.input) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.input.truncate(*result.as_ref().unwrap_or(&0));
        match result {
            Ok(0) => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server closed the connection",
            )),
            result => result.map(drop),
        }
    }

    /// Sends a command and waits for its reply.
    ///
    /// # Errors
    /// As [`receive`](Client::receive).
    pub fn try_call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<Reply> {
        self.send(args)?;
        self.receive()
    }

    /// The same for a line of words, which must succeed as far as the connection goes.
    ///
    /// # Panics
    /// When the connection breaks.
    #[track_caller]
    pub fn call(&mut self, line: &str) -> Reply {
        self.try_call(&words(line))
            .unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// The same, and the reply must be no error.
    ///
    /// # Panics
    /// When the connection breaks or the reply is an error.
    #[track_caller]
    pub fn ok(&mut self, line: &str) -> Reply {
        match self.call(line) {
            Reply::Error(text) => panic!("{line}: {}", String::from_utf8_lossy(&text)),
            reply => reply,
        }
    }

    /// The text of a reply that must be one.
    ///
    /// # Panics
    /// When the connection breaks or the reply is no text.
    #[track_caller]
    pub fn text(&mut self, line: &str) -> String {
        let reply = self.ok(line);
        let text = reply
            .as_text()
            .unwrap_or_else(|| panic!("{line}: {reply:?} is no text"));
        String::from_utf8_lossy(text).into_owned()
    }

    /// The number of a reply that must be one.
    ///
    /// # Panics
    /// When the connection breaks or the reply is no number.
    #[track_caller]
    pub fn integer(&mut self, line: &str) -> i64 {
        let reply = self.ok(line);
        reply
            .as_integer()
            .unwrap_or_else(|| panic!("{line}: {reply:?} is no integer"))
    }

    /// Sends all commands at once and waits for all replies. The requests must fit into what the
    /// two sockets buffer, or the server must read on while it answers.
    ///
    /// # Errors
    /// As [`receive`](Client::receive).
    pub fn pipeline(&mut self, commands: &[Args]) -> io::Result<Vec<Reply>> {
        let mut bytes = Vec::new();
        for command in commands {
            let args: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
            encode_command(&mut bytes, &args);
        }
        self.send_raw(&bytes)?;
        commands.iter().map(|_| self.receive()).collect()
    }

    /// The fields of INFO, of one section or of all (`""`).
    ///
    /// # Panics
    /// When the connection breaks.
    #[track_caller]
    pub fn info(&mut self, section: &str) -> BTreeMap<String, String> {
        let text = self.text(&format!("INFO {section}"));
        let fields = text
            .lines()
            .filter_map(|line| line.trim_end().split_once(':'));
        fields
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}
