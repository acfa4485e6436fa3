//! A Rust program with the server inside: it starts one on a free port, talks to it as any client of Redis would,
//! changes its settings while it runs, and ends it.
//!
//! ```text
//! cargo run -p damselfly-examples --bin embedded_server
//! ```

use damselfly_resp::{Reply, ReplyDecoder, ReplyLimits, encode_command};
use damselfly_server::{Builder, Server};
use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// No answer of a server in the same process takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that sends commands and waits for their replies.
struct Client {
    stream: TcpStream,
    decoder: ReplyDecoder,
    /// Bytes read that belong to the next replies.
    rest: Vec<u8>,
}

impl Client {
    fn connect(server: &Server) -> Result<Client, Box<dyn Error>> {
        let stream = TcpStream::connect(
            server
                .address()
                .ok_or("the server listens on no TCP port")?,
        )?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Client {
            stream,
            decoder: ReplyDecoder::new(ReplyLimits::default()),
            rest: Vec::new(),
        })
    }

    /// Sends all commands at once, and gives their replies in their order.
    fn pipeline(&mut self, commands: &[&[&str]]) -> Result<Vec<Reply>, Box<dyn Error>> {
        let mut request = Vec::new();
        for command in commands {
            let args: Vec<&[u8]> = command.iter().map(|arg| arg.as_bytes()).collect();
            encode_command(&mut request, &args);
        }
        self.stream.write_all(&request)?;
        commands.iter().map(|_| self.reply()).collect()
    }

    /// Sends one command, and gives its reply.
    fn call(&mut self, command: &[&str]) -> Result<Reply, Box<dyn Error>> {
        Ok(self.pipeline(&[command])?.remove(0))
    }

    fn reply(&mut self) -> Result<Reply, Box<dyn Error>> {
        loop {
            let mut input = &self.rest[..];
            let reply = self.decoder.decode(&mut input)?;
            let used = self.rest.len() - input.len();
            self.rest.drain(..used);
            if let Some(reply) = reply {
                return Ok(reply);
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes)? {
                0 => return Err("the server closed the connection".into()),
                read => self.rest.extend_from_slice(&bytes[..read]),
            }
        }
    }
}

fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.as_text().unwrap_or_default()).into_owned()
}

fn main() -> Result<(), Box<dyn Error>> {
    // Two threads with a shard each, on a free port of 127.0.0.1. It answers when `start` returns.
    let server = Builder::new()
        .threads(2)
        .configure(|config| config.maxmemory = 64 << 20)
        .start()?;
    println!("a server listens on {}", server.address().ok_or("no TCP")?);

    let mut client = Client::connect(&server)?;
    assert_eq!(text(&client.call(&["PING"])?), "PONG");

    // A pipeline to keys of both shards, and a transaction.
    let replies = client.pipeline(&[
        &["SET", "greeting", "hello"],
        &["INCRBY", "visits", "41"],
        &["INCR", "visits"],
        &["HSET", "user:1", "name", "Ada", "born", "1815"],
        &["MGET", "greeting", "visits"],
    ])?;
    assert_eq!(replies[2].as_integer(), Some(42));
    let both: Vec<_> = replies[4]
        .as_items()
        .unwrap_or_default()
        .iter()
        .map(text)
        .collect();
    assert_eq!(both, ["hello", "42"]);
    let replies = client.pipeline(&[
        &["MULTI"],
        &["DEL", "greeting"],
        &["DECR", "visits"],
        &["EXEC"],
    ])?;
    assert_eq!(
        replies[3]
            .as_items()
            .and_then(|items| items[1].as_integer()),
        Some(41)
    );
    println!("commands and transactions answer");

    // The settings are the program's as well as the clients'.
    assert_eq!(
        text(&client.call(&["CONFIG", "SET", "maxmemory", "32mb"])?),
        "OK"
    );
    assert_eq!(server.settings().load().maxmemory, 32 << 20);
    let info = text(&client.call(&["INFO", "memory"])?);
    assert!(info.contains("maxmemory:33554432\r\n"), "{info}");
    println!("settings change while it runs");

    // Ended by the program. A client that is still there sees its connection end.
    let address = server.address().ok_or("no TCP")?;
    server.shutdown();
    assert!(client.call(&["PING"]).is_err());
    assert!(TcpStream::connect(address).is_err());

    // Ended by a client: the program may wait for that.
    let server = Builder::new().threads(1).start()?;
    let mut client = Client::connect(&server)?;
    assert!(
        client.call(&["SHUTDOWN", "NOSAVE"]).is_err(),
        "the connection ends with the server"
    );
    server.wait();
    println!("servers end when they are told to");
    Ok(())
}
