//! wip
mod config;
mod flags;
pub use config::{Config, Endpoint, MAX_SHARDS, UnknownTypes};
pub use flags::{FlagError, Parsed, parse as parse_flags, parse_process};
mod settings;
pub use settings::{Settings, SettingError, GlobMatch};
pub use flags::{Change, FLAGS, Flag, Kind, Value};
