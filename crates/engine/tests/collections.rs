//! Lists, hashes, sets and sorted sets: what they answer, what they record, and that replaying the records gives the same data.

mod pair;

use damselfly_resp::Proto;
use pair::Pair;
use proptest::prelude::*;

/// Runs lines that prepare something; their records are replayed.
fn prepared(lines: &[&str]) -> Pair {
    let mut pair = Pair::new(7);
    for line in lines {
        let reply = pair.call(line);
        assert!(!reply.starts_with('-'), "{line}: {reply}");
    }
    pair.replay();
    pair
}

/// Runs one line after others; its reply and its records.
fn run(before: &[&str], line: &str) -> (String, Vec<String>) {
    let mut pair = prepared(before);
    let reply = pair.call(line);
    let effects = pair.effects();
    pair.assert_equal();
    (reply, effects)
}

#[test]
fn records_are_effects() {
    let rows: &[(&[&str], &str, &[&str])] = &[
        (&["SADD s a"], "SPOP s", &["DEL s"]),
        (&["SADD s a b c"], "SPOP s 3", &["DEL s"]),
        (&["SADD s a b c"], "SPOP s 0", &[]),
        (
            &["HSET h f 10.5"],
            "HINCRBYFLOAT h f 0.1",
            &["HSET h f 10.6"],
        ),
        (&[], "HINCRBYFLOAT h f 5.0e3", &["HSET h f 5000"]),
        (
            &["RPUSH l a b c"],
            "LMPOP 2 none l RIGHT COUNT 2",
            &["RPOP l 2"],
        ),
        (&["RPUSH l a b c"], "LMPOP 1 l LEFT COUNT 9", &["LPOP l 3"]),
        (&["ZADD z 1 a 2 b"], "ZMPOP 2 none z MAX", &["ZPOPMAX z 1"]),
        (&["RPUSH l a b"], "BLPOP none l 0", &["LPOP l"]),
        (&["RPUSH l a b"], "BRPOP l none 0", &["RPOP l"]),
        (&["RPUSH l a b"], "BLMPOP 0 1 l LEFT COUNT 9", &["LPOP l 2"]),
        (
            &["RPUSH l a b"],
            "BLMOVE l m LEFT RIGHT 0",
            &["LMOVE l m LEFT RIGHT"],
        ),
        (&["RPUSH l a b"], "BRPOPLPUSH l m 0", &["RPOPLPUSH l m"]),
        (&["ZADD z 1 a 2 b"], "BZPOPMAX none z 0", &["ZPOPMAX z"]),
        (&["ZADD z 1 a 2 b"], "BZMPOP 0 1 z MIN", &["ZPOPMIN z 1"]),
        (&["ZADD z 1 a"], "ZADD z GT CH 5 a", &["ZADD z GT CH 5 a"]),
        (
            &["RPUSH l a b"],
            "LMOVE l other LEFT RIGHT",
            &["LMOVE l other LEFT RIGHT"],
        ),
        (
            &["SADD a 1 2", "SADD b 2"],
            "SINTERSTORE c a b",
            &["SINTERSTORE c a b"],
        ),
    ];
    for (before, line, expected) in rows {
        let (reply, effects) = run(before, line);
        assert_eq!(&effects, expected, "{line}, which answered {reply}");
    }
}

#[test]
fn spop_records_what_it_popped() {
    let mut pair = prepared(&["SADD s a b c d e f g h i j"]);
    let reply = pair.reply(&[b"SPOP", b"s", b"4"], Proto::Resp2);
    let effects = pair.replay();
    assert_eq!((effects.len(), effects[0].len()), (1, 6));
    assert_eq!(effects[0][0], b"SREM");
    for member in &effects[0][2..] {
        assert!(reply.windows(member.len()).any(|part| part == member));
    }
    pair.assert_equal();
}

#[rustfmt::skip]
const IDLE: &[&str] = &[
    "LPUSHX none a", "LPOP none", "LPOP l 0", "LREM l 0 c", "LTRIM l 0 -1", "LINSERT l AFTER c x", "LSET l 5 x",
    "LMOVE none l LEFT LEFT", "LMPOP 1 none LEFT", "LMOVE l string LEFT LEFT", "RPOPLPUSH string l", "HSETNX h f 2",
    "HDEL h g", "HINCRBY h f x", "HINCRBYFLOAT h f inf", "HSET string a b", "SADD s a", "SREM s b", "SMOVE s s a",
    "SMOVE s none b", "SPOP none", "SMOVE s string a", "SINTERSTORE none s none", "SUNIONSTORE none nothing",
    "SDIFFSTORE none s s", "ZADD z 1 a", "ZADD z XX 1 b", "ZADD z NX 2 a", "ZADD z GT 0 a", "ZADD z LT 2 a",
    "ZADD z NX GT 1 a", "ZADD none XX 1 a", "ZINCRBY z 0 a", "ZREM z b", "ZREMRANGEBYRANK z 5 6",
    "ZREMRANGEBYSCORE z 5 6", "ZPOPMIN none", "ZPOPMIN z 0", "ZMPOP 1 none MIN", "ZRANGESTORE none z 5 6",
    "ZUNIONSTORE none 1 nothing", "ZADD z INCR 1 string x", "ZADD z INCR nan a",
];

