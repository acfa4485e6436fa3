//! What a command line uses: keys, channels, and arguments that are secret.

use super::keys::stepped;
use super::{Command, Flags, KeyPositions, Keys};
use smallvec::SmallVec;

/// What is done to a key, as users are allowed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUse(u8);

impl KeyUse {
    /// Neither: whether it exists, or what its type is.
    pub const NONE: KeyUse = KeyUse(0);
    /// Its value is read, or copied.
    pub const READ: KeyUse = KeyUse(1);
    /// Its value is changed.
    pub const WRITE: KeyUse = KeyUse(2);

    /// Whether this has all of `other`.
    pub const fn has(self, other: KeyUse) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both.
    pub const fn or(self, other: KeyUse) -> KeyUse {
        KeyUse(self.0 | other.0)
    }

    /// Of the words of a key specification.
    fn of(words: &str) -> KeyUse {
        let uses = words.split(' ').map(|word| match word {
            "access" => KeyUse::READ,
            "insert" | "delete" | "update" => KeyUse::WRITE,
            _ => KeyUse::NONE,
        });
        uses.fold(KeyUse::NONE, KeyUse::or)
    }
}

/// Arguments that logs and monitors don't show.
#[derive(Clone, Copy)]
pub enum Hidden {
    /// None.
    Nothing,
    /// All from this index on.
    From(usize),
    /// Those of which this says so.
    Some(fn(&[&[u8]], usize) -> bool),
}

/// What stands for a hidden argument.
pub const REDACTED: &[u8] = b"(redacted)";

impl Command {
    /// Whether it may run before the client has authenticated.
    pub fn needs_no_auth(&self) -> bool {
        self.flags.has(Flags::NO_AUTH)
    }

    /// Where the keys of a command line are, and what is done to each. Nothing where the line can't be read: then it fails.
    pub fn uses(&self, args: &[&[u8]]) -> SmallVec<[(usize, KeyUse); 4]> {
        let keys = self.keys.positions(args);
        let keys = keys.unwrap_or_else(|_| self.guessed(args));
        // A destination without its sources: their number is wrong.
        if matches!(self.keys, Keys::Counted { extra: 1.., .. }) && keys.len() < 2 {
            return SmallVec::new();
        }
        let (first, others) = self.access_of(args);
        let (first, others) = (KeyUse::of(first), KeyUse::of(others));
        let access = |order| if order == 0 { first } else { others };
        let keys = keys.iter().enumerate();
        keys.map(|(order, at)| (*at as usize, access(order)))
            .collect()
    }

    /// Where the keys of a line are that has not the shape it should have, as Redis finds them: at every step of a range, and in the
    /// first half of what follows a word.
    fn guessed(&self, args: &[&[u8]]) -> KeyPositions {
        if let Keys::Range { first, last, step } = self.keys {
            return stepped(args, first, last, step);
        }
        let Keys::BehindWord { word, from, .. } = self.keys else {
            return KeyPositions::new();
        };
        let is_word = |at: &usize| args[*at].eq_ignore_ascii_case(word.as_bytes());
        let Some(found) = (usize::from(from)..args.len()).find(is_word) else {
            return KeyPositions::new();
        };
        let first = found as u32 + 1;
        let count = (args.len() as u32 - first) / 2;
        (first..first + count).collect()
    }

    /// What a command line does to its first key, and to the others.
    pub fn access_of(&self, args: &[&[u8]]) -> (&'static str, &'static str) {
        let (first, others) = self.access_parts();
        let first = self.line_access.map_or(first, |access| access(args));
        (first, others.unwrap_or(first))
    }

    /// A command line as others may see it.
    pub fn shown<'a>(&self, args: &[&'a [u8]]) -> Vec<&'a [u8]> {
        let is_hidden = |at: usize| match self.hidden {
            Hidden::Nothing => false,
            Hidden::From(first) => at >= first,
            Hidden::Some(hides) => hides(args, at),
        };
        let shown = |(at, arg): (usize, &&'a [u8])| if is_hidden(at) { REDACTED } else { *arg };
        args.iter().enumerate().map(shown).collect()
    }
}
