//! The commands that tests generate, a line each, and how their replies compare.

/// How the replies of two servers to one command compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// Byte for byte.
    Exact,
    /// The same items in any order; for pairs see [`Compare::Pairs`].
    Unordered,
    /// The same pairs in any order (a flat array in RESP2, a map in RESP3).
    Pairs,
    /// A cursor, and the same items in any order.
    Scan,
    /// A cursor, and the same pairs in any order.
    ScanPairs,
    /// Numbers that differ by this much at most: the clocks of two servers.
    Near(i64),
    /// Exact but for times of the clock, and how long ago they were, in what consumer groups tell.
    Clock,
    /// Exact, but for strings that Redis may have changed: it keeps them in another form then.
    Encoding,
    /// Random choice: the same kind and number of items.
    Shape,
    /// Errors byte for byte; otherwise only that both are none.
    Errors,
}

/// The family of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Of strings.
    Strings,
    /// Of bits in strings.
    Bits,
    /// Of HyperLogLogs.
    HyperLogLogs,
    /// Of lists.
    Lists,
    /// Of hashes.
    Hashes,
    /// Of sets.
    Sets,
    /// Of sorted sets.
    SortedSets,
    /// Of places.
    Geo,
    /// SORT.
    Sort,
    /// Of streams.
    Streams,
    /// Of keys of any type.
    Keys,
    /// Of transactions.
    Transactions,
    /// Of the connection and the server.
    Server,
    /// Scripts that run commands of the others, and functions; they have no rows.
    Scripts,
}

/// A command as tests generate it.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its family.
    pub family: Family,
    /// How often it comes, relative to the others.
    pub weight: u32,
    /// Whether a workload of writes includes it.
    pub write: bool,
    /// How replies compare.
    pub compare: Compare,
    /// The arguments, in the language of [`Template`](super::Template).
    pub template: &'static str,
}

const fn row(
    family: Family,
    weight: u32,
    write: bool,
    compare: Compare,
    template: &'static str,
) -> Row {
    Row {
        family,
        weight,
        write,
        compare,
        template,
    }
}
const fn read(family: Family, compare: Compare, template: &'static str) -> Row {
    row(family, 4, false, compare, template)
}
const fn write(family: Family, template: &'static str) -> Row {
    row(family, 4, true, Compare::Exact, template)
}
/// A command that may wait, each time for as long as its timeout.
const fn waits(family: Family, template: &'static str) -> Row {
    row(family, 2, true, Compare::Exact, template)
}
const fn often(family: Family, template: &'static str) -> Row {
    row(family, 16, true, Compare::Exact, template)
}
const fn seldom(family: Family, compare: Compare, template: &'static str) -> Row {
    row(family, 1, false, compare, template)
}

use Compare::{Clock, Encoding, Errors, Exact, Near, Pairs, Scan, ScanPairs, Shape, Unordered};
use Family::{
    Bits, Geo, Hashes, HyperLogLogs, Keys, Lists, Server, Sets, Sort, SortedSets, Streams, Strings,
    Transactions,
};

