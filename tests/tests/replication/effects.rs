//! Every write command of the table under everything that may happen to it at once: elements and keys expire, memory is short
//! and keys give way, transactions stand between, and the link breaks again and again, at any byte. Whatever the replica
//! executed, and however often it came back to where it was: in the end both hold the same.

use std::collections::BTreeMap;

use damselfly_engine::{CommandTable, families};
use damselfly_resp::Reply;
use damselfly_tests::commands::{
    Compare, Family, Generator, NEWER_WRITES, RANDOM_WRITES, ROWS, Row, Words,
};
use damselfly_tests::{Args, Client, Direction, FaultProxy, Rng, Server, eventually, words};

use crate::pair::{DEADLINE, follow, psync, settle, synced};

/// What empties databases: once in each round, while the link is cut.
const EMPTIES: [&str; 2] = ["FLUSHALL", "FLUSHDB"];
/// Commands of a round, before the cut and behind it.
const COMMANDS: usize = 600;
/// Runs of some more commands, at most, until each has succeeded.
const MORE_RUNS: usize = 100;
/// Commands that are sent together.
const BATCH: usize = 24;

/// What the other tables leave out: times that pass meanwhile, and what fills the memory.
#[rustfmt::skip]
static MORE_ROWS: &[Row] = &[
    write("SET <string> <value> PX (1|10|100|1000)"),
    write("PEXPIRE <any> (1|10|100|1000)"),
    write("EXPIRE <any> 1"),
    write("EXPIREAT <any> (1|9000000000)"),
    write("PERSIST <any>"),
    write("GETEX <string> (PX (1|100)|PERSIST)"),
    write("HPEXPIRE <hash> (1|10|100|1000) FIELDS 3 <member> <member> <member>"),
    write("HEXPIREAT <hash> 9000000000 FIELDS 3 <member> <member> <member>"),
    write("SADDEX <set> 1 <member> <member>"),
    write("FIELDEXPIRE (<set>|<hash>) 1 <member> <member>"),
    write("MOVE <any> <db>"),
    write("COPY <any> <any> (REPLACE|DB <db>)*"),
    write("SET filler:<int> <value>"),
    write("XGROUP CREATE <stream> <group> 0"),
    write("XGROUP (DELCONSUMER|CREATECONSUMER) <stream> <group> <consumer>"),
    write("XREADGROUP GROUP <group> <consumer> STREAMS <stream> >"),
    write("XSETID <stream> 9000000-0"),
];

const fn write(template: &'static str) -> Row {
    Row {
        family: Family::Keys,
        weight: 8,
        write: true,
        compare: Compare::Exact,
        template,
    }
}

/// Writes of all kinds.
struct Writer {
    client: Client,
    generator: Generator,
    table: CommandTable,
    rng: Rng,
}

impl Writer {
    fn new(server: &Server, seed: u64) -> Writer {
        let rows = ROWS.iter().chain(RANDOM_WRITES).chain(NEWER_WRITES);
        let words = Words {
            members: 40,
            value_bytes: 2_000,
            ..Words::tame("", 12)
        };
        Writer {
            client: server.client(),
            generator: Generator::new(rows.chain(MORE_ROWS), words),
            table: CommandTable::new(families::ALL),
            rng: Rng::new(seed),
        }
    }

    /// A write command, none that leaves nothing to compare.
    fn draw(&mut self) -> Args {
        loop {
            let args = self.generator.draw(&mut self.rng).1;
            let words: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            let row = self.table.resolve(&words);
            let flushes = args[0].starts_with(b"FLUSH");
            if row.is_some_and(|row| row.is_write()) && !flushes {
                return args;
            }
        }
    }

    fn run(&mut self, commands: usize) {
        for _ in 0..commands / BATCH {
            let mut batch: Vec<Args> = (0..BATCH).map(|_| self.draw()).collect();
            if self.rng.percent(30) {
                batch.insert(0, words("MULTI"));
                batch.push(words("EXEC"));
            }
            let db = if self.rng.percent(80) {
                0
            } else {
                self.rng.below(4)
            };
            batch.insert(0, words(&format!("SELECT {db}")));
            self.client.pipeline(&batch).expect("answers");
            self.restore();
        }
    }

