//! The command line, with Dragonfly's flags: from arguments and environment to a [`Config`].
//!
//! Later settings win: the environment (`DFLY_<flag>`) first, then the arguments in their order,
//! a flag file standing where `--flagfile` stands.

mod argv;
mod help;
mod ignored;
mod nearest;
mod rewrite;
mod table;
mod value;

pub use argv::ReadFile;
pub(crate) use rewrite::rewrite;
pub use table::{Change, FLAGS, Flag, find};
pub(crate) use value::config_bytes;
pub use value::{Kind, Value};

use crate::config::Config;
use crate::healthcheck::{Health, Question};
use argv::Request;

/// Why a command line was not taken.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlagError {
    /// An argument that is no flag.
    #[error("'{0}' is no flag: flags are written --name=value")]
    NoFlag(String),
    /// A flag that neither this server nor Dragonfly knows.
    #[error("unknown flag --{name}{}", .nearest.map(|name| format!("; did you mean --{name}?")).unwrap_or_default())]
    Unknown {
        /// The flag.
        name: String,
        /// The known flag that is written most like it.
        nearest: Option<&'static str>,
    },
    /// A flag without its value.
    #[error("--{0} needs a value")]
    MissingValue(String),
    /// A value that the flag does not take.
    #[error("--{name}={value}: {reason}")]
    Value {
        /// The flag.
        name: String,
        /// The value.
        value: String,
        /// What was expected.
        reason: String,
    },
    /// A flag of Dragonfly that would be lost silently, and must not be.
    #[error(
        "--{name}={value} is not supported by this version, and the server would run without what it asks for"
    )]
    Unsupported {
        /// The flag.
        name: String,
        /// The value.
        value: String,
    },
    /// A flag file that can't be read.
    #[error("flag file {path}: {error}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        error: String,
    },
    /// Flag files that include each other too deeply.
    #[error("flag file {0}: flag files are nested too deeply")]
    FileDepth(String),
    /// Flags that don't fit together.
    #[error("{0}")]
    Conflict(String),
}

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// Run a server.
    Run {
        /// Its configuration.
        config: Box<Config>,
        /// Flags that were taken but mean nothing here, in their order.
        ignored: Vec<String>,
    },
    /// Ask a running server how it is, and end.
    Check(Question),
    /// Print this text and end.
    Show(String),
}

/// Reads this process's arguments and environment.
///
/// # Errors
/// [`FlagError`], whose text is meant for the user.
pub fn parse_process() -> Result<Parsed, FlagError> {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let arguments = std::env::args_os().skip(1).map(lossy).collect();
    let variables = std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value)));
    parse(arguments, variables, &|path| std::fs::read_to_string(path))
}

/// Reads arguments (without the program's name) and the environment's variables.
///
/// # Errors
/// [`FlagError`], whose text is meant for the user.
///
/// # Examples
/// ```
/// use damselfly_server::{Parsed, parse_flags};
///
/// let arguments = vec!["-maxmemory=64mb".to_owned(), "--cache-mode".to_owned()];
/// let no_files = |path: &str| std::fs::read_to_string(path);
/// let Parsed::Run { config, ignored } = parse_flags(arguments, [], &no_files)? else { panic!() };
/// assert_eq!(config.maxmemory, 64 << 20);
/// assert_eq!(ignored, ["cache_mode"]);
/// # Ok::<(), damselfly_server::FlagError>(())
/// ```
pub fn parse(
    arguments: Vec<String>,
    variables: impl IntoIterator<Item = (String, String)>,
    read_file: ReadFile<'_>,
) -> Result<Parsed, FlagError> {
    let flag_file = argv::last_flag_file(&arguments);
    let from_arguments = argv::read_arguments(arguments, read_file)?;
    // Asking for help must work whatever the environment holds.
    if let Some(text) = from_arguments.iter().find_map(shown) {
        return Ok(Parsed::Show(text));
    }
    let from_environment = argv::read_environment(variables, read_file)?;
    let mut config = Box::<Config>::default();
    let mut ignored = Vec::new();
    for request in from_environment.iter().chain(&from_arguments) {
        if let Request::Set { name, value } = request {
            apply(&mut config, name, value, &mut ignored)?;
        }
    }
    // Absolute: the process may change its directory.
    config.flag_file = flag_file.and_then(|path| std::path::absolute(path).ok());
    config.validate()?;
    let requests = || from_environment.iter().chain(&from_arguments);
    if let Some(expected) = requests().rev().find_map(expected_health) {
        let password = requests().rev().find_map(password).map(str::to_owned);
        return Ok(Parsed::Check(Question {
            config,
            password,
            expected: expected?,
        }));
    }
    Ok(Parsed::Run { config, ignored })
}

