//! What a case is, and how it is measured.

use std::io;

use damselfly_tests::machine::{self, pin};
use damselfly_tests::{Peer, PeerKind};

/// How much to do.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Small strings in the data set of a full sync.
    pub keys: u64,
    /// Strings that are imported from a Redis.
    pub import_keys: u64,
    /// Strings of 1 KB in the other one.
    pub big_keys: u64,
    /// Keys that the speed cases read and write.
    pub speed_keys: u64,
    /// Collections of five elements whose memory is measured; of bigger ones fewer.
    pub collections: u64,
    /// Requests of one round without pipeline; with it, [`PIPELINED`](Scale::PIPELINED) times as many.
    pub requests: u64,
    /// Rounds of a fast case; slow ones take half of that, rounded up.
    pub rounds: usize,
}

impl Scale {
    /// The scale of DESIGN 9.
    pub const FULL: Scale = Scale {
        keys: 2_000_000,
        import_keys: 5_000_000,
        big_keys: 300_000,
        speed_keys: 1_000_000,
        collections: 1_000_000,
        requests: 500_000,
        rounds: 5,
    };
    /// Whether everything works, not how fast.
    pub const QUICK: Scale = Scale {
        keys: 200_000,
        import_keys: 500_000,
        big_keys: 30_000,
        speed_keys: 100_000,
        collections: 50_000,
        requests: 100_000,
        rounds: 1,
    };
    /// How many times more requests a pipelined round takes.
    pub const PIPELINED: u64 = 6;
}

/// One round on one server: a number for each row of the case.
pub type Round = Box<dyn FnMut() -> io::Result<Vec<f64>>>;

/// Something measured on both servers.
pub struct Case {
    pub name: &'static str,
    pub summary: &'static str,
    pub rows: &'static [Row],
    pub rounds: Rounds,
    /// A command that ours must have for it; as long as it has not, the case is left out.
    pub needs: Option<&'static str>,
    /// Starts a server and fills it; the rounds follow.
    pub start: fn(PeerKind, Scale) -> io::Result<Round>,
}

/// How often a case is measured.
#[derive(Clone, Copy)]
pub enum Rounds {
    /// [`Scale::rounds`].
    All,
    /// Half of them, rounded up: a round takes long.
    Half,
    /// Every round would give the same.
    One,
}

/// A line of the table.
pub struct Row {
    pub what: &'static str,
    pub unit: &'static str,
    pub ratio: Ratio,
    pub target: Target,
}

/// Which way the last column is formed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ratio {
    /// Ours by theirs.
    Ours,
    /// Theirs by ours: how many times less of it ours takes.
    Theirs,
}

/// What DESIGN 9 asks for.
#[derive(Clone, Copy)]
pub enum Target {
    RatioAtLeast(f64),
    RatioAtMost(f64),
    OursAtMost(f64),
    /// For understanding only.
    None,
}

/// A measured row.
pub struct Outcome {
    pub row: &'static Row,
    pub redis: f64,
    pub ours: f64,
}

impl Outcome {
    pub fn ratio(&self) -> f64 {
        let (above, below) = match self.row.ratio {
            Ratio::Ours => (self.ours, self.redis),
            Ratio::Theirs => (self.redis, self.ours),
        };
        above / below
    }

    /// Whether the target is met, if there is one.
    pub fn is_met(&self) -> Option<bool> {
        match self.row.target {
            Target::RatioAtLeast(least) => Some(self.ratio() >= least),
            Target::RatioAtMost(most) => Some(self.ratio() <= most),
            Target::OursAtMost(most) => Some(self.ours <= most),
            Target::None => None,
        }
    }
}

impl Case {
    /// Ours is another server where the noise is asked for.
    pub fn measure(&'static self, scale: &Scale, ours: PeerKind) -> io::Result<Vec<Outcome>> {
        let kinds = [PeerKind::Redis, ours];
        let mut servers = [
            (self.start)(kinds[0], *scale)?,
            (self.start)(kinds[1], *scale)?,
        ];
        let mut values = [(); 2].map(|()| vec![Vec::new(); self.rows.len()]);
        for _ in 0..self.rounds(scale) {
            for (kind, (round, values)) in kinds.iter().zip(servers.iter_mut().zip(&mut values)) {
                let results = round()?;
                println!("    {:<10}{}", kind.name(), shown(self.rows, &results));
                for (row, result) in values.iter_mut().zip(results) {
                    row.push(result);
                }
            }
        }
        let rows = self.rows.iter().enumerate();
        Ok(rows
            .map(|(at, row)| Outcome {
                row,
                redis: median(&mut values[0][at]),
                ours: median(&mut values[1][at]),
            })
            .collect())
    }

    fn rounds(&self, scale: &Scale) -> usize {
        match self.rounds {
            Rounds::All => scale.rounds,
            Rounds::Half => scale.rounds.div_ceil(2),
            Rounds::One => 1,
        }
    }
}

fn shown(rows: &[Row], results: &[f64]) -> String {
    let items = rows.iter().zip(results);
    let items = items.map(|(row, value)| format!("{} {}", crate::report::number(*value), row.unit));
    items.collect::<Vec<_>>().join("   ")
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// The server's core in the one-core cases; the client has the next.
pub const SERVER_CORE: usize = 0;
/// The client's core in the one-core cases.
pub const CLIENT_CORE: usize = 1;

/// Starts a server with one thread on [`SERVER_CORE`].
pub fn on_one_core(kind: PeerKind) -> io::Result<Peer> {
    let server = kind.start(1)?;
    bind(server.pid(), SERVER_CORE)?;
    Ok(server)
}

/// Binds a process to a core, where there are two.
pub fn bind(pid: u32, core: usize) -> io::Result<()> {
    if machine::cores() < 2 {
        return Ok(());
    }
    pin(pid, &[core])
}
