//! Requests: what `redis-server` 7.0.15 answered to the same bytes, and that splits change nothing.

use damselfly_resp::{
    ArgVec, Proto, ProtocolError, ReplyWriter, RequestDecoder, RequestLimits, encode_command,
};
use proptest::prelude::*;

type Request = Vec<Vec<u8>>;
type Outcome = (Vec<Request>, Option<ProtocolError>, usize);

/// Feeds pieces as a connection does: the unfinished rest stays in the buffer. Blank requests are dropped.
fn run<'p>(decoder: &mut RequestDecoder, pieces: impl IntoIterator<Item = &'p [u8]>) -> Outcome {
    let (mut buffer, mut requests) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let mut at = 0;
        loop {
            let mut args = ArgVec::new();
            match decoder.decode(&buffer[at..], &mut args) {
                Err(error) => return (requests, Some(error), 0),
                Ok(None) => break,
                Ok(Some(used)) => {
                    let request = args.iter().map(|arg| arg.to_vec()).collect();
                    let request: Request = decoder.take_unescaped().unwrap_or(request);
                    requests.extend((!request.is_empty()).then_some(request));
                    at += used;
                }
            }
        }
        buffer.drain(..at);
        assert_eq!(decoder.is_mid_request(), !buffer.is_empty());
        assert!(decoder.missing_bytes() > 0);
    }
    (requests, None, buffer.len())
}

fn decode(input: &[u8]) -> Outcome {
    run(&mut RequestDecoder::default(), [input])
}

fn words(text: &[&[u8]]) -> Request {
    text.iter().map(|word| word.to_vec()).collect()
}

#[test]
fn protocol_errors_have_the_texts_of_redis() {
    let long = |prefix: &[u8], len: usize| [prefix, &vec![b'1'; len]].concat();
    let rows: Vec<(Vec<u8>, &[u8])> = vec![
        (b"*1\r\n$01\r\nX\r\n".into(), b"invalid bulk length"),
        (b"*1\r\n$-1\r\n".into(), b"invalid bulk length"),
        (b"*1\r\n$\r\n".into(), b"invalid bulk length"),
        (b"*1\r\n$536870913\r\n".into(), b"invalid bulk length"),
        (
            b"*1\r\n$99999999999999999999\r\n".into(),
            b"invalid bulk length",
        ),
        (b"*1\r\nPING\r\n".into(), b"expected '$', got 'P'"),
        (b"*1\r\n\r\n".into(), b"expected '$', got ' '"),
        (b"*1\r\n\r\r\n".into(), b"expected '$', got ' '"),
        (b"*1\r\n\nPING\r\n".into(), b"expected '$', got ' '"),
        (b"*1\r\n\xffPING\r\n".into(), b"expected '$', got '\xff'"),
        (b"*x\r\n".into(), b"invalid multibulk length"),
        (b"*01\r\n".into(), b"invalid multibulk length"),
        (b"*+1\r\n".into(), b"invalid multibulk length"),
        (b"*\r\n".into(), b"invalid multibulk length"),
        (b"*-0\r\n".into(), b"invalid multibulk length"),
        (b"*2147483648\r\n".into(), b"invalid multibulk length"),
        (
            b"*9223372036854775808\r\n".into(),
            b"invalid multibulk length",
        ),
        (long(b"*", 65536), b"too big mbulk count string"),
        (long(b"*1\r\n$", 65536), b"too big bulk count string"),
        (long(b"a", 65536), b"too big inline request"),
        (b"ECHO \"abc\r\n".into(), b"unbalanced quotes in request"),
        (b"ECHO 'abc\r\n".into(), b"unbalanced quotes in request"),
        (b"ECHO \"a\"b\r\n".into(), b"unbalanced quotes in request"),
        (b"ECHO 'a''b'\r\n".into(), b"unbalanced quotes in request"),
        (b"ECHO \"a\\\r\n".into(), b"unbalanced quotes in request"),
        (b"ECHO \"a\\\"\r\n".into(), b"unbalanced quotes in request"),
    ];
    for (input, text) in rows {
        let error = decode(&input)
            .1
            .unwrap_or_else(|| panic!("no error: {:?}", input.escape_ascii().to_string()));
        let mut out = Vec::new();
        ReplyWriter::new(&mut out, Proto::Resp2).protocol_error(&error);
        assert_eq!(
            out,
            [b"-ERR Protocol error: ", text, b"\r\n"].concat(),
            "{}",
            error
        );
    }
}

