//! Values, the bucket-versioned table, databases and expiry of one shard; no commands, no wire.
