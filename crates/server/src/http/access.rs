//! Who is answered: whoever may run INFO on this connection. A password comes by HTTP's Basic scheme, with the name of a user
//! (`default` where only `requirepass` is set).

use super::{Refusal, answer};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use damselfly_engine::Session;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};

/// What has to be allowed.
const COMMAND: &[&[u8]] = &[b"INFO"];
/// What ACL LOG says was asked.
const AS_LOGGED: &[u8] = b"http";

/// Whether the sender of a request with these headers is answered; else what it is told. Nothing of an earlier request counts.
pub(super) fn check(session: &mut Session, headers: &HeaderMap) -> Result<(), Refusal> {
    session.forget_user();
    if let Some(header) = headers.get(AUTHORIZATION) {
        let wrong =
            || answer::unauthorized("wrong name or password, or no Basic authentication at all");
        let (name, password) = credentials(header).ok_or_else(wrong)?;
        let entered = session.authenticate(AS_LOGGED, &name, &password);
        entered.map_err(|_| wrong())?;
    }
    if session.needs_auth() {
        let line = "name and password are asked for: Basic authentication, user default or another that may run INFO";
        return Err(answer::unauthorized(line));
    }
    let may = session.check_permission(COMMAND);
    may.map_err(|_| answer::forbidden("this user may not run INFO here"))
}

/// Name and password of the Basic scheme (RFC 7617).
fn credentials(header: &HeaderValue) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, encoded) = header.to_str().ok()?.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some((decoded[..colon].to_vec(), decoded[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_read_and_others_are_not() {
        let read = |text: &str| credentials(&HeaderValue::from_str(text).unwrap());
        let expected = Some((b"default".to_vec(), b"a:b".to_vec()));
        assert_eq!(read("Basic ZGVmYXVsdDphOmI="), expected);
        assert_eq!(read("basic  ZGVmYXVsdDphOmI= "), expected);
        for text in [
            "Bearer ZGVmYXVsdDphOmI=",
            "Basic",
            "Basic !",
            "Basic ZGVm",
            "",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
