//! Fields of INFO, CLIENT LIST and MEMORY STATS: those of redis-server 7.0 are there, and look like its.

use super::fields;
use damselfly_resp::Reply;
use damselfly_tests::{Client, Redis, Server, words};
use std::collections::BTreeMap;

/// Fields of INFO that are not here, as the page of differences says, and one that looks otherwise.
const LEFT_OUT: &[&str] = &[
    // Of a build that is none of Redis.
    "redis_build_id",
    "gcc_version",
    "repl_backlog_first_byte_offset",
    "used_cpu_sys_main_thread",
    "used_cpu_user_main_thread",
];

/// How a value looks: numbers, amounts and percentages as such, words as they are, lists of fields by their fields.
fn shape(value: &str) -> String {
    if value.contains('=') {
        let one = |field: &str| {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            format!("{name}={}", shape(value))
        };
        return value.split(',').map(one).collect::<Vec<_>>().join(",");
    }
    let (number, unit) = match value.strip_suffix(['%', 'B', 'K', 'M', 'G']) {
        Some(number) if value.ends_with('%') => (number, "%"),
        Some(number) => (number, "amount"),
        None => (value, ""),
    };
    match number.trim_start_matches('-').split_once('.') {
        _ if number.is_empty() && unit.is_empty() => "word".to_owned(),
        Some((whole, part)) if is_digits(whole) && is_digits(part) && unit != "amount" => {
            format!("ratio{unit}")
        }
        Some((whole, part)) if is_digits(whole) && is_digits(part) => unit.to_owned(),
        None if is_digits(number.trim_start_matches('-')) => match unit {
            "amount" => unit.to_owned(),
            _ => format!("number{unit}"),
        },
        _ if value.len() == 40 && value.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            "id".to_owned()
        }
        _ => "word".to_owned(),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What both servers do before they are asked.
const LINES: &[&str] = &[
    "SET a 1 PX 1000000",
    "GET a",
    "GET nothing",
    "LPUSH l 1 2 3",
    "INCR l",
    "NOTHING",
    "GET",
    "EVAL return(1) 0",
    "SUBSCRIBE channel",
    "UNSUBSCRIBE",
    "CLIENT SETNAME joe",
];

fn prepared(mut client: Client) -> Client {
    for line in LINES {
        client.call(line);
    }
    client
}

#[test]
fn info_has_the_fields_of_redis_and_they_look_like_its() {
    let (server, redis) = (Server::with_shards(1), Redis::start());
    let ours = prepared(server.client()).info("everything");
    let theirs = prepared(redis.client()).info("everything");
    let mut wrong = Vec::new();
    for (name, value) in theirs
        .iter()
        .filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()))
    {
        match ours.get(name) {
            None => wrong.push(format!("{name}:{value} is missing")),
            Some(ours) if shape(ours) != shape(value) => {
                wrong.push(format!("{name}:{ours}, not {value}"))
            }
            Some(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let count = |info: &BTreeMap<String, String>, name: &str| info[name].clone();
    for name in [
        "total_error_replies",
        "errorstat_ERR",
        "errorstat_WRONGTYPE",
        "keyspace_hits",
        "keyspace_misses",
        "db0",
    ] {
        let (ours, theirs) = (count(&ours, name), count(&theirs, name));
        let (ours, theirs) = (ours.split("avg_ttl").next(), theirs.split("avg_ttl").next());
        assert_eq!(ours, theirs, "{name}");
    }
    let calls = |info: &BTreeMap<String, String>, name: &str| {
        let line = info[&format!("cmdstat_{name}")].clone();
        let told = |field: &str| {
            line.split(',')
                .find_map(|part| part.strip_prefix(field))
                .map(str::to_owned)
        };
        ["calls=", "rejected_calls=", "failed_calls="].map(told)
    };
    for name in ["get", "incr", "eval", "lpush"] {
        assert_eq!(calls(&ours, name), calls(&theirs, name), "{name}");
    }
}

#[test]
fn what_is_counted_moves_and_is_reset() {
    let server = Server::start(&["--proactor_threads=1", "--maxmemory=256mb"]);
    let mut client = server.client();
    for number in 0..2000 {
        client.call(&format!("SET k:{number} v PX 1"));
    }
    client.call(&format!("RPUSH big {}", "x ".repeat(60_000)));
    client.ok("UNLINK big");
    let mut last = BTreeMap::new();
    damselfly_tests::eventually(
        std::time::Duration::from_secs(20),
        "everything has expired",
        || {
            last = client.info("everything");
            last["expired_keys"].parse::<u64>().expect("a number") >= 2000
                && last["lazyfreed_objects"] != "0"
        },
    );
    for name in [
        "total_net_input_bytes",
        "total_net_output_bytes",
        "total_reads_processed",
        "total_writes_processed",
    ] {
        assert_ne!(last[name], "0", "{name}");
    }
    client.ok("CONFIG RESETSTAT");
    let reset = client.info("everything");
    for name in [
        "expired_keys",
        "lazyfreed_objects",
        "expired_time_cap_reached_count",
        "total_error_replies",
    ] {
        assert_eq!(reset[name], "0", "{name}");
    }
}

#[test]
fn client_list_has_the_fields_of_redis() {
    let (server, redis) = (Server::with_shards(1), Redis::start());
    let line = |client: Client| {
        let text = prepared(client).text("CLIENT LIST");
        let line = text.trim_end().to_owned();
        let one = |field: &str| {
            field
                .split_once('=')
                .map(|(name, value)| (name.to_owned(), shape(value)))
        };
        line.split(' ')
            .map(|field| one(field).expect("a field"))
            .collect::<Vec<_>>()
    };
    let (ours, theirs) = (line(server.client()), line(redis.client()));
    assert_eq!(ours[..theirs.len()], theirs);
}

/// How deep and of which kind.
fn kind(reply: &Reply) -> String {
    match reply {
        Reply::Integer(_) => "integer".to_owned(),
        Reply::Array(_) => {
            let fields = fields(reply).into_iter();
            fields
                .map(|(name, value)| format!("{name} {}", kind(value)))
                .collect::<Vec<_>>()
                .join(", ")
        }
        _ => "text".to_owned(),
    }
}

#[test]
fn memory_tells_what_redis_tells() {
    let (server, redis) = (Server::with_shards(1), Redis::start());
    let (mut ours, mut theirs) = (prepared(server.client()), prepared(redis.client()));
    assert_eq!(
        kind(&ours.ok("MEMORY STATS")),
        kind(&theirs.ok("MEMORY STATS"))
    );
    for line in ["MEMORY DOCTOR", "MEMORY MALLOC-STATS"] {
        assert!(ours.text(line).lines().count() > 0, "{line}");
    }
    assert_eq!(ours.call("MEMORY PURGE"), theirs.call("MEMORY PURGE"));
    let wrong = words("MEMORY USAGE a SAMPLES -1");
    assert_eq!(
        ours.try_call(&wrong).expect("an answer"),
        theirs.try_call(&wrong).expect("an answer")
    );
}
