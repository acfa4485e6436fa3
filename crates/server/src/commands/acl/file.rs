//! Users in a file: at the start, ACL LOAD, ACL SAVE; and the password of the configuration.

use super::{acl_of, end_clients};
use crate::config::Config;
use crate::service::SessionHost;
use damselfly_engine::acl::{Acl, PasswordHash, Users, parse_file};
use damselfly_engine::resp::ReplyWriter;
use damselfly_engine::session::AsyncResult;
use damselfly_engine::{CommandError, CommandResult, Session};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Makes the users that the configuration says.
///
/// # Errors
/// The file of users can't be read, or is wrong.
pub fn load_at_start(acl: &Acl, config: &Config) -> io::Result<()> {
    acl.configure(config.acl_pubsub_default, config.acllog_max_len);
    set_password(acl, config);
    if !config.aclfile.as_os_str().is_empty() {
        let users = read(acl, &config.aclfile).map_err(io::Error::other)?;
        acl.replace_users(users);
    }
    Ok(())
}

/// Gives the default user the configuration's password.
pub fn set_password(acl: &Acl, config: &Config) {
    let digits = config.requirepass.strip_prefix('#').unwrap_or_default();
    acl.set_default_password(PasswordHash::from_hex(digits.as_bytes()));
}

/// The users of a file. The error is Redis's text.
fn read(acl: &Acl, path: &Path) -> Result<Users, String> {
    let name = path.display().to_string();
    let text = std::fs::read(path).map_err(|error| {
        format!(
            "Error loading ACLs, opening file '{name}': {}",
            reason(&error)
        )
    })?;
    parse_file(acl, &name, &text).map_err(|errors| errors.to_string())
}

/// The system's words for an error, without its number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// The file of users.
fn path(session: &Session) -> Result<PathBuf, CommandError> {
    let host = session.host.downcast_ref::<SessionHost>();
    let path = host.map(|host| host.server.shared.settings.load().aclfile.clone());
    path.filter(|path| !path.as_os_str().is_empty()).ok_or(CommandError::text(
        "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER \
         command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users \
         in the Redis configuration.",
    ))
}

/// All users but the default one are new then: connections of those before end.
pub(super) fn load<'a>(
    session: &'a mut Session,
    _: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let path = path(session)?;
        let acl = acl_of(session);
        let users =
            read(acl, &path).map_err(|error| CommandError::owned(format!("ERR {error}")))?;
        let deleted = acl.replace_users(users);
        ReplyWriter::new(out, session.proto).ok();
        end_clients(session, &deleted).await;
        Ok(())
    })
}

pub(super) fn save(session: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let path = path(session)?;
    let acl = acl_of(session);
    let mut text = Vec::new();
    for user in acl.users().values() {
        text.extend_from_slice(&user.line(acl.catalog()));
        text.push(b'\n');
    }
    if let Err(error) = replace(&path, &text) {
        tracing::warn!(path = %path.display(), %error, "cannot save the users");
        return Err(CommandError::text(
            "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
        ));
    }
    out.ok();
    Ok(())
}

/// Puts a new file in place of the old one in one step, so that a crash leaves one of them whole.
pub(crate) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".tmp-{}", std::process::id()));
    let temporary = PathBuf::from(name);
    let written = std::fs::File::create(&temporary).and_then(|mut file| {
        if let Ok(old) = std::fs::metadata(path) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(text)?;
        file.sync_all()
    });
    let replaced = written.and_then(|()| std::fs::rename(&temporary, path));
    if replaced.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    replaced
}
