//! The link's outputs, compared.

use damselfly_journal::Lsn;

use super::*;
use crate::{
    config::ReplicaConfig,
    dataset::Upstream,
    error::{DataError, LinkError},
    ids::{ReplId, SyncId},
    lineage::Resume,
    part::TransactionPart,
};

fn id(n: u8) -> ReplId {
    ReplId::from_random([n; 20])
}

fn upstream(level: u8) -> Upstream {
    let (replid, history) = (id(1), if level > 0 { id(2) } else { id(1) });
    Upstream {
        address: "host:1".into(),
        dialect: crate::Dialect::Flows,
        replid,
        history,
        flows: 2,
        version: 4,
        level,
        origin: None,
        restored: Vec::new(),
    }
}

fn peer(level: u8) -> Greeted {
    Greeted {
        upstream: upstream(level),
        sync_id: SyncId(5),
    }
}

fn resume(history: u8) -> Resume {
    Resume {
        replid: id(1),
        history: id(history),
        lsns: vec![Lsn(10), Lsn(20)],
        db: 0,
    }
}

fn greeted(level: u8, resume: Option<Resume>) -> ReplicaLink {
    ReplicaLink::greeted(0, ReplicaConfig::default(), id(9), resume, 1, peer(level))
}

fn outputs(link: &mut ReplicaLink) -> Vec<LinkOutput> {
    std::iter::from_fn(|| link.poll_output()).collect()
}

fn send(words: &[&str]) -> LinkOutput {
    let args: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    let mut request = Vec::new();
    damselfly_resp::encode_command(&mut request, &args);
    LinkOutput::Send(request)
}

fn all(command: FlowCommand) -> Vec<LinkOutput> {
    (0..2)
        .map(|flow| LinkOutput::Command(flow, command.clone()))
        .collect()
}

fn open(level: u8, offer: Option<FlowOffer>) -> Vec<LinkOutput> {
    let spec = |flow| FlowSpec {
        flow,
        upstream: upstream(level),
        sync_id: SyncId(5),
        offer: offer.clone(),
    };
    (0..2)
        .map(|flow| LinkOutput::OpenFlow(spec(flow)))
        .collect()
}

fn grant(link: &mut ReplicaLink, partial: bool) {
    (0..2).for_each(|flow| link.handle_flow_event(0, flow, FlowEvent::Granted { partial }));
}

fn stopped(link: &mut ReplicaLink, flow: usize, executed: Option<u64>) {
    link.handle_flow_event(
        0,
        flow,
        FlowEvent::Stopped {
            executed: executed.map(Lsn),
            error: None,
        },
    );
}

fn part(txid: u64, shards: u16, lsn: u64) -> TransactionPart {
    let mut part = TransactionPart::new();
    part.start(txid, shards, Some(Lsn(lsn)));
    part.push_command(0, [&b"SET"[..], b"k", b"v"].into_iter());
    part
}

/// A link in stable sync after PARTIAL, at (10, 20).
fn stable() -> ReplicaLink {
    let mut link = greeted(1, Some(resume(2)));
    grant(&mut link, true);
    link.handle_bytes(0, b"+OK\r\n");
    link.handle_stable_entered(0, Ok(()));
    outputs(&mut link);
    assert_eq!(link.phase(), LinkPhase::StableSync);
    link
}

