//! What a primary's flow writes, and when.

use std::rc::Rc;

use damselfly_journal::{
    Journal, JournalOptions, Lsn, Record, RecordDecoder, RecordLimits, Run, RunBuilder, StreamLevel,
};
use damselfly_snapshot::{Checksum, Encoder, EntryMeta, Event, Head, Profile, RdbDecoder};

use super::*;
use crate::{config::PrimaryConfig, ids::EofToken};

/// Another flow, that has nothing to send.
const OUT: SiblingFlow = SiblingFlow {
    tail_sent: true,
    accepted: 5,
    unsent: 0,
    accepted_ms: 0,
};
/// Another flow, whose tail is on its way.
const TAIL: SiblingFlow = SiblingFlow {
    tail_sent: false,
    ..OUT
};

fn token() -> EofToken {
    EofToken::from_random([2; 20])
}

fn new(level: StreamLevel, partial: bool) -> PrimaryFlow {
    let mut flow = PrimaryFlow::new(0, PrimaryConfig::default(), level, token(), partial);
    let answer = take(&mut flow, 0);
    let expected = format!(
        "*2\r\n+{}\r\n+{}\r\n",
        if partial { "PARTIAL" } else { "FULL" },
        std::str::from_utf8(token().as_bytes()).expect("hex")
    );
    assert_eq!(answer, expected.as_bytes());
    flow
}

/// Takes what may go out, and lets the network accept it.
fn take(flow: &mut PrimaryFlow, now: u64) -> Vec<u8> {
    let mut out = Vec::new();
    if flow.poll_transmit(now, &mut out) {
        flow.handle_sent(now, out.len());
    }
    out
}

fn journal() -> Journal {
    let mut journal = Journal::new(JournalOptions::default());
    journal.keep_backlog(true);
    journal
}

fn set(journal: &mut Journal, value: &[u8]) -> Rc<Run> {
    journal.append(RunBuilder::new(0, 1).command(0, &[b"SET", b"k", value]), 0)
}

fn decode(level: StreamLevel, bytes: &[u8]) -> Vec<String> {
    let mut decoder = RecordDecoder::stable(level, RecordLimits::default());
    decoder.feed(bytes);
    let mut seen = Vec::new();
    while let Some(record) = decoder.next().expect("records") {
        seen.push(match record {
            Record::Command { args, .. } => args
                .iter()
                .map(|arg| String::from_utf8_lossy(arg).into_owned())
                .collect::<Vec<_>>()
                .join(" "),
            Record::Select { db } => format!("select {db}"),
            Record::Lsn(lsn) => format!("lsn {lsn}"),
            Record::Check(_) => "check".into(),
            other => format!("{other:?}"),
        });
    }
    decoder.finish().expect("whole");
    seen
}

fn stable(level: StreamLevel, next: u64) -> PrimaryFlow {
    let mut flow = new(level, false);
    flow.begin_full_sync(&[]);
    flow.finish_snapshot();
    flow.enter_stable(0, Lsn(next));
    take(&mut flow, 0);
    flow
}

#[test]
fn a_full_sync_stream() {
    let mut journal = journal();
    let mut flow = new(StreamLevel::Extended, false);
    assert!(flow.write_snapshot(|_| ()).is_none(), "not before the cut");
    flow.begin_full_sync(&[(b"shard-id", b"0")]);
    flow.write_snapshot(|writer| {
        writer.select(0);
        Encoder::new(Profile::Flow).string(
            writer.buffer(),
            Head::Entry(&EntryMeta::new(b"k")),
            b"old",
        );
    });
    flow.on_run(&set(&mut journal, b"new"));
    let mut stream = take(&mut flow, 0);
    flow.finish_snapshot();
    assert!(flow.write_snapshot(|_| ()).is_none(), "not behind the cut");
    flow.on_run(&set(&mut journal, b"newer"));
    flow.enter_stable(0, journal.next_lsn());
    flow.on_run(&set(&mut journal, b"newest"));
    stream.extend(take(&mut flow, 0));
    let mut decoder = RdbDecoder::default();
    decoder.feed(&stream);
    let mut seen = Vec::new();
    while let Some(event) = decoder.next().expect("a stream") {
        seen.push(match event {
            Event::Key(meta) => format!("key {}", meta.key.escape_ascii()),
            Event::JournalBlob { entries, .. } => format!("blob of {entries}"),
            Event::FullSyncCut => "cut".into(),
            Event::JournalOffset(lsn) => format!("offset {lsn}"),
            Event::Eof(Checksum::Verified) => "end".into(),
            _ => continue,
        });
    }
    assert_eq!(
        seen,
        ["key k", "blob of 1", "cut", "blob of 1", "offset 3", "end"]
    );
    assert_eq!(
        decoder.take_rest(),
        token().as_bytes(),
        "records are gathered first"
    );
    assert_eq!(
        decode(StreamLevel::Extended, &take(&mut flow, 10)),
        ["select 0", "SET k newest", "check"]
    );
}

