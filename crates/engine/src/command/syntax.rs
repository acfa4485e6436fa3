//! What arguments a command takes, in one line of its row, and the tree that `COMMAND DOCS` makes of it.
//!
//! The notation is that of the hints that people know, with what programs want to know besides:
//!
//! ```text
//! key value [condition(NX|XX)@2.6.12] [GET@6.2.0] [expiration(EX=seconds:integer|KEEPTTL@6.0.0)]
//! ```
//!
//! | written | is |
//! |---|---|
//! | `value`, `seconds:integer` | an argument: a string, or of the type behind the colon |
//! | `key`, `pattern`, `source:key` | arguments of that type; keys are numbered as they come, `source:key0` says which one it is |
//! | `NX`, `CH=change:token` | a word that stands for itself, named like it or otherwise; `""` is the empty word |
//! | `EX=seconds:integer` | a word before an argument |
//! | `limit(offset count)`, `order(ASC\|DESC)` | some in a row, or one of some; a word may stand before them, too |
//! | `[…]`, `…...`, `…...+` | optional; any number of times; each time with its word |
//! | `@6.2.0`, `!2.8.12` | since when it is there, and since when it is better not used |

use std::borrow::Cow;

/// What kind of thing an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentKind {
    /// Any bytes.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Double,
    /// A key.
    Key,
    /// A pattern.
    Pattern,
    /// A time, counted from 1970.
    UnixTime,
    /// A word that stands for itself.
    Token,
    /// One of those inside.
    OneOf,
    /// Those inside, one after another.
    Block,
}

impl ArgumentKind {
    /// The name in `COMMAND DOCS`.
    pub const fn name(self) -> &'static str {
        match self {
            ArgumentKind::String => "string",
            ArgumentKind::Integer => "integer",
            ArgumentKind::Double => "double",
            ArgumentKind::Key => "key",
            ArgumentKind::Pattern => "pattern",
            ArgumentKind::UnixTime => "unix-time",
            ArgumentKind::Token => "pure-token",
            ArgumentKind::OneOf => "oneof",
            ArgumentKind::Block => "block",
        }
    }

    fn named(name: &str) -> Option<ArgumentKind> {
        Some(match name {
            "integer" => ArgumentKind::Integer,
            "double" => ArgumentKind::Double,
            "key" => ArgumentKind::Key,
            "pattern" => ArgumentKind::Pattern,
            "unix-time" => ArgumentKind::UnixTime,
            "token" => ArgumentKind::Token,
            _ => return None,
        })
    }
}

/// An argument of a command, or a group of some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// How people call it.
    pub name: Cow<'static, str>,
    /// What it is.
    pub kind: ArgumentKind,
    /// Which of the command's key specifications tells of it, if it is a key.
    pub key: Option<usize>,
    /// The word before it, or that it is.
    pub token: Option<&'static str>,
    /// The version that has it first, where that is not the command's.
    pub since: Option<&'static str>,
    /// The version from which on it is better not used.
    pub deprecated: Option<&'static str>,
    /// Whether it may be left out.
    pub is_optional: bool,
    /// Whether it may be repeated.
    pub is_multiple: bool,
    /// Whether its word is repeated with it.
    pub repeats_token: bool,
    /// What it consists of.
    pub inner: Vec<Argument>,
}

impl Argument {
    /// What `COMMAND DOCS` says of how often it comes.
    pub fn flags(&self) -> Vec<&'static str> {
        let flags = [
            (self.is_optional, "optional"),
            (self.is_multiple, "multiple"),
            (self.repeats_token, "multiple_token"),
        ];
        let set = flags.into_iter().filter(|(is_set, _)| *is_set);
        set.map(|(_, name)| name).collect()
    }

    /// Adds what came later than the command, as pairs of a version and a word or name.
    fn additions(&self, since: Option<&'static str>, found: &mut Vec<(&'static str, String)>) {
        let since = self.since.or(since);
        let is_named = self.token.is_some() || self.inner.is_empty();
        if let (true, Some(since)) = (is_named, since) {
            let name = self
                .token
                .map_or_else(|| format!("<{}>", self.name), str::to_owned);
            found.push((since, name));
        }
        let passed_on = since.filter(|_| !is_named);
        let inner = self.inner.iter();
        inner.for_each(|argument| argument.additions(passed_on, found));
    }
}

