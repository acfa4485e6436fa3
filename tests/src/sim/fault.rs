//! Bugs put in on purpose: the simulator has to find them.

/// A bug. Each is put in by the simulator's own glue (the wrapper of the data set, the network, the driver of REPLICAOF), or by
/// `damselfly-snapshot` with its feature `fault-injection`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A bucket that changes is not serialized before: its old entries are lost, or come after records that changed them.
    SkipBucket,
    /// Acks tell of records that have arrived, and are not executed yet.
    EarlyAck,
    /// A link resumes with one flow a record further than was executed.
    ResumeAhead,
    /// A link resumes with one flow a record before what was executed.
    ResumeBehind,
    /// A transaction over several shards is executed part by part.
    TornTransaction,
    /// Now and then a record is executed twice.
    ApplyTwice,
    /// Now and then a record is passed over.
    SkipRecord,
    /// `DFLY STARTSTABLE` goes out when the first flow has its cut.
    EarlyStable,
    /// REPLICAOF ends the old link before it has greeted the new primary.
    SwitchFirst,
    /// Writers don't wait for flows that are over their budget.
    NoBudget,
    /// A promoted replica lets every follower of the old history go on, whatever it has executed.
    GenerousFork,
    /// A replica lets a primary that comes back with nothing take its data.
    FollowBlank,
    /// The snapshots of the shards begin one after another, not at one point.
    SpreadCut,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 13] = [
        Fault::SkipBucket,
        Fault::EarlyAck,
        Fault::ResumeAhead,
        Fault::ResumeBehind,
        Fault::TornTransaction,
        Fault::ApplyTwice,
        Fault::SkipRecord,
        Fault::EarlyStable,
        Fault::SwitchFirst,
        Fault::NoBudget,
        Fault::GenerousFork,
        Fault::FollowBlank,
        Fault::SpreadCut,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Fault::SkipBucket => "skip-bucket",
            Fault::EarlyAck => "early-ack",
            Fault::ResumeAhead => "resume-ahead",
            Fault::ResumeBehind => "resume-behind",
            Fault::TornTransaction => "torn-transaction",
            Fault::ApplyTwice => "apply-twice",
            Fault::SkipRecord => "skip-record",
            Fault::EarlyStable => "early-stable",
            Fault::SwitchFirst => "switch-first",
            Fault::NoBudget => "no-budget",
            Fault::GenerousFork => "generous-fork",
            Fault::FollowBlank => "follow-blank",
            Fault::SpreadCut => "spread-cut",
        }
    }

    /// The fault of this name.
    pub fn parse(name: &str) -> Option<Fault> {
        Fault::ALL.into_iter().find(|fault| fault.name() == name)
    }
}
