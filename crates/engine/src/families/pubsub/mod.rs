//! Publish/subscribe, as clients ask for it.

mod introspection;

use crate::command::{ChannelUse, Channels, Command, CommandResult, Flags, Group, Handler, Keys};
use crate::pubsub::{Kind, Space};
use crate::session::{AsyncResult, Session};
use bytes::Bytes;
use damselfly_resp::ReplyWriter;

/// The words that confirm a subscription, and its end.
const fn words(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Channel => ("subscribe", "unsubscribe"),
        Kind::Pattern => ("psubscribe", "punsubscribe"),
        Kind::Shard => ("ssubscribe", "sunsubscribe"),
    }
}

/// Confirms in the order of messages, not of replies: a client that wants no replies gets it, too.
fn confirm(session: &mut Session, word: &str, kind: Kind, name: Option<&[u8]>) {
    let count = match kind {
        // Patterns and channels are counted together.
        Kind::Channel | Kind::Pattern => {
            session.subscriptions.len(Kind::Channel) + session.subscriptions.len(Kind::Pattern)
        }
        Kind::Shard => session.subscriptions.len(Kind::Shard),
    };
    let mut bytes = Vec::new();
    let mut out = ReplyWriter::new(&mut bytes, session.proto);
    out.push(3);
    out.bulk(word);
    match name {
        Some(name) => out.bulk(name),
        None => out.null(),
    }
    out.integer(count as i64);
    session.push_queue().push(Bytes::from(bytes));
}

fn add(session: &mut Session, kind: Kind, args: &[&[u8]]) -> CommandResult {
    let (queue, thread) = (session.push_queue(), session.thread.clone());
    for name in &args[1..] {
        session.subscriptions.add(&thread, kind, name, &queue);
        confirm(session, words(kind).0, kind, Some(name));
    }
    Ok(())
}

fn remove(session: &mut Session, kind: Kind, args: &[&[u8]]) -> CommandResult {
    let (queue, thread) = (session.push_queue(), session.thread.clone());
    let all = session.subscriptions.names(kind);
    let names: Vec<&[u8]> = match &args[1..] {
        [] => all.iter().map(|name| &**name).collect(),
        named => named.to_vec(),
    };
    for name in &names {
        session.subscriptions.remove(&thread, kind, name, &queue);
        confirm(session, words(kind).1, kind, Some(name));
    }
    if names.is_empty() {
        confirm(session, words(kind).1, kind, None);
    }
    Ok(())
}

/// A handler that waits for nobody; it is no [`Handler::Session`] because replies before it come first.
macro_rules! at_its_turn {
    ($name:ident, $does:ident, $kind:expr) => {
        fn $name<'a>(
            session: &'a mut Session,
            args: &'a [&'a [u8]],
            _: &'a mut Vec<u8>,
        ) -> AsyncResult<'a> {
            let result = $does(session, $kind, args);
            Box::pin(std::future::ready(result))
        }
    };
}
at_its_turn!(subscribe, add, Kind::Channel);
at_its_turn!(psubscribe, add, Kind::Pattern);
at_its_turn!(ssubscribe, add, Kind::Shard);
at_its_turn!(unsubscribe, remove, Kind::Channel);
at_its_turn!(punsubscribe, remove, Kind::Pattern);
at_its_turn!(sunsubscribe, remove, Kind::Shard);

const EASY: Flags = Flags::LOADING.or(Flags::STALE);
const OF_CHANNELS: Flags = EASY.or(Flags::PUBSUB);
const SUBSCRIBES: Flags = OF_CHANNELS.or(Flags::NO_SCRIPT).or(Flags::IN_SUBSCRIPTION);
const PUBLISHES: Flags = OF_CHANNELS.or(Flags::FAST);

use ChannelUse::{Publish, Subscribe, Unsubscribe};

/// The rows.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    row("subscribe", -2, "2.0.0", Handler::Async(subscribe), "Listens for messages published to channels.").with(SUBSCRIBES).channels(Channels::all(Kind::Channel, Subscribe))
        .takes("channel..."),
    row("psubscribe", -2, "2.0.0", Handler::Async(psubscribe), "Listens for messages published to channels that match one or more patterns.").with(SUBSCRIBES).channels(Channels::all(Kind::Pattern, Subscribe))
        .takes("pattern(pattern)..."),
    row("ssubscribe", -2, "7.0.0", Handler::Async(ssubscribe), "Listens for messages published to shard channels.").with(SUBSCRIBES).channels(Channels::all(Kind::Shard, Subscribe))
        .takes("shardchannel..."),
    row("unsubscribe", -1, "2.0.0", Handler::Async(unsubscribe), "Stops listening to messages posted to channels.").with(SUBSCRIBES).channels(Channels::all(Kind::Channel, Unsubscribe))
        .takes("[channel...]"),
    row("punsubscribe", -1, "2.0.0", Handler::Async(punsubscribe), "Stops listening to messages published to channels that match one or more patterns.").with(SUBSCRIBES).channels(Channels::all(Kind::Pattern, Unsubscribe))
        .takes("[pattern...]"),
    row("sunsubscribe", -1, "7.0.0", Handler::Async(sunsubscribe), "Stops listening to messages posted to shard channels.").with(SUBSCRIBES).channels(Channels::all(Kind::Shard, Unsubscribe))
        .takes("[shardchannel...]"),
    row("publish", 3, "2.0.0", Handler::Publish(Space::Channels), "Posts a message to a channel.").with(PUBLISHES).channels(Channels::first(Kind::Channel, Publish))
        .takes("channel message"),
    row("spublish", 3, "7.0.0", Handler::Publish(Space::Shard), "Posts a message to a shard channel.").with(PUBLISHES).channels(Channels::first(Kind::Shard, Publish))
        .takes("shardchannel message"),
    row("pubsub", -2, "2.8.0", Handler::Session(introspection::help), "A container for commands about publishing.").container(introspection::SUBCOMMANDS),
];

const fn row(
    name: &'static str,
    arity: i16,
    since: &'static str,
    handler: Handler,
    summary: &'static str,
) -> Command {
    Command::new(
        name,
        arity,
        Keys::None,
        Group::PubSub,
        since,
        handler,
        summary,
    )
}
