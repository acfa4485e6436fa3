//! Streams of a primary that does not exist, made with the writers of the real one: good ones, to be damaged.

use damselfly_journal::{Journal, JournalOptions, Lsn, RecordWriter, RunBuilder, StreamLevel};
use damselfly_snapshot::{
    Encoder, EntryMeta, Head, Profile, RdbWriter, put_cut, put_journal_offset,
};
use damselfly_tests::{FakeFlow, FakeLink};

/// The primary's replication id.
pub const REPLID: &str = "0123456789abcdef0123456789abcdef01234567";
/// The EOF token of every flow.
pub const TOKEN: &str = "fedcba9876543210fedcba9876543210fedcba98";
/// The LSN of the first record of every flow.
pub const FIRST: u64 = 7;
/// Keys of the full sync, on each flow.
const KEYS: usize = 40;

/// Records of one transaction on one flow: txid, shards, commands with their databases.
pub type Run<'a> = (u64, u16, &'a [(u16, &'a str)]);

/// What is to be said in a stream.
#[derive(Clone)]
pub struct Flow {
    /// The extension level of the primary; 0 is Dragonfly.
    pub level: u8,
    /// Its index.
    pub index: usize,
}

impl Flow {
    fn stream_level(&self) -> StreamLevel {
        StreamLevel::from_announced(u64::from(self.level))
    }

    /// A full sync of some keys of several types; `more` writes what else stands before the cut.
    pub fn full(&self, more: impl FnOnce(&mut Vec<u8>)) -> FakeFlow {
        let mut rdb = RdbWriter::new();
        rdb.header(&[
            (b"redis-ver", b"6.2.11"),
            (b"shard-id", self.index.to_string().as_bytes()),
        ]);
        rdb.select(0);
        put_keys(rdb.buffer(), self.index);
        more(rdb.buffer());
        put_cut(rdb.buffer());
        let full = rdb.take();
        put_journal_offset(rdb.buffer(), FIRST);
        rdb.end();
        let mut tail = rdb.take();
        if self.level == 0 {
            // Dragonfly computes none.
            let crc = tail.len() - 8;
            tail[crc..].fill(0);
        }
        tail.extend_from_slice(TOKEN.as_bytes());
        FakeFlow {
            full,
            stable: tail,
            ..FakeFlow::granted("FULL", TOKEN)
        }
    }

    /// Records as they follow the tail; each run is a gathered write of its own.
    pub fn records(&self, runs: &[Run<'_>]) -> Vec<u8> {
        let mut journal = Journal::new(JournalOptions::default());
        let mut writer = RecordWriter::stable(self.stream_level());
        let mut out = Vec::new();
        for (txid, shards, commands) in runs {
            let mut run = RunBuilder::new(*txid, *shards);
            for (db, line) in *commands {
                run.command(*db, &line.split(' ').map(str::as_bytes).collect::<Vec<_>>());
            }
            writer.run(&mut out, &journal.append(&mut run, 0));
            writer.end_write(&mut out);
        }
        out
    }

    /// An LSN record: the number of the record written last.
    pub fn lsn(&self, last: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = RecordWriter::stable(self.stream_level());
        writer.lsn(&mut out, Lsn(last));
        writer.end_write(&mut out);
        out
    }
}

/// Strings, a list and a hash, whose keys tell the flow.
fn put_keys(out: &mut Vec<u8>, flow: usize) {
    let mut encoder = Encoder::new(Profile::Flow);
    for number in 0..KEYS {
        let key = format!("flow{flow}:{number}");
        let meta = EntryMeta::new(key.as_bytes());
        let value = format!("value {number} ").repeat(number + 1);
        match number % 3 {
            0 => encoder.string(out, Head::Entry(&meta), value.as_bytes()),
            1 => encoder.list(out, Head::Entry(&meta), value.split(' ')),
            _ => encoder.hash(
                out,
                Head::Entry(&meta),
                2,
                [("f", &*value), ("g", "1")].into_iter(),
            ),
        }
    }
}

/// A link of two flows at this level; `change` may damage what they say.
pub fn link(level: u8, change: impl FnOnce(&mut FakeLink)) -> FakeLink {
    let flows = (0..2)
        .map(|index| Flow { level, index }.full(|_| {}))
        .collect();
    let mut link = FakeLink::new(REPLID, 1, (level > 0).then_some(level), flows);
    change(&mut link);
    link
}

/// A good link with these bytes before the cut of flow 0.
pub fn link_with(level: u8, before_cut: &[u8]) -> FakeLink {
    link(level, |link| {
        link.flows[0] = Flow { level, index: 0 }.full(|out| out.extend_from_slice(before_cut))
    })
}

/// A good link with these bytes behind the tail of flow 0.
pub fn link_then(level: u8, records: &[u8]) -> FakeLink {
    link(level, |link| {
        link.flows[0].stable.extend_from_slice(records)
    })
}