/// What a server has to be, if that is asked.
fn expected_health(request: &Request) -> Option<Result<Health, FlagError>> {
    let Request::Check(word) = request else {
        return None;
    };
    let wrong = |reason| FlagError::Value {
        name: "healthcheck".to_owned(),
        value: word.clone(),
        reason,
    };
    Some(word.parse::<Health>().map_err(wrong))
}

/// The password of the default user, of which a configuration keeps a hash.
fn password(request: &Request) -> Option<&str> {
    match request {
        Request::Set { name, value } if name == "requirepass" => Some(value),
        _ => None,
    }
}

fn shown(request: &Request) -> Option<String> {
    match request {
        Request::Help { full, filter } => Some(help::help(*full, filter)),
        Request::Version => Some(help::version()),
        Request::Set { .. } | Request::Check(_) => None,
    }
}

fn apply(
    config: &mut Config,
    name: &str,
    value: &str,
    ignored: &mut Vec<String>,
) -> Result<(), FlagError> {
    let Some(flag) = find(name) else {
        return apply_foreign(name, value, ignored);
    };
    let wrong = |reason| FlagError::Value {
        name: name.to_owned(),
        value: value.to_owned(),
        reason,
    };
    let parsed = flag.kind.parse_flag(value).map_err(wrong)?;
    (flag.set)(config, &parsed).map_err(wrong)
}

