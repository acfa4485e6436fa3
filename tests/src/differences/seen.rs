//! Differences that take more than commands and replies to be seen.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use damselfly_resp::Reply;

use super::both::{Both, shown};
use crate::client::{Client, words};
use crate::eventually::within;
use crate::redis::Redis;
use crate::server::Server;

/// Enough members for a hash table in both servers, and for two orders never to be the same by chance.
const MANY: usize = 1_000;
/// How long something may take that is certain to happen.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long something is looked for that is not to happen.
const WAIT: Duration = Duration::from_millis(150);

type Seen = Result<(), String>;

fn seen(is_there: bool, otherwise: &str) -> Seen {
    is_there.then_some(()).ok_or_else(|| otherwise.to_owned())
}

fn texts(reply: &Reply) -> Vec<String> {
    let items = reply.as_items().unwrap_or_default();
    items.iter().map(shown).collect()
}

fn sorted(mut items: Vec<String>) -> Vec<String> {
    items.sort();
    items
}

/// `<start> <item of 0> <item of 1> …`
fn filled(start: &str, item: impl Fn(usize) -> String) -> String {
    let items: Vec<String> = (0..MANY).map(item).collect();
    format!("{start} {}", items.join(" "))
}

/// The same items in another order, and in the same one where `small` says so.
fn other_order(both: &mut Both<'_>, line: &str) -> Seen {
    let (theirs, ours) = both.call(line)?;
    let (theirs, ours) = (texts(&theirs), texts(&ours));
    seen(theirs != ours, &format!("{line}: the order is the same"))?;
    seen(
        sorted(theirs) == sorted(ours),
        &format!("{line}: other items"),
    )
}

pub(super) fn large_collections_have_another_order(both: &mut Both<'_>) -> Seen {
    both.same(&filled("SADD set", |at| format!("m{at}")))?;
    both.same(&filled("HSET hash", |at| format!("f{at} {at}")))?;
    other_order(both, "SMEMBERS set")?;
    other_order(both, "HKEYS hash")?;
    other_order(both, "SUNION set nothing")?;
    for line in [
        "SADD numbers 3 1 2",
        "HSET small b 1 a 2",
        "RPUSH list b a",
        "ZADD zset 2 b 1 a",
    ] {
        both.same(line)?;
    }
    for line in [
        "SMEMBERS numbers",
        "HGETALL small",
        "LRANGE list 0 -1",
        "ZRANGE zset 0 -1 WITHSCORES",
    ] {
        both.same(line)?;
    }
    both.same(&filled("MSET", |at| format!("k{at} v")))?;
    other_order(both, "KEYS k*")
}

/// All that a scan returns, and its first cursor.
fn scan(client: &mut Client, command: &str) -> Result<(BTreeSet<String>, String), String> {
    let (mut found, mut first, mut cursor) = (BTreeSet::new(), String::new(), "0".to_owned());
    loop {
        let line = command.replace('@', &cursor);
        let page = client
            .try_call(&words(&line))
            .map_err(|error| error.to_string())?;
        let Some([next, items]) = page.as_items() else {
            return Err(format!("{line}: {}", shown(&page)));
        };
        cursor = shown(next);
        found.extend(texts(items));
        if first.is_empty() {
            first.clone_from(&cursor);
        }
        if cursor == "0" {
            return Ok((found, first));
        }
    }
}

pub(super) fn cursors_are_other_numbers(both: &mut Both<'_>) -> Seen {
    both.same(&filled("SADD set", |at| format!("m{at}")))?;
    both.same(&filled("MSET", |at| format!("k{at} v")))?;
    for command in ["SSCAN set @ COUNT 50", "SCAN @ COUNT 50 TYPE string"] {
        let theirs = scan(&mut both.theirs, command)?;
        let ours = scan(&mut both.ours, command)?;
        seen(theirs.0 == ours.0, &format!("{command}: other items"))?;
        seen(
            theirs.1 != ours.1,
            &format!("{command}: the cursor is the same"),
        )?;
    }
    Ok(())
}

pub(super) fn chance_is_another(both: &mut Both<'_>) -> Seen {
    both.same(&filled("SADD set", |at| format!("m{at}")))?;
    both.same(&filled("ZADD zset", |at| format!("{at} m{at}")))?;
    for line in [
        "SRANDMEMBER set 100",
        "ZRANDMEMBER zset 100",
        "SPOP set 100",
    ] {
        let (theirs, ours) = both.call(line)?;
        seen(theirs != ours, &format!("{line}: the choice is the same"))?;
        seen(
            texts(&theirs).len() == texts(&ours).len(),
            &format!("{line}: another number of items"),
        )?;
    }
    both.same("SCARD set").map(drop)
}

