//! What a handler may do with the keyspace; the kind of the handler decides which context it gets.

use crate::command::CommandError;
use crate::keyspace::{EventClass, Keyspace};
use crate::usage::Use;
use damselfly_journal::{Journal, RunBuilder};
use damselfly_store::values::{Hash, List, Set, Stream, ZSet};
use damselfly_store::{DbIndex, EntryMut, EntryRef, StrValue, UnixMs, Value};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// A data type that a command can ask for by type: WRONGTYPE otherwise.
pub trait Typed: Sized {
    /// The value as this type.
    fn of(value: &Value) -> Option<&Self>;
    /// The value as this type, to be changed.
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
    /// An empty value of this type.
    fn empty() -> Value;
}

macro_rules! typed {
    ($type:ty, $variant:ident, $empty:expr) => {
        impl Typed for $type {
            fn of(value: &Value) -> Option<&Self> {
                if let Value::$variant(inner) = value {
                    Some(inner)
                } else {
                    None
                }
            }
            fn of_mut(value: &mut Value) -> Option<&mut Self> {
                if let Value::$variant(inner) = value {
                    Some(inner)
                } else {
                    None
                }
            }
            fn empty() -> Value {
                Value::$variant($empty)
            }
        }
    };
}
typed!(StrValue, Str, StrValue::new(b""));
typed!(List, List, Box::new(List::new()));
typed!(Hash, Hash, Box::new(Hash::new()));
typed!(Set, Set, Box::new(Set::new()));
typed!(ZSet, ZSet, Box::new(ZSet::new()));
typed!(Stream, Stream, Box::new(Stream::new()));

/// An entry of a known type, open for change.
pub struct TypedMut<'a, T> {
    entry: EntryMut<'a>,
    of: PhantomData<T>,
}

impl<T: Typed> Deref for TypedMut<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        T::of(&self.entry).expect("the type was checked when the guard was made")
    }
}

impl<T: Typed> DerefMut for TypedMut<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        T::of_mut(&mut self.entry).expect("the type was checked when the guard was made")
    }
}

/// The keyspace for a handler that only reads.
pub struct ReadContext<'a> {
    pub(crate) space: &'a Keyspace,
    /// The database of the connection.
    pub db: DbIndex,
}

impl<'a> ReadContext<'a> {
    /// The live entry of the key; counted as a hit or a miss, and as a use of the key.
    #[inline]
    pub fn entry(&self, key: &[u8]) -> Option<EntryRef<'a>> {
        let found = self.peek(key);
        if let Some(entry) = &found {
            self.space.touch(entry);
        }
        found
    }

    /// [`ReadContext::entry`] for those who only look at what is around the value: that is no use of the key.
    #[inline]
    pub fn peek(&self, key: &[u8]) -> Option<EntryRef<'a>> {
        let found = self.glance(key);
        if found.is_none() && !self.space.probes {
            let events = &self.space.events;
            events.tell(self.db, EventClass::Miss, "keymiss", key);
        }
        found
    }

    /// [`ReadContext::peek`] for those who look at how the key is kept: nobody is told if it is not there.
    #[inline]
    pub fn glance(&self, key: &[u8]) -> Option<EntryRef<'a>> {
        let found = self.space.live(self.db, key);
        self.space.count_lookup(found.is_some());
        found
    }

    /// The live value of the key, as one type. Absent is `None`, another type an error.
    pub fn typed<T: Typed + 'a>(&self, key: &[u8]) -> Result<Option<&'a T>, CommandError> {
        match self.entry(key) {
            None => Ok(None),
            Some(entry) => T::of(entry.value())
                .map(Some)
                .ok_or(CommandError::WrongType),
        }
    }

    /// Whether the command runs for a client that has been waiting.
    pub fn is_served(&self) -> bool {
        self.space.waits.serving
    }

    /// The shard's data, for handlers that look at more than keys.
    pub fn space(&self) -> &'a Keyspace {
        self.space
    }

    /// The time, in Unix milliseconds.
    pub fn now(&self) -> UnixMs {
        self.space.now
    }

    /// A random number for choices.
    pub fn random(&self) -> u64 {
        self.space.random()
    }
}

