//! Every fault has its name, and says what was expected and what came.
#![allow(missing_docs)]

use damselfly_journal::{
    Journal, JournalError, JournalOptions, Lsn, Record, RecordDecoder, RecordLimits, RecordWriter,
    RunBuilder, StreamLevel,
};

const LIMITS: RecordLimits = RecordLimits {
    max_record_bytes: 1000,
    max_strings: 10,
    max_txn_records: 100,
    max_db: 15,
};

fn first_error(mut decoder: RecordDecoder, bytes: &[u8]) -> JournalError {
    decoder.feed(bytes);
    loop {
        match decoder.next() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("no error in {bytes:?}"),
            Err(error) => return error,
        }
    }
}

fn error_in(bytes: &[u8]) -> JournalError {
    first_error(RecordDecoder::blobs(StreamLevel::Extended, LIMITS), bytes)
}

#[test]
fn opcodes_that_a_stream_does_not_have() {
    for opcode in [0, 11, 12, 14, 16, 31, 34, 255] {
        let error = error_in(&[13, opcode]);
        assert!(
            matches!(error, JournalError::UnknownOpcode { got, offset: 1, .. } if got == opcode),
            "{error}"
        );
        assert!(!error.is_retriable());
    }
    for opcode in [32, 33] {
        let reference = RecordDecoder::stable(StreamLevel::Reference, LIMITS);
        let error = first_error(reference, &[opcode, 1, 1, 1, 1]);
        assert!(matches!(error, JournalError::UnknownOpcode { got, .. } if got == opcode));
    }
    assert!(
        matches!(
            error_in(&[32, 0, 0, 0, 0]),
            JournalError::UnknownOpcode { got: 32, .. }
        ),
        "no CHECK in a blob"
    );
}

