//! XGROUP.

use super::ids;
use crate::command::{CommandError, CommandResult, echoed};
use crate::context::WriteContext;
use crate::families::options::{Words, integer, is_word};
use crate::keyspace::EventClass;
use crate::session::Session;
use damselfly_resp::ReplyWriter;
use damselfly_store::values::stream::{Stream, StreamId};

/// The error for a group that is not there, of commands that take the key's absence for the same.
pub(super) fn no_such_group(key: &[u8], group: &[u8], after: &str) -> CommandError {
    let (key, group) = (echoed(key, usize::MAX), echoed(group, usize::MAX));
    CommandError::Echo(
        [
            b"NOGROUP No such key '",
            key,
            b"' or consumer group '",
            group,
            b"'",
            after.as_bytes(),
        ]
        .concat(),
    )
}

/// The error for a group that is not there, where the key is.
pub(super) fn no_group_of_key(key: &[u8], group: &[u8]) -> CommandError {
    let (key, group) = (echoed(key, usize::MAX), echoed(group, usize::MAX));
    CommandError::Echo(
        [
            b"NOGROUP No such consumer group '",
            group,
            b"' for key name '",
            key,
            b"'",
        ]
        .concat(),
    )
}

/// The error for a subcommand with arguments that it does not take.
pub(super) fn wrong_subcommand(word: &[u8], container: &str) -> CommandError {
    /// Bytes of the word that are shown.
    const SHOWN: usize = 128;
    CommandError::echo(
        "ERR unknown subcommand or wrong number of arguments for '",
        echoed(word, SHOWN),
        &format!("'. Try {container} HELP."),
    )
}

/// The options of XGROUP CREATE and XGROUP SETID.
#[derive(Default)]
struct Options {
    makes: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(args: &[&[u8]], creates: bool, replays: bool) -> Result<Options, CommandError> {
        let mut options = Options::default();
        let mut words = Words::from(args, 5);
        while let Some(word) = words.next() {
            if creates && is_word(word, "MKSTREAM") {
                options.makes = true;
            } else if is_word(word, "ENTRIESREAD") && words.left() > 0 {
                options.entries_read = match integer(words.value()?)? {
                    -1 => None,
                    // A count that has wrapped comes from a primary.
                    read if read >= 0 || replays => Some(read.cast_unsigned()),
                    _ => {
                        return Err(CommandError::text(
                            "ERR value for ENTRIESREAD must be positive or -1",
                        ));
                    }
                };
            } else {
                return Err(wrong_subcommand(args[1], "XGROUP"));
            }
        }
        Ok(options)
    }
}

/// The stream of the key, which must be there.
fn stream_of<'a>(cx: &'a WriteContext<'_>, key: &[u8]) -> Result<&'a Stream, CommandError> {
    cx.typed::<Stream>(key)?.ok_or(CommandError::text(
        "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to \
         create an empty stream automatically.",
    ))
}

/// The stream of the key, which must have the group.
fn stream_with_group<'a>(
    cx: &'a WriteContext<'_>,
    key: &[u8],
    group: &[u8],
) -> Result<&'a Stream, CommandError> {
    let stream = stream_of(cx, key)?;
    match stream.group(group) {
        Some(_) => Ok(stream),
        None => Err(no_group_of_key(key, group)),
    }
}

pub(super) fn create(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    /// Arguments with all options.
    const MOST: usize = 8;
    let (key, name) = (args[2], args[3]);
    let options = Options::parse(args, true, cx.replays)?;
    let stream = if options.makes {
        cx.typed::<Stream>(key)?
    } else {
        Some(stream_of(cx, key)?)
    };
    if args.len() > MOST {
        return Err(wrong_subcommand(args[1], "XGROUP"));
    }
    let id = match args[4] {
        b"$" => stream.map_or(StreamId::MIN, |stream| stream.last_id()),
        id => ids::exact(id)?,
    };
    if stream.is_some_and(|stream| stream.group(name).is_some()) {
        return Err(CommandError::text(
            "BUSYGROUP Consumer Group name already exists",
        ));
    }
    let is_new = stream.is_none();
    cx.typed_or_create::<Stream>(key)?
        .create_group(name, id, options.entries_read);
    if is_new {
        cx.modified(EventClass::Stream, "xgroup-create", key);
    } else {
        cx.modified_unwatched(key);
        cx.notify(EventClass::Stream, "xgroup-create", key);
    }
    out.ok();
    Ok(())
}

