//! Writes of all families to a Redis that is followed.

use std::collections::VecDeque;

use crate::client::{Args, words};
use crate::commands::{Family, Words, Workload};
use crate::load::{Pipe, Source};
use crate::redis::RedisVersion;
use crate::rng::Rng;

/// All families' writes; transactions, scripts, other databases, keys that soon expire and what else load alone does not bring.
#[derive(Debug, Clone)]
pub struct RedisWrites {
    workload: Workload,
    rng: Rng,
    version: RedisVersion,
    round: u64,
    /// What comes next, whatever is drawn.
    pending: VecDeque<Args>,
}

impl RedisWrites {
    /// Writes for a Redis of this version to so many keys of each type, named with the prefix.
    pub fn new(version: RedisVersion, seed: u64, prefix: &str, keys: u64) -> RedisWrites {
        let all = |_: Family| true;
        RedisWrites {
            workload: Workload::of(seed, Words::tame(prefix, keys), all).scripted(5),
            rng: Rng::new(seed),
            version,
            round: seed << 32,
            pending: VecDeque::new(),
        }
    }

    /// The next write of the workload that a Redis propagates as it does it.
    fn drawn(&mut self) -> Args {
        let version = self.version;
        let found = self
            .workload
            .find(|command| suits(command) && is_survived(command, version));
        found.expect("a workload never ends")
    }

    fn transaction(&mut self) {
        self.pending.push_back(words("MULTI"));
        for _ in 0..1 + self.rng.below(6) {
            let command = self.drawn();
            self.pending.push_back(command);
        }
        self.pending.push_back(words("EXEC"));
    }

    fn elsewhere(&mut self) {
        self.pending
            .push_back(words(&format!("SELECT {}", 1 + self.rng.below(6))));
        for _ in 0..1 + self.rng.below(4) {
            let command = self.drawn();
            self.pending.push_back(command);
        }
        self.pending.push_back(words("SELECT 0"));
    }

    /// A chain of commands, each of which Redis propagates in its own way.
    fn special(&mut self) {
        let number = self.round;
        let (one, other) = (self.rng.below(50), self.rng.below(50));
        let lines = [
            format!("SET s:short:{number} v PX {}", 1 + self.rng.below(300)),
            format!("SET s:long:{one} v EX 100000"),
            format!("GETEX s:long:{one} PX 200000000"),
            format!("PEXPIRE s:long:{other} -1"),
            format!("INCRBYFLOAT s:float:{one} 0.1"),
            format!("SPOP m:set:{one}"),
            format!("SET s:gone:{number} v"),
            format!("UNLINK s:gone:{number}"),
            format!("LPUSH s:list:{one} 1 2 {number}"),
            format!("LMOVE s:list:{one} s:list:{other} LEFT RIGHT"),
            format!("BLMOVE s:list:{one} s:list:{other} LEFT RIGHT 1"),
            format!("BRPOP s:list:{other} 1"),
            format!("LTRIM s:list:{other} 0 20"),
            format!("COPY m:hash:{one} s:hash:{other} REPLACE"),
            format!("COPY m:string:{one} s:string:{other} DB 7 REPLACE"),
            format!("MOVE s:list:{other} 8"),
            "SELECT 9".to_owned(),
            format!("SET s:nine:{one} {number}"),
            if self.rng.percent(5) {
                "FLUSHDB"
            } else {
                "DBSIZE"
            }
            .to_owned(),
            if self.rng.percent(5) {
                "SWAPDB 8 9"
            } else {
                "DBSIZE"
            }
            .to_owned(),
            "SELECT 0".to_owned(),
            format!("XADD s:stream:{one} MAXLEN ~ 100 * field {number}"),
            format!("XGROUP CREATE s:stream:{one} group 0 MKSTREAM"),
            format!("XREADGROUP GROUP group me COUNT 3 STREAMS s:stream:{one} >"),
            format!("XAUTOCLAIM s:stream:{one} group other 0 - COUNT 1"),
            format!("GEOADD s:places 13.3 38.1 Palermo:{one}"),
            "GEOSEARCHSTORE s:near s:places FROMLONLAT 13 38 BYRADIUS 500 km".to_owned(),
            format!("PUBLISH news {number}"),
        ];
        self.pending.extend(lines.iter().map(|line| words(line)));
    }
}

impl Source for RedisWrites {
    fn draw(&mut self, pipe: &mut Pipe) {
        if self.pending.is_empty() {
            self.round += 1;
            match self.rng.below(1_000) {
                0..20 => self.transaction(),
                20..30 => self.elsewhere(),
                30..36 => self.special(),
                _ => {}
            }
        }
        let command = match self.pending.pop_front() {
            Some(command) => command,
            None => self.drawn(),
        };
        let args: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        pipe.queue(&args);
    }
}

/// Not what waits: Redis 6.2 takes the shortest times for endless ones. Not a BITFIELD that fails: Redis lengthens the string all
/// the same, and does not propagate that.
fn suits(command: &Args) -> bool {
    let waits = command[0].starts_with(b"B") && !command[0].starts_with(b"BIT");
    !waits && !command.iter().any(|arg| arg == b"FAIL")
}

/// Redis 6.2 gives INCRBYFLOAT a further word. In a script that shrinks the array which scripts keep for words, and a longer command
/// writes beyond its end some time later: `malloc` aborts.
fn is_survived(command: &Args, version: RedisVersion) -> bool {
    let is_script = command[0].starts_with(b"EVAL");
    let ends_it = version == RedisVersion::V62 && is_script;
    !(ends_it && command.iter().any(|arg| arg == b"INCRBYFLOAT"))
}
