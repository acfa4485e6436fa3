//! Starting and stopping a server, for the binary and for programs that embed one: one path.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use tokio_util::sync::CancellationToken;

use crate::condition::Watcher;
use crate::config::{Config, Endpoint};
use crate::counters::ServerFacts;
use crate::flags::FlagError;
use crate::limits;
use crate::net::{
    Accepted, ClientSlots, Door, ListenError, ListenOptions, Listening, ListeningSocket,
    SocketFile, accept_all, listen, listen_unix,
};
use crate::settings::Settings;
use crate::tls::{Tls, TlsError, watch_files};

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration does not fit together.
    #[error(transparent)]
    Config(#[from] FlagError),
    /// TLS can't be had as the flags ask for it.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Nothing listens.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The data could not be loaded.
    #[error("{0}")]
    Data(String),
    /// The system refused a thread, a runtime or a file.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

/// What a server's parts share.
#[derive(Clone)]
pub struct Shared {
    /// The configuration, which CONFIG SET changes.
    pub settings: Arc<Settings>,
    /// Cancelled when the server is to end; SHUTDOWN cancels it too.
    pub stop: CancellationToken,
    /// The connected clients.
    pub clients: Arc<ClientSlots>,
    /// The addresses that are listened on.
    pub addresses: Arc<[SocketAddr]>,
    /// Those of the admin port.
    pub admin_addresses: Arc<[SocketAddr]>,
    /// What is known of the server as a whole.
    pub facts: Arc<ServerFacts>,
    /// How connections are encrypted.
    pub tls: Arc<Tls>,
    /// Saves what a server that ends has to save, for whoever is on no thread of the engine; set by the service.
    pub last_save: Arc<OnceLock<LastSave>>,
    /// Looks at the service, for whoever is on no thread of the engine; set by the service.
    pub watcher: Arc<OnceLock<Watcher>>,
}

/// Saves, and tells whether it went well.
pub type LastSave = Box<dyn Fn(std::sync::mpsc::Sender<Result<(), String>>) + Send + Sync>;

/// What serves the connections. It is started by a function given to [`Builder::start_with`];
/// dropping it ends its threads, and must not return before they have ended.
pub trait Service {
    /// Takes a connection. Called on the acceptor's thread; must not block.
    fn accept(&self, connection: Accepted);
}

/// Sets up a server.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    config: Config,
}

impl Builder {
    /// A server with the defaults of the flags, but on a free port of 127.0.0.1, and without files: what a program
    /// that embeds a server or tests against one wants.
    pub fn new() -> Builder {
        Builder::from_config(Config {
            port: -1,
            bind: vec!["127.0.0.1".to_owned()],
            dbfilename: String::new(),
            ..Config::default()
        })
    }

    /// A server with this configuration.
    pub fn from_config(config: Config) -> Builder {
        Builder { config }
    }

    /// The TCP port; -1 = a free one, 0 = no TCP.
    pub fn port(self, port: i32) -> Builder {
        self.configure(|config| config.port = port)
    }

    /// The names and addresses to listen on; none = all interfaces.
    pub fn bind<H: Into<String>>(self, hosts: impl IntoIterator<Item = H>) -> Builder {
        self.configure(|config| config.bind = hosts.into_iter().map(Into::into).collect())
    }

    /// The number of threads, each with a shard; 0 = one a core.
    pub fn threads(self, threads: usize) -> Builder {
        self.configure(|config| config.proactor_threads = threads)
    }

    /// The primary to follow from the start.
    pub fn replicaof(self, host: impl Into<String>, port: u16) -> Builder {
        let primary = Endpoint {
            host: host.into(),
            port,
        };
        self.configure(|config| config.replicaof = Some(primary))
    }

    /// Changes anything else of the configuration.
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Builder {
        change(&mut self.config);
        self
    }

    /// Opens the listeners, starts the service with what it shares, and accepts for it in a
    /// thread of its own. The server answers when this returns.
    ///
    /// # Errors
    /// [`StartError`]; nothing of the server is left then.
    pub fn start_with<S: Service + Send + 'static>(
        self,
        service: impl FnOnce(&Shared) -> io::Result<S>,
    ) -> Result<Server, StartError> {
        let mut config = self.config;
        config.validate()?;
        let tls = Arc::<Tls>::default();
        tls.load(&config)?;
        let doors = Doors::open(&config)?;
        let (addresses, admin_addresses) = (doors.addresses.clone(), doors.admin_addresses.clone());
        let port = |addresses: &[SocketAddr]| {
            addresses
                .first()
                .map_or(0, |address| i32::from(address.port()))
        };
        (config.port, config.admin.port) = (port(&addresses), port(&admin_addresses));
        let held = limits::make_room_for_clients(config.maxclients);
        if held < u64::from(config.maxclients) {
            tracing::warn!(
                maxclients = config.maxclients,
                held,
                "the limit of open descriptors holds fewer clients"
            );
            config.maxclients = u32::try_from(held).unwrap_or(u32::MAX).max(1);
        }
        let shared = Shared {
            facts: Arc::new(ServerFacts::new(config.threads())),
            settings: Arc::new(Settings::new(config)),
            stop: CancellationToken::new(),
            clients: Arc::default(),
            last_save: Arc::default(),
            watcher: Arc::default(),
            addresses,
            admin_addresses,
            tls,
        };
        let service = service(&shared)?;
        let acceptor = start_acceptor(doors, shared.clone(), service)?;
        Ok(Server {
            shared,
            acceptor: Some(acceptor),
        })
    }
}