#[test]
fn writes_are_gathered_by_time_size_or_ping() {
    let mut journal = journal();
    let mut flow = stable(StreamLevel::Extended, 1);
    flow.on_run(&set(&mut journal, b"1"));
    assert_eq!(take(&mut flow, 100), b"");
    assert_eq!(flow.deadline(), Some(110));
    assert_eq!(
        decode(StreamLevel::Extended, &take(&mut flow, 110)),
        ["select 0", "SET k 1", "check"]
    );
    let mut flow = stable(StreamLevel::Extended, 2);
    flow.on_run(&set(&mut journal, &[b'x'; 1_536]));
    assert!(!take(&mut flow, 100).is_empty(), "by size");
    let mut flow = stable(StreamLevel::Extended, 3);
    flow.on_run(&set(&mut journal, b"1"));
    flow.on_run(&journal.ping(0));
    assert_eq!(
        decode(StreamLevel::Extended, &take(&mut flow, 100)),
        ["select 0", "SET k 1", "Ping", "check"]
    );
}

#[test]
fn an_idle_flow_says_where_it_is_every_second() {
    for (level, expected) in [
        (StreamLevel::Extended, &["lsn 6", "check"][..]),
        (StreamLevel::Reference, &["lsn 6"]),
    ] {
        let mut flow = stable(level, 7);
        assert_eq!(
            (take(&mut flow, 999), flow.deadline()),
            (vec![], Some(1_000))
        );
        assert_eq!(decode(level, &take(&mut flow, 1_000)), expected);
        assert_eq!(
            (take(&mut flow, 1_001), flow.deadline()),
            (vec![], Some(2_000))
        );
    }
}

#[test]
fn acks_and_lag() {
    let mut journal = journal();
    let mut flow = stable(StreamLevel::Extended, 1);
    (0..3).for_each(|_| flow.on_run(&set(&mut journal, b"1")));
    assert_eq!((flow.lag(), flow.acked()), (3, Some(Lsn(1))));
    assert_eq!(flow.handle_bytes(5, b"REPLCONF ACK 3\r\n"), Ok(true));
    assert_eq!(flow.handle_bytes(6, b"REPLCONF ACK 3\r\n"), Ok(false));
    assert_eq!((flow.lag(), flow.acked_ms()), (1, Some(6)));
    assert!(
        matches!(
            flow.handle_bytes(6, b"REPLCONF ACK 5\r\n"),
            Err(FlowEnd::BadAck { next: Lsn(4), .. })
        ),
        "never sent"
    );
    assert!(matches!(
        flow.handle_bytes(6, b"PING\r\n"),
        Err(FlowEnd::BadAck { .. })
    ));
    assert!(
        matches!(
            new(StreamLevel::Extended, false).handle_bytes(0, b"x"),
            Err(FlowEnd::BadAck { .. })
        ),
        "before stable sync"
    );
}

#[test]
fn stuck_is_no_byte_for_the_timeout_and_slow_is_not_stuck() {
    let mut journal = journal();
    let mut flow = stable(StreamLevel::Extended, 1);
    let mut out = Vec::new();
    flow.on_run(&set(&mut journal, &[b'x'; 4_000]));
    assert!(flow.poll_transmit(50_000, &mut out));
    flow.handle_bytes(50_000, b"REPLCONF ACK 1\r\n")
        .expect("an ack");
    for second in 51..120 {
        flow.handle_sent(second * 1_000, 10);
        flow.handle_bytes(second * 1_000, b"REPLCONF ACK 1\r\n")
            .expect("an ack");
        assert_eq!(flow.handle_timeout(second * 1_000 + 999, &[OUT]), Ok(()));
    }
    for second in 120..149 {
        flow.handle_bytes(second * 1_000, b"REPLCONF ACK 1\r\n")
            .expect("an ack");
    }
    assert_eq!(
        (flow.handle_timeout(148_999, &[OUT]), flow.deadline()),
        (Ok(()), Some(149_000))
    );
    assert!(matches!(
        flow.handle_timeout(149_000, &[OUT]),
        Err(FlowEnd::Stuck {
            limit_ms: 30_000,
            ..
        })
    ));
}

