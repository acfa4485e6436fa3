use super::*;

/// Enough of a glob for these tests: `*` at either end.
fn star(pattern: &[u8], text: &[u8]) -> bool {
    let pattern = String::from_utf8_lossy(pattern).to_lowercase();
    let text = String::from_utf8_lossy(text);
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        _ if pattern == "*" => true,
        (Some(end), _) => text.ends_with(end),
        (_, Some(start)) => text.starts_with(start),
        _ => text == pattern,
    }
}

fn get(settings: &Settings, patterns: &[&str]) -> Vec<(String, String)> {
    let patterns: Vec<_> = patterns.iter().map(|text| text.as_bytes()).collect();
    settings.get(&patterns, &star)
}

fn set(settings: &Settings, arguments: &[&str]) -> Result<(), String> {
    let arguments: Vec<_> = arguments.iter().map(|text| text.as_bytes()).collect();
    settings.set(&arguments).map_err(|error| error.to_string())
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn names_are_answered_as_they_were_asked() {
    let settings = Settings::new(Config::default());
    assert_eq!(
        get(&settings, &["TIMEOUT", "timeout"]),
        [pair("TIMEOUT", "0")]
    );
    assert_eq!(
        get(&settings, &["tcp_keepalive"]),
        [pair("tcp_keepalive", "300")]
    );
    assert_eq!(
        get(&settings, &["replica-partial-sync"]),
        [pair("replica-partial-sync", "true")]
    );
    assert_eq!(get(&settings, &["nothing"]), []);
    let mut both = get(&settings, &["tcp-k*", "tcp-keepalive", "*-priority"]);
    both.sort();
    assert_eq!(
        both,
        [
            pair("replica-priority", "100"),
            pair("slave-priority", "100"),
            pair("tcp-keepalive", "300")
        ]
    );
}

#[test]
fn everything_is_listed_once() {
    let all = get(&Settings::new(Config::default()), &["*"]);
    assert_eq!(all.len(), names::entries().len());
    for needed in [
        "save",
        "appendonly",
        "maxmemory",
        "databases",
        "shard_repl_backlog_max_bytes",
        "repl-backlog-size",
    ] {
        assert!(all.iter().any(|(name, _)| name == needed), "{needed}");
    }
}

#[test]
fn values_are_set_under_either_name() {
    let settings = Settings::new(Config::default());
    set(
        &settings,
        &[
            "maxmemory",
            "1kb",
            "REPL-TIMEOUT",
            "7",
            "replication_acks_interval",
            "50",
        ],
    )
    .unwrap();
    let config = settings.load();
    assert_eq!(
        (
            config.maxmemory,
            config.replication_timeout_ms,
            config.replication_acks_interval_ms
        ),
        (1024, 7000, 50)
    );
    assert_eq!(
        get(&settings, &["repl-timeout"]),
        [pair("repl-timeout", "7")]
    );
    assert_eq!(
        get(&settings, &["replication_timeout"]),
        [pair("replication_timeout", "7000")]
    );
    set(&settings, &["replica_partial_sync", "false"]).unwrap();
    assert!(!settings.load().replica_partial_sync);
}

/// The texts of redis-server 7.0.15, taken from it.
#[test]
fn errors_are_those_of_redis() {
    let settings = Settings::new(Config::default());
    let failed = |name: &str, reason: &str| {
        format!("CONFIG SET failed (possibly related to argument '{name}') - {reason}")
    };
    for (arguments, expected) in [
        (
            &["foo", "bar"][..],
            "Unknown option or number of arguments for CONFIG SET - 'foo'".to_owned(),
        ),
        (
            &["timeout", "1", "foo", "2"],
            "Unknown option or number of arguments for CONFIG SET - 'foo'".to_owned(),
        ),
        (&["timeout", "1", "tim"], "syntax error".to_owned()),
        (
            &["databases", "5"],
            failed("databases", "can't set immutable config"),
        ),
        (&["dir", "/x"], failed("dir", "can't set protected config")),
        (
            &["maxmemory", "abc"],
            failed("maxmemory", "argument must be a memory value"),
        ),
        (
            &["timeout", "-1"],
            failed(
                "timeout",
                "argument must be between 0 and 2147483647 inclusive",
            ),
        ),
        (
            &["Timeout", "abc"],
            failed("Timeout", "argument couldn't be parsed into an integer"),
        ),
        (
            &["timeout", "1", "timeout", "2"],
            failed("timeout", "duplicate parameter"),
        ),
        (
            &["replica-priority", "1", "slave-priority", "2"],
            failed("slave-priority", "duplicate parameter"),
        ),
        (
            &["repl-timeout", "0"],
            failed(
                "repl-timeout",
                "argument must be between 1 and 2147483647 inclusive",
            ),
        ),
        (
            &["maxclients", "0"],
            failed(
                "maxclients",
                "argument must be between 1 and 4294967295 inclusive",
            ),
        ),
        (
            &["replica_partial_sync", "maybe"],
            failed("replica_partial_sync", "argument must be 'yes' or 'no'"),
        ),
    ] {
        assert_eq!(set(&settings, arguments), Err(expected), "{arguments:?}");
    }
    assert_eq!(*settings.load(), Config::default());
    assert_eq!(settings.generation(), 0);
}

#[test]
fn a_failing_pair_undoes_the_ones_before_it() {
    let settings = Settings::new(Config::default());
    assert!(set(&settings, &["timeout", "5", "maxmemory", "x"]).is_err());
    assert_eq!(settings.load().timeout, 0);
}

#[test]
fn constants_take_only_what_they_are() {
    let settings = Settings::new(Config::default());
    set(&settings, &["save", "", "appendonly", "no"]).unwrap();
    assert!(
        set(&settings, &["appendonly", "yes"])
            .unwrap_err()
            .contains("no other value than 'no'")
    );
}

#[test]
fn watchers_and_the_generation_tell_of_changes() {
    let settings = Settings::new(Config::default());
    let seen = Arc::new(AtomicU64::new(0));
    let writer = seen.clone();
    settings.watch(move |config| writer.store(config.maxmemory, Ordering::Relaxed));
    set(&settings, &["maxmemory", "77"]).unwrap();
    assert_eq!(
        (seen.load(Ordering::Relaxed), settings.generation()),
        (77, 1)
    );
    settings.update(|config| config.replicaof = "h:1".parse().ok());
    assert_eq!(get(&settings, &["slaveof"]), [pair("slaveof", "h 1")]);
    assert_eq!(settings.generation(), 2);
}