/// The keyspace for a handler whose command line is its own effect.
pub struct WriteContext<'a> {
    pub(crate) space: &'a mut Keyspace,
    /// The database of the connection.
    pub db: DbIndex,
    pub(crate) changes: u32,
    pub(crate) effects: &'a mut Effects,
    /// Effects of a primary are being replayed: the clock is ignored, only the primary lets keys expire.
    pub(crate) replays: bool,
}

impl WriteContext<'_> {
    /// The entry of the key. (An expired one has been deleted before the handler runs.)
    pub fn entry(&self, key: &[u8]) -> Option<EntryRef<'_>> {
        self.space.store.get(self.db, key)
    }

    /// Whether the key exists.
    pub fn exists(&self, key: &[u8]) -> bool {
        self.entry(key).is_some()
    }

    /// The value of the key as one type. Absent is `None`, another type an error.
    pub fn typed<T: Typed>(&self, key: &[u8]) -> Result<Option<&T>, CommandError> {
        match self.space.store.get(self.db, key) {
            None => Ok(None),
            Some(entry) => T::of(entry.value())
                .map(Some)
                .ok_or(CommandError::WrongType),
        }
    }

    /// [`WriteContext::entry`] of what the command only reads: counted as a hit or a miss, and told of if it is not there.
    pub fn source_entry(&self, key: &[u8]) -> Option<EntryRef<'_>> {
        let found = self.entry(key);
        self.space.count_lookup(found.is_some());
        if found.is_none() {
            let events = &self.space.events;
            events.tell(self.db, EventClass::Miss, "keymiss", key);
        }
        found
    }

    /// [`WriteContext::typed`] of what the command only reads.
    pub fn source<T: Typed>(&self, key: &[u8]) -> Result<Option<&T>, CommandError> {
        match self.source_entry(key) {
            None => Ok(None),
            Some(entry) => T::of(entry.value())
                .map(Some)
                .ok_or(CommandError::WrongType),
        }
    }

    /// The value of the key as one type, to be changed. The handler calls [`WriteContext::modified`] if it did.
    pub fn typed_mut<T: Typed>(
        &mut self,
        key: &[u8],
    ) -> Result<Option<TypedMut<'_, T>>, CommandError> {
        let noted = Use::now(self.space);
        match self.space.store.get_mut(self.db, key) {
            None => Ok(None),
            Some(entry) if T::of(&entry).is_none() => Err(CommandError::WrongType),
            Some(entry) => {
                noted.of(&entry);
                Ok(Some(TypedMut {
                    entry,
                    of: PhantomData,
                }))
            }
        }
    }

    /// Like [`WriteContext::typed_mut`], with an empty value put there if the key is absent: for handlers that are sure to fill it.
    pub fn typed_or_create<T: Typed>(
        &mut self,
        key: &[u8],
    ) -> Result<TypedMut<'_, T>, CommandError> {
        self.typed_or_create_with(key, T::empty)
    }

    /// Like [`WriteContext::typed_or_create`], with a first value of the handler's choice.
    pub fn typed_or_create_with<T: Typed>(
        &mut self,
        key: &[u8],
        make: impl FnOnce() -> Value,
    ) -> Result<TypedMut<'_, T>, CommandError> {
        let noted = Use::now(self.space);
        let (entry, made) = self.space.store.upsert(self.db, key, make);
        if T::of(&entry).is_none() {
            return Err(CommandError::WrongType);
        }
        if made {
            self.space.events.tell(self.db, EventClass::New, "new", key);
        } else {
            noted.of(&entry);
        }
        Ok(TypedMut {
            entry,
            of: PhantomData,
        })
    }

    /// Puts a value there, whatever was there before, with exactly this expiry.
    pub fn put(&mut self, key: &[u8], value: Value, expire_at: Option<UnixMs>) {
        self.put_in(self.db, key, value, expire_at);
    }

    /// [`WriteContext::put`] in another database.
    pub fn put_in(&mut self, db: DbIndex, key: &[u8], value: Value, expire_at: Option<UnixMs>) {
        if let Some(old) = self.space.store.insert(db, key, value, expire_at) {
            self.space.discard(old);
            self.space.touch_replaced(db, key);
        } else {
            self.space.events.tell(db, EventClass::New, "new", key);
        }
    }

    /// Puts a value there and keeps the key's expiry, if it has one.
    pub fn put_keeping_expiry(&mut self, key: &[u8], value: Value) {
        let expire_at = self.expire_at(key);
        self.put(key, value, expire_at);
    }

    /// Deletes the key. Whether it was there.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        self.take(key)
            .map(|(value, _)| self.space.discard(value))
            .is_some()
    }

    /// Takes the key out, with its value and expiry.
    pub fn take(&mut self, key: &[u8]) -> Option<(Value, Option<UnixMs>)> {
        self.space.store.remove(self.db, key)
    }

    /// Deletes the key if it is an empty collection (after a removal of elements), with the event for it.
    pub fn remove_if_empty(&mut self, key: &[u8]) -> bool {
        let empty = self
            .entry(key)
            .is_some_and(|entry| entry.value().is_empty_collection());
        if empty {
            self.remove(key);
            self.modified(EventClass::Generic, "del", key);
        }
        empty
    }

    /// When the key expires.
    pub fn expire_at(&self, key: &[u8]) -> Option<UnixMs> {
        self.entry(key)?.expire_at()
    }

    /// Sets or clears the key's expiry. Whether the key is there.
    pub fn set_expiry(&mut self, key: &[u8], expire_at: Option<UnixMs>) -> bool {
        self.space.touch_key(self.db, key);
        self.space.store.set_expiry(self.db, key, expire_at)
    }

    /// To be called once after every change of a key, with Redis's name of the event.
    pub fn modified(&mut self, class: EventClass, event: &'static str, key: &[u8]) {
        self.modified_in(self.db, class, event, key);
    }

    /// [`WriteContext::modified`] for a change that WATCH does not see, as in Redis: of consumer groups, and of a stream's last id.
    /// The handler tells of the event, where there is one.
    pub fn modified_unwatched(&mut self, key: &[u8]) {
        self.changes += 1;
        self.space.note_unwatched(self.db, key);
    }

    /// Has clients tried again that wait for the key, after a change that WATCH does not see.
    pub fn wake(&mut self, key: &[u8]) {
        let db = self.db;
        self.space.waits.touch(db, key);
    }

    /// Nothing has changed, yet whoever watches the key is told so, as Redis does after some commands. No effect comes of it.
    pub fn touched(&mut self, key: &[u8]) {
        self.space.note_change(self.db, key);
    }

    /// Tells of one more event of a change that [`WriteContext::modified`] has been called for.
    pub fn notify(&mut self, class: EventClass, event: &'static str, key: &[u8]) {
        self.notify_in(self.db, class, event, key);
    }

    /// [`WriteContext::notify`] in another database.
    pub fn notify_in(&mut self, db: DbIndex, class: EventClass, event: &'static str, key: &[u8]) {
        self.space.events.tell(db, class, event, key);
    }

    /// Whether this expiry lies in the past. Never where effects are replayed.
    pub fn has_passed(&self, expire_at: Option<UnixMs>) -> bool {
        !self.replays && self.space.has_passed(expire_at)
    }

    /// When fields and members have to be alive: now, or, where effects are replayed, at any time.
    pub fn alive_at(&self) -> UnixMs {
        if self.replays {
            UnixMs::MIN
        } else {
            self.now()
        }
    }

    /// Empties one database, or all. That is a change on every shard, even where there was nothing.
    pub fn flush(&mut self, db: Option<DbIndex>) {
        self.space.flush(db);
        self.changes += 1;
    }

    /// Exchanges two databases. That is a change on every shard, even where there was nothing.
    pub fn swap(&mut self, a: DbIndex, b: DbIndex) {
        self.space.swap(a, b);
        self.changes += 1;
    }

    /// How many databases there are.
    pub fn dbnum(&self) -> u16 {
        self.space.store.dbnum()
    }

    /// [`WriteContext::modified`] in another database.
    pub fn modified_in(&mut self, db: DbIndex, class: EventClass, event: &'static str, key: &[u8]) {
        self.changes += 1;
        self.space.note_change(db, key);
        self.space.events.tell(db, class, event, key);
    }

    /// Whether the command runs for a client that has been waiting.
    pub fn is_served(&self) -> bool {
        self.space.waits.serving
    }

    /// The shard's data, for handlers that look at more than keys.
    pub fn space(&mut self) -> &mut Keyspace {
        self.space
    }

    /// The time, in Unix milliseconds.
    pub fn now(&self) -> UnixMs {
        self.space.now
    }

    /// A random number for choices.
    pub fn random(&self) -> u64 {
        self.space.random()
    }
}