#[test]
fn nothing_is_recorded_where_nothing_changes() {
    let before = [
        "RPUSH l a b",
        "HSET h f 1",
        "SADD s a",
        "ZADD z 1 a",
        "SET string x",
    ];
    for line in IDLE {
        let (reply, effects) = run(&before, line);
        assert!(
            effects.is_empty(),
            "{line} answered {reply} and recorded {effects:?}"
        );
    }
}

#[test]
fn the_last_element_takes_the_key_with_it() {
    for (before, line) in [
        ("RPUSH k a", "LPOP k"),
        ("RPUSH k a", "RPOP k 5"),
        ("RPUSH k a a", "LREM k 0 a"),
        ("RPUSH k a", "LTRIM k 1 0"),
        ("RPUSH k a", "LMOVE k other LEFT LEFT"),
        ("RPUSH k a", "LMPOP 1 k LEFT"),
        ("HSET k f v", "HDEL k f"),
        ("SADD k a", "SREM k a"),
        ("SADD k a", "SPOP k"),
        ("SADD k a", "SMOVE k other a"),
        ("ZADD k 1 a", "ZREM k a"),
        ("ZADD k 1 a", "ZPOPMAX k"),
        ("ZADD k 1 a", "ZMPOP 1 k MIN"),
        ("ZADD k 1 a", "ZREMRANGEBYLEX k - +"),
        ("ZADD k 1 a", "ZRANGESTORE k k 5 6"),
        ("SADD k a", "SINTERSTORE k k none"),
    ] {
        let mut pair = prepared(&[before]);
        pair.call(line);
        assert_eq!(pair.call("TYPE k"), "+none", "{line}");
        pair.replay();
        pair.assert_equal();
    }
}

#[test]
fn a_rotation_keeps_its_only_element() {
    let mut pair = prepared(&["RPUSH l a"]);
    assert_eq!(pair.call("RPOPLPUSH l l"), "$1 a");
    assert_eq!(pair.call("LRANGE l 0 -1"), "*1 $1 a");
    pair.replay();
    pair.assert_equal();
}

#[test]
fn resp3_has_its_own_shapes() {
    let before = ["ZADD z 1 a 2.5 b", "HSET h f v", "SADD s 2 1"];
    for (line, resp2, resp3) in [
        ("HGETALL h", "*2 $1 f $1 v", "%1 $1 f $1 v"),
        ("HGETALL none", "*0", "%0"),
        (
            "HRANDFIELD h 1 WITHVALUES",
            "*2 $1 f $1 v",
            "*1 *2 $1 f $1 v",
        ),
        ("SMEMBERS s", "*2 $1 1 $1 2", "~2 $1 1 $1 2"),
        ("SUNION none", "*0", "~0"),
        ("LPOP none", "$-1", "_"),
        ("LPOP none 1", "*-1", "_"),
        ("LMPOP 1 none LEFT", "*-1", "_"),
        ("ZSCORE z b", "$3 2.5", ",2.5"),
        ("ZRANGE z 0 0 WITHSCORES", "*2 $1 a $1 1", "*1 *2 $1 a ,1"),
        (
            "ZUNION 1 z WITHSCORES",
            "*4 $1 a $1 1 $1 b $3 2.5",
            "*2 *2 $1 a ,1 *2 $1 b ,2.5",
        ),
        ("ZPOPMIN z", "*2 $1 a $1 1", "*2 $1 a ,1"),
        ("ZPOPMIN z 1", "*2 $1 a $1 1", "*1 *2 $1 a ,1"),
        (
            "ZMPOP 1 z MIN",
            "*2 $1 z *1 *2 $1 a $1 1",
            "*2 $1 z *1 *2 $1 a ,1",
        ),
        (
            "ZSCAN z 0",
            "*2 $1 0 *4 $1 a $1 1 $1 b $3 2.5",
            "*2 $1 0 *4 $1 a $1 1 $1 b $3 2.5",
        ),
        ("ZADD z INCR 1 a", "$1 2", ",2"),
        ("ZADD z NX INCR 1 a", "$-1", "_"),
    ] {
        assert_eq!(prepared(&before).call(line), resp2, "{line}");
        assert_eq!(prepared(&before).call3(line), resp3, "{line}");
    }
}

