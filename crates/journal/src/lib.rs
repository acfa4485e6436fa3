//! The journal of one shard: records of effects, their packing on the wire, LSNs, and a bounded backlog.
//!
//! This crate *is*: the byte format of journal records in both directions ([`RecordWriter`], [`RecordDecoder`];
//! PROTOCOL sections 4 and 5), the run of records that one transaction leaves on a shard ([`Run`]), and the
//! [`Journal`] that numbers runs, keeps the last of them, and hands them to its [`Consumer`]s, which share the bytes.
//!
//! It is *not*: a file, a socket, a thread or a clock (time is an argument), and it knows no command: a record is a
//! list of byte strings. What is recorded, and when, is the engine's business; who gets it, the replication's.
//!
//! A record travels from a primary's journal to a replica like this:
//!
//! ```
//! use damselfly_journal::{
//!     Journal, JournalOptions, Lsn, Record, RecordDecoder, RecordLimits, RecordWriter, RunBuilder, StreamLevel,
//! };
//!
//! let mut journal = Journal::new(JournalOptions::default());
//! journal.keep_backlog(true);
//! let mut builder = RunBuilder::new(0, 1);
//! builder.command(3, &[b"SET", b"key", b"value"]);
//! let run = journal.append(&mut builder, 0);
//! assert_eq!(run.first_lsn(), Lsn(1));
//!
//! // The primary's side of a flow.
//! let mut writer = RecordWriter::stable(StreamLevel::Extended);
//! let mut wire = Vec::new();
//! for run in journal.read_from(Lsn(1)).expect("the backlog begins there") {
//!     writer.run(&mut wire, run);
//! }
//! writer.end_write(&mut wire); // the CHECK of this gathered write
//!
//! // The replica's side.
//! let mut decoder = RecordDecoder::stable(StreamLevel::Extended, RecordLimits::default());
//! decoder.feed(&wire);
//! assert!(matches!(decoder.next()?, Some(Record::Select { db: 3 })));
//! match decoder.next()? {
//!     Some(Record::Command { args, .. }) => assert!(args.iter().eq([&b"SET"[..], b"key", b"value"])),
//!     other => panic!("{other:?}"),
//! }
//! # Ok::<(), damselfly_journal::JournalError>(())
//! ```
#![warn(missing_docs)]

mod backlog;
mod decoder;
mod error;
mod frame;
mod journal;
mod lsn;
mod record;
mod run;
mod wire;
mod writer;

pub use crate::{
    backlog::{PinId, ReadFrom},
    decoder::RecordDecoder,
    error::JournalError,
    journal::{Consumer, ConsumerId, Journal, JournalOptions},
    lsn::Lsn,
    record::{ArgIter, ArgList, Record, RecordLimits, StreamLevel},
    run::{Entry, Run, RunBuilder},
    wire::{MAX_SHARDS, MAX_TXID},
    writer::{CHECK_INTERVAL_BYTES, RecordWriter},
};