/// The keyspace for a handler that says itself what its effects are.
pub struct RewriteContext<'a>(pub(crate) WriteContext<'a>);

impl RewriteContext<'_> {
    /// Records one effect: a command line that a replica replays in place of the command. Call it only for real changes.
    pub fn effect(&mut self, args: &[&[u8]]) {
        let db = self.0.db;
        self.0.effects.push(db, args);
    }

    /// [`RewriteContext::effect`], one that only our own replicas know; others get a PING in its place.
    pub fn own_effect(&mut self, args: &[&[u8]]) {
        let db = self.0.db;
        self.0.effects.push_own(db, args);
    }

    /// [`RewriteContext::effect`] in another database.
    pub fn effect_in(&mut self, db: DbIndex, args: &[&[u8]]) {
        self.0.effects.push(db, args);
    }

    /// Records that the key gets this value, and no expiry.
    pub fn restore_effect(&mut self, key: &[u8], value: &Value) {
        let db = self.0.db;
        if self.wants_effects() {
            crate::session::push_restore(self.0.effects, db, key, value, None);
        } else {
            self.effect(&[]);
        }
    }

    /// Deletes a key of any database whose time has come, with its effect. (For the keys that a row names this is done before the handler runs.)
    pub fn expire_in(&mut self, db: DbIndex, key: &[u8]) {
        let WriteContext { space, effects, .. } = &mut self.0;
        crate::core::execute::delete_expired(space, db, key, effects);
    }

    /// Whether anybody needs the effects; building costly ones can be left out otherwise.
    pub fn wants_effects(&self) -> bool {
        self.0.effects.wanted
    }
}