/// All of them.
#[rustfmt::skip]
pub static ROWS: &[Row] = &[
    // Strings.
    often(Strings, "SET <string> <value>"),
    write(Strings, "SET <string> <value> (NX|XX)? (EX <seconds>|PX <millis>|EXAT <later>|PXAT <laterms>|KEEPTTL|GET)*"),
    read(Strings, Exact, "GET <string>"),
    read(Strings, Exact, "MGET <string>+"),
    write(Strings, "MSET (<string> <value>)+"),
    write(Strings, "MSETNX (<string> <value>)+"),
    write(Strings, "GETSET <string> <value>"),
    write(Strings, "GETDEL <string>"),
    write(Strings, "GETEX <string> (EX <seconds>|PX <millis>|EXAT <unix>|PXAT <unixms>|PERSIST)?"),
    write(Strings, "SETEX <string> <seconds> <value>"),
    write(Strings, "PSETEX <string> <millis> <value>"),
    write(Strings, "SETNX <string> <value>"),
    write(Strings, "APPEND <string> <value>"),
    read(Strings, Exact, "STRLEN <string>"),
    write(Strings, "INCR <string>"),
    write(Strings, "DECR <string>"),
    write(Strings, "INCRBY <string> <int>"),
    write(Strings, "DECRBY <string> <int>"),
    write(Strings, "INCRBYFLOAT <string> <float>"),
    write(Strings, "SETRANGE <string> <offset> <value>"),
    read(Strings, Exact, "(GETRANGE|SUBSTR) <string> <index> <index>"),
    // Bits.
    often(Bits, "SETBIT <string> <bitoffset> <bit>"),
    read(Bits, Exact, "GETBIT <string> <bitoffset>"),
    read(Bits, Exact, "BITCOUNT <string> (<bitindex> <bitindex> (BYTE|BIT)?)?"),
    read(Bits, Exact, "BITPOS <string> <bit> (<bitindex> (<bitindex> (BYTE|BIT)?)?)?"),
    write(Bits, "BITOP (AND|OR|XOR) <string> <string>+"),
    write(Bits, "BITOP NOT <string> <string>"),
    often(Bits, "BITFIELD <string> (GET <bittype> <fieldoffset>|(SET|INCRBY) <bittype> <fieldoffset> <int>|OVERFLOW (WRAP|SAT|FAIL))+"),
    read(Bits, Exact, "BITFIELD_RO <string> (GET <bittype> <fieldoffset>)+"),
    // HyperLogLogs. PFCOUNT of a single one keeps its estimate in the string in Redis: see compatibility.md.
    often(HyperLogLogs, "PFADD <hll> <member>*"),
    often(HyperLogLogs, "PFADD <hll> <elements>"),
    read(HyperLogLogs, Exact, "PFCOUNT <hll> <hll>+"),
    write(HyperLogLogs, "PFMERGE <hll> <hll>*"),
    write(HyperLogLogs, "PFDEBUG (ENCODING|DECODE|DECODE|TODENSE|NONSENSE) <hll>"),
    row(HyperLogLogs, 1, true, Exact, "PFDEBUG GETREG <hll>"),
    row(HyperLogLogs, 2, true, Exact, "SET <hll> (<badhll>|<value>)"),
    row(HyperLogLogs, 2, true, Exact, "DEL <hll>"),
    read(HyperLogLogs, Exact, "(GET|STRLEN) <hll>"),
    read(Strings, Exact, "LCS <string> <string> (LEN|IDX|MINMATCHLEN <count>|WITHMATCHLEN)*"),
    read(Strings, Exact, "LCS <string> <string> IDX (MINMATCHLEN <count>|WITHMATCHLEN)*"),
    // Lists.
    often(Lists, "(RPUSH|LPUSH) <list> <value>+"),
    write(Lists, "(RPUSHX|LPUSHX) <list> <value>+"),
    write(Lists, "(LPOP|RPOP) <list> <count>?"),
    read(Lists, Exact, "LLEN <list>"),
    read(Lists, Exact, "LINDEX <list> <index>"),
    write(Lists, "LSET <list> <index> <value>"),
    read(Lists, Exact, "LRANGE <list> <index> <index>"),
    write(Lists, "LINSERT <list> (BEFORE|AFTER) <member> <value>"),
    write(Lists, "LREM <list> <index> <member>"),
    write(Lists, "LTRIM <list> <index> <index>"),
    read(Lists, Exact, "LPOS <list> <member> (RANK <index>|COUNT <count>|MAXLEN <count>)*"),
    write(Lists, "RPOPLPUSH <list> <list>"),
    write(Lists, "LMOVE <list> <list> (LEFT|RIGHT) (LEFT|RIGHT)"),
    write(Lists, "LMPOP <counted:list> (LEFT|RIGHT) (COUNT <count>)?"),
    waits(Lists, "(BLPOP|BRPOP) <list>+ <timeout>"),
    waits(Lists, "BLMPOP <timeout> <counted:list> (LEFT|RIGHT) (COUNT <count>)?"),
    waits(Lists, "BLMOVE <list> <list> (LEFT|RIGHT) (LEFT|RIGHT) <timeout>"),
    waits(Lists, "BRPOPLPUSH <list> <list> <timeout>"),
    // Hashes.
    often(Hashes, "HSET <hash> (<member> <value>)+"),
    write(Hashes, "HMSET <hash> (<member> <value>)+"),
    write(Hashes, "HSETNX <hash> <member> <value>"),
    read(Hashes, Exact, "HGET <hash> <member>"),
    read(Hashes, Exact, "HMGET <hash> <member>+"),
    write(Hashes, "HDEL <hash> <member>+"),
    read(Hashes, Exact, "HLEN <hash>"),
    read(Hashes, Exact, "HSTRLEN <hash> <member>"),
    read(Hashes, Exact, "HEXISTS <hash> <member>"),
    read(Hashes, Unordered, "(HKEYS|HVALS) <hash>"),
    read(Hashes, Pairs, "HGETALL <hash>"),
    write(Hashes, "HINCRBY <hash> <member> <int>"),
    write(Hashes, "HINCRBYFLOAT <hash> <member> <float>"),
    read(Hashes, Shape, "HRANDFIELD <hash> (<count> WITHVALUES?)?"),
    read(Hashes, ScanPairs, "HSCAN <hash> 0 COUNT 100000 (MATCH <pattern>)?"),
    // Sets.
    often(Sets, "SADD <set> <member>+"),
    write(Sets, "SREM <set> <member>+"),
    read(Sets, Unordered, "SMEMBERS <set>"),
    read(Sets, Exact, "SISMEMBER <set> <member>"),
    read(Sets, Exact, "SMISMEMBER <set> <member>+"),
    read(Sets, Exact, "SCARD <set>"),
    row(Sets, 4, true, Unordered, "SPOP <set> 100000"),
    read(Sets, Shape, "SRANDMEMBER <set> <count>?"),
    write(Sets, "SMOVE <set> <set> <member>"),
    read(Sets, Unordered, "(SINTER|SUNION|SDIFF) <set>+"),
    write(Sets, "(SINTERSTORE|SUNIONSTORE|SDIFFSTORE) <set> <set>+"),
    read(Sets, Exact, "SINTERCARD <counted:set> (LIMIT <count>)?"),
    read(Sets, Scan, "SSCAN <set> 0 COUNT 100000 (MATCH <pattern>)?"),
    // Sorted sets.
    often(SortedSets, "ZADD <zset> (<score> <member>)+"),
    write(SortedSets, "ZADD <zset> (NX|XX)? (GT|LT)? CH? INCR? (<score> <member>)+"),
    write(SortedSets, "ZREM <zset> <member>+"),
    read(SortedSets, Exact, "ZSCORE <zset> <member>"),
    read(SortedSets, Exact, "ZMSCORE <zset> <member>+"),
    write(SortedSets, "ZINCRBY <zset> <score> <member>"),
    read(SortedSets, Exact, "ZCARD <zset>"),
    read(SortedSets, Exact, "ZCOUNT <zset> <bound> <bound>"),
    read(SortedSets, Exact, "ZLEXCOUNT <lexset> <lex> <lex>"),
    read(SortedSets, Exact, "(ZRANK|ZREVRANK) <zset> <member>"),
    read(SortedSets, Exact, "ZRANGE <zset> <index> <index> REV? WITHSCORES?"),
    read(SortedSets, Exact, "ZRANGE <zset> <bound> <bound> BYSCORE REV? (LIMIT <index> <index>)? WITHSCORES?"),
    read(SortedSets, Exact, "ZRANGE <lexset> <lex> <lex> BYLEX REV? (LIMIT <index> <index>)? WITHSCORES?"),
    read(SortedSets, Exact, "ZREVRANGE <zset> <index> <index> WITHSCORES?"),
    read(SortedSets, Exact, "(ZRANGEBYSCORE|ZREVRANGEBYSCORE) <zset> <bound> <bound> (WITHSCORES|LIMIT <index> <index>)*"),
    read(SortedSets, Exact, "(ZRANGEBYLEX|ZREVRANGEBYLEX) <lexset> <lex> <lex> (LIMIT <index> <index>)?"),
    write(SortedSets, "ZRANGESTORE <zset> <zset> (<index> <index>|<bound> <bound> BYSCORE) REV? (LIMIT <index> <index>)?"),
    write(SortedSets, "ZRANGESTORE <zset> <lexset> <lex> <lex> BYLEX REV? (LIMIT <index> <index>)?"),
    often(SortedSets, "ZADD <lexset> (0 <member>)+"),
    write(SortedSets, "ZREMRANGEBYRANK <zset> <index> <index>"),
    write(SortedSets, "ZREMRANGEBYSCORE <zset> <bound> <bound>"),
    write(SortedSets, "ZREMRANGEBYLEX <lexset> <lex> <lex>"),
    write(SortedSets, "(ZPOPMIN|ZPOPMAX) <zset> <count>?"),
    write(SortedSets, "ZMPOP <counted:zset> (MIN|MAX) (COUNT <count>)?"),
    waits(SortedSets, "(BZPOPMIN|BZPOPMAX) <zset>+ <timeout>"),
    waits(SortedSets, "BZMPOP <timeout> <counted:zset> (MIN|MAX) (COUNT <count>)?"),
    read(SortedSets, Exact, "(ZUNION|ZINTER) <counted:zset> (AGGREGATE (SUM|MIN|MAX))? WITHSCORES?"),
    read(SortedSets, Exact, "(ZUNION|ZINTER) 2 <zset> <set> WEIGHTS <float> <float> WITHSCORES?"),
    read(SortedSets, Exact, "ZDIFF <counted:zset> WITHSCORES?"),
    write(SortedSets, "(ZUNIONSTORE|ZINTERSTORE) <zset> <counted:zset> (AGGREGATE (SUM|MIN|MAX))?"),
    write(SortedSets, "(ZUNIONSTORE|ZINTERSTORE) <zset> 2 <zset> <zset> WEIGHTS <float> <float>"),
    write(SortedSets, "ZDIFFSTORE <zset> <counted:zset>"),
    read(SortedSets, Exact, "ZINTERCARD <counted:zset> (LIMIT <count>)?"),
    read(SortedSets, Shape, "ZRANDMEMBER <zset> (<count> WITHSCORES?)?"),
    read(SortedSets, ScanPairs, "ZSCAN <zset> 0 COUNT 100000 (MATCH <pattern>)?"),
    // Places.
    often(Geo, "GEOADD <geo> (<place> <member>)+"),
    write(Geo, "GEOADD <geo> (NX|XX|CH)* (<place> <member>)+"),
    often(Geo, "GEOADD <geo> (<place> <value>)+ <place> <value>"),
    read(Geo, Exact, "GEODIST <geo> <member> <member> <unit>?"),
    read(Geo, Exact, "(GEOHASH|GEOPOS) <geo> <member>*"),
    read(Geo, Exact, "(GEORADIUS|GEORADIUS_RO) <geo> <place> <radius> <unit> (WITHCOORD|WITHDIST|WITHHASH|ASC|DESC|COUNT <count>|COUNT <count> ANY)*"),
    read(Geo, Exact, "(GEORADIUSBYMEMBER|GEORADIUSBYMEMBER_RO) <geo> <member> <radius> <unit> (WITHCOORD|WITHDIST|WITHHASH|ASC|DESC|COUNT <count>|COUNT <count> ANY)*"),
    read(Geo, Exact, "GEOSEARCH <geo> (FROMLONLAT <place>|FROMMEMBER <member>) (BYRADIUS <radius> <unit>|BYBOX <radius> <radius> <unit>) (WITHCOORD|WITHDIST|WITHHASH|ASC|DESC|COUNT <count>|COUNT <count> ANY)*"),
    read(Geo, Exact, "GEOSEARCH <geo> (FROMLONLAT <place>|FROMMEMBER <member>|BYRADIUS <radius> <unit>|BYBOX <radius> <radius> <unit>|ANY|COUNT <count>|STOREDIST|STORE <geo>)* WITHDIST"),
    write(Geo, "GEORADIUS <geo> <place> <radius> <unit> (ASC|DESC|WITHDIST)? (COUNT <count> ANY?)? (STORE <geo>|STOREDIST <geo>)*"),
    write(Geo, "GEORADIUSBYMEMBER <geo> <member> <radius> <unit> (ASC|DESC|WITHHASH)? (COUNT <count> ANY?)? (STORE <geo>|STOREDIST <geo>)*"),
    write(Geo, "GEOSEARCHSTORE <geo> <geo> (FROMLONLAT <place>|FROMMEMBER <member>) (BYRADIUS <radius> <unit>|BYBOX <radius> <radius> <unit>) (ASC|DESC|WITHCOORD)? (COUNT <count> ANY?)? STOREDIST?"),
    row(Geo, 1, true, Exact, "ZADD <geo> <score> <member>"),
    read(Geo, Exact, "ZRANGE <geo> 0 -1 WITHSCORES"),
    seldom(Geo, Exact, "COMMAND (GETKEYS|GETKEYSANDFLAGS) (GEORADIUS <geo> <place> <radius> <unit> (STORE <geo>|STOREDIST <geo>)?|GEOSEARCHSTORE <geo> <geo> FROMMEMBER <member> BYRADIUS 1 m)"),
    // Sorting. Redis takes what an earlier command left in `errno` for its own fault: no number may overflow. Where a set, or a sorted set by texts, has equals, their order is that of a hash table.
    often(Sort, "RPUSH <slist> <small>+ <small>"),
    often(Sort, "SADD <sset> <small>+"),
    often(Sort, "ZADD <szset> (<int> <small>)+"),
    often(Sort, "SET <string> (<small>|<member>)"),
    often(Sort, "HSET <hash> (f|g) (<small>|<member>)"),
    write(Sort, "DEL <slist> <sset> <szset> <hash>"),
    read(Sort, Exact, "(SORT|SORT_RO) <slist> (BY <pattern:by>)? (LIMIT <index> <count>|ASC|DESC|ALPHA|GET <pattern:get>)*"),
    read(Sort, Exact, "(SORT|SORT_RO) <slist> (LIMIT 0 5|DESC|GET <pattern:get>)*"),
    read(Sort, Exact, "(SORT|SORT_RO) (<sset>|<szset>) (LIMIT <index> <count>|ASC|DESC|ALPHA|GET <pattern:get>)*"),
    read(Sort, Exact, "(SORT|SORT_RO) (<sset>|<szset>) (LIMIT <index> <count>|ASC|DESC|GET <pattern:get>)* BY <pattern:weight>"),
    read(Sort, Exact, "(SORT|SORT_RO) <szset> BY nosort (LIMIT <index> <count>|ASC|DESC|ALPHA|GET <pattern:get>)*"),
    read(Sort, Unordered, "(SORT|SORT_RO) <sset> BY nosort (ALPHA|DESC|GET #)?"),
    write(Sort, "SORT <slist> (BY <pattern:by>)? (LIMIT <index> <count>|ASC|DESC|ALPHA|GET <pattern:get>)* STORE <slist>"),
    write(Sort, "SORT <sset> (LIMIT <index> <count>|DESC|ALPHA|GET <pattern:get>)* (BY nosort)? STORE (<slist>|<list>)"),
    write(Sort, "SORT <szset> BY nosort (LIMIT <index> <count>|DESC|ALPHA|GET <pattern:get>)* STORE <slist>"),
    read(Sort, Exact, "LRANGE <slist> 0 -1"),
    seldom(Sort, Exact, "COMMAND GETKEYS SORT <slist> (BY <pattern:by>|GET <pattern:get>|LIMIT 0 1)* (STORE <slist>)?"),
    // Streams.
    often(Streams, "XADD <stream> <newid> (<member> <value>)+"),
    often(Streams, "XADD <stream> (NOMKSTREAM|(MAXLEN|MAXLEN =) <count>|MINID =? <streamid>)? <newid> <member> <value>"),
    write(Streams, "XADD <stream> NOMKSTREAM? (MAXLEN|MINID) (=|~)? <streamid> (LIMIT <count>)? <newid> <member> <value>"),
    read(Streams, Exact, "XLEN <stream>"),
    read(Streams, Exact, "XRANGE <stream> <idbound> <idbound> (COUNT <count>)?"),
    read(Streams, Exact, "XREVRANGE <stream> <idbound> <idbound> (COUNT <count>)?"),
    read(Streams, Exact, "XRANGE <stream> - <greatest> (COUNT <count>)*"),
    read(Streams, Exact, "XREVRANGE <stream> <greatest> -"),
    write(Streams, "XDEL <stream> <streamid>+"),
    row(Streams, 2, true, Exact, "XTRIM <stream> MAXLEN (=|~)? <count> (LIMIT <count>)?"),
    row(Streams, 2, true, Exact, "XTRIM <stream> MINID (=|~)? <streamid> (LIMIT <count>)?"),
    row(Streams, 1, true, Exact, "XSETID <stream> <streamid> (ENTRIESADDED <entries>|MAXDELETEDID <streamid>)*"),
    row(Streams, 2, true, Exact, "XSETID <stream> 100 (ENTRIESADDED <entries>|MAXDELETEDID <streamid>)*"),
    read(Streams, Exact, "XREAD (COUNT <count>)? STREAMS <stream> <readid>"),
    read(Streams, Exact, "XREAD (COUNT <count>|BLOCK 1)* STREAMS <stream> <stream> <readid> <readid>"),
    read(Streams, Exact, "XREAD (COUNT <count>|NOACK|GROUP <group> <consumer>)? STREAMS <stream>* <readid>+"),
    often(Streams, "XREADGROUP GROUP <group> <consumer> (COUNT <count>)? NOACK? STREAMS <stream> >"),
    often(Streams, "XREADGROUP GROUP <group> <consumer> (COUNT <count>|NOACK)* STREAMS <stream> (0|<groupid>)"),
    write(Streams, "XREADGROUP (COUNT <count>|BLOCK 1)* GROUP <group> <consumer> STREAMS <stream> <stream> <groupid> <groupid>"),
    write(Streams, "XREADGROUP (COUNT <count>)? NOACK? GROUP <group> <consumer> STREAMS <stream>+ <groupid>+"),
    often(Streams, "XGROUP CREATE <stream> <group> (<streamid>|$|0) MKSTREAM? (ENTRIESREAD <entries>)?"),
    write(Streams, "XGROUP CREATE <stream> <group> (<streamid>|0) (MKSTREAM|ENTRIESREAD <entries>)*"),
    row(Streams, 3, true, Exact, "XGROUP SETID <stream> <group> (<streamid>|$|-|<greatest>) (ENTRIESREAD <entries>)?"),
    row(Streams, 1, true, Exact, "XGROUP DESTROY <stream> <group>"),
    row(Streams, 2, true, Exact, "XGROUP CREATECONSUMER <stream> <group> <consumer>"),
    row(Streams, 1, true, Exact, "XGROUP DELCONSUMER <stream> <group> <consumer>"),
    row(Streams, 2, false, Exact, "(XGROUP|XINFO) (HELP|NONSENSE|CREATE|STREAM|SETID|GROUPS) <stream>? <group>?"),
    write(Streams, "XACK <stream> <group> <streamid>+"),
    read(Streams, Exact, "XPENDING <stream> <group>"),
    read(Streams, Clock, "XPENDING <stream> <group> (IDLE <idle>)? <idbound> <idbound> <count> <consumer>?"),
    read(Streams, Clock, "XPENDING <stream> <group> - <greatest> 100"),
    write(Streams, "XCLAIM <stream> <group> <consumer> <idle> <streamid>+ (IDLE <idle>|TIME <time>|RETRYCOUNT <count>|FORCE|JUSTID|LASTID <streamid>)*"),
    write(Streams, "XCLAIM <stream> <group> <consumer> 0 <streamid>+ FORCE JUSTID?"),
    write(Streams, "XAUTOCLAIM <stream> <group> <consumer> <idle> <idbound> (COUNT <count>|JUSTID)*"),
    write(Streams, "XAUTOCLAIM <stream> <group> <consumer> 0 - (COUNT <count>|JUSTID)?"),
    read(Streams, Exact, "XINFO STREAM <stream>"),
    read(Streams, Clock, "XINFO STREAM <stream> (FULL (COUNT <count>)?)?"),
    read(Streams, Exact, "XINFO GROUPS <stream>"),
    read(Streams, Clock, "XINFO CONSUMERS <stream> <group>"),
    // Keys.
    write(Keys, "(DEL|UNLINK) <any>+"),
    read(Keys, Exact, "(EXISTS|TOUCH) <any>+"),
    read(Keys, Exact, "TYPE <any>"),
    read(Keys, Near(2), "(TTL|EXPIRETIME) <any>"),
    read(Keys, Near(2_000), "(PTTL|PEXPIRETIME) <any>"),
    write(Keys, "EXPIRE <any> <seconds> (NX|XX|GT|LT)*"),
    write(Keys, "PEXPIRE <any> <millis> (NX|XX|GT|LT)?"),
    write(Keys, "EXPIREAT <any> <unix> (NX|XX|GT|LT)?"),
    write(Keys, "PEXPIREAT <any> <unixms> (NX|XX|GT|LT)?"),
    write(Keys, "PERSIST <any>"),
    write(Keys, "(RENAME|RENAMENX) <any> <any>"),
    row(Keys, 2, false, Exact, "MOVE <any> <db>"),
    row(Keys, 3, false, Exact, "COPY <any> <any> (REPLACE|DB <db>)*"),
    row(Keys, 1, false, Exact, "SWAPDB <db> <db>"),
    read(Keys, Shape, "DUMP <any>"),
    row(Keys, 2, false, Exact, "(RESTORE|RESTORE-ASKING) <any> <millis> <value> (REPLACE|ABSTTL|IDLETIME <int>|FREQ <int>)*"),
    row(Keys, 1, false, Exact, "OBJECT FREQ <any>"),
    row(Keys, 4, false, Encoding, "OBJECT ENCODING <any>"),
    row(Keys, 1, false, Exact, "OBJECT REFCOUNT <any>"),
    row(Keys, 1, false, Errors, "OBJECT IDLETIME <any>"),
    row(Keys, 1, false, Errors, "OBJECT (HELP|NONSENSE|ENCODING) <any>?"),
    row(Keys, 1, false, Shape, "MEMORY USAGE <any> (SAMPLES (<int>|<badint>))*"),
    row(Keys, 1, false, Shape, "MEMORY STATS"),
    row(Keys, 1, false, Exact, "MEMORY PURGE"),
    row(Keys, 1, false, Errors, "MEMORY (DOCTOR|STATS|PURGE|MALLOC-STATS|HELP|NONSENSE) <any>?"),
    row(Keys, 2, false, Unordered, "KEYS <pattern>"),
    row(Keys, 2, false, Scan, "SCAN 0 COUNT 100000 (MATCH <pattern>)? (TYPE (string|list|hash|set|zset|stream|nonsense))?"),
    row(Keys, 2, false, Shape, "RANDOMKEY"),
    row(Keys, 2, false, Exact, "DBSIZE"),
    seldom(Keys, Exact, "FLUSHDB (SYNC|ASYNC)?"),
    seldom(Keys, Exact, "FLUSHALL (SYNC|ASYNC)?"),
    row(Keys, 2, false, Exact, "SELECT <db>"),
    row(Keys, 2, false, Exact, "SELECT 0"),
    row(Keys, 2, false, Exact, "DEBUG DIGEST-VALUE <any>+"),
    // Transactions.
    row(Transactions, 6, false, Exact, "MULTI"),
    row(Transactions, 14, false, Exact, "EXEC"),
    row(Transactions, 2, false, Exact, "DISCARD"),
    row(Transactions, 4, false, Exact, "WATCH <any>+"),
    row(Transactions, 1, false, Exact, "UNWATCH"),
    // Connection and server.
    seldom(Server, Exact, "PING <value>?"),
    seldom(Server, Exact, "ECHO <value>"),
    seldom(Server, Errors, "HELLO (<int>|2|3|abc)? (AUTH <value> <value>|SETNAME <value>|NONSENSE)?"),
    seldom(Server, Errors, "CLIENT ID"),
    seldom(Server, Errors, "CLIENT INFO"),
    seldom(Server, Exact, "CLIENT GETNAME"),
    seldom(Server, Exact, "CLIENT SETNAME <value>"),
    seldom(Server, Exact, "CLIENT NO-EVICT (ON|OFF|MAYBE)"),
    seldom(Server, Errors, "CLIENT LIST (TYPE (normal|replica|nonsense)|ID <int>+)?"),
    seldom(Server, Exact, "CLIENT KILL (ID (0|abc|-5)|127.0.0.1:1|TYPE nonsense|NONSENSE x)"),
    seldom(Server, Errors, "TIME"),
    seldom(Server, Errors, "LASTSAVE"),
    seldom(Server, Exact, "WAIT 0 <count>"),
    seldom(Server, Exact, "COMMAND GETKEYS (GET <any>|MSET (<any> <value>)+|ZUNION <counted:zset>|PING|NOSUCH)"),
    seldom(Server, Errors, "COMMAND (COUNT|LIST|NONSENSE)?"),
    seldom(Server, Exact, "CONFIG GET (maxmemory|timeout|save|appendonly|NOSUCH)"),
    seldom(Server, Exact, "CONFIG SET (maxmemory|timeout|tcp-keepalive) (<badint>|-1)"),
    seldom(Server, Exact, "CONFIG SET (nosuch x|timeout|timeout 0 timeout 0|databases 3)"),
    seldom(Server, Exact, "CONFIG (NONSENSE|GET)"),
    seldom(Server, Exact, "NOSUCHCOMMAND <value>*"),
];

