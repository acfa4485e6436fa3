use super::*;
use crate::values::test_kit::element;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Fields_ = Vec<(Vec<u8>, Vec<u8>)>;
type Model = BTreeMap<StreamId, Fields_>;

const LIMITS: Limits = Limits {
    stream_node_max_entries: 12,
    ..Limits::REDIS_7
};

fn pairs(fields: &Fields_) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + Clone {
    fields
        .iter()
        .map(|(field, value)| (field.as_slice(), value.as_slice()))
}

fn owned(entry: Entry<'_>) -> (StreamId, Fields_) {
    let fields = entry.fields();
    assert_eq!(fields.len(), entry.field_count());
    (
        entry.id(),
        fields
            .map(|(field, value)| (field.to_vec(), value.to_vec()))
            .collect(),
    )
}

fn audit(stream: &Stream) {
    stream.entries.audit();
    for group in stream.groups() {
        group.audit();
    }
    let groups = stream.groups.as_ref();
    let bytes: usize = stream.groups().map(Group::heap_size).sum();
    let list = groups.map_or(0, |groups| size_of::<Groups>() + size_of_val(groups.list()));
    assert!(stream.heap_size() >= stream.entries.heap_size() + bytes + list);
}

#[derive(Clone, Debug)]
enum Step {
    Append(u64, u64, Fields_),
    Delete(usize),
    DeleteMissing(u64, u64),
    MaxLen(usize, bool, u64),
    MinId(usize, bool, u64),
    Rebuild,
}

