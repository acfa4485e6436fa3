//! Replies: the bytes of Redis 7.0, round trips, splits, limits.

use damselfly_resp::{Proto, ProtocolError, Reply, ReplyDecoder, ReplyLimits, ReplyWriter};
use proptest::prelude::*;

fn written(proto: Proto, write: impl FnOnce(&mut ReplyWriter<'_>)) -> String {
    let mut out = Vec::new();
    write(&mut ReplyWriter::new(&mut out, proto));
    String::from_utf8(out).expect("only text is written here")
}

#[test]
fn every_reply_in_both_protocols() {
    type Row = (fn(&mut ReplyWriter<'_>), &'static str, &'static str);
    let rows: [Row; 22] = [
        (|r| r.ok(), "+OK\r\n", "+OK\r\n"),
        (|r| r.simple("PONG"), "+PONG\r\n", "+PONG\r\n"),
        (|r| r.simple("a\r\nb"), "+a  b\r\n", "+a  b\r\n"),
        (|r| r.error("ERR x\ny"), "-ERR x y\r\n", "-ERR x y\r\n"),
        (|r| r.integer(-7), ":-7\r\n", ":-7\r\n"),
        (
            |r| r.integer(i64::MIN),
            ":-9223372036854775808\r\n",
            ":-9223372036854775808\r\n",
        ),
        (|r| r.bulk(""), "$0\r\n\r\n", "$0\r\n\r\n"),
        (
            |r| r.bulk("hello world"),
            "$11\r\nhello world\r\n",
            "$11\r\nhello world\r\n",
        ),
        (|r| r.bulk_integer(42), "$2\r\n42\r\n", "$2\r\n42\r\n"),
        (|r| r.null(), "$-1\r\n", "_\r\n"),
        (|r| r.null_array(), "*-1\r\n", "_\r\n"),
        (|r| r.array(3), "*3\r\n", "*3\r\n"),
        (|r| r.array(1234), "*1234\r\n", "*1234\r\n"),
        (|r| r.map(6), "*12\r\n", "%6\r\n"),
        (|r| r.set(2), "*2\r\n", "~2\r\n"),
        (|r| r.push(3), "*3\r\n", ">3\r\n"),
        (
            |r| r.double(0.1),
            "$19\r\n0.10000000000000001\r\n",
            ",0.10000000000000001\r\n",
        ),
        (
            |r| r.double(f64::NEG_INFINITY),
            "$4\r\n-inf\r\n",
            ",-inf\r\n",
        ),
        (|r| r.boolean(true), ":1\r\n", "#t\r\n"),
        (|r| r.boolean(false), ":0\r\n", "#f\r\n"),
        (
            |r| r.verbatim(*b"txt", "Some text"),
            "$9\r\nSome text\r\n",
            "=13\r\ntxt:Some text\r\n",
        ),
        (
            |r| r.big_number("123456789012345678901234567890"),
            "$30\r\n123456789012345678901234567890\r\n",
            "(123456789012345678901234567890\r\n",
        ),
    ];
    for (write, resp2, resp3) in rows {
        assert_eq!(
            (
                written(Proto::Resp2, write).as_str(),
                written(Proto::Resp3, write).as_str()
            ),
            (resp2, resp3)
        );
    }
}

fn decode_all(input: &[u8]) -> Result<Vec<Reply>, ProtocolError> {
    decode_pieces(&mut ReplyDecoder::default(), [input])
}

fn decode_pieces<'p>(
    decoder: &mut ReplyDecoder,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Result<Vec<Reply>, ProtocolError> {
    let mut replies = Vec::new();
    for mut piece in pieces {
        while let Some(reply) = decoder.decode(&mut piece)? {
            replies.push(reply);
        }
        assert!(piece.is_empty());
    }
    Ok(replies)
}

#[test]
fn every_type_is_read() {
    let text = |text: &str| Reply::Bulk(text.into());
    let rows = [
        ("$-1\r\n", Reply::Null),
        ("*-1\r\n", Reply::Null),
        ("_\r\n", Reply::Null),
        ("#t\r\n", Reply::Boolean(true)),
        (",1.5\r\n", Reply::Double(1.5)),
        (",-inf\r\n", Reply::Double(f64::NEG_INFINITY)),
        ("!5\r\nERR x\r\n", Reply::Error(b"ERR x".to_vec())),
        ("(-123\r\n", Reply::BigNumber(b"-123".to_vec())),
        (
            "=7\r\ntxt:abc\r\n",
            Reply::Verbatim {
                format: *b"txt",
                text: b"abc".to_vec(),
            },
        ),
        ("*0\r\n", Reply::Array(vec![])),
        ("%0\r\n", Reply::Map(vec![])),
        (
            "%1\r\n$1\r\na\r\n:1\r\n",
            Reply::Map(vec![(text("a"), Reply::Integer(1))]),
        ),
        ("~1\r\n$1\r\na\r\n", Reply::Set(vec![text("a")])),
        (">1\r\n$1\r\na\r\n", Reply::Push(vec![text("a")])),
        (
            "*2\r\n*0\r\n*1\r\n*-1\r\n",
            Reply::Array(vec![Reply::Array(vec![]), Reply::Array(vec![Reply::Null])]),
        ),
        (
            "|1\r\n+ttl\r\n:3\r\n*2\r\n|0\r\n:1\r\n|1\r\n+a\r\n*1\r\n+b\r\n:2\r\n",
            Reply::Array(vec![Reply::Integer(1), Reply::Integer(2)]),
        ),
    ];
    for (input, reply) in rows {
        assert_eq!(decode_all(input.as_bytes()), Ok(vec![reply]), "{input:?}");
    }
}

#[test]
fn bytes_after_a_reply_are_left() {
    let mut input = &b"+FULLRESYNC x 0\r\nREDIS0009"[..];
    let reply = ReplyDecoder::default().decode(&mut input);
    assert_eq!(
        (reply, input),
        (
            Ok(Some(Reply::Simple(b"FULLRESYNC x 0".to_vec()))),
            &b"REDIS0009"[..]
        )
    );
}

#[test]
fn bad_replies_are_named() {
    let limits = ReplyLimits {
        max_line: 20,
        max_bulk_len: 10,
        max_bytes: 15,
        max_items: 6,
        max_depth: 2,
    };
    let rows = [
        ("hello\r\n", ProtocolError::UnknownReplyType { got: b'h' }),
        ("\r\n", ProtocolError::UnknownReplyType { got: b'\r' }),
        ("+OK\n", ProtocolError::MissingLineEnd),
        ("$1\r\nabc", ProtocolError::MissingLineEnd),
        ("$-2\r\n", ProtocolError::InvalidReplyLength),
        ("$x\r\n", ProtocolError::InvalidReplyLength),
        ("%-1\r\n", ProtocolError::InvalidReplyLength),
        (":1x\r\n", ProtocolError::InvalidReplyValue { kind: b':' }),
        ("#x\r\n", ProtocolError::InvalidReplyValue { kind: b'#' }),
        (",x\r\n", ProtocolError::InvalidReplyValue { kind: b',' }),
        (",\r\n", ProtocolError::InvalidReplyValue { kind: b',' }),
        ("(1a\r\n", ProtocolError::InvalidReplyValue { kind: b'(' }),
        ("_x\r\n", ProtocolError::InvalidReplyValue { kind: b'_' }),
        (
            "=3\r\nabc\r\n",
            ProtocolError::InvalidReplyValue { kind: b'=' },
        ),
        (
            "+0123456789012345678901234",
            ProtocolError::ReplyLineTooLong { limit: 20 },
        ),
        (
            "$11\r\n",
            ProtocolError::ReplyBulkTooLong { len: 11, limit: 10 },
        ),
        (
            "*2\r\n$8\r\n12345678\r\n$8\r\n",
            ProtocolError::ReplyTooLarge { limit: 15 },
        ),
        ("*7\r\n", ProtocolError::ReplyTooManyItems { limit: 6 }),
        ("%4\r\n", ProtocolError::ReplyTooManyItems { limit: 6 }),
        (
            "*3\r\n*4\r\n",
            ProtocolError::ReplyTooManyItems { limit: 6 },
        ),
        (
            "*1\r\n*1\r\n*1\r\n",
            ProtocolError::ReplyTooDeep { limit: 2 },
        ),
    ];
    for (input, error) in rows {
        assert_eq!(
            decode_pieces(&mut ReplyDecoder::new(limits), [input.as_bytes()]),
            Err(error),
            "{input:?}"
        );
    }
    let mut decoder = ReplyDecoder::new(limits);
    let fine = b"*6\r\n+a\r\n+a\r\n+a\r\n+a\r\n+a\r\n+a\r\n".repeat(3);
    assert_eq!(
        decode_pieces(&mut decoder, [&fine[..]]).map(|replies| replies.len()),
        Ok(3)
    );
}

#[test]
fn accessors() {
    assert_eq!(Reply::Bulk(b"12".to_vec()).as_integer(), Some(12));
    assert_eq!(Reply::Integer(3).as_integer(), Some(3));
    assert_eq!(Reply::Error(b"ERR".to_vec()).as_error(), Some(&b"ERR"[..]));
    assert_eq!(Reply::Null.as_text(), None);
    assert_eq!(
        Reply::Set(vec![Reply::Null]).as_items().map(<[_]>::len),
        Some(1)
    );
}

fn reply() -> impl Strategy<Value = Reply> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..20);
    let leaf = prop_oneof![
        "[ -~]{0,12}".prop_map(|text| Reply::Simple(text.into_bytes())),
        "[ -~]{0,12}".prop_map(|text| Reply::Error(text.into_bytes())),
        any::<i64>().prop_map(Reply::Integer),
        bytes().prop_map(Reply::Bulk),
        Just(Reply::Null),
        any::<f64>()
            .prop_filter("equal to itself", |value| !value.is_nan())
            .prop_map(Reply::Double),
        any::<bool>().prop_map(Reply::Boolean),
        "-?[1-9][0-9]{20,30}".prop_map(|digits| Reply::BigNumber(digits.into_bytes())),
        bytes().prop_map(|text| Reply::Verbatim {
            format: *b"txt",
            text
        }),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let items = || proptest::collection::vec(inner.clone(), 0..5);
        prop_oneof![
            items().prop_map(Reply::Array),
            items().prop_map(Reply::Set),
            items().prop_map(Reply::Push),
            proptest::collection::vec((inner.clone(), inner.clone()), 0..4).prop_map(Reply::Map),
        ]
    })
}

