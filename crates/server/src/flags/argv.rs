//! Spellings: from what stands on a command line, in a flag file or in the environment to pairs of
//! a flag's name and its value's text.
//!
//! Taken alike: `--some_flag=x`, `--some-flag=x`, `-some_flag=x`, `--some_flag x`; for booleans
//! `--flag`, `--flag=true`, `--noflag`. A flag file holds one flag a line, with `#` for comments.

use std::io;

use super::value::Kind;
use super::{FlagError, ignored, table};

/// Flag files that include flag files do so at most this deep.
const MAX_FILE_DEPTH: usize = 8;

/// What one argument asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Set a flag; the name is with underscores and is checked by nobody yet.
    Set {
        /// The flag's name.
        name: String,
        /// Its value's text.
        value: String,
    },
    /// Print the help; `full` with the flags that are only taken with a warning; `filter` limits it to matching flags.
    Help {
        /// Whether flags without meaning are listed too.
        full: bool,
        /// Text that a flag's name or help must hold.
        filter: String,
    },
    /// Print the version.
    Version,
    /// Ask a running server how it is; what it has to be.
    Check(String),
}

/// Reads a flag file by its path; a function, so that tests need no files.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> io::Result<String>;

/// Turns arguments (without the program's name) into requests, in their order.
///
/// # Errors
/// [`FlagError`] for an argument that is no flag, a missing value, or a flag file that can't be read.
pub fn read_arguments(
    arguments: Vec<String>,
    read_file: ReadFile<'_>,
) -> Result<Vec<Request>, FlagError> {
    let mut requests = Vec::new();
    read_into(arguments, read_file, 0, &mut requests)?;
    Ok(requests)
}

/// Picks the variables that set a flag (`DFLY_<flag>`), as requests.
///
/// # Errors
/// [`FlagError`] for a flag file that can't be read.
pub fn read_environment(
    variables: impl IntoIterator<Item = (String, String)>,
    read_file: ReadFile<'_>,
) -> Result<Vec<Request>, FlagError> {
    let mut flags: Vec<_> = variables
        .into_iter()
        .filter_map(|(name, value)| Some(format!("--{}={value}", name.strip_prefix("DFLY_")?)))
        .collect();
    // The order of an environment means nothing; a fixed one makes messages repeatable.
    flags.sort();
    read_arguments(flags, read_file)
}

fn read_into(
    arguments: Vec<String>,
    read_file: ReadFile<'_>,
    depth: usize,
    requests: &mut Vec<Request>,
) -> Result<(), FlagError> {
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let (name, value) = split(&argument)?;
        match (name.as_str(), value) {
            ("help" | "h", value) => requests.push(Request::Help {
                full: false,
                filter: value.unwrap_or_default(),
            }),
            ("helpfull", _) => requests.push(Request::Help {
                full: true,
                filter: String::new(),
            }),
            ("healthcheck", value) => requests.push(Request::Check(value.unwrap_or_default())),
            ("version", _) => requests.push(Request::Version),
            ("flagfile", value) => {
                let paths = value
                    .or_else(|| arguments.next())
                    .ok_or_else(|| FlagError::MissingValue(name.clone()))?;
                read_files(&paths, read_file, depth, requests)?;
            }
            (_, Some(value)) => requests.push(Request::Set { name, value }),
            (_, None) => requests.push(without_value(name, &mut arguments)?),
        }
    }
    Ok(())
}

/// The last flag file that these arguments name.
pub fn last_flag_file(arguments: &[String]) -> Option<String> {
    let of = |(at, argument): (usize, &String)| match split(argument).ok()? {
        (name, value) if name == "flagfile" => value.or_else(|| arguments.get(at + 1).cloned()),
        _ => None,
    };
    let paths = arguments.iter().enumerate().rev().find_map(of)?;
    paths
        .split(',')
        .rfind(|path| !path.is_empty())
        .map(str::to_owned)
}

