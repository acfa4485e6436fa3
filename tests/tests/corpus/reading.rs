//! What a file says, comparable; read in one go, and as a file is loaded on several threads.

use std::collections::BTreeMap;

use damselfly_snapshot::{
    Assembled, Assembler, Event, Format, Limits, Part, RdbDecoder, RdbError, StreamPart,
    put_select, put_split_head,
};
use damselfly_store::Value;

/// What stands under a key: what it is, when it expires, and its parts; sorted where their order says nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Held {
    pub expire_ms: Option<i64>,
    pub parts: Vec<String>,
    ordered: bool,
}

pub type Contents = BTreeMap<(u32, String), Held>;

/// Keys, and what was said of modules and functions.
#[derive(Debug, Default, PartialEq)]
pub struct Told {
    pub keys: Contents,
    pub others: Vec<String>,
    open: Option<((u32, String), Held)>,
}

pub fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

impl Told {
    fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Key(meta) => {
                let held = Held {
                    expire_ms: meta.expire_ms,
                    ..Held::default()
                };
                self.open = Some(((meta.db, shown(meta.key)), held));
            }
            Event::Text { meta, value } => {
                let held = Held {
                    expire_ms: meta.expire_ms,
                    parts: vec![shown(value)],
                    ordered: true,
                };
                self.keys.insert((meta.db, shown(meta.key)), held);
            }
            Event::Part { part, .. } => {
                let (_, held) = self.open.as_mut().expect("a part of something");
                let (text, ordered) = part_text(part);
                held.parts.push(text);
                held.ordered |= ordered;
            }
            Event::KeyEnd { .. } => {
                let (key, mut held) = self.open.take().expect("an end of something");
                if !held.ordered {
                    held.parts.sort();
                }
                self.keys.insert(key, held);
            }
            Event::Aux { key, value } => {
                self.others.push(format!("{}={}", shown(key), shown(value)))
            }
            Event::ModuleAux(module) => self.others.push(format!("module {module}")),
            Event::Function(code) => self.others.push(format!("function {}", shown(code))),
            _ => {}
        }
    }
}

/// A part as text, and whether its place among others says something.
fn part_text(part: &Part<'_>) -> (String, bool) {
    let text = match part {
        Part::Str(text) | Part::Item(text) | Part::Opaque(text) => return (shown(text), true),
        Part::Stream(StreamPart::Node { id, listpack }) => {
            return (format!("node {id:?} {}", shown(listpack)), true);
        }
        Part::Stream(part) => return (format!("{part:?}"), true),
        Part::Member(member) => shown(member),
        Part::Field { field, value } => format!("{}={}", shown(field), shown(value)),
        Part::Scored { member, score } => format!("{}={score}", shown(member)),
        Part::FieldExpiring {
            field,
            value,
            expire_ms,
        } => format!("{}={} until {expire_ms}", shown(field), shown(value)),
        Part::MemberExpiring { member, expire_ms } => {
            format!("{} until {expire_ms}", shown(member))
        }
    };
    (text, false)
}

/// Everything a file says, fed in pieces of this size.
pub fn read(file: &[u8], piece: usize) -> Result<Told, RdbError> {
    let mut told = Told::default();
    let mut decoder = RdbDecoder::default();
    for piece in file.chunks(piece) {
        decoder.feed(piece);
        while let Some(event) = decoder.next()? {
            told.take(&event);
        }
    }
    if !decoder.is_ended() {
        told.others.push("cut".into());
    }
    Ok(told)
}

/// The same by two decoders: one that finds the ends of entries, of many at once if `runs`, and one that gets their bytes.
pub fn read_split(file: &[u8], piece: usize, runs: bool) -> Result<Told, RdbError> {
    let mut told = Told::default();
    let mut outer = RdbDecoder::splitting(Limits::default());
    let inner_of = |format| {
        let decoder = RdbDecoder::of_entries(Limits::default(), format);
        if runs {
            decoder.with_whole_strings()
        } else {
            decoder
        }
    };
    let mut inner = inner_of(Format::default());
    if runs {
        outer = outer.in_runs();
    }
    let mut bytes = Vec::new();
    for piece in file.chunks(piece) {
        outer.feed(piece);
        while let Some(event) = outer.next()? {
            match event {
                Event::Header(format) => {
                    inner = inner_of(format);
                }
                Event::Run {
                    db,
                    bytes: run,
                    entries,
                    ..
                } => {
                    put_select(&mut bytes, db);
                    for entry in entries {
                        bytes.extend_from_slice(&run[entry.range()]);
                    }
                }
                Event::Entry { meta, .. } => {
                    put_select(&mut bytes, meta.db);
                    put_split_head(&mut bytes, &meta);
                }
                Event::Value { bytes: more, .. } => bytes.extend_from_slice(more),
                other => told.take(&other),
            }
        }
        inner.feed_buffer(&mut bytes);
        while let Some(event) = inner.next()? {
            told.take(&event);
        }
    }
    if !outer.is_ended() {
        told.others.push("cut".into());
    }
    Ok(told)
}

/// A key with its value, as the store has it.
pub struct Entry {
    pub db: u32,
    pub key: Vec<u8>,
    pub value: Value,
    pub expire_ms: Option<i64>,
}

/// All values of a file, as the store has them; modules are passed over.
pub fn values(file: &[u8]) -> Result<Vec<Entry>, String> {
    let mut decoder = RdbDecoder::default();
    let mut assembler = Assembler::new(true);
    let mut entries = Vec::new();
    for piece in file.chunks(4096) {
        decoder.feed(piece);
        while let Some(event) = decoder.next().map_err(|error| error.to_string())? {
            let assembled = assembler.take(&event).map_err(|error| error.to_string())?;
            if let Some(Assembled::Entry {
                db,
                key,
                value,
                expire_ms,
                ..
            }) = assembled
            {
                entries.push(Entry {
                    db,
                    key: key.to_vec(),
                    value,
                    expire_ms,
                });
            }
        }
    }
    Ok(entries)
}
