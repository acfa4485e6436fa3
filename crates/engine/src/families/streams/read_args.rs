//! The arguments of XREAD and XREADGROUP.

use crate::command::{Blocks, CommandError, KeyPositions, Nil, Wait, WaitKeys};
use crate::families::options::{integer, is_word, timeout_ms};
use damselfly_store::Kind;

/// What is read at most from a stream for a client that has waited, where it does not say.
const SERVED_COUNT: usize = 1000;

/// Which of the two commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    Group,
}

/// How long a client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    No,
    /// For so many milliseconds; for ever where none are given.
    For(Option<u64>),
}

/// The arguments of XREAD and XREADGROUP.
#[derive(Debug)]
pub(super) struct ReadArgs<'a> {
    block: Block,
    /// Entries of each stream at most; 0: all.
    count: usize,
    pub(super) no_ack: bool,
    group: Option<[&'a [u8]; 2]>,
    /// Index of the first key.
    pub(super) first: usize,
    pub(super) keys: &'a [&'a [u8]],
    /// The id for each key.
    pub(super) ids: &'a [&'a [u8]],
}

impl<'a> ReadArgs<'a> {
    const NONE: ReadArgs<'static> = ReadArgs {
        block: Block::No,
        count: 0,
        no_ack: false,
        group: None,
        first: 0,
        keys: &[],
        ids: &[],
    };

    pub(super) fn parse(args: &'a [&'a [u8]], form: Form) -> Result<ReadArgs<'a>, CommandError> {
        let mut parsed = ReadArgs::NONE;
        let mut at = 1;
        while at < args.len() && parsed.first == 0 {
            at += parsed.take(args, at, form)?;
        }
        if parsed.first == 0 {
            return Err(CommandError::Syntax);
        }
        if form == Form::Group && parsed.group.is_none() {
            return Err(CommandError::text(
                "ERR Missing GROUP option for XREADGROUP",
            ));
        }
        Ok(parsed)
    }

    /// A script may not wait. (What else is wrong is told when the command runs.)
    fn check_script(args: &'a [&'a [u8]], form: Form) -> Result<(), CommandError> {
        let (mut parsed, mut at) = (ReadArgs::NONE, 1);
        while at < args.len() && parsed.first == 0 {
            if is_word(args[at], "BLOCK") && at + 1 < args.len() {
                let why = " command is not allowed with BLOCK option from scripts";
                return Err(CommandError::echo("ERR ", args[0], why));
            }
            let Ok(taken) = parsed.take(args, at, form) else {
                break;
            };
            at += taken;
        }
        Ok(())
    }

    /// Reads the option at `at`. How many arguments it takes.
    fn take(&mut self, args: &'a [&'a [u8]], at: usize, form: Form) -> Result<usize, CommandError> {
        match args[at..] {
            [word, timeout, ..] if is_word(word, "BLOCK") => {
                self.block = Block::For(timeout_ms(timeout)?);
                Ok(2)
            }
            [word, count, ..] if is_word(word, "COUNT") => {
                self.count = integer(count)?.max(0) as usize;
                Ok(2)
            }
            [word, _, ..] if is_word(word, "STREAMS") => {
                self.take_streams(args, at + 1)?;
                Ok(1)
            }
            [word, group, consumer, ..] if is_word(word, "GROUP") => {
                only_of_groups(form, "GROUP")?;
                self.group = Some([group, consumer]);
                Ok(3)
            }
            [word, ..] if is_word(word, "NOACK") => {
                only_of_groups(form, "NOACK")?;
                self.no_ack = true;
                Ok(1)
            }
            _ => Err(CommandError::Syntax),
        }
    }

    fn take_streams(&mut self, args: &'a [&'a [u8]], first: usize) -> Result<(), CommandError> {
        let streams = &args[first..];
        if !streams.len().is_multiple_of(2) {
            // Redis's words for XREADGROUP, too.
            return Err(CommandError::text(
                "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
            ));
        }
        (self.keys, self.ids) = streams.split_at(streams.len() / 2);
        self.first = first;
        Ok(())
    }

    /// Nothing has been found: the client waits, if it asks for that. `None`: it does not.
    pub(super) fn wait(&self, args: Option<Vec<Vec<u8>>>) -> Option<CommandError> {
        let Block::For(timeout_ms) = self.block else {
            return None;
        };
        Some(CommandError::wait(Wait {
            timeout_ms,
            args,
            nil: Nil::Array,
        }))
    }

    /// The group and the consumer.
    pub(super) fn group(&self) -> [&'a [u8]; 2] {
        self.group.unwrap_or_default()
    }

    /// Keys with their ids.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.keys.iter().copied().zip(self.ids.iter().copied())
    }

    /// Entries of each stream at most; 0: all.
    pub(super) fn count(&self, is_served: bool) -> usize {
        match self.count {
            0 if is_served => SERVED_COUNT,
            count => count,
        }
    }
}

