//! Shard threads, the command table, transactions and blocking over the store, journal and snapshots.