    /// DUMP of some key, and RESTORE of that as another.
    fn restore(&mut self) {
        let Some(key) = self.client.call("RANDOMKEY").as_text().map(<[u8]>::to_vec) else {
            return;
        };
        let payload = self
            .client
            .try_call(&[&b"DUMP"[..], &key])
            .expect("an answer");
        if let Some(payload) = payload.as_text() {
            let name = format!("restored:{}", self.rng.below(8));
            let restore = *self.rng.pick(&["RESTORE", "RESTORE-ASKING"]);
            let ttl = *self.rng.pick(&["0", "50", "100000"]);
            let line: [&[u8]; 5] = [
                restore.as_bytes(),
                name.as_bytes(),
                ttl.as_bytes(),
                payload,
                b"REPLACE",
            ];
            self.client.try_call(&line).expect("an answer");
        }
    }
}

/// How often which command succeeded.
fn succeeded(client: &mut Client) -> BTreeMap<String, u64> {
    let stats = client.info("commandstats").into_iter();
    let count = |(name, figures): (String, String)| {
        let field = |wanted: &str| {
            let found = figures
                .split(',')
                .find_map(|figure| figure.strip_prefix(wanted));
            found.expect("the field").parse::<u64>().expect("a number")
        };
        let failed = field("failed_calls=") + field("rejected_calls=");
        let name = name
            .strip_prefix("cmdstat_")
            .expect("the prefix")
            .to_owned();
        (name, field("calls=").saturating_sub(failed))
    };
    stats.map(count).collect()
}

fn figure(client: &mut Client, name: &str) -> u64 {
    client.info("stats")[name].parse().expect("a number")
}

fn replicates_through_cuts(shards: (usize, usize), seed: u64) {
    let threads = format!("--proactor_threads={}", shards.0);
    let memory = ["--maxmemory=80000", "--maxmemory_policy=allkeys-lru"];
    let primary = Server::start(&[&threads, memory[0], memory[1]]);
    let replica = Server::with_shards(shards.1);
    let network = FaultProxy::new(primary.address());
    let mut writer = Writer::new(&primary, seed);
    // Something for the full sync, too.
    writer.run(COMMANDS);
    follow(&replica, network.address());
    synced(&replica);
    for (round, empty) in (0..).zip(EMPTIES) {
        let direction = *writer
            .rng
            .pick(&[Direction::FromTarget, Direction::ToTarget]);
        network.cut_after(direction, writer.rng.below(60_000));
        writer.run(COMMANDS);
        network.cut_never();
        network.refuse(true);
        network.cut_all();
        writer.client.ok(empty);
        writer.run(COMMANDS);
        network.refuse(false);
        eventually(DEADLINE, "a partial sync", || {
            psync(&replica).successes > round
        });
        synced(&replica);
    }
    let found = psync(&replica);
    assert_eq!(found.full_syncs, 1, "{found:?}");
    assert!(found.successes >= EMPTIES.len() as u64, "{found:?}");
    let mut client = primary.client();
    for name in ["evicted_keys", "expired_keys"] {
        // How many expire while it writes is a matter of the machine's speed: it writes on until enough have.
        for _ in 0..MORE_RUNS {
            if figure(&mut client, name) > 20 {
                break;
            }
            writer.run(10 * BATCH);
        }
        let count = figure(&mut client, name);
        assert!(count > 20, "{name}: {count}");
    }
    // What met nothing that it could change so far, meets it now, with room for all.
    client.ok("CONFIG SET maxmemory 0");
    for _ in 0..MORE_RUNS {
        if silent(&mut client).is_empty() {
            break;
        }
        writer.run(10 * BATCH);
    }
    let silent = silent(&mut client);
    assert!(
        silent.is_empty(),
        "no template of these succeeded: {silent:?}"
    );
    settle(&primary, &replica);
    assert!(matches!(client.call("DBSIZE"), Reply::Integer(1..)));
}

/// Write commands of the table that have not succeeded yet. (Libraries of functions are no keys: the simulator has them, and
/// `replicas_have_the_libraries` in tests/scripts.)
fn silent(client: &mut Client) -> Vec<String> {
    let succeeded = succeeded(client);
    let table = CommandTable::new(families::ALL);
    let rows = table.rows().iter().copied();
    let rows = rows.flat_map(|row| std::iter::once(row).chain(row.subcommands));
    rows.filter(|row| row.is_write() && row.changes_libraries().is_none())
        .map(|row| table.full_name(row))
        .filter(|name| succeeded.get(name).is_none_or(|count| *count == 0))
        .collect()
}

#[test]
fn every_write_replicates_through_cuts_expiry_and_eviction() {
    for (seed, shards) in (1..).zip([(2, 2), (3, 2)]) {
        replicates_through_cuts(shards, seed);
    }
}
