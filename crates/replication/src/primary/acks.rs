//! What comes back on a flow: `REPLCONF ACK <lsn>`, inline or as an array.

use damselfly_journal::Lsn;
use damselfly_resp::{ArgVec, RequestDecoder, RequestLimits};

use crate::ids::parse_lsn;

/// Longest that an ack may be.
const MAX_ACK_BYTES: usize = 256;

/// Reads acks from bytes in any pieces.
#[derive(Debug)]
pub(super) struct AckReader {
    decoder: RequestDecoder,
    rest: Vec<u8>,
}

impl Default for AckReader {
    fn default() -> Self {
        let limits = RequestLimits {
            max_inline: MAX_ACK_BYTES,
            max_multi_bulk_len: 8,
            max_bulk_len: MAX_ACK_BYTES,
        };
        AckReader {
            decoder: RequestDecoder::new(limits),
            rest: Vec::new(),
        }
    }
}

impl AckReader {
    /// The last ack in what has come; what is no ack is given back as an error.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Option<Lsn>, String> {
        self.rest.extend_from_slice(bytes);
        let (mut at, mut last) = (0, None);
        loop {
            let mut args = ArgVec::new();
            let used = self
                .decoder
                .decode(&self.rest[at..], &mut args)
                .map_err(|error| error.to_string())?;
            let Some(used) = used else { break };
            if !args.is_empty() {
                last = Some(read_ack(&args)?);
            }
            at += used;
        }
        self.rest.drain(..at);
        if self.rest.len() > 2 * MAX_ACK_BYTES {
            return Err("an endless request".to_owned());
        }
        Ok(last)
    }
}

fn read_ack(args: &[&[u8]]) -> Result<Lsn, String> {
    let lsn = match args {
        [replconf, ack, lsn]
            if replconf.eq_ignore_ascii_case(b"REPLCONF") && ack.eq_ignore_ascii_case(b"ACK") =>
        {
            parse_lsn(lsn)
        }
        _ => None,
    };
    lsn.ok_or_else(|| {
        args.join(&b' ')
            .escape_ascii()
            .take(64)
            .map(char::from)
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acks_in_any_pieces_and_both_forms() {
        let wire = b"REPLCONF ACK 1\r\n*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$2\r\n25\r\nreplconf ack 26\r\n";
        for piece in 1..wire.len() {
            let mut reader = AckReader::default();
            let acks: Vec<_> = wire
                .chunks(piece)
                .filter_map(|bytes| reader.feed(bytes).expect("acks"))
                .collect();
            assert_eq!(acks.last(), Some(&Lsn(26)), "pieces of {piece}");
        }
    }

    #[test]
    fn anything_else_is_an_error() {
        for bad in [
            &b"PING\r\n"[..],
            b"REPLCONF ACK x\r\n",
            b"REPLCONF ACK 0\r\n",
            b"REPLCONF ACK\r\n",
            &[b'x'; 2000],
        ] {
            assert!(AckReader::default().feed(bad).is_err());
        }
    }
}
