//! The engine behind the listeners: deals connections to threads, each of which serves its own.

use crate::admission::admitted;
use crate::builder::{Builder, Server, Service, Shared, StartError};
use crate::clients::{ClientEntry, ClientTable};
use crate::commands::{
    COMMANDS, apply_changes, apply_output_limits, limit_thread, limits_of, load_at_start,
};
use crate::condition::Watcher;
use crate::config::{Config, UnknownTypes};
use crate::connection::serve;
use crate::counters::{ThreadCounters, watch_thread};
use crate::net::{Accepted, Door};
use crate::snapshots;
use damselfly_engine::acl::Restricted;
use damselfly_engine::replicate::ReplicationOptions;
use damselfly_engine::replication::{Credentials, PrimaryConfig, ReplicaConfig, RestartedPrimary};
use damselfly_engine::resp::RequestLimits;
use damselfly_engine::script::ScriptOptions;
use damselfly_engine::thread::{Thread, unix_ms};
use damselfly_engine::{Engine, EngineOptions, RunningEngine, Session};
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the server keeps on each thread of the engine.
pub struct ServerThread {
    /// The server.
    pub shared: Shared,
    /// The clients of this thread.
    pub clients: Rc<ClientTable>,
    /// What they did.
    pub counters: ThreadCounters,
}

impl ServerThread {
    /// The server's part of this thread, put there, with a task that watches it, when it is first asked for.
    /// To be called on the thread, inside its runtime.
    pub fn of(thread: &Rc<Thread>, shared: &Shared) -> Rc<ServerThread> {
        ServerThread::on(thread).unwrap_or_else(|| {
            let made = Rc::new(ServerThread {
                shared: shared.clone(),
                clients: Rc::default(),
                counters: ThreadCounters::default(),
            });
            *thread.host.borrow_mut() = Some(made.clone());
            tokio::task::spawn_local(watch_thread(thread.clone(), made.clone()));
            made
        })
    }

    /// The server's part of this thread, if it is there.
    pub fn on(thread: &Thread) -> Option<Rc<ServerThread>> {
        thread
            .host
            .borrow()
            .clone()?
            .downcast::<ServerThread>()
            .ok()
    }
}

/// What a session knows of its connection: the `host` of its [`Session`].
pub struct SessionHost {
    /// The server's part of the connection's thread.
    pub server: Rc<ServerThread>,
    /// The connection, as other connections see it.
    pub entry: Rc<ClientEntry>,
}

struct EngineService {
    running: RunningEngine,
    shared: Shared,
    next_thread: AtomicUsize,
}

impl EngineService {
    fn start(shared: &Shared) -> io::Result<EngineService> {
        let config = shared.settings.load();
        let options = EngineOptions {
            threads: config.threads(),
            shards: config.shards(),
            dbnum: config.dbnum,
            max_memory: config.maxmemory,
            eviction: config.eviction(),
            events: config.notify_keyspace_events,
            backlog_max_bytes: config.backlog_bytes(),
            backlog_time_ms: config.shard_repl_backlog_time_ms,
            skip_unknown_types: config.rdb_unknown_types == UnknownTypes::Skip,
            scripts: ScriptOptions {
                undeclared_keys: config.undeclared_keys,
                memory_limit: config.lua_mem_limit as usize,
                busy_ms: config.busy_reply_threshold,
            },
            replication: ReplicationOptions {
                secure: Some(shared.tls.clone()),
                ..replication_options(&config)
            },
            ..EngineOptions::default()
        };
        let running = Engine::start(options, COMMANDS)?;
        load_at_start(&running.engine().acl, &config)?;
        restrict(running.engine(), &config)?;
        snapshots::begin(shared, &config, running.engine())?;
        let _ = shared.watcher.set(Watcher::new(running.engine().clone()));
        end_when_taken_over(running.engine(), shared);
        running
            .engine()
            .want_good_replicas(config.min_replicas_to_write, config.min_replicas_max_lag);
        apply_output_limits(&config, running.engine());
        apply_changes(&shared.settings, running.engine());
        let limits = limits_of(&config);
        running
            .engine()
            .slow
            .configure(limits.slow, config.slowlog_max_len);
        for thread in 0..running.engine().mesh.threads() {
            let shared = shared.clone();
            let task = move |thread: &Rc<Thread>| {
                drop(ServerThread::of(thread, &shared));
                limit_thread(thread, &thread.engine, limits);
            };
            running.engine().mesh.run_on(thread, Box::new(task));
        }
        Ok(EngineService {
            running,
            shared: shared.clone(),
            next_thread: AtomicUsize::new(0),
        })
    }
}

/// A primary that a replica has taken over from ends.
fn end_when_taken_over(engine: &Engine, shared: &Shared) {
    let (taken_over, stop) = (engine.shutdown_token().clone(), shared.stop.clone());
    let task = move |_: &Rc<Thread>| {
        tokio::task::spawn_local(async move {
            taken_over.cancelled().await;
            stop.cancel();
        });
    };
    engine.mesh.run_on(0, Box::new(task));
}

