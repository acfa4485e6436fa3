//! The machine's outputs, compared.

use damselfly_snapshot::Event;

use super::*;
use crate::{
    Credentials, Dialect, Effect, ReplId, Severity, SyncId, Upstream, replica::message::FlowOffer,
};

const REPLID: &str = "9f539ca1cd393c9a9bbcd700684d469d966ba9ca";
const OTHER: &str = "0123456789012345678901234567890123456789";
const MARK: &str = "abcdefabcdefabcdefabcdefabcdefabcdefabcd";
const RDB: &[u8] = b"REDIS0010\xfe\x00\x00\x03key\x05value\xff\0\0\0\0\0\0\0\0";

fn id(text: &str) -> ReplId {
    ReplId::parse(text.as_bytes()).expect("40 digits")
}

fn flow_with(config: ReplicaConfig, offer: Option<FlowOffer>) -> PsyncFlow {
    let upstream = Upstream {
        address: "host:1".into(),
        dialect: Dialect::Psync,
        replid: ReplId::UNKNOWN,
        history: ReplId::UNKNOWN,
        flows: 1,
        version: 0,
        level: 0,
        origin: None,
        restored: Vec::new(),
    };
    let spec = FlowSpec {
        flow: 0,
        upstream,
        sync_id: SyncId(0),
        offer,
    };
    PsyncFlow::new(0, config, &spec)
}

fn config() -> ReplicaConfig {
    ReplicaConfig {
        announce_port: 6380,
        ..ReplicaConfig::default()
    }
}

fn offer() -> FlowOffer {
    FlowOffer::Offset {
        history: id(REPLID),
        next: Lsn(101),
        db: 3,
    }
}

/// What happened, one line each: events, loaded entries, executed commands, and the end.
fn drive(flow: &mut PsyncFlow, now_ms: u64) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let parts = match flow.poll_output() {
            FlowOutput::Again => continue,
            FlowOutput::Event(event) => {
                seen.push(shown(&event));
                continue;
            }
            FlowOutput::Load(Event::Value { last: false, .. } | Event::Header(_)) => continue,
            FlowOutput::Load(Event::Run { entries, .. }) => {
                for _ in entries {
                    seen.extend(["load Entry".into(), "load Value".into()]);
                }
                continue;
            }
            FlowOutput::Load(event) => {
                let name = format!("{event:?}");
                seen.push(format!(
                    "load {}",
                    name.split(['(', ' ']).next().unwrap_or_default()
                ));
                continue;
            }
            FlowOutput::Apply(parts) => parts,
            FlowOutput::Close => {
                seen.push("close".into());
                return seen;
            }
            FlowOutput::Idle => return seen,
        };
        for part in &parts {
            let commands: Vec<String> = part.effects().map(|effect| line(&effect)).collect();
            seen.push(commands.join("; "));
        }
        flow.handle_applied(now_ms, parts.len(), parts);
    }
}

fn line(effect: &Effect<'_>) -> String {
    let Effect::Command { db, args } = effect else {
        return "ping".into();
    };
    let words: Vec<_> = args
        .iter()
        .map(|arg| arg.escape_ascii().to_string())
        .collect();
    format!("{db}> {}", words.join(" "))
}

fn shown(event: &FlowEvent) -> String {
    match event {
        FlowEvent::Identified(replid) => format!("identified {replid}"),
        FlowEvent::Granted { partial } => format!("granted {partial}"),
        FlowEvent::Cut => "cut".into(),
        FlowEvent::Selected(db) => format!("selected {db}"),
        FlowEvent::Tail(lsn) => format!("tail {lsn}"),
        FlowEvent::Stopped { executed, error } => {
            let error = error.as_ref().map(ToString::to_string);
            format!(
                "stopped {:?} {}",
                executed.map(|lsn| lsn.0),
                error.unwrap_or_default()
            )
        }
        FlowEvent::Arrived { .. } => "arrived".into(),
    }
}

fn sent(flow: &mut PsyncFlow) -> String {
    let mut bytes = Vec::new();
    flow.poll_transmit(&mut bytes);
    let text = String::from_utf8(bytes).expect("text");
    let words = text
        .split("\r\n")
        .filter(|line| !line.starts_with(['$', '*']));
    words
        .collect::<Vec<_>>()
        .join(" ")
        .trim_end_matches(' ')
        .to_owned()
}

