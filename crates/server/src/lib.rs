//! The damselfly server: a Redis-compatible server that replicates as Dragonfly does, as a library.
//!
//! What it is: listeners, connections, flags and CONFIG around a
//! [`damselfly_engine`](https://docs.rs/damselfly-engine), for the `damselfly` binary and for
//! programs that want a server inside. Both take one path: [`Builder`] → [`Server`]. What it is
//! not: it holds no data and knows no type of value; a program that wants commands without a
//! socket takes the engine alone. Nothing imports this crate.
//!
//! Key types: [`Config`] is what a server is told at its start, a plain struct; [`FLAGS`] is the
//! table that the command line ([`parse_flags`]) and CONFIG ([`Settings`]) derive from; [`listen`]
//! and [`accept_all`] are the sockets; a [`Service`] is what connections are handed to.
//!
//! A server inside another program has threads of its own, and ends when it is dropped:
//!
//! ```
//! use std::io::{Read, Write};
//!
//! let server = damselfly_server::Builder::new().threads(1).start()?;
//! let mut client = std::net::TcpStream::connect(server.address().expect("TCP is on"))?;
//! client.write_all(b"SET greeting hello\r\nGET greeting\r\n")?;
//! let mut replies = [0; 16];
//! client.read_exact(&mut replies)?;
//! assert_eq!(&replies, b"+OK\r\n$5\r\nhello\r\n");
//! server.shutdown();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod admission;
mod builder;
mod clients;
mod commands;
mod condition;
mod config;
mod connection;
mod counters;
mod flags;
mod healthcheck;
mod http;
mod limits;
mod logging;
mod manager;
mod net;
mod output_limits;
mod process;
mod pushes;
mod secrets;
mod service;
mod settings;
mod snapshots;
mod tls;
mod waiting;
pub use builder::{Builder, Server, Service, Shared, StartError};
pub use clients::{Buffers, ClientEntry, ClientGuard, ClientKind, ClientTable, Replies};
pub use condition::{Condition, Watcher};
pub use config::{AdminPort, Config, Endpoint, MAX_SHARDS, TlsClients, TlsVerify, UnknownTypes};
pub use counters::{Rates, ServerFacts, ThreadCounters};
pub use flags::{Change, FLAGS, Flag, Kind, Value};
pub use flags::{FlagError, Parsed, ReadFile, parse as parse_flags, parse_process};
pub use healthcheck::{Health, Question};
pub use logging::init as init_logging;
pub use net::{
    Accepted, Address, ClientSlot, ClientSlots, Door, ListenError, ListenOptions, Listening,
    ListeningSocket, RawSocket, SocketFile, Stream, StreamOptions, accept_all, listen, listen_unix,
    resolve_ipv4_first, tune,
};
pub use process::run;
pub use service::{ServerThread, SessionHost};
pub use settings::{GlobMatch, SettingError, Settings};
pub use tls::{Loaded as LoadedTls, Tls, TlsError, TlsStream};