pub(super) fn setid(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    /// Arguments with all options.
    const MOST: usize = 7;
    let (key, name) = (args[2], args[3]);
    let options = Options::parse(args, false, cx.replays)?;
    let stream = stream_with_group(cx, key, name)?;
    if args.len() > MOST {
        return Err(wrong_subcommand(args[1], "XGROUP"));
    }
    let id = match args[4] {
        b"$" => stream.last_id(),
        id => ids::any(id, 0)?,
    };
    if let Some(mut stream) = cx.typed_mut::<Stream>(key)?
        && let Some(mut group) = stream.group_mut(name)
    {
        group.set_last_id(id);
        group.set_entries_read(options.entries_read);
    }
    cx.modified_unwatched(key);
    cx.notify(EventClass::Stream, "xgroup-setid", key);
    out.ok();
    Ok(())
}

pub(super) fn destroy(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (key, name) = (args[2], args[3]);
    let there = stream_of(cx, key)?.group(name).is_some();
    if there {
        if let Some(mut stream) = cx.typed_mut::<Stream>(key)? {
            stream.remove_group(name);
        }
        cx.modified_unwatched(key);
        cx.notify(EventClass::Stream, "xgroup-destroy", key);
        cx.wake(key);
    }
    out.integer(there.into());
    Ok(())
}

pub(super) fn create_consumer(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (key, name, now) = (args[2], args[3], cx.now());
    stream_with_group(cx, key, name)?;
    let created = match cx.typed_mut::<Stream>(key)? {
        Some(mut stream) => stream
            .group_mut(name)
            .and_then(|mut group| group.create_consumer(args[4], now))
            .is_some(),
        None => false,
    };
    if created {
        cx.modified_unwatched(key);
        cx.notify(EventClass::Stream, "xgroup-createconsumer", key);
    }
    out.integer(created.into());
    Ok(())
}

pub(super) fn delete_consumer(
    cx: &mut WriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (key, name) = (args[2], args[3]);
    stream_with_group(cx, key, name)?;
    let pending = match cx.typed_mut::<Stream>(key)? {
        Some(mut stream) => stream
            .group_mut(name)
            .and_then(|mut group| group.remove_consumer(args[4])),
        None => None,
    };
    if pending.is_some() {
        cx.modified_unwatched(key);
        cx.notify(EventClass::Stream, "xgroup-delconsumer", key);
    }
    out.integer(pending.unwrap_or(0) as i64);
    Ok(())
}

const HELP: &[&str] = &[
    "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CREATE <key> <groupname> <id|$> [option]",
    "    Create a new consumer group. Options are:",
    "    * MKSTREAM",
    "      Create the empty stream if it does not exist.",
    "    * ENTRIESREAD entries_read",
    "      Set the group's entries_read counter (internal use).",
    "CREATECONSUMER <key> <groupname> <consumer>",
    "    Create a new consumer in the specified group.",
    "DELCONSUMER <key> <groupname> <consumer>",
    "    Remove the specified consumer.",
    "DESTROY <key> <groupname>",
    "    Remove the specified group.",
    "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
    "    Set the current group ID and entries_read counter.",
    "HELP",
    "    Prints this help.",
];

pub(super) fn help(_: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    out.array(HELP.len());
    HELP.iter().for_each(|line| out.simple(line));
    Ok(())
}
