//! COMMAND: the command table, told to clients.

use super::{EASY, docs, row};
use crate::command::{
    Command, CommandError, CommandResult, CommandTable, Flags, Handler, KeyPositions, KeySpec, Keys,
};
use crate::families::glob::Glob;
use crate::families::options::is_word;
use crate::session::Session;
use damselfly_resp::ReplyWriter;

/// COMMAND without a subcommand.
pub(super) fn all(session: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let rows = session.thread.engine.table.rows();
    out.array(rows.len());
    rows.iter().for_each(|row| write_info(None, row, out));
    Ok(())
}

fn count(session: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    out.integer(session.thread.engine.table.rows().len() as i64);
    Ok(())
}

fn info(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    if args.len() == 2 {
        return all(session, args, out);
    }
    out.array(args.len() - 2);
    for name in &args[2..] {
        match find(&session.thread.engine.table, name) {
            Some((parent, row)) => write_info(parent, row, out),
            None => out.null(),
        }
    }
    Ok(())
}

fn documented(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let table = &session.thread.engine.table;
    let found: Vec<_> = if args.len() == 2 {
        table.rows().iter().map(|row| (None, *row)).collect()
    } else {
        args[2..]
            .iter()
            .filter_map(|name| find(table, name))
            .collect()
    };
    out.map(found.len());
    found
        .iter()
        .for_each(|(parent, row)| docs::write(&full_name(*parent, row), row, out));
    Ok(())
}

/// A command by its name, `container|subcommand` for one inside a container, with that container.
fn find(table: &CommandTable, name: &[u8]) -> Option<(Option<&'static Command>, &'static Command)> {
    let mut words = name.splitn(2, |byte| *byte == b'|');
    let row = table.find(words.next()?)?;
    match words.next() {
        None => Some((None, row)),
        Some(word) => Some((Some(row), row.subcommand(word)?)),
    }
}

/// The name with that of its container before it.
pub(super) fn full_name(parent: Option<&Command>, row: &Command) -> String {
    parent.map_or_else(
        || row.name.to_owned(),
        |parent| format!("{}|{}", parent.name, row.name),
    )
}

fn write_info(parent: Option<&Command>, row: &Command, out: &mut ReplyWriter<'_>) {
    out.array(10);
    out.bulk(full_name(parent, row));
    out.integer(row.arity.into());
    write_words(&row.flag_words(), out);
    let (first, last, step) = row.legacy_range();
    [first, last, step]
        .into_iter()
        .for_each(|number| out.integer(number));
    write_words(&row.acl_categories(), out);
    let hints = row.hint_words();
    out.set(hints.len());
    hints.iter().for_each(|hint| out.bulk(hint));
    let specs = row.key_specs();
    out.set(specs.len());
    specs
        .iter()
        .for_each(|(spec, access)| write_key_spec(*spec, access, out));
    out.set(row.subcommands.len());
    row.subcommands
        .iter()
        .for_each(|sub| write_info(Some(row), sub, out));
}

pub(super) fn write_words(words: &[&str], out: &mut ReplyWriter<'_>) {
    out.set(words.len());
    words.iter().for_each(|word| out.simple(word));
}

/// A part of a key specification: its type and its numbers.
type SpecPart = (&'static str, Vec<(&'static str, SpecValue)>);