fn take(flow: &mut PsyncFlow, now_ms: u64, bytes: impl AsRef<[u8]>) -> Vec<String> {
    flow.handle_bytes(now_ms, bytes.as_ref());
    drive(flow, now_ms)
}

/// A flow whose greeting is answered: `PSYNC` is out.
fn asked(offer: Option<FlowOffer>) -> PsyncFlow {
    let mut flow = flow_with(config(), offer);
    assert_eq!(
        sent(&mut flow),
        "REPLCONF listening-port 6380 REPLCONF capa eof capa psync2"
    );
    assert_eq!(take(&mut flow, 0, "+OK\r\n"), [""; 0]);
    assert_eq!(sent(&mut flow), "");
    take(&mut flow, 0, "+OK\r\n");
    flow
}

fn streaming() -> PsyncFlow {
    let mut flow = asked(Some(offer()));
    take(&mut flow, 0, "+CONTINUE\r\n");
    flow.handle_command(0, FlowCommand::Stream(Lsn(101)));
    sent(&mut flow);
    flow
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_strings(&mut bytes, words);
    bytes
}

#[test]
fn a_full_sync_of_a_known_size() {
    let mut flow = asked(None);
    assert_eq!(sent(&mut flow), "PSYNC ? -1");
    assert_eq!(take(&mut flow, 1, "\n\n"), [""; 0]);
    let granted = take(&mut flow, 2, format!("+FULLRESYNC {REPLID} 1000\r\n\n"));
    assert_eq!(granted, [format!("identified {REPLID}")]);
    assert_eq!(
        take(&mut flow, 3, format!("\n${}\r\nREDIS", RDB.len())),
        [""; 0],
        "the version is not known yet"
    );
    assert_eq!(take(&mut flow, 4, &RDB[5..12]), ["granted false"]);
    assert!(!flow.wants_input(), "the old data is being discarded");
    flow.handle_command(5, FlowCommand::Load);
    assert_eq!(drive(&mut flow, 5), ["load SelectDb"]);
    let mut rest = RDB[12..].to_vec();
    rest.extend(command(&["SELECT", "2"]));
    let end = ["load Entry", "load Value", "cut", "selected 0", "tail 1001"];
    assert_eq!(take(&mut flow, 6, &rest), end);
    assert!(!flow.wants_input() && flow.executed().is_none());
    flow.handle_command(7, FlowCommand::Stream(Lsn(1001)));
    assert_eq!(sent(&mut flow), "REPLCONF ACK 1000");
    assert_eq!(drive(&mut flow, 7), [""; 0]);
    assert_eq!(
        take(&mut flow, 8, command(&["SET", "k", "v"])),
        ["2> SET k v"]
    );
    assert_eq!(flow.executed(), Some(Lsn(1001 + 23 + 27)));
}

#[test]
fn a_full_sync_up_to_a_mark_however_it_is_cut() {
    let mut bytes = format!("+FULLRESYNC {REPLID} 0\r\n$EOF:{MARK}\r\n").into_bytes();
    bytes.extend_from_slice(RDB);
    bytes.extend_from_slice(MARK.as_bytes());
    for piece in [1, 7, 64, bytes.len()] {
        let mut flow = asked(None);
        let mut seen = Vec::new();
        for bytes in bytes.chunks(piece) {
            seen.extend(take(&mut flow, 0, bytes));
            flow.handle_command(0, FlowCommand::Load);
            seen.extend(drive(&mut flow, 0));
        }
        assert_eq!(seen.last().map(String::as_str), Some("tail 1"), "{piece}");
        assert_eq!(
            seen.iter().filter(|line| line.starts_with("load")).count(),
            3
        );
    }
}

#[test]
fn it_goes_on_where_the_link_broke() {
    for (answer, history) in [
        ("+CONTINUE\r\n".to_owned(), REPLID),
        (format!("+CONTINUE {OTHER}\r\n"), OTHER),
    ] {
        let mut flow = asked(Some(offer()));
        assert_eq!(sent(&mut flow), format!("PSYNC {REPLID} 101"));
        let mut bytes = answer.into_bytes();
        bytes.extend(command(&["DEL", "k"]));
        assert_eq!(
            take(&mut flow, 1, &bytes),
            [format!("identified {history}"), "granted true".into()]
        );
        flow.handle_command(2, FlowCommand::Stream(Lsn(101)));
        assert_eq!(drive(&mut flow, 2), ["3> DEL k"], "the database is known");
        assert_eq!(flow.executed(), Some(Lsn(101 + 20)));
        flow.handle_command(3, FlowCommand::Stop);
        assert_eq!(
            drive(&mut flow, 3),
            ["selected 3", "stopped Some(121) ", "close"]
        );
    }
}

