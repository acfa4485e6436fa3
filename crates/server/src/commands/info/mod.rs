//! INFO: what monitors read. The numbers are gathered from all threads, then written section by section.

mod memory;
mod memory_command;
pub(crate) mod process;
pub(crate) mod report;
mod sections;
mod statistics;
mod text;

pub use memory_command::COMMANDS as MEMORY_COMMANDS;

use damselfly_engine::resp::ReplyWriter;
use damselfly_engine::session::AsyncResult;
use damselfly_engine::{Command, Flags, Group, Handler, Keys, Session};
use report::Report;
use text::Text;

/// Writes the fields of one section.
type Write = fn(&Report, &mut Text);

/// One section.
struct Section {
    /// Its headline; in any case, what selects it.
    title: &'static str,
    /// What selects it too.
    other_name: &'static str,
    /// Whether INFO without arguments shows it.
    default: bool,
    write: Write,
}

/// All sections, in Redis 7.0's order (`server.c`, `genRedisInfoString`).
#[rustfmt::skip]
static SECTIONS: &[Section] = &[
    section("Server", sections::server),
    section("Clients", sections::clients),
    section("Memory", memory::write),
    section("Persistence", sections::persistence),
    section("Stats", statistics::stats),
    section("Replication", sections::replication),
    section("CPU", sections::cpu),
    Section { other_name: "module_list", ..section("Modules", |_, _| {}) },
    Section { default: false, ..section("Commandstats", statistics::commands) },
    section("Errorstats", statistics::errors),
    Section { default: false, ..section("Latencystats", statistics::latencies) },
    section("Cluster", sections::cluster),
    section("Keyspace", sections::keyspace),
];

/// A section that is shown by default and has no name but its headline.
const fn section(title: &'static str, write: Write) -> Section {
    Section {
        title,
        other_name: "",
        default: true,
        write,
    }
}

impl Section {
    fn is_wanted(&self, wanted: &[&[u8]]) -> bool {
        let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        (wanted.is_empty() && self.default)
            || wanted.iter().any(|word| match word {
                _ if is(word, "all") || is(word, "everything") => true,
                _ if is(word, "default") => self.default,
                _ => {
                    is(word, self.title)
                        || (!self.other_name.is_empty() && is(word, self.other_name))
                }
            })
    }
}

fn info<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let wanted: Vec<_> = SECTIONS
            .iter()
            .filter(|section| section.is_wanted(&args[1..]))
            .collect();
        let report = Report::gather(session).await?;
        let mut text = Text::default();
        for section in wanted {
            text.title(section.title);
            (section.write)(&report, &mut text);
        }
        ReplyWriter::new(out, session.proto).verbatim(*b"txt", text.finish());
        Ok(())
    })
}

/// The row.
pub static COMMANDS: &[Command] = &[Command::new(
    "info",
    -1,
    Keys::None,
    Group::Server,
    "1.0.0",
    Handler::Async(info),
    "Figures about the server.",
)
.with(Flags::LOADING.or(Flags::STALE).or(Flags::DANGEROUS))
.hints("nondeterministic_output request_policy:all_shards response_policy:special")
.takes("[section...]")
.changes(&[("7.0.0", "Takes several sections.")])];