/// All that is listened on.
struct Doors {
    listeners: Vec<Listening>,
    addresses: Arc<[SocketAddr]>,
    admin_addresses: Arc<[SocketAddr]>,
    file: Option<SocketFile>,
}

impl Doors {
    fn open(config: &Config) -> Result<Doors, StartError> {
        let mut doors = Doors {
            listeners: Vec::new(),
            addresses: Arc::new([]),
            admin_addresses: Arc::new([]),
            file: None,
        };
        doors.addresses = doors.open_tcp(Door::Public, config, &config.bind, config.port)?;
        let hosts = match config.admin.bind.is_empty() {
            true => &config.bind,
            false => &config.admin.bind,
        };
        doors.admin_addresses = doors.open_tcp(Door::Admin, config, hosts, config.admin.port)?;
        if !config.unixsocket.as_os_str().is_empty() {
            let mode = u32::from_str_radix(&config.unixsocketperm, 8).ok();
            let mode = mode.filter(|mode| *mode != 0);
            let (listener, file) = listen_unix(&config.unixsocket, mode)?;
            doors.file = Some(file);
            doors.listeners.push(Listening {
                door: Door::Unix,
                socket: ListeningSocket::Unix(listener),
            });
        }
        Ok(doors)
    }

    /// Opens a port on its addresses, and says which they are.
    fn open_tcp(
        &mut self,
        door: Door,
        config: &Config,
        hosts: &[String],
        port: i32,
    ) -> Result<Arc<[SocketAddr]>, StartError> {
        let listeners = listen(&ListenOptions {
            hosts: hosts.to_vec(),
            port,
            backlog: config.tcp_backlog,
            reuse_port: false,
        })?;
        let addresses = listeners
            .iter()
            .map(|listener| listener.local_addr())
            .collect::<io::Result<Arc<[_]>>>()?;
        let listening = |listener| Listening {
            door,
            socket: ListeningSocket::Tcp(listener),
        };
        self.listeners.extend(listeners.into_iter().map(listening));
        Ok(addresses)
    }
}

/// Accepts in a new thread, which ends the service when the server is to end.
fn start_acceptor<S: Service + Send + 'static>(
    doors: Doors,
    shared: Shared,
    service: S,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("acceptor".to_owned())
        .spawn(move || {
            // Whatever ends this thread ends the server, a panic too.
            let _stop = shared.stop.clone().drop_guard();
            let deal = |connection| service.accept(connection);
            let _file = doors.file;
            let accepting = accept_all(
                doors.listeners,
                shared.settings.clone(),
                shared.clients.clone(),
                shared.stop.clone(),
                deal,
            );
            let accepted = runtime.block_on(async {
                tokio::select! {
                    accepted = accepting => accepted,
                    () = watch_files(&shared.tls, &shared.settings) => Ok(()),
                }
            });
            if let Err(error) = accepted {
                tracing::error!(%error, "cannot accept connections");
            }
        })
}

/// A running server, in threads of its own. Dropped, it is shut down.
pub struct Server {
    shared: Shared,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// The first address that is listened on; `None` without TCP.
    pub fn address(&self) -> Option<SocketAddr> {
        self.shared.addresses.first().copied()
    }

