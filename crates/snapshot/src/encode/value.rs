//! Values: which encoding a value gets, and its bytes.

use super::elements::{HashForm, SetForm};
use super::primitives::{put_f64, put_int, put_len, put_raw_string, put_string};
use super::profile::Profile;
use crate::decode::{KeyMeta, LastUse};
use crate::number::{canonical_int, exact_int, score_text};
use crate::packed::{ListpackWriter, ZiplistWriter, put_intset};
use crate::wire::{KEY_MC_FLAGS, KEY_STICKY, NODE_PACKED, NODE_PLAIN, opcode, type_byte};

/// Collections of at most so many elements are packed (Redis 7.0's default limits).
const MAX_PACKED_ITEMS: usize = 128;
/// … if no element is longer.
const MAX_PACKED_BYTES: usize = 64;
/// Integer sets of at most so many members are intsets.
const MAX_INTSET: usize = 512;
/// A list node is closed when it would grow over this.
const MAX_NODE_BYTES: usize = 8192;
/// Room that an element takes in a node besides its bytes, at most.
const ELEMENT_OVERHEAD: usize = 11;

/// What stands before a value: the key and its properties.
#[derive(Debug, Clone, Copy, Default)]
pub struct EntryMeta<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Absolute expiry, Unix milliseconds.
    pub expire_ms: Option<i64>,
    /// Never to be evicted.
    pub sticky: bool,
    /// Memcache flags.
    pub mc_flags: Option<u32>,
    /// Its last use.
    pub used: LastUse,
}

impl<'a> EntryMeta<'a> {
    /// A key without further properties.
    pub fn new(key: &'a [u8]) -> EntryMeta<'a> {
        EntryMeta {
            key,
            ..EntryMeta::default()
        }
    }

    /// The same with an expiry.
    pub fn expiring(self, expire_ms: Option<i64>) -> EntryMeta<'a> {
        EntryMeta { expire_ms, ..self }
    }

    /// The same with its last use.
    pub fn used(self, used: LastUse) -> EntryMeta<'a> {
        EntryMeta { used, ..self }
    }

    /// Appends what is said of a key before its type.
    #[inline]
    fn put_properties(&self, out: &mut Vec<u8>) {
        if let Some(expire_ms) = self.expire_ms {
            out.push(opcode::EXPIRE_MS);
            out.extend_from_slice(&expire_ms.to_le_bytes());
        }
        match self.used {
            LastUse::Untold => {}
            LastUse::Idle(idle_s) => {
                out.push(opcode::IDLE);
                put_len(out, idle_s);
            }
            LastUse::Frequency(count) => out.extend([opcode::FREQ, count]),
        }
        if self.sticky || self.mc_flags.is_some() {
            put_own_properties(out, self);
        }
    }
}

/// What a value is written behind.
#[derive(Debug, Clone, Copy)]
pub enum Head<'a> {
    /// Expiry, last use, properties, type, key: an entry of a stream.
    Entry(&'a EntryMeta<'a>),
    /// The type byte only: a DUMP payload.
    Bare,
}

impl Head<'_> {
    /// Appends the head for a value of `type_byte`.
    #[inline]
    pub fn put(&self, out: &mut Vec<u8>, type_byte: u8) {
        let Head::Entry(meta) = self else {
            out.push(type_byte);
            return;
        };
        meta.put_properties(out);
        out.push(type_byte);
        put_string(out, meta.key);
    }
}

/// Appends the head of an entry whose value comes as bytes ([`Event::Entry`](crate::Event::Entry)); where the key stands in `out`.
#[inline]
pub fn put_split_head(out: &mut Vec<u8>, meta: &KeyMeta<'_>) -> std::ops::Range<usize> {
    let properties = EntryMeta {
        key: meta.key,
        expire_ms: meta.expire_ms,
        sticky: meta.sticky,
        mc_flags: meta.mc_flags,
        used: meta.used,
    };
    properties.put_properties(out);
    out.push(meta.type_byte);
    put_raw_string(out, meta.key);
    out.len() - meta.key.len()..out.len()
}

