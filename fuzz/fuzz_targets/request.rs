//! Any bytes from a client: the same requests, or the same error, whatever the pieces they come in.
#![no_main]

use damselfly_resp::{ArgVec, ProtocolError, RequestDecoder};
use libfuzzer_sys::fuzz_target;

type Requests = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

fn decode(bytes: &[u8], piece: usize) -> Requests {
    let mut decoder = RequestDecoder::default();
    let (mut start, mut requests) = (0, Vec::new());
    for end in (0..bytes.len()).step_by(piece).skip(1).chain([bytes.len()]) {
        loop {
            let mut args = ArgVec::new();
            match decoder.decode(&bytes[start..end], &mut args) {
                Ok(Some(used)) => start += used,
                Ok(None) => break,
                Err(error) => return (requests, Some(error)),
            }
            let request = args.iter().map(|arg| arg.to_vec()).collect();
            requests.push(decoder.take_unescaped().unwrap_or(request));
        }
    }
    (requests, None)
}

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (piece, bytes) = input;
    assert_eq!(
        decode(&bytes, 1 + piece as usize),
        decode(&bytes, bytes.len().max(1))
    );
});
