//! The families of commands.

/// Family of a command, as `COMMAND DOCS` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// Strings and numbers.
    String,
    /// Lists.
    List,
    /// Hashes.
    Hash,
    /// Sets.
    Set,
    /// Sorted sets.
    SortedSet,
    /// Strings as arrays of bits.
    Bitmap,
    /// HyperLogLogs.
    HyperLogLog,
    /// Places on the globe, in sorted sets.
    Geo,
    /// Streams.
    Stream,
    /// Scripts and functions.
    Scripting,
    /// Keys of any type.
    Generic,
    /// Connections.
    Connection,
    /// Publish/subscribe.
    PubSub,
    /// Administration.
    Server,
    /// MULTI and its companions.
    Transactions,
    /// Replication between servers.
    Replication,
}

impl Group {
    /// The name in `COMMAND DOCS`.
    pub const fn name(self) -> &'static str {
        match self {
            Group::String => "string",
            Group::List => "list",
            Group::Hash => "hash",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Bitmap => "bitmap",
            Group::HyperLogLog => "hyperloglog",
            Group::Geo => "geo",
            Group::Stream => "stream",
            Group::Scripting => "scripting",
            Group::Generic => "generic",
            Group::Connection => "connection",
            Group::PubSub => "pubsub",
            Group::Server | Group::Replication => "server",
            Group::Transactions => "transactions",
        }
    }

    /// The ACL category of the family's data type, if it is one.
    pub const fn category(self) -> Option<&'static str> {
        match self {
            Group::String => Some("@string"),
            Group::List => Some("@list"),
            Group::Hash => Some("@hash"),
            Group::Set => Some("@set"),
            Group::SortedSet => Some("@sortedset"),
            Group::Bitmap => Some("@bitmap"),
            Group::HyperLogLog => Some("@hyperloglog"),
            Group::Geo => Some("@geo"),
            Group::Stream => Some("@stream"),
            Group::Scripting => Some("@scripting"),
            Group::Generic => Some("@keyspace"),
            Group::Connection => Some("@connection"),
            Group::Transactions => Some("@transaction"),
            Group::PubSub | Group::Server | Group::Replication => None,
        }
    }
}