#[test]
fn what_redis_waits_for_is_incomplete() {
    let long = |prefix: &[u8], len: usize| [prefix, &vec![b'1'; len]].concat();
    for input in [
        b"*2147483647\r\n".to_vec(),
        b"*1\r\n$536870912\r\n".to_vec(),
        long(b"*", 65535),
        long(b"*1\r\n$", 65535),
        long(b"a", 65535),
        b"ECHO \"a\\".to_vec(),
        b"*1\r\nPING".to_vec(),
        b"*1\r".to_vec(),
        b"*1\r\n$1\r\na\r".to_vec(),
    ] {
        let len = input.len();
        assert_eq!(decode(&input), (vec![], None, len));
    }
}

#[test]
fn odd_requests_that_redis_takes() {
    let ping = words(&[b"PING"]);
    for input in [
        &b"*0\r\nPING\r\n"[..],
        b"*-1\r\nPING\r\n",
        b"*-5\r\nPING\r\n",
        b"*1\rX$4\rXPINGab",
        b"\r\nPING\r\n",
        b"\n\n \t\nPING\n",
        b"PING\r\r\n",
        b"  PING \t \r\n",
        b"\"PING\"\n",
        b"*1\r\n$4\r\nPING\r\n",
    ] {
        assert_eq!(
            decode(input),
            (vec![ping.clone()], None, 0),
            "{}",
            input.escape_ascii()
        );
    }
}

#[test]
fn inline_quotes_as_redis_resolves_them() {
    let rows: [(&[u8], &[u8]); 12] = [
        (b"\"a\\x41\\n\\q\\\"\\xg1\\x4\"", b"aA\nq\"xg1x4"),
        (b"'a\\'b\\n'", b"a'b\\n"),
        (b"a\"b c\"", b"ab c"),
        (b"a'b c'", b"ab c"),
        (b"\"a\"\x0b\x0c", b"a"),
        (b"a\x0bb", b"a\x0bb"),
        (b"\x0b\x0ca", b"a"),
        (b"\"\"", b""),
        (b"'' ", b""),
        (b"a\\nb", b"a\\nb"),
        (b"\"a\rb\"", b"a\rb"),
        (b"\"\\r\\t\\b\\a\\\\\"", b"\r\t\x08\x07\\"),
    ];
    for (text, word) in rows {
        let input = [b"ECHO ", text, b"\r\n"].concat();
        assert_eq!(
            decode(&input),
            (vec![words(&[b"ECHO", word])], None, 0),
            "{}",
            input.escape_ascii()
        );
    }
    assert_eq!(decode(b"ECHO a\rb\r\n").0, [words(&[b"ECHO", b"a", b"b"])]);
}

#[test]
fn before_authentication_requests_are_small() {
    let mut decoder = RequestDecoder::default();
    decoder.set_authenticated(false);
    let mut outcome = |input: &[u8]| run(&mut decoder, [input]).1.map(|error| error.to_string());
    assert_eq!(
        outcome(b"*11\r\n").as_deref(),
        Some("Protocol error: unauthenticated multibulk length")
    );
    assert_eq!(
        outcome(b"*10\r\n$16385\r\n").as_deref(),
        Some("Protocol error: unauthenticated bulk length")
    );
    assert_eq!(outcome(b"*10\r\n$16384\r\n"), None);
}

#[test]
fn limits_are_the_callers() {
    let limits = RequestLimits {
        max_inline: 5,
        max_multi_bulk_len: 2,
        max_bulk_len: 3,
    };
    let outcome = |input: &[u8]| run(&mut RequestDecoder::new(limits), [input]).1;
    assert_eq!(outcome(b"*2\r\n$3\r\nabc\r\n$0\r\n\r\n"), None);
    assert_eq!(
        outcome(b"*3\r\n"),
        Some(ProtocolError::InvalidMultibulkLength)
    );
    assert_eq!(
        outcome(b"*1\r\n$4\r\n"),
        Some(ProtocolError::InvalidBulkLength)
    );
    assert_eq!(outcome(b"12345\n"), None);
    assert_eq!(outcome(b"123456\n"), Some(ProtocolError::TooBigInline));
}

#[test]
fn unescaped_arguments_last_until_the_next_call() {
    let mut decoder = RequestDecoder::default();
    let mut args = ArgVec::new();
    assert_eq!(decoder.decode(b"\"\\x41\"\n", &mut args), Ok(Some(7)));
    assert_eq!(
        (args.len(), decoder.take_unescaped()),
        (0, Some(words(&[b"A"])))
    );
    assert_eq!(decoder.decode(b"\"\\x41\"\n", &mut args), Ok(Some(7)));
    assert_eq!(decoder.decode(b"*0\r\n", &mut args), Ok(Some(4)));
    assert_eq!((args.len(), decoder.take_unescaped()), (0, None));
}

