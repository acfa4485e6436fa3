//! The flow's outputs, compared.

use std::rc::Rc;

use damselfly_journal::{Journal, JournalOptions, Lsn, RecordWriter, Run, RunBuilder, StreamLevel};
use damselfly_snapshot::{
    Encoder, EntryMeta, Event, Head, Profile, RdbWriter, put_cut, put_journal_blob,
    put_journal_offset,
};

use super::{flow::PARTS_AT_ONCE, *};
use crate::{
    config::{Credentials, ReplicaConfig},
    dataset::Upstream,
    error::{DataError, LinkError},
    ids::{EofToken, ReplId, SyncId},
    part::TransactionPart,
};

fn spec(level: u8) -> FlowSpec {
    let replid = ReplId::from_random([1; 20]);
    let upstream = Upstream {
        address: "host:1".into(),
        dialect: crate::Dialect::Flows,
        replid,
        history: replid,
        flows: 2,
        version: 4,
        level,
        origin: None,
        restored: Vec::new(),
    };
    let offer = Some(FlowOffer::Vector {
        history: replid,
        lsns: vec![Lsn(5), Lsn(6)],
    });
    FlowSpec {
        flow: 0,
        upstream,
        sync_id: SyncId(3),
        offer,
    }
}

fn token() -> EofToken {
    EofToken::from_random([2; 20])
}

fn answer(grant: &str) -> Vec<u8> {
    let token = token();
    format!(
        "*2\r\n+{grant}\r\n+{}\r\n",
        std::str::from_utf8(token.as_bytes()).expect("hex")
    )
    .into_bytes()
}

fn new(level: u8) -> ReplicaFlow {
    ReplicaFlow::new(0, ReplicaConfig::default(), spec(level))
}

fn granted(level: u8, grant: &str) -> ReplicaFlow {
    let mut flow = new(level);
    flow.handle_bytes(0, &answer(grant));
    assert_eq!(
        flow.poll_output(),
        FlowOutput::Event(FlowEvent::Granted {
            partial: grant == "PARTIAL"
        })
    );
    sent(&mut flow);
    flow
}

fn streaming(level: u8) -> ReplicaFlow {
    let mut flow = granted(level, "PARTIAL");
    flow.handle_command(0, FlowCommand::Stream(Lsn(5)));
    flow
}

fn sent(flow: &mut ReplicaFlow) -> String {
    let mut out = Vec::new();
    flow.poll_transmit(&mut out);
    String::from_utf8(out).expect("text").replace("\r\n", "|")
}

/// Runs in a journal that begins at LSN 5.
fn runs(build: &[(u64, u16, &[&str])]) -> Vec<Rc<Run>> {
    let mut journal = Journal::new(JournalOptions::default());
    journal.start_at(Lsn(5));
    let run = |(txid, shards, commands): &(u64, u16, &[&str])| {
        let mut builder = RunBuilder::new(*txid, *shards);
        for command in *commands {
            match *command {
                "PING" => builder.ping(),
                command => builder.command(
                    0,
                    &command.split(' ').map(str::as_bytes).collect::<Vec<_>>(),
                ),
            };
        }
        journal.append(&mut builder, 0)
    };
    build.iter().map(run).collect()
}

fn stable_bytes(level: StreamLevel, build: &[(u64, u16, &[&str])]) -> Vec<u8> {
    let (mut writer, mut out) = (RecordWriter::stable(level), Vec::new());
    runs(build).iter().for_each(|run| writer.run(&mut out, run));
    writer.end_write(&mut out);
    out
}

