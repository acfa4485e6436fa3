//! Any bytes on a flow: a replica's machine ends it with a named error, or goes on; whatever the pieces, it gives out the
//! same records and the same end. In the other modes the bytes stand where a good stream has led to.
#![no_main]

use damselfly_journal::{Lsn, RecordLimits};
use damselfly_replication::{
    ReplId, ReplicaConfig, StreamLimits, SyncId, Upstream,
    replica::{FlowCommand, FlowEvent, FlowOffer, FlowOutput, FlowSpec, ReplicaFlow},
};
use damselfly_snapshot::{Event, Limits, RdbWriter, put_cut, put_journal_offset};
use libfuzzer_sys::fuzz_target;

const TOKEN: [u8; 40] = [b'0'; 40];
const FULL: &[u8] = b"*2\r\n+FULL\r\n+0000000000000000000000000000000000000000\r\n";
const PARTIAL: &[u8] = b"*2\r\n+PARTIAL\r\n+0000000000000000000000000000000000000000\r\n";

/// Where the input stands.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// From the answer to DFLY FLOW on.
    Answer,
    /// Behind the full sync's header.
    FullSync,
    /// Behind its header, with the cut, the tail and the token behind it.
    WholeSync,
    /// Records behind PARTIAL, at level 1 with the CHECK that they need.
    Records,
}

fn limits() -> StreamLimits {
    let rdb = Limits {
        max_key: 4096,
        max_string: 1 << 16,
        max_packed: 1 << 16,
        max_journal_blob: 1 << 16,
        max_blob: 1 << 16,
        max_blob_content: 1 << 20,
        max_chunk_streams: 16,
    };
    let records = RecordLimits {
        max_record_bytes: 1 << 16,
        max_strings: 64,
        max_txn_records: 64,
        max_db: 15,
    };
    StreamLimits {
        rdb,
        records,
        max_transaction_bytes: 1 << 16,
    }
}

fn flow(level: u8, mode: Mode) -> ReplicaFlow {
    let replid = ReplId::from_random([7; 20]);
    let upstream = Upstream {
        address: "fuzz:1".to_owned(),
        dialect: damselfly_replication::Dialect::Flows,
        replid,
        history: replid,
        flows: 4,
        version: 4,
        level,
    };
    let offer = matches!(mode, Mode::Records | Mode::Answer).then_some(FlowOffer::Lsn(Lsn(9)));
    let spec = FlowSpec {
        flow: 1,
        upstream,
        sync_id: SyncId(1),
        offer,
    };
    let config = ReplicaConfig {
        limits: limits(),
        ..ReplicaConfig::default()
    };
    ReplicaFlow::new(0, config, spec)
}

/// What came of a stream: keys, records, events, and how it ended. Not the parts of values: how strings are cut is nobody's
/// promise.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    texts: Vec<String>,
    ended: bool,
}

impl Seen {
    /// Does what the machine says, as a link does that agrees with everything.
    fn settle(&mut self, flow: &mut ReplicaFlow) {
        loop {
            let mut command = None;
            match flow.poll_output() {
                FlowOutput::Again => {}
                FlowOutput::Load(Event::Part { .. }) => {}
                FlowOutput::Load(event) => self.texts.push(format!("{event:?}")),
                FlowOutput::Apply(parts) => {
                    for part in &parts {
                        assert!(!part.is_empty() && part.bytes() <= 1 << 17);
                        self.texts
                            .push(format!("{:?}", part.effects().collect::<Vec<_>>()));
                    }
                    flow.handle_applied(0, parts.len(), parts);
                }
                FlowOutput::Event(FlowEvent::Arrived { part, global }) => {
                    self.texts
                        .push(format!("{global} {:?}", part.effects().collect::<Vec<_>>()));
                    command = Some(FlowCommand::Release { txid: part.txid() });
                }
                FlowOutput::Event(FlowEvent::Granted { partial: true }) => {
                    command = Some(FlowCommand::Stream(Lsn(9)))
                }
                FlowOutput::Event(FlowEvent::Granted { partial: false }) => {
                    command = Some(FlowCommand::Load)
                }
                FlowOutput::Event(FlowEvent::Cut) => command = Some(FlowCommand::ExpectTail),
                FlowOutput::Event(FlowEvent::Tail(lsn)) => command = Some(FlowCommand::Stream(lsn)),
                FlowOutput::Event(FlowEvent::Stopped { error, .. }) => {
                    self.texts
                        .push(error.expect("nobody told it to stop").to_string());
                    self.ended = true;
                }
                FlowOutput::Close => return,
                FlowOutput::Idle => return,
            }
            if let Some(command) = command {
                flow.handle_command(0, command);
            }
        }
    }

    fn feed(&mut self, flow: &mut ReplicaFlow, bytes: &[u8]) {
        if flow.wants_input() {
            flow.handle_bytes(0, bytes);
        }
        let before = flow.executed();
        self.settle(flow);
        assert!(before.is_none_or(|before| flow.executed().is_none_or(|after| after >= before)));
        assert!(!self.ended || !flow.wants_input());
    }
}

/// The bytes of a mode: answer, then the stream.
fn wire(level: u8, mode: Mode, bytes: &[u8]) -> (&'static [u8], Vec<u8>) {
    match mode {
        Mode::Answer => (b"", bytes.to_vec()),
        Mode::FullSync => (FULL, [b"REDIS0009", bytes].concat()),
        Mode::WholeSync => {
            let (sync, records) = bytes.split_at(bytes.len() / 2);
            let mut rdb = RdbWriter::new();
            rdb.header(&[]);
            rdb.buffer().extend_from_slice(sync);
            put_cut(rdb.buffer());
            put_journal_offset(rdb.buffer(), 9);
            rdb.end();
            rdb.token(&TOKEN);
            rdb.buffer().extend_from_slice(&checked(level, records));
            (FULL, rdb.take())
        }
        Mode::Records => (PARTIAL, checked(level, bytes)),
    }
}

/// Records with the CHECK behind them that level 1 asks for.
fn checked(level: u8, records: &[u8]) -> Vec<u8> {
    let mut out = records.to_vec();
    if level > 0 {
        let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, records) as u32;
        out.push(32);
        out.extend_from_slice(&crc.to_le_bytes());
    }
    out
}

fn run(level: u8, mode: Mode, bytes: &[u8], piece: usize) -> Seen {
    let (answer, stream) = wire(level, mode, bytes);
    let (mut flow, mut seen) = (flow(level, mode), Seen::default());
    if !answer.is_empty() {
        seen.feed(&mut flow, answer);
    }
    for piece in stream.chunks(piece) {
        seen.feed(&mut flow, piece);
    }
    if !seen.ended {
        flow.handle_closed("the end");
        seen.settle(&mut flow);
    }
    assert!(seen.ended, "a closed connection ends the flow");
    let mut transmit = Vec::new();
    flow.poll_transmit(&mut transmit);
    assert!(transmit.len() < 64 << 10);
    seen
}

fuzz_target!(|input: (u8, u8, Vec<u8>)| {
    let (choice, piece, bytes) = input;
    let level = choice & 1;
    let mode = [Mode::Answer, Mode::FullSync, Mode::WholeSync, Mode::Records]
        [usize::from(choice >> 1) % 4];
    let whole = run(level, mode, &bytes, usize::MAX);
    let cut = run(level, mode, &bytes, 1 + usize::from(piece));
    if mode == Mode::Answer {
        // What stands right behind an answer is an error, or not there yet.
        return;
    }
    assert_eq!(cut, whole);
});
