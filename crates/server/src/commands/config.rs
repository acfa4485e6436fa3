//! CONFIG: the server's [`Settings`](crate::Settings) for clients.

use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use damselfly_engine::command::Hidden;
use damselfly_engine::families::glob::Glob;
use damselfly_engine::replication::replica::Role;
use damselfly_engine::resp::{ReplyWriter, parse_i64};
use damselfly_engine::session::AsyncResult;
use damselfly_engine::thread::Thread;
use damselfly_engine::{
    Command, CommandError, CommandResult, Engine, EngineLimits, Flags, Group, Handler, Keys,
    Session,
};

use super::acl::{reason, replace};
use crate::builder::Shared;
use crate::config::{Config, Endpoint, UnknownTypes};
use crate::flags;
use crate::limits::make_room_for_clients;
use crate::service::{ServerThread, SessionHost, replication_options};
use crate::settings::Settings;
use crate::tls::Tls;

/// Passwords that TLS may need.
const TLS_NEEDS: &[&[u8]] = &[b"requirepass", b"masterauth"];

/// The lines of CONFIG HELP (Redis 7.0, `config.c`).
const HELP: &[&str] = &[
    "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <pattern>",
    "    Return parameters matching the glob-like <pattern> and their values.",
    "SET <directive> <value>",
    "    Set the configuration <directive> to <value>.",
    "RESETSTAT",
    "    Reset statistics reported by the INFO command.",
    "REWRITE",
    "    Rewrite the configuration file.",
    "HELP",
    "    Prints this help.",
];

fn shared(session: &Session) -> Option<Shared> {
    let host = session.host.downcast_ref::<SessionHost>()?;
    Some(host.server.shared.clone())
}

fn settings(session: &Session) -> Option<Arc<Settings>> {
    Some(shared(session)?.settings)
}

fn needs_server() -> CommandError {
    CommandError::text("ERR this session has no server whose configuration it could see")
}

fn get(session: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let settings = settings(session).ok_or_else(needs_server)?;
    follow_role(session, &settings);
    let found = settings.get(&args[2..], &|pattern, name| {
        Glob::new(&pattern.to_ascii_lowercase()).matches(name)
    });
    out.map(found.len());
    for (name, value) in found {
        out.bulk(name);
        out.bulk(value);
    }
    Ok(())
}

/// `replicaof` says what REPLICAOF has made of it.
fn follow_role(session: &Session, settings: &Settings) {
    let (role, _) = session.thread.engine.replication().link.status();
    let primary = match role {
        Role::Primary => None,
        Role::Replica(address) => address.rsplit_once(':').and_then(|(host, port)| {
            Some(Endpoint {
                host: host.to_owned(),
                port: port.parse().ok()?,
            })
        }),
    };
    if settings.load().replicaof != primary {
        settings.update(|config| config.replicaof = primary);
    }
}

/// Whether CONFIG SET's argument at this place is a password.
fn hides(args: &[&[u8]], at: usize) -> bool {
    at > 2 && at % 2 == 1 && crate::settings::is_secret(args[at - 1])
}

/// What the shards have of the settings follows before the reply.
fn set<'a>(
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let settings = settings(session).ok_or_else(needs_server)?;
        let refused = |error: crate::SettingError| CommandError::owned(format!("ERR {error}"));
        check_clients(&args[2..]).map_err(refused)?;
        let concerns_tls = check_tls(&settings, &args[2..]).map_err(refused)?;
        settings.set(&args[2..]).map_err(refused)?;
        let config = settings.load();
        if let Some(shared) = shared(session).filter(|_| concerns_tls) {
            shared.tls.reload(&config, true);
        }
        if names(&args[2..], "requirepass") {
            super::acl::set_password(&session.thread.engine.acl, &config);
        }
        let limits = limits_of(&config);
        let engine = session.thread.engine.clone();
        engine.slow.configure(limits.slow, config.slowlog_max_len);
        session
            .thread
            .on_all_threads(move |thread| limit_thread(thread, &engine, limits))
            .await;
        ReplyWriter::new(out, session.proto).ok();
        Ok(())
    })
}

