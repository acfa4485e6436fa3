//! Commands as a client sends them.

/// Appends `args` to `out` as one request: an array of bulk strings, in the form that every
/// Redis-compatible server takes.
///
/// ```
/// let mut out = Vec::new();
/// damselfly_resp::encode_command(&mut out, &[b"GET", b"key"]);
/// assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n");
/// ```
pub fn encode_command(out: &mut Vec<u8>, args: &[&[u8]]) {
    out.reserve(args.iter().map(|arg| arg.len() + 16).sum::<usize>() + 16);
    push_header(out, b'*', args.len());
    for arg in args {
        push_bulk(out, arg);
    }
}

/// Appends a type byte, a length and the line end.
#[inline]
pub(crate) fn push_header(out: &mut Vec<u8>, kind: u8, len: usize) {
    if len < 10 {
        out.extend_from_slice(&[kind, b'0' + len as u8, b'\r', b'\n']);
        return;
    }
    out.push(kind);
    push_line(out, itoa::Buffer::new().format(len).as_bytes());
}

/// Appends a bulk string: header, bytes, line end.
#[inline]
pub(crate) fn push_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    push_header(out, b'$', bytes.len());
    push_line(out, bytes);
}

/// Appends bytes and the line end.
#[inline]
pub(crate) fn push_line(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}