/// The flag that a line of a flag file sets, if it is one of this server's.
pub fn flag_of_line(line: &str) -> Option<&'static table::Flag> {
    let requests = read_arguments(vec![argument_of(line)?], &|_| Ok(String::new())).ok()?;
    match requests.as_slice() {
        [Request::Set { name, .. }] => table::find(name),
        _ => None,
    }
}

/// The argument that a line of a flag file stands for; `None`: a comment, or nothing. A line is one flag: its value may hold
/// blanks, and does not come from the next line.
fn argument_of(line: &str) -> Option<String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    Some(match line.split_once(char::is_whitespace) {
        Some((flag, value)) if !flag.contains('=') => format!("{flag}={}", value.trim()),
        _ => line.to_owned(),
    })
}

/// `-a-b=c` to (`a_b`, `c`).
fn split(argument: &str) -> Result<(String, Option<String>), FlagError> {
    let bare = argument
        .strip_prefix("--")
        .or_else(|| argument.strip_prefix('-'));
    let bare = bare
        .filter(|bare| !bare.is_empty())
        .ok_or_else(|| FlagError::NoFlag(shown(argument)))?;
    let (name, value) = match bare.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (bare, None),
    };
    Ok((name.replace('-', "_"), value))
}

/// An argument without its value: it may be a password that was meant for a flag.
fn shown(argument: &str) -> String {
    match argument.split_once('=') {
        Some((name, _)) => format!("{name}=…"),
        None => argument.to_owned(),
    }
}

/// A flag that stands alone: a boolean, a negated boolean, or one whose value is the next argument.
fn without_value(
    name: String,
    arguments: &mut impl Iterator<Item = String>,
) -> Result<Request, FlagError> {
    if is_boolean(&name) {
        return Ok(Request::Set {
            name,
            value: "true".to_owned(),
        });
    }
    if let Some(negated) = negated(&name) {
        return Ok(Request::Set {
            name: negated.to_owned(),
            value: "false".to_owned(),
        });
    }
    if !is_known(&name) {
        return Ok(Request::Set {
            name,
            value: String::new(),
        });
    }
    match arguments.next() {
        Some(value) => Ok(Request::Set { name, value }),
        None => Err(FlagError::MissingValue(name)),
    }
}

/// The boolean flag that `noX` or `no_X` turns off.
fn negated(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("no")?;
    [rest, rest.strip_prefix('_').unwrap_or(rest)]
        .into_iter()
        .find(|name| is_boolean(name))
}

fn is_boolean(name: &str) -> bool {
    table::find(name).map_or_else(|| ignored::is_boolean(name), |flag| flag.kind == Kind::Bool)
}

fn is_known(name: &str) -> bool {
    table::find(name).is_some() || ignored::is_known(name)
}

