//! Connections and what is said of them, beside redis-server 7.0.

mod clients;
mod config;
mod monitor;
mod pause;