impl<'a> Deref for RewriteContext<'a> {
    type Target = WriteContext<'a>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for RewriteContext<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// The effects of one transaction's part on one shard, in order, until they are journalled in one run.
pub struct Effects {
    wanted: bool,
    unrecorded: u64,
    run: RunBuilder,
}

impl Effects {
    /// A collector; where nobody wants effects it only counts them.
    pub fn new(wanted: bool) -> Effects {
        Effects {
            wanted,
            unrecorded: 0,
            run: RunBuilder::new(0, 1),
        }
    }

    /// Adds one.
    pub fn push(&mut self, db: DbIndex, args: &[&[u8]]) {
        if self.wanted {
            self.run.command(db.0, args);
        } else {
            self.unrecorded += 1;
        }
    }

    /// Adds one that a peer of level 0 can't run.
    pub fn push_own(&mut self, db: DbIndex, args: &[&[u8]]) {
        if self.wanted {
            self.run.command(db.0, args).extended_only();
        } else {
            self.unrecorded += 1;
        }
    }

    /// Whether effects are recorded at all.
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Whether nothing has an effect so far.
    pub fn is_empty(&self) -> bool {
        self.run.is_empty() && self.unrecorded == 0
    }

    /// Whether there are records to journal.
    pub(crate) fn has_records(&self) -> bool {
        !self.run.is_empty()
    }

    /// Appends everything to the journal as one run of transaction `txid` (0: none) over `shards` shards.
    pub(crate) fn journal(&mut self, journal: &mut Journal, txid: u64, shards: u16, now_ms: u64) {
        if self.has_records() {
            if txid != 0 {
                self.run.retag(txid, shards);
            }
            journal.append(&mut self.run, now_ms);
        } else if self.unrecorded > 0 {
            journal.skip(self.unrecorded);
        }
    }
}
