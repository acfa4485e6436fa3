//! Scenes with several clients, each played on `redis-server`, on one shard and on three, with the same words heard.

use damselfly_tests::{Redis, Server};

use crate::stage::Stage;

/// A name and a script.
const SCENES: &[(&str, &str)] = &[
    ("who waits longest is served first, and only as many as there are elements", "
        a! BLPOP k 0
        b! BRPOP other k 0
        c! BLMPOP 0 2 k other LEFT COUNT 2
        d: RPUSH k 1 2
        a<
        b<
        d: LRANGE k 0 -1
        d: RPUSH other 3 4 5
        c<
        d: LRANGE other 0 -1
    "),
    ("nobody takes what others wait for, not even who put it there", "
        a! BLPOP k 0
        d: RPUSH k 1 | LPOP k | RPUSH k 2 | LLEN k | DEL k
        a<
        a! BLPOP k 0
        d: MULTI | RPUSH k 3 | LPOP k | RPUSH k 4 5 | EXEC | LPOP k | LPOP k
        a<
    "),
    ("a transaction serves when it is over, with what it has left", "
        a! BLPOP k 0
        b! BLPOP k l m n 0
        d: MULTI | RPUSH k 1 | DEL k | RPUSH k 2 | EXEC | LRANGE k 0 -1
        a<
        d: MULTI | RPUSH l 3 | DEL l | EXEC
        d: MULTI | RPUSH m 4 | EXEC
        b<
    "),
    ("the first key that has something, and errors of those before it", "
        d: RPUSH two a | RPUSH three b | SET string 1 | ZADD zset 1 a
        a: BLPOP one two three 0 | BLPOP one string three 0 | BLPOP three string 0 | BLPOP string 0.01 | BZPOPMIN one zset string 0
        a: BLMOVE string x LEFT LEFT 0 | RPUSH list v | BLMOVE list string LEFT LEFT 0 | LLEN list | BZMPOP 0 2 one string MIN
    "),
    ("a key that becomes another type serves nobody", "
        a! BLPOP k 0
        b! BZPOPMIN k 0
        d: SET k 1 | DEL k | SADD k 1 | DEL k
        d: ZADD k 1 one 2 two | LLEN nothing
        b<
        d: DEL k | RPUSH k 1 | EXISTS k
        a<
    "),
    ("chains: what one moves another takes", "
        a! BLMOVE x y LEFT RIGHT 0
        b! BLMOVE y z LEFT RIGHT 0
        c! BLPOP z 0
        d: RPUSH x v
        a<
        b<
        c<
        d: EXISTS x y z
        a! BRPOPLPUSH z z 0
        d: RPUSH z 1 2
        a<
        d: LRANGE z 0 -1
    "),
    ("a destination of another type is an error, and nothing is lost", "
        a! BLMOVE x y LEFT RIGHT 0
        b! BLMOVE x w LEFT RIGHT 0
        d: SET y 1 | RPUSH x v
        a<
        b<
        d: LRANGE w 0 -1 | EXISTS x
    "),
    ("RESP3 and sorted sets", "
        a: HELLO 3
        a! BZPOPMAX k l 0
        b! BZMPOP 0 2 k l MIN COUNT 3
        d: ZADD l 1.5 a 2.5 b 3 c
        a<
        b<
        d: EXISTS l
    "),
    ("every way to put a list there", "
        a! BLPOP k 0
        d: RPUSH other 1 | RENAME other k
        a<
        a! BLPOP k 0
        d: RPUSH other 2 | COPY other k
        a<
        a! BLPOP k 0
        d: LMOVE other k LEFT LEFT
        a<
        a! BLPOP k 0
        d: SELECT 1 | RPUSH k 3 | MOVE k 0 | SELECT 0
        a<
        a! BLPOP k 0
        d: SELECT 1 | RPUSH k 4 5 | SWAPDB 0 1 | SELECT 0 | LRANGE k 0 -1 | DEL k
        a<
        a! BLPOP k 0
        d: SELECT 1 | RPUSH k 6 | SELECT 0 | LPUSH k 7
        a<
        a! BZPOPMIN k 0
        d: ZADD one 1 a 2 b | ZUNIONSTORE k 1 one
        a<
        d: DEL k
        a! BZPOPMIN k 0
        d: ZRANGESTORE k one 0 0
        a<
    "),
    ("more ways to put one there", "
        d: RPUSH src 3 1 2 | ZADD one 1 x 2 y | ZADD two 5 y | GEOADD places 13 38 here
        a! BLPOP k 0
        d: SORT src STORE k
        a<
        d: DEL k
        a! BLMPOP 0 1 k LEFT COUNT 5
        d: LPUSHX k 1 | LMOVE src k LEFT RIGHT
        a<
        a! BZPOPMIN k 0
        d: ZINCRBY k 2 x
        a<
        a! BZPOPMAX k 0
        d: ZINTERSTORE k 2 one two
        a<
        a! BZMPOP 0 1 k MAX
        d: ZDIFFSTORE k 2 one two
        a<
        a! BZPOPMIN k 0
        d: GEOADD k 1 1 there
        a<
        a! BZPOPMIN k 0
        d: GEOSEARCHSTORE k places FROMLONLAT 13 38 BYRADIUS 1 km
        a<
        a! BZPOPMIN k 0
        d: GEORADIUS places 13 38 1 km STORE k
        a<
        a! BZMPOP 0 2 none k MIN COUNT 9
        d: ZADD k XX 1 x | ZADD k INCR 1 x
        a<
    "),
    ("BLMPOP and BZMPOP run out of time, and are let go, in RESP3, too", "
        a: BLMPOP 0.01 2 k l LEFT | BZMPOP 0.01 2 k l MAX COUNT 3
        b: HELLO 3
        b: BLPOP k 0.01 | BLMOVE k l LEFT LEFT 0.01 | BRPOPLPUSH k l 0.01 | BLMPOP 0.01 1 k LEFT | BZPOPMIN k 0.01 | BZMPOP 0.01 1 k MIN
        a! BLMPOP 0 2 k l LEFT
        b! BZMPOP 0 2 k l MIN
        d: CLIENT UNBLOCK {a} TIMEOUT | CLIENT UNBLOCK {b} ERROR
        a<
        b<
        b! BLMOVE k l LEFT RIGHT 0
        d: CLIENT UNBLOCK {b}
        b<
        b! BLMPOP 0 2 k l RIGHT COUNT 2
        d: MULTI | RPUSH l 1 2 3 | EXEC
        b<
    "),
    ("time runs out, and CLIENT UNBLOCK", "
        a: BLPOP k 0.01 | BLMOVE x y LEFT RIGHT 0.01 | BZPOPMIN k l m 0.01 | MULTI | BLPOP k 0 | BLMOVE x y LEFT RIGHT 0 | EXEC
        a! BLPOP k l m 0
        d: CLIENT UNBLOCK {a} | CLIENT UNBLOCK {a}
        a<
        a! BLMOVE x y LEFT RIGHT 0
        d: CLIENT UNBLOCK {a} ERROR | CLIENT UNBLOCK {d}
        a<
        a: PING
        d: RPUSH k 1 | LLEN k | RPUSH x 1 | LLEN x
        a: BLPOP none -0.002 | BLPOP none -0.0011
        a! BLPOP none -0.001
        d: RPUSH none 1
        a<
    "),
    ("who is gone is not served", "
        a! BLPOP k l 0
        b! BLPOP k 0
        ax
        d: RPUSH k 1
        b<
        d: RPUSH k 2 | LLEN k | DEL k
        c! BLMOVE k l LEFT RIGHT 0
        d: CLIENT KILL ID {c}
        c<
        d: RPUSH k 3 | LRANGE k 0 -1
    "),
    ("flushes and swaps wake nobody without an element", "
        a! BLPOP k 0
        d: SELECT 1 | RPUSH l 1 | SWAPDB 0 1 | FLUSHDB | FLUSHALL | RPUSH k 1
        d: SELECT 0 | RPUSH k 2
        a<
    "),
];

#[test]
fn scenes_are_heard_as_on_redis() {
    played_alike(SCENES);
}

/// Plays scenes on `redis-server`, on one shard and on three, and compares what is heard.
pub fn played_alike(scenes: &[(&str, &str)]) {
    let redis = Redis::start();
    let servers = [1, 3].map(Server::with_shards);
    let mut wrong = Vec::new();
    for (name, script) in scenes {
        let expected = Stage::new(redis.address()).play(script);
        for server in &servers {
            let heard = Stage::new(server.address()).play(script);
            for (expected, heard) in expected.iter().zip(&heard) {
                if ids_hidden(heard) != ids_hidden(expected) {
                    wrong.push(format!("{name}\n  redis {expected}\n  here  {heard}"));
                }
            }
            assert_eq!(heard.len(), expected.len(), "{name}");
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Ids of clients, and what HELLO says of the server, are its own.
fn ids_hidden(heard: &str) -> String {
    if heard.contains("HELLO") {
        return "HELLO".to_owned();
    }
    let words = heard.split(' ').scan("", |before, word| {
        let hidden = ["UNBLOCK", "ID"].contains(before);
        *before = word;
        Some(if hidden { "id" } else { word })
    });
    words.collect::<Vec<_>>().join(" ")
}
