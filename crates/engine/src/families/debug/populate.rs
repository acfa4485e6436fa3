//! DEBUG POPULATE: many keys, written as ordinary commands, so that they are journalled and obey every budget.

use crate::command::{CommandError, CommandResult};
use crate::core::CommandBatch;
use crate::session::{AsyncResult, Session};
use damselfly_resp::{ReplyWriter, parse_i64};
use std::collections::BTreeMap;

/// Commands sent in one round.
const ROUND_COMMANDS: usize = 512;
/// Elements that one command adds to a collection.
const COMMAND_ELEMENTS: usize = 256;
/// Largest value, in bytes.
const MAX_SIZE: i64 = 512 << 20;

/// What is to be made.
struct Populate {
    count: u64,
    prefix: Vec<u8>,
    size: usize,
    random: bool,
    command: &'static str,
    elements: u64,
}

pub(super) fn populate<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        if session.thread.engine.role() == crate::engine::Role::Replica {
            return Err(CommandError::ReadOnly);
        }
        let plan = parse(args)?;
        let mut round = Round::new(session);
        for number in 0..plan.count {
            plan.key(number, &mut round).await?;
        }
        round.flush().await?;
        ReplyWriter::new(out, session.proto).ok();
        Ok(())
    })
}

fn parse(args: &[&[u8]]) -> Result<Populate, CommandError> {
    let number = |text: &[u8]| parse_i64(text).ok_or(CommandError::NotInteger);
    let count = u64::try_from(number(args[2])?).map_err(|_| CommandError::NotPositive)?;
    let mut plan = Populate {
        count,
        prefix: b"key".to_vec(),
        size: 0,
        random: false,
        command: "SET",
        elements: 1,
    };
    let (mut at, mut place) = (3, 0);
    while let Some(word) = args.get(at) {
        let value = args.get(at + 1).copied();
        match word.to_ascii_uppercase().as_slice() {
            b"RAND" => plan.random = true,
            b"TYPE" => {
                plan.command = command_of(value.ok_or(CommandError::Syntax)?)?;
                at += 1;
            }
            b"ELEMENTS" => {
                plan.elements =
                    u64::try_from(number(value.ok_or(CommandError::Syntax)?)?.max(1)).unwrap_or(1);
                at += 1;
            }
            _ if place == 0 => plan.prefix = word.to_vec(),
            _ if place == 1 => plan.size = number(word)?.clamp(0, MAX_SIZE) as usize,
            _ => return Err(CommandError::Syntax),
        }
        place += 1;
        at += 1;
    }
    Ok(plan)
}

fn command_of(kind: &[u8]) -> Result<&'static str, CommandError> {
    Ok(match kind.to_ascii_uppercase().as_slice() {
        b"STRING" => "SET",
        b"LIST" => "RPUSH",
        b"SET" => "SADD",
        b"HASH" => "HSET",
        b"ZSET" => "ZADD",
        _ => {
            return Err(CommandError::text(
                "ERR TYPE takes STRING, LIST, SET, HASH or ZSET",
            ));
        }
    })
}

impl Populate {
    async fn key(&self, number: u64, round: &mut Round<'_>) -> CommandResult {
        let mut key = self.prefix.clone();
        key.extend_from_slice(format!(":{number}").as_bytes());
        if self.command == "SET" {
            let value = self.value(number, 0, round);
            return round.push(self.command, &key, &[value]).await;
        }
        let mut element = 0;
        while element < self.elements {
            let end = self.elements.min(element + COMMAND_ELEMENTS as u64);
            let items: Vec<Vec<u8>> = (element..end)
                .flat_map(|at| self.element(number, at, round))
                .collect();
            round.push(self.command, &key, &items).await?;
            element = end;
        }
        Ok(())
    }

    /// The arguments of one element.
    fn element(&self, number: u64, at: u64, round: &Round<'_>) -> Vec<Vec<u8>> {
        let value = self.value(number, at, round);
        match self.command {
            "HSET" => vec![format!("field:{at}").into_bytes(), value],
            "ZADD" => vec![at.to_string().into_bytes(), value],
            _ => vec![value],
        }
    }

    /// `value:<number>` with the element's number, padded with zero bytes or random letters to the size.
    fn value(&self, number: u64, element: u64, round: &Round<'_>) -> Vec<u8> {
        let mut value = format!("value:{number}").into_bytes();
        if self.command != "SET" {
            value.extend_from_slice(format!(":{element}").as_bytes());
        }
        if self.size > 0 && self.command == "SET" {
            value.truncate(self.size);
        }
        let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ element ^ round.session.id;
        while value.len() < self.size {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            value.push(if self.random {
                b'a' + ((state >> 33) % 26) as u8
            } else {
                0
            });
        }
        value
    }
}

/// Commands on their way to the shards.
struct Round<'s> {
    session: &'s Session,
    batches: BTreeMap<usize, CommandBatch>,
    commands: usize,
}

impl Round<'_> {
    fn new(session: &Session) -> Round<'_> {
        Round {
            session,
            batches: BTreeMap::new(),
            commands: 0,
        }
    }

    async fn push(
        &mut self,
        command: &'static str,
        key: &[u8],
        items: &[Vec<u8>],
    ) -> CommandResult {
        let mut args: Vec<&[u8]> = vec![command.as_bytes(), key];
        args.extend(items.iter().map(Vec::as_slice));
        let row = self.session.find(&args)?;
        let keys = row.keys.positions(&args)?;
        let shard = self.session.thread.engine.mesh.shard_of(key);
        let batch = self
            .batches
            .entry(shard)
            .or_insert_with(|| CommandBatch::new(self.session.proto));
        batch.push(
            row,
            self.session.db,
            &args,
            keys,
            crate::tracking::Caller::default(),
        );
        self.commands += 1;
        if self.commands >= ROUND_COMMANDS {
            self.flush().await
        } else {
            Ok(())
        }
    }

    /// Sends what there is and waits for it; the first error of a command is the result.
    async fn flush(&mut self) -> CommandResult {
        self.commands = 0;
        let sent: Vec<_> = std::mem::take(&mut self.batches)
            .into_iter()
            .map(|(shard, batch)| self.session.thread.send_batch(shard, batch))
            .collect();
        for reply in crate::thread::join(sent).await {
            if let Some(error) = (0..reply.ends.len())
                .map(|at| reply.get(at))
                .find(|one| one.first() == Some(&b'-'))
            {
                let text = String::from_utf8_lossy(&error[1..]).trim_end().to_owned();
                return Err(CommandError::owned(text));
            }
        }
        Ok(())
    }
}