fn put_own_properties(out: &mut Vec<u8>, meta: &EntryMeta<'_>) {
    let mask = if meta.sticky { KEY_STICKY } else { 0 }
        | if meta.mc_flags.is_some() {
            KEY_MC_FLAGS
        } else {
            0
        };
    out.push(opcode::KEY_PROPERTIES);
    out.extend_from_slice(&mask.to_le_bytes());
    if let Some(flags) = meta.mc_flags {
        out.extend_from_slice(&flags.to_le_bytes());
    }
}

/// Writes values. Keeps scratch memory between values; one per stream.
#[derive(Debug)]
pub struct Encoder {
    profile: Profile,
    scratch: Vec<u8>,
}

impl Encoder {
    /// An encoder for readers of `profile`.
    pub fn new(profile: Profile) -> Encoder {
        Encoder {
            profile,
            scratch: Vec::new(),
        }
    }

    /// For whom it writes.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Writes a string.
    #[inline]
    pub fn string(&mut self, out: &mut Vec<u8>, head: Head<'_>, value: &[u8]) {
        head.put(out, type_byte::STRING);
        put_string(out, value);
    }

    /// Writes the string that is the decimal of `value`.
    pub fn int(&mut self, out: &mut Vec<u8>, head: Head<'_>, value: i64) {
        head.put(out, type_byte::STRING);
        put_int(out, value);
    }

    /// Writes a list in nodes of about 8 KiB.
    pub fn list<T: AsRef<[u8]>>(
        &mut self,
        out: &mut Vec<u8>,
        head: Head<'_>,
        items: impl Iterator<Item = T>,
    ) {
        self.scratch.clear();
        let (kind, nodes) = if self.profile.has_listpacks() {
            let nodes = list_nodes(&mut self.scratch, items, put_listpack_node);
            (type_byte::LIST_QUICKLIST_2, nodes)
        } else {
            let nodes = list_nodes(&mut self.scratch, items, put_ziplist_node);
            (type_byte::LIST_QUICKLIST, nodes)
        };
        head.put(out, kind);
        put_len(out, nodes);
        out.extend_from_slice(&self.scratch);
    }

    /// Writes a set of `len` members.
    pub fn set<T: AsRef<[u8]>>(
        &mut self,
        out: &mut Vec<u8>,
        head: Head<'_>,
        len: usize,
        members: impl Iterator<Item = T> + Clone,
    ) {
        if let Some(sorted) = integers(len, members.clone()) {
            self.scratch.clear();
            put_intset(&mut self.scratch, &sorted);
            head.put(out, type_byte::SET_INTSET);
            return put_raw_string(out, &self.scratch);
        }
        let packs = self.profile.has_set_listpacks() && len <= MAX_PACKED_ITEMS;
        if packs && self.pack_set(members.clone()) {
            head.put(out, type_byte::SET_LISTPACK);
            return put_raw_string(out, &self.scratch);
        }
        SetForm::Plain.put_beginning(out, head, len);
        members.for_each(|member| SetForm::Plain.put_member(out, member.as_ref(), None));
    }

    /// Writes a set of `len` members, the first of which expires at `first_expiry`: members, and when they expire, in seconds.
    /// What Redis reads can't say that: there the members are without a time, until an SREM takes them away.
    pub fn timed_set<T: AsRef<[u8]>>(
        &mut self,
        out: &mut Vec<u8>,
        head: Head<'_>,
        len: usize,
        first_expiry: i64,
        members: impl Iterator<Item = (T, Option<i64>)>,
    ) {
        let form = SetForm::new(self.profile, Some(first_expiry));
        form.put_beginning(out, head, len);
        for (member, expire_ms) in members {
            form.put_member(out, member.as_ref(), expire_ms);
        }
    }

