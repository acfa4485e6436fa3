//! Encoding of requests.

use damselfly_resp::encode_command;

use crate::config::Credentials;

/// `AUTH [user] pass`.
pub(crate) fn auth_args(auth: &Credentials) -> Vec<String> {
    [
        Some("AUTH"),
        auth.user.as_deref(),
        Some(auth.password.as_str()),
    ]
    .into_iter()
    .flatten()
    .map(str::to_owned)
    .collect()
}

/// Appends a command.
pub(crate) fn encode_strings(out: &mut Vec<u8>, args: &[impl AsRef<[u8]>]) {
    let args: Vec<&[u8]> = args.iter().map(AsRef::as_ref).collect();
    encode_command(out, &args);
}