fn write(out: &mut ReplyWriter<'_>, reply: &Reply) {
    match reply {
        Reply::Simple(text) => out.simple(text),
        Reply::Error(text) => out.error(text),
        Reply::Integer(value) => out.integer(*value),
        Reply::Bulk(bytes) => out.bulk(bytes),
        Reply::Double(value) => out.double(*value),
        Reply::Boolean(value) => out.boolean(*value),
        Reply::BigNumber(digits) => out.big_number(digits),
        Reply::Verbatim { format, text } => out.verbatim(*format, text),
        Reply::Array(items) => write_items(out, |out, len| out.array(len), items),
        Reply::Set(items) => write_items(out, |out, len| out.set(len), items),
        Reply::Push(items) => write_items(out, |out, len| out.push(len), items),
        Reply::Map(pairs) => {
            out.map(pairs.len());
            pairs.iter().for_each(|(key, value)| {
                write(out, key);
                write(out, value);
            });
        }
        _ => out.null(),
    }
}

fn write_items(out: &mut ReplyWriter<'_>, open: fn(&mut ReplyWriter<'_>, usize), items: &[Reply]) {
    open(out, items.len());
    items.iter().for_each(|item| write(out, item));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn replies_come_back_from_any_split(
        replies in proptest::collection::vec(reply(), 1..4),
        cut in 1..30usize,
    ) {
        let mut input = Vec::new();
        replies.iter().for_each(|reply| write(&mut ReplyWriter::new(&mut input, Proto::Resp3), reply));
        prop_assert_eq!(&decode_all(&input).expect("valid"), &replies);
        let mut decoder = ReplyDecoder::default();
        prop_assert_eq!(&decode_pieces(&mut decoder, input.chunks(cut)).expect("valid"), &replies);
        prop_assert!(!decoder.is_mid_reply());
    }

    #[test]
    fn resp2_is_read_to_its_end(reply in reply(), cut in 1..30usize) {
        let mut input = Vec::new();
        write(&mut ReplyWriter::new(&mut input, Proto::Resp2), &reply);
        let replies = decode_pieces(&mut ReplyDecoder::default(), input.chunks(cut)).expect("valid");
        prop_assert_eq!(replies.len(), 1);
    }

    #[test]
    fn any_bytes_are_safe(input in proptest::collection::vec(proptest::sample::select(b"+-:$*_#,(=!~>%|0129.tx\r\n".to_vec()), 0..60), cut in 1..9usize) {
        let whole = decode_pieces(&mut ReplyDecoder::default(), [&input[..]]);
        let split = decode_pieces(&mut ReplyDecoder::default(), input.chunks(cut));
        prop_assert_eq!(format!("{whole:?}"), format!("{split:?}"));
    }
}
