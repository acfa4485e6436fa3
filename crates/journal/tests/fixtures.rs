//! The stable sync of a real Dragonfly 1.40 pair, as recorded on the wire (`../shared/fixtures`).
#![allow(missing_docs)]

use std::{env, fs, path::PathBuf};

use common::{Owned, decode, pieces};
use damselfly_journal::{Lsn, RecordDecoder, RecordLimits, StreamLevel};

mod common;

/// What one flow's primary sent after its EOF token or its PARTIAL.
struct StableFlow {
    name: String,
    bytes: Vec<u8>,
    first_lsn: Lsn,
    /// What the replica acked last.
    last_ack: Lsn,
}

fn fixtures() -> PathBuf {
    let near = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures");
    let root = env::var_os("DAMSELFLY_FIXTURES").map_or(near, PathBuf::from);
    let recorded = root.join("dragonfly-1.40");
    assert!(
        recorded.is_dir(),
        "no recorded flows in {}: they lie beside the repository, in shared/fixtures; \
         set DAMSELFLY_FIXTURES to the folder that holds dragonfly-1.40",
        recorded.display()
    );
    recorded
}

fn stable_flows() -> Vec<StableFlow> {
    let mut flows = Vec::new();
    for scenario in ["plain", "default", "zstd", "chunks", "partial"] {
        for conn in 1..=5 {
            let file = |end| fixtures().join(format!("{scenario}/conn{conn:02}.{end}.bin"));
            let Ok(primary) = fs::read(file("primary")) else {
                continue;
            };
            let replica = fs::read(file("replica")).expect("both directions were recorded");
            flows.extend(stable_flow(
                format!("{scenario}/conn{conn:02}"),
                &primary,
                &replica,
            ));
        }
    }
    flows
}

/// `None` for a control connection.
fn stable_flow(name: String, primary: &[u8], replica: &[u8]) -> Option<StableFlow> {
    let opening = String::from_utf8(replica.to_vec()).expect("the replica sends text");
    let opening_words: Vec<&str> = opening.lines().next()?.split(' ').collect();
    if !opening.starts_with("DFLY FLOW ") {
        return None;
    }
    let last_ack = opening
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("REPLCONF ACK "))?;
    let mut lines = primary.splitn(4, |&byte| byte == b'\n');
    assert_eq!(lines.next(), Some(&b"*2\r"[..]), "{name}");
    let (answer, token, rest) = (lines.next()?, lines.next()?, lines.next()?);
    let token = token.strip_prefix(b"+")?.strip_suffix(b"\r")?;
    assert_eq!(token.len(), 40, "{name}");
    let (bytes, first_lsn) = if answer == b"+PARTIAL\r" {
        (
            rest,
            opening_words.get(5)?.parse().expect("the offered LSN"),
        )
    } else {
        let at = rest.windows(40).position(|window| window == token)?;
        (&rest[at + 40..], journal_offset(&rest[..at]))
    };
    let last_ack = Lsn(last_ack.parse().expect("an LSN"));
    Some(StableFlow {
        name,
        bytes: bytes.to_vec(),
        first_lsn: Lsn(first_lsn),
        last_ack,
    })
}

/// The journal offset in the tail of the RDB stream: 211, u64; 255, u64.
fn journal_offset(rdb: &[u8]) -> u64 {
    let tail = &rdb[rdb.len() - 18..];
    assert_eq!((tail[0], tail[9]), (211, 255));
    u64::from_le_bytes(tail[1..9].try_into().expect("8 bytes"))
}

fn decoder() -> RecordDecoder {
    RecordDecoder::stable(StreamLevel::Reference, RecordLimits::default())
}

fn records(flow: &StableFlow, piece: impl FnMut() -> usize) -> Vec<Owned> {
    let mut decoder = decoder();
    let (records, result) = decode(&mut decoder, &flow.bytes, piece);
    assert_eq!(result, Ok(()), "{}", flow.name);
    assert_eq!(
        decoder.finish(),
        Ok(()),
        "{}: the recording ends with a record",
        flow.name
    );
    records
}

#[test]
fn every_recorded_stable_stream_decodes_with_the_counts_that_both_ends_had() {
    let flows = stable_flows();
    assert_eq!(flows.len(), 12, "two flows a scenario, and two resumed");
    for flow in flows {
        let mut next = flow.first_lsn;
        let mut selected = false;
        for record in records(&flow, || usize::MAX) {
            match record {
                Owned::Select(_) => selected = true,
                Owned::Command { shards, .. } => {
                    assert!(selected, "{}: no SELECT before {next}", flow.name);
                    assert_eq!(shards, 1, "{}", flow.name);
                    selected = false;
                    next = next.plus(1);
                }
                Owned::Ping => next = next.plus(1),
                Owned::Lsn(last) => assert_eq!(last.plus(1), next, "{}", flow.name),
                other => panic!("{}: {other:?}", flow.name),
            }
        }
        assert_eq!(next, flow.last_ack, "{}", flow.name);
    }
}

#[test]
fn pieces_do_not_matter() {
    for flow in stable_flows() {
        let whole = records(&flow, || usize::MAX);
        assert_eq!(
            records(&flow, || 1),
            whole,
            "{} byte by byte, {} bytes",
            flow.name,
            flow.bytes.len()
        );
        for seed in 0..8 {
            assert_eq!(
                records(&flow, pieces(seed, 700)),
                whole,
                "{} seed {seed}",
                flow.name
            );
        }
    }
}

#[test]
fn the_first_records_are_the_commands_that_were_sent() {
    let flow = stable_flows()
        .into_iter()
        .find(|flow| flow.name == "plain/conn01")
        .expect("recorded");
    let command = |txid, args: &[&str]| Owned::Command {
        txid,
        shards: 1,
        args: args.iter().map(|arg| arg.as_bytes().to_vec()).collect(),
    };
    let expected = [
        Owned::Select(0),
        command(0, &["SET", "s:1", "one"]),
        Owned::Lsn(Lsn(1)),
        Owned::Select(0),
        command(0, &["INCRBYFLOAT", "s:3", "1.5"]),
        Owned::Select(0),
        command(3, &["MSET", "m:1", "a", "m:3", "c"]),
    ];
    assert_eq!(
        records(&flow, || usize::MAX)[..expected.len()],
        expected,
        "from LSN {}",
        flow.first_lsn
    );
}
