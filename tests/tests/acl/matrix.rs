//! Users × commands × keys, and every command line of the differential test as a dry run.

use crate::pair::Both;
use damselfly_tests::differential::sequence;

/// The rules of the users.
const USERS: &[&str] = &[
    "",
    "+@all",
    "+@all ~*",
    "+@all ~* &*",
    "+@all ~a*",
    "+@read ~*",
    "+@write -@dangerous ~a* ~b*",
    "+@all %R~a* %W~b*",
    "+@all %RW~a* %R~*",
    "-@all +get +set +mget +@transaction ~a? ~b",
    "+@all -@string ~*",
    "+@all -config +config|get -client|list ~*",
    "-@all +select|0 +select|1 +ping|a +debug|sleep ~*",
    "+@keyspace +@fast ~a1",
    "-@all (+get ~a*) (+set ~b*) (+@hash %R~a* %W~b*)",
    "+@all ~b* (+@read ~a*) (-@all +del|a1 ~*)",
    "+@all -@all +@list +@sortedset ~[ab]1",
    "+@all ~* &a*",
    "-@all (+publish &b?) (+@pubsub -publish &a1)",
];

/// Commands; `A` and `B` stand for keys.
#[rustfmt::skip]
const LINES: &[&str] = &[
    "GET A", "SET A 1", "SET A 1 GET", "GETDEL A", "MGET A B", "MSET A 1 B 2", "DEL A B", "EXISTS A B", "TYPE A", "STRLEN A",
    "APPEND A x", "INCR A", "GETRANGE A 0 1", "SETRANGE A 0 x", "LCS A B", "COPY A B", "RENAME A B", "EXPIRE A 100", "TTL A",
    "PERSIST A", "OBJECT FREQ A", "DUMP A", "RANDOMKEY", "KEYS x*", "SCAN 0 MATCH x", "DBSIZE", "WATCH A",
    "UNWATCH", "LPUSH A x", "RPOPLPUSH A B", "LMOVE A B LEFT LEFT", "LRANGE A 0 1", "BLPOP A B 0.01", "LMPOP 2 A B LEFT",
    "SADD A x", "SINTERSTORE A B", "SINTER A B", "SMOVE A B x", "SINTERCARD 2 A B", "HSET A f 1", "HGET B f", "HGETALL A", "HDEL B f",
    "ZADD A 1 x", "ZUNIONSTORE A 1 B", "ZUNIONSTORE A 5 B", "ZRANGESTORE A B 0 1", "ZINTER 2 A B", "ZRANGE A 0 1", "ZMPOP 1 A MIN",
    "PFADD A x", "PFCOUNT A B", "PFMERGE A B", "SETBIT A 1 1", "BITOP AND A B", "BITFIELD A GET u8 0", "BITFIELD A SET u8 0 1", "BITFIELD_RO A GET u8 0",
    "GEOADD A 1 1 x", "GEORADIUS A 1 1 1 m STORE B", "GEOSEARCHSTORE A B FROMLONLAT 1 1 BYRADIUS 1 m", "XADD A 1-1 f v",
    "XREAD STREAMS A B 0 0", "XREADGROUP GROUP g c STREAMS A >", "XGROUP CREATE A g $ MKSTREAM", "XINFO STREAM A", "XRANGE A - +", "XLEN A",
    "SORT A", "SORT A BY x* GET y*", "SORT A BY nosort", "SORT A GET #", "SORT A STORE B", "SORT A BY nosort GET b STORE B", "SORT_RO A BY w_*", "SORT A LIMIT x 1 BY w_*",
    "PING", "PING a", "ECHO x", "PUBLISH A x", "SPUBLISH A x", "PUBSUB NUMPAT", "PUBSUB CHANNELS A", "SELECT 0", "SELECT 1", "SELECT 2", "SELECT 0", "CONFIG GET nothing", "CONFIG HELP", "CONFIG SET nothing 1", "CONFIG", "CONFIG NOTHING",
    "CLIENT GETNAME", "CLIENT LIST ID 99999", "CLIENT NO-EVICT OFF", "COMMAND COUNT x", "DEBUG SLEEP 0", "ACL WHOAMI", "ACL CAT nothing", "ACL USERS",
    "TIME x", "LASTSAVE x", "FLUSHDB", "SWAPDB 0 1", "MOVE A 3", "NOTHING A", "GET", "REPLCONF x", "WAIT 0 0", "AUTH nobody x", "HELLO x", "HELLO 2 AUTH nobody x",
    "MULTI", "GET A", "SET A 1", "SORT A BY w_*", "EXEC", "MULTI", "PING", "DISCARD", "SWAPDB 0 1",
];

fn filled(line: &str, a: &str, b: &str) -> Vec<Vec<u8>> {
    let word = |word: &str| match word {
        "A" => a.as_bytes().to_vec(),
        "B" => b.as_bytes().to_vec(),
        word => word.as_bytes().to_vec(),
    };
    line.split(' ').map(word).collect()
}

fn rules(user: &str) -> Vec<Vec<u8>> {
    let fixed =
        ["ACL", "SETUSER", "user", "reset", "on", "nopass"].map(|word| word.as_bytes().to_vec());
    let own = user.split(' ').map(|word| word.as_bytes().to_vec());
    fixed.into_iter().chain(own).collect()
}

fn matrix(proto: &str) {
    let mut both = Both::start();
    for user in USERS {
        for (a, b) in [("a1", "a2"), ("a1", "b1"), ("b1", "a1"), ("c", "c")] {
            both.same("admin", &rules(user));
            both.line("admin", "FLUSHALL");
            hello(&mut both, proto);
            for line in LINES {
                both.same("user", &filled(line, a, b));
            }
        }
    }
}

/// HELLO's reply has the client's number in it, and is not compared.
fn hello(both: &mut Both, proto: &str) {
    both.reconnect("user");
    let (left, right) = both.replies("user", &format!("HELLO {proto} AUTH user x"));
    assert_eq!(left.as_error(), right.as_error());
}

#[test]
fn users_may_do_what_they_may_with_redis_resp2() {
    matrix("2");
}

#[test]
fn users_may_do_what_they_may_with_redis_resp3() {
    matrix("3");
}

/// Whatever command lines there are, hostile ones as well.
#[test]
fn every_command_line_is_allowed_or_denied_as_by_redis() {
    let mut both = Both::start();
    for (seed, user) in USERS.iter().enumerate() {
        both.same("admin", &rules(user));
        for step in sequence(seed as u64 + 1, 150, |_| true) {
            let mut args = ["ACL", "DRYRUN", "user"]
                .map(|word| word.as_bytes().to_vec())
                .to_vec();
            // Redis lets a destination pass that has no sources, and makes the key.
            if step.args[0].eq_ignore_ascii_case(b"PFMERGE") && step.args.len() == 2 {
                continue;
            }
            args.extend(step.args);
            both.same("admin", &args);
        }
    }
}
