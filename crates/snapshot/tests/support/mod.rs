//! What the tests share: values gathered from events.
#![allow(dead_code)]

pub mod server;

use damselfly_snapshot::{
    Checksum, ChunkId, Event, KeyMeta, LastUse, Part, RdbDecoder, RdbError, StreamPart, ValueKind,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A value, comparable.
#[derive(Debug, Clone, PartialEq)]
pub enum Model {
    Str(Vec<u8>),
    List(Vec<Vec<u8>>),
    Set(BTreeSet<Vec<u8>>),
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    ZSet(BTreeMap<Vec<u8>, f64>),
    Opaque(Vec<u8>),
    Stream(Vec<String>),
}

impl Model {
    fn empty(kind: ValueKind) -> Model {
        match kind {
            ValueKind::Str => Model::Str(Vec::new()),
            ValueKind::List => Model::List(Vec::new()),
            ValueKind::Set | ValueKind::SetExpiry => Model::Set(BTreeSet::new()),
            ValueKind::Hash | ValueKind::HashExpiry => Model::Hash(BTreeMap::new()),
            ValueKind::ZSet => Model::ZSet(BTreeMap::new()),
            ValueKind::Stream => Model::Stream(Vec::new()),
            _ => Model::Opaque(Vec::new()),
        }
    }

    fn add(&mut self, part: Part<'_>) {
        match (self, part) {
            (Model::Str(text), Part::Str(bytes)) | (Model::Opaque(text), Part::Opaque(bytes)) => {
                text.extend_from_slice(bytes)
            }
            // What the first form lacks is left out.
            (Model::Stream(parts), Part::Stream(StreamPart::Totals(totals))) => {
                parts.push(format!("Totals {} {:?}", totals.length, totals.last_id));
            }
            (Model::Stream(parts), Part::Stream(part)) => parts.push(format!("{part:?}")),
            (Model::List(items), Part::Item(item)) => items.push(item.to_vec()),
            (Model::Set(members), Part::Member(member) | Part::MemberExpiring { member, .. }) => {
                assert!(members.insert(member.to_vec()))
            }
            (
                Model::Hash(fields),
                Part::Field { field, value } | Part::FieldExpiring { field, value, .. },
            ) => {
                assert!(fields.insert(field.to_vec(), value.to_vec()).is_none())
            }
            (Model::ZSet(members), Part::Scored { member, score }) => {
                assert!(members.insert(member.to_vec(), score).is_none())
            }
            (model, part) => panic!("{part:?} in {model:?}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub value: Model,
    pub type_byte: u8,
    pub expire_ms: Option<i64>,
    pub sticky: bool,
    pub mc_flags: Option<u32>,
    pub has_member_expiry: bool,
    pub used: LastUse,
    pub chunked: bool,
}

/// Everything that a stream said.
#[derive(Debug, Default)]
pub struct Collected {
    pub version: u16,
    pub aux: Vec<(Vec<u8>, Vec<u8>)>,
    pub entries: BTreeMap<(u32, Vec<u8>), Entry>,
    open: HashMap<Option<ChunkId>, (u32, Vec<u8>, Entry)>,
    pub journal: Vec<u8>,
    pub cuts: usize,
    pub offset: Option<u64>,
    pub eof: Option<Checksum>,
    pub events: usize,
}

impl Collected {
    pub fn take(&mut self, event: Event<'_>) {
        self.events += 1;
        match event {
            Event::Header(format) => self.version = format.version,
            Event::Aux { key, value } => self.aux.push((key.to_vec(), value.to_vec())),
            Event::Key(meta) => self.begin(meta),
            Event::Part { stream, part } => {
                let entry = &mut self
                    .open
                    .get_mut(&stream)
                    .expect("a part belongs to a key")
                    .2;
                entry.has_member_expiry |= matches!(
                    part,
                    Part::FieldExpiring { .. } | Part::MemberExpiring { .. }
                );
                entry.value.add(part);
            }
            Event::KeyEnd { stream } => {
                let (db, key, entry) = self.open.remove(&stream).expect("an end belongs to a key");
                let before = self.entries.insert((db, key.clone()), entry);
                assert!(before.is_none(), "{} twice", String::from_utf8_lossy(&key));
            }
            Event::JournalBlob { entries, records } => {
                assert_eq!(entries, 1);
                self.journal.extend_from_slice(records);
            }
            Event::FullSyncCut => self.cuts += 1,
            Event::JournalOffset(lsn) => self.offset = Some(lsn),
            Event::Eof(checksum) => self.eof = Some(checksum),
            _ => {}
        }
    }

    fn begin(&mut self, meta: KeyMeta<'_>) {
        let entry = Entry {
            value: Model::empty(meta.kind),
            type_byte: meta.type_byte,
            expire_ms: meta.expire_ms,
            sticky: meta.sticky,
            mc_flags: meta.mc_flags,
            has_member_expiry: false,
            used: meta.used,
            chunked: meta.stream.is_some(),
        };
        let before = self
            .open
            .insert(meta.stream, (meta.db, meta.key.to_vec(), entry));
        assert!(before.is_none(), "a key inside a key");
    }
}

/// Decodes `stream` in pieces whose sizes `piece` gives; returns what it said and what stands after the trailer.
pub fn decode(
    stream: &[u8],
    mut piece: impl FnMut() -> usize,
) -> Result<(Collected, Vec<u8>), RdbError> {
    let mut decoder = RdbDecoder::default();
    let mut collected = Collected::default();
    let mut at = 0;
    while at < stream.len() && !decoder.is_ended() {
        let end = (at + piece().max(1)).min(stream.len());
        decoder.feed(&stream[at..end]);
        at = end;
        while let Some(event) = decoder.next()? {
            collected.take(event);
        }
    }
    let mut rest = decoder.take_rest();
    rest.extend_from_slice(&stream[at..]);
    Ok((collected, rest))
}

/// A small generator of piece sizes, from a seed.
pub fn pieces(seed: u64, max: usize) -> impl FnMut() -> usize {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        1 + (state % max as u64) as usize
    }
}