/// The next output that is not `Again`, in short.
fn next(flow: &mut ReplicaFlow) -> String {
    loop {
        match flow.poll_output() {
            FlowOutput::Again => {}
            FlowOutput::Load(Event::Key(meta)) => {
                return format!("key {}", meta.key.escape_ascii());
            }
            FlowOutput::Load(_) => {}
            FlowOutput::Apply(parts) => {
                let texts = parts.iter().map(|part| {
                    let lsn = part.first_lsn().map(|lsn| lsn.0);
                    format!("apply {} at {lsn:?}", commands(part))
                });
                let text = texts.collect::<Vec<_>>().join("; ");
                flow.handle_applied(0, parts.len(), parts);
                return text;
            }
            FlowOutput::Event(FlowEvent::Arrived { part, global }) => {
                return format!(
                    "arrived {} of {}, global {global}",
                    commands(&part),
                    part.txid()
                );
            }
            FlowOutput::Event(FlowEvent::Stopped { executed, error }) => {
                return format!(
                    "stopped at {:?}: {}",
                    executed.map(|lsn| lsn.0),
                    error.map_or("-".into(), |error| error.to_string())
                );
            }
            FlowOutput::Event(event) => return format!("{event:?}"),
            FlowOutput::Close => return "close".into(),
            FlowOutput::Idle => return "idle".into(),
        }
    }
}

fn commands(part: &TransactionPart) -> String {
    let word = |effect| match effect {
        crate::part::Effect::Command { args, .. } => {
            String::from_utf8(args.join(&b' ')).expect("text")
        }
        crate::part::Effect::Ping => "PING".into(),
    };
    part.effects().map(word).collect::<Vec<_>>().join(", ")
}

#[test]
fn it_asks_for_its_flow() {
    let mut flow = new(1);
    let id = ReplId::from_random([1; 20]);
    let expected = format!("*7|$4|DFLY|$4|FLOW|$40|{id}|$5|SYNC3|$1|0|$40|{id}|$3|5-6|");
    assert_eq!(sent(&mut flow), expected);
    let auth = Some(Credentials {
        user: None,
        password: "secret".into(),
    });
    let mut flow = ReplicaFlow::new(
        0,
        ReplicaConfig {
            auth,
            ..ReplicaConfig::default()
        },
        spec(1),
    );
    assert!(sent(&mut flow).starts_with("*2|$4|AUTH|$6|secret|*7|"));
    flow.handle_bytes(0, b"+OK\r\n");
    flow.handle_bytes(0, &answer("FULL"));
    assert_eq!(next(&mut flow), "Granted { partial: false }");
}

#[test]
fn refusals_and_silence_end_it() {
    for (bytes, expected) in [
        ("-ERR syncid not found\r\n", "gave up this attempt"),
        (
            "-NOAUTH Authentication required.\r\n",
            "authentication failed",
        ),
        ("+OK\r\n", "bad answer to DFLY FLOW"),
        ("*2\r\n+FULL\r\n+short\r\n", "bad answer to DFLY FLOW"),
        ("what?\r\n", "not a Redis-compatible server"),
    ] {
        let mut flow = new(1);
        flow.handle_bytes(0, bytes.as_bytes());
        let stopped = next(&mut flow);
        assert!(
            stopped.starts_with("stopped at None") && stopped.contains(expected),
            "{stopped}"
        );
        assert_eq!(next(&mut flow), "close");
    }
    let mut flow = new(1);
    flow.handle_timeout(flow.deadline().expect("bounded"));
    assert_eq!(
        next(&mut flow),
        "stopped at None: no answer to DFLY FLOW within 10000 ms"
    );
    let mut flow = ReplicaFlow::new(
        0,
        ReplicaConfig::default(),
        FlowSpec {
            offer: None,
            ..spec(1)
        },
    );
    flow.handle_bytes(0, &answer("PARTIAL"));
    assert!(
        next(&mut flow).contains("bad answer"),
        "nobody offered anything"
    );
}