/// Whether one of the pairs is about this parameter.
fn names(pairs: &[&[u8]], parameter: &str) -> bool {
    let mut names = pairs.iter().step_by(2);
    names.any(|name| name.eq_ignore_ascii_case(parameter.as_bytes()))
}

/// Whether a change concerns TLS; it is refused if TLS can't be had so.
fn check_tls(settings: &Settings, arguments: &[&[u8]]) -> Result<bool, crate::SettingError> {
    let (pairs, _) = arguments.as_chunks::<2>();
    let has_part = |name: &[u8]| {
        let name = name.to_ascii_lowercase();
        name.starts_with(b"tls") || TLS_NEEDS.contains(&name.as_slice())
    };
    let Some([name, _]) = pairs.iter().find(|[name, _]| has_part(name)) else {
        return Ok(false);
    };
    let config = settings.preview(arguments)?;
    Tls::check(&config).map_err(|error| crate::SettingError::Refused {
        name: String::from_utf8_lossy(name).into_owned(),
        reason: error.to_string(),
    })?;
    Ok(true)
}

/// Whether the system lets this process have as many clients as `maxclients` asks for.
fn check_clients(arguments: &[&[u8]]) -> Result<(), crate::SettingError> {
    let (pairs, _) = arguments.as_chunks::<2>();
    for [name, value] in pairs
        .iter()
        .filter(|[name, _]| name.eq_ignore_ascii_case(b"maxclients"))
    {
        let wanted = parse_i64(value)
            .and_then(|wanted| u32::try_from(wanted).ok())
            .unwrap_or(0);
        let held = make_room_for_clients(wanted);
        if held < u64::from(wanted) {
            return Err(crate::SettingError::Refused {
                name: String::from_utf8_lossy(name).into_owned(),
                reason: format!(
                    "The operating system is not able to handle the specified number of clients, try with {held}"
                ),
            });
        }
    }
    Ok(())
}

/// Gives a thread its part of new limits.
pub fn limit_thread(thread: &Rc<Thread>, engine: &Engine, limits: EngineLimits) {
    thread.slow.borrow_mut().set(limits.slow);
    thread.try_with_core(|core| engine.limit_shard(core, limits));
}

/// What the configuration says of limits.
pub fn limits_of(config: &Config) -> EngineLimits {
    EngineLimits {
        max_memory: config.maxmemory,
        eviction: config.eviction(),
        events: config.notify_keyspace_events,
        backlog_max_bytes: config.backlog_bytes(),
        backlog_time_ms: config.shard_repl_backlog_time_ms,
        slow: config.slow(),
    }
}

fn reset_statistics<'a>(
    session: &'a mut Session,
    _: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
) -> AsyncResult<'a> {
    Box::pin(async move {
        let reset = |thread: &Rc<Thread>| {
            thread.stats.borrow_mut().reset();
            thread.cleaned.take();
            thread.try_with_core(|core| {
                core.stats.reset();
                core.space.reset_stats();
            });
            if let Some(server) = ServerThread::on(thread) {
                server.counters.reset();
            }
        };
        session.thread.on_all_threads(reset).await;
        if let Some(host) = session.host.downcast_ref::<SessionHost>() {
            host.server.shared.clients.reset();
            host.server.shared.facts.reset_peak();
            session.thread.engine.output_limits.reset();
            session.thread.engine.replication().hub.reset_counts();
        }
        ReplyWriter::new(out, session.proto).ok();
        Ok(())
    })
}

fn rewrite(session: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let settings = settings(session).ok_or_else(needs_server)?;
    follow_role(session, &settings);
    let config = settings.load();
    let path = config.flag_file.as_ref().ok_or(CommandError::text(
        "ERR The server is running without a config file",
    ))?;
    rewrite_file(path, &config).map_err(|why| {
        tracing::warn!(path = %path.display(), why, "CONFIG REWRITE failed");
        CommandError::owned(format!("ERR Rewriting config file: {why}"))
    })?;
    out.ok();
    Ok(())
}

/// Changes the flag file in one step. The error is for people.
fn rewrite_file(path: &Path, config: &Config) -> Result<(), String> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text.map_err(|error| reason(&error))?,
    };
    let read = |path: &str| std::fs::read_to_string(path);
    let text = flags::rewrite(&text, config, &read).map_err(|error| error.to_string())?;
    replace(&path, text.as_bytes()).map_err(|error| reason(&error))
}