#[test]
fn a_full_sync() {
    let mut link = greeted(1, None);
    assert_eq!(outputs(&mut link), open(1, None));
    link.handle_flow_event(0, 0, FlowEvent::Granted { partial: false });
    assert_eq!(outputs(&mut link), []);
    link.handle_flow_event(0, 1, FlowEvent::Granted { partial: false });
    assert_eq!(outputs(&mut link), [send(&["DFLY", "SYNC", "SYNC5"])]);
    link.handle_bytes(0, b"+OK\r\n");
    assert_eq!(outputs(&mut link), [LinkOutput::BeginFullSync(upstream(1))]);
    link.handle_full_sync_begun(0, Ok(()));
    assert_eq!(
        (outputs(&mut link), link.phase()),
        (all(FlowCommand::Load), LinkPhase::FullSync)
    );
    link.handle_flow_event(0, 1, FlowEvent::Cut);
    assert_eq!(outputs(&mut link), [], "no stable sync before all cuts");
    link.handle_flow_event(0, 0, FlowEvent::Cut);
    assert_eq!(
        outputs(&mut link),
        [send(&["DFLY", "STARTSTABLE", "SYNC5"])]
    );
    link.handle_flow_event(0, 0, FlowEvent::Tail(Lsn(3)));
    link.handle_bytes(0, b"+OK\r\n");
    assert_eq!(
        outputs(&mut link),
        all(FlowCommand::ExpectTail),
        "one tail is still missing"
    );
    link.handle_flow_event(0, 1, FlowEvent::Tail(Lsn(4)));
    let enter = LinkOutput::EnterStable {
        upstream: upstream(1),
        full: true,
        lsns: vec![Lsn(3), Lsn(4)],
    };
    assert_eq!(outputs(&mut link), [enter]);
    link.handle_stable_entered(0, Ok(()));
    let stream = [3, 4]
        .into_iter()
        .enumerate()
        .map(|(flow, lsn)| LinkOutput::Command(flow, FlowCommand::Stream(Lsn(lsn))));
    assert_eq!(outputs(&mut link), stream.collect::<Vec<_>>());
    assert_eq!(
        (link.phase(), link.deadline()),
        (LinkPhase::StableSync, None)
    );
}

#[test]
fn offers() {
    let vector = |history| {
        Some(FlowOffer::Vector {
            history: id(history),
            lsns: vec![Lsn(10), Lsn(20)],
        })
    };
    assert_eq!(
        outputs(&mut greeted(1, Some(resume(2)))),
        open(1, vector(2)),
        "to its own server"
    );
    assert_eq!(
        outputs(&mut greeted(1, Some(resume(7)))),
        open(1, vector(7)),
        "the primary decides"
    );
    let short = Resume {
        lsns: vec![Lsn(10)],
        db: 0,
        ..resume(2)
    };
    assert_eq!(
        outputs(&mut greeted(1, Some(short))),
        open(1, None),
        "another number of shards"
    );
    let opened = outputs(&mut greeted(0, Some(resume(1))));
    let offered: Vec<_> = opened
        .iter()
        .map(|output| {
            if let LinkOutput::OpenFlow(spec) = output {
                spec.offer.clone()
            } else {
                None
            }
        })
        .collect();
    assert_eq!(
        offered,
        [Some(FlowOffer::Lsn(Lsn(10))), Some(FlowOffer::Lsn(Lsn(20)))],
        "to the same Dragonfly"
    );
    let other = Resume {
        replid: id(3),
        ..resume(3)
    };
    assert_eq!(
        outputs(&mut greeted(0, Some(other))),
        open(0, None),
        "to another Dragonfly"
    );
    let config = ReplicaConfig {
        partial_sync: false,
        ..ReplicaConfig::default()
    };
    let mut link = ReplicaLink::greeted(0, config, id(9), Some(resume(2)), 1, peer(1));
    assert_eq!(outputs(&mut link), open(1, None));
}

#[test]
fn a_partial_sync_touches_nothing() {
    let mut link = greeted(1, Some(resume(2)));
    outputs(&mut link);
    grant(&mut link, true);
    assert_eq!(
        outputs(&mut link),
        [send(&["DFLY", "STARTSTABLE", "SYNC5"])]
    );
    assert_eq!(link.phase(), LinkPhase::Preparation);
    link.handle_bytes(0, b"+OK\r\n");
    let enter = LinkOutput::EnterStable {
        upstream: upstream(1),
        full: false,
        lsns: vec![Lsn(10), Lsn(20)],
    };
    assert_eq!(outputs(&mut link)[2..], [enter]);
    assert_eq!(
        (
            link.stats().psync_attempts,
            link.stats().psync_successes,
            link.stats().full_syncs
        ),
        (1, 1, 0)
    );
}