#[test]
fn random_members_are_different_where_asked() {
    for (add, draw) in [
        ("SADD", "SRANDMEMBER k"),
        ("HSET", "HRANDFIELD k"),
        ("ZADD", "ZRANDMEMBER k"),
    ] {
        for size in [10, 500] {
            let mut pair = Pair::new(3);
            for i in 0..size {
                match add {
                    "SADD" => pair.call(&format!("SADD k m{i}")),
                    "HSET" => pair.call(&format!("HSET k m{i} {i}")),
                    _ => pair.call(&format!("ZADD k {i} m{i}")),
                };
            }
            for count in [1, 5, size / 2, size, size + 7] {
                let reply = pair.call(&format!("{draw} {count}"));
                let mut drawn: Vec<&str> = reply
                    .split(' ')
                    .filter(|word| word.starts_with('m'))
                    .collect();
                drawn.sort_unstable();
                drawn.dedup();
                assert_eq!(drawn.len(), count.min(size), "{draw} {count} of {size}");
            }
            let reply = pair.call(&format!("{draw} -{}", size * 2));
            assert_eq!(
                reply
                    .split(' ')
                    .filter(|word| word.starts_with('m'))
                    .count(),
                size * 2
            );
        }
    }
}

#[test]
fn scans_see_everything_once_nothing_changes() {
    let mut pair = Pair::new(5);
    for i in 0..1_000 {
        pair.call(&format!("HSET h m{i} v"));
        pair.call(&format!("SADD s m{i}"));
        pair.call(&format!("ZADD z {i} m{i}"));
    }
    for (command, key) in [("HSCAN", "h"), ("SSCAN", "s"), ("ZSCAN", "z")] {
        let (mut cursor, mut seen, mut calls) =
            ("0".to_owned(), std::collections::BTreeSet::new(), 0);
        loop {
            let reply = pair.call(&format!("{command} {key} {cursor} COUNT 50 MATCH m*"));
            let words: Vec<&str> = reply.split(' ').collect();
            cursor = words[2].to_owned();
            seen.extend(
                words[3..]
                    .iter()
                    .filter(|word| word.starts_with('m'))
                    .map(|word| word.to_string()),
            );
            calls += 1;
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), 1_000, "{command}");
        assert!(calls > 5, "{command} was to go in steps");
    }
}

#[test]
fn positions_count_from_either_end() {
    let mut pair = prepared(&["RPUSH l a b a c a"]);
    for (options, expected) in [
        ("", ":0"),
        (" RANK 2", ":2"),
        (" RANK -1", ":4"),
        (" RANK -2 COUNT 0", "*2 :2 :0"),
        (" COUNT 2 MAXLEN 2", "*1 :0"),
        (" RANK 4", "$-1"),
        (" RANK -9223372036854775808", ":4"),
        (" RANK -9223372036854775808 COUNT 1", "*3 :4 :2 :0"),
    ] {
        assert_eq!(
            pair.call(&format!("LPOS l a{options}")),
            expected,
            "{options}"
        );
    }
}

#[test]
fn negative_zero_is_packed_away() {
    let mut pair = prepared(&["ZADD z -0 a"]);
    assert_eq!(pair.call("ZSCORE z a"), "$1 0");
    pair.call(&format!("ZADD z -0 {}", "x".repeat(65)));
    assert_eq!(pair.call(&format!("ZSCORE z {}", "x".repeat(65))), "$2 -0");
    assert_eq!(pair.call("ZADD z 1e17 a"), ":0");
    assert_eq!(pair.call("ZSCORE z a"), "$5 1e+17");
    assert_eq!(
        prepared(&["ZADD z 1e17 a"]).call("ZSCAN z 0"),
        "*2 $1 0 *2 $1 a $18 100000000000000000"
    );
}

/// A word of a command: a key, a member, a number.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0..4u8).prop_map(|i| format!("k{i}")),
        4 => (0..200u16).prop_map(|i| format!("m{i}")),
        3 => (-3..20i32).prop_map(|i| i.to_string()),
        1 => (-30..30i32).prop_map(|i| format!("{}", f64::from(i) / 8.0)),
        1 => Just("x".repeat(70)),
    ]
}

