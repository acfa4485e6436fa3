//! What is said of a command from outside (COMMAND INFO, ACL categories), derived from its row.

use super::syntax::{self, Argument};
use super::{Command, Flags, Handler, Keys, Merge, Spread};
use std::borrow::Cow;

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
    /// One key behind a word.
    Keyword {
        /// The word.
        word: &'static str,
        /// Index of the first argument that may be the word.
        from: i64,
    },
    /// Keys behind a word, in the first half of what follows it.
    BehindWord {
        /// The word.
        word: &'static str,
        /// Index of the first argument that may be it.
        from: i64,
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

    /// The arguments that it takes. (That every row's notation can be read is tested.)
    pub fn arguments(&self) -> Vec<Argument> {
        syntax::arguments(self.takes).unwrap_or_default()
    }

    /// What changed about it since it is there, as versions and sentences.
    pub fn history(&self) -> Vec<(&'static str, Cow<'static, str>)> {
        let added = syntax::additions(&self.arguments()).into_iter();
        let mut history: Vec<(_, Cow<'_, str>)> =
            added.map(|(since, text)| (since, text.into())).collect();
        let changes = self.changes.iter();
        history.extend(changes.map(|(since, text)| (*since, Cow::from(*text))));
        history.sort_by_key(|(since, _)| syntax::version(since));
        history
    }

    /// What `COMMAND DOCS` says of its standing.
    pub fn doc_flags(&self) -> Vec<&'static str> {
        let flags = [
            (self.replaced.is_some(), "deprecated"),
            (self.flags.has(Flags::SYSTEM), "syscmd"),
        ];
        let set = flags.into_iter().filter(|(is_set, _)| *is_set);
        set.map(|(_, name)| name).collect()
    }

    /// Redis's words for its flags, in Redis's order.
    pub fn flag_words(&self) -> Vec<&'static str> {
        let says = |flag: Flags| self.flags.has(flag);
        [
            (self.is_write(), "write"),
            (self.is_read(), "readonly"),
            (says(Flags::DENY_OOM), "denyoom"),
            (says(Flags::ADMIN), "admin"),
            (says(Flags::PUBSUB), "pubsub"),
            (says(Flags::NO_SCRIPT), "noscript"),
            (self.blocks.is_some(), "blocking"),
            (says(Flags::LOADING), "loading"),
            (says(Flags::STALE), "stale"),
            (
                says(Flags::SKIP_MONITOR) && self.is_script(),
                "skip_monitor",
            ),
            (
                says(Flags::SKIP_MONITOR) && !self.is_script(),
                "skip_slowlog",
            ),
            (says(Flags::FAST), "fast"),
            (says(Flags::NO_AUTH), "no_auth"),
            (says(Flags::NO_ASYNC_LOADING), "no_async_loading"),
            (says(Flags::NO_MULTI), "no_multi"),
            (self.is_script(), "no_mandatory_keys"),
            (self.has_movable_keys(), "movablekeys"),
            (says(Flags::ALLOW_BUSY), "allow_busy"),
        ]
        .into_iter()
        .filter_map(|(set, word)| set.then_some(word))
        .collect()
    }

    /// Whether its keys stand elsewhere than COMMAND INFO's numbers can say, or follow from what other keys hold.
    fn has_movable_keys(&self) -> bool {
        self.keys.is_movable() || matches!(self.spread, Spread::Follow(_))
    }

    /// Its ACL categories, in Redis's order.
    pub fn acl_categories(&self) -> Vec<&'static str> {
        let says = |flag: Flags| self.flags.has(flag);
        let of_family = |name| !self.is_container() && self.group.category() == Some(name);
        let collections = says(Flags::ACL_COLLECTIONS);
        let admin = says(Flags::ADMIN) || says(Flags::ACL_ADMIN);
        [
            (
                (of_family("@keyspace") && !collections) || says(Flags::ACL_KEYSPACE),
                "@keyspace",
            ),
            (self.is_read() && !self.is_script(), "@read"),
            (self.is_write(), "@write"),
            (of_family("@set") || collections, "@set"),
            (of_family("@sortedset") || collections, "@sortedset"),
            (of_family("@list") || collections, "@list"),
            (of_family("@hash"), "@hash"),
            (of_family("@string"), "@string"),
            (of_family("@bitmap"), "@bitmap"),
            (of_family("@hyperloglog"), "@hyperloglog"),
            (of_family("@geo"), "@geo"),
            (of_family("@stream"), "@stream"),
            (says(Flags::PUBSUB), "@pubsub"),
            (admin, "@admin"),
            (says(Flags::FAST), "@fast"),
            (!says(Flags::FAST), "@slow"),
            (self.blocks.is_some(), "@blocking"),
            (admin || says(Flags::DANGEROUS), "@dangerous"),
            (
                of_family("@connection") || says(Flags::ACL_CONNECTION),
                "@connection",
            ),
            (of_family("@transaction"), "@transaction"),
            (of_family("@scripting"), "@scripting"),
        ]
        .into_iter()
        .filter_map(|(set, word)| set.then_some(word))
        .collect()
    }

    /// Where a client for clusters finds what places it, as COMMAND INFO tells: first, last and step.
    pub fn legacy_range(&self) -> (i64, i64, i64) {
        self.shard_channels()
            .unwrap_or_else(|| self.keys.legacy_range())
    }

    fn shard_channels(&self) -> Option<(i64, i64, i64)> {
        self.channels.and_then(|channels| channels.legacy_range())
    }

    /// Where its keys stand, and what it does to them in Redis's words.
    pub fn key_specs(&self) -> Vec<(KeySpec, Vec<&'static str>)> {
        if let Some((first, last, step)) = self.shard_channels() {
            let last = if last < 0 { last } else { last - first };
            return vec![(KeySpec::Range { first, last, step }, vec!["not_key"])];
        }
        self.specs_of_keys()
    }

    fn specs_of_keys(&self) -> Vec<(KeySpec, Vec<&'static str>)> {
        let words = |access: &'static str| access.split(' ').collect::<Vec<_>>();
        let (first, others) = self.access_parts();
        match self.keys {
            Keys::None => Vec::new(),
            Keys::Range {
                first: at,
                last,
                step,
            } => {
                let (at, last, step) = (i64::from(at), i64::from(last), i64::from(step));
                let range = |from| KeySpec::Range {
                    first: from,
                    last: if last < 0 { last } else { last - from },
                    step,
                };
                match others {
                    None => vec![(range(at), words(first))],
                    Some(others) => {
                        let one = KeySpec::Range {
                            first: at,
                            last: 0,
                            step,
                        };
                        vec![(one, words(first)), (range(at + step), words(others))]
                    }
                }
            }
            Keys::Counted {
                count,
                first: at,
                extra,
            } => {
                let counted = KeySpec::Counted {
                    count: count.into(),
                    first: i64::from(at) - i64::from(count),
                };
                let one = (extra > 0).then_some(KeySpec::Range {
                    first: extra.into(),
                    last: 0,
                    step: 1,
                });
                let one = one.map(|one| (one, words(first)));
                one.into_iter()
                    .chain([(counted, words(others.unwrap_or(first)))])
                    .collect()
            }
            Keys::OneAndAfter {
                words: after, from, ..
            } => {
                let one = KeySpec::Range {
                    first: 1,
                    last: 0,
                    step: 1,
                };
                let others = others.unwrap_or(first);
                let keyword = |word| KeySpec::Keyword {
                    word,
                    from: from.into(),
                };
                let keywords = after.iter().map(|word| (keyword(word), words(others)));
                std::iter::once((one, words(first)))
                    .chain(keywords)
                    .collect()
            }
            Keys::BehindWord { word, from, .. } => {
                let from = from.into();
                vec![(KeySpec::BehindWord { word, from }, words(first))]
            }
            Keys::Custom(_) => vec![(KeySpec::Unknown, words(first))],
        }
    }

    /// What it does to its first key, and to the others if that differs.
    pub fn access_parts(&self) -> (&'static str, Option<&'static str>) {
        let stores = matches!(self.keys, Keys::Counted { extra: 1.., .. });
        match self.access {
            "" if stores => ("OW update", Some("RO access")),
            "" if self.is_write() => ("RW access update", None),
            "" => ("RO access", None),
            access => access
                .split_once(';')
                .map_or((access, None), |(first, others)| (first, Some(others))),
        }
    }

    /// Hints for clients that speak to several servers.
    pub fn hint_words(&self) -> Vec<&'static str> {
        let hints = match self.spread {
            _ if !self.hints.is_empty() => self.hints,
            Spread::Split(Merge::ByKey) => "request_policy:multi_shard",
            Spread::Split(Merge::Sum) => "request_policy:multi_shard response_policy:agg_sum",
            Spread::Split(_) => "request_policy:multi_shard response_policy:all_succeeded",
            Spread::All(Merge::Sum) => "request_policy:all_shards response_policy:agg_sum",
            _ => return Vec::new(),
        };
        hints.split(' ').collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::ALL;

    fn all() -> impl Iterator<Item = &'static Command> {
        let rows = ALL.iter().copied().flatten();
        rows.flat_map(|row| std::iter::once(row).chain(row.subcommands))
    }

    /// The words that Redis 7.0 knows (`server.h`, `CMD_KEY_*`).
    #[test]
    fn access_is_said_in_words_that_redis_knows_and_agrees_with_the_kind() {
        const MODES: [&str; 4] = ["RO", "RW", "OW", "RM"];
        const MORE: [&str; 5] = ["access", "update", "insert", "delete", "variable_flags"];
        for row in all() {
            for (_, words) in row.key_specs() {
                if words == ["not_key"] {
                    continue;
                }
                let (mode, more) = words.split_first().expect("at least a mode");
                assert!(MODES.contains(mode), "{}: {mode}", row.name);
                assert!(
                    more.iter().all(|word| MORE.contains(word)),
                    "{}: {more:?}",
                    row.name
                );
                assert!(
                    row.is_write() || row.is_script() || *mode == "RO",
                    "{} reads, and yet {mode}",
                    row.name
                );
            }
            let writes = row.key_specs().iter().any(|(_, words)| words[0] != "RO");
            // Redis has it so: the stream stays as it is, and its group changes.
            let of_groups = row.name == "xreadgroup";
            assert!(
                !row.is_write() || writes || of_groups || row.key_specs().is_empty(),
                "{} writes no key",
                row.name
            );
        }
    }

    #[test]
    fn rows_are_complete() {
        for row in all() {
            assert!(
                row.arity != 0 && !row.summary.is_empty() && row.since.contains('.'),
                "{}",
                row.name
            );
            assert!(
                row.name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || b"-_".contains(&byte)),
                "{}",
                row.name
            );
            assert!(!row.hint_words().contains(&""), "{}", row.name);
            let mut names: Vec<_> = row.subcommands.iter().map(|sub| sub.name).collect();
            names.sort_unstable();
            assert!(
                names.windows(2).all(|pair| pair[0] != pair[1]),
                "{} has a subcommand twice",
                row.name
            );
        }
    }

    #[test]
    fn specifications_of_one_key_and_of_several() {
        let row = |name: &str| all().find(|row| row.name == name).expect("a row");
        assert_eq!(
            row("get").key_specs(),
            [(
                KeySpec::Range {
                    first: 1,
                    last: 0,
                    step: 1
                },
                vec!["RO", "access"]
            )]
        );
        let store = row("zunionstore").key_specs();
        assert_eq!(
            store[0],
            (
                KeySpec::Range {
                    first: 1,
                    last: 0,
                    step: 1
                },
                vec!["OW", "update"]
            )
        );
        assert_eq!(
            store[1],
            (
                KeySpec::Counted { count: 2, first: 1 },
                vec!["RO", "access"]
            )
        );
    }
}
