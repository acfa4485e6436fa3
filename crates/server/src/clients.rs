//! The connected clients, as CLIENT LIST and CLIENT KILL see them.

use crate::net::Address;
use damselfly_engine::acl::User;
use damselfly_engine::pubsub::{Kind, OutputLimits, PushQueue};
use damselfly_engine::replication::driver::FlowGauge;
use damselfly_engine::resp::Proto;
use damselfly_engine::session::MultiState;
use damselfly_engine::tracking::Mode;
use damselfly_engine::waiter::{Outcome, Waiter};
use damselfly_engine::{Command, CommandTable, Session};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
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

    /// The letter in `flags=`, if the kind has one.
    fn flag(self) -> Option<char> {
        match self {
            ClientKind::Normal => None,
            ClientKind::Master => Some('M'),
            ClientKind::Replica => Some('S'),
        }
    }
}

/// Which replies a client wants (CLIENT REPLY).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replies {
    /// All.
    On,
    /// None, until it asks for them again.
    Off,
    /// All but that of the next command.
    SkipNext,
    /// The command that runs now is the one whose reply it does not want.
    Skip,
}

/// Bytes of replies that no limit is for (Redis: the fixed part of its output buffers).
const FREE_OUTPUT_BYTES: usize = 16 * 1024;

/// Bytes that a connection's buffers hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Buffers {
    /// Bytes read that no command has used yet.
    pub input: usize,
    /// Room for more of them.
    pub input_free: usize,
    /// Replies that are not sent yet.
    pub output: usize,
    /// Bytes reserved for replies.
    pub output_size: usize,
}

impl Buffers {
    /// Bytes reserved in all.
    pub fn total(self) -> usize {
        self.input + self.input_free + self.output_size
    }
}

/// One connected client. Lives on the connection's thread.
pub struct ClientEntry {
    /// Its id.
    pub id: u64,
    /// The peer.
    pub addr: Address,
    /// Our end.
    pub laddr: Address,
    /// When it connected, in Unix milliseconds.
    pub connected_at: i64,
    /// What it is.
    pub kind: Cell<ClientKind>,
    /// CLIENT NO-EVICT.
    pub no_evict: Cell<bool>,
    /// CLIENT NO-TOUCH.
    pub no_touch: Cell<bool>,
    /// CLIENT REPLY.
    pub replies: Cell<Replies>,
    /// Its buffers, as they were after its last requests.
    pub buffers: Cell<Buffers>,
    active_at: Cell<i64>,
    over_since: Cell<Option<i64>>,
    state: RefCell<SessionState>,
    waiter: RefCell<Option<Arc<Waiter>>>,
    /// The flow to a replica that it has become.
    flow: RefCell<Option<FlowGauge>>,
    is_paused: Cell<bool>,
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
    watches: bool,
    dirty: bool,
    command: Option<&'static Command>,
    user: Option<Arc<User>>,
    fd: i32,
    pushes: Option<Rc<PushQueue>>,
    /// Who is told in its place, if it tracks: 0 is nobody.
    redirect: Option<u64>,
    broken_redirect: bool,
    broadcast: bool,
    monitors: bool,
}

impl ClientEntry {
    /// A client that has just connected.
    pub fn new(
        id: u64,
        addr: Address,
        laddr: Address,
        fd: i32,
        kill: CancellationToken,
    ) -> ClientEntry {
        let now = damselfly_engine::thread::unix_ms();
        ClientEntry {
            id,
            addr,
            laddr,
            connected_at: now,
            kind: Cell::new(ClientKind::Normal),
            no_evict: Cell::new(false),
            no_touch: Cell::new(false),
            replies: Cell::new(Replies::On),
            buffers: Cell::default(),
            active_at: Cell::new(now),
            over_since: Cell::new(None),
            state: RefCell::new(SessionState {
                resp: 2,
                fd,
                ..SessionState::default()
            }),
            waiter: RefCell::default(),
            flow: RefCell::default(),
            is_paused: Cell::new(false),
            kill,
        }
    }

    /// Notes that its command waits for others, or waits no more.
    pub(crate) fn note_waiter(&self, waiter: Option<Arc<Waiter>>) {
        *self.waiter.borrow_mut() = waiter;
    }

    /// Notes that its command waits for the end of a pause, or waits no more.
    pub(crate) fn note_paused(&self, is_paused: bool) {
        self.is_paused.set(is_paused);
    }

    /// Whether its command waits for others, or for the end of a pause.
    pub fn is_blocked(&self) -> bool {
        self.is_paused.get() || self.waiter.borrow().is_some()
    }

    /// Ends the waiting of its command. Whether it was waiting.
    pub fn unblock(&self, outcome: Outcome) -> bool {
        let waiter = self.waiter.borrow();
        waiter.as_ref().is_some_and(|waiter| waiter.end(outcome))
    }