pub(super) fn equal_texts_have_another_order(both: &mut Both<'_>) -> Seen {
    both.same(&filled("SADD set", |at| format!("m{at}")))?;
    other_order(both, "SORT set BY nosort")?;
    other_order(both, "SORT set BY nothing:* ALPHA")
}

pub(super) fn ranges_by_member_need_equal_scores(both: &mut Both<'_>) -> Seen {
    both.same(&filled("ZADD zset", |at| {
        format!("{} m{at}", at * 7_919 % MANY)
    }))?;
    let mut differ = false;
    for at in 0..100 {
        let (theirs, ours) = both.call(&format!("ZRANGEBYLEX zset [m{at} [m{at}9"))?;
        differ |= theirs != ours;
    }
    seen(differ, "a hundred ranges are the same")
}

pub(super) fn an_empty_server_uses_little(both: &mut Both<'_>) -> Seen {
    let used = |client: &mut Client| client.info("memory")["used_memory"].parse().unwrap_or(0u64);
    let (theirs, ours) = (used(&mut both.theirs), used(&mut both.ours));
    let told = format!("used_memory: redis {theirs}, here {ours}");
    seen(ours < theirs, &told)
}

/// A replica of each server, of which Redis's need not be linked yet.
fn replicas(both: &Both<'_>) -> Result<(Redis, Server), String> {
    let (redis, server) = (Redis::start(), Server::replica_of(both.server.address(), 1));
    let address = both.redis.address();
    redis
        .client()
        .ok(&format!("REPLICAOF {} {}", address.ip(), address.port()));
    let mut client = server.client();
    let synced = within(DEADLINE, || {
        crate::peer::is_synced(&mut client).then_some(())
    });
    synced.ok_or("no replica within the deadline")?;
    Ok((redis, server))
}

pub(super) fn replicas_have_another_role(both: &mut Both<'_>) -> Seen {
    let (redis, server) = replicas(both)?;
    let theirs = texts(&redis.client().call("ROLE"));
    let ours = texts(&server.client().call("ROLE"));
    seen(theirs[0] == "slave" && theirs.len() == 5, &theirs.join(" "))?;
    let known = ours[0] == "replica" && ours[3] == "stable_sync" && ours.len() == 4;
    seen(known, &ours.join(" "))
}

pub(super) fn replication_has_other_fields(both: &mut Both<'_>) -> Seen {
    let (redis, server) = replicas(both)?;
    let replica = both.ours.info("replication")["slave0"].clone();
    for name in ["lag=", "lag_bytes=", "lag_ms="] {
        seen(replica.contains(name), &format!("no {name} in {replica}"))?;
    }
    let theirs = redis.client().info("replication");
    let ours = server.client().info("replication");
    for name in ["psync_attempts", "psync_successes", "master_full_syncs"] {
        let added = ours.contains_key(name) && !theirs.contains_key(name);
        seen(added, &format!("{name} is no addition"))?;
    }
    Ok(())
}

pub(super) fn wait_is_not_unblocked(both: &mut Both<'_>) -> Seen {
    // Whether it takes the client out of WAIT, while that lasts.
    let is_unblocked = |admin: &mut Client, mut client: Client| {
        let unblock = format!("CLIENT UNBLOCK {}", client.integer("CLIENT ID"));
        let _ = client.send(&words(&format!("WAIT 1 {}", 2 * WAIT.as_millis())));
        within(WAIT, || (admin.integer(&unblock) == 1).then_some(())).is_some()
    };
    let theirs = is_unblocked(&mut both.theirs, both.redis.client());
    seen(theirs, "Redis does not take it out of WAIT")?;
    let ours = is_unblocked(&mut both.ours, both.server.client());
    seen(!ours, "it is taken out of WAIT: this difference is gone")
}

pub(super) fn choices_are_bounded(both: &mut Both<'_>) -> Seen {
    const LINE: &str = "SRANDMEMBER set -1048577";
    both.same("SADD set a")?;
    // The beginning is enough of Redis's answer.
    let mut header = [0; 10];
    let read = TcpStream::connect(both.redis.address()).and_then(|mut stream| {
        stream.write_all(format!("{LINE}\r\n").as_bytes())?;
        stream.read_exact(&mut header)
    });
    read.map_err(|error| error.to_string())?;
    seen(&header == b"*1048577\r\n", "Redis gives another number")?;
    let ours = both.ours.call(LINE);
    seen(ours.as_error().is_some(), &shown(&ours))
}