/// A flag that has no row: one of Dragonfly's, or unknown.
fn apply_foreign(name: &str, value: &str, ignored: &mut Vec<String>) -> Result<(), FlagError> {
    if !ignored::is_known(name) {
        return Err(FlagError::Unknown {
            name: name.to_owned(),
            nearest: nearest::nearest(name),
        });
    }
    if let Some(row) = ignored::refused(name) {
        let harmless = match row.harmless {
            "false" => Kind::Bool.parse_flag(value) == Ok(Value::Bool(false)),
            harmless => value == harmless,
        };
        return match harmless {
            true => Ok(()),
            false => Err(FlagError::Unsupported {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
        };
    }
    if !ignored.iter().any(|seen| seen == name) {
        ignored.push(name.to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Endpoint;
    use std::io;

    fn no_files(_: &str) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn run(
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<(Config, Vec<String>), FlagError> {
        let arguments = arguments.iter().map(|text| text.to_string()).collect();
        let variables = variables
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()));
        match parse(arguments, variables, &no_files)? {
            Parsed::Run { config, ignored } => Ok((*config, ignored)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_flags_of_the_issue_are_taken() {
        let (config, ignored) = run(
            &[
                "--port=-1",
                "--bind=127.0.0.1,::1",
                "--proactor_threads=4",
                "--num_shards=2",
                "--dbnum=3",
                "--maxmemory=64MiB",
                "--replicaof=localhost:6380",
                "--replication_timeout=1",
                "--replication_acks_interval=2",
                "--replication_stream_output_limit=3kb",
                "--shard_repl_backlog_max_bytes=4mb",
                "--shard_repl_backlog_time_ms=5",
                "--master_connect_timeout_ms=6",
                "--master_reconnect_timeout_ms=7",
                "--noreplica_partial_sync",
                "--experimental_replicaof_v2=true",
                "--replica_announce_ip=10.0.0.1",
                "--announce_port=8",
                "--replica_priority=9",
                "--info_replication_valkey_compatible=true",
                "--maxclients=10",
                "--timeout=11",
                "--tcp_keepalive=12",
                "--dir=/tmp",
                "--dbfilename=d",
                "--rdb_unknown_types=skip",
            ],
            &[],
        )
        .unwrap();
        assert!(ignored.is_empty());
        assert_eq!(config.port, -1);
        assert_eq!(config.bind, ["127.0.0.1", "::1"]);
        assert_eq!(
            (config.proactor_threads, config.num_shards, config.dbnum),
            (4, 2, 3)
        );
        assert_eq!(config.maxmemory, 64 << 20);
        assert_eq!(
            config.replicaof,
            Some(Endpoint {
                host: "localhost".into(),
                port: 6380
            })
        );
        assert_eq!(
            (
                config.replication_timeout_ms,
                config.replication_acks_interval_ms
            ),
            (1, 2)
        );
        assert_eq!(
            (
                config.replication_stream_output_limit,
                config.shard_repl_backlog_max_bytes
            ),
            (3 << 10, 4 << 20)
        );
        assert!(!config.replica_partial_sync && config.info_replication_valkey_compatible);
        assert_eq!(
            (config.maxclients, config.timeout, config.tcp_keepalive),
            (10, 11, 12)
        );
    }

    #[test]
    fn the_command_line_wins_over_the_environment() {
        let (config, _) = run(
            &["--port=2"],
            &[("DFLY_port", "1"), ("DFLY_dbnum", "4"), ("HOME", "/")],
        )
        .unwrap();
        assert_eq!((config.port, config.dbnum), (2, 4));
        assert_eq!(run(&["--port=1", "-port=5"], &[]).unwrap().0.port, 5);
    }

    #[test]
    fn flags_without_meaning_are_reported_once() {
        let (_, ignored) = run(
            &["--cache_mode", "--hz", "5", "--hz=6", "--no-version-check"],
            &[],
        )
        .unwrap();
        assert_eq!(ignored, ["cache_mode", "hz", "version_check"]);
    }

    #[test]
    fn unknown_flags_are_errors_with_the_nearest_name() {
        let message = |flag: &str| run(&[flag], &[]).unwrap_err().to_string();
        assert_eq!(
            message("--prt=1"),
            "unknown flag --prt; did you mean --port?"
        );
        assert_eq!(
            message("--max-memory=1"),
            "unknown flag --max_memory; did you mean --maxmemory?"
        );
        assert_eq!(message("--entirely-else"), "unknown flag --entirely_else");
        let error = run(&[], &[("DFLY_foo_bar_baz", "1")]).unwrap_err();
        assert!(error.to_string().contains("--foo_bar_baz"), "{error}");
    }

    #[test]
    fn wrong_values_are_errors_that_name_flag_value_and_reason() {
        let message = |flag: &str| run(&[flag], &[]).unwrap_err().to_string();
        assert_eq!(
            message("--port=70000"),
            "--port=70000: expected -1 to 65535"
        );
        assert_eq!(message("--dbnum=x"), "--dbnum=x: expected a whole number");
        assert!(message("--maxmemory=lots").contains("expected an amount of memory"));
        assert!(message("--replicaof=nowhere").contains("host:port"));
        assert!(
            message("--noexperimental_replicaof_v2")
                .contains("only the new algorithm of REPLICAOF")
        );
        assert!(message("--rdb_unknown_types=what").contains("error, skip"));
        assert!(run(&["--proactor_threads=2", "--num_shards=3"], &[]).is_err());
    }

    #[test]
    fn protection_that_is_not_there_is_refused() {
        assert!(matches!(
            run(&["--rename_command=x"], &[]),
            Err(FlagError::Unsupported { .. })
        ));
        assert!(matches!(
            run(&["--jwt_validate"], &[]),
            Err(FlagError::Unsupported { .. })
        ));
        assert!(
            run(
                &[
                    "--rename_command=",
                    "--jwt_validate=false",
                    "--memcached_port=0"
                ],
                &[]
            )
            .unwrap()
            .1
            .is_empty()
        );
    }

    #[test]
    fn help_and_version_win_over_everything() {
        let show = |arguments: &[&str]| {
            let arguments = arguments.iter().map(|text| text.to_string()).collect();
            match parse(
                arguments,
                [("DFLY_nonsense".to_owned(), String::new())],
                &no_files,
            ) {
                Ok(Parsed::Show(text)) => text,
                other => panic!("{other:?}"),
            }
        };
        assert!(show(&["--version"]).starts_with("damselfly "));
        let help = show(&["--port=1", "-h"]);
        for flag in FLAGS {
            let no = if flag.kind == Kind::Bool { "[no]" } else { "" };
            assert!(
                help.contains(&format!("--{no}{}", flag.name)),
                "{}",
                flag.name
            );
        }
        assert!(!help.contains("--cache_mode") && show(&["--helpfull"]).contains("--cache_mode"));
        let filtered = show(&["--help=backlog"]);
        assert!(filtered.contains("--shard_repl_backlog_time_ms") && !filtered.contains("--dbnum"));
    }
}
