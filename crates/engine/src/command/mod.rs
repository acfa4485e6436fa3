//! The command table: one [`Command`] row per command; everything else that is
//! known of a command derives from its row.

mod blocks;
mod channels;
mod describe;
mod error;
mod group;
mod keys;
mod syntax;
mod table;
mod uses;

pub use blocks::{Blocks, Found, Nil, OnlyKey, Wait, WaitKeys};
pub use channels::{ChannelUse, Channels};
pub use describe::KeySpec;
pub use error::CommandError;
pub(crate) use error::echoed;
pub use group::Group;
pub use keys::{KeyPositions, Keys};
pub use syntax::{Argument, ArgumentKind};
pub use table::CommandTable;
pub use uses::{Hidden, KeyUse, REDACTED};

use crate::context::{ReadContext, RewriteContext, WriteContext};
use crate::families::scripting::ScriptKind;
use crate::pubsub::Space;
use crate::session::{AsyncHandler, Chain, LibraryHandler, SessionHandler};
use damselfly_resp::ReplyWriter;

/// What a handler returns; the reply itself has been written to the writer.
pub type CommandResult = Result<(), CommandError>;

/// A handler that only reads.
pub type ReadHandler = fn(&mut ReadContext<'_>, &[&[u8]], &mut ReplyWriter<'_>) -> CommandResult;
/// A handler whose command line is its own effect.
pub type WriteHandler = fn(&mut WriteContext<'_>, &[&[u8]], &mut ReplyWriter<'_>) -> CommandResult;
/// A handler that says what its effects are.
pub type RewriteHandler =
    fn(&mut RewriteContext<'_>, &[&[u8]], &mut ReplyWriter<'_>) -> CommandResult;

/// The kind of a command. It fixes mutability and journalling, so that the two can't disagree.
#[derive(Clone, Copy)]
pub enum Handler {
    /// Never journalled.
    Read(ReadHandler),
    /// Journalled as it came, when it changed something.
    Write(WriteHandler),
    /// Journalled as the effects that the handler returns.
    Rewrite(RewriteHandler),
    /// Touches every shard in one transaction, ordered against everything; journalled on all of them as it came.
    Global(WriteHandler),
    /// Runs on the connection, at once.
    Session(SessionHandler),
    /// Runs on the connection and may wait for others.
    Async(AsyncHandler),
    /// Sends its second argument to the subscribers of its first. Journalled on shard 0 as it came, though it changes nothing.
    Publish(Space),
    /// Runs a script, whose own commands are journalled.
    Script(ScriptKind),
    /// Changes the libraries of functions in a transaction over all shards; journalled on all of them as it came.
    Library(LibraryHandler),
}

/// How a command runs when its keys live on several shards.
#[derive(Clone, Copy)]
pub enum Spread {
    /// The values of all keys are gathered, the handler runs on them as if they were one shard, and what changed goes back.
    Gather,
    /// As [`Spread::Gather`], for a command that looks at its keys in other databases too.
    GatherAll,
    /// As [`Spread::Gather`], for a command that may look at keys that it doesn't name.
    Follow(Follow),
    /// It runs as a few other commands, each on one shard.
    Chain(Chain),
    /// It runs for one key after another, in the order of the arguments. (Its row says how it blocks, and so what it is for one key.)
    KeyByKey(Found),
    /// Every shard runs the command with its own keys; the replies are merged.
    Split(Merge),
    /// Every shard runs the command as it stands (no keys); the replies are merged.
    All(Merge),
}

/// Says why a script may not run a command line.
pub type ScriptCheck = fn(&[&[u8]]) -> Result<(), CommandError>;

/// Says what a command line does to its first key, in the words of [`Command::access`].
pub type LineAccess = fn(&[&[u8]]) -> &'static str;

/// How a command looks at keys that it doesn't name. Where it does, it is a transaction over all shards, ordered against
/// everything: nobody knows what to lock before the values are seen.
#[derive(Clone, Copy)]
pub struct Follow {
    /// Whether this command line does.
    pub looks_further: fn(&[&[u8]]) -> bool,
    /// Which keys these are; each round may look at the values of those before.
    pub rounds: &'static [FollowRound],
    /// What a user is told who may not read every key, where this command line asks for other keys.
    pub refuses: fn(&[&[u8]]) -> Option<CommandError>,
}

/// Tells keys that a command line looks at, given the values that are known so far.
pub type FollowRound = fn(&ReadContext<'_>, &[&[u8]]) -> Vec<Vec<u8>>;

/// How the replies of the shards become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Integers are added.
    Sum,
    /// All answer the same; one stands for all.
    Same,
    /// Arrays, one element for each key, are laid out in the order of the keys.
    ByKey,
    /// Arrays are appended to each other.
    Append,
}

