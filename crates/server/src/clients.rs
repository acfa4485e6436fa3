//! The connected clients, as CLIENT LIST and CLIENT KILL see them.

use damselfly_engine::Session;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio_util::sync::CancellationToken;

/// What kind of client a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    /// An ordinary client.
    Normal,
    /// The link to this server's primary.
    Master,
    /// A replica's control connection or flow.
    Replica,
}

impl ClientKind {
    /// The word that `CLIENT LIST TYPE` takes.
    pub fn name(self) -> &'static str {
        match self {
            ClientKind::Normal => "normal",
            ClientKind::Master => "master",
            ClientKind::Replica => "replica",
        }
    }

    /// The letter in `flags=`.
    fn flag(self) -> char {
        match self {
            ClientKind::Normal => 'N',
            ClientKind::Master => 'M',
            ClientKind::Replica => 'S',
        }
    }
}

/// One connected client. Lives on the connection's thread.
pub struct ClientEntry {
    /// Its id.
    pub id: u64,
    /// The peer.
    pub addr: SocketAddr,
    /// Our end.
    pub laddr: SocketAddr,
    /// When it connected, in Unix milliseconds.
    pub connected_at: i64,
    /// What it is.
    pub kind: Cell<ClientKind>,
    active_at: Cell<i64>,
    state: RefCell<SessionState>,
    kill: CancellationToken,
}

/// What changes while a client works; a copy of its session's fields.
#[derive(Default, Clone)]
struct SessionState {
    name: Vec<u8>,
    lib_name: Vec<u8>,
    lib_ver: Vec<u8>,
    db: u16,
    resp: u8,
    multi: Option<usize>,
    watch: usize,
    command: &'static str,
    input: usize,
    fd: i32,
}

impl ClientEntry {
    /// A client that has just connected.
    pub fn new(id: u64, addr: SocketAddr, laddr: SocketAddr, fd: i32, kill: CancellationToken) -> ClientEntry {
        let now = damselfly_engine::thread::unix_ms();
        ClientEntry {
            id,
            addr,
            laddr,
            connected_at: now,
            kind: Cell::new(ClientKind::Normal),
            active_at: Cell::new(now),
            state: RefCell::new(SessionState { resp: 2, command: "NULL", fd, ..SessionState::default() }),
            kill,
        }
    }

    /// Notes the session's state, after requests have run.
    pub(crate) fn update(&self, session: &Session, input: usize) {
        self.active_at.set(damselfly_engine::thread::unix_ms());
        let mut state = self.state.borrow_mut();
        if state.name != session.name {
            state.name.clone_from(&session.name);
        }
        state.db = session.db.0;
        state.resp = if session.proto == damselfly_engine::resp::Proto::Resp3 { 3 } else { 2 };
        state.multi = session.multi.as_ref().map(damselfly_engine::session::MultiState::len);
        state.watch = session.watched.len();
        state.command = session.last_command;
        state.input = input;
    }

    /// Notes what CLIENT SETINFO said.
    pub fn set_library(&self, name: Option<&[u8]>, version: Option<&[u8]>) {
        let mut state = self.state.borrow_mut();
        if let Some(name) = name {
            state.lib_name = name.to_vec();
        }
        if let Some(version) = version {
            state.lib_ver = version.to_vec();
        }
    }

    /// Closes the connection as soon as it is not running a command.
    pub fn kill(&self) {
        self.kill.cancel();
    }

    pub(crate) async fn killed(&self) {
        self.kill.cancelled().await;
    }

    /// Its line in CLIENT LIST, without the line end.
    pub fn line(&self, now: i64) -> Vec<u8> {
        let state = self.state.borrow();
        let mut line = format!("id={} addr={} laddr={} fd={} name=", self.id, self.addr, self.laddr, state.fd).into_bytes();
        line.extend_from_slice(&state.name);
        let multi = state.multi.map_or(-1, |queued| queued as i64);
        let flag = if state.multi.is_some() { 'x' } else { self.kind.get().flag() };
        line.extend_from_slice(
            format!(
                " age={} idle={} flags={flag} db={} sub=0 psub=0 ssub=0 multi={multi} qbuf={} qbuf-free=0 argv-mem=0 \
                 multi-mem=0 rbs=16384 rbp=0 obl=0 oll=0 omem=0 tot-mem={} events=r cmd={} user=default redir=-1 resp={}",
                (now - self.connected_at) / 1000,
                (now - self.active_at.get()) / 1000,
                state.db,
                state.input,
                16384 + state.input,
                state.command,
                state.resp,
            )
            .as_bytes(),
        );
        line
    }
}

/// The clients of one thread.
#[derive(Default)]
pub struct ClientTable {
    clients: RefCell<BTreeMap<u64, Rc<ClientEntry>>>,
}

impl ClientTable {
    /// Adds a client; it leaves when the guard is dropped.
    pub(crate) fn add(self: &Rc<Self>, entry: Rc<ClientEntry>) -> ClientGuard {
        let id = entry.id;
        self.clients.borrow_mut().insert(id, entry);
        ClientGuard { table: self.clone(), id }
    }

    /// All clients, in the order of their ids.
    pub fn entries(&self) -> Vec<Rc<ClientEntry>> {
        self.clients.borrow().values().cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.clients.borrow().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.clients.borrow().is_empty()
    }
}

/// Takes a client out of its table when dropped.
pub(crate) struct ClientGuard {
    table: Rc<ClientTable>,
    id: u64,
}

impl Drop for ClientGuard {
    fn drop(&mut self) {
        self.table.clients.borrow_mut().remove(&self.id);
    }
}