fn key() -> impl Strategy<Value = String> {
    (0..3u8).prop_map(|i| format!("k{i}"))
}

/// `K`: a key, `W`: a word, `N`: an integer, `F`: a float.
#[rustfmt::skip]
const WRITES: &[&str] = &[
    "LPUSH K W W", "RPUSH K W W W", "RPUSHX K W", "LPUSHX K W", "LPOP K", "RPOP K N", "LSET K N W",
    "LINSERT K BEFORE W W", "LREM K N W", "LTRIM K N N", "RPOPLPUSH K K", "LMOVE K K LEFT RIGHT",
    "LMPOP 2 K K RIGHT COUNT N", "HSET K W W W W", "HMSET K W W", "HSETNX K W W", "HDEL K W W", "HINCRBY K W N",
    "HINCRBYFLOAT K W F", "SADD K W W W", "SREM K W W", "SPOP K", "SPOP K N", "SMOVE K K W", "SINTERSTORE K K K",
    "SUNIONSTORE K K K", "SDIFFSTORE K K K", "ZADD K F W F W", "ZADD K GT CH F W", "ZADD K INCR F W",
    "ZINCRBY K F W", "ZREM K W W", "ZREMRANGEBYRANK K N N", "ZREMRANGEBYSCORE K F F", "ZREMRANGEBYLEX K [m1 [m3",
    "ZPOPMIN K", "ZPOPMAX K N", "ZMPOP 2 K K MIN COUNT N", "ZRANGESTORE K K N N", "ZRANGESTORE K K F F BYSCORE",
    "ZUNIONSTORE K 2 K K WEIGHTS F F", "ZINTERSTORE K 2 K K AGGREGATE MAX", "ZDIFFSTORE K 2 K K", "DEL K",
    "BLPOP K K F", "BRPOP K 0", "BLMPOP 0 2 K K LEFT COUNT N", "BLMOVE K K RIGHT LEFT 1", "BRPOPLPUSH K K 0.5",
    "BZPOPMIN K K 0", "BZPOPMAX K F", "BZMPOP 0 2 K K MAX COUNT N",
    "HEXPIRE K N FIELDS 2 W W", "HPEXPIRE K N LT FIELDS 1 W", "HEXPIREAT K 1800000000 FIELDS 2 W W",
    "HPEXPIREAT K 1800000000001 NX FIELDS 1 W", "HPERSIST K FIELDS 2 W W", "HGETDEL K FIELDS 2 W W",
    "HSETEX K FNX EX 100 FIELDS 2 W W W W", "HSETEX K KEEPTTL FIELDS 1 W W", "HGETEX K PX 100000 FIELDS 2 W W",
    "HGETEX K PERSIST FIELDS 1 W", "SADDEX K 100 W W",
];

#[test]
fn every_write_of_these_families_is_drawn() {
    use damselfly_engine::families::{hashes, lists, sets, sorted_sets};
    let families = [
        lists::COMMANDS,
        hashes::COMMANDS,
        sets::COMMANDS,
        sorted_sets::COMMANDS,
    ];
    let drawn = |name: &str| {
        WRITES.iter().any(|line| {
            line.split(' ')
                .next()
                .is_some_and(|word| word.eq_ignore_ascii_case(name))
        })
    };
    for row in families.into_iter().flatten().filter(|row| row.is_write()) {
        assert!(drawn(row.name), "{} is in no template", row.name);
    }
}

