//! Any commands out of the command table, on a primary's shard: no panic, and what they recorded, executed on a replica's
//! shard with another clock, gives the same contents.
#![no_main]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::LazyLock;

use damselfly_engine::core::{ShardCore, Step};
use damselfly_engine::digest::{Digest, Strictness};
use damselfly_engine::replication::TransactionPart;
use damselfly_engine::resp::{Proto, ReplyWriter};
use damselfly_engine::store::DbIndex;
use damselfly_engine::{Command, CommandTable, Handler, families};
use damselfly_journal::{
    Consumer, JournalOptions, Record, RecordDecoder, RecordLimits, RecordWriter, Run, StreamLevel,
};
use libfuzzer_sys::fuzz_target;

const DATABASES: u16 = 2;
/// A moment in 2026.
const START_MS: i64 = 1_795_000_000_000;
/// To the replica, everything that expires has expired.
const REPLICA_AHEAD_MS: i64 = 1_000 * 365 * 86_400_000;
/// A command has at most so many arguments.
const MAX_ARGS: usize = 8;

/// Commands whose replies or values are as long as an argument says.
const UNBOUNDED: [&str; 4] = ["setrange", "srandmember", "hrandfield", "zrandmember"];

/// What arguments are made of, beside any bytes.
#[rustfmt::skip]
const WORDS: [&[u8]; 64] = [
    b"a", b"b", b"c", b"d", b"e", b"f", b"", b"0", b"1", b"-1", b"2", b"3", b"10", b"100", b"1000", b"0.5", b"-0", b"inf", b"-inf", b"nan", b"1e300", b"1e-300",
    b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"1795000000", b"1795000000000", b"4000000000000", b"(1", b"[a", b"(a", b"-", b"+", b"*",
    b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR", b"GET", b"EX", b"PX", b"EXAT", b"PXAT", b"KEEPTTL", b"PERSIST", b"REPLACE", b"DB", b"ABSTTL", b"WITHSCORES", b"WEIGHTS",
    b"AGGREGATE", b"MAX", b"LIMIT", b"BYSCORE", b"BYLEX", b"REV", b"LEFT", b"RIGHT", b"BEFORE", b"AFTER", b"COUNT", b"MATCH",
];

static TABLE: LazyLock<CommandTable> = LazyLock::new(|| CommandTable::new(families::ALL));
static ROWS: LazyLock<Vec<&'static Command>> = LazyLock::new(|| {
    let rows = TABLE
        .rows()
        .iter()
        .copied()
        .flat_map(|row| std::iter::once(row).chain(row.subcommands));
    let on_a_shard = |row: &&Command| {
        matches!(
            row.handler,
            Handler::Read(_) | Handler::Write(_) | Handler::Rewrite(_) | Handler::Global(_)
        )
    };
    rows.filter(on_a_shard)
        .filter(|row| !UNBOUNDED.contains(&row.name))
        .collect()
});

#[derive(Clone, Default)]
struct Records(Rc<RefCell<Vec<Rc<Run>>>>);

impl Consumer for Records {
    fn on_run(&mut self, run: &Rc<Run>) {
        self.0.borrow_mut().push(run.clone());
    }
}

struct Pair {
    primary: ShardCore,
    replica: ShardCore,
    records: Records,
    writer: RecordWriter,
    decoder: RecordDecoder,
}

impl Pair {
    fn new() -> Pair {
        let shard = |seed| ShardCore::new(0, DATABASES, seed, JournalOptions::default());
        let mut pair = Pair {
            primary: shard(1),
            replica: shard(2),
            records: Records::default(),
            writer: RecordWriter::stable(StreamLevel::Reference),
            decoder: RecordDecoder::stable(StreamLevel::Reference, RecordLimits::default()),
        };
        pair.primary.space.now = START_MS;
        pair.primary
            .journal
            .add_consumer(Box::new(pair.records.clone()));
        pair.replica.is_replica = true;
        pair
    }

    fn run(&mut self, row: &'static Command, db: DbIndex, args: &[&[u8]]) {
        let Ok(keys) = row.keys.positions(args) else {
            return;
        };
        let mut reply = Vec::new();
        let step = self.primary.try_command(
            row,
            db,
            args,
            &keys,
            &mut ReplyWriter::new(&mut reply, Proto::Resp2),
        );
        assert!(
            step == Step::Done && !reply.is_empty(),
            "{} does not answer",
            row.name
        );
    }

    fn replay(&mut self) {
        let mut wire = Vec::new();
        for run in self.records.0.borrow_mut().drain(..) {
            self.writer.run(&mut wire, &run);
        }
        self.decoder.feed(&wire);
        self.replica.space.now = self.primary.space.now + REPLICA_AHEAD_MS;
        loop {
            let db = self.decoder.db();
            let Some(record) = self.decoder.next().expect("the stream is our own") else {
                return;
            };
            let Record::Command { args, .. } = record else {
                continue;
            };
            let mut part = TransactionPart::new();
            part.start(0, 1, None);
            part.push_command(db, args.iter());
            let applied = self
                .replica
                .try_apply(&TABLE, &part)
                .expect("nothing holds it up");
            applied.unwrap_or_else(|error| panic!("{args:?}: {error}"));
        }
    }
}

fn contents(core: &ShardCore) -> BTreeMap<(u16, Vec<u8>), (String, Option<i64>)> {
    let mut found = BTreeMap::new();
    for db in 0..DATABASES {
        let mut cursor = 0;
        loop {
            cursor = core.space.store.scan(DbIndex(db), cursor, &mut |entry| {
                let digest = Digest::of_value(entry.value(), None, Strictness::Strict);
                found.insert(
                    (db, entry.key().to_vec()),
                    (digest.to_string(), entry.expire_at()),
                );
            });
            if cursor == 0 {
                break;
            }
        }
    }
    found
}

/// Row, database and passing time, arguments: a word's number, or any bytes.
type Call = (u8, u8, Vec<Result<u8, Vec<u8>>>);

fuzz_target!(|calls: Vec<Call>| {
    let mut pair = Pair::new();
    for (row, choice, args) in &calls {
        let row = ROWS[usize::from(*row) % ROWS.len()];
        pair.primary.space.now += i64::from(choice >> 1) * 7;
        let word = |arg: &'_ Result<u8, Vec<u8>>| match arg {
            Ok(word) => WORDS[usize::from(*word) % WORDS.len()].to_vec(),
            Err(bytes) => bytes.clone(),
        };
        let words: Vec<Vec<u8>> = args.iter().take(MAX_ARGS).map(word).collect();
        let mut all: Vec<&[u8]> = vec![row.name.as_bytes()];
        all.extend(words.iter().map(Vec::as_slice));
        if row.accepts(all.len()) {
            pair.run(row, DbIndex(u16::from(choice & 1)), &all);
        }
    }
    pair.replay();
    assert_eq!(contents(&pair.primary), contents(&pair.replica));
});
