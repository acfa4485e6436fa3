//! Places of members, one by one.

use super::args::{place, unit};
use super::hash::Place;
use super::shape::distance;
use crate::command::{CommandError, CommandResult};
use crate::context::{ReadContext, RewriteContext};
use crate::families::collections::is_resp3;
use crate::families::options::is_word;
use crate::families::sorted_sets::zadd_as_part;
use damselfly_resp::{ReplyWriter, format_long_double};
use damselfly_store::values::ZSet;

/// A distance with four decimals.
pub(super) fn answer_distance(distance: f64, out: &mut ReplyWriter<'_>) {
    out.bulk(format!("{distance:.4}"));
}

/// Longitude and latitude, to the last digit that a double has.
pub(super) fn answer_place(place: Place, out: &mut ReplyWriter<'_>) {
    out.array(2);
    for degrees in [place.longitude, place.latitude] {
        let mut text = Vec::with_capacity(24);
        format_long_double(&mut text, degrees);
        if is_resp3(out) {
            out.raw(&[b",", text.as_slice(), b"\r\n"].concat());
        } else {
            out.bulk(text);
        }
    }
}

/// A ZADD whose scores are places: that is what replicas get, too.
pub(super) fn geoadd(
    cx: &mut RewriteContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let is_option = |arg: &&&[u8]| ["NX", "XX", "CH"].iter().any(|word| is_word(arg, word));
    let options = args[2..].iter().take_while(is_option).count();
    let (head, rest) = args.split_at(2 + options);
    let (members, left) = rest.as_chunks::<3>();
    let has = |word| head[2..].iter().any(|option| is_word(option, word));
    if !left.is_empty() || (has("NX") && has("XX")) {
        return Err(CommandError::Syntax);
    }
    let scores: Vec<String> = members
        .iter()
        .map(|[longitude, latitude, _]| Ok(place(longitude, latitude)?.score().to_string()))
        .collect::<Result<_, CommandError>>()?;
    let mut line = head.to_vec();
    line[0] = b"ZADD";
    for ([.., member], score) in members.iter().zip(&scores) {
        line.extend([score.as_bytes(), member]);
    }
    if zadd_as_part(cx, &line, out)? {
        cx.effect(&line);
    }
    Ok(())
}

/// Writes something for each member, or `absent` where there is none.
fn for_each(
    cx: &ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
    absent: impl Fn(&mut ReplyWriter<'_>),
    present: impl Fn(Place, &mut ReplyWriter<'_>),
) -> CommandResult {
    let zset = cx.typed::<ZSet>(args[1])?;
    out.array(args.len() - 2);
    for member in &args[2..] {
        match zset.and_then(|zset| zset.score(member)) {
            Some(score) => present(Place::of_score(score), out),
            None => absent(out),
        }
    }
    Ok(())
}

pub(super) fn geopos(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    for_each(cx, args, out, |out| out.null_array(), answer_place)
}

pub(super) fn geohash(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    for_each(
        cx,
        args,
        out,
        |out| out.null(),
        |place, out| out.bulk(place.text()),
    )
}

pub(super) fn geodist(
    cx: &mut ReadContext<'_>,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let unit = match args[4..] {
        [] => 1.0,
        [word] => unit(word)?,
        _ => return Err(CommandError::Syntax),
    };
    let zset = cx.typed::<ZSet>(args[1])?;
    let place = |member| Some(Place::of_score(zset?.score(member)?));
    match place(args[2]).zip(place(args[3])) {
        Some((from, to)) => answer_distance(distance(from, to) / unit, out),
        None => out.null(),
    }
    Ok(())
}
