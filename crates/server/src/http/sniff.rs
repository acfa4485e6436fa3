//! Telling HTTP from RESP by a connection's first bytes.

/// How the requests begin that are taken for HTTP. (POST is not: where a browser is made to send one with commands in it, the
/// connection has to end, as in Redis.)
const METHODS: [&[u8]; 2] = [b"GET /", b"HEAD /"];
/// What the first line ends with, but for the digit of the minor version.
const VERSION: &[u8] = b" HTTP/1.";

/// What a connection's first bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sniffed {
    /// A request of HTTP.
    Http,
    /// Something else.
    Other,
    /// Not enough to tell; neither is a request complete yet.
    Unclear,
}

/// Bytes from which [`begins_as_http`] tells.
pub(crate) const FIRST_BYTES: usize = 6;

/// Whether a request of HTTP may begin so, for whoever is turned away and is to understand why.
pub(crate) fn begins_as_http(first: &[u8]) -> bool {
    METHODS.iter().any(|method| first.starts_with(method))
}

/// Looks at all that has come from a new connection. `GET /path` alone is a request of RESP, an inline command.
pub(crate) fn sniff(input: &[u8]) -> Sniffed {
    if !METHODS
        .iter()
        .any(|method| input.starts_with(method) || method.starts_with(input))
    {
        return Sniffed::Other;
    }
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
        return Sniffed::Unclear;
    };
    let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
    let is_http = line
        .split_last()
        .is_some_and(|(minor, rest)| minor.is_ascii_digit() && rest.ends_with(VERSION));
    if is_http {
        Sniffed::Http
    } else {
        Sniffed::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_first_line_is_http() {
        for (input, what) in [
            (&b"GET / HTTP/1.1\r\nHost: a\r\n"[..], Sniffed::Http),
            (b"HEAD /metrics HTTP/1.0\n", Sniffed::Http),
            (b"GET /metrics?a=b HTTP/1.1\r\n", Sniffed::Http),
            (b"GET /metrics HTTP/1.1\r", Sniffed::Unclear),
            (b"GET /met", Sniffed::Unclear),
            (b"G", Sniffed::Unclear),
            (b"HEA", Sniffed::Unclear),
            (b"GET /path\r\n", Sniffed::Other),
            (b"GET key\r\n", Sniffed::Other),
            (b"GET / HTTP/2.0\r\n", Sniffed::Other),
            (b"GET / HTTP/1.x\r\n", Sniffed::Other),
            (b"POST / HTTP/1.1\r\n", Sniffed::Other),
            (b"get / HTTP/1.1\r\n", Sniffed::Other),
            (b"*1\r\n$4\r\nPING\r\n", Sniffed::Other),
            (b"\r\n", Sniffed::Other),
        ] {
            assert_eq!(sniff(input), what, "{}", input.escape_ascii());
        }
    }

    #[test]
    fn every_prefix_of_a_request_is_unclear() {
        let request = b"HEAD /a HTTP/1.1\r\n";
        for len in 1..request.len() {
            assert_eq!(sniff(&request[..len]), Sniffed::Unclear);
        }
        assert_eq!(sniff(request), Sniffed::Http);
        assert!(METHODS.iter().all(|method| method.len() <= FIRST_BYTES));
    }
}