#[test]
fn after_a_mix_the_next_attempt_offers_nothing() {
    let mut link = greeted(1, Some(resume(2)));
    outputs(&mut link);
    link.handle_flow_event(0, 0, FlowEvent::Granted { partial: true });
    link.handle_flow_event(0, 1, FlowEvent::Granted { partial: false });
    let mut expected = vec![LinkOutput::Disconnect];
    expected.extend(all(FlowCommand::Stop));
    assert_eq!(outputs(&mut link), expected);
    stopped(&mut link, 0, None);
    stopped(&mut link, 1, None);
    assert_eq!(
        outputs(&mut link),
        [LinkOutput::RetryAfter {
            error: LinkError::MixedGrant,
            delay_ms: 100
        }]
    );
    link.handle_timeout(99);
    assert_eq!(outputs(&mut link), []);
    link.handle_timeout(100);
    assert_eq!(outputs(&mut link), [LinkOutput::Connect]);
    link.open_flows(100, peer(1));
    assert_eq!(outputs(&mut link), open(1, None));
    assert!(link.resume().is_some(), "it is kept for later");
}

#[test]
fn a_break_in_stable_sync_keeps_what_was_executed() {
    let mut link = stable();
    link.handle_closed(
        0,
        LinkError::Closed {
            connection: "control".into(),
            why: "gone".into(),
        },
    );
    stopped(&mut link, 0, Some(15));
    outputs(&mut link);
    stopped(&mut link, 1, Some(20));
    assert_eq!(
        outputs(&mut link),
        [LinkOutput::LinkEnded(Some(vec![Lsn(15), Lsn(20)]))]
    );
    link.handle_link_ended(0);
    assert!(matches!(
        outputs(&mut link)[..],
        [LinkOutput::RetryAfter { delay_ms: 100, .. }]
    ));
    assert_eq!(
        link.resume(),
        Some(&Resume {
            lsns: vec![Lsn(15), Lsn(20)],
            db: 0,
            ..resume(2)
        })
    );
}

#[test]
fn a_break_in_a_full_sync_leaves_nothing_to_go_on_from() {
    let mut link = greeted(1, Some(resume(2)));
    grant(&mut link, false);
    assert!(link.resume().is_some(), "nothing was discarded yet");
    link.handle_bytes(0, b"+OK\r\n");
    link.handle_flow_event(
        0,
        0,
        FlowEvent::Stopped {
            executed: None,
            error: Some(LinkError::EofToken { flow: 0 }),
        },
    );
    stopped(&mut link, 1, None);
    assert!(
        !outputs(&mut link).contains(&LinkOutput::LinkEnded(None)),
        "the data set is still discarding"
    );
    link.handle_full_sync_begun(0, Ok(()));
    assert_eq!(outputs(&mut link), [LinkOutput::LinkEnded(None)]);
    assert_eq!(link.resume(), None);
}

#[test]
fn participants_of_a_meeting_advance_in_one_step() {
    let mut link = stable();
    link.handle_flow_event(
        0,
        0,
        FlowEvent::Arrived {
            part: part(7, 2, 10),
            global: false,
        },
    );
    assert_eq!(outputs(&mut link), []);
    link.handle_flow_event(
        0,
        1,
        FlowEvent::Arrived {
            part: part(7, 2, 20),
            global: false,
        },
    );
    let [LinkOutput::Apply(meeting)] = &outputs(&mut link)[..] else {
        panic!("a meeting")
    };
    assert_eq!((meeting.txid, meeting.parts.len()), (7, 2));
    // It breaks while the meeting is executed: the flows stop before their parts, which count all the same.
    link.handle_closed(
        0,
        LinkError::Closed {
            connection: "control".into(),
            why: "gone".into(),
        },
    );
    stopped(&mut link, 0, Some(10));
    stopped(&mut link, 1, Some(20));
    assert!(
        !outputs(&mut link)
            .iter()
            .any(|output| matches!(output, LinkOutput::LinkEnded(_))),
        "it waits for the data set"
    );
    link.handle_meeting_done(0, 7, &[(0, Some(Lsn(11))), (1, Some(Lsn(21)))], Ok(()));
    assert_eq!(
        outputs(&mut link).last(),
        Some(&LinkOutput::LinkEnded(Some(vec![Lsn(11), Lsn(21)])))
    );
}

