//! The RDB format and its replication extensions; with feature `store`, the point-in-time walk.
