//! COMMAND DOCS: what people, and programs that help them, want to know of a command.

use super::command::{full_name, write_words};
use crate::command::{Argument, Command};
use damselfly_resp::ReplyWriter;

/// A field of a map, and what writes its value.
type Field<'a> = (&'static str, Box<dyn Fn(&mut ReplyWriter<'_>) + 'a>);

fn text<'a>(name: &'static str, text: &'a str) -> Field<'a> {
    (name, Box::new(move |out| out.bulk(text)))
}

fn write_map(fields: &[Field<'_>], out: &mut ReplyWriter<'_>) {
    out.map(fields.len());
    for (name, write) in fields {
        out.bulk(name);
        write(out);
    }
}

/// Writes the name of a command and what is told of it.
pub(super) fn write(name: &str, row: &Command, out: &mut ReplyWriter<'_>) {
    let (flags, history, arguments) = (row.doc_flags(), row.history(), row.arguments());
    let mut fields = vec![
        text("summary", row.summary),
        text("since", row.since),
        text("group", row.group.name()),
    ];
    if !flags.is_empty() {
        fields.push(("doc_flags", Box::new(|out| write_words(&flags, out))));
    }
    if let Some((since, by)) = row.replaced {
        fields.extend([text("deprecated_since", since), text("replaced_by", by)]);
    }
    if !history.is_empty() {
        let write = |out: &mut ReplyWriter<'_>| {
            out.set(history.len());
            for (since, change) in &history {
                out.array(2);
                out.bulk(since);
                out.bulk(change.as_bytes());
            }
        };
        fields.push(("history", Box::new(write)));
    }
    if !arguments.is_empty() {
        fields.push((
            "arguments",
            Box::new(|out| write_arguments(&arguments, out)),
        ));
    }
    if !row.subcommands.is_empty() {
        let write = |out: &mut ReplyWriter<'_>| {
            out.map(row.subcommands.len());
            for sub in row.subcommands {
                self::write(&full_name(Some(row), sub), sub, out);
            }
        };
        fields.push(("subcommands", Box::new(write)));
    }
    out.bulk(name);
    write_map(&fields, out);
}

fn write_arguments(arguments: &[Argument], out: &mut ReplyWriter<'_>) {
    out.array(arguments.len());
    arguments
        .iter()
        .for_each(|argument| write_argument(argument, out));
}

fn write_argument(argument: &Argument, out: &mut ReplyWriter<'_>) {
    let flags = argument.flags();
    let mut fields = vec![
        text("name", &argument.name),
        text("type", argument.kind.name()),
    ];
    if let Some(key) = argument.key {
        let write = move |out: &mut ReplyWriter<'_>| out.integer(key as i64);
        fields.push(("key_spec_index", Box::new(write)));
    }
    for (name, value) in [
        ("token", argument.token),
        ("since", argument.since),
        ("deprecated_since", argument.deprecated),
    ] {
        fields.extend(value.map(|value| text(name, value)));
    }
    if !flags.is_empty() {
        fields.push(("flags", Box::new(|out| write_words(&flags, out))));
    }
    if !argument.inner.is_empty() {
        let write = |out: &mut ReplyWriter<'_>| write_arguments(&argument.inner, out);
        fields.push(("arguments", Box::new(write)));
    }
    write_map(&fields, out);
}