/// Writes that choose at random, which servers to be compared can't repeat; a workload has them too.
#[rustfmt::skip]
pub static RANDOM_WRITES: &[Row] = &[
    row(Sets, 2, true, Shape, "SPOP <set> <count>?"),
];

/// Writes that Redis 7.0 does not know.
#[rustfmt::skip]
pub static NEWER_WRITES: &[Row] = &[
    row(Hashes, 10, true, Exact, "(HEXPIRE|HEXPIREAT) <hash> (0|2|100|4000000000) (NX|XX|GT|LT)? FIELDS 2 <member> <member>"),
    row(Hashes, 10, true, Exact, "(HPEXPIRE|HPEXPIREAT) <hash> (300|9000|60000|4000000000000) FIELDS 1 <member>"),
    row(Hashes, 2, true, Exact, "HGETDEL <hash> FIELDS 2 <member> <member>"),
    row(Hashes, 10, true, Exact, "HEXPIRE <hash> 4000000000 FIELDS 6 <member> <member> <member> <member> <member> <member>"),
    row(Hashes, 2, true, Exact, "HSETEX <hash> (FNX|FXX)? (EX (0|3|100)|PX 900|EXAT 1|PXAT 4000000000000|KEEPTTL)? FIELDS 2 <member> <value> <member> <value>"),
    row(Hashes, 2, true, Exact, "HSETEX <hash> NX? KEEPTTL? (1|100) <member> <value> <member> <value>"),
    row(Hashes, 2, true, Exact, "HGETEX <hash> (EX (0|3|100)|PX 900|EXAT 1|PXAT 4000000000000|PERSIST)? FIELDS 3 <member> <member> <member>"),
    row(Hashes, 10, true, Exact, "HPERSIST <hash> FIELDS 6 <member> <member> <member> <member> <member> <member>"),
    row(Sets, 10, true, Exact, "SADDEX <set> KEEPTTL? (1|2|100|60000000) <member> <member>"),
    row(Hashes, 10, true, Exact, "(FIELDEXPIRE|FIELDEXPIREAT) (<set>|<hash>) (0|1|100|60000000|1795000100|3000000000) <member> <member> <member>"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Template;

    #[test]
    fn every_line_is_of_the_language() {
        for row in ROWS.iter().chain(RANDOM_WRITES).chain(NEWER_WRITES) {
            Template::parse(row.template);
            assert!(row.weight > 0);
        }
    }
}
