//! Journal records, their packing, LSNs and the bounded backlog of one shard.