#[test]
fn transactions_are_one_part_and_offsets_stand_between_them() {
    let mut flow = streaming();
    let mut bytes = Vec::new();
    for words in [
        &["MULTI"][..],
        &["INCR", "a"],
        &["SELECT", "4"],
        &["INCR", "b"],
    ] {
        bytes.extend(command(words));
    }
    assert_eq!(take(&mut flow, 1, &bytes), [""; 0]);
    assert_eq!(flow.executed(), Some(Lsn(101)), "nothing of it is executed");
    assert_eq!(
        take(&mut flow, 2, command(&["exec"])),
        ["3> INCR a; 4> INCR b"]
    );
    assert_eq!(flow.executed(), Some(Lsn(101 + bytes.len() as u64 + 14)));
    // Newlines, PINGs, empty transactions and ends of none only count.
    let before = flow.executed().expect("streaming").0;
    let nothing = [
        &b"\n"[..],
        &command(&["PING"]),
        &command(&["MULTI"]),
        &command(&["EXEC"]),
        &command(&["EXEC"]),
    ]
    .concat();
    assert_eq!(take(&mut flow, 3, &nothing), [""; 0]);
    assert_eq!(flow.executed(), Some(Lsn(before + nothing.len() as u64)));
}

#[test]
fn acks_go_out_every_second_and_when_they_are_asked_for() {
    let mut flow = streaming();
    let mut bytes = command(&["SET", "k", "v"]);
    bytes.extend(command(&["REPLCONF", "GETACK", "*"]));
    let end = 100 + bytes.len();
    bytes.extend(command(&["SET", "k", "w"]));
    assert_eq!(take(&mut flow, 1, &bytes), ["3> SET k v", "3> SET k w"]);
    assert_eq!(sent(&mut flow), format!("REPLCONF ACK {end}"));
    assert_eq!(flow.deadline(), Some(1001));
    flow.handle_timeout(1001);
    assert_eq!(
        sent(&mut flow),
        format!("REPLCONF ACK {}", 100 + bytes.len())
    );
}

#[test]
fn a_load_says_that_it_lives_and_silence_breaks_the_link() {
    let mut flow = asked(None);
    take(
        &mut flow,
        0,
        format!("+FULLRESYNC {REPLID} 0\r\n$100\r\n{}", "REDIS0009"),
    );
    flow.handle_timeout(1000);
    flow.handle_command(1500, FlowCommand::Load);
    flow.handle_timeout(2000);
    let mut bytes = Vec::new();
    flow.poll_transmit(&mut bytes);
    assert!(bytes.ends_with(b"\n\n"));
    flow.handle_timeout(31_499);
    assert_eq!(drive(&mut flow, 31_499), [""; 0]);
    flow.handle_timeout(31_500);
    assert_eq!(
        drive(&mut flow, 31_500),
        ["stopped None flow 0 was silent for 30000 ms", "close"]
    );
}

#[test]
fn the_greeting_has_credentials_and_an_address() {
    let config = ReplicaConfig {
        auth: Some(Credentials {
            user: None,
            password: "secret".into(),
        }),
        announce_ip: Some("10.0.0.2".into()),
        ..config()
    };
    let mut flow = flow_with(config, None);
    let greeting = "AUTH secret REPLCONF listening-port 6380 REPLCONF ip-address 10.0.0.2 REPLCONF capa eof capa psync2";
    assert_eq!(sent(&mut flow), greeting);
    take(&mut flow, 0, "+OK\r\n+OK\r\n-ERR no address\r\n+OK\r\n");
    assert_eq!(sent(&mut flow), "PSYNC ? -1");
}