fn only_of_groups(form: Form, option: &str) -> Result<(), CommandError> {
    if form == Form::Group {
        return Ok(());
    }
    Err(CommandError::owned(format!(
        "ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."
    )))
}

/// Where the keys of XREAD stand.
pub(super) fn keys_of_xread(args: &[&[u8]]) -> Result<KeyPositions, CommandError> {
    positions(args, Form::Plain)
}

/// Where the keys of XREADGROUP stand.
pub(super) fn keys_of_xreadgroup(args: &[&[u8]]) -> Result<KeyPositions, CommandError> {
    positions(args, Form::Group)
}

fn positions(args: &[&[u8]], form: Form) -> Result<KeyPositions, CommandError> {
    let read = ReadArgs::parse(args, form)?;
    let first = read.first as u32;
    Ok((first..first + read.keys.len() as u32).collect())
}

/// How XREAD waits.
pub(super) const READ: Blocks = Blocks {
    on: Kind::Stream,
    keys: WaitKeys::All,
    only: |args, at| only(args, at, Form::Plain),
    gone: false,
    check: None,
};

/// The command line for one stream alone, whose key stands at `at`. (A key may be called `STREAMS`, too.)
pub(super) fn only(args: &[&[u8]], at: usize, form: Form) -> Vec<Vec<u8>> {
    let first = ReadArgs::parse(args, form).map_or(at, |read| read.first);
    let keys = (args.len() - first) / 2;
    args[..first]
        .iter()
        .chain([&args[at], &args[at + keys]])
        .map(|arg| arg.to_vec())
        .collect()
}

/// What scripts may not do with XREAD.
pub(super) fn xread_in_script(args: &[&[u8]]) -> Result<(), CommandError> {
    ReadArgs::check_script(args, Form::Plain)
}

/// What scripts may not do with XREADGROUP.
pub(super) fn xreadgroup_in_script(args: &[&[u8]]) -> Result<(), CommandError> {
    ReadArgs::check_script(args, Form::Group)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<&[u8]> {
        line.split(' ').map(str::as_bytes).collect()
    }

    #[test]
    fn keys_are_behind_the_options() {
        let at = |line, form| positions(&words(line), form).map(|keys| keys.to_vec());
        assert_eq!(at("XREAD STREAMS a 0", Form::Plain), Ok(vec![2]));
        assert_eq!(
            at("XREAD COUNT 2 streams a b 0 $", Form::Plain),
            Ok(vec![4, 5])
        );
        assert_eq!(
            at("XREADGROUP GROUP streams c STREAMS streams >", Form::Group),
            Ok(vec![5])
        );
        for line in [
            "XREAD STREAMS a b 0",
            "XREAD COUNT x STREAMS a 0",
            "XREAD a b c",
        ] {
            assert!(at(line, Form::Plain).is_err(), "{line}");
        }
    }

    #[test]
    fn one_stream_of_several() {
        let line = words("XREAD BLOCK 0 STREAMS a streams c 1 2 3");
        for (at, expected) in [
            (4, "XREAD BLOCK 0 STREAMS a 1"),
            (5, "XREAD BLOCK 0 STREAMS streams 2"),
            (6, "XREAD BLOCK 0 STREAMS c 3"),
        ] {
            assert_eq!(only(&line, at, Form::Plain), words(expected), "{at}");
        }
        let line = words("XREADGROUP GROUP streams c STREAMS streams b > 0");
        let expected = words("XREADGROUP GROUP streams c STREAMS b 0");
        assert_eq!(only(&line, 6, Form::Group), expected);
    }
}
