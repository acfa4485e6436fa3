//! What there is: ACL CAT, GETUSER, LIST, LOG.

use super::{acl_of, is_word, wrong_number};
use damselfly_engine::acl::{CATEGORY_NAMES, LogEntry};
use damselfly_engine::families::options::integer;
use damselfly_engine::resp::ReplyWriter;
use damselfly_engine::thread::unix_ms;
use damselfly_engine::{CommandError, CommandResult, Session};

/// Entries that ACL LOG shows unless asked for more.
const LOG_SHOWN: i64 = 10;

pub(super) fn cat(
    session: &mut Session,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let names = match args {
        [_, _] => CATEGORY_NAMES.to_vec(),
        [_, _, category] => acl_of(session)
            .catalog()
            .names_in(category)
            .ok_or_else(|| CommandError::echo("ERR Unknown category '", category, "'"))?,
        _ => return Err(wrong_number("CAT")),
    };
    out.array(names.len());
    names.iter().for_each(|name| out.bulk(name));
    Ok(())
}

pub(super) fn getuser(
    session: &mut Session,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let acl = acl_of(session);
    let Some(user) = acl.user(args[2]) else {
        out.null();
        return Ok(());
    };
    out.map(6);
    out.bulk("flags");
    let flags = user.flags();
    out.set(flags.len());
    flags.iter().for_each(|flag| out.bulk(flag));
    out.bulk("passwords");
    let passwords: Vec<String> = user.passwords().collect();
    out.array(passwords.len());
    passwords.iter().for_each(|hash| out.bulk(hash));
    let rules = user.rules(acl.catalog());
    let (own, others) = rules.split_first().expect("every user has a selector");
    write_rules(own, out);
    out.bulk("selectors");
    out.array(others.len());
    for rules in others {
        out.map(3);
        write_rules(rules, out);
    }
    Ok(())
}

fn write_rules(rules: &[Vec<u8>; 3], out: &mut ReplyWriter<'_>) {
    for (name, rules) in ["commands", "keys", "channels"].iter().zip(rules) {
        out.bulk(name);
        out.bulk(rules);
    }
}

pub(super) fn list(session: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let acl = acl_of(session);
    let users = acl.users();
    out.array(users.len());
    users
        .values()
        .for_each(|user| out.bulk(user.line(acl.catalog())));
    Ok(())
}

pub(super) fn log(
    session: &mut Session,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let most = match args {
        [_, _] => LOG_SHOWN,
        [_, _, word] if is_word(word, "reset") => {
            acl_of(session).reset_log();
            out.ok();
            return Ok(());
        }
        [_, _, count] => integer(count)?,
        _ => return Err(wrong_number("LOG")),
    };
    let entries = acl_of(session).log_entries(usize::try_from(most).unwrap_or(0));
    let now = unix_ms();
    out.array(entries.len());
    entries
        .iter()
        .for_each(|entry| write_entry(entry, now, out));
    Ok(())
}

fn write_entry(entry: &LogEntry, now: i64, out: &mut ReplyWriter<'_>) {
    out.map(7);
    out.bulk("count");
    out.integer(entry.count as i64);
    for (name, value) in [
        ("reason", entry.denied.reason().as_bytes()),
        ("context", entry.context.name().as_bytes()),
        ("object", &entry.object),
        ("username", &entry.user),
    ] {
        out.bulk(name);
        out.bulk(value);
    }
    out.bulk("age-seconds");
    out.double((now - entry.at) as f64 / 1000.0);
    out.bulk("client-info");
    out.bulk(&entry.client);
}
