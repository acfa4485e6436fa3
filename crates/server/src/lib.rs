//! wip
mod builder;
mod clients;
mod config;
mod connection;
mod flags;
mod limits;
mod logging;
mod net;
mod process;
mod service;
mod settings;
pub use builder::{Builder, Server, Service, Shared, StartError};
pub use clients::{ClientEntry, ClientKind, ClientTable};
pub use config::{Config, Endpoint, MAX_SHARDS, UnknownTypes};
pub use flags::{Change, FLAGS, Flag, Kind, Value};
pub use flags::{FlagError, Parsed, ReadFile, parse as parse_flags, parse_process};
pub use logging::init as init_logging;
pub use net::{
    Accepted, ClientSlot, ClientSlots, ListenError, ListenOptions, StreamOptions, accept_all,
    listen, resolve_ipv4_first, tune,
};
pub use process::run;
pub use service::{ServerThread, SessionHost};
pub use settings::{GlobMatch, SettingError, Settings};
