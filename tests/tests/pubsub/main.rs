//! Publish/subscribe: beside redis-server, over threads, and down chains of replicas.

mod beside_redis;
mod delivery;
mod limits;
mod replicas;
mod tracking;