#[test]
fn a_failure_of_the_data_set_leaves_nothing_to_go_on_from() {
    let mut link = stable();
    link.handle_flow_event(
        0,
        0,
        FlowEvent::Arrived {
            part: part(7, 2, 10),
            global: false,
        },
    );
    link.handle_flow_event(
        0,
        1,
        FlowEvent::Arrived {
            part: part(7, 2, 20),
            global: false,
        },
    );
    link.handle_meeting_done(0, 7, &[], Err(DataError::terminal("no such command")));
    stopped(&mut link, 0, Some(10));
    stopped(&mut link, 1, Some(20));
    assert_eq!(
        outputs(&mut link).last(),
        Some(&LinkOutput::LinkEnded(None))
    );
    link.handle_link_ended(0);
    assert!(matches!(
        outputs(&mut link)[..],
        [LinkOutput::Failed(LinkError::Data(_))]
    ));
    assert_eq!(
        (link.phase(), link.deadline()),
        (LinkPhase::Failed, None),
        "it is not tried again"
    );
}

#[test]
fn a_meeting_that_nobody_completes_breaks_the_link_in_time() {
    let mut link = stable();
    link.handle_flow_event(
        500,
        0,
        FlowEvent::Arrived {
            part: part(7, 2, 10),
            global: false,
        },
    );
    assert_eq!(link.deadline(), Some(30_500));
    link.handle_timeout(30_500);
    assert_eq!(outputs(&mut link)[0], LinkOutput::Disconnect);
    assert_eq!(link.phase(), LinkPhase::Connecting);
}

#[test]
fn stop_is_the_last_word_in_every_phase() {
    let config = ReplicaConfig::default;
    let connecting = || ReplicaLink::connecting(0, config(), "host:1".into(), id(9), None, 1);
    let mut greeting = connecting();
    greeting.handle_connected(0);
    let mut backoff = connecting();
    backoff.handle_closed(0, LinkError::Connect { why: "no".into() });
    let mut failed = connecting();
    failed.handle_closed(0, LinkError::SelfReplication);
    for mut link in [connecting(), greeting, backoff, failed] {
        outputs(&mut link);
        link.stop(1);
        assert_eq!(
            outputs(&mut link),
            [LinkOutput::Disconnect, LinkOutput::Stopped]
        );
        assert_eq!((link.phase(), link.deadline()), (LinkPhase::Stopped, None));
    }
    let mut link = stable();
    link.stop(1);
    stopped(&mut link, 0, Some(12));
    stopped(&mut link, 1, Some(22));
    assert_eq!(
        outputs(&mut link).last(),
        Some(&LinkOutput::LinkEnded(Some(vec![Lsn(12), Lsn(22)])))
    );
    link.handle_link_ended(1);
    assert_eq!(outputs(&mut link), [LinkOutput::Stopped]);
}

#[test]
fn refusals_of_sync_keep_the_data() {
    for (answer, terminal) in [
        ("-ERR syncid not found\r\n", false),
        ("-LOADING wait\r\n", false),
        ("-ERR unknown command\r\n", true),
    ] {
        let mut link = greeted(1, Some(resume(2)));
        grant(&mut link, false);
        link.handle_bytes(0, answer.as_bytes());
        stopped(&mut link, 0, None);
        stopped(&mut link, 1, None);
        let last = outputs(&mut link).pop();
        assert_eq!(
            matches!(last, Some(LinkOutput::Failed(_))),
            terminal,
            "{last:?}"
        );
        assert!(link.resume().is_some());
    }
}

#[test]
fn nobody_answers() {
    let mut link =
        ReplicaLink::connecting(0, ReplicaConfig::default(), "host:1".into(), id(9), None, 1);
    assert_eq!(link.deadline(), Some(20_000));
    link.handle_timeout(20_000);
    let error = LinkError::Timeout {
        step: "connect",
        limit_ms: 20_000,
    };
    assert_eq!(
        outputs(&mut link)[1..],
        [
            LinkOutput::Disconnect,
            LinkOutput::RetryAfter {
                error,
                delay_ms: 100
            }
        ]
    );
    link.handle_timeout(link.deadline().expect("a retry"));
    link.handle_connected(20_100);
    link.handle_timeout(30_100);
    assert_eq!(
        link.last_error(),
        Some(&LinkError::Timeout {
            step: "PING",
            limit_ms: 10_000
        })
    );
    let mut link = greeted(1, None);
    grant(&mut link, false);
    link.handle_timeout(30_000);
    assert_eq!(outputs(&mut link)[3], LinkOutput::Disconnect);
}

