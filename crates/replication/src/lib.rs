//! Sans-IO state machines of both ends of shard-flow replication, and their tokio driver.
