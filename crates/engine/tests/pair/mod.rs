//! Two shards without threads: commands run on one, their effects are replayed on the other.

#![allow(dead_code)]

use damselfly_engine::CommandTable;
use damselfly_engine::core::{ShardCore, Step};
use damselfly_engine::digest::{Strictness, of_shards};
use damselfly_journal::{
    JournalOptions, Lsn, Record, RecordDecoder, RecordLimits, RecordWriter, StreamLevel,
};
use damselfly_replication::TransactionPart;
use damselfly_resp::{Proto, ReplyWriter};
use damselfly_store::DbIndex;

const DBNUM: u16 = 2;
/// The time that both shards see, in Unix milliseconds.
pub const NOW: i64 = 1_700_000_000_000;

/// A command line as a record holds it.
pub type Line = Vec<Vec<u8>>;

/// A primary's shard and a replica's.
pub struct Pair {
    table: CommandTable,
    pub primary: ShardCore,
    pub replica: ShardCore,
    replayed: Lsn,
}

impl Pair {
    /// Two empty shards whose random choices differ.
    pub fn new(seed: u64) -> Pair {
        let mut primary = ShardCore::new(0, DBNUM, seed, JournalOptions::default());
        primary.journal.keep_backlog(true);
        let mut replica = ShardCore::new(0, DBNUM, seed ^ 0x5555_5555, JournalOptions::default());
        replica.is_replica = true;
        (primary.space.now, replica.space.now) = (NOW, NOW);
        let table = CommandTable::new(damselfly_engine::families::ALL);
        Pair {
            table,
            primary,
            replica,
            replayed: Lsn::FIRST,
        }
    }

    /// The encoded reply of the primary.
    pub fn reply(&mut self, args: &[&[u8]], proto: Proto) -> Vec<u8> {
        let row = self.table.resolve(args).expect("the command exists");
        assert!(row.accepts(args.len()), "the arity of {}", row.name);
        let keys = row.keys.positions(args).unwrap_or_default();
        let mut reply = Vec::new();
        let mut out = ReplyWriter::new(&mut reply, proto);
        let step = self
            .primary
            .try_command(row, DbIndex(0), args, &keys, &mut out);
        assert_eq!(step, Step::Done);
        reply
    }

    /// The reply to a line of words, as text with blanks for line ends.
    pub fn call(&mut self, line: &str) -> String {
        self.call_in(line, Proto::Resp2)
    }

    /// The same in RESP3.
    pub fn call3(&mut self, line: &str) -> String {
        self.call_in(line, Proto::Resp3)
    }

    fn call_in(&mut self, line: &str, proto: Proto) -> String {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let reply = self.reply(&args, proto);
        reply
            .escape_ascii()
            .to_string()
            .replace("\\r\\n", " ")
            .trim_end()
            .to_owned()
    }

    /// The primary's records since the last call, after the replica has executed them.
    pub fn replay(&mut self) -> Vec<Line> {
        let next = self.primary.journal.next_lsn();
        let mut writer = RecordWriter::stable(StreamLevel::Extended);
        let mut wire = Vec::new();
        let runs = self.primary.journal.read_from(self.replayed);
        for run in runs.expect("nothing has left the backlog") {
            writer.run_from(&mut wire, run, self.replayed);
        }
        writer.end_write(&mut wire);
        self.replayed = next;
        let lines = decode(&wire);
        for (db, line) in &lines {
            self.execute(*db, line);
        }
        lines.into_iter().map(|(_, line)| line).collect()
    }

    /// [`Pair::replay`], each record as one line of text.
    pub fn effects(&mut self) -> Vec<String> {
        let text = |line: Line| {
            let words: Vec<String> = line
                .iter()
                .map(|word| word.escape_ascii().to_string())
                .collect();
            words.join(" ")
        };
        self.replay().into_iter().map(text).collect()
    }

    fn execute(&mut self, db: u16, line: &Line) {
        let mut part = TransactionPart::new();
        part.start(0, 1, None);
        part.push_command(db, line.iter().map(Vec::as_slice));
        let applied = self
            .replica
            .try_apply(&self.table, &part)
            .expect("nothing holds it up");
        if let Err(error) = applied {
            panic!("{error}");
        }
    }

    /// Executes a line of words on the replica, as a record of some primary.
    pub fn apply(&mut self, line: &str) {
        let line = line.split(' ').map(|word| word.as_bytes().to_vec());
        self.execute(0, &line.collect());
    }

    /// The replica's reply to a line of words, as [`Pair::call`] gives it.
    pub fn replica_call(&mut self, line: &str) -> String {
        std::mem::swap(&mut self.primary, &mut self.replica);
        let reply = self.call(line);
        std::mem::swap(&mut self.primary, &mut self.replica);
        reply
    }

    /// Fails unless both shards hold the same, expiry times included.
    pub fn assert_equal(&self) {
        let digest = |core: &ShardCore| of_shards(std::iter::once(core), DBNUM, Strictness::Strict);
        assert_eq!(
            digest(&self.primary).to_string(),
            digest(&self.replica).to_string()
        );
    }
}

fn decode(wire: &[u8]) -> Vec<(u16, Line)> {
    let mut decoder = RecordDecoder::stable(StreamLevel::Extended, RecordLimits::default());
    decoder.feed(wire);
    let mut lines = Vec::new();
    let mut db = 0;
    while let Some(record) = decoder.next().expect("our own records are valid") {
        match record {
            Record::Select { db: selected } => db = selected,
            Record::Command { args, .. } => {
                lines.push((db, args.iter().map(<[u8]>::to_vec).collect()))
            }
            _ => {}
        }
    }
    lines
}