/// What a field of a key specification says.
enum SpecValue {
    Number(i64),
    Word(&'static str),
}

fn write_key_spec(spec: KeySpec, access: &[&str], out: &mut ReplyWriter<'_>) {
    out.map(3);
    out.bulk("flags");
    write_words(access, out);
    let (begin, find) = spec_parts(spec);
    for (name, (kind, fields)) in [("begin_search", begin), ("find_keys", find)] {
        out.bulk(name);
        out.map(2);
        out.bulk("type");
        out.bulk(kind);
        out.bulk("spec");
        out.map(fields.len());
        for (name, value) in fields {
            out.bulk(name);
            match value {
                SpecValue::Number(number) => out.integer(number),
                SpecValue::Word(word) => out.bulk(word),
            }
        }
    }
}

/// Where keys begin, and how they are found from there.
fn spec_parts(spec: KeySpec) -> (SpecPart, SpecPart) {
    let number = |name, value| (name, SpecValue::Number(value));
    let behind = |word, from| {
        let word = ("keyword", SpecValue::Word(word));
        ("keyword", vec![word, number("startfrom", from)])
    };
    let range = |last, step, limit| {
        let fields = [("lastkey", last), ("keystep", step), ("limit", limit)];
        (
            "range",
            fields.map(|(name, value)| number(name, value)).into(),
        )
    };
    match spec {
        KeySpec::Range { first, last, step } => (
            ("index", vec![number("index", first)]),
            range(last, step, 0),
        ),
        KeySpec::Counted { count, first } => {
            let fields = [("keynumidx", 0), ("firstkey", first), ("keystep", 1)];
            let fields = fields.map(|(name, value)| number(name, value)).into();
            (("index", vec![number("index", count)]), ("keynum", fields))
        }
        KeySpec::Keyword { word, from } => (behind(word, from), range(0, 1, 0)),
        KeySpec::BehindWord { word, from } => (behind(word, from), range(-1, 1, 2)),
        KeySpec::Unknown => (("unknown", vec![]), ("unknown", vec![])),
    }
}

/// What COMMAND LIST FILTERBY asks for.
enum Filter<'a> {
    None,
    /// No command stems from a module.
    Module,
    Category(&'a [u8]),
    Pattern(Glob<'a>),
}

impl<'a> Filter<'a> {
    fn parse(args: &[&'a [u8]]) -> Result<Filter<'a>, CommandError> {
        match args {
            [] => Ok(Filter::None),
            [by, kind, value] if is_word(by, "FILTERBY") => match kind {
                _ if is_word(kind, "MODULE") => Ok(Filter::Module),
                _ if is_word(kind, "ACLCAT") => Ok(Filter::Category(value)),
                _ if is_word(kind, "PATTERN") => Ok(Filter::Pattern(Glob::new(value))),
                _ => Err(CommandError::Syntax),
            },
            _ => Err(CommandError::Syntax),
        }
    }

    fn takes(&self, name: &str, row: &Command) -> bool {
        match self {
            Filter::None => true,
            Filter::Module => false,
            Filter::Category(wanted) => row
                .acl_categories()
                .iter()
                .any(|category| category.as_bytes()[1..].eq_ignore_ascii_case(wanted)),
            Filter::Pattern(glob) => glob.matches(name.as_bytes()),
        }
    }
}

fn list(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let filter = Filter::parse(&args[2..])?;
    let mut names = Vec::new();
    for row in session.thread.engine.table.rows() {
        let below = row
            .subcommands
            .iter()
            .map(|sub| (full_name(Some(row), sub), sub));
        let rows = std::iter::once((row.name.to_owned(), *row)).chain(below);
        names.extend(
            rows.filter(|(name, row)| filter.takes(name, row))
                .map(|(name, _)| name),
        );
    }
    // Redis sends a set in RESP3 only where it filters nothing out.
    if matches!(filter, Filter::None) {
        out.set(names.len())
    } else {
        out.array(names.len())
    }
    names.iter().for_each(|name| out.bulk(name));
    Ok(())
}

/// The command inside the command, and where its keys are.
fn keys_of(
    session: &Session,
    args: &[&[u8]],
) -> Result<(&'static Command, KeyPositions), CommandError> {
    let table = &session.thread.engine.table;
    let row = table.find(args[0]).and_then(|row| {
        match args.get(1).and_then(|word| row.subcommand(word)) {
            Some(sub) => Some(sub),
            None if row.is_container() => None,
            None => Some(row),
        }
    });
    let row = row.ok_or(CommandError::text("ERR Invalid command specified"))?;
    if row.key_specs().is_empty() {
        return Err(CommandError::text("ERR The command has no key arguments"));
    }
    if !row.accepts(args.len()) {
        return Err(CommandError::text(
            "ERR Invalid number of arguments specified for command",
        ));
    }
    let wrong = CommandError::text("ERR Invalid arguments specified for command");
    // A destination is not enough where keys are counted: the count is wrong then.
    let least = if row.is_script() {
        0
    } else if let Keys::Counted { extra: 1.., .. } = row.keys {
        2
    } else {
        1
    };
    match row.keys.positions(args) {
        Ok(keys) if keys.len() >= least => Ok((row, keys)),
        _ => Err(wrong),
    }
}

fn getkeys(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let (_, keys) = keys_of(session, &args[2..])?;
    out.array(keys.len());
    keys.iter().for_each(|at| out.bulk(args[2 + *at as usize]));
    Ok(())
}

fn getkeysandflags(
    session: &mut Session,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let (row, keys) = keys_of(session, &args[2..])?;
    let (first, others) = row.access_of(&args[2..]);
    out.array(keys.len());
    for (order, at) in keys.iter().enumerate() {
        let access = if order == 0 { first } else { others };
        out.array(2);
        out.bulk(args[2 + *at as usize]);
        write_words(&access.split(' ').collect::<Vec<_>>(), out);
    }
    Ok(())
}

const HELP: &[&str] = &[
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "    Return details about all Redis commands.",
    "COUNT",
    "    Return the total number of commands in this Redis server.",
    "LIST",
    "    Return a list of all commands in this Redis server.",
    "INFO [<command-name> ...]",
    "    Return details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "DOCS [<command-name> ...]",
    "    Return documentation details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "GETKEYS <full-command>",
    "    Return the keys from a full Redis command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Return the keys and the access flags from a full Redis command.",
    "HELP",
    "    Prints this help.",
];

fn help(_: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    out.array(HELP.len());
    HELP.iter().for_each(|line| out.simple(line));
    Ok(())
}

#[rustfmt::skip]
pub(super) static SUBCOMMANDS: &[Command] = &[
    sub("count", 2, "2.8.13", Handler::Session(count), "How many commands there are."),
    sub("docs", -2, "7.0.0", Handler::Session(documented), "What commands are for.").hints("nondeterministic_output_order")
        .takes("[command-name...]"),
    sub("getkeys", -4, "2.8.13", Handler::Session(getkeys), "The keys of a command line."),
    sub("getkeysandflags", -4, "7.0.0", Handler::Session(getkeysandflags), "The keys of a command line, and what it does to them."),
    sub("help", 2, "5.0.0", Handler::Session(help), "Says what there is."),
    sub("info", -2, "2.8.13", Handler::Session(info), "Arity, flags and keys of commands.").hints("nondeterministic_output_order")
        .takes("[command-name...]").changes(&[("7.0.0", "Tells of all commands where none is named.")]),
    sub("list", -2, "7.0.0", Handler::Session(list), "The names of commands.").hints("nondeterministic_output_order")
        .takes("[FILTERBY=filterby(MODULE=module-name|ACLCAT=category|PATTERN=pattern)]"),
];

const fn sub(
    name: &'static str,
    arity: i16,
    since: &'static str,
    handler: Handler,
    summary: &'static str,
) -> Command {
    row(name, arity, since, handler, summary).with(EASY.or(Flags::ACL_CONNECTION))
}
