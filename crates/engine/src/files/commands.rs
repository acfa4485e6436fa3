//! SAVE, BGSAVE, LASTSAVE, and what DEBUG RELOAD and DFLY LOAD do.

use super::error::FileError;
use super::load::{Replacement, replace};
use super::names::{FileSettings, Format, Source, Target};
use super::save::{Of, begin, save as save_to};
use crate::command::{Command, CommandError, CommandResult, Flags, Group, Handler, Keys};
use crate::engine::Role;
use crate::families::options::is_word;
use crate::session::{AsyncResult, Session};
use damselfly_resp::ReplyWriter;

impl From<FileError> for CommandError {
    fn from(error: FileError) -> CommandError {
        CommandError::owned(format!("ERR {error}"))
    }
}

/// `[DF|RDB] [name]`.
fn target(settings: &FileSettings, args: &[&[u8]]) -> Result<Target, CommandError> {
    let format = match args.first() {
        Some(word) if is_word(word, "df") => Some(Format::Shards),
        Some(word) if is_word(word, "rdb") => Some(Format::Rdb),
        Some(_) => return Err(CommandError::Syntax),
        None => None,
    };
    let name = match args.get(1..).unwrap_or_default() {
        [] => None,
        [name] => Some(std::str::from_utf8(name).map_err(|_| CommandError::Syntax)?),
        _ => return Err(CommandError::Syntax),
    };
    Ok(Target::new(settings, name, format)?)
}

fn save<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let target = target(&session.thread.engine.files.settings(), &args[1..])?;
        save_to(&session.thread, target).await?;
        ReplyWriter::new(out, session.proto).ok();
        Ok(())
    })
}

fn bgsave<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let args = match args.get(1) {
            Some(word) if is_word(word, "schedule") && args.len() == 2 => &[],
            _ => &args[1..],
        };
        let target = target(&session.thread.engine.files.settings(), args)?;
        let saving = begin(&session.thread, target, Of::Whole).await?;
        // How it ends is in the log and in INFO.
        tokio::task::spawn_local(saving.finish());
        ReplyWriter::new(out, session.proto).simple("Background saving started");
        Ok(())
    })
}

fn lastsave(session: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let engine = &session.thread.engine;
    let saved = engine.files.status().last_saved;
    out.integer(saved.unwrap_or(engine.started_at) / 1000);
    Ok(())
}

fn needs_primary(session: &Session) -> CommandResult {
    match session.thread.engine.role() {
        Role::Primary => Ok(()),
        Role::Replica => Err(CommandError::text(
            "ERR a replica's data comes from its primary; REPLICAOF NO ONE first",
        )),
    }
}

/// DEBUG RELOAD [NOSAVE] [NOFLUSH] [MERGE]: the data goes to files and comes back.
pub(crate) fn debug_reload<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let options = ReloadOptions::of(&args[2..])?;
        needs_primary(session)?;
        let settings = session.thread.engine.files.settings();
        let by = match options.saves {
            true => Replacement::Itself(target(&settings, &[])?),
            false => Replacement::File(newest(settings).await?),
        };
        replace(&session.thread, by, options.keeps).await?;
        ReplyWriter::new(out, session.proto).ok();
        Ok(())
    })
}

/// What DEBUG RELOAD does beside loading.
struct ReloadOptions {
    /// The data is saved first, and that is loaded; else what was saved last.
    saves: bool,
    /// What is there stays, except where the file has the key.
    keeps: bool,
}

impl ReloadOptions {
    fn of(words: &[&[u8]]) -> Result<ReloadOptions, CommandError> {
        const KNOWN: [&str; 3] = ["nosave", "noflush", "merge"];
        let is_known = |word: &&[u8]| KNOWN.iter().any(|known| is_word(word, known));
        if !words.iter().all(is_known) {
            return Err(CommandError::text(
                "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
            ));
        }
        let has = |known| words.iter().any(|word| is_word(word, known));
        if has("noflush") && !has("merge") {
            // Redis ends itself at the first key that is there already.
            return Err(CommandError::text(
                "ERR DEBUG RELOAD NOFLUSH needs MERGE here: keys of the file may be there already",
            ));
        }
        Ok(ReloadOptions {
            saves: !has("nosave"),
            keeps: has("noflush"),
        })
    }
}

/// The newest snapshot with the configured name.
async fn newest(settings: FileSettings) -> Result<Source, CommandError> {
    let found = super::load::blocking(move || Source::newest(&settings)).await?;
    found.ok_or(CommandError::text(
        "ERR there is no snapshot with the name of --dbfilename",
    ))
}

/// DFLY LOAD file: replaces the data by that of a file.
pub(crate) async fn dfly_load(
    session: &mut Session,
    args: &[&[u8]],
    out: &mut Vec<u8>,
) -> CommandResult {
    let [_, _, name] = args else {
        return Err(CommandError::Syntax);
    };
    needs_primary(session)?;
    if session.thread.engine.is_loading() {
        return Err(CommandError::text(
            "LOADING Redis is loading the dataset in memory",
        ));
    }
    let name = std::str::from_utf8(name).map_err(|_| CommandError::Syntax)?;
    let source = Source::named(&session.thread.engine.files.settings(), name);
    replace(&session.thread, Replacement::File(source), false).await?;
    ReplyWriter::new(out, session.proto).ok();
    Ok(())
}

/// The rows.
pub static COMMANDS: &[Command] = &[
    row(
        "save",
        -1,
        Handler::Async(save),
        "Saves the data set to files, and waits for it.",
    )
    .with(Flags::NO_MULTI)
    .takes("[format(format(DF|RDB) [name])]"),
    row(
        "bgsave",
        -1,
        Handler::Async(bgsave),
        "Saves the data set to files in the background.",
    )
    .takes("[how(SCHEDULE@3.2.2|format(format(DF|RDB) [name]))]"),
    Command::new(
        "lastsave",
        1,
        Keys::None,
        Group::Server,
        "1.0.0",
        Handler::Session(lastsave),
        "Tells when the data set was saved last.",
    )
    .with(
        Flags::LOADING
            .or(Flags::STALE)
            .or(Flags::FAST)
            .or(Flags::ACL_ADMIN),
    )
    .hints("nondeterministic_output"),
];

const fn row(name: &'static str, arity: i16, handler: Handler, summary: &'static str) -> Command {
    Command::new(
        name,
        arity,
        Keys::None,
        Group::Server,
        "1.0.0",
        handler,
        summary,
    )
    .with(
        Flags::ADMIN
            .or(Flags::NO_SCRIPT)
            .or(Flags::NO_ASYNC_LOADING),
    )
}