#[test]
fn records_are_applied_counted_and_acked() {
    let mut flow = streaming(1);
    assert_eq!(
        sent(&mut flow),
        "REPLCONF ACK 5|",
        "the first on entering stable sync"
    );
    let bytes = stable_bytes(
        StreamLevel::Extended,
        &[(0, 1, &["SET a 1"]), (9, 1, &["SET b 1", "SET c 1"])],
    );
    flow.handle_bytes(10, &bytes[..bytes.len() - 1]);
    assert_eq!(next(&mut flow), "idle", "nothing before its CHECK");
    flow.handle_bytes(10, &bytes[bytes.len() - 1..]);
    assert_eq!(
        next(&mut flow),
        "apply SET a 1 at Some(5); apply SET b 1, SET c 1 at Some(6)"
    );
    assert_eq!(
        (next(&mut flow), sent(&mut flow)),
        ("idle".into(), String::new())
    );
    assert_eq!(
        (flow.executed(), flow.deadline()),
        (Some(Lsn(8)), Some(1_000))
    );
    flow.handle_timeout(1_000);
    assert_eq!(sent(&mut flow), "REPLCONF ACK 8|");
}

#[test]
fn a_ping_is_acked_at_once_and_many_records_too() {
    let mut flow = streaming(0);
    sent(&mut flow);
    let mut many: Vec<(u64, u16, &[&str])> = vec![(0, 1, &["SET a 1"]); 33 * PARTS_AT_ONCE];
    many.push((0, 1, &["PING"]));
    flow.handle_bytes(0, &stable_bytes(StreamLevel::Reference, &many));
    for batch in 0..32 {
        let first = 5 + batch * PARTS_AT_ONCE;
        let text = next(&mut flow);
        assert!(text.starts_with(&format!("apply SET a 1 at Some({first})")));
        assert_eq!(text.split("; ").count(), PARTS_AT_ONCE);
        assert_eq!(sent(&mut flow), "");
    }
    next(&mut flow);
    assert_eq!(sent(&mut flow), "REPLCONF ACK 1061|", "more than 1,024");
    assert_eq!(next(&mut flow), "apply PING at Some(1061)");
    assert_eq!(sent(&mut flow), "REPLCONF ACK 1062|");
}

/// What could not be executed is not counted, and what stands before it is.
#[test]
fn a_refused_part_ends_the_flow_behind_those_before_it() {
    let mut flow = streaming(1);
    let records: [(u64, u16, &[&str]); 3] = [
        (0, 1, &["SET a 1"]),
        (0, 1, &["SET b 1"]),
        (7, 2, &["SET c 1"]),
    ];
    flow.handle_bytes(0, &stable_bytes(StreamLevel::Extended, &records));
    let FlowOutput::Apply(parts) = flow.poll_output() else {
        panic!("two parts to execute");
    };
    assert_eq!(parts.len(), 2, "the third meets others");
    flow.handle_applied(0, 1, parts);
    flow.handle_data_error(DataError::terminal("full"));
    assert_eq!(next(&mut flow), "stopped at Some(6): the data set: full");
}

#[test]
fn it_waits_where_several_flows_meet() {
    let mut flow = streaming(1);
    let records: [(u64, u16, &[&str]); 3] = [
        (7, 2, &["SET a 1"]),
        (8, 2, &["FLUSHALL"]),
        (0, 1, &["SET b 2"]),
    ];
    flow.handle_bytes(0, &stable_bytes(StreamLevel::Extended, &records));
    assert_eq!(next(&mut flow), "arrived SET a 1 of 7, global false");
    assert!(next(&mut flow) == "idle" && !flow.wants_input());
    flow.handle_command(0, FlowCommand::Release { txid: 99 });
    assert_eq!(next(&mut flow), "idle", "not its own");
    flow.handle_command(0, FlowCommand::Release { txid: 7 });
    assert_eq!(flow.executed(), Some(Lsn(6)));
    assert_eq!(next(&mut flow), "arrived FLUSHALL of 8, global true");
    flow.handle_timeout(1_000);
    assert!(
        sent(&mut flow).ends_with("REPLCONF ACK 6|"),
        "it acks while it waits"
    );
    flow.handle_command(0, FlowCommand::Stop);
    assert_eq!(
        next(&mut flow),
        "stopped at Some(6): -",
        "before what it waits for"
    );
}

#[test]
fn dragonfly_shard_counts_are_not_trusted_and_its_globals_are() {
    let mut flow = streaming(0);
    flow.handle_bytes(
        0,
        &stable_bytes(
            StreamLevel::Reference,
            &[(7, 2, &["SET a 1"]), (8, 2, &["FLUSHDB"])],
        ),
    );
    assert_eq!(next(&mut flow), "apply SET a 1 at Some(5)");
    assert_eq!(next(&mut flow), "arrived FLUSHDB of 8, global true");
}