/// The arguments that a line of this notation tells of; `None` where it is wrong.
pub(super) fn arguments(notation: &'static str) -> Option<Vec<Argument>> {
    let mut parser = Parser {
        whole: notation,
        rest: notation,
        keys: 0,
    };
    let found = parser.row()?;
    parser.rest.is_empty().then_some(found)
}

/// What arguments have come to a command since it is there, version by version.
pub(super) fn additions(arguments: &[Argument]) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    arguments
        .iter()
        .for_each(|argument| argument.additions(None, &mut found));
    found.sort_by_key(|(since, _)| version(since));
    let mut told: Vec<(&str, String)> = Vec::new();
    for (since, name) in found {
        match told.last_mut() {
            Some((last, text)) if *last == since => text.push_str(&format!(", `{name}`")),
            _ => told.push((since, format!("Takes `{name}`"))),
        }
    }
    told.iter_mut().for_each(|(_, text)| text.push('.'));
    told
}

/// A version as numbers, which have an order.
pub(super) fn version(text: &str) -> Vec<u32> {
    text.split('.')
        .map(|part| part.parse().unwrap_or(0))
        .collect()
}

struct Parser {
    whole: &'static str,
    rest: &'static str,
    /// Keys so far.
    keys: usize,
}

impl Parser {
    fn eat(&mut self, mark: &str) -> bool {
        let rest = self.rest.strip_prefix(mark);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// What stands before the first of these.
    fn until(&mut self, ends: impl Fn(char) -> bool) -> &'static str {
        let (word, rest) = self
            .rest
            .split_at(self.rest.find(ends).unwrap_or(self.rest.len()));
        self.rest = rest;
        word
    }

    /// Arguments with blanks between them.
    fn row(&mut self) -> Option<Vec<Argument>> {
        let mut found = Vec::new();
        if self.rest.is_empty() {
            return Some(found);
        }
        loop {
            found.push(self.argument()?);
            if !self.eat(" ") {
                return Some(found);
            }
        }
    }

    fn argument(&mut self) -> Option<Argument> {
        let is_optional = self.eat("[");
        let mut argument = self.head()?;
        if self.eat("(") {
            argument.inner.push(self.argument()?);
            let is_choice = self.rest.starts_with('|');
            while self.eat(if is_choice { "|" } else { " " }) {
                argument.inner.push(self.argument()?);
            }
            argument.kind = match is_choice {
                true => ArgumentKind::OneOf,
                false => ArgumentKind::Block,
            };
            if !self.eat(")") {
                return None;
            }
        }
        argument.since = self.version_behind("@")?;
        argument.deprecated = self.version_behind("!")?;
        argument.is_multiple = self.eat("...");
        argument.repeats_token = self.eat("+");
        argument.is_optional = is_optional;
        (!is_optional || self.eat("]")).then_some(argument)
    }

    /// A word, a name, and a type.
    fn head(&mut self) -> Option<Argument> {
        let text = self.until(|sign| " ()[]|@!.+".contains(sign));
        let mut signs = text.char_indices().skip(1);
        let (token, text) = match signs.find(|(_, sign)| *sign == '=') {
            Some((at, _)) => (Some(&text[..at]), &text[at + 1..]),
            None => (None, text),
        };
        let (name, kind) = self.typed(text);
        let stands_for_itself = token.is_none() && name.chars().all(|sign| !sign.is_lowercase());
        let (name, token, kind) = match stands_for_itself {
            true => (name.to_lowercase().into(), Some(name), ArgumentKind::Token),
            false => (Cow::Borrowed(name), token, kind),
        };
        (!name.is_empty()).then(|| Argument {
            key: (kind == ArgumentKind::Key).then(|| self.keys - 1),
            name,
            kind,
            token: token.map(|token| if token == "\"\"" { "" } else { token }),
            since: None,
            deprecated: None,
            is_optional: false,
            is_multiple: false,
            repeats_token: false,
            inner: Vec::new(),
        })
    }

