//! SHUTDOWN: ends the server as SIGTERM does.

use crate::service::SessionHost;
use damselfly_engine::families::options::is_word;
use damselfly_engine::resp::ReplyWriter;
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

fn shutdown(session: &mut Session, args: &[&[u8]], _: &mut ReplyWriter<'_>) -> CommandResult {
    let options = Options::parse(&args[1..])?;
    if options.abort {
        return Err(CommandError::text("ERR No shutdown in progress."));
    }
    let host = session.host.downcast_ref::<SessionHost>();
    let stop = host.map_or(session.thread.engine.stop_token(), |host| {
        &host.server.shared.stop
    });
    if options.save && !options.force {
        // This version writes no snapshot to a file: what was asked for can't be done.
        tracing::error!("SHUTDOWN SAVE: saving to a file is not supported by this version");
        return Err(CommandError::text(
            "ERR Errors trying to SHUTDOWN. Check logs.",
        ));
    }
    tracing::info!(id = session.id, "SHUTDOWN");
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
    Handler::Session(shutdown),
    "Ends the server.",
)
.with(
    Flags::ADMIN
        .or(Flags::NO_SCRIPT)
        .or(Flags::LOADING)
        .or(Flags::STALE)
        .or(Flags::NO_MULTI)
        .or(Flags::ALLOW_BUSY),
)];

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