#[test]
fn missing_bytes_tell_how_much_to_read() {
    let mut decoder = RequestDecoder::default();
    let mut args = ArgVec::new();
    assert_eq!(
        decoder.decode(b"*2\r\n$3\r\nGET\r\n$1000\r\nabc", &mut args),
        Ok(None)
    );
    assert_eq!(decoder.missing_bytes(), 999);
}

/// One byte at a time, 4 MB: quadratic work would take hours.
#[test]
fn nothing_is_read_twice() {
    let mut input = Vec::new();
    encode_command(&mut input, &[b"SET", b"key", &vec![b'x'; 4 << 20]]);
    encode_command(&mut input, &vec![&b"a"[..]; 100_000]);
    let mut decoder = RequestDecoder::default();
    let mut start = 0;
    let mut lens = Vec::new();
    for end in 1..=input.len() {
        let mut args = ArgVec::new();
        if let Some(used) = decoder
            .decode(&input[start..end], &mut args)
            .expect("valid")
        {
            lens.push(args.len());
            start += used;
        }
    }
    assert_eq!((lens, start), (vec![3, 100_000], input.len()));
}

/// A request as bytes: arrays, inline lines with and without quotes, blanks, and sometimes damage.
/// Found by fuzzing: what was looked at of a count was taken for looked at of the line behind it.
#[test]
fn a_broken_header_is_seen_wherever_the_pieces_end() {
    const BYTES: [u8; 5] = *b"\r\n$1x";
    for number in 0..BYTES.len().pow(5) as u32 {
        let tail = (0..5).map(|at| BYTES[number as usize / BYTES.len().pow(at) % BYTES.len()]);
        let input: Vec<u8> = b"*1\r\n".iter().copied().chain(tail).collect();
        let whole = decode(&input);
        for cut in 1..input.len() {
            let (first, second) = input.split_at(cut);
            let got = run(&mut RequestDecoder::default(), [first, second]);
            assert_eq!(got, whole, "{} cut at {cut}", input.escape_ascii());
        }
    }
}

fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let arg = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..12),
        1 => proptest::collection::vec(any::<u8>(), 90..1200),
    ];
    let command = proptest::collection::vec(arg, 0..12).prop_map(|args| {
        let mut out = Vec::new();
        encode_command(
            &mut out,
            &args.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        );
        out
    });
    let line = proptest::collection::vec(
        proptest::sample::select(b"abc \"'\\x1\t\r*$".to_vec()),
        0..12,
    )
    .prop_map(|line| [b"x".to_vec(), line, b"\r\n".to_vec()].concat());
    let damage =
        proptest::collection::vec(proptest::sample::select(b"*$012-\r\n\n".to_vec()), 1..8);
    prop_oneof![6 => command, 3 => line, 1 => damage]
}

fn pieces<'a>(input: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = input;
    let mut pieces = Vec::new();
    for cut in cuts.iter().cycle() {
        let (head, tail) = rest.split_at((*cut).min(rest.len()));
        pieces.push(head);
        rest = tail;
        if rest.is_empty() {
            return pieces;
        }
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_split_gives_the_same_requests(
        fragments in proptest::collection::vec(fragment(), 1..6),
        cuts in proptest::collection::vec(1..40usize, 1..8),
    ) {
        let input = fragments.concat();
        let whole = decode(&input);
        let split = run(&mut RequestDecoder::default(), pieces(&input, &cuts));
        prop_assert_eq!(&whole, &split);
        let limits = RequestLimits { max_inline: 8, max_multi_bulk_len: 9, max_bulk_len: 500 };
        let whole = run(&mut RequestDecoder::new(limits), [&input[..]]);
        let split = run(&mut RequestDecoder::new(limits), pieces(&input, &cuts));
        prop_assert_eq!(whole, split);
    }

    #[test]
    fn commands_come_back(commands in proptest::collection::vec(
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..12), 1..5)
    ) {
        let mut input = Vec::new();
        for args in &commands {
            encode_command(&mut input, &args.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
        prop_assert_eq!(decode(&input), (commands, None, 0));
    }

    #[test]
    fn any_bytes_are_safe(input in proptest::collection::vec(any::<u8>(), 0..300)) {
        decode(&input);
        decode(&[b"*2\r\n$3\r\n", &input[..]].concat());
    }
}
