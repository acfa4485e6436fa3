//! Connections and what is said of them, beside redis-server 7.0.

mod monitor;
mod pause;