/// What the configuration says of replication.
pub(crate) fn replication_options(config: &Config) -> ReplicationOptions {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let auth = given(&config.masterauth).map(|password| Credentials {
        user: given(&config.masteruser),
        password,
    });
    let port = if config.announce_port != 0 {
        config.announce_port
    } else {
        u16::try_from(config.port).unwrap_or(0)
    };
    ReplicationOptions {
        replica: ReplicaConfig {
            auth,
            announce_port: port,
            announce_ip: given(&config.replica_announce_ip),
            connect_timeout_ms: config.master_connect_timeout_ms,
            handshake_timeout_ms: config.master_connect_timeout_ms,
            reconnect_timeout_ms: config.master_reconnect_timeout_ms,
            replication_timeout_ms: config.replication_timeout_ms,
            ack_interval_ms: config.replication_acks_interval_ms,
            partial_sync: config.replica_partial_sync,
            restarted_primary: match config {
                _ if config.break_replication_on_master_restart => RestartedPrimary::Refuse,
                _ if config.follow_blank_master => RestartedPrimary::Follow,
                _ => RestartedPrimary::RefuseLess,
            },
            ..ReplicaConfig::default()
        },
        primary: PrimaryConfig {
            output_limit: usize::try_from(config.replication_stream_output_limit)
                .unwrap_or(usize::MAX),
            replication_timeout_ms: config.replication_timeout_ms,
            ..PrimaryConfig::default()
        },
        valkey_compatible: config.info_replication_valkey_compatible,
        priority: config.replica_priority,
        announced: config.replica_announced,
        secure: None,
    }
}

impl Service for EngineService {
    fn accept(&self, connection: Accepted) {
        let engine = self.running.engine();
        let thread = self.next_thread.fetch_add(1, Ordering::Relaxed) % engine.mesh.threads();
        let shared = self.shared.clone();
        engine.mesh.run_on(
            thread,
            Box::new(move |thread| {
                tokio::task::spawn_local(serve_accepted(thread.clone(), shared, connection));
            }),
        );
    }
}

async fn serve_accepted(thread: Rc<Thread>, shared: Shared, accepted: Accepted) {
    let Accepted {
        stream,
        peer,
        local,
        door,
        slot,
    } = accepted;
    let fd = stream.as_raw_fd();
    let acl = &thread.engine.acl;
    let Some(stream) = admitted(stream, &peer, door, &shared, acl).await else {
        return;
    };
    let config = shared.settings.load();
    let server = ServerThread::of(&thread, &shared);
    let mut session = Session::new(thread, Rc::new(()));
    let entry = Rc::new(ClientEntry::new(
        session.id,
        peer.clone(),
        local,
        fd,
        shared.stop.child_token(),
    ));
    let _listed = server.clients.add(entry.clone());
    let host = Rc::new(SessionHost { server, entry });
    session.host = host.clone();
    session.kill = host.entry.kill_token();
    session.describe = describe;
    session.peer = peer.to_string();
    // Others may have something for it before it asks for anything.
    session.push_queue();
    session.peer_ip = peer.host();
    open_door(&mut session, door, &config);
    let limits = RequestLimits {
        max_bulk_len: config.max_bulk_len as _,
        max_multi_bulk_len: config.max_multi_bulk_len as _,
        ..RequestLimits::default()
    };
    let takes_http = match door {
        Door::Admin => true,
        Door::Public => config.primary_port_http_enabled,
        Door::Unix => false,
    };
    serve(stream, session, host, limits, takes_http).await;
    drop(slot);
}

/// Gives a session what its door does.
fn open_door(session: &mut Session, door: Door, config: &Config) {
    if door != Door::Admin {
        session.restricted = session.thread.engine.restricted.get().cloned();
    } else if config.admin.nopass {
        session.trust();
    }
}

/// Notes the commands that only the admin port may run.
fn restrict(engine: &Engine, config: &Config) -> io::Result<()> {
    if config.admin.restricted_commands.is_empty() {
        return Ok(());
    }
    let restricted = Restricted::new(engine.acl.catalog(), &config.admin.restricted_commands);
    let restricted = restricted.map_err(|name| {
        io::Error::other(format!("--restricted_commands: there is no command {name}"))
    })?;
    if config.admin.port == 0 {
        tracing::warn!("--restricted_commands without --admin_port: nobody can run these commands");
    }
    // It was not set before: the engine is new.
    let _ = engine.restricted.set(Arc::new(restricted));
    Ok(())
}

/// The client of a session, as CLIENT LIST shows it.
fn describe(session: &Session) -> Vec<u8> {
    let Some(host) = session.host.downcast_ref::<SessionHost>() else {
        return Vec::new();
    };
    host.entry.note(session);
    host.entry.line(unix_ms(), &session.thread.engine.table)
}

impl Builder {
    /// Starts the server with the engine behind it.
    ///
    /// # Errors
    /// [`StartError`]; nothing of the server is left then.
    pub fn start(self) -> Result<Server, StartError> {
        self.start_with(EngineService::start)
    }
}
