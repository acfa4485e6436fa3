//! The engine behind the listeners: deals connections to threads, each of which serves its own.

use crate::builder::{Builder, Server, Service, Shared, StartError};
use crate::clients::{ClientEntry, ClientTable};
use crate::commands::{COMMANDS, apply_changes};
use crate::connection::{ConnectionLimits, serve};
use crate::net::Accepted;
use damselfly_engine::thread::Thread;
use damselfly_engine::{Engine, EngineOptions, RunningEngine, Session};
use damselfly_engine::resp::RequestLimits;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What the server keeps on each thread of the engine.
pub struct ServerThread {
    /// The server.
    pub shared: Shared,
    /// The clients of this thread.
    pub clients: Rc<ClientTable>,
}

impl ServerThread {
    /// The server's part of this thread, put there when it is first asked for.
    pub fn of(thread: &Rc<Thread>, shared: &Shared) -> Rc<ServerThread> {
        let mut host = thread.host.borrow_mut();
        let known = host.as_ref().and_then(|host| host.clone().downcast::<ServerThread>().ok());
        known.unwrap_or_else(|| {
            let made = Rc::new(ServerThread { shared: shared.clone(), clients: Rc::default() });
            *host = Some(made.clone());
            made
        })
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
            backlog_max_bytes: config.backlog_bytes(),
            backlog_time_ms: config.shard_repl_backlog_time_ms,
            ..EngineOptions::default()
        };
        let running = Engine::start(options, COMMANDS)?;
        apply_changes(&shared.settings, running.engine());
        Ok(EngineService { running, shared: shared.clone(), next_thread: AtomicUsize::new(0) })
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
    let Accepted { stream, peer, local, slot } = accepted;
    let fd = stream.as_raw_fd();
    let stream = match tokio::net::TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return tracing::warn!(%peer, %error, "cannot watch a new connection"),
    };
    let config = shared.settings.load();
    let server = ServerThread::of(&thread, &shared);
    let id = thread.engine.next_client_id();
    let entry = Rc::new(ClientEntry::new(id, peer, local, fd, shared.stop.child_token()));
    let _listed = server.clients.add(entry.clone());
    let host = Rc::new(SessionHost { server, entry: entry.clone() });
    let mut session = Session::new(thread, host);
    session.id = id;
    let limits = ConnectionLimits {
        request: RequestLimits {
            max_bulk_len: config.max_bulk_len as _,
            max_multi_bulk_len: config.max_multi_bulk_len as _,
            ..RequestLimits::default()
        },
        idle: (config.timeout > 0).then(|| Duration::from_secs(config.timeout.into())),
    };
    serve(stream, session, entry, limits).await;
    drop(slot);
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

