//! Members of sets that expire, as in Dragonfly: to the second.

use crate::command::{CommandError, CommandResult};
use crate::context::RewriteContext;
use crate::families::collections::change_or_create;
use crate::families::element_expiry::{effects_of_expiry, seconds};
use crate::families::options::is_word;
use crate::keyspace::EventClass;
use damselfly_resp::ReplyWriter;
use damselfly_store::values::{Expiring, Set};

/// Dragonfly's replicas are told in seconds from now, ours when exactly.
pub(super) fn saddex(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let key = args[1];
    let keeps = is_word(args[2], "KEEPTTL");
    let (Some(time), Some(members)) = (
        args.get(2 + usize::from(keeps)),
        args.get(3 + usize::from(keeps)..)
            .filter(|members| !members.is_empty()),
    ) else {
        return Err(CommandError::Arity("saddex".to_owned()));
    };
    let ttl = seconds(time, 1)?;
    let at = ttl.end(cx.now());
    let mut changed = Vec::new();
    let added = change_or_create(cx, key, |set: &mut Set| {
        let mut added = 0;
        for &member in members {
            let is_new = set.insert(member);
            added += i64::from(is_new);
            let changes = is_new || !keeps && set.element_expiry(member) != Some(at);
            if changes {
                set.set_element_expiry(member, Some(at));
                changed.push(member);
            }
        }
        added
    })?;
    if !changed.is_empty() {
        cx.modified(EventClass::Set, "sadd", key);
        effects_of_expiry(cx, b"SADDEX", key, ttl, at, &changed);
    }
    out.integer(added);
    Ok(())
}