fn read_files(
    paths: &str,
    read_file: ReadFile<'_>,
    depth: usize,
    requests: &mut Vec<Request>,
) -> Result<(), FlagError> {
    for path in paths.split(',').filter(|path| !path.is_empty()) {
        if depth >= MAX_FILE_DEPTH {
            return Err(FlagError::FileDepth(path.to_owned()));
        }
        let content = read_file(path).map_err(|error| FlagError::File {
            path: path.to_owned(),
            error: error.to_string(),
        })?;
        for argument in content.lines().filter_map(argument_of) {
            read_into(vec![argument], read_file, depth + 1, requests)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_files(path: &str) -> io::Result<String> {
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("no {path}"),
        ))
    }

    fn read(arguments: &[&str]) -> Result<Vec<(String, String)>, FlagError> {
        let arguments = arguments.iter().map(|text| text.to_string()).collect();
        let requests = read_arguments(arguments, &no_files)?;
        Ok(requests
            .into_iter()
            .map(|request| match request {
                Request::Set { name, value } => (name, value),
                other => (format!("{other:?}"), String::new()),
            })
            .collect())
    }

    fn one(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), value.to_owned())]
    }

    #[test]
    fn all_spellings_are_one() {
        for spelling in [
            &["--num_shards=2"][..],
            &["--num-shards=2"],
            &["-num_shards=2"],
            &["-num-shards", "2"],
            &["--num_shards", "2"],
        ] {
            assert_eq!(
                read(spelling).unwrap(),
                one("num_shards", "2"),
                "{spelling:?}"
            );
        }
        assert_eq!(read(&["--port", "-1"]).unwrap(), one("port", "-1"));
        assert_eq!(read(&["--bind="]).unwrap(), one("bind", ""));
        assert_eq!(
            read(&["--dbfilename=a-b=c"]).unwrap(),
            one("dbfilename", "a-b=c")
        );
    }

    #[test]
    fn booleans_stand_alone_and_are_negated() {
        assert_eq!(
            read(&["--replica_partial_sync"]).unwrap(),
            one("replica_partial_sync", "true")
        );
        assert_eq!(
            read(&["--noreplica_partial_sync"]).unwrap(),
            one("replica_partial_sync", "false")
        );
        assert_eq!(
            read(&["--no-replica-partial-sync"]).unwrap(),
            one("replica_partial_sync", "false")
        );
        assert_eq!(
            read(&["--replica_partial_sync=no"]).unwrap(),
            one("replica_partial_sync", "no")
        );
        assert_eq!(
            read(&["--nocache_mode"]).unwrap(),
            one("cache_mode", "false")
        );
        // A boolean never takes the next argument.
        assert!(matches!(
            read(&["--tcp_nodelay", "false"]),
            Err(FlagError::NoFlag(_))
        ));
    }

    #[test]
    fn what_is_no_flag_or_has_no_value_is_named() {
        assert!(
            matches!(read(&["redis.conf"]), Err(FlagError::NoFlag(text)) if text == "redis.conf")
        );
        assert!(matches!(read(&["--"]), Err(FlagError::NoFlag(_))));
        assert!(matches!(read(&["--port"]), Err(FlagError::MissingValue(name)) if name == "port"));
        assert!(matches!(
            read(&["--flagfile"]),
            Err(FlagError::MissingValue(_))
        ));
    }

    #[test]
    fn flag_files_hold_a_flag_a_line_and_may_include_others() {
        let files = |path: &str| match path {
            "a" => Ok("# comment\n\n  --port=1\n--flagfile=b\n".to_owned()),
            "b" => Ok("--num-shards 3\n-noreplica_partial_sync\n".to_owned()),
            "loop" => Ok("--flagfile=loop".to_owned()),
            path => no_files(path),
        };
        let read = |path: &str| {
            read_arguments(
                vec![format!("--flagfile={path}"), "--port=9".into()],
                &files,
            )
        };
        let names = |requests: Vec<Request>| {
            requests.into_iter().map(|request| match request {
                Request::Set { name, value } => format!("{name}={value}"),
                other => format!("{other:?}"),
            })
        };
        let found: Vec<_> = names(read("a").unwrap()).collect();
        assert_eq!(
            found,
            [
                "port=1",
                "num_shards=3",
                "replica_partial_sync=false",
                "port=9"
            ]
        );
        assert!(matches!(read("loop"), Err(FlagError::FileDepth(_))));
        assert!(matches!(read("missing"), Err(FlagError::File { path, .. }) if path == "missing"));
        assert_eq!(names(read("b,a").unwrap()).count(), 6);
    }

    #[test]
    fn the_environment_sets_flags_by_prefix() {
        let variables = [("PATH", "x"), ("DFLY_port", "7"), ("DFLY_dbnum", "2")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let requests = read_environment(variables, &no_files).unwrap();
        let set = |name: &str, value: &str| Request::Set {
            name: name.into(),
            value: value.into(),
        };
        assert_eq!(requests, [set("dbnum", "2"), set("port", "7")]);
    }
}
