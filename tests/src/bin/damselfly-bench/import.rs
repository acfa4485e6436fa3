//! Moving in: a `redis-server` with many keys, and how long it takes until who follows it has all of them. Ours on all
//! cores beside a second `redis-server`, with the same source. That second one loads as Redis does by default, from a file that it receives
//! first (`repl-diskless-load disabled`).

use std::cell::RefCell;
use std::io;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use damselfly_tests::load::Fill;
use damselfly_tests::machine::{cpu_seconds, descendants};
use damselfly_tests::{PeerKind, Redis, RedisVersion, within};

use crate::case::{Case, Ratio, Round, Rounds, Row, Scale, Target};
use crate::full_sync::{SMALL_BYTES, THREADS, follow};
use crate::mixed;

/// For the source's child to end, when everything has come.
const CHILD_DEADLINE: Duration = Duration::from_secs(10);

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

/// The source serializes in a child process: nobody can be in sync before that is done.
const SOURCE_CPU: Row = Row {
    what: "… CPU of the source and its child",
    unit: "s",
    ratio: Ratio::Theirs,
    target: Target::None,
};

/// Both ways in which a Redis sends its data, and both data sets.
pub const CASES: &[Case] = &[
    Case {
        name: "import-diskless",
        summary: "strings of a redis-server, sent from its memory, until in sync",
        rows: &[
            seconds("import from redis-server, diskless"),
            CPU,
            SOURCE_CPU,
        ],
        rounds: Rounds::Half,
        needs: None,
        start: |kind, scale| start(kind, scale, Data::Strings, "yes"),
    },
    Case {
        name: "import-disk",
        summary: "the same, sent from a file that it writes first",
        rows: &[
            seconds("import from redis-server, from its disk"),
            CPU,
            SOURCE_CPU,
        ],
        rounds: Rounds::Half,
        needs: None,
        start: |kind, scale| start(kind, scale, Data::Strings, "no"),
    },
    Case {
        name: "import-mixed",
        summary: "strings and small collections of a redis-server, diskless",
        rows: &[seconds("import of mixed types, diskless"), CPU, SOURCE_CPU],
        rounds: Rounds::Half,
        needs: None,
        start: |kind, scale| start(kind, scale, Data::Mixed, "yes"),
    },
];

/// What the source has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// Keys of 16 B, values of 64 B.
    Strings,
    /// What [`mixed`] says.
    Mixed,
}

thread_local! {
    /// Both of a case, and all cases with this data, import from the same one.
    static SOURCE: RefCell<Option<(Data, Weak<Redis>)>> = const { RefCell::new(None) };
}

/// A server that has it; the one that is there, if there is one.
pub fn source(data: Data, keys: u64) -> io::Result<Rc<Redis>> {
    let found = SOURCE.with_borrow(|source| {
        let (of, source) = source.as_ref()?;
        source.upgrade().filter(|_| *of == data)
    });
    if let Some(source) = found {
        return Ok(source);
    }
    let options = ["--repl-diskless-sync-delay", "0"];
    let source = Rc::new(Redis::try_start(RedisVersion::V70, &options)?);
    match data {
        Data::Strings => Fill {
            keys: 0..keys,
            value_bytes: SMALL_BYTES,
            connections: 2,
        }
        .write(source.address())?,
        Data::Mixed => mixed::fill(source.address(), keys)?,
    }
    SOURCE.set(Some((data, Rc::downgrade(&source))));
    Ok(source)
}

fn start(kind: PeerKind, scale: Scale, data: Data, diskless: &'static str) -> io::Result<Round> {
    let source = source(data, scale.import_keys)?;
    Ok(Box::new(move || {
        let mut client = source.client();
        client.ok(&format!("CONFIG SET repl-diskless-sync {diskless}"));
        let replica = kind.start(THREADS)?;
        let source_before = cpu_seconds(source.pid());
        let (before, start) = (cpu_seconds(replica.pid()), Instant::now());
        follow(&mut replica.client(), source.address())?;
        let seconds = start.elapsed().as_secs_f64();
        let used = cpu_seconds(replica.pid()) - before;
        within(CHILD_DEADLINE, || {
            descendants(source.pid()).is_empty().then_some(())
        });
        let source_used = cpu_seconds(source.pid()) - source_before;
        let keys = replica.client().integer("DBSIZE");
        if keys != scale.import_keys as i64 {
            return Err(io::Error::other(format!("{keys} keys came")));
        }
        Ok(vec![seconds, used, source_used])
    }))
}
