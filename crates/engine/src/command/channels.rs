//! Where a command line names channels: data, as for keys.

use crate::pubsub::Kind;

/// What a command does with the channels that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelUse {
    /// It sends to them.
    Publish,
    /// It listens to them from now on.
    Subscribe,
    /// It listens no more: that needs no permission.
    Unsubscribe,
}

/// Where a command line names channels or patterns of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channels {
    /// What stands there.
    pub kind: Kind,
    /// What is done with it.
    pub usage: ChannelUse,
    /// Whether only the first argument is one, or all of them are.
    only_first: bool,
}

impl Channels {
    /// All arguments are channels.
    pub const fn all(kind: Kind, usage: ChannelUse) -> Channels {
        Channels {
            kind,
            usage,
            only_first: false,
        }
    }

    /// The first argument is one.
    pub const fn first(kind: Kind, usage: ChannelUse) -> Channels {
        Channels {
            kind,
            usage,
            only_first: true,
        }
    }

    /// Those that this command line names.
    pub fn of<'a, 'b>(&self, args: &'a [&'b [u8]]) -> &'a [&'b [u8]] {
        let last = if self.only_first { 2 } else { args.len() };
        args.get(1..last).unwrap_or_default()
    }

    /// First, last and step, as COMMAND INFO tells of keys: Redis tells so of shard channels, which live where a key of that name would.
    pub(super) fn legacy_range(&self) -> Option<(i64, i64, i64)> {
        let last = if self.only_first { 1 } else { -1 };
        (self.kind == Kind::Shard).then_some((1, last, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_channel_or_all() {
        let line: [&[u8]; 3] = [b"PUBLISH", b"a", b"b"];
        let first = Channels::first(Kind::Channel, ChannelUse::Publish);
        let all = Channels::all(Kind::Pattern, ChannelUse::Subscribe);
        assert_eq!(first.of(&line), [b"a"]);
        assert_eq!(all.of(&line), [b"a", b"b"]);
        assert!(all.of(&line[..1]).is_empty() && first.of(&line[..1]).is_empty());
    }
}
