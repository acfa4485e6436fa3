//! What is said of a command from outside (COMMAND INFO, ACL categories), derived from its row.

use super::{Command, Flags, Handler, Keys, Merge, Spread};

/// A key specification as COMMAND INFO shows it (Redis's "key specifications").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySpec {
    /// Keys from the argument `first` on; `last` is relative to it, or negative from the end.
    Range {
        /// Index of the first key.
        first: i64,
        /// Index of the last key, relative to the first; negative: from the end.
        last: i64,
        /// Distance between keys.
        step: i64,
    },
    /// A number of keys, and the keys after it.
    Counted {
        /// Index of the number.
        count: i64,
        /// Index of the first key, relative to the number.
        first: i64,
    },
    /// Known only to the server.
    Unknown,
}

impl Command {
    /// Whether it is nothing but the name of its subcommands.
    pub fn is_container(&self) -> bool {
        !self.subcommands.is_empty() && !self.accepts(1)
    }

    /// Whether it reads data and changes none.
    pub fn is_read(&self) -> bool {
        matches!(self.handler, Handler::Read(_)) || self.flags.has(Flags::READS)
    }

    /// Redis's words for its flags, in Redis's order.
    pub fn flag_words(&self) -> Vec<&'static str> {
        let says = |flag: Flags| self.flags.has(flag);
        [
            (self.is_write(), "write"),
            (self.is_read(), "readonly"),
            (says(Flags::DENY_OOM), "denyoom"),
            (says(Flags::ADMIN), "admin"),
            (says(Flags::NO_SCRIPT), "noscript"),
            (says(Flags::LOADING), "loading"),
            (says(Flags::STALE), "stale"),
            (says(Flags::SKIP_MONITOR), "skip_slowlog"),
            (says(Flags::FAST), "fast"),
            (says(Flags::NO_AUTH), "no_auth"),
            (says(Flags::NO_ASYNC_LOADING), "no_async_loading"),
            (says(Flags::NO_MULTI), "no_multi"),
            (self.keys.is_movable(), "movablekeys"),
            (says(Flags::ALLOW_BUSY), "allow_busy"),
        ]
        .into_iter()
        .filter_map(|(set, word)| set.then_some(word))
        .collect()
    }

    /// Its ACL categories, in Redis's order.
    pub fn acl_categories(&self) -> Vec<&'static str> {
        let says = |flag: Flags| self.flags.has(flag);
        let of_family = |name| !self.is_container() && self.group.category() == Some(name);
        let admin = says(Flags::ADMIN) || says(Flags::ACL_ADMIN);
        [
            (of_family("@keyspace") || says(Flags::ACL_KEYSPACE), "@keyspace"),
            (self.is_read(), "@read"),
            (self.is_write(), "@write"),
            (of_family("@set"), "@set"),
            (of_family("@sortedset"), "@sortedset"),
            (of_family("@list"), "@list"),
            (of_family("@hash"), "@hash"),
            (of_family("@string"), "@string"),
            (admin, "@admin"),
            (says(Flags::FAST), "@fast"),
            (!says(Flags::FAST), "@slow"),
            (admin || says(Flags::DANGEROUS), "@dangerous"),
            (of_family("@connection") || says(Flags::ACL_CONNECTION), "@connection"),
            (of_family("@transaction"), "@transaction"),
        ]
        .into_iter()
        .filter_map(|(set, word)| set.then_some(word))
        .collect()
    }

    /// Where its keys stand.
    pub fn key_specs(&self) -> Vec<KeySpec> {
        match self.keys {
            Keys::None => Vec::new(),
            Keys::Range { first, last, step } => {
                let (first, last) = (i64::from(first), i64::from(last));
                vec![KeySpec::Range { first, last: if last < 0 { last } else { last - first }, step: step.into() }]
            }
            Keys::Counted { count, first, extra } => {
                let counted = KeySpec::Counted { count: count.into(), first: i64::from(first) - i64::from(count) };
                let extra = (extra > 0).then_some(KeySpec::Range { first: extra.into(), last: 0, step: 1 });
                extra.into_iter().chain([counted]).collect()
            }
            Keys::Custom(_) => vec![KeySpec::Unknown],
        }
    }

    /// What it does to its keys, in Redis's words (the flags of a key specification).
    pub fn key_access(&self) -> &'static [&'static str] {
        if self.is_write() { &["RW", "access", "update"] } else { &["RO", "access"] }
    }

    /// Hints for clients that speak to several servers.
    pub fn tips(&self) -> &'static [&'static str] {
        match self.spread {
            Spread::Split(Merge::ByKey) => &["request_policy:multi_shard"],
            Spread::Split(Merge::Sum) => &["request_policy:multi_shard", "response_policy:agg_sum"],
            Spread::Split(_) => &["request_policy:multi_shard", "response_policy:all_succeeded"],
            Spread::All(Merge::Sum) => &["request_policy:all_shards", "response_policy:agg_sum"],
            _ => &[],
        }
    }
}
