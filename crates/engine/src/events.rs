//! Keyspace events: who is told that something happened to a key, as `notify-keyspace-events` chooses.
//!
//! Commands tell of what they did ([`crate::WriteContext::modified`]); whoever delivers it (publish/subscribe) is an [`EventSink`].
//! With nobody there, or nothing chosen, that is one look at a number.

use damselfly_store::DbIndex;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The kinds of keyspace events, as `notify-keyspace-events` groups them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventClass {
    /// `g`
    Generic,
    /// `$`
    String,
    /// `l`
    List,
    /// `s`
    Set,
    /// `h`
    Hash,
    /// `z`
    SortedSet,
    /// `x`
    Expired,
    /// `e`
    Evicted,
    /// `t`
    Stream,
    /// `d`
    Module,
    /// `n`: a key that was not there before. Not among all.
    New,
    /// `m`: a key that was read and is not there. Not among all.
    Miss,
}

/// Letters of the classes, in their order; then those of the channels.
const LETTERS: &[u8; 12] = b"g$lshzxetdnm";
/// All that `A` stands for.
const ALL: u32 = (1 << 10) - 1;
/// `K`: a channel for each key.
const KEYSPACE: u32 = 1 << 12;
/// `E`: a channel for each event.
const KEYEVENT: u32 = 1 << 13;

impl EventClass {
    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Which events are told, and on which channels (`notify-keyspace-events`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventFlags(u32);

impl EventFlags {
    /// Reads the letters; `None` if one is not known.
    pub fn parse(letters: &str) -> Option<EventFlags> {
        let mut flags = 0;
        for letter in letters.bytes() {
            flags |= match letter {
                b'A' => ALL,
                b'K' => KEYSPACE,
                b'E' => KEYEVENT,
                letter => 1 << LETTERS.iter().position(|known| *known == letter)?,
            };
        }
        Some(EventFlags(flags))
    }

    /// Whether each key has a channel.
    pub fn by_key(self) -> bool {
        self.0 & KEYSPACE != 0
    }

    /// Whether each event has a channel.
    pub fn by_event(self) -> bool {
        self.0 & KEYEVENT != 0
    }

    /// What is told at all.
    fn told(self) -> u32 {
        if self.0 & (KEYSPACE | KEYEVENT) == 0 {
            0
        } else {
            self.0
        }
    }
}

impl fmt::Display for EventFlags {
    /// As Redis shows them: in an order of its own, and `n` not behind `A`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0 & ALL == ALL;
        if all {
            out.write_char('A')?;
        }
        for (at, letter) in LETTERS.iter().enumerate() {
            let shown = self.0 >> at & 1 == 1 && *letter != b'm';
            if shown && !all {
                out.write_char(char::from(*letter))?;
            }
        }
        for (flag, letter) in [
            (KEYSPACE, 'K'),
            (KEYEVENT, 'E'),
            (EventClass::Miss.bit(), 'm'),
        ] {
            if self.0 & flag != 0 {
                out.write_char(letter)?;
            }
        }
        Ok(())
    }
}

/// Something that happened to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyEvent<'a> {
    /// The database.
    pub db: DbIndex,
    /// The kind of the event.
    pub class: EventClass,
    /// Redis's name of it.
    pub name: &'static str,
    /// The key.
    pub key: &'a [u8],
    /// On which channels it is to be told.
    pub flags: EventFlags,
}

/// Is told of events, on the thread of the shard where they happen, in the middle of a command: it must neither wait nor
/// come back to the shard.
pub trait EventSink: Send + Sync {
    /// Something happened to a key.
    fn event(&self, event: KeyEvent<'_>);
}

/// Which events of an engine are told, and to whom.
#[derive(Default)]
pub struct EventHub {
    flags: AtomicU32,
    sink: OnceLock<Box<dyn EventSink>>,
}

impl EventHub {
    /// Chooses what is told.
    pub fn set_flags(&self, flags: EventFlags) {
        self.flags.store(flags.0, Ordering::Relaxed);
    }

    /// What is told.
    pub fn flags(&self) -> EventFlags {
        EventFlags(self.flags.load(Ordering::Relaxed))
    }

    /// Says who is told; once.
    pub fn deliver_to(&self, sink: Box<dyn EventSink>) {
        let _ = self.sink.set(sink);
    }

    /// Tells of an event, if it is one of those that are told.
    #[inline]
    pub(crate) fn tell(&self, db: DbIndex, class: EventClass, name: &'static str, key: &[u8]) {
        if self.flags.load(Ordering::Relaxed) & class.bit() != 0 {
            self.deliver(db, class, name, key);
        }
    }

    #[cold]
    fn deliver(&self, db: DbIndex, class: EventClass, name: &'static str, key: &[u8]) {
        let flags = self.flags();
        let sink = self.sink.get().filter(|_| flags.told() & class.bit() != 0);
        if let Some(sink) = sink {
            sink.event(KeyEvent {
                db,
                class,
                name,
                key,
                flags,
            });
        }
    }
}

/// Keeps events until what they tell of is in its place.
#[derive(Default)]
pub(crate) struct HeldEvents(Arc<Mutex<Vec<Held>>>);

type Held = (DbIndex, EventClass, &'static str, Vec<u8>);

impl EventSink for HeldEvents {
    fn event(&self, event: KeyEvent<'_>) {
        let held = (event.db, event.class, event.name, event.key.to_vec());
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(held);
    }
}

impl HeldEvents {
    /// A hub that keeps here what the other would tell; none if that tells nothing.
    pub(crate) fn before(&self, hub: &EventHub) -> Option<Arc<EventHub>> {
        let flags = hub.flags();
        (flags.told() != 0 && hub.sink.get().is_some()).then(|| {
            let held = EventHub::default();
            held.set_flags(flags);
            held.deliver_to(Box::new(HeldEvents(self.0.clone())));
            Arc::new(held)
        })
    }

    /// Tells all of them.
    pub(crate) fn tell(self, hub: &EventHub) {
        let held = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for (db, class, name, key) in held {
            hub.tell(db, class, name, &key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As redis-server 7.0.15 answers.
    #[test]
    fn flags_are_shown_as_redis_shows_them() {
        for (given, shown) in [
            ("", ""),
            ("KEA", "AKE"),
            ("g$lshzxetdmnKE", "AKEm"),
            ("Kn", "nK"),
            ("KEAm", "AKEm"),
            ("A", "A"),
            ("Kg$lshzxetd", "AK"),
            ("E$", "$E"),
            ("zgKx", "gzxK"),
        ] {
            let flags = EventFlags::parse(given).expect(given);
            assert_eq!(flags.to_string(), shown, "{given}");
            assert_eq!(
                EventFlags::parse(shown).expect(shown).0 & !EventClass::New.bit(),
                flags.0 & !EventClass::New.bit()
            );
        }
        assert_eq!(EventFlags::parse("Kq"), None);
    }
}