fn fields() -> impl Strategy<Value = Fields_> {
    let same = prop::collection::vec(element(), 2).prop_map(|values| {
        let names = [b"first".to_vec(), b"2".to_vec()];
        names.into_iter().zip(values).collect()
    });
    prop_oneof![
        4 => same,
        1 => prop::collection::vec((element(), element()), 1..5),
        1 => (100usize..9000).prop_map(|len| vec![(b"first".to_vec(), vec![b'x'; len])]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let id_gap = prop_oneof![
        5 => (Just(0u64), 1u64..4),
        4 => (1u64..400, 0u64..3),
        1 => (1u64..u64::MAX >> 12, any::<u64>()),
    ];
    prop_oneof![
        20 => (id_gap, fields()).prop_map(|((ms, seq), fields)| Step::Append(ms, seq, fields)),
        9 => any::<usize>().prop_map(Step::Delete),
        1 => (0u64..5000, 0u64..5).prop_map(|(ms, seq)| Step::DeleteMissing(ms, seq)),
        1 => (any::<usize>(), any::<bool>(), 0u64..30).prop_map(|(n, approx, limit)| Step::MaxLen(n, approx, limit)),
        1 => (any::<usize>(), any::<bool>(), 0u64..30).prop_map(|(n, approx, limit)| Step::MinId(n, approx, limit)),
        1 => Just(Step::Rebuild),
    ]
}

fn nth(model: &Model, index: usize) -> Option<StreamId> {
    model.keys().copied().nth(index % model.len().max(1))
}

/// The next id after `last`, the gap away, or none where there is none.
fn id_after(last: StreamId, ms: u64, seq: u64) -> Option<StreamId> {
    if ms == 0 {
        Some(StreamId::new(last.ms, last.seq.checked_add(seq)?))
    } else {
        Some(StreamId::new(last.ms.checked_add(ms)?, seq))
    }
}

fn rebuilt(stream: &Stream) -> Stream {
    let mut copy = Stream::new();
    for (id, listpack) in stream.listpacks_from(StreamId::MIN) {
        copy.push_listpack(id, listpack).expect("our own node");
    }
    copy.set_last_id(stream.last_id());
    copy.set_max_deleted_id(stream.max_deleted_id());
    copy.set_entries_added(stream.entries_added());
    copy
}

/// Removes from the front of the model what `stream` removed, which must be what trimming may remove.
fn trim(stream: &mut Stream, model: &mut Model, to: TrimTo, approximate: bool, limit: u64) {
    let wanted = match to {
        TrimTo::MaxLen(max) => model.len().saturating_sub(max as usize),
        TrimTo::MinId(min) => model.range(..min).count(),
    };
    let removed = stream.trim(Trim {
        to,
        approximate,
        limit: if approximate { limit } else { 0 },
    });
    if approximate {
        assert!(removed <= wanted && (limit == 0 || removed as u64 <= limit));
    } else {
        assert_eq!(removed, wanted);
    }
    for _ in 0..removed {
        model.pop_first();
    }
}

fn apply(step: Step, stream: &mut Stream, model: &mut Model) {
    match step {
        Step::Append(ms, seq, fields) => {
            let last = stream.last_id();
            let Some(id) = id_after(last, ms, seq).filter(|id| *id > last) else {
                return;
            };
            let added = stream.entries_added();
            assert_eq!(stream.append_within(id, pairs(&fields), &LIMITS), Ok(()));
            assert_eq!(
                stream.append(id, pairs(&fields)),
                Err(AppendError::NotGreater)
            );
            assert_eq!(stream.entries_added(), added + 1);
            model.insert(id, fields);
        }
        Step::Delete(index) => {
            let Some(id) = nth(model, index) else { return };
            model.remove(&id);
            assert!(stream.delete(id) && !stream.delete(id));
            assert!(stream.max_deleted_id() >= id);
        }
        Step::DeleteMissing(ms, seq) => {
            let id = StreamId::new(ms, seq);
            assert_eq!(stream.delete(id), model.remove(&id).is_some());
        }
        Step::MaxLen(n, approximate, limit) => {
            let max = n % (model.len() + 2);
            trim(
                stream,
                model,
                TrimTo::MaxLen(max as u64),
                approximate,
                limit,
            );
        }
        Step::MinId(n, approximate, limit) => {
            let min = nth(model, n).unwrap_or(StreamId::MAX);
            trim(stream, model, TrimTo::MinId(min), approximate, limit);
        }
        Step::Rebuild => *stream = rebuilt(stream),
    }
}

fn check(stream: &Stream, model: &Model, probes: &[(usize, usize)]) {
    audit(stream);
    assert_eq!(stream.len(), model.len());
    let all = |stream: &Stream| -> Vec<_> {
        stream
            .range(StreamId::MIN, StreamId::MAX)
            .map(owned)
            .collect()
    };
    let expected: Vec<_> = model.clone().into_iter().collect();
    assert_eq!(all(stream), expected);
    let mut reversed: Vec<_> = stream
        .range(StreamId::MIN, StreamId::MAX)
        .rev()
        .map(owned)
        .collect();
    reversed.reverse();
    assert_eq!(reversed, expected);
    for &(from, to) in probes {
        let (Some(from), Some(to)) = (nth(model, from), nth(model, to)) else {
            continue;
        };
        let ids = |stream: &Stream| -> Vec<_> {
            stream.range(from, to).map(|entry| entry.id()).collect()
        };
        let wanted: Vec<_> = if from <= to {
            model.range(from..=to).map(|(id, _)| *id).collect()
        } else {
            Vec::new()
        };
        assert_eq!(ids(stream), wanted);
        let mut both = stream.range(from, to);
        let (mut front, mut back) = (Vec::new(), Vec::new());
        while let Some(entry) = both.next() {
            front.push(entry.id());
            back.extend(both.next_back().map(|entry| entry.id()));
        }
        front.extend(back.into_iter().rev());
        assert_eq!(front, wanted);
        assert_eq!(
            stream.get(from).map(owned),
            model
                .get_key_value(&from)
                .map(|(id, fields)| (*id, fields.clone()))
        );
        assert_eq!(
            stream.contains(to.next().unwrap()),
            model.contains_key(&to.next().unwrap())
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_stream_is_a_sorted_map(steps in prop::collection::vec(step(), 0..500), probes in prop::collection::vec((any::<usize>(), any::<usize>()), 4)) {
        let (mut stream, mut model) = (Stream::new(), Model::new());
        for (number, step) in steps.into_iter().enumerate() {
            apply(step, &mut stream, &mut model);
            if number % 40 == 0 {
                check(&stream, &model, &probes);
            }
        }
        check(&stream, &model, &probes);
        while !stream.free_slice(50) {}
        prop_assert_eq!(stream.len(), 0);
    }

    #[test]
    fn bytes_that_changed_are_refused_or_read(entries in prop::collection::vec(fields(), 1..6), at in any::<usize>(), byte in any::<u8>(), cut in any::<usize>()) {
        let mut stream = Stream::new();
        for (number, fields) in entries.iter().enumerate() {
            stream.append(StreamId::new(5, number as u64), pairs(fields)).unwrap();
        }
        let nodes: Vec<_> = stream.listpacks_from(StreamId::MIN).map(|(id, bytes)| (id, bytes.to_vec())).collect();
        for (id, bytes) in nodes {
            let mut changed = bytes.clone();
            changed[at % bytes.len()] = byte;
            for bytes in [&changed[..], &bytes[..cut % bytes.len()]] {
                let mut copy = Stream::new();
                if copy.push_listpack(id, bytes).is_ok() {
                    audit(&copy);
                    copy.range(StreamId::MIN, StreamId::MAX).for_each(|entry| entry.fields().for_each(drop));
                    copy.trim(Trim { to: TrimTo::MaxLen(1), approximate: false, limit: 0 });
                    copy.append(StreamId::MAX, pairs(&entries[0])).ok();
                    audit(&copy);
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
enum GroupStep {
    Create(u8),
    RemoveConsumer(u8),
    Pend(u64, u8),
    PendNext(u8),
    Ack(u64),
    AckFirst,
}

fn group_step() -> impl Strategy<Value = GroupStep> {
    prop_oneof![
        3 => (0u8..6).prop_map(GroupStep::Create),
        1 => (0u8..40).prop_map(GroupStep::RemoveConsumer),
        6 => (0u64..900, 0u8..6).prop_map(|(id, consumer)| GroupStep::Pend(id, consumer)),
        20 => (0u8..6).prop_map(GroupStep::PendNext),
        6 => (0u64..900).prop_map(GroupStep::Ack),
        2 => Just(GroupStep::AckFirst),
    ]
}

type PendingModel = BTreeMap<u64, (u8, i64)>;

fn apply_to_group(step: GroupStep, group: &mut Group, model: &mut PendingModel, time: i64) {
    let mut pend = |group: &mut Group, id: u64, consumer: u8| {
        let Some(consumer_id) = group.consumer_id(&[consumer]) else {
            return;
        };
        let is_new = group.set_pending(PendingEntry {
            id: StreamId::new(1, id),
            consumer: consumer_id,
            delivered_ms: time,
            deliveries: 1,
        });
        assert_eq!(is_new, model.insert(id, (consumer, time)).is_none());
    };
    match step {
        GroupStep::Create(name) => _ = group.create_consumer(&[name], time),
        GroupStep::RemoveConsumer(name) => {
            let count = model.values().filter(|(owner, _)| *owner == name).count();
            let known = group.consumer_id(&[name]).is_some();
            assert_eq!(group.remove_consumer(&[name]), known.then_some(count));
            model.retain(|_, (owner, _)| *owner != name);
        }
        GroupStep::Pend(id, consumer) => pend(group, id, consumer),
        GroupStep::PendNext(consumer) => {
            let next = group.last_pending().map_or(0, |entry| entry.id.seq + 1);
            pend(group, next, consumer);
        }
        GroupStep::Ack(id) => {
            let removed = group.remove_pending(StreamId::new(1, id));
            assert_eq!(removed.is_some(), model.remove(&id).is_some());
        }
        GroupStep::AckFirst => {
            let first = group.first_pending().map(|entry| entry.id.seq);
            assert_eq!(first, model.keys().next().copied());
            if let Some(id) = first {
                group.remove_pending(StreamId::new(1, id));
                model.remove(&id);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn pending_entries_are_a_sorted_map(steps in prop::collection::vec(group_step(), 0..1500), from in 0u64..900, to in 0u64..900) {
        let mut stream = Stream::new();
        prop_assert!(stream.create_group(b"group", StreamId::MIN, None));
        let mut model = PendingModel::new();
        for (time, step) in steps.into_iter().enumerate() {
            let mut group = stream.group_mut(b"group").unwrap();
            apply_to_group(step, &mut group, &mut model, time as i64);
        }
        audit(&stream);
        let bytes = size_of::<Group>() + stream.group(b"group").unwrap().heap_size();
        prop_assert_eq!(stream.heap_size(), size_of::<Groups>() + bytes);
        let group = stream.group(b"group").unwrap();
        prop_assert_eq!(group.pending_count(), model.len());
        let show = |entry: PendingEntry| (entry.id.seq, (group.consumer(entry.consumer).name()[0], entry.delivered_ms));
        let (from_id, to_id) = (StreamId::new(1, from), StreamId::new(1, to));
        let found: Vec<_> = group.pending_range(from_id, to_id).map(show).collect();
        let wanted: Vec<_> = model.iter().filter(|(id, _)| (from..=to).contains(*id)).map(|(id, entry)| (*id, *entry)).collect();
        prop_assert_eq!(found, wanted);
        for (id, consumer) in group.consumers() {
            let found: Vec<_> = group.consumer_pending_range(id, StreamId::MIN, StreamId::MAX).map(show).collect();
            let wanted: Vec<_> = model.iter().filter(|(_, (owner, _))| [*owner] == *consumer.name()).map(|(id, entry)| (*id, *entry)).collect();
            prop_assert_eq!(found, wanted);
        }
        while !stream.free_slice(60) {}
        prop_assert_eq!(stream.heap_size(), 0);
    }
}

#[test]
fn many_nodes_fall_from_every_place() {
    let mut stream = Stream::new();
    let fields = vec![(b"n".to_vec(), b"v".to_vec())];
    for ms in 1..=40_000 {
        stream.append(StreamId::new(ms, 0), pairs(&fields)).unwrap();
    }
    assert_eq!(stream.node_count(), 400);
    for ms in (1..=40_000).filter(|ms| (ms - 1) / 100 % 3 != 0) {
        assert!(stream.delete(StreamId::new(ms, 0)));
    }
    audit(&stream);
    assert_eq!(stream.node_count(), 134);
    let trim = Trim {
        to: TrimTo::MaxLen(50),
        approximate: false,
        limit: 0,
    };
    assert_eq!(stream.trim(trim), stream_len_before(40_000) - 50);
    audit(&stream);
    assert_eq!(stream.first_id(), stream.first().unwrap().id());
}

fn stream_len_before(last: u64) -> usize {
    (1..=last).filter(|ms| (ms - 1) / 100 % 3 == 0).count()
}

#[test]
fn a_radix_tree_is_counted_as_redis_counts_it() {
    let mut stream = Stream::new();
    assert_eq!(stream.radix_tree_nodes(), 1);
    let fields = vec![(b"n".to_vec(), b"v".to_vec())];
    for ms in 1..=301 {
        stream.append(StreamId::new(ms, 0), pairs(&fields)).unwrap();
    }
    // XINFO STREAM of redis-server 7.0.15 after the same XADDs.
    assert_eq!((stream.node_count(), stream.radix_tree_nodes()), (4, 11));
}

#[test]
fn a_full_node_has_the_size_of_its_bytes() {
    let mut stream = Stream::new();
    let fields = vec![(b"field".to_vec(), b"some value".to_vec())];
    for ms in 1..=101 {
        stream.append(StreamId::new(ms, 0), pairs(&fields)).unwrap();
    }
    let first = stream.listpacks_from(StreamId::MIN).next().unwrap().1;
    // As in the DUMP of redis-server 7.0.15 after the same XADDs.
    assert_eq!(first.len(), 2022);
    let second = stream.listpacks_from(StreamId::MIN).nth(1).unwrap().1;
    assert_eq!(
        stream.heap_size(),
        first.len() + second.len() + 2 * size_of::<node::Node>()
    );
}

#[test]
fn groups_count_what_was_read() {
    let mut stream = Stream::new();
    let fields = vec![(b"n".to_vec(), b"v".to_vec())];
    for ms in 1..=5 {
        stream.append(StreamId::new(ms, 0), pairs(&fields)).unwrap();
    }
    assert_eq!(stream.entries_read_at(StreamId::MIN), Some(0));
    assert_eq!(stream.entries_read_at(StreamId::new(1, 0)), Some(1));
    assert_eq!(stream.entries_read_at(StreamId::new(3, 0)), None);
    assert_eq!(stream.entries_read_at(StreamId::new(5, 0)), Some(5));
    assert!(stream.delete(StreamId::new(3, 0)));
    assert!(stream.has_tombstones(StreamId::new(2, 0), StreamId::MAX));
    assert!(!stream.has_tombstones(StreamId::new(4, 0), StreamId::MAX));
    assert!(stream.create_group(b"g", StreamId::new(4, 0), Some(4)));
    assert!(!stream.create_group(b"g", StreamId::MIN, None));
    assert_eq!(stream.lag(stream.group(b"g").unwrap()), Some(1));
    assert!(stream.remove_group(b"g") && !stream.remove_group(b"g"));
}