fn help(_: &mut Session, _: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    super::write_help(HELP, out);
    Ok(())
}

/// Says how much may wait for clients, and how much is remembered for them.
pub fn apply_output_limits(config: &Config, engine: &Engine) {
    let limits = config.client_output_buffer_limit;
    engine.output_limits.set(limits.normal, limits.pubsub);
    let shards = engine.mesh.shards();
    engine
        .tracking
        .set_max_keys(config.tracking_table_max_keys, shards);
}

/// Lets shards and replication follow the settings that they have a part of, whoever changes them.
pub fn apply_changes(settings: &Settings, engine: &Arc<Engine>) {
    let engine = Arc::downgrade(engine);
    settings.watch(move |config| {
        let Some(engine) = engine.upgrade() else {
            return;
        };
        let limits = limits_of(config);
        apply_output_limits(config, &engine);
        engine.files.configure(config.files());
        engine
            .acl
            .configure(config.acl_pubsub_default, config.acllog_max_len);
        let running = &engine.scripts.running;
        running.set_busy_ms(config.busy_reply_threshold);
        let (replication, options) = (engine.replication(), replication_options(config));
        // Links that stand keep what they began with.
        replication.hub.set_config(options.primary);
        replication.link.set_config(options.replica);
        let shown = &replication.shown;
        shown
            .valkey_compatible
            .store(config.info_replication_valkey_compatible, Ordering::Relaxed);
        shown
            .priority
            .store(config.replica_priority, Ordering::Relaxed);
        shown
            .announced
            .store(config.replica_announced, Ordering::Relaxed);
        engine.want_good_replicas(config.min_replicas_to_write, config.min_replicas_max_lag);
        shown
            .backlog_max_bytes
            .store(limits.backlog_max_bytes, Ordering::Relaxed);
        engine
            .skipped
            .enable(config.rdb_unknown_types == UnknownTypes::Skip);
        engine.slow.configure(limits.slow, config.slowlog_max_len);
        for index in 0..engine.mesh.threads() {
            let task = move |thread: &Rc<Thread>| limit_thread(thread, &thread.engine, limits);
            engine.mesh.run_on(index, Box::new(task));
        }
    });
}

const ANYTIME: Flags = Flags::ADMIN
    .or(Flags::NO_SCRIPT)
    .or(Flags::LOADING)
    .or(Flags::STALE);

/// The rows.
pub static COMMANDS: &[Command] = &[row(
    "config",
    -2,
    Handler::Session(help),
    "A container for server configuration commands.",
)
.container(SUBCOMMANDS)];

static SUBCOMMANDS: &[Command] = &[
    row(
        "get",
        -3,
        Handler::Session(get),
        "Returns the effective values of configuration parameters.",
    )
    .with(ANYTIME)
    .takes("parameter(parameter)...")
    .changes(&[("7.0.0", "Takes several names.")]),
    row(
        "set",
        -4,
        Handler::Async(set),
        "Sets configuration parameters in-flight.",
    )
    .with(ANYTIME)
    .hides(Hidden::Some(hides))
    .hints("request_policy:all_nodes response_policy:all_succeeded")
    .takes("parameter_value(parameter value)...")
    .changes(&[("7.0.0", "Takes several names and values.")]),
    row(
        "resetstat",
        2,
        Handler::Async(reset_statistics),
        "Resets the server's statistics.",
    )
    .with(ANYTIME),
    Command {
        since: "2.8.0",
        ..row(
            "rewrite",
            2,
            Handler::Session(rewrite),
            "Persists the effective configuration to file.",
        )
    }
    .with(ANYTIME),
    Command {
        since: "5.0.0",
        ..row(
            "help",
            2,
            Handler::Session(help),
            "Returns helpful text about the different subcommands.",
        )
    }
    .with(Flags::LOADING.or(Flags::STALE)),
];

const fn row(name: &'static str, arity: i16, handler: Handler, summary: &'static str) -> Command {
    Command::new(
        name,
        arity,
        Keys::None,
        Group::Server,
        "2.0.0",
        handler,
        summary,
    )
}
