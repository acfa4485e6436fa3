//! TLS: the page on secure replication command by command, who gets in with what, certificates replaced under load, and flags
//! that do not fit together.

mod authority;
mod client;
mod healthcheck;
mod http;
mod matrix;
mod page;
mod redis;
mod refusals;
mod rotation;
mod tool;