/// Every write of these families, with arguments that fit as a rule.
fn write() -> impl Strategy<Value = Vec<String>> {
    let number = (-4..12i32).prop_map(|i| i.to_string());
    let float = (-30..30i32).prop_map(|i| format!("{}", f64::from(i) / 8.0));
    let words = (
        key(),
        key(),
        key(),
        [word(), word(), word(), word()],
        number.clone(),
        number,
        float.clone(),
        float,
    );
    (prop::sample::select(WRITES), words).prop_map(|(template, words)| {
        let (k1, k2, k3, others, n1, n2, f1, f2) = words;
        let (mut keys, mut others) = ([k1, k2, k3].into_iter(), others.into_iter());
        let (mut numbers, mut floats) = ([n1, n2].into_iter(), [f1, f2].into_iter());
        template
            .split(' ')
            .map(|word| match word {
                "K" => keys.next().expect("three keys are enough"),
                "W" => others.next().expect("four words are enough"),
                "N" => numbers.next().expect("two numbers are enough"),
                "F" => floats.next().expect("two floats are enough"),
                word => word.to_owned(),
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a command did to the primary, its records do to the replica; errors do nothing.
    #[test]
    fn every_effect_replays(lines in prop::collection::vec(write(), 1..80), seed in any::<u64>()) {
        let mut pair = Pair::new(seed);
        for line in &lines {
            let args: Vec<&[u8]> = line.iter().map(String::as_bytes).collect();
            let reply = pair.reply(&args, Proto::Resp2);
            let effects = pair.replay();
            prop_assert!(reply[0] != b'-' || effects.is_empty(), "{line:?} failed and recorded {effects:?}");
            pair.assert_equal();
        }
    }
}

/// The answers of Redis 7.4, from its documentation and its own tests.
#[test]
fn fields_of_hashes_expire_as_in_redis_7_4() {
    let mut pair = prepared(&["HSET h a 1 b 2 c 3", "SET s x"]);
    for (line, expected) in [
        ("HTTL h FIELDS 2 a no", "*2 :-1 :-2"),
        ("HTTL no FIELDS 1 a", "*1 :-2"),
        (
            "HTTL s FIELDS 1 a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "HTTL h FIELDS 2 a",
            "-ERR The `numfields` parameter must match the number of arguments",
        ),
        (
            "HTTL h FIELDS 0 a",
            "-ERR Number of fields must be a positive integer",
        ),
        (
            "HTTL h FIELD 1 a",
            "-ERR Mandatory argument FIELDS is missing or not at the right position",
        ),
        ("HEXPIRE no 10 FIELDS 2 a b", "*2 :-2 :-2"),
        (
            "HEXPIRE s 10 FIELDS 1 a",
            "-WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        (
            "HEXPIRE h x FIELDS 1 a",
            "-ERR value is not an integer or out of range",
        ),
        (
            "HEXPIRE h -1 FIELDS 1 a",
            "-ERR invalid expire time, must be >= 0",
        ),
        (
            "HEXPIRE h 9223372036854775807 FIELDS 1 a",
            "-ERR invalid expire time in 'hexpire' command",
        ),
        (
            "HPEXPIREAT h 70368744177664 FIELDS 1 a",
            "-ERR invalid expire time in 'hpexpireat' command",
        ),
        (
            "HEXPIRE h 10 FIELDS 0 a",
            "-ERR Parameter `numFields` should be greater than 0",
        ),
        (
            "HEXPIRE h 10 FIELDS 3 a b",
            "-ERR The `numfields` parameter must match the number of arguments",
        ),
        (
            "HEXPIRE h 10 NX XX FIELDS 1 a",
            "-ERR Mandatory argument FIELDS is missing or not at the right position",
        ),
        ("HEXPIRE h 10 XX FIELDS 1 a", "*1 :0"),
        ("HEXPIRE h 10 GT FIELDS 1 a", "*1 :0"),
        ("HEXPIRE h 10 LT FIELDS 2 a no", "*2 :1 :-2"),
        ("HEXPIRE h 10 NX FIELDS 2 a b", "*2 :0 :1"),
        ("HPEXPIRE h 9999 GT FIELDS 1 a", "*1 :0"),
        ("HPEXPIRE h 9001 LT FIELDS 1 a", "*1 :1"),
        ("HTTL h FIELDS 3 a b c", "*3 :10 :10 :-1"),
        ("HPTTL h FIELDS 2 a b", "*2 :9001 :10000"),
        ("HEXPIRETIME h FIELDS 1 a", "*1 :1700000010"),
        ("HPEXPIRETIME h FIELDS 2 a c", "*2 :1700000009001 :-1"),
        ("HINCRBY h a 5", ":6"),
        ("HTTL h FIELDS 1 a", "*1 :10"),
        ("HSET h a 7", ":0"),
        ("HTTL h FIELDS 1 a", "*1 :-1"),
        ("HPERSIST h FIELDS 3 a b no", "*3 :-1 :1 :-2"),
        ("HPERSIST no FIELDS 1 a", "*1 :-2"),
        (
            "HPERSIST h FIELDS x a",
            "-ERR Number of fields must be a positive integer",
        ),
        ("HSET h d 4", ":1"),
        ("HGETDEL h FIELDS 2 d d", "*2 $1 4 $-1"),
        ("HGETDEL no FIELDS 2 a b", "*2 $-1 $-1"),
        ("HEXPIRE h 0 FIELDS 2 a b", "*2 :2 :2"),
        ("HEXPIREAT h 1 FIELDS 1 c", "*1 :2"),
        ("EXISTS h", ":0"),
    ] {
        let reply = pair.call(line).replace('\\', "");
        assert_eq!(reply, expected, "{line}");
    }
    pair.replay();
    pair.assert_equal();
}