#[test]
fn a_transaction_without_id_cannot_meet() {
    let mut flow = streaming(1);
    flow.handle_bytes(
        0,
        &stable_bytes(StreamLevel::Extended, &[(0, 2, &["SET a 1"])]),
    );
    assert!(next(&mut flow).contains("has no id"));
}

#[test]
fn a_part_under_execution_is_finished_before_it_stops() {
    let mut flow = streaming(1);
    flow.handle_bytes(
        0,
        &stable_bytes(
            StreamLevel::Extended,
            &[(0, 1, &["SET a 1"]), (0, 1, &["SET b 1"])],
        ),
    );
    let mut outputs = Vec::new();
    let parts = loop {
        match flow.poll_output() {
            FlowOutput::Apply(parts) => break parts,
            FlowOutput::Again => {}
            other => outputs.push(format!("{other:?}")),
        }
    };
    flow.handle_closed("reset");
    assert_eq!(next(&mut flow), "idle");
    flow.handle_applied(0, 1, parts);
    assert_eq!(
        next(&mut flow),
        "stopped at Some(6): the flow 0 connection closed: reset"
    );
    let mut flow = streaming(1);
    flow.handle_bytes(
        0,
        &stable_bytes(StreamLevel::Extended, &[(0, 1, &["SET a 1"])]),
    );
    assert!(matches!(flow.poll_output(), FlowOutput::Apply(_)));
    flow.handle_data_error(DataError::terminal("full"));
    assert_eq!(next(&mut flow), "stopped at Some(5): the data set: full");
}

#[test]
fn silence_counts_only_where_bytes_are_due() {
    let mut flow = streaming(1);
    flow.handle_timeout(29_999);
    assert_eq!(next(&mut flow), "idle");
    flow.handle_timeout(30_000);
    assert_eq!(
        next(&mut flow),
        "stopped at Some(5): flow 0 was silent for 30000 ms"
    );
    let mut flow = streaming(0);
    flow.handle_timeout(1_000_000);
    assert_eq!(
        next(&mut flow),
        "idle",
        "Dragonfly is silent when it has nothing to say"
    );
    let mut flow = streaming(1);
    flow.handle_command(0, FlowCommand::Pause);
    flow.handle_timeout(1_000_000);
    assert!(next(&mut flow) == "idle" && !flow.wants_input());
    flow.handle_command(1_000_000, FlowCommand::Resume);
    assert!(flow.wants_input());
    flow.handle_timeout(1_000_001);
    assert_eq!(next(&mut flow), "idle");
}

/// A full-sync stream: what `middle` writes, then cut, tail and token.
fn full_stream(level: u8, middle: impl Fn(&mut RdbWriter)) -> Vec<u8> {
    let mut writer = RdbWriter::new();
    writer.header(&[(b"redis-ver", b"6.2.11")]);
    writer.select(0);
    Encoder::new(Profile::Flow).string(writer.buffer(), Head::Entry(&EntryMeta::new(b"a")), b"1");
    middle(&mut writer);
    put_cut(writer.buffer());
    put_journal_offset(writer.buffer(), 9);
    writer.end();
    writer.token(token().as_bytes());
    let mut out = writer.take();
    if level == 0 {
        let crc = out.len() - 48;
        out[crc..crc + 8].fill(0);
    }
    out
}

fn blob(writer: &mut RdbWriter, level: StreamLevel, records: &[(u64, u16, &[&str])]) {
    let mut encoded = Vec::new();
    let mut records_writer = RecordWriter::blobs(level);
    runs(records)
        .iter()
        .for_each(|run| records_writer.run(&mut encoded, run));
    put_journal_blob(writer.buffer(), &encoded);
}

fn loading(level: u8) -> ReplicaFlow {
    let mut flow = granted(level, "FULL");
    assert!(!flow.wants_input(), "the link says when");
    flow.handle_command(0, FlowCommand::Load);
    flow
}

