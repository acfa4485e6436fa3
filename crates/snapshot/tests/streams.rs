//! Streams: payloads of a real `redis-server` become values and the same bytes again, and hostile ones become errors.
#![cfg(feature = "store")]

mod support;

use damselfly_snapshot::wire::type_byte;
use damselfly_snapshot::*;
use damselfly_store::Value;
use damselfly_store::values::Stream;
use support::server::Redis;

/// The commands that make the streams, by seed.
fn commands(seed: u64) -> Vec<String> {
    let mut random = support::pieces(seed, 1 << 40);
    let mut pick = move |bound: usize| random() % bound;
    let mut all = Vec::new();
    let mut ms = 1;
    for _ in 0..20 + pick(400) {
        ms += pick(3);
        let fields = match pick(8) {
            0 => format!("other {} 7 {}", pick(1000), "y".repeat(pick(300))),
            1 => format!("a 1 b {}", "x".repeat(pick(5000))),
            _ => format!("a {} b value:{}", pick(100_000), pick(10)),
        };
        all.push(format!("XADD s {ms}-* {fields}"));
        if pick(6) == 0 {
            all.push(format!("XDEL s {}-{}", pick(ms) + 1, pick(2)));
        }
        if pick(60) == 0 {
            all.push(format!(
                "XTRIM s MAXLEN {} {}",
                ["=", "~"][pick(2)],
                pick(200)
            ));
        }
        if pick(100) == 0 {
            all.push(format!(
                "XTRIM s MINID {} {}",
                ["=", "~"][pick(2)],
                pick(ms)
            ));
        }
    }
    for group in ["first", "5", "empty"] {
        all.push(format!(
            "XGROUP CREATE s {group} {}",
            ["0", "$", "2-0"][pick(3)]
        ));
    }
    for _ in 0..pick(30) {
        let (group, consumer) = (["first", "5"][pick(2)], ["me", "12", "z"][pick(3)]);
        let count = 1 + pick(40);
        all.push(format!(
            "XREADGROUP GROUP {group} {consumer} COUNT {count} STREAMS s >"
        ));
        all.push(format!("XACK s {group} {}-0", pick(ms)));
    }
    all.push("XGROUP CREATECONSUMER s first idle".into());
    all.push(format!("XDEL s {}-0 {ms}-0", pick(ms)));
    all
}

fn redis(name: &str) -> Redis {
    let redis = Redis::start(name, None);
    assert_eq!(
        redis.call(&["CONFIG", "SET", "rdbcompression", "no"]),
        "+OK"
    );
    redis
}

fn dump(redis: &Redis, key: &str) -> Vec<u8> {
    redis.call_raw(&["DUMP", key])
}

fn restore(redis: &Redis, key: &str, payload: &[u8]) {
    let reply = redis.call(&[b"RESTORE", key.as_bytes(), b"0", payload, b"REPLACE"]);
    assert_eq!(reply, "+OK");
}

fn stream_of(payload: &[u8]) -> Stream {
    match restore_value(payload) {
        Ok(Value::Stream(stream)) => *stream,
        other => panic!("{other:?}"),
    }
}

/// The same value as a payload of another form.
fn dump_in(profile: Profile, stream: Stream) -> Vec<u8> {
    let mut payload = Vec::new();
    encode_value(
        &mut Encoder::new(profile),
        &mut payload,
        Head::Bare,
        &stream.into(),
    );
    finish_dump(&mut payload, profile);
    payload
}

#[test]
fn payloads_of_redis_come_back_as_they_were() {
    let redis = redis("streams");
    for seed in 1..6 {
        redis.call(&["DEL", "s"]);
        for command in commands(seed) {
            redis.call(&command.split(' ').collect::<Vec<_>>());
        }
        let payload = dump(&redis, "s");
        let stream = stream_of(&payload);
        assert!(stream.len() > 5 && stream.group_count() == 3, "seed {seed}");
        let ours = dump_value(&stream.clone().into());
        assert!(ours == payload, "seed {seed}");
        restore(&redis, "t", &ours);
        assert!(dump(&redis, "t") == payload, "seed {seed}");
        // The first form lacks counters, which both sides guess alike.
        let first_form = dump_in(Profile::Redis62, stream);
        assert_eq!(first_form[0], type_byte::STREAM_1);
        restore(&redis, "t", &first_form);
        let guessed = dump_value(&stream_of(&first_form).into());
        assert!(dump(&redis, "t") == guessed, "seed {seed}");
    }
}

#[test]
fn our_nodes_are_those_of_redis() {
    let redis = redis("nodes");
    let mut stream = Stream::new();
    let mut random = support::pieces(77, 1 << 40);
    for ms in 1..700u64 {
        let value = "v".repeat(random() % 90 + if ms % 50 == 0 { 4000 } else { 0 });
        let number = (random() % 70_000).to_string();
        let fields = [("field", &value), (["n", "m"][random() % 20 / 19], &number)];
        let id = format!("{ms}-{}", ms % 3);
        redis.call(&["XADD", "s", &id, "field", &value, fields[1].0, &number]);
        let pairs = fields
            .iter()
            .map(|(field, value)| (field.as_bytes(), value.as_bytes()));
        let id = damselfly_store::values::StreamId::new(ms, ms % 3);
        stream.append(id, pairs).unwrap();
        if ms % 7 == 0 {
            let gone = damselfly_store::values::StreamId::new(ms - 3, (ms - 3) % 3);
            redis.call(&["XDEL", "s", &gone.to_string()]);
            assert!(stream.delete(gone));
        }
    }
    assert!(dump(&redis, "s") == dump_value(&stream.into()));
}

#[test]
fn an_empty_stream_stays_one() {
    let redis = redis("empty");
    redis.call(&["XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"]);
    let payload = dump(&redis, "s");
    assert_eq!(dump_value(&stream_of(&payload).into()), payload);
}

/// A payload with its checksum made good.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut payload = body.to_vec();
    finish_dump(&mut payload, Profile::Flow);
    payload
}

#[test]
fn changed_payloads_are_refused_or_whole() {
    let redis = redis("hostile");
    let commands = [
        "XADD s 1-1 a 1 b 2",
        "XADD s 1-2 a 100 b xyz",
        "XADD s 2-0 other 5",
        "XADD s 3-0 a -7 b 123456789",
        "XDEL s 1-2",
        "XGROUP CREATE s g 0",
        "XGROUP CREATE s h 1-1",
        "XREADGROUP GROUP g me COUNT 2 STREAMS s >",
        "XREADGROUP GROUP g you COUNT 2 STREAMS s >",
        "XGROUP CREATECONSUMER s h idle",
    ];
    for command in commands {
        redis.call(&command.split(' ').collect::<Vec<_>>());
    }
    let payload = dump(&redis, "s");
    let body = check_dump(&payload).unwrap();
    for at in 0..body.len() {
        for change in [1, 0x80, 0xff] {
            let mut changed = body.to_vec();
            changed[at] ^= change;
            if let Ok(value) = restore_value(&sealed(&changed)) {
                let again = dump_value(&value);
                assert!(again == dump_value(&restore_value(&again).unwrap()));
            }
        }
        if let Ok(value) = restore_value(&sealed(&body[..at])) {
            panic!("{at} bytes of {} are a {value:?}", body.len());
        }
    }
}
