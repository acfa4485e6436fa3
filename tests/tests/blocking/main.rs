//! Commands that wait for keys, with several clients at once: the same scenes on `redis-server` and here, and under load.

mod load;
mod scenes;
mod stage;
mod streams;