#[test]
fn lengths_beyond_the_limits_are_refused_by_the_head_alone() {
    let offset = 0;
    let huge = [0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let with = |head: &[u8]| [head, &huge].concat();
    assert_eq!(
        error_in(&[10, 0, 1, 2, 0x80, 0, 0, 4, 0]),
        JournalError::RecordTooLong {
            limit: 1000,
            got: 1024 + 2 + 9,
            offset
        }
    );
    assert_eq!(
        error_in(&with(&[10, 0, 1, 2])),
        JournalError::RecordTooLong {
            limit: 1000,
            got: u64::MAX,
            offset
        }
    );
    assert_eq!(
        error_in(&[10, 0, 1, 11, 30]),
        JournalError::TooManyStrings {
            limit: 10,
            got: 11,
            offset
        }
    );
    assert_eq!(
        error_in(&[10, 0, 1, 0, 0]),
        JournalError::EmptyCommand { offset }
    );
    assert_eq!(
        error_in(&[6, 16]),
        JournalError::DbOutOfRange {
            limit: 15,
            got: 16,
            offset
        }
    );
    assert_eq!(
        error_in(&with(&[6])),
        JournalError::DbOutOfRange {
            limit: 15,
            got: u64::MAX,
            offset
        }
    );
    for (count, got) in [(&[0][..], 0), (&[0x44, 0x01], 1025)] {
        let limit = 1024;
        let bytes = [&[10, 0], count, &[1, 1]].concat();
        assert_eq!(
            error_in(&bytes),
            JournalError::BadShardCount { limit, got, offset }
        );
        let bytes = [&[33, 0], count, &[1]].concat();
        assert_eq!(
            error_in(&bytes),
            JournalError::BadShardCount { limit, got, offset }
        );
    }
    for (count, got) in [(&[0][..], 0), (&[0x40, 101], 101)] {
        let bytes = [&[33, 9, 2], count].concat();
        assert_eq!(
            error_in(&bytes),
            JournalError::BadTxnLength {
                limit: 100,
                got,
                offset
            }
        );
    }
}

#[test]
fn strings_must_add_up() {
    let offset = 0;
    assert_eq!(
        error_in(b"\x0a\x00\x01\x02\x06\x03GET\x02kk"),
        JournalError::TotalMismatch {
            expected: 6,
            got: 5,
            offset
        }
    );
    assert_eq!(
        error_in(b"\x0a\x00\x01\x02\x06\x03GET\x04kkkk"),
        JournalError::TotalMismatch {
            expected: 6,
            got: 7,
            offset
        }
    );
    assert_eq!(
        error_in(b"\x0a\x00\x01\x02\x06\x03GET\xc0\x01aa"),
        JournalError::BadInteger { got: 0xc0, offset }
    );
    assert_eq!(
        error_in(b"\x0d\x0f\x83"),
        JournalError::BadInteger {
            got: 0x83,
            offset: 1
        }
    );
}

#[test]
fn lengths_that_are_longer_than_they_need_count_towards_the_record() {
    let mut bytes = vec![10, 0, 1, 10, 0x43, 0xd4]; // 10 strings, 980 bytes in all: 996 with shortest lengths
    bytes.extend_from_slice(&[0x81, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend_from_slice(&[0x81, 0, 0, 0, 0, 0, 0, 3, 0xd4]);
    assert_eq!(
        error_in(&bytes),
        JournalError::RecordTooLong {
            limit: 1000,
            got: 6 + 18 + 980,
            offset: 0
        }
    );
}

#[test]
fn a_transactions_records_stand_together() {
    let del = b"\x0a\x07\x02\x01\x03\x03DEL";
    let other = b"\x0a\x08\x02\x01\x03\x03DEL";
    let txn = [33, 7, 2, 2];
    let offset = (txn.len() + del.len()) as u64;
    assert_eq!(
        error_in(&[&txn, &del[..], other].concat()),
        JournalError::TxnMismatch {
            expected: 7,
            got: 8,
            offset
        }
    );
    for (intruder, got) in [(&[15, 1][..], 15), (&txn, 33)] {
        assert_eq!(
            error_in(&[&txn, &del[..], intruder].concat()),
            JournalError::TxnInterrupted {
                txid: 7,
                expected: 1,
                got,
                offset
            }
        );
    }
    let mut decoder = RecordDecoder::blobs(StreamLevel::Extended, LIMITS);
    decoder.feed(&[&txn, &del[..], &[6, 1], del].concat());
    let mut left = Vec::new();
    while let Some(record) = decoder.next().expect("well formed") {
        let counted = record.is_counted();
        left.push((counted, decoder.open_txn_records()));
    }
    assert_eq!(left, [(false, 2), (true, 1), (false, 1), (true, 0)]);
    decoder.feed(&[&txn, &del[..]].concat());
    while decoder.next().expect("well formed").is_some() {}
    assert!(matches!(
        decoder.finish(),
        Err(JournalError::Truncated {
            missing: 1,
            unit: "records of a transaction",
            ..
        })
    ));
}

/// A checked stream of some runs.
fn checked_stream() -> Vec<u8> {
    let mut journal = Journal::new(JournalOptions::default());
    let mut writer = RecordWriter::stable(StreamLevel::Extended);
    let mut out = Vec::new();
    for i in 0..3u64 {
        let run = journal.append(RunBuilder::new(i, 1).command(0, &[b"SET", b"k", b"v"]), 0);
        writer.run(&mut out, &run);
    }
    writer.lsn(&mut out, Lsn(3));
    writer.end_write(&mut out);
    out
}

#[test]
fn nothing_comes_out_before_its_check() {
    let bytes = checked_stream();
    let mut decoder = RecordDecoder::stable(StreamLevel::Extended, LIMITS);
    decoder.feed(&bytes[..bytes.len() - 1]);
    assert_eq!(decoder.next(), Ok(None));
    assert!(matches!(
        decoder.finish(),
        Err(JournalError::Truncated {
            missing: 1,
            unit: "bytes",
            ..
        })
    ));
    decoder.feed(&bytes[bytes.len() - 1..]);
    assert!(matches!(decoder.next(), Ok(Some(Record::Select { db: 0 }))));
}

#[test]
fn a_stream_that_ends_before_its_check_says_so() {
    let bytes = checked_stream();
    let mut decoder = RecordDecoder::stable(StreamLevel::Extended, LIMITS);
    decoder.feed(&bytes[..bytes.len() - 5]);
    assert_eq!(decoder.next(), Ok(None));
    assert!(matches!(
        decoder.finish(),
        Err(JournalError::Truncated {
            missing: 5,
            unit: "bytes of a CHECK",
            ..
        })
    ));
}

#[test]
fn a_wrong_check_says_what_it_should_have_been() {
    let mut bytes = checked_stream();
    let at = bytes.len() - 4;
    let expected = u32::from_le_bytes(bytes[at..].try_into().expect("4 bytes"));
    bytes[at] ^= 1;
    let error = first_error(RecordDecoder::stable(StreamLevel::Extended, LIMITS), &bytes);
    let offset = at as u64 - 1;
    assert_eq!(
        error,
        JournalError::CheckMismatch {
            expected,
            got: expected ^ 1,
            offset
        }
    );
    assert!(error.is_retriable());
}

#[test]
fn a_peer_that_never_checks_is_stopped() {
    let error = first_error(
        RecordDecoder::stable(StreamLevel::Extended, LIMITS),
        &vec![13; 70_000],
    );
    assert_eq!(
        error,
        JournalError::CheckOverdue {
            limit: 65_536,
            got: 65_537,
            offset: 0
        }
    );
}

#[test]
fn damaged_framing_before_a_check_is_retriable_and_names_its_cause() {
    let mut bytes = checked_stream();
    bytes[0] = 77;
    let error = first_error(RecordDecoder::stable(StreamLevel::Extended, LIMITS), &bytes);
    assert!(error.is_retriable());
    match error {
        JournalError::Unverified { cause } => {
            assert!(matches!(
                *cause,
                JournalError::UnknownOpcode {
                    got: 77,
                    offset: 0,
                    ..
                }
            ));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn memory_follows_what_was_fed_not_what_was_announced() {
    let mut decoder = RecordDecoder::stable(StreamLevel::Reference, RecordLimits::default());
    decoder.feed(&[10, 0, 1, 1, 0x80, 0x3f, 0, 0, 0, 0x80, 0x3f, 0, 0, 0, b'x']);
    assert_eq!(decoder.next(), Ok(None));
    assert_eq!(decoder.buffered(), 15);
    assert!(matches!(
        decoder.finish(),
        Err(JournalError::Truncated {
            missing: 0x3eff_ffff,
            ..
        })
    ));
}

/// CRC32C bit by bit (reflected polynomial 0x82f63b78, RFC 3720): the library's parameter set is the right one.
#[test]
fn check_is_crc32c() {
    let mut writer = RecordWriter::stable(StreamLevel::Extended);
    let mut out = Vec::new();
    writer.lsn(&mut out, Lsn(1));
    writer.end_write(&mut out);
    let mut crc = !0u32;
    for byte in [15u8, 1] {
        crc ^= byte as u32;
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
        }
    }
    assert_eq!(out, [&[15, 1, 32][..], &(!crc).to_le_bytes()].concat());
}

#[test]
fn transaction_ids_that_no_counting_reaches() {
    let id = [0x81, 0x40, 0, 0, 0, 0, 0, 0, 1];
    let command = [&[10][..], &id, &[1, 1, 1, 1, b'X']].concat();
    let txn = [&[33][..], &id, &[1, 1]].concat();
    for bytes in [command, txn] {
        let error = error_in(&bytes);
        let got = damselfly_journal::MAX_TXID + 1;
        assert!(
            matches!(error, JournalError::BadTxid { got: id, offset: 0, .. } if id == got),
            "{error}"
        );
        assert!(!error.is_retriable());
    }
}