    /// A name and its type; counts keys.
    fn typed(&mut self, text: &'static str) -> (&'static str, ArgumentKind) {
        let (name, kind) = text.rsplit_once(':').unwrap_or((text, text));
        let (name, kind) = match (ArgumentKind::named(kind), kind.strip_prefix("key")) {
            (Some(kind), _) if name != text || is_type_too(kind) => (name, kind),
            (_, Some(number)) if name != text && number.parse::<usize>().is_ok() => {
                self.keys = number.parse().unwrap_or_default();
                (name, ArgumentKind::Key)
            }
            _ => (text, ArgumentKind::String),
        };
        self.keys += usize::from(kind == ArgumentKind::Key);
        (name, kind)
    }

    /// A version behind its sign; nothing where there is no sign.
    fn version_behind(&mut self, sign: &str) -> Option<Option<&'static str>> {
        if !self.eat(sign) {
            return Some(None);
        }
        let read = self.until(|sign| sign != '.' && !sign.is_ascii_digit());
        let version = read.trim_end_matches('.');
        // Dots behind it say that the argument may be repeated.
        let dots = read.len() - version.len();
        let at = self.whole.len() - self.rest.len() - dots;
        self.rest = &self.whole[at..];
        let parts: Vec<&str> = version.split('.').collect();
        (parts.len() == 3 && parts.iter().all(|part| !part.is_empty())).then_some(Some(version))
    }
}

/// Whether an argument that is called like its type is of that type.
fn is_type_too(kind: ArgumentKind) -> bool {
    matches!(kind, ArgumentKind::Key | ArgumentKind::Pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree, written down at length.
    fn shown(arguments: &[Argument]) -> String {
        let one = |argument: &Argument| {
            let mut text = format!("{} {}", argument.name, argument.kind.name());
            for word in argument
                .token
                .iter()
                .chain(&argument.since)
                .chain(&argument.deprecated)
            {
                text.push_str(&format!(" {word:?}"));
            }
            argument
                .key
                .iter()
                .for_each(|key| text.push_str(&format!(" #{key}")));
            argument
                .flags()
                .iter()
                .for_each(|flag| text.push_str(&format!(" {flag}")));
            if !argument.inner.is_empty() {
                text.push_str(&format!(" ({})", shown(&argument.inner)));
            }
            text
        };
        arguments.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn arguments_of_all_kinds() {
        for (notation, tree) in [
            ("", ""),
            ("key value", "key key #0, value string"),
            (
                "key to:key3... other:key",
                "key key #0, to key #3 multiple, other key #4",
            ),
            ("[GET@6.2.0]", "get pure-token \"GET\" \"6.2.0\" optional"),
            ("[CH=change:token]", "change pure-token \"CH\" optional"),
            ("ip:port!2.8.12", "ip:port string \"2.8.12\""),
            (
                "a(==e:token|\"\"=f:token)",
                "a oneof (e pure-token \"=\", f pure-token \"\")",
            ),
            (
                "[KEYS=key@3.0.6...]",
                "key key \"KEYS\" \"3.0.6\" #0 optional multiple",
            ),
            (
                "[GET=pattern...+]",
                "pattern pattern \"GET\" optional multiple multiple_token",
            ),
            (
                "LIMIT=l(a:integer b:double)",
                "l block \"LIMIT\" (a integer, b double)",
            ),
        ] {
            let parsed = arguments(notation).map(|arguments| shown(&arguments));
            assert_eq!(parsed.as_deref(), Some(tree), "{notation}");
        }
    }

    #[test]
    fn what_is_no_notation() {
        for notation in [
            "a ", "a(", "a(b", "a(b|c d)", "[a", "a]", "a@", "a@1.2", "a@1.2.x", "[]",
        ] {
            assert_eq!(arguments(notation), None, "{notation}");
        }
    }

    #[test]
    fn what_came_later() {
        let told = |notation| additions(&arguments(notation).expect("it is right"));
        assert_eq!(
            told("[X@10.0.0] [c(NX|XX)@3.0.2] [INCR=increment:token@3.0.2] [count@2.0.0]"),
            [
                ("2.0.0", "Takes `<count>`.".to_owned()),
                ("3.0.2", "Takes `NX`, `XX`, `INCR`.".to_owned()),
                ("10.0.0", "Takes `X`.".to_owned()),
            ]
        );
    }
}