/// Events in any order, meaningful or not: no panic, and after `stop` and the end of everything it always ends.
#[test]
fn any_order_of_events_ends_when_stopped() {
    for seed in 1..400_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = move |limit: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % limit
        };
        let mut link = greeted((seed % 2) as u8, Some(resume(2)).filter(|_| seed % 3 > 0));
        let mut world = World::default();
        for step in 0..60 {
            let (now, flow) = (step * 500, next(2) as usize);
            match next(9) {
                0 => link.handle_bytes(now, b"+OK\r\n"),
                1 => link.handle_bytes(now, b"-ERR invalid state\r\n"),
                2 => world.event(
                    &mut link,
                    now,
                    flow,
                    FlowEvent::Granted {
                        partial: next(2) == 0,
                    },
                ),
                3 => world.event(&mut link, now, flow, FlowEvent::Cut),
                4 => world.event(&mut link, now, flow, FlowEvent::Tail(Lsn(next(9) + 1))),
                5 if next(4) == 0 => world.event(
                    &mut link,
                    now,
                    flow,
                    FlowEvent::Stopped {
                        executed: Some(Lsn(next(30))),
                        error: None,
                    },
                ),
                6 => world.event(
                    &mut link,
                    now,
                    flow,
                    FlowEvent::Arrived {
                        part: part(next(3), 2, 1),
                        global: next(2) == 0,
                    },
                ),
                7 => link.handle_timeout(now),
                _ => world.answer(&mut link, now, next(5) > 0),
            }
            world.take(&mut link);
        }
        link.stop(40_000);
        for _ in 0..20 {
            world.take(&mut link);
            (0..2).for_each(|flow| {
                world.event(
                    &mut link,
                    40_000,
                    flow,
                    FlowEvent::Stopped {
                        executed: None,
                        error: None,
                    },
                )
            });
            world.answer(&mut link, 40_000, true);
        }
        assert_eq!(link.phase(), LinkPhase::Stopped, "seed {seed}");
    }
}

/// What the link asked for and was not told of yet.
#[derive(Default)]
struct World {
    calls: Vec<LinkOutput>,
    running: [bool; 2],
}

impl World {
    fn take(&mut self, link: &mut ReplicaLink) {
        while let Some(output) = link.poll_output() {
            match output {
                LinkOutput::OpenFlow(spec) => self.running[spec.flow] = true,
                LinkOutput::BeginFullSync(_)
                | LinkOutput::EnterStable { .. }
                | LinkOutput::Apply(_)
                | LinkOutput::LinkEnded(_) => {
                    self.calls.push(output);
                }
                _ => {}
            }
        }
    }

    fn event(&mut self, link: &mut ReplicaLink, now: u64, flow: usize, event: FlowEvent) {
        let running = self.running[flow];
        if matches!(event, FlowEvent::Stopped { .. }) {
            self.running[flow] = false;
        }
        if running {
            link.handle_flow_event(now, flow, event);
        }
    }

    fn answer(&mut self, link: &mut ReplicaLink, now: u64, well: bool) {
        let result = if well {
            Ok(())
        } else {
            Err(DataError::retriable("no"))
        };
        match self.calls.pop() {
            Some(LinkOutput::BeginFullSync(_)) => link.handle_full_sync_begun(now, result),
            Some(LinkOutput::EnterStable { .. }) => link.handle_stable_entered(now, result),
            Some(LinkOutput::Apply(meeting)) => {
                link.handle_meeting_done(now, meeting.txid, &[], result)
            }
            Some(LinkOutput::LinkEnded(_)) => link.handle_link_ended(now),
            _ => {}
        }
    }
}