#[test]
fn refusals_have_their_class_and_nothing_is_discarded() {
    let bad_version = format!("+FULLRESYNC {REPLID} 0\r\n$100\r\nREDIS0099");
    for (answer, severity, words) in [
        (
            "-NOMASTERLINK Can't SYNC while not connected with my master\r\n",
            Severity::Retriable,
            "not ready",
        ),
        (
            "-LOADING Redis is loading\r\n",
            Severity::Retriable,
            "not ready",
        ),
        (
            "-ERR unknown command 'PSYNC'\r\n",
            Severity::Terminal,
            "refused PSYNC",
        ),
        ("-NOPERM no\r\n", Severity::Terminal, "authentication"),
        ("+CONTINUE\r\n", Severity::Terminal, "bad answer to PSYNC"),
        (
            "+FULLRESYNC short 1\r\n",
            Severity::Terminal,
            "bad answer to PSYNC",
        ),
        (
            &format!("+FULLRESYNC {REPLID} -1\r\n"),
            Severity::Terminal,
            "bad answer to PSYNC",
        ),
        (
            &format!("+FULLRESYNC {REPLID} 0\r\n$x\r\n"),
            Severity::Terminal,
            "bad answer to the transfer",
        ),
        (&bad_version, Severity::Terminal, "RDB version 99"),
        (
            &"x".repeat(9000),
            Severity::Terminal,
            "not a Redis-compatible server",
        ),
    ] {
        let mut flow = asked(None);
        flow.handle_bytes(1, answer.as_bytes());
        let error = loop {
            match flow.poll_output() {
                FlowOutput::Event(FlowEvent::Stopped { error, .. }) => break error,
                FlowOutput::Event(FlowEvent::Granted { .. }) => panic!("{answer}: granted"),
                FlowOutput::Idle | FlowOutput::Close => panic!("{answer}: no end"),
                _ => {}
            }
        };
        let error = error.expect("an error");
        assert_eq!(error.severity(), severity, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_stream_that_breaks_its_rules_ends_the_link() {
    let long = format!("*1\r\n${}\r\n", u64::MAX);
    for bytes in [
        [command(&["MULTI"]), command(&["MULTI"])].concat(),
        command(&["SELECT", "70000"]),
        command(&["SELECT"]),
        long.into_bytes(),
        b"*1\r\nx\r\n".to_vec(),
    ] {
        let mut flow = streaming();
        let mut all = command(&["SET", "k", "v"]);
        all.extend(&bytes);
        let seen = take(&mut flow, 1, &all);
        assert_eq!(seen[0], "3> SET k v");
        assert!(seen[2].starts_with("stopped Some("), "{seen:?}");
    }
}

#[test]
fn a_transaction_is_bounded() {
    let mut config = config();
    config.limits.max_transaction_bytes = 1000;
    let mut flow = flow_with(config, Some(offer()));
    take(&mut flow, 0, "+OK\r\n+OK\r\n");
    take(&mut flow, 0, "+CONTINUE\r\n");
    flow.handle_command(0, FlowCommand::Stream(Lsn(101)));
    take(&mut flow, 0, command(&["MULTI"]));
    let mut seen = Vec::new();
    for _ in 0..100 {
        seen.extend(take(&mut flow, 0, command(&["SET", "k", "v"])));
    }
    assert!(
        seen.iter()
            .any(|line| line.contains("a transaction exceeds 1000")),
        "{seen:?}"
    );
}

/// Whatever comes, the machine neither panics nor goes on after its end.
#[test]
fn damage_is_survived() {
    let mut good = format!(
        "+OK\r\n+OK\r\n+FULLRESYNC {REPLID} 7\r\n\n${}\r\n",
        RDB.len()
    )
    .into_bytes();
    good.extend_from_slice(RDB);
    for words in [
        &["SELECT", "1"][..],
        &["MULTI"],
        &["SET", "k", "v"],
        &["EXEC"],
        &["PING"],
    ] {
        good.extend(command(words));
    }
    let mut state = 1u64;
    for at in 0..good.len() {
        for _ in 0..8 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let mut bytes = good.clone();
            bytes[at] = (state >> 33) as u8;
            let mut flow = flow_with(config(), None);
            for piece in bytes.chunks(1 + (state >> 50) as usize % 40) {
                take(&mut flow, 0, piece);
                flow.handle_command(0, FlowCommand::Load);
                drive(&mut flow, 0);
                flow.handle_command(0, FlowCommand::Stream(Lsn(8)));
                drive(&mut flow, 0);
            }
        }
    }
}