    /// Writes a hash of `len` fields.
    pub fn hash<F: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        out: &mut Vec<u8>,
        head: Head<'_>,
        len: usize,
        pairs: impl Iterator<Item = (F, V)> + Clone,
    ) {
        if len <= MAX_PACKED_ITEMS && self.pack_hash(pairs.clone()) {
            let kind = if self.profile.has_listpacks() {
                type_byte::HASH_LISTPACK
            } else {
                type_byte::HASH_ZIPLIST
            };
            head.put(out, kind);
            return put_raw_string(out, &self.scratch);
        }
        head.put(out, type_byte::HASH);
        put_len(out, len as u64);
        for (field, value) in pairs {
            put_string(out, field.as_ref());
            put_string(out, value.as_ref());
        }
    }

    /// Writes a hash of `len` fields, the first of which expires at `first_expiry`: fields, values, and when they expire.
    /// What Redis reads before 7.4 can't say that: there the fields are without a time, until an HDEL takes them away.
    pub fn timed_hash<F: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        out: &mut Vec<u8>,
        head: Head<'_>,
        len: usize,
        first_expiry: i64,
        fields: impl Iterator<Item = (F, V, Option<i64>)>,
    ) {
        let form = HashForm::new(self.profile, Some(first_expiry));
        form.put_beginning(out, head, len);
        for (field, value, expire_ms) in fields {
            form.put_field(out, field.as_ref(), value.as_ref(), expire_ms);
        }
    }

    /// Writes a sorted set of `len` members, which come in ascending order of (score, member).
    pub fn zset<T: AsRef<[u8]>>(
        &mut self,
        out: &mut Vec<u8>,
        head: Head<'_>,
        len: usize,
        members: impl Iterator<Item = (T, f64)> + Clone,
    ) {
        if len <= MAX_PACKED_ITEMS && self.pack_zset(members.clone()) {
            let kind = if self.profile.has_listpacks() {
                type_byte::ZSET_LISTPACK
            } else {
                type_byte::ZSET_ZIPLIST
            };
            head.put(out, kind);
            return put_raw_string(out, &self.scratch);
        }
        head.put(out, type_byte::ZSET);
        put_len(out, len as u64);
        for (member, score) in members {
            put_string(out, member.as_ref());
            put_f64(out, score);
        }
    }

    /// Packs into `scratch`; false if an element is too long.
    fn pack_set<T: AsRef<[u8]>>(&mut self, mut members: impl Iterator<Item = T>) -> bool {
        let mut pack = Pack::begin(self.profile, &mut self.scratch);
        let fits = members.all(|member| pack.push(member.as_ref()));
        pack.end();
        fits
    }

    /// Packs into `scratch`; false if an element is too long.
    fn pack_hash<F: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        pairs: impl Iterator<Item = (F, V)>,
    ) -> bool {
        let mut pack = Pack::begin(self.profile, &mut self.scratch);
        for (field, value) in pairs {
            if !pack.push(field.as_ref()) || !pack.push(value.as_ref()) {
                return false;
            }
        }
        pack.end();
        true
    }

    fn pack_zset<T: AsRef<[u8]>>(&mut self, members: impl Iterator<Item = (T, f64)>) -> bool {
        let mut pack = Pack::begin(self.profile, &mut self.scratch);
        for (member, score) in members {
            if !pack.push(member.as_ref()) {
                return false;
            }
            pack.push_score(score);
        }
        pack.end();
        true
    }
}

