//! Files of users: a line for each (Redis 7.0, `acl.c`).

use super::selector::has_spaces;
use super::{Acl, RuleError, Users, join_selectors};
use std::sync::Arc;

/// What is wrong with a file, line by line, in Redis's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
)]
pub struct FileErrors(pub String);

/// Reads the users of a file's text. `name` is the file's, for errors.
///
/// # Errors
/// All that is wrong with its lines.
pub fn parse_file(acl: &Acl, name: &str, text: &[u8]) -> Result<Users, FileErrors> {
    let (mut users, mut errors) = (Users::new(), String::new());
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if !line.is_empty() {
            errors.push_str(&parse_line(acl, name, index + 1, line, &mut users));
        }
    }
    if errors.is_empty() {
        Ok(users)
    } else {
        Err(FileErrors(errors))
    }
}

/// Adds the user of a line. What is wrong with it.
fn parse_line(acl: &Acl, file: &str, number: usize, line: &[u8], users: &mut Users) -> String {
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [b"user", name, rules @ ..] = &words[..] else {
        return format!(
            "{file}:{number} should start with user keyword followed by the username. "
        );
    };
    let shown = String::from_utf8_lossy(name);
    if has_spaces(name) {
        return format!("'{file}:{number}: username '{shown}' contains invalid characters. ");
    }
    if users.contains_key(*name) {
        return format!("WARNING: Duplicate user '{shown}' found on line {number}. ");
    }
    let Ok(rules) = join_selectors(rules) else {
        return format!("{file}:{number}: Unmatched parenthesis in selector definition.");
    };
    let (mut user, mut errors) = (acl.new_user(name), String::new());
    let mut is_first = true;
    for rule in rules {
        match user.apply(rule.trim_ascii(), acl.catalog(), acl.has_open_channels()) {
            Ok(()) => {}
            Err(error @ RuleError::Unknown) => {
                let rule = String::from_utf8_lossy(&rule);
                errors.push_str(&format!(
                    "{file}:{number}: Error in applying operation '{rule}': {error}. "
                ));
            }
            // What is wrong after the first may follow from it.
            Err(error) => {
                if std::mem::take(&mut is_first) {
                    errors.push_str(&format!("{file}:{number}: {error}. "));
                }
            }
        }
    }
    users.insert(name.to_vec(), Arc::new(user));
    errors
}