/// What can't be derived from the kind of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    /// Takes constant or logarithmic time.
    pub const FAST: Flags = Flags(1);
    /// May grow memory: refused over `maxmemory`.
    pub const DENY_OOM: Flags = Flags(2);
    /// For administrators.
    pub const ADMIN: Flags = Flags(4);
    /// Not allowed in scripts.
    pub const NO_SCRIPT: Flags = Flags(8);
    /// Answers while the data set is being loaded.
    pub const LOADING: Flags = Flags(16);
    /// Answers on a replica that has lost its primary, when stale reads are refused.
    pub const STALE: Flags = Flags(32);
    /// Not allowed, or not queued, inside MULTI.
    pub const NO_MULTI: Flags = Flags(64);
    /// Needs no authentication.
    pub const NO_AUTH: Flags = Flags(128);
    /// Not counted in the slow log and MONITOR.
    pub const SKIP_MONITOR: Flags = Flags(256);
    /// Dangerous to run without thought (ACL category).
    pub const DANGEROUS: Flags = Flags(512);
    /// Runs at once inside MULTI instead of being queued.
    pub const UNQUEUED: Flags = Flags(1024);
    /// Only the server's own replication sends it: not for clients.
    pub const INTERNAL: Flags = Flags(2048);
    /// Answers while a script runs for too long.
    pub const ALLOW_BUSY: Flags = Flags(4096);
    /// In the ACL category of administration without being for administrators alone.
    pub const ACL_ADMIN: Flags = Flags(1 << 13);
    /// In the ACL category of connections without being of that family.
    pub const ACL_CONNECTION: Flags = Flags(1 << 14);
    /// Not allowed while a data set is loaded beside the old one.
    pub const NO_ASYNC_LOADING: Flags = Flags(1 << 15);
    /// In the ACL category of the keyspace without being of that family.
    pub const ACL_KEYSPACE: Flags = Flags(1 << 16);
    /// Reads the data set, though its handler runs on the connection.
    pub const READS: Flags = Flags(1 << 17);
    /// Changes the data set, though its handler runs on the connection.
    pub const WRITES: Flags = Flags(1 << 24);
    /// Ends the transaction that is being queued, even when it is refused itself.
    pub const ENDS_MULTI: Flags = Flags(1 << 18);
    /// A container whose own handler gets what fits none of its subcommands.
    pub const LOOSE_SUBCOMMANDS: Flags = Flags(1 << 19);
    /// In the ACL categories of lists, sets and sorted sets, and not in that of its family.
    pub const ACL_COLLECTIONS: Flags = Flags(1 << 20);

    /// Of publish/subscribe.
    pub const PUBSUB: Flags = Flags(1 << 21);
    /// Allowed to a client of RESP2 that subscribes to something.
    pub const IN_SUBSCRIPTION: Flags = Flags(1 << 22);
    /// Dragonfly's, whose versions its `since` counts; Redis 7.0 has none of this name.
    pub const DRAGONFLY: Flags = Flags(1 << 26);

    /// A command of CLIENT: what CLIENT CACHING says is not for it.
    pub const OF_CLIENT: Flags = Flags(1 << 23);

    /// Counts as a write where writes are paused or forbidden, though it reads.
    pub const MAY_REPLICATE: Flags = Flags(1 << 27);
    /// For servers and those who work on them, not for programs.
    pub const SYSTEM: Flags = Flags(1 << 28);

    /// Whether all of `other` are set.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets.
    pub const fn or(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// One row of the command table.
pub struct Command {
    /// Name in lower case; a subcommand's is its own word.
    pub name: &'static str,
    /// Number of arguments with the command; negative: at least so many.
    pub arity: i16,
    /// Where the keys stand.
    pub keys: Keys,
    /// What the kind does not say.
    pub flags: Flags,
    /// Family.
    pub group: Group,
    /// Redis version that has it first.
    pub since: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Which arguments it takes, in the notation of [`Argument`]; see [`Command::arguments`].
    pub takes: &'static str,
    /// What changed about it, version by version, beyond the arguments that came later; see [`Command::history`].
    pub changes: &'static [(&'static str, &'static str)],
    /// Since when it is better not used, and what is to be used in its place.
    pub replaced: Option<(&'static str, &'static str)>,
    /// What runs.
    pub handler: Handler,
    /// How it runs over several shards.
    pub spread: Spread,
    /// What it does to its keys, where that is not what its kind says; see [`Command::access`].
    pub access: &'static str,
    /// What it does to its keys, where that depends on its arguments; see [`Command::uses`].
    pub line_access: Option<LineAccess>,
    /// Arguments that nobody but the server may see.
    pub hidden: Hidden,
    /// Hints for clients, where they are not what the spread says; see [`Command::hints`].
    pub hints: &'static str,
    /// How it waits when it finds nothing, if it can.
    pub blocks: Option<Blocks>,
    /// What of it scripts may not do, where they may run it otherwise.
    pub in_scripts: Option<ScriptCheck>,
    /// Where it names channels, if it does.
    pub channels: Option<Channels>,
    /// Subcommands, if it is a container.
    pub subcommands: &'static [Command],
}

impl Command {
    /// A row with the usual defaults.
    pub const fn new(
        name: &'static str,
        arity: i16,
        keys: Keys,
        group: Group,
        since: &'static str,
        handler: Handler,
        summary: &'static str,
    ) -> Command {
        Command {
            name,
            arity,
            keys,
            flags: Flags(0),
            group,
            since,
            summary,
            takes: "",
            changes: &[],
            replaced: None,
            handler,
            spread: Spread::Gather,
            access: "",
            line_access: None,
            hidden: Hidden::Nothing,
            hints: "",
            blocks: None,
            in_scripts: None,
            channels: None,
            subcommands: &[],
        }
    }

    /// With these flags as well.
    pub const fn with(mut self, flags: Flags) -> Command {
        self.flags = self.flags.or(flags);
        self
    }

    /// With arguments, in the notation of [`Argument`].
    pub const fn takes(mut self, arguments: &'static str) -> Command {
        self.takes = arguments;
        self
    }

    /// With what changed about it.
    pub const fn changes(mut self, changes: &'static [(&'static str, &'static str)]) -> Command {
        self.changes = changes;
        self
    }

    /// A command that is better not used since this version, and what is to be used in its place.
    pub const fn replaced(mut self, since: &'static str, by: &'static str) -> Command {
        self.replaced = Some((since, by));
        self
    }

    /// With another way over several shards.
    pub const fn spread(mut self, spread: Spread) -> Command {
        self.spread = spread;
        self
    }

    /// With what it does to its keys, in the words of Redis's key specifications (`RW`, `access`, `update`, …) with blanks
    /// between them; where the first key differs from the others, a semicolon parts the two.
    pub const fn access(mut self, access: &'static str) -> Command {
        self.access = access;
        self
    }

    /// With what a command line of it does to its keys, in the same words.
    pub const fn line_access(mut self, access: LineAccess) -> Command {
        self.line_access = Some(access);
        self
    }

    /// With secrets among its arguments.
    pub const fn hides(mut self, hidden: Hidden) -> Command {
        self.hidden = hidden;
        self
    }

    /// With a check of what scripts give it.
    pub const fn in_scripts(mut self, check: ScriptCheck) -> Command {
        self.in_scripts = Some(check);
        self
    }

    /// With hints for clients that speak to several servers (Redis's "command tips"), with blanks between them.
    pub const fn hints(mut self, hints: &'static str) -> Command {
        self.hints = hints;
        self
    }

    /// A command that can wait.
    pub const fn blocks(mut self, blocks: Blocks) -> Command {
        self.blocks = Some(blocks);
        self
    }

    /// A command that names channels.
    pub const fn channels(mut self, channels: Channels) -> Command {
        self.channels = Some(channels);
        self
    }

    /// A container of subcommands.
    pub const fn container(mut self, subcommands: &'static [Command]) -> Command {
        self.subcommands = subcommands;
        self
    }

    /// Whether it can change data.
    pub fn is_write(&self) -> bool {
        matches!(
            self.handler,
            Handler::Write(_) | Handler::Rewrite(_) | Handler::Global(_) | Handler::Library(_)
        ) || self.flags.has(Flags::WRITES)
    }

    /// Whether replicas may be told of it: it waits while writes are paused, and is none for scripts that only read.
    pub fn may_replicate(&self) -> bool {
        self.is_write() || self.publishes().is_some() || self.flags.has(Flags::MAY_REPLICATE)
    }

    /// Whether it may grow memory, and so is refused over `maxmemory`.
    pub fn grows(&self) -> bool {
        self.flags.has(Flags::DENY_OOM)
    }

    /// Whether it looks at its keys in other databases than the connection's.
    pub fn reaches_other_databases(&self) -> bool {
        matches!(self.spread, Spread::GatherAll)
    }

    /// Whether this line of it looks at keys that it doesn't name.
    pub fn looks_further(&self, args: &[&[u8]]) -> bool {
        match self.spread {
            Spread::Follow(follow) => (follow.looks_further)(args),
            _ => false,
        }
    }

    /// What a user who may not read every key is told of this line of it.
    pub fn refuses(&self, args: &[&[u8]]) -> Option<CommandError> {
        match self.spread {
            Spread::Follow(follow) => (follow.refuses)(args),
            _ => None,
        }
    }

    /// Whether it runs on shards at all.
    pub fn is_data(&self) -> bool {
        !matches!(
            self.handler,
            Handler::Session(_) | Handler::Async(_) | Handler::Publish(_) | Handler::Script(_)
        )
    }

    /// Where it publishes, if that is what it does.
    pub fn publishes(&self) -> Option<Space> {
        match self.handler {
            Handler::Publish(space) => Some(space),
            _ => None,
        }
    }

    /// How it changes the libraries of functions, if that is what it does.
    pub fn changes_libraries(&self) -> Option<LibraryHandler> {
        match self.handler {
            Handler::Library(handler) => Some(handler),
            _ => None,
        }
    }

    /// Whether it runs a script.
    pub fn is_script(&self) -> bool {
        matches!(self.handler, Handler::Script(_))
    }

    /// Whether `count` arguments (with the command itself) fit the arity.
    pub fn accepts(&self, count: usize) -> bool {
        let count = count as i64;
        let arity = i64::from(self.arity);
        if arity >= 0 {
            count == arity
        } else {
            count >= -arity
        }
    }
}