#[test]
fn acks_are_due_when_the_tails_of_all_flows_are_out() {
    let no_ack = Err(FlowEnd::NoAck { limit_ms: 30_000 });
    let silent = || {
        let mut flow = stable(StreamLevel::Extended, 1);
        while !take(&mut flow, 29_000).is_empty() {}
        flow
    };
    let mut flow = silent();
    assert_eq!(flow.handle_timeout(29_999, &[OUT]), Ok(()));
    assert_eq!(
        flow.handle_timeout(30_000, &[OUT]),
        Ok(()),
        "counts from now"
    );
    assert_eq!(flow.handle_timeout(59_999, &[OUT]), Ok(()));
    assert_eq!(flow.handle_timeout(60_000, &[OUT]), no_ack);

    let mut flow = silent();
    for turn in 1..10 {
        assert_eq!(flow.handle_timeout(turn * 30_000, &[TAIL]), Ok(()), "tails");
    }
    flow.handle_bytes(280_000, b"REPLCONF ACK 1\r\n")
        .expect("an ack");
    assert_eq!(flow.handle_timeout(309_999, &[OUT]), Ok(()));
    assert_eq!(flow.handle_timeout(310_000, &[OUT]), no_ack, "it can ack");
}

#[test]
fn the_tail_is_sent_when_the_socket_took_its_last_byte() {
    let mut flow = new(StreamLevel::Extended, false);
    flow.begin_full_sync(&[]);
    flow.finish_snapshot();
    assert!(!flow.is_tail_sent());
    flow.enter_stable(0, Lsn(1));
    let mut out = Vec::new();
    assert!(flow.poll_transmit(0, &mut out) && !flow.is_tail_sent());
    flow.handle_sent(0, out.len() - 1);
    assert!(!flow.is_tail_sent());
    flow.handle_sent(0, 1);
    assert!(flow.is_tail_sent());
}

#[test]
fn records_that_fill_a_slow_link_leave_the_snapshot_its_turn() {
    let mut journal = journal();
    let mut flow = new(StreamLevel::Extended, false);
    flow.begin_full_sync(&[]);
    (0..2).for_each(|_| flow.on_run(&set(&mut journal, &[b'x'; 40_000])));
    assert!(flow.is_over_budget(), "after 64 KiB of records");
    flow.write_snapshot(|_| ()).expect("a full sync");
    assert!(!flow.is_over_budget(), "the snapshot wrote");
    (0..2).for_each(|_| flow.on_run(&set(&mut journal, &[b'x'; 40_000])));
    flow.finish_snapshot();
    assert!(!flow.is_over_budget(), "there is no snapshot any more");
}

#[test]
fn the_budget_counts_everything_not_accepted() {
    let mut journal = journal();
    let mut flow = stable(StreamLevel::Extended, 1);
    assert!(flow.has_room() && !flow.is_over_budget());
    (0..11).for_each(|_| flow.on_run(&set(&mut journal, &[b'x'; 100_000])));
    assert!(flow.is_over_budget() && !flow.has_room());
    let mut out = Vec::new();
    flow.poll_transmit(0, &mut out);
    assert!(out.len() < 350_000, "{}", out.len());
    assert!(flow.is_over_budget(), "in flight counts");
    flow.handle_sent(0, out.len());
    assert!(!flow.is_over_budget());
    while !take(&mut flow, 20).is_empty() {}
    assert_eq!(flow.unsent(), 0);
}

#[test]
fn catching_up_reads_the_backlog_piece_by_piece_and_then_the_live_records() {
    for level in [StreamLevel::Extended, StreamLevel::Reference] {
        let mut journal = journal();
        (0..100).for_each(|_| drop(set(&mut journal, &[b'x'; 10_000])));
        let mut flow = new(level, true);
        let pin = journal.pin(Lsn(11)).expect("contained");
        flow.resume_stable(0, Lsn(11), pin);
        assert_eq!(
            (flow.stage(), flow.acked()),
            (FlowStage::CatchUp, Some(Lsn(11)))
        );
        let mut stream = Vec::new();
        let mut rounds = 0;
        while !flow.catch_up(&mut journal).expect("pinned") {
            rounds += 1;
            if rounds < 4 {
                flow.on_run(&set(&mut journal, b"meanwhile"));
            }
            assert!(flow.unsent() < 300_000, "bounded");
            stream.extend(take(&mut flow, rounds));
        }
        flow.on_run(&set(&mut journal, b"live"));
        for now in 100..200 {
            stream.extend(take(&mut flow, now));
        }
        let sets = decode(level, &stream)
            .into_iter()
            .filter(|record| record.starts_with("SET"))
            .count();
        assert!(
            rounds > 3 && sets == 90 + 3 + 1,
            "{rounds} rounds, {sets} records"
        );
        assert_eq!(
            (flow.stage(), flow.pin(), flow.lag()),
            (FlowStage::Stable, None, 94)
        );
    }
}

#[test]
fn a_lost_backlog_ends_the_flow() {
    let mut journal = journal();
    set(&mut journal, b"1");
    let mut flow = new(StreamLevel::Extended, true);
    flow.resume_stable(0, Lsn(1), journal.pin(Lsn(1)).expect("contained"));
    journal.clear();
    assert_eq!(
        flow.catch_up(&mut journal),
        Err(FlowEnd::BacklogLost { wanted: Lsn(1) })
    );
}