/// A listpack or a ziplist in the making.
enum Pack<'a> {
    Listpack(ListpackWriter<'a>),
    Ziplist(ZiplistWriter<'a>),
}

impl<'a> Pack<'a> {
    fn begin(profile: Profile, scratch: &'a mut Vec<u8>) -> Pack<'a> {
        scratch.clear();
        if profile.has_listpacks() {
            Pack::Listpack(ListpackWriter::begin(scratch))
        } else {
            Pack::Ziplist(ZiplistWriter::begin(scratch))
        }
    }

    fn push(&mut self, element: &[u8]) -> bool {
        if element.len() > MAX_PACKED_BYTES {
            return false;
        }
        match self {
            Pack::Listpack(writer) => writer.push(element),
            Pack::Ziplist(writer) => writer.push(element),
        }
        true
    }

    fn push_score(&mut self, score: f64) {
        match (exact_int(score), self) {
            (Some(value), Pack::Listpack(writer)) => writer.push_int(value),
            (Some(value), Pack::Ziplist(writer)) => writer.push_int(value),
            (None, pack) => {
                pack.push(score_text(&mut zmij::Buffer::new(), score));
            }
        }
    }

    fn end(self) {
        match self {
            Pack::Listpack(writer) => writer.end(),
            Pack::Ziplist(writer) => writer.end(),
        }
    }
}

/// The sorted integers of a set that may be an intset.
fn integers<T: AsRef<[u8]>>(len: usize, members: impl Iterator<Item = T>) -> Option<Vec<i64>> {
    if len > MAX_INTSET {
        return None;
    }
    let mut sorted = Vec::new();
    for member in members {
        sorted.push(canonical_int(member.as_ref())?);
    }
    sorted.sort_unstable();
    Some(sorted)
}

/// Cuts `items` into nodes of at most [`MAX_NODE_BYTES`] (or one element) and returns how many.
fn list_nodes<T: AsRef<[u8]>>(
    out: &mut Vec<u8>,
    items: impl Iterator<Item = T>,
    put_node: fn(&mut Vec<u8>, &mut Node<T>),
) -> u64 {
    let mut node = Node {
        items: Vec::new(),
        bytes: 0,
    };
    let mut nodes = 0;
    for item in items {
        let bytes = item.as_ref().len() + ELEMENT_OVERHEAD;
        if !node.items.is_empty() && node.bytes + bytes > MAX_NODE_BYTES {
            put_node(out, &mut node);
            nodes += 1;
        }
        node.bytes += bytes;
        node.items.push(item);
    }
    if !node.items.is_empty() {
        put_node(out, &mut node);
        nodes += 1;
    }
    nodes
}

struct Node<T> {
    items: Vec<T>,
    bytes: usize,
}

fn put_listpack_node<T: AsRef<[u8]>>(out: &mut Vec<u8>, node: &mut Node<T>) {
    put_list_node(out, node.items.drain(..));
    node.bytes = 0;
}

/// Appends one node of a [`type_byte::LIST_QUICKLIST_2`]: raw if it is one large item, else a listpack.
pub(crate) fn put_list_node<T: AsRef<[u8]>>(out: &mut Vec<u8>, items: impl Iterator<Item = T>) {
    let mut items = items.peekable();
    let Some(first) = items.next() else { return };
    if items.peek().is_none() && first.as_ref().len() > MAX_NODE_BYTES {
        put_len(out, NODE_PLAIN);
        return put_raw_string(out, first.as_ref());
    }
    let mut blob = Vec::with_capacity(MAX_NODE_BYTES);
    let mut writer = ListpackWriter::begin(&mut blob);
    writer.push(first.as_ref());
    items.for_each(|item| writer.push(item.as_ref()));
    writer.end();
    put_len(out, NODE_PACKED);
    put_raw_string(out, &blob);
}

fn put_ziplist_node<T: AsRef<[u8]>>(out: &mut Vec<u8>, node: &mut Node<T>) {
    let mut blob = Vec::with_capacity(node.bytes + 12);
    let mut writer = ZiplistWriter::begin(&mut blob);
    node.items
        .iter()
        .for_each(|item| writer.push(item.as_ref()));
    writer.end();
    put_raw_string(out, &blob);
    node.items.clear();
    node.bytes = 0;
}