#[test]
fn a_full_sync_and_what_follows_in_any_pieces() {
    let mut stream = full_stream(1, |writer| {
        blob(
            writer,
            StreamLevel::Extended,
            &[(3, 2, &["SET a 2", "SET b 2"])],
        )
    });
    let tail = stream.len();
    stream.extend(stable_bytes(StreamLevel::Extended, &[(0, 1, &["SET c 3"])]));
    for piece in [1, 2, 7, 48, stream.len()] {
        let mut flow = loading(1);
        let mut seen = Vec::new();
        let mut fed = 0;
        while fed < stream.len() {
            if flow.wants_input() {
                let end = (fed + piece).min(stream.len());
                flow.handle_bytes(0, &stream[fed..end]);
                fed = end;
            }
            loop {
                match next(&mut flow) {
                    idle if idle == "idle" => break,
                    tail if tail.starts_with("Tail") => {
                        flow.handle_command(0, FlowCommand::Stream(Lsn(9)))
                    }
                    other => seen.push(other),
                }
            }
        }
        let expected = [
            "key a",
            "apply SET a 2, SET b 2 at None",
            "Cut",
            "apply SET c 3 at Some(9)",
        ];
        assert_eq!(seen, expected, "pieces of {piece} of {tail}");
    }
}

#[test]
fn a_flush_inside_the_full_sync() {
    let stream = |level: u8, stream_level| {
        full_stream(level, |writer| {
            blob(writer, stream_level, &[(8, 2, &["FLUSHALL"])])
        })
    };
    let mut flow = loading(0);
    flow.handle_bytes(0, &stream(0, StreamLevel::Reference));
    assert_eq!(next(&mut flow), "key a");
    assert_eq!(
        next(&mut flow),
        "stopped at None: flow 0: the primary flushed inside the full sync"
    );
    let mut flow = loading(1);
    flow.handle_bytes(0, &stream(1, StreamLevel::Extended));
    assert_eq!(next(&mut flow), "key a");
    assert_eq!(next(&mut flow), "arrived FLUSHALL of 8, global true");
    assert_eq!(next(&mut flow), "idle");
    flow.handle_command(0, FlowCommand::Release { txid: 8 });
    assert_eq!(next(&mut flow), "Cut");
    assert_eq!(next(&mut flow), "Tail(Lsn(9))");
}

#[test]
fn an_unchecked_trailer_is_refused_from_our_own() {
    let mut flow = loading(1);
    flow.handle_bytes(0, &full_stream(0, |_| {}));
    assert_eq!(next(&mut flow), "key a");
    assert_eq!(next(&mut flow), "Cut");
    assert_eq!(
        next(&mut flow),
        "stopped at None: flow 0: a trailer without checksum"
    );
    let mut flow = loading(0);
    flow.handle_bytes(0, &full_stream(0, |_| {}));
    assert_eq!(
        [next(&mut flow), next(&mut flow), next(&mut flow)],
        ["key a", "Cut", "Tail(Lsn(9))"]
    );
}

#[test]
fn between_cut_and_tail_silence_is_allowed_until_the_tail_is_due() {
    let stream = full_stream(1, |_| {});
    let tail = 9 + 9 + 40;
    let mut flow = loading(1);
    flow.handle_bytes(0, &stream[..stream.len() - tail]);
    assert_eq!(
        [next(&mut flow), next(&mut flow), next(&mut flow)],
        ["key a", "Cut", "idle"]
    );
    assert_eq!(flow.deadline(), None);
    flow.handle_command(50_000, FlowCommand::ExpectTail);
    assert_eq!(flow.deadline(), Some(80_000));
    flow.handle_timeout(80_000);
    let LinkError::Silence { .. } = (LinkError::Silence {
        flow: 0,
        limit_ms: 30_000,
    }) else {
        unreachable!()
    };
    assert_eq!(
        next(&mut flow),
        "stopped at None: flow 0 was silent for 30000 ms"
    );
}
