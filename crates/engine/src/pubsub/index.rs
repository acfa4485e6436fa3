//! How many subscribers every name has on which thread.

use crate::families::glob::Glob;
use foldhash::fast::RandomState;
use papaya::{HashMap, Operation};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The name of a channel, or a pattern.
pub type Name = Arc<[u8]>;

/// The two kinds of channels, which know nothing of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// Those of PUBLISH.
    Channels,
    /// Those of SPUBLISH, which a cluster keeps on one shard.
    Shard,
}

/// What a client subscribes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Kind {
    /// A channel.
    Channel = 0,
    /// All channels that match a pattern.
    Pattern = 1,
    /// A shard channel.
    Shard = 2,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Channel, Kind::Pattern, Kind::Shard];
}

impl From<Space> for Kind {
    fn from(space: Space) -> Kind {
        match space {
            Space::Channels => Kind::Channel,
            Space::Shard => Kind::Shard,
        }
    }
}

/// Subscribers by thread. At least one of a name that is in the index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Places(SmallVec<[(u32, u32); 2]>);

impl Places {
    fn with_one_more(&self, thread: u32) -> Places {
        let mut places = self.clone();
        match places.0.iter_mut().find(|(of, _)| *of == thread) {
            Some((_, count)) => *count += 1,
            None => places.0.push((thread, 1)),
        }
        places
    }

    fn with_one_less(&self, thread: u32) -> Places {
        let mut places = self.clone();
        if let Some((_, count)) = places.0.iter_mut().find(|(of, _)| *of == thread) {
            *count -= 1;
        }
        places.0.retain(|(_, count)| *count > 0);
        places
    }

    fn total(&self) -> usize {
        self.0.iter().map(|(_, count)| *count as usize).sum()
    }
}

type Names = HashMap<Name, Places, RandomState>;

/// Who gets a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Audience {
    /// Subscribers; one that gets it twice counts twice.
    pub(super) receivers: usize,
    /// The threads that they live on.
    pub(super) threads: SmallVec<[usize; 8]>,
    /// The patterns that the channel matches.
    pub(super) patterns: Vec<Name>,
    /// When it was asked.
    pub(super) stamp: u64,
}

impl Audience {
    fn add(&mut self, places: &Places) {
        self.receivers += places.total();
        for (thread, _) in &places.0 {
            let thread = *thread as usize;
            if !self.threads.contains(&thread) {
                self.threads.push(thread);
            }
        }
    }
}

/// What all threads know of who subscribes to what. Readers never wait.
#[derive(Default)]
pub struct Index {
    names: [Names; 3],
    /// Grows with every subscription: a message that was published before one is not for it, however late it arrives.
    clock: AtomicU64,
}

impl Index {
    /// A subscriber more on a thread. Its stamp: what was published before has a lower one.
    pub(super) fn add(&self, kind: Kind, name: &Name, thread: usize) -> u64 {
        let thread = thread as u32;
        let stamp = self.clock.fetch_add(1, Ordering::SeqCst) + 1;
        let names = self.names[kind as usize].pin();
        names.update_or_insert_with(
            name.clone(),
            |places| places.with_one_more(thread),
            || Places::default().with_one_more(thread),
        );
        stamp
    }

    /// A subscriber less on a thread.
    pub(super) fn remove(&self, kind: Kind, name: &Name, thread: usize) {
        let thread = thread as u32;
        let names = self.names[kind as usize].pin();
        names.compute(name.clone(), |entry| match entry {
            None => Operation::Abort(()),
            Some((_, places)) => match places.with_one_less(thread) {
                Places(rest) if rest.is_empty() => Operation::Remove,
                rest => Operation::Insert(rest),
            },
        });
    }

    /// Who gets a message of this channel now.
    pub(super) fn audience(&self, space: Space, channel: &[u8]) -> Audience {
        let stamp = self.clock.load(Ordering::SeqCst);
        let mut audience = Audience {
            stamp,
            ..Audience::default()
        };
        if let Some(places) = self.names[Kind::from(space) as usize].pin().get(channel) {
            audience.add(places);
        }
        let patterns = &self.names[Kind::Pattern as usize];
        if space == Space::Channels && !patterns.is_empty() {
            for (pattern, places) in &patterns.pin() {
                if Glob::new(pattern).matches(channel) {
                    audience.add(places);
                    audience.patterns.push(pattern.clone());
                }
            }
        }
        audience
    }

    /// How many names of a kind have subscribers.
    pub fn len(&self, kind: Kind) -> usize {
        self.names[kind as usize].len()
    }

    /// Whether nobody subscribes to anything.
    pub fn is_empty(&self) -> bool {
        self.names.iter().all(HashMap::is_empty)
    }

    /// How many subscribers a name has.
    pub fn count(&self, kind: Kind, name: &[u8]) -> usize {
        self.names[kind as usize]
            .pin()
            .get(name)
            .map_or(0, Places::total)
    }

    /// The names of a kind that match a pattern.
    pub fn matching(&self, kind: Kind, pattern: Option<Glob<'_>>) -> Vec<Name> {
        let names = self.names[kind as usize].pin();
        let matching = names
            .keys()
            .filter(|name| pattern.is_none_or(|pattern| pattern.matches(name)));
        matching.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.as_bytes().into()
    }

    #[test]
    fn the_audience_is_who_subscribed_before() {
        let index = Index::default();
        assert_eq!(index.audience(Space::Channels, b"a"), Audience::default());
        let first = index.add(Kind::Channel, &name("a"), 0);
        index.add(Kind::Channel, &name("a"), 3);
        index.add(Kind::Channel, &name("a"), 3);
        index.add(Kind::Pattern, &name("a*"), 1);
        index.add(Kind::Pattern, &name("b*"), 2);
        index.add(Kind::Shard, &name("a"), 4);
        let audience = index.audience(Space::Channels, b"a");
        assert_eq!(
            (audience.receivers, &audience.threads[..]),
            (4, &[0, 3, 1][..])
        );
        assert_eq!(audience.patterns, [name("a*")]);
        assert!(first <= audience.stamp);
        let audience = index.audience(Space::Shard, b"a");
        assert_eq!((audience.receivers, &audience.threads[..]), (1, &[4][..]));
        assert!(index.add(Kind::Channel, &name("a"), 0) > audience.stamp);
    }

    #[test]
    fn a_name_without_subscribers_is_gone() {
        let index = Index::default();
        index.add(Kind::Channel, &name("a"), 0);
        index.add(Kind::Channel, &name("a"), 1);
        index.remove(Kind::Channel, &name("a"), 0);
        assert_eq!(
            (index.len(Kind::Channel), index.count(Kind::Channel, b"a")),
            (1, 1)
        );
        index.remove(Kind::Channel, &name("a"), 1);
        index.remove(Kind::Channel, &name("a"), 1);
        assert!(index.is_empty() && index.matching(Kind::Channel, None).is_empty());
    }
}
