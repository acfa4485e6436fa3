//! The rows.

use super::Shown::{Script, Seen, Test, Unchecked};
use super::{Difference, Section, Shown, seen};

const fn row(
    place: &'static str,
    here: &'static str,
    why: &'static str,
    shown: Shown,
) -> Difference {
    Difference {
        place,
        here,
        why,
        shown,
    }
}

/// All of them, as the page has them.
#[rustfmt::skip]
pub static SECTIONS: &[Section] = &[
    Section { title: "Order and chance", rows: ORDER },
    Section { title: "Time", rows: TIME },
    Section { title: "Memory", rows: MEMORY },
    Section { title: "Transactions", rows: TRANSACTIONS },
    Section { title: "Scripts", rows: SCRIPTS },
    Section { title: "Replication", rows: REPLICATION },
    Section { title: "Connections and the protocol", rows: CONNECTIONS },
    Section { title: "What servers say of themselves", rows: WORDS },
];

#[rustfmt::skip]
static ORDER: &[Difference] = &[
    row(
        "order of `KEYS`, `SMEMBERS`, `HGETALL`, `SUNION`, … of large collections",
        "another order",
        "other hash tables; Redis promises none. Small hashes, lists and sorted sets keep Redis's order, small sets of integers are sorted as in Redis",
        Seen(seen::large_collections_have_another_order),
    ),
    row(
        "`SCAN`, `HSCAN`, `SSCAN`, `ZSCAN` cursors",
        "other numbers; `COUNT` is met bucket by bucket, so a page may have some elements more",
        "the guarantee is Redis's: what is there all the time is returned at least once. Cursors of `SCAN` name the shard too",
        Seen(seen::cursors_are_other_numbers),
    ),
    row(
        "`RANDOMKEY`, `SPOP`, `SRANDMEMBER`, `HRANDFIELD`, `ZRANDMEMBER`",
        "other choices",
        "chance",
        Seen(seen::chance_is_another),
    ),
    row(
        "`SORT … ALPHA`",
        "texts are compared byte by byte",
        "as in a Redis whose locale is `C`: an order must not depend on where the server runs",
        Unchecked("it takes a locale other than `C` on the machine"),
    ),
    row(
        "`SORT` of a large set by texts that are equal, or unsorted",
        "another order of equals",
        "other hash tables",
        Seen(seen::equal_texts_have_another_order),
    ),
    row(
        "`SORT`",
        "a weight is refused if it is no number",
        "Redis refuses good ones, too, if any command before met a number out of range: it looks at a stale `errno`",
        Script("
            ~ INCRBYFLOAT number 1e5000
            RPUSH list 2.5 1.5
            SORT list => ERR One or more scores can't be converted into double || [1.5, 2.5]
        "),
    ),
    row(
        "`SORT` of a small sorted set",
        "leaves it as it is",
        "Redis changes its encoding for good, after which a score of `-0` shows differently in `DEBUG DIGEST`",
        Script("
            ZADD zset 1 a 2 b
            SORT zset ALPHA
            OBJECT ENCODING zset => skiplist || listpack
        "),
    ),
    row(
        "ranges by member (`ZRANGEBYLEX`, …) over members of different scores",
        "another result",
        "Redis leaves it open; it depends on its skip list",
        Seen(seen::ranges_by_member_need_equal_scores),
    ),
];

#[rustfmt::skip]
static TIME: &[Difference] = &[
    row(
        "`SET k v PXAT <past>`, `EXAT <past>`",
        "the key is gone at once",
        "Redis stores it and deletes it when it next looks; no reader can tell, but `DBSIZE` and `DEBUG DIGEST` can for a moment",
        Script("
            DEBUG SET-ACTIVE-EXPIRE 0
            SET key value PXAT 1
            DBSIZE => 1 || 0
            DEBUG SET-ACTIVE-EXPIRE 1
        "),
    ),
    row(
        "`HEXPIRE` and its family",
        "there, as in Redis 7.4; a field whose time has passed is never seen nor counted, and a hash is `listpackex` only while one of its fields has a time",
        "Redis 7.4 counts fields in `HLEN` until it deletes them",
        Script("
            HSET hash field value
            HEXPIRE hash 100 FIELDS 1 field => ERR unknown command* || [1]
        "),
    ),
    row(
        "`SADDEX`, `FIELDEXPIRE`, `FIELDEXPIREAT`, `FIELDTTL`",
        "members of sets that expire, to the second; `SADD` of one that is there leaves its time",
        "additions, as Dragonfly has them; `FIELDEXPIREAT key unix-seconds element…` is ours, and tells replicas exactly when",
        Script("
            SADDEX set 100 member => ERR unknown command* || 1
        "),
    ),
    row(
        "a read of an expired key on a primary",
        "does not delete it; the next write or active expiry does",
        "a read is never journalled. `DBSIZE` shows it while nothing expires actively",
        Script("
            DEBUG SET-ACTIVE-EXPIRE 0
            SET key value PX 1
            DEBUG SLEEP 0.01
            GET key
            DBSIZE => 0 || 1
            DEBUG SET-ACTIVE-EXPIRE 1
        "),
    ),
];

#[rustfmt::skip]
static MEMORY: &[Difference] = &[
    row(
        "`used_memory` in `INFO`, `maxmemory`",
        "what keys, values and tables take; for `maxmemory` without free slots of tables, buffers of clients and the backlog (`mem_not_counted_for_evict`)",
        "the whole process is `used_memory_rss`; the allocator is another one",
        Seen(seen::an_empty_server_uses_little),
    ),
    row(
        "eviction",
        "the key that goes is one of the shard that is written to; a shard that uses more than the others gives way to them in the background",
        "shards share nothing. With keys spread by hash they fill alike",
        Test("tests/tests/eviction.rs", "a_shard_with_big_values_gives_way_to_the_others"),
    ),
    row(
        "`maxmemory-eviction-tenacity`",
        "bounds the keys that one command evicts, not the time",
        "the core of a shard has no clock",
        Unchecked("no reply shows it"),
    ),
    row(
        "`MEMORY USAGE`",
        "exact, whatever `SAMPLES` says; other numbers than Redis's",
        "other structures",
        Script("
            SET key value
            MEMORY USAGE key => 6* || *
            MEMORY USAGE nothing
        "),
    ),
    row(
        "`OBJECT ENCODING` of a string that was changed (`APPEND`, `SETRANGE`, `INCRBYFLOAT`, …)",
        "`int` or `embstr`, where Redis would say so of a fresh one",
        "Redis says `raw` or `embstr` until the server is started anew; nothing is kept in another form here",
        Script("
            SET key 10000
            OBJECT ENCODING key
            APPEND key 1
            OBJECT ENCODING key => raw || int
        "),
    ),
    row(
        "`OBJECT IDLETIME` of a string that is a small integer",
        "how long ago that key was used",
        "Redis shares such values between keys, and their times with them",
        Unchecked("it takes seconds to be seen"),
    ),
    row(
        "`MEMORY DOCTOR`, `MALLOC-STATS`",
        "other words",
        "text for people",
        Script("
            MEMORY DOCTOR => Hi Sam* || Little memory is in use*
        "),
    ),
    row(
        "`CONFIG SET` of encoding limits, persistence, lazy freeing, …",
        "taken if it is what holds anyway, refused otherwise",
        "there is one behaviour",
        Script("
            CONFIG SET hash-max-listpack-entries 64 => OK || ERR CONFIG SET failed (possibly related to argument 'hash-max-listpack-entries') - this server knows no other value than*
            ~ CONFIG SET hash-max-listpack-entries 128
        "),
    ),
];

#[rustfmt::skip]
static TRANSACTIONS: &[Difference] = &[
    row(
        "`MIGRATE`",
        "others go on meanwhile. A key that was written to while it was sent stays, and an error says so; not inside `MULTI`",
        "Redis does nothing else until the other server has answered",
        Script("
            MULTI
            MIGRATE 127.0.0.1 1 key 0 10 => QUEUED || ERR Command not allowed inside a transaction
            DISCARD
        "),
    ),
    row(
        "`MULTI`",
        "at most 2²⁰ commands and 1 GiB of arguments",
        "everything is bounded",
        Unchecked("it takes a million commands"),
    ),
    row(
        "over `maxmemory` inside `MULTI`",
        "refused by `EXEC`, with its error; commands are queued until then",
        "the shards are asked when the transaction begins, all of them before anything is applied",
        Script("
            CONFIG SET maxmemory 1
            MULTI
            SET key value => OOM command not allowed when used memory > 'maxmemory'. || QUEUED
            EXEC => EXECABORT Transaction discarded because of previous errors. || EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.
            CONFIG SET maxmemory 0
        "),
    ),
    row(
        "`MULTI` that fills several keys for which one client waits (`BLPOP a b`)",
        "where they live on different shards, any of them serves it",
        "Redis takes the first one filled; shards conclude at the same time",
        Unchecked("which shard is first is a matter of timing"),
    ),
    row(
        "`XREAD` and `XREADGROUP` that wait, and `MULTI` that adds an entry and deletes it",
        "wait on",
        "Redis answers with a stream that has no entries",
        Seen(seen::a_deleted_entry_wakes_nobody),
    ),
    row(
        "`BLMOVE` and `BRPOPLPUSH` that wait for a list on another shard than the destination's",
        "a transaction may take the element before they are served, a single command may not",
        "serving them is a transaction itself; they wait on then",
        Unchecked("which of the two is first is a matter of timing"),
    ),
];

#[rustfmt::skip]
static SCRIPTS: &[Difference] = &[
    row(
        "`EVAL` and its kin",
        "a script may use only the keys that it declares, and none of the commands that concern all keys (`KEYS`, `DBSIZE`, `FLUSHALL`, …) on several shards",
        "as in Dragonfly: the keys say where it runs and what is locked. `--default_lua_flags=allow-undeclared-keys`, or the first line `#!lua flags=allow-undeclared-keys`, allows all; such a script is a transaction over all keys of all shards",
        Test("tests/tests/scripts/main.rs", "keys_have_to_be_declared"),
    ),
    row(
        "options of `cjson` (`encode_sparse_array`, …)",
        "hold until the script ends",
        "which Lua state the next script gets is a matter of chance; in Redis they hold for all scripts after it",
        Test("tests/tests/scripts/main.rs", "options_of_cjson_end_with_their_script"),
    ),
    row(
        "a script that takes more than `--lua_mem_limit`",
        "gets the error `not enough memory`",
        "Redis has no limit",
        Test("tests/tests/scripts/main.rs", "scripts_that_take_too_much_get_an_error"),
    ),
    row(
        "a reply of tables in tables",
        "at most 1,000 deep",
        "Redis has what Lua's stack allows, about 8,000; both end in an error",
        Test("tests/tests/scripts/main.rs", "replies_are_bounded_in_depth"),
    ),
    row(
        "what a library keeps in variables of its own",
        "each thread has the library loaded for itself, with its own variables",
        "one Lua state runs all functions in Redis: a counter in a local of the library counts there, and not always here",
        Test("tests/tests/scripts/functions.rs", "variables_of_libraries_are_a_threads_own"),
    ),
    row(
        "`FUNCTION LIST` and `FUNCTION DUMP`",
        "libraries and functions in the order of their names",
        "Redis has the order of a hash table",
        Test("tests/tests/scripts/functions.rs", "replicas_have_the_libraries"),
    ),
    row(
        "a pattern of `string.find`, `match`, `gmatch`, `gsub` with more than 4,000 repetitions and captures, or whose matching takes more than 200 million steps",
        "the error `pattern too complex`",
        "matching it takes so much stack that Redis crashes, or longer than anybody waits, and can't be interrupted",
        Test("tests/tests/scripts/hostile.rs", "hostile_scripts_are_survived"),
    ),
    row(
        "`SCRIPT DEBUG YES`",
        "refused",
        "there is no debugger",
        Script("SCRIPT DEBUG YES => OK || ERR there is no debugger*"),
    ),
    row(
        "commands that wait for a script that runs for too long",
        "those that were sent before it counted as too long are told so then, but for transactions over several shards, which wait for its end",
        "they are in the queues of the shards already",
        Test("tests/tests/scripts/main.rs", "endless_scripts_are_killed_unless_they_have_written"),
    ),
];

#[rustfmt::skip]
static REPLICATION: &[Difference] = &[
    row(
        "`REPLICAOF host port`",
        "answers when the new primary has been reached, authenticated and greeted, or with an error; then nothing has changed. Between `MULTI` and `EXEC` as in Redis",
        "the point of the project. Redis answers at once and tries for ever",
        Script("
            REPLICAOF 127.0.0.1 1 => OK || ERR cannot connect: 127.0.0.1:1: *
            ROLE => [slave, 127.0.0.1, 1, connect*, -1] || [master, *
            REPLICAOF NO ONE
        "),
    ),
    row(
        "`ROLE` of a replica",
        "`replica`, and the states `connecting`, `preparation`, `full_sync`, `stable_sync`; no offset",
        "Dragonfly's words. `--info_replication_valkey_compatible` gives Redis's `slave` and `online`",
        Seen(seen::replicas_have_another_role),
    ),
    row(
        "`INFO replication`",
        "`lag`, `lag_bytes`, `lag_ms` of each replica; of a replica also `psync_attempts`, `psync_successes`, `master_full_syncs`, `master_link_error`",
        "offsets count records over all shards, not bytes",
        Seen(seen::replication_has_other_fields),
    ),
    row(
        "expiry of fields, in a full sync to Dragonfly",
        "whole seconds, rounded up",
        "its format has no more",
        Unchecked("no reply shows it"),
    ),
    row(
        "`PFCOUNT` of a single key",
        "does not keep the estimate in the string",
        "a read changes nothing, here or on replicas. The number is the same; the strings differ in their headers until the next `PFADD`",
        Script("
            PFADD hll a b c
            PFCOUNT hll
            GETRANGE hll 8 15 => \\x03\\x00\\x00\\x00\\x00\\x00\\x00\\x00 || *\\x80
        "),
    ),
    row(
        "`WAIT`",
        "asks the shards that this connection wrote to",
        "as precise as shards allow",
        Test("tests/tests/replication/wait.rs", "as_many_as_there_are_in_time"),
    ),
    row(
        "what is sent to replicas",
        "effects: `SPOP` as `SREM`, relative expiry as absolute, a write to several shards as `RESTORE` and `DEL` where it can't be split",
        "a replica does no choosing, and ignores its clock",
        Test("tests/tests/effects.rs", "effects_are_absolute_and_final"),
    ),
    row(
        "`XREADGROUP` of what is pending, `XCLAIM` and `XAUTOCLAIM` that make a consumer",
        "delivery times and counts, and the consumer, are sent to replicas",
        "Redis 7.0 keeps them to itself, and its replicas differ",
        Test("tests/tests/effects.rs", "a_replica_of_the_effects_holds_the_same"),
    ),
    row(
        "`XAUTOCLAIM … COUNT` of 2⁴⁰ and more",
        "taken",
        "Redis allocates for that many, and may have not enough memory",
        Script("
            XADD stream 1-1 field value
            XGROUP CREATE stream group 0
            XAUTOCLAIM stream group consumer 0 0 COUNT 576460752303423487 => ERR Insufficient memory, failed allocating transient memory, COUNT too high. || [0-0, [], []]
        "),
    ),
    row(
        "`DEBUG REPLICA …`, `DEBUG CLOCK`, `DEBUG DIGEST STRICT`, `DFLY …`",
        "additions",
        "the wire is Dragonfly's",
        Script("
            DFLY NONSENSE => ERR unknown command* || ERR unknown subcommand*
            DEBUG DIGEST STRICT => ERR unknown subcommand* || *
        "),
    ),
];

#[rustfmt::skip]
static CONNECTIONS: &[Difference] = &[
    row(
        "`CLIENT LIST`, `CLIENT KILL`",
        "the flows of a link stand there too: of a replica with `flags=S`, of the link to the primary with `flags=M` and without figures of buffers; killing one ends the link",
        "they are connections of their own",
        Test("tests/tests/replication/links.rs", "both_ends_list_the_control_connection_and_the_flows"),
    ),
    row(
        "`CLIENT UNBLOCK` of a client in `WAIT`",
        "answers 0, and the client is not among the `blocked_clients`",
        "it waits for replicas, not at a key; its timeout ends it",
        Seen(seen::wait_is_not_unblocked),
    ),
    row(
        "`CLIENT NO-TOUCH`, `CLIENT SETINFO`",
        "there, from Redis 7.2",
        "clients send them",
        Script("
            CLIENT NO-TOUCH OFF => ERR unknown subcommand* || OK
            CLIENT SETINFO LIB-NAME x => ERR unknown subcommand* || OK
        "),
    ),
    row(
        "`CLIENT LIST`, `CLIENT KILL`: `MAXAGE`, `IP`, `NAME`, `LIB-NAME`, `LIB-VER`, `FLAGS`, `DB`, `IDLE`, `NOT-…`, several ids",
        "there, from Redis 7.4 and Valkey 9",
        "operators use them",
        Script("
            CLIENT KILL NAME nobody => ERR syntax error || 0
            CLIENT KILL MAXAGE 1000000 => ERR syntax error || 0
        "),
    ),
    row(
        "`MONITOR`",
        "lines of different clients whose keys live on different shards come in no certain order; on a replica what its primary sends is not shown",
        "shards don't wait for each other; effects are no commands of clients",
        Test("tests/tests/connections/monitor.rs", "who_looks_on_sees_what_redis_shows"),
    ),
    row(
        "`CONFIG REWRITE`",
        "writes the file that `--flagfile` named, in its own form; passwords of clients as hashes",
        "flags are Dragonfly's",
        Test("tests/tests/connections/config.rs", "the_flag_file_says_what_holds_and_a_server_starts_from_it"),
    ),
    row(
        "a NUL byte in an inline command",
        "a byte like any other",
        "Redis looks for the end of the line with a C function and waits",
        Seen(seen::a_nul_byte_is_inside_a_line),
    ),
    row(
        "`SRANDMEMBER`, `HRANDFIELD`, `ZRANDMEMBER` with a negative count",
        "at most 2²⁰ elements and 512 MiB of reply at once; otherwise an error that says so",
        "everything is bounded. Redis makes as many as are asked for, until memory runs out",
        Seen(seen::choices_are_bounded),
    ),
    row(
        "limits",
        "`--max_multi_bulk_len` is 2²⁰ arguments, Redis's is 2³¹ - 1",
        "everything is bounded",
        Seen(seen::requests_have_fewer_arguments),
    ),
];

#[rustfmt::skip]
static WORDS: &[Difference] = &[
    row(
        "`COMMAND INFO`",
        "`DEBUG`'s subcommands are listed; of `SORT` the key behind `STORE` is told, the keys of `BY` and `GET` are not; `PFCOUNT` only reads, `PING` answers while loading, `REPLICAOF` too; `MIGRATE` not in transactions, and its keys are told by GETKEYS alone; `RESTORE-ASKING` is not `asking`",
        "what is told is what happens here",
        Seen(seen::commands_are_described_alike_but_for_these),
    ),
    row(
        "`COMMAND GETKEYS GEORADIUS …` with both `STORE` and `STOREDIST`",
        "the key that is written",
        "Redis lists both",
        Script("
            COMMAND GETKEYS GEORADIUS key 1 1 1 km STORE one STOREDIST two => [key, one, two] || [key, two]
        "),
    ),
    row(
        "`COMMAND DOCS`",
        "other sentences, and no `complexity`; options that Redis 7.0 has not stand there, too",
        "what it costs depends on the shards that the keys live on",
        Script("
            COMMAND DOCS GET => [get, [summary, *complexity, O(1), arguments, *]] || [get, [summary, *, group, string, arguments, *]]
        "),
    ),
    row(
        "`INFO`",
        "the sections and fields that monitors read; what can't happen here is 0. `gcc_version` and the processor time of the main thread are not there",
        "there is no main thread",
        Seen(seen::info_lacks_four_fields),
    ),
    row(
        "events of the latency monitor",
        "`command`, `fast-command`, `expire-cycle`, `eviction-cycle`: single slices of a shard's work; `snapshot-slice` and `loading` are ours",
        "there is no fork and no append-only file; what holds a thread is a slice",
        Test("tests/tests/introspection/latency.rs", "what_the_server_does_on_its_own_is_watched"),
    ),
    row(
        "`LATENCY DOCTOR`",
        "other words",
        "text for people",
        Script(
            "
            ~ CONFIG SET latency-monitor-threshold 0
            LATENCY DOCTOR => *Dave* || Nothing is watched*
            ",
        ),
    ),
    row(
        "`SLOWLOG` with a threshold of a millisecond or more",
        "commands that Redis calls fast, and those of strings with short arguments, are timed one in sixteen times; all others always",
        "they can't be slow, and two looks at the clock take longer than a percent of them",
        Test("crates/engine/src/slow/watch.rs", "what_is_quick_is_timed_only_where_everything_is"),
    ),
    row(
        "`PFMERGE dst` without sources",
        "a user needs the right to write `dst`",
        "Redis looks at no key of a line whose sources are missing, and yet makes `dst`",
        Script(
            "
            ~ ACL SETUSER u reset on nopass +@all ~a
            ACL DRYRUN u PFMERGE b => OK || This user has no permissions to access the 'b' key
            ~ ACL DELUSER u
            ",
        ),
    ),
    row(
        "`CONFIG GET requirepass`, `masterauth`",
        "`(hidden)` where there is one",
        "only a hash is kept of the first, and the second is nobody's business",
        Script(
            "
            ~ CONFIG SET masterauth secret
            CONFIG GET masterauth => [masterauth, secret] || [masterauth, (hidden)]
            ",
        ),
    ),
    row(
        "`CONFIG GET`",
        "flags under Dragonfly's names and, where there is one, Redis's",
        "files of flags of either server are taken",
        Script("
            CONFIG GET proactor_threads => [] || [proactor_threads, 2]
        "),
    ),
    row(
        "`CLIENT TRACKING … BCAST`",
        "keys that one command changes on several shards are told in one message for each shard",
        "shards don't wait for each other; Redis gathers what many clients change at about the same time, too",
        Test("tests/tests/pubsub/tracking.rs", "who_has_named_a_prefix_is_told_as_by_redis"),
    ),
    row(
        "keyspace events of a transaction, to the client that ran it (RESP3)",
        "they come before the replies of `EXEC`",
        "Redis 7.0 puts them among the replies, where clients take them for such",
        Test("tests/tests/events.rs", "events_of_a_transaction_come_before_its_replies"),
    ),
    row(
        "`client-output-buffer-limit`",
        "the class `replica` is shown, and has no effect; what is pushed to a client of the class `normal` is bounded as for `pubsub` where `normal` has no limit",
        "a flow of replication is bounded by flags of its own, without ending it; what nobody has just asked for is always bounded",
        Test("tests/tests/pubsub/limits.rs", "a_subscriber_that_does_not_read_is_dropped_and_others_get_everything"),
    ),
    row(
        "`HELP` of containers (`OBJECT`, `MEMORY`, `CLIENT`, …)",
        "other words, of what is here",
        "text for people",
        Script("
            OBJECT HELP => [OBJECT <subcommand> *] || [OBJECT <subcommand> *]
        "),
    ),
    row(
        "`DEBUG OBJECT`, `DEBUG POPULATE`",
        "other fields, more options",
        "what is of use in tests of this server",
        Script("
            SET key value
            DEBUG OBJECT key => Value at:*lru_seconds_idle:0 || Value at:* kind:string heap:0
        "),
    ),
];
