//! Whether what a server holds is one point in time of the writers' work.

use std::collections::HashSet;

use damselfly_tests::Client;
use damselfly_tests::load::key_name;

use super::writer::{TOGETHER, WRITERS, Writers, knowledge, known, stamp, together};
use crate::Result;

/// Keys that are read at once.
const READ_AT_ONCE: u64 = 500;

/// What of one writer is in the file.
struct Part {
    /// The last batch of which something is there.
    last: u64,
    /// Whether all of it is.
    is_whole: bool,
}

impl Part {
    /// The last batch that is there to its end.
    fn whole(&self) -> u64 {
        self.last - u64::from(!self.is_whole)
    }
}

/// Checks everything; says what was found.
///
/// # Errors
/// The first key that does not fit.
pub fn prove(client: &mut Client, writers: &Writers) -> Result<String> {
    let stamps = stamps(client, writers.keys)?;
    let mut parts = Vec::new();
    let mut notes = Vec::new();
    for writer in 0..WRITERS {
        let (beside, note) = beside(client, writer)?;
        parts.push(part(writers, writer, &stamps, beside)?);
        notes.push(note);
    }
    for (writer, note) in notes.iter().enumerate() {
        for (of, (batch, part)) in note.iter().zip(&parts).enumerate() {
            if *batch > part.whole() {
                return Err(format!(
                    "writer {writer} knew of batch {batch} of writer {of}, of which only {} are there",
                    part.whole()
                )
                .into());
            }
        }
    }
    let torn = parts.iter().filter(|part| !part.is_whole).count();
    let batches: Vec<String> = parts.iter().map(|part| part.last.to_string()).collect();
    let written = stamps.iter().filter(|stamp| **stamp > 0).count();
    Ok(format!(
        "one point in time: {} keys, {written} of them overwritten before it, as batches {} left them, {torn} of which were under way",
        stamps.len(),
        batches.join(", ")
    ))
}

/// The stamp of every key.
fn stamps(client: &mut Client, keys: u64) -> Result<Vec<u32>> {
    let mut stamps = Vec::with_capacity(keys as usize);
    for start in (0..keys).step_by(READ_AT_ONCE as usize) {
        let names: Vec<String> = (start..keys.min(start + READ_AT_ONCE))
            .map(key_name)
            .collect();
        for (name, value) in names.iter().zip(values(client, &names)?) {
            let value = value.ok_or_else(|| format!("{name} is not there"))?;
            stamps.push(u32::try_from(stamp(&value))?);
        }
    }
    Ok(stamps)
}

fn values(client: &mut Client, names: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
    let mut command = vec!["MGET"];
    command.extend(names.iter().map(String::as_str));
    let reply = client.try_call(&command)?;
    let items = reply.as_items().ok_or("MGET gives no array")?;
    Ok(items
        .iter()
        .map(|item| item.as_text().map(<[u8]>::to_vec))
        .collect())
}

/// The stamps of what a writer writes beside the keys of the filling, and what it knew.
fn beside(client: &mut Client, writer: usize) -> Result<([u64; 2], Vec<u64>)> {
    let names: Vec<String> = (0..TOGETHER).map(|index| together(writer, index)).collect();
    let of = |value: &Option<Vec<u8>>| value.as_deref().map_or(0, stamp);
    let transaction: Vec<u64> = values(client, &names)?.iter().map(of).collect();
    if transaction.iter().any(|batch| *batch != transaction[0]) {
        return Err(format!("writer {writer}: a transaction is torn: {transaction:?}").into());
    }
    let note = values(client, &[known(writer)])?.remove(0);
    let knows = note.as_deref().map(knowledge).unwrap_or_default();
    Ok(([transaction[0], of(&note)], knows))
}

/// Repeats a writer's batches and compares them with what is there.
fn part(writers: &Writers, writer: usize, stamps: &[u32], beside: [u64; 2]) -> Result<Part> {
    let own: Vec<u64> = stamps
        .iter()
        .skip(writer)
        .step_by(WRITERS)
        .map(|stamp| u64::from(*stamp))
        .collect();
    let last = own.iter().chain(&beside).copied().max().unwrap_or(0);
    let mut expected = vec![0; own.len()];
    let mut choice = writers.choice(writer);
    for batch in 1..last {
        choice
            .batch()
            .iter()
            .for_each(|key| expected[*key as usize] = batch);
    }
    let under_way: HashSet<u64> = match last {
        0 => HashSet::new(),
        _ => choice.batch().into(),
    };
    let mut is_whole = true;
    let mut check = |what: &dyn Fn() -> String, before: u64, found: u64, may_be_last: bool| {
        let is_last = may_be_last && found == last;
        is_whole &= is_last || !may_be_last;
        match is_last || found == before {
            true => Ok(()),
            false => Err(format!(
                "writer {writer}: {} is of batch {found}, not of {before}; the last one is {last}",
                what()
            )),
        }
    };
    let names = ["the transaction", "the note"];
    for (name, found) in names.iter().zip(beside) {
        check(&|| (*name).to_owned(), last.saturating_sub(1), found, true)?;
    }
    for (key, (found, before)) in own.iter().zip(expected).enumerate() {
        let name = || key_name((key * WRITERS + writer) as u64);
        check(&name, before, *found, under_way.contains(&(key as u64)))?;
    }
    Ok(Part { last, is_whole })
}
