//! Scenes of clients that wait for entries of streams.

use crate::scenes::played_alike;

/// A name and a script.
const SCENES: &[(&str, &str)] = &[
    ("everybody who reads hears of an entry, from where they were", "
        d: XADD s 1-1 f v
        a! XREAD BLOCK 0 STREAMS s $
        b! XREAD COUNT 1 BLOCK 0 STREAMS s 1-1
        c: XREAD BLOCK 0 STREAMS s 0
        d: XADD s 2-1 f v
        a<
        b<
        a! XREAD BLOCK 0 STREAMS s 5-5
        d: XADD s 3-1 f v | XADD s 5-5 f v | XADD s 5-6 f w
        a<
        a! XREAD BLOCK 0 STREAMS none $
        b! XREAD BLOCK 0 STREAMS none 0
        d: XADD none NOMKSTREAM 1-1 f v | XADD none 1-1 f v
        a<
        b<
    "),
    ("a transaction is heard when it is over, whole", "
        a! XREAD BLOCK 0 STREAMS s $
        b! XREAD COUNT 2 BLOCK 0 STREAMS s $
        d: MULTI | XADD s 1-1 f v | XADD s 1-2 f v | XADD s 1-3 f v | EXEC
        a<
        b<
        a! XREAD BLOCK 0 STREAMS s $
        d: MULTI | XADD s 3-1 f v | DEL s | EXEC | XADD s 1-1 f v
        d: XADD s 4-1 f v
        a<
    "),
    ("several streams, each with its own place", "
        d: XADD one 1-1 f v | XADD three 3-1 f v
        a! XREAD BLOCK 0 STREAMS one two three four $ $ $ $
        b! XREAD BLOCK 0 STREAMS four three 0 3-1
        d: XADD three 3-2 f v
        a<
        b<
        a! XREAD BLOCK 0 STREAMS one two three four $ $ $ $
        d: XADD two 1-1 f v
        a<
        a: XREAD BLOCK 0 STREAMS one two 0 0
        a! XREAD BLOCK 0 STREAMS one two $ $
        d: MULTI | XADD one 7-1 f v | XADD one 7-2 f v | EXEC
        a<
        d: XGROUP CREATE one g $
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS one >
        d: XADD one 8-1 f v | XADD one 8-2 f v | XADD one 8-3 f v
        a<
        a: XREADGROUP GROUP g a BLOCK 0 STREAMS one >
    "),
    ("a group gives each entry to who waits longest", "
        d: XGROUP CREATE s g $ MKSTREAM
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS s >
        b! XREADGROUP GROUP g b BLOCK 0 STREAMS s >
        c! XREAD BLOCK 0 STREAMS s $
        d: XADD s 1-1 f v
        a<
        c<
        d: XADD s 1-2 f v
        b<
        a! XREADGROUP GROUP g a COUNT 1 BLOCK 0 STREAMS s >
        b! XREADGROUP GROUP g b COUNT 1 BLOCK 0 NOACK STREAMS s >
        d: MULTI | XADD s 2-1 f v | XADD s 2-2 f v | XADD s 2-3 f v | EXEC
        a<
        b<
        d: XPENDING s g | XREADGROUP GROUP g d STREAMS s > | XINFO GROUPS s
    "),
    ("two groups of one stream, and one group that reads several", "
        d: XGROUP CREATE s g $ MKSTREAM | XGROUP CREATE s h $ | XGROUP CREATE t g $ MKSTREAM
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS s t > >
        b! XREADGROUP GROUP h b BLOCK 0 STREAMS s >
        c! XREADGROUP GROUP g c BLOCK 0 STREAMS t s > >
        d: XADD s 1-1 f v
        a<
        b<
        d: XADD t 1-1 f v
        c<
        d: XPENDING s g | XPENDING t g | XPENDING s h
    "),
    ("what is pending is not waited for", "
        d: XGROUP CREATE s g $ MKSTREAM
        a: XREADGROUP GROUP g a BLOCK 0 STREAMS s 0
        a: XREADGROUP GROUP none a BLOCK 0 STREAMS s > | XREADGROUP GROUP g a BLOCK 0 STREAMS none > | XREAD BLOCK 0 STREAMS s >
        d: XGROUP CREATE t g $ MKSTREAM
        a: XREADGROUP GROUP g a BLOCK 0 STREAMS s t > 0
        a: XREADGROUP GROUP g a BLOCK 10 STREAMS s t > >
    "),
    ("the group goes", "
        d: XGROUP CREATE s g $ MKSTREAM | XGROUP CREATE s h $
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS s >
        b! XREADGROUP GROUP h b BLOCK 0 STREAMS s >
        c! XREAD BLOCK 0 STREAMS s $
        d: XGROUP DESTROY s g
        a<
        d: XADD s 1-1 f v
        b<
        c<
        d: XGROUP CREATE s g $
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS s >
        d: MULTI | XGROUP DESTROY s g | XGROUP CREATE s g $ | EXEC
        d: XADD s 2-1 f v
        a<
    "),
    ("the stream goes", "
        d: XGROUP CREATE s g $ MKSTREAM
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS s >
        b! XREAD BLOCK 0 STREAMS s $
        d: DEL s
        a<
        d: XADD s 1-1 f v
        b<
        d: XGROUP CREATE s g $
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS s >
        d: UNLINK s
        a<
        d: XGROUP CREATE s g $ MKSTREAM
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS s >
        d: MULTI | DEL s | XGROUP CREATE s g $ MKSTREAM | EXEC | XADD s 3-1 f v
        a<
    "),
    ("the stream is given another name", "
        d: XGROUP CREATE s g $ MKSTREAM | XGROUP CREATE t g $ MKSTREAM
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS s >
        d: RENAME s u
        a<
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS t >
        b! XREAD BLOCK 0 STREAMS s 0
        d: RENAME t s
        a<
        d: XADD s 7-1 f v
        b<
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS u >
        d: RENAME s u
        a<
        d: XGROUP CREATE w g 0 MKSTREAM
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS w >
        d: RENAME u w
        d: XADD w 8-1 f v
        a<
    "),
    ("the key becomes something else", "
        d: XGROUP CREATE s g $ MKSTREAM
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS s >
        b! XREAD BLOCK 0 STREAMS s $
        d: SET s 1
        a<
        d: DEL s | RPUSH s 1 | DEL s | ZADD s 1 a | DEL s | XADD s 1-1 f v
        b<
        d: DEL s | XGROUP CREATE s g $ MKSTREAM
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS s >
        d: RPUSH other 1 2 | COPY other s REPLACE
        a<
        d: LRANGE s 0 -1
        d: DEL s | XGROUP CREATE s g $ MKSTREAM
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS s >
        b! XREAD BLOCK 0 STREAMS s $
        d: SORT other STORE s
        a<
        d: SADD a 1 | SUNIONSTORE s a | TYPE s | DEL s | XADD s 9-1 f v
        b<
    "),
    ("the database goes", "
        d: XGROUP CREATE s g $ MKSTREAM
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS s >
        b! XREAD BLOCK 0 STREAMS s $
        d: FLUSHDB
        a<
        d: XADD s 1-1 f v
        b<
        d: DEL s | XGROUP CREATE s g $ MKSTREAM
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS s >
        d: FLUSHALL
        a<
        d: XGROUP CREATE s g $ MKSTREAM
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS s >
        d: MOVE s 1
        a<
        d: XGROUP CREATE s g $ MKSTREAM
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS s >
        d: SELECT 1 | DEL s | XGROUP CREATE s g $ MKSTREAM | XADD s 5-1 f v | SWAPDB 0 1
        a<
    "),
    ("a key whose time has come goes", "
        d: XGROUP CREATE s g $ MKSTREAM
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS s >
        d: PEXPIRE s 1
        a<
        d: XGROUP CREATE s g $ MKSTREAM
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS s >
        d: EXPIRE s -1
        a<
    "),
    ("every way to put entries there", "
        a! XREAD BLOCK 0 STREAMS k 0
        d: XADD other 1-1 f v | COPY other k
        a<
        d: DEL k
        a! XREAD BLOCK 0 STREAMS k 0
        d: RENAME other k
        a<
        d: DEL k
        a! XREAD BLOCK 0 STREAMS k 0
        d: SELECT 1 | XADD k 2-1 f v | MOVE k 0
        a<
        d: SELECT 0 | DEL k
        a! XREAD BLOCK 0 STREAMS k 0
        d: SELECT 1 | XADD k 3-1 f v | SWAPDB 0 1 | SELECT 0
        a<
        d: XGROUP CREATE k g $
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS k >
        d: XGROUP SETID k g 0
        d: XADD k 4-1 f v
        a<
        a! XREAD BLOCK 0 STREAMS k $
        d: XSETID k 100-1
        d: XADD k 100-* f v
        a<
    "),
    ("time runs out", "
        a: XREAD BLOCK 10 STREAMS k $ | XREAD BLOCK 10 STREAMS k l m $ 0 5 | XREAD BLOCK -1 STREAMS k $ | XREAD BLOCK x STREAMS k $
        d: XGROUP CREATE s g $ MKSTREAM
        a: XREADGROUP GROUP g a BLOCK 10 STREAMS s > | XREADGROUP GROUP g a BLOCK 1.5 STREAMS s >
        a: HELLO 3
        a: XREAD BLOCK 10 STREAMS k $ | XREADGROUP GROUP g a BLOCK 10 STREAMS s >
        a: MULTI | XREAD BLOCK 0 STREAMS k $ | XREADGROUP GROUP g a BLOCK 0 STREAMS s > | EXEC
        d: MULTI | XREAD BLOCK 0 STREAMS k $ | XREADGROUP GROUP g a BLOCK 0 STREAMS s > | EXEC
        d: EXISTS k | XINFO GROUPS s
    "),
    ("CLIENT UNBLOCK", "
        d: XGROUP CREATE s g $ MKSTREAM
        a! XREAD BLOCK 0 STREAMS k s $ $
        d: CLIENT UNBLOCK {a} | CLIENT UNBLOCK {a}
        a<
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS s >
        d: CLIENT UNBLOCK {a} ERROR
        a<
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS s >
        d: CLIENT UNBLOCK {a} TIMEOUT
        a<
        a! XREAD BLOCK 0 STREAMS k s $ $
        d: CLIENT UNBLOCK {a} ERROR | CLIENT UNBLOCK {a} NONSENSE
        a<
        d: XADD s 1-1 f v | XADD k 1-1 f v | XPENDING s g
    "),
    ("who is gone gets nothing", "
        d: XGROUP CREATE s g $ MKSTREAM
        a! XREADGROUP GROUP g a BLOCK 0 STREAMS s >
        b! XREADGROUP GROUP g b BLOCK 0 STREAMS s >
        ax
        d: XADD s 1-1 f v
        b<
        c! XREADGROUP GROUP g c BLOCK 0 STREAMS s >
        d: CLIENT KILL ID {c}
        c<
        d: XADD s 2-1 f v | XPENDING s g
    "),
    ("RESP3", "
        d: XGROUP CREATE s g $ MKSTREAM | XGROUP CREATE t g $ MKSTREAM
        a: HELLO 3
        b: HELLO 3
        c: HELLO 3
        a! XREAD BLOCK 0 STREAMS s t $ $
        b! XREADGROUP GROUP g b BLOCK 0 STREAMS t s > >
        c! XREADGROUP GROUP g c COUNT 1 BLOCK 0 STREAMS s t > >
        d: MULTI | XADD s 1-1 f v g w | XADD s 1-2 f v | EXEC
        a<
        b<
        d: XADD s 1-3 f v
        c<
        b! XREADGROUP GROUP g b BLOCK 0 STREAMS s >
        c! XREADGROUP GROUP g c BLOCK 0 STREAMS s >
        d: XGROUP DESTROY s g
        b<
        c<
        b! XREADGROUP GROUP g b BLOCK 0 STREAMS t >
        d: DEL t
        b<
    "),
    ("lists and streams at one key", "
        a! BLPOP k 0
        b! XREAD BLOCK 0 STREAMS k $
        c! BZPOPMIN k 0
        d: XADD k 1-1 f v
        b<
        d: DEL k | RPUSH k 1
        a<
        d: ZADD k 1 x
        c<
        b! XREAD BLOCK 0 STREAMS k $
        a! BLPOP k 0
        d: MULTI | XADD k 1-1 f v | DEL k | RPUSH k 2 | EXEC
        a<
        d: XADD k 3-1 f v
        b<
    "),
];

#[test]
fn streams_are_waited_for_as_on_redis() {
    played_alike(SCENES);
}
