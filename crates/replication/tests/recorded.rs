//! The conversations of a real Dragonfly 1.40 pair (`../shared/fixtures`), through the machines of both ends, in pieces
//! of any size: what ours say must be what Dragonfly said, and every stream must be followed to its end.

use std::{collections::BTreeMap, path::PathBuf};

use damselfly_journal::Lsn;
use damselfly_replication::{
    Effect, EofToken, PrimaryConfig, ReplId, ReplicaConfig, Resume, SyncId,
    primary::{DflyCommand, PeerGreeting, PrimaryFlow, ReplconfAnswer},
    replica::{
        FlowCommand, FlowEvent, FlowOffer, FlowOutput, Greeting, LinkOutput, LinkPhase,
        ReplicaFlow, ReplicaLink,
    },
};
use damselfly_resp::{ArgVec, ReplyDecoder, ReplyLimits, RequestDecoder, RequestLimits};
use damselfly_snapshot::Event;

const FULL: [&str; 4] = ["plain", "default", "zstd", "chunks"];

fn recorded(scenario: &str, conn: u32, end: &str) -> Vec<u8> {
    let near = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures");
    let folder = std::env::var_os("DAMSELFLY_FIXTURES").map_or(near, PathBuf::from);
    let path = folder.join(format!("dragonfly-1.40/{scenario}/conn{conn:02}.{end}.bin"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; the recorded flows lie beside the repository, in shared/fixtures, or where DAMSELFLY_FIXTURES says", path.display()))
}

/// The requests in `wire`, as words.
fn requests(wire: &[u8]) -> Vec<Vec<String>> {
    let mut decoder = RequestDecoder::new(RequestLimits::default());
    let (mut at, mut found) = (0, Vec::new());
    loop {
        let mut args = ArgVec::new();
        let Some(used) = decoder.decode(&wire[at..], &mut args).expect("a request") else {
            return found;
        };
        found.push(
            args.iter()
                .map(|arg| String::from_utf8_lossy(arg).into_owned())
                .collect(),
        );
        at += used;
    }
}

/// Pieces of an input: of one size, or of random ones.
fn pieces(input: &[u8], how: u64) -> Vec<&[u8]> {
    if how > 0 && how < 100 {
        return input.chunks(how as usize).collect();
    }
    let (mut state, mut rest, mut out) = (how | 1, input, Vec::new());
    while !rest.is_empty() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let most = [7, 300, 9_000][(state >> 60) as usize % 3];
        let (piece, behind) = rest.split_at(((state >> 33) as usize % most + 1).min(rest.len()));
        out.push(piece);
        rest = behind;
    }
    out
}

const PIECES: [u64; 5] = [1, 13, 100, 101, 102];

/// A whole link: control connection and flows, with recorded primaries.
struct Replay {
    link: ReplicaLink,
    flows: Vec<(ReplicaFlow, Vec<u8>)>,
    control_sent: Vec<u8>,
    keys: BTreeMap<(u32, Vec<u8>), usize>,
    records: Vec<String>,
}

fn config(scenario: &str, conn: u32) -> ReplicaConfig {
    let own = requests(&recorded(scenario, conn, "replica"));
    let word = |name: &str| {
        own.iter()
            .find(|request| request[1..].first().is_some_and(|word| word == name))
            .expect(name)[2]
            .clone()
    };
    ReplicaConfig {
        announce_port: word("listening-port").parse().expect("a port"),
        client_id: word("CLIENT-ID"),
        level: 0,
        ..ReplicaConfig::default()
    }
}

impl Replay {
    fn new(config: ReplicaConfig, resume: Option<Resume>) -> Replay {
        let own = ReplId::from_random([7; 20]);
        let link = ReplicaLink::connecting(0, config, "recorded:1".into(), own, resume, 1);
        Replay {
            link,
            flows: Vec::new(),
            control_sent: Vec::new(),
            keys: BTreeMap::new(),
            records: Vec::new(),
        }
    }

    /// Does what the link wants until it wants nothing more.
    fn settle(&mut self, config: &ReplicaConfig) {
        loop {
            let mut idle = true;
            while let Some(output) = self.link.poll_output() {
                idle = false;
                match output {
                    LinkOutput::Connect => self.link.handle_connected(0),
                    LinkOutput::Send(bytes) => self.control_sent.extend(bytes),
                    LinkOutput::OpenFlow(spec) => self
                        .flows
                        .push((ReplicaFlow::new(0, config.clone(), spec), Vec::new())),
                    LinkOutput::Command(flow, command) => {
                        self.flows[flow].0.handle_command(0, command)
                    }
                    LinkOutput::BeginFullSync(_) => self.link.handle_full_sync_begun(0, Ok(())),
                    LinkOutput::EnterStable { .. } => self.link.handle_stable_entered(0, Ok(())),
                    LinkOutput::Disconnect => {}
                    other => panic!("{other:?}"),
                }
            }
            for index in 0..self.flows.len() {
                idle &= !self.drive(index);
            }
            if idle {
                return;
            }
        }
    }

    /// Takes all outputs of one flow; says whether there was any.
    fn drive(&mut self, index: usize) -> bool {
        let (flow, sent) = &mut self.flows[index];
        let mut any = false;
        loop {
            match flow.poll_output() {
                FlowOutput::Again => {}
                FlowOutput::Load(Event::Key(meta)) => {
                    *self.keys.entry((meta.db, meta.key.to_vec())).or_default() += 1
                }
                FlowOutput::Load(_) => {}
                FlowOutput::Event(FlowEvent::Stopped { error, .. }) => {
                    panic!("flow {index}: {error:?}")
                }
                FlowOutput::Event(event) => self.link.handle_flow_event(0, index, event),
                FlowOutput::Apply(parts) => {
                    for effect in parts.iter().flat_map(|part| part.effects()) {
                        if let Effect::Command { args, .. } = effect {
                            self.records.push(
                                args.iter()
                                    .map(|arg| arg.escape_ascii().to_string())
                                    .collect::<Vec<_>>()
                                    .join(" "),
                            );
                        }
                    }
                    flow.handle_applied(0, parts.len(), parts);
                }
                FlowOutput::Idle | FlowOutput::Close => break,
            }
            any = true;
        }
        flow.poll_transmit(sent) | any
    }

    fn vector(&self) -> Vec<Lsn> {
        self.flows
            .iter()
            .map(|(flow, _)| flow.executed().expect("streaming"))
            .collect()
    }

    /// Feeds recorded bytes; the control connection's answers one by one, as a primary gives them.
    fn play(&mut self, config: &ReplicaConfig, scenario: &str, conns: [u32; 3], how: u64) {
        self.settle(config);
        let control = recorded(scenario, conns[0], "primary");
        let mut answers = Vec::new();
        let (mut decoder, mut input) = (
            ReplyDecoder::new(ReplyLimits::default()),
            control.as_slice(),
        );
        while !input.is_empty() {
            let before = input;
            assert!(decoder.decode(&mut input).expect("answers").is_some());
            answers.push(&before[..before.len() - input.len()]);
        }
        // Before the flows: the greeting of six requests.
        for answer in &answers[..6] {
            self.control(config, answer, how);
        }
        // Each flow with its connection, which the flow's request in the record names.
        let streams: Vec<Vec<u8>> = (0..self.flows.len())
            .map(|flow| self.stream_of(scenario, &conns[1..], flow))
            .collect();
        let (mut fed, mut later) = (vec![0; streams.len()], answers[6..].iter());
        loop {
            let mut any = false;
            for (flow, stream) in streams.iter().enumerate() {
                for piece in pieces(&stream[fed[flow]..], how) {
                    if !self.flows[flow].0.wants_input() {
                        break;
                    }
                    any = true;
                    // What stands behind an answer was not there yet when the real replica read it.
                    let piece = &piece[..self.answer_left(flow, fed[flow]).min(piece.len())];
                    fed[flow] += piece.len();
                    self.flows[flow].0.handle_bytes(0, piece);
                    self.settle(config);
                }
            }
            if !any {
                match later.next() {
                    Some(answer) => self.control(config, answer, how),
                    None => break,
                }
            }
        }
        assert_eq!(
            fed,
            streams.iter().map(Vec::len).collect::<Vec<_>>(),
            "all was read"
        );
    }

    /// Bytes of the answer to DFLY FLOW that are still to come, or as many as one likes.
    fn answer_left(&self, flow: usize, fed: usize) -> usize {
        let partial = matches!(self.flows[flow].0.spec().offer, Some(FlowOffer::Lsn(_)));
        let answer = if partial {
            "*2\r\n+PARTIAL\r\n".len()
        } else {
            "*2\r\n+FULL\r\n".len()
        } + 43;
        if fed < answer {
            answer - fed
        } else {
            usize::MAX
        }
    }

    fn control(&mut self, config: &ReplicaConfig, answer: &[u8], how: u64) {
        for piece in pieces(answer, how) {
            self.link.handle_bytes(0, piece);
            self.settle(config);
        }
    }

    fn stream_of(&self, scenario: &str, conns: &[u32], flow: usize) -> Vec<u8> {
        let of =
            |conn: &u32| requests(&recorded(scenario, *conn, "replica"))[0][4] == flow.to_string();
        recorded(
            scenario,
            *conns.iter().find(|conn| of(conn)).expect("recorded"),
            "primary",
        )
    }

    /// What our flow sent, against what Dragonfly's did: the same DFLY FLOW, the same first ack, the same last one.
    fn compare_flows(&self, scenario: &str, conns: &[u32]) {
        for (flow, sent) in &self.flows {
            let ours = requests(sent);
            let of = |conn: &&u32| {
                requests(&recorded(scenario, **conn, "replica"))[0][4]
                    == flow.spec().flow.to_string()
            };
            let theirs = requests(&recorded(
                scenario,
                *conns.iter().find(of).expect("recorded"),
                "replica",
            ));
            assert_eq!(ours[0], theirs[0]);
            assert_eq!(ours[1], theirs[1], "the first ack");
            assert_eq!(
                flow.executed().expect("streaming").0.to_string(),
                theirs.last().expect("acks")[2],
                "the last ack"
            );
        }
    }
}

fn without_version(mut requests: Vec<Vec<String>>) -> Vec<Vec<String>> {
    requests
        .iter_mut()
        .filter(|request| request.get(1).is_some_and(|word| word == "CLIENT-VERSION"))
        .for_each(|request| request.truncate(2));
    requests
}

#[test]
fn full_syncs_are_followed_to_their_ends() {
    for scenario in FULL {
        let mut seen = None;
        for how in PIECES {
            let config = config(scenario, 0);
            let mut replay = Replay::new(config.clone(), None);
            replay.play(&config, scenario, [0, 1, 2], how);
            assert_eq!(replay.link.phase(), LinkPhase::StableSync);
            let ours = without_version(requests(&replay.control_sent));
            assert_eq!(
                ours,
                without_version(requests(&recorded(scenario, 0, "replica"))),
                "{scenario}"
            );
            replay.compare_flows(scenario, &[1, 2]);
            assert!(replay.keys.len() > 200, "{} keys", replay.keys.len());
            // Under writes (only "chunks" has them) Dragonfly may send a key again.
            assert!(
                scenario == "chunks" || replay.keys.values().all(|times| *times == 1),
                "{scenario}: each key once"
            );
            assert!(
                replay.records.len() >= 50,
                "{} records",
                replay.records.len()
            );
            let mut records = replay.records.clone();
            records.sort();
            let this = (replay.keys.clone(), records);
            assert!(
                *seen.get_or_insert_with(|| this.clone()) == this,
                "{scenario}: pieces of {how} give something else"
            );
        }
    }
}

#[test]
fn a_partial_sync_is_followed_from_where_the_first_link_broke() {
    for how in PIECES {
        let config = config("partial", 0);
        let mut first = Replay::new(config.clone(), None);
        first.play(&config, "partial", [0, 1, 2], how);
        assert_eq!(first.vector(), [Lsn(25), Lsn(34)]);
        let replid = first.link.upstream().expect("greeted").replid;
        let resume = Resume {
            replid,
            history: replid,
            lsns: first.vector(),
            db: 0,
        };
        let mut second = Replay::new(config.clone(), Some(resume));
        second.play(&config, "partial", [3, 4, 5], how);
        assert_eq!(second.link.stats().psync_successes, 1);
        let ours = without_version(requests(&second.control_sent));
        assert_eq!(
            ours,
            without_version(requests(&recorded("partial", 3, "replica")))
        );
        second.compare_flows("partial", &[4, 5]);
        second.records.sort();
        assert_eq!(
            second.records,
            [
                "MSET after:cut:1 1",
                "MSET after:cut:2 2",
                "SET after:cut 1"
            ]
        );
    }
}

/// A flow of the record, with something wrong in it, must end with a named error.
fn broken(change: impl Fn(&mut Vec<u8>)) -> String {
    let mut stream = recorded("plain", 1, "primary");
    change(&mut stream);
    let config = config("plain", 0);
    let mut greeting = Greeting::new(config.clone(), "recorded:1", ReplId::from_random([7; 20]));
    let greeted = greeting
        .handle_bytes(&recorded("plain", 0, "primary")[..143 - 10])
        .expect("greeted")
        .expect("complete");
    let spec = damselfly_replication::replica::FlowSpec {
        flow: 0,
        upstream: greeted.upstream,
        sync_id: greeted.sync_id,
        offer: None,
    };
    let mut flow = ReplicaFlow::new(0, config, spec);
    let answer = "*2\r\n+FULL\r\n".len() + 43;
    flow.handle_bytes(0, &stream[..answer]);
    flow.handle_command(0, FlowCommand::Load);
    flow.handle_bytes(0, &stream[answer..]);
    loop {
        match flow.poll_output() {
            FlowOutput::Apply(parts) => flow.handle_applied(0, parts.len(), parts),
            FlowOutput::Event(FlowEvent::Tail(lsn)) => {
                flow.handle_command(0, FlowCommand::Stream(lsn))
            }
            FlowOutput::Event(FlowEvent::Stopped { error, .. }) => {
                return error.map_or("none".into(), |error| error.to_string());
            }
            FlowOutput::Idle => {
                flow.handle_closed("end of stream");
            }
            FlowOutput::Close => panic!("closed without a word"),
            _ => {}
        }
    }
}

/// Where the EOF token stands in the stream, behind the answer that announces it.
fn token_at(stream: &[u8]) -> usize {
    let answer = "*2\r\n+FULL\r\n+".len();
    let token = stream[answer..answer + 40].to_vec();
    let behind = answer + 40;
    behind
        + stream[behind..]
            .windows(40)
            .position(|window| window == token)
            .expect("the token")
}

#[test]
fn damage_is_a_named_error() {
    assert_eq!(
        broken(|_| {}),
        "the flow 0 connection closed: end of stream"
    );
    let wrong_token = broken(|stream| {
        let at = token_at(stream) + 39;
        stream[at] ^= 1;
    });
    assert_eq!(wrong_token, "flow 0: wrong EOF token");
    let wrong_crc = broken(|stream| {
        let at = token_at(stream) - 1;
        stream[at] ^= 1;
    });
    assert!(wrong_crc.contains("checksum"), "{wrong_crc}");
    let no_redis = broken(|stream| stream[54] = b'X');
    assert!(no_redis.contains("REDIS"), "{no_redis}");
    let lost_record = broken(|stream| {
        let at = token_at(stream) + 40;
        // A PING that nobody wrote: the primary's next LSN record does not agree.
        stream.insert(at, 13);
    });
    assert!(lost_record.contains("was counted here"), "{lost_record}");
    let unknown = broken(|stream| {
        let at = token_at(stream) + 40;
        stream.insert(at, 14);
    });
    assert!(unknown.contains("unknown journal opcode 14"), "{unknown}");
    let cut_again = broken(|stream| {
        let at = token_at(stream) - 9 - 9;
        assert_eq!((stream[at], stream[at - 9]), (211, 200));
        stream.drain(at - 9..at);
    });
    assert!(
        cut_again.contains("journal offset before the cut"),
        "{cut_again}"
    );
}

#[test]
fn any_flipped_bit_or_early_end_is_survived() {
    let len = recorded("plain", 1, "primary").len();
    for step in 0..400 {
        let at = 60 + step * 7919 % (len - 60);
        // Whatever comes of it, it comes without a panic and names itself.
        assert!(!broken(|stream| stream[at] ^= 1 << (step % 8)).is_empty());
        assert!(!broken(|stream| stream.truncate(at)).is_empty());
    }
}

/// Dragonfly's replica, played to our primary's machines.
#[test]
fn a_recorded_replica_is_understood() {
    for (scenario, control, flows) in [
        ("plain", 0, [1, 2]),
        ("chunks", 0, [1, 2]),
        ("partial", 3, [4, 5]),
    ] {
        let mut peer = PeerGreeting::default();
        let mut commands = Vec::new();
        for request in requests(&recorded(scenario, control, "replica")) {
            let args: Vec<&[u8]> = request.iter().map(String::as_bytes).collect();
            match request[0].as_str() {
                "PING" => {}
                "REPLCONF" => {
                    let expected = if request[2] == "dragonfly" {
                        ReplconfAnswer::OpenSession
                    } else {
                        ReplconfAnswer::Ok
                    };
                    assert_eq!(peer.handle_replconf(&args), expected);
                }
                _ => commands.push(DflyCommand::parse(&args).expect("a command")),
            }
        }
        assert_eq!((peer.version, peer.extensions), (5, false));
        let expected = match scenario {
            "partial" => vec![DflyCommand::StartStable(SyncId(2))],
            _ => vec![
                DflyCommand::Sync(SyncId(1)),
                DflyCommand::StartStable(SyncId(1)),
            ],
        };
        assert_eq!(commands, expected);
        for conn in flows {
            replay_acks(&recorded(scenario, conn, "replica"), scenario == "partial");
        }
    }
}

fn replay_acks(wire: &[u8], partial: bool) {
    let first = wire.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
    let request = &requests(&wire[..first])[0];
    let args: Vec<&[u8]> = request.iter().map(String::as_bytes).collect();
    let Ok(DflyCommand::Flow(flow)) = DflyCommand::parse(&args) else {
        panic!("{request:?}")
    };
    assert_eq!(matches!(flow.offer, Some(FlowOffer::Lsn(_))), partial);
    let last = requests(&wire[first..]).last().expect("acks")[2]
        .parse()
        .expect("an LSN");
    for how in PIECES {
        let level = damselfly_journal::StreamLevel::Reference;
        let mut machine = PrimaryFlow::new(
            0,
            PrimaryConfig::default(),
            level,
            EofToken::from_random([1; 20]),
            partial,
        );
        machine.enter_stable(0, Lsn(last));
        for piece in pieces(&wire[first..], how) {
            machine.handle_bytes(0, piece).expect("acks");
        }
        assert_eq!(machine.acked(), Some(Lsn(last)));
    }
}