    /// Notes the session's state and the buffers, after requests have run.
    pub(crate) fn update(&self, session: &Session, buffers: Buffers) {
        self.active_at.set(damselfly_engine::thread::unix_ms());
        self.buffers.set(buffers);
        self.note(session);
    }

    /// Notes that its replies are sent.
    pub(crate) fn sent(&self, output_size: usize) {
        self.buffers.set(Buffers {
            output: 0,
            output_size,
            ..self.buffers.get()
        });
    }

    /// Notes the session's state, before somebody looks at it.
    pub(crate) fn note(&self, session: &Session) {
        let mut state = self.state.borrow_mut();
        if state.name != session.name {
            state.name.clone_from(&session.name);
        }
        state.db = session.db.0;
        state.resp = if session.proto == Proto::Resp3 { 3 } else { 2 };
        state.multi = session.multi.as_ref().map(MultiState::len);
        state.watches = !session.watched.is_empty();
        state.dirty = state.watches && session.dirty.load(Ordering::Relaxed);
        state.command = session.last_row;
        state.monitors = session.is_monitor();
        let tracked = session.tracking.tracked();
        state.redirect = tracked.map(|tracked| tracked.redirect.map_or(0, |(id, _)| id));
        state.broken_redirect = tracked.is_some_and(|tracked| tracked.is_broken.get());
        state.broadcast = tracked.is_some() && session.tracking.mode == Mode::Broadcast;
        if state.pushes.is_none() {
            state.pushes.clone_from(&session.pushes);
        }
        if !state
            .user
            .as_ref()
            .is_some_and(|user| Arc::ptr_eq(user, session.user()))
        {
            state.user = Some(session.user().clone());
        }
        if session.replica.is_some() {
            self.kind.set(ClientKind::Replica);
        }
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

    /// Its user, as it was at its last requests; `None`: it has sent none.
    pub fn user(&self) -> Option<Arc<User>> {
        self.state.borrow().user.clone()
    }

    /// Its name.
    pub fn name(&self) -> Vec<u8> {
        self.state.borrow().name.clone()
    }

    /// Name and version of its library.
    pub fn library(&self) -> (Vec<u8>, Vec<u8>) {
        let state = self.state.borrow();
        (state.lib_name.clone(), state.lib_ver.clone())
    }

    /// Its database.
    pub fn db(&self) -> u16 {
        self.state.borrow().db
    }

    /// The letters of `flags=`.
    pub fn flag_letters(&self) -> String {
        self.flags(&self.state.borrow())
    }

    /// Closes the connection as soon as it is not running a command.
    pub fn kill(&self) {
        self.kill.cancel();
    }

    pub(crate) fn kill_token(&self) -> CancellationToken {
        self.kill.clone()
    }

    /// Notes that it is a flow to a replica from here on, or nothing that shows anything of itself.
    pub(crate) fn becomes(&self, flow: Option<FlowGauge>) {
        *self.flow.borrow_mut() = flow;
    }

    /// Time since its last requests, or acks, in milliseconds.
    pub fn idle_ms(&self, now: i64) -> i64 {
        let since_requests = now - self.active_at.get();
        let flow = self.flow.borrow();
        let since_ack = flow.as_ref().and_then(FlowGauge::ack_age_ms);
        since_ack.map_or(since_requests, |ms| since_requests.min(ms as i64))
    }

    /// Bytes of a flow that its replica has not taken.
    fn unsent_bytes(&self) -> usize {
        let flow = self.flow.borrow();
        flow.as_ref().map_or(0, |flow| flow.unsent_bytes() as usize)
    }

    /// Its line in CLIENT LIST, without the line end (Redis 7.0, `networking.c`, `catClientInfoString`).
    pub fn line(&self, now: i64, table: &CommandTable) -> Vec<u8> {
        let state = self.state.borrow();
        let buffers = self.buffers.get();
        let queue = state.pushes.as_deref();
        let subscribed = |kind| queue.map_or(0, |queue| queue.subscribed(kind));
        let (pushes, pushed_bytes) = queue.map_or((0, 0), |queue| (queue.len(), queue.bytes()));
        let unsent_bytes = self.unsent_bytes();
        let waiting = (
            pushes + usize::from(unsent_bytes > 0),
            pushed_bytes + unsent_bytes,
        );
        let mut line = format!(
            "id={} addr={} laddr={} fd={} name=",
            self.id, self.addr, self.laddr, state.fd
        )
        .into_bytes();
        line.extend_from_slice(&state.name);
        let rest = format!(
            " age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} qbuf={} qbuf-free={} argv-mem=0 multi-mem=0 \
             rbs={} rbp={} obl={} oll={} omem={} tot-mem={} events=r cmd={} user=",
            (now - self.connected_at) / 1000,
            self.idle_ms(now) / 1000,
            self.flags(&state),
            state.db,
            subscribed(Kind::Channel),
            subscribed(Kind::Pattern),
            subscribed(Kind::Shard),
            state.multi.map_or(-1, |queued| queued as i64),
            buffers.input,
            buffers.input_free,
            buffers.output_size,
            buffers.output_size,
            buffers.output,
            waiting.0,
            waiting.1,
            buffers.total() + waiting.1 + size_of::<ClientEntry>(),
            state
                .command
                .map_or_else(|| "NULL".to_owned(), |row| table.full_name(row)),
        );
        line.extend_from_slice(rest.as_bytes());
        line.extend_from_slice(state.user.as_ref().map_or(b"default", |user| &user.name));
        let redirect = state.redirect.map_or(-1, |id| id as i64);
        line.extend_from_slice(format!(" redir={redirect} resp={}", state.resp).as_bytes());
        push_library(&mut line, &state);
        line
    }

    fn is_subscriber(&self, state: &SessionState) -> bool {
        let queue = state.pushes.as_ref();
        queue.is_some_and(|queue| queue.is_subscriber())
    }

    /// Whether it is an ordinary client that subscribes to something.
    pub fn listens(&self) -> bool {
        self.kind.get() == ClientKind::Normal && self.is_subscriber(&self.state.borrow())
    }

    /// Whether it sees the commands of all others.
    pub fn monitors(&self) -> bool {
        self.state.borrow().monitors
    }

    /// Bytes of pushes and replies that wait for it to read.
    pub fn waiting_bytes(&self) -> usize {
        let state = self.state.borrow();
        state.pushes.as_ref().map_or(0, |queue| queue.bytes())
    }

    /// Looks whether more waits for it than it may, and drops it then. Replication has limits of its own.
    pub fn check_limits(&self, limits: &OutputLimits) {
        if let Some(queue) = &self.state.borrow().pushes {
            return queue.check();
        }
        let (limit, bytes) = (limits.normal(), self.buffers.get().output);
        if bytes <= FREE_OUTPUT_BYTES || self.kind.get() != ClientKind::Normal {
            return self.over_since.set(None);
        }
        let mut since = self.over_since.get();
        let now = damselfly_engine::thread::unix_ms();
        let exceeded = limit.is_exceeded(bytes, &mut since, now);
        self.over_since.set(since);
        if exceeded && !self.kill.is_cancelled() {
            limits.count_dropped();
            tracing::warn!(
                id = self.id, addr = %self.addr, bytes,
                "client dropped: it does not read, and more waits for it than client-output-buffer-limit allows"
            );
            self.kill.cancel();
        }
    }

    /// Notes how many bytes of replies wait to be sent.
    pub(crate) fn note_output(&self, output: usize) {
        self.buffers.set(Buffers {
            output,
            ..self.buffers.get()
        });
    }

    /// The letters of `flags=`, in Redis's order.
    fn flags(&self, state: &SessionState) -> String {
        let letters: String = [
            self.kind.get().flag(),
            state.monitors.then_some('O'),
            self.is_subscriber(state).then_some('P'),
            state.multi.map(|_| 'x'),
            self.is_blocked().then_some('b'),
            state.redirect.map(|_| 't'),
            state.broken_redirect.then_some('R'),
            state.broadcast.then_some('B'),
            state.dirty.then_some('d'),
            self.no_evict.get().then_some('e'),
            self.no_touch.get().then_some('T'),
        ]
        .into_iter()
        .flatten()
        .collect();
        if letters.is_empty() {
            "N".to_owned()
        } else {
            letters
        }
    }
}

/// What CLIENT SETINFO said comes last, as in Redis 7.2; who never said it keeps the line of 7.0.
fn push_library(line: &mut Vec<u8>, state: &SessionState) {
    if state.lib_name.is_empty() && state.lib_ver.is_empty() {
        return;
    }
    line.extend_from_slice(b" lib-name=");
    line.extend_from_slice(&state.lib_name);
    line.extend_from_slice(b" lib-ver=");
    line.extend_from_slice(&state.lib_ver);
}

/// The clients of one thread.
#[derive(Default)]
pub struct ClientTable {
    clients: RefCell<BTreeMap<u64, Rc<ClientEntry>>>,
}

impl ClientTable {
    /// Adds a client; it leaves when the guard is dropped.
    pub fn add(self: &Rc<Self>, entry: Rc<ClientEntry>) -> ClientGuard {
        let id = entry.id;
        self.clients.borrow_mut().insert(id, entry);
        ClientGuard {
            table: self.clone(),
            id,
        }
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
#[must_use]
pub struct ClientGuard {
    table: Rc<ClientTable>,
    id: u64,
}

impl Drop for ClientGuard {
    fn drop(&mut self) {
        self.table.clients.borrow_mut().remove(&self.id);
    }
}
