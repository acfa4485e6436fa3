//! Who reads what is written, and what they can read.

use crate::wire::RDB_VERSION;

/// Who reads what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Shard flows: listpack types 16, 17, 18; no conversion at either end. Also DUMP.
    Flow,
    /// Shard flows to Dragonfly: the same, and its own type for hashes whose fields expire, in seconds.
    Dragonfly,
    /// Files and PSYNC: what Redis 6.2 (RDB version 9) can read: ziplists, intsets, quicklists of ziplists, plain types.
    #[default]
    Redis62,
    /// What Redis 7.0 (RDB version 10) can read: listpacks, streams of the second form.
    Redis70,
    /// What Redis 7.2 and Valkey 7.2 to 8 (RDB version 11) can read: sets in listpacks, too, and streams of the third form.
    Redis72,
    /// What Redis 7.4 and 8.0 (RDB version 12) can read: hashes whose fields expire, too.
    Redis74,
}

impl Profile {
    /// The readers of this RDB version, if it can be written.
    pub fn of_rdb_version(version: u16) -> Option<Profile> {
        Some(match version {
            9 => Profile::Redis62,
            10 => Profile::Redis70,
            11 => Profile::Redis72,
            12 => Profile::Redis74,
            _ => return None,
        })
    }

    /// The RDB version that the header of their streams announces.
    pub fn rdb_version(self) -> u16 {
        match self {
            Profile::Flow | Profile::Dragonfly | Profile::Redis62 => RDB_VERSION,
            Profile::Redis70 => 10,
            Profile::Redis72 => 11,
            Profile::Redis74 => 12,
        }
    }

    pub(crate) fn has_listpacks(self) -> bool {
        self != Profile::Redis62
    }

    pub(crate) fn has_set_listpacks(self) -> bool {
        matches!(self, Profile::Redis72 | Profile::Redis74)
    }
}
