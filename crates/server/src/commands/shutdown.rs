//! SHUTDOWN: ends the server as SIGTERM does.

use crate::service::SessionHost;
use crate::snapshots::AtEnd;
use damselfly_engine::families::options::is_word;
use damselfly_engine::session::AsyncResult;
use damselfly_engine::{
    Command, CommandError, CommandResult, Flags, Group, Handler, Keys, Session,
};

/// The options of SHUTDOWN (Redis 7.0, `db.c`, `shutdownCommand`).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Options {
    save: bool,
    no_save: bool,
    now: bool,
    force: bool,
    abort: bool,
}

impl Options {
    fn parse(words: &[&[u8]]) -> Result<Options, CommandError> {
        let mut options = Options::default();
        for word in words {
            match word {
                _ if is_word(word, "nosave") => options.no_save = true,
                _ if is_word(word, "save") => options.save = true,
                _ if is_word(word, "now") => options.now = true,
                _ if is_word(word, "force") => options.force = true,
                _ if is_word(word, "abort") => options.abort = true,
                _ => return Err(CommandError::Syntax),
            }
        }
        let more_than_abort = options.abort
            && options
                != (Options {
                    abort: true,
                    ..Options::default()
                });
        if more_than_abort || (options.save && options.no_save) {
            Err(CommandError::Syntax)
        } else {
            Ok(options)
        }
    }
}

fn shutdown<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    _: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(end(session, args))
}

async fn end(session: &mut Session, args: &[&[u8]]) -> CommandResult {
    let options = Options::parse(&args[1..])?;
    if options.abort {
        return Err(CommandError::text("ERR No shutdown in progress."));
    }
    let at_end = match options {
        Options { no_save: true, .. } => AtEnd::NoSave,
        Options { save: true, .. } => AtEnd::Save,
        _ => AtEnd::AsConfigured,
    };
    tracing::info!(id = session.id, "SHUTDOWN");
    if let Err(error) = at_end.run(&session.thread).await
        && !options.force
    {
        tracing::error!(%error, "not shut down, because saving failed");
        return Err(CommandError::text(
            "ERR Errors trying to SHUTDOWN. Check logs.",
        ));
    }
    let host = session.host.downcast_ref::<SessionHost>();
    let stop = host.map_or(session.thread.engine.stop_token(), |host| {
        &host.server.shared.stop
    });
    stop.cancel();
    session.close = true;
    Ok(())
}

/// The row.
pub static COMMANDS: &[Command] = &[Command::new(
    "shutdown",
    -1,
    Keys::None,
    Group::Server,
    "1.0.0",
    Handler::Async(shutdown),
    "Ends the server.",
)
.with(
    Flags::ADMIN
        .or(Flags::NO_SCRIPT)
        .or(Flags::LOADING)
        .or(Flags::STALE)
        .or(Flags::NO_MULTI)
        .or(Flags::ALLOW_BUSY),
)
.takes("[nosave_save(NOSAVE|SAVE)] [NOW@7.0.0] [FORCE@7.0.0] [ABORT@7.0.0]")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        let parse = |words: &str| {
            Options::parse(
                &words
                    .split_whitespace()
                    .map(str::as_bytes)
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            parse("nosave NOW").unwrap(),
            Options {
                no_save: true,
                now: true,
                ..Options::default()
            }
        );
        assert!(parse("abort").unwrap().abort && parse("").is_ok());
        for words in ["save nosave", "abort now", "later"] {
            assert_eq!(parse(words), Err(CommandError::Syntax), "{words}");
        }
    }
}
