//! Whole servers that replicate: how a sync begins, what it carries, how it breaks, and what comes after. What bad input does is in
//! `bad_input`, what only virtual time can show in the simulation, what takes long in `cargo xtask soak`.

mod chain;
mod crashes;
mod effects;
mod failover;
mod flushes;
mod full_sync;
mod good_replicas;
mod guards;
mod handover;
mod links;
mod pair;
mod partial;
mod replicaof;
mod sentinel;
mod stable;
mod states;
mod wait;
mod workers;
