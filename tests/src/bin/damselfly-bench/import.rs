//! Moving in: a `redis-server` with many strings, and how long it takes until who follows it has all of them. Ours on all
//! cores beside a second `redis-server`, with the same source.

use std::cell::RefCell;
use std::io;
use std::rc::{Rc, Weak};
use std::time::Instant;

use damselfly_tests::load::Fill;
use damselfly_tests::machine::cpu_seconds;
use damselfly_tests::{PeerKind, Redis, RedisVersion};

use crate::case::{Case, Ratio, Round, Rounds, Row, Scale, Target};
use crate::full_sync::{SMALL_BYTES, THREADS, follow};

const fn seconds(what: &'static str) -> Row {
    Row {
        what,
        unit: "s",
        ratio: Ratio::Theirs,
        target: Target::RatioAtLeast(2.0),
    }
}

const CPU: Row = Row {
    what: "… CPU of the importing end",
    unit: "s",
    ratio: Ratio::Theirs,
    target: Target::None,
};

/// Both ways in which a Redis sends its data.
pub const CASES: &[Case] = &[
    Case {
        name: "import-diskless",
        summary: "strings of a redis-server, sent from its memory, until in sync",
        rows: &[seconds("import from redis-server, diskless"), CPU],
        rounds: Rounds::Half,
        needs: None,
        start: |kind, scale| start(kind, scale, "yes"),
    },
    Case {
        name: "import-disk",
        summary: "the same, sent from a file that it writes first",
        rows: &[seconds("import from redis-server, from its disk"), CPU],
        rounds: Rounds::Half,
        needs: None,
        start: |kind, scale| start(kind, scale, "no"),
    },
];

thread_local! {
    /// Both of a case, and both cases, import from the same one.
    static SOURCE: RefCell<Weak<Redis>> = const { RefCell::new(Weak::new()) };
}

fn source(keys: u64) -> io::Result<Rc<Redis>> {
    if let Some(source) = SOURCE.with_borrow(Weak::upgrade) {
        return Ok(source);
    }
    let options = ["--repl-diskless-sync-delay", "0"];
    let source = Rc::new(Redis::try_start(RedisVersion::V70, &options)?);
    let fill = Fill {
        keys: 0..keys,
        value_bytes: SMALL_BYTES,
        connections: 2,
    };
    fill.write(source.address())?;
    SOURCE.set(Rc::downgrade(&source));
    Ok(source)
}

fn start(kind: PeerKind, scale: Scale, diskless: &'static str) -> io::Result<Round> {
    let source = source(scale.import_keys)?;
    Ok(Box::new(move || {
        let mut client = source.client();
        client.ok(&format!("CONFIG SET repl-diskless-sync {diskless}"));
        let replica = kind.start(THREADS)?;
        let (before, start) = (cpu_seconds(replica.pid()), Instant::now());
        follow(&mut replica.client(), source.address())?;
        let seconds = start.elapsed().as_secs_f64();
        let used = cpu_seconds(replica.pid()) - before;
        let keys = replica.client().integer("DBSIZE");
        if keys != scale.import_keys as i64 {
            return Err(io::Error::other(format!("{keys} keys came")));
        }
        Ok(vec![seconds, used])
    }))
}