    /// All addresses that are listened on.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.shared.addresses
    }

    /// All addresses of the admin port.
    pub fn admin_addresses(&self) -> &[SocketAddr] {
        &self.shared.admin_addresses
    }

    /// The configuration of the running server.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.shared.settings
    }

    /// A token that shuts the server down when it is cancelled, and is cancelled when the server
    /// ends for another reason.
    pub fn stop_token(&self) -> CancellationToken {
        self.shared.stop.clone()
    }

    /// What looks at the service, once it runs.
    pub(crate) fn watcher(&self) -> Arc<OnceLock<Watcher>> {
        self.shared.watcher.clone()
    }

    /// Reads the files behind TLS again, as SIGHUP asks. What is wrong with them is logged, and those read before stay in use.
    pub fn reload_tls(&self) {
        self.shared.tls.reload(&self.shared.settings.load(), true);
    }

    /// Whether the server has ended.
    pub fn has_ended(&self) -> bool {
        self.acceptor.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Why the server ended, or is about to, if something went wrong: its data could not be loaded.
    pub fn failure(&self) -> Option<String> {
        self.shared.facts.failure().map(str::to_owned)
    }

    /// Saves the data if `--dbfilename` asks for it, and takes no write from then on. Waits for it.
    ///
    /// # Errors
    /// Why it could not be saved; the server goes on.
    pub fn save_at_end(&self) -> Result<(), String> {
        let Some(save) = self.shared.last_save.get() else {
            return Ok(());
        };
        let (tell, saved) = std::sync::mpsc::channel();
        save(tell);
        // A server that has ended meanwhile has nothing to say.
        saved.recv().unwrap_or(Ok(()))
    }

    /// Ends the server and waits for its threads. Nothing is saved: see [`Server::save_at_end`].
    pub fn shutdown(mut self) {
        self.end();
    }

    /// Waits until something else ends the server.
    pub fn wait(mut self) {
        self.join();
    }

    fn end(&mut self) {
        self.shared.stop.cancel();
        self.join();
    }

    fn join(&mut self) {
        if let Some(acceptor) = self.acceptor.take()
            && acceptor.join().is_err()
        {
            tracing::error!("the acceptor panicked");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::RawSocket;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    /// Greets each connection and keeps it until the server ends.
    struct Greeter {
        connections: mpsc::Sender<Accepted>,
        dropped: Arc<AtomicBool>,
    }

    impl Service for Greeter {
        fn accept(&self, mut connection: Accepted) {
            let RawSocket::Tcp(stream) = &mut connection.stream else {
                panic!("not TCP");
            };
            stream.write_all(b"hello").unwrap();
            self.connections.send(connection).unwrap();
        }
    }

    impl Drop for Greeter {
        fn drop(&mut self) {
            self.dropped.store(true, Ordering::SeqCst);
        }
    }

    fn greeter(builder: Builder) -> (Server, mpsc::Receiver<Accepted>, Arc<AtomicBool>) {
        let (connections, accepted) = mpsc::channel();
        let dropped = Arc::new(AtomicBool::new(false));
        let service = Greeter {
            connections,
            dropped: dropped.clone(),
        };
        (
            builder.start_with(|_| Ok(service)).unwrap(),
            accepted,
            dropped,
        )
    }

    fn read(server: &Server, length: usize) -> String {
        let mut stream = TcpStream::connect(server.address().unwrap()).unwrap();
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_server_answers_at_its_address_and_ends() {
        let (server, accepted, dropped) = greeter(Builder::new());
        let address = server.address().unwrap();
        assert_eq!(server.settings().load().port, i32::from(address.port()));
        assert_eq!(read(&server, 5), "hello");
        assert_eq!(accepted.recv().unwrap().local, address.into());
        assert!(!server.has_ended());
        server.shutdown();
        assert!(
            dropped.load(Ordering::SeqCst),
            "the service outlived the server"
        );
        assert!(TcpStream::connect(address).is_err());
    }

    #[test]
    fn dropping_ends_it_and_so_does_the_token() {
        let (server, _accepted, dropped) = greeter(Builder::new());
        drop(server);
        assert!(dropped.load(Ordering::SeqCst));
        let (server, _accepted, dropped) = greeter(Builder::new());
        server.stop_token().cancel();
        server.wait();
        assert!(dropped.load(Ordering::SeqCst));
    }

    #[test]
    fn clients_beyond_the_limit_are_told_so() {
        let (server, accepted, _) =
            greeter(Builder::new().configure(|config| config.maxclients = 1));
        assert_eq!(read(&server, 5), "hello");
        assert_eq!(read(&server, 36), "-ERR max number of clients reached\r\n");
        drop(accepted.recv().unwrap());
        assert_eq!(read(&server, 5), "hello");
    }

    #[test]
    fn without_tcp_it_runs_and_ends() {
        let (server, _accepted, _) = greeter(Builder::new().port(0));
        assert_eq!(server.address(), None);
        server.shutdown();
    }

    #[test]
    fn errors_leave_nothing_behind() {
        let (server, _accepted, _) = greeter(Builder::new());
        let port = i32::from(server.address().unwrap().port());
        let taken = Builder::new()
            .port(port)
            .start_with(|_| -> io::Result<Greeter> { unreachable!("nothing listens") });
        assert!(matches!(
            taken,
            Err(StartError::Listen(ListenError::Bind { .. }))
        ));
        let failing = Builder::new()
            .start_with(|_| -> io::Result<Greeter> { Err(io::ErrorKind::OutOfMemory.into()) });
        assert!(matches!(failing, Err(StartError::System(_))));
        let wrong = Builder::new()
            .threads(1)
            .configure(|config| config.num_shards = 2);
        assert!(matches!(
            wrong.start_with(|_| -> io::Result<Greeter> { unreachable!("not valid") }),
            Err(StartError::Config(_))
        ));
    }
}