pub(super) fn a_deleted_entry_wakes_nobody(both: &mut Both<'_>) -> Seen {
    let heard = |admin: &mut Client, mut client: Client| {
        let _ = client.send(&words("XREAD BLOCK 0 STREAMS stream $"));
        let waits = within(DEADLINE, || {
            let blocked = &admin.info("clients")["blocked_clients"];
            (blocked == "1").then_some(())
        });
        seen(waits.is_some(), "nobody waits")?;
        for line in [
            "MULTI",
            "XADD stream 1-1 f v",
            "XDEL stream 1-1",
            "EXEC",
            "XADD stream 2-1 f v",
        ] {
            admin.ok(line);
        }
        let reply = client.receive().map_err(|error| error.to_string())?;
        Ok::<_, String>(shown(&reply))
    };
    let theirs = heard(&mut both.theirs, both.redis.client())?;
    let ours = heard(&mut both.ours, both.server.client())?;
    seen(theirs == "[[stream, []]]", &theirs)?;
    seen(ours == "[[stream, [[2-1, [f, v]]]]]", &ours)
}

/// What a server answers to bytes at first.
fn answer(client: &mut Client, bytes: &[u8]) -> Result<String, String> {
    let received = client.send_raw(bytes).and_then(|()| client.receive());
    received
        .map(|reply| shown(&reply))
        .map_err(|error| error.to_string())
}

pub(super) fn a_nul_byte_is_inside_a_line(both: &mut Both<'_>) -> Seen {
    // So long a line that Redis, which sees no end of the first one, refuses it.
    let bytes = [&b"ECHO a\0b\r\nECHO "[..], &[b'x'; 70_000], b"\r\n"].concat();
    let theirs = answer(&mut both.theirs, &bytes)?;
    let ours = answer(&mut both.ours, &bytes)?;
    seen(theirs.ends_with("too big inline request"), &theirs)?;
    seen(ours == "a\\x00b", &ours)
}

pub(super) fn requests_have_fewer_arguments(both: &mut Both<'_>) -> Seen {
    let bytes = format!("*{}\r\nx\r\n", (1 << 20) + 1);
    let theirs = answer(&mut both.theirs, bytes.as_bytes())?;
    let ours = answer(&mut both.ours, bytes.as_bytes())?;
    seen(theirs.ends_with("expected '$', got 'x'"), &theirs)?;
    seen(ours.ends_with("invalid multibulk length"), &ours)
}

/// Name, flags and key specifications of all commands and subcommands.
fn descriptions(client: &mut Client) -> Vec<(String, String)> {
    fn add(of: &Reply, all: &mut Vec<(String, String)>) {
        let items = of.as_items().unwrap_or_default();
        let specs = items.get(8).and_then(Reply::as_items).unwrap_or_default();
        // Without the notes: sentences are everyone's own.
        let specs = specs.iter().map(|spec| match spec.as_items() {
            Some([name, _, rest @ ..]) if shown(name) == "notes" => {
                rest.iter().map(shown).collect::<Vec<_>>().join(" ")
            }
            other => other
                .unwrap_or_default()
                .iter()
                .map(shown)
                .collect::<Vec<_>>()
                .join(" "),
        });
        let flags = sorted(texts(&items[2])).join(" ");
        let specs = specs.collect::<Vec<_>>().join("; ");
        all.push((shown(&items[0]), format!("{flags}: {specs}")));
        for item in items.get(9).and_then(Reply::as_items).unwrap_or_default() {
            add(item, all);
        }
    }
    let mut all = Vec::new();
    for command in client.call("COMMAND").as_items().unwrap_or_default() {
        add(command, &mut all);
    }
    all
}

pub(super) fn commands_are_described_alike_but_for_these(both: &mut Both<'_>) -> Seen {
    let theirs = descriptions(&mut both.theirs);
    let mut differ = BTreeSet::new();
    for (name, specs) in descriptions(&mut both.ours) {
        let known = theirs.iter().find(|(other, _)| *other == name);
        if known.is_some_and(|(_, other)| *other != specs) {
            differ.insert(name);
        }
    }
    let expected = [
        "migrate",
        "pfcount",
        "ping",
        "replicaof",
        "restore-asking",
        "slaveof",
        "sort",
        "sort_ro",
    ];
    let expected = expected.map(str::to_owned);
    seen(differ == expected.into(), &format!("{differ:?} differ"))
}

pub(super) fn info_lacks_four_fields(both: &mut Both<'_>) -> Seen {
    // What has happened so far, and who is linked, is each server's own.
    let names = |client: &mut Client| -> BTreeSet<String> {
        let fields = client.info("all").into_keys();
        let by_chance = [
            "cmdstat_",
            "errorstat_",
            "latency_percentiles_",
            "db",
            "slave",
        ];
        fields
            .filter(|name| !by_chance.iter().any(|start| name.starts_with(start)))
            .collect()
    };
    let (theirs, ours) = (names(&mut both.theirs), names(&mut both.ours));
    let missing: Vec<_> = theirs.difference(&ours).map(String::as_str).collect();
    let expected = [
        "gcc_version",
        "used_cpu_sys_main_thread",
        "used_cpu_user_main_thread",
    ];
    seen(missing == expected, &format!("{missing:?} are missing"))
}
