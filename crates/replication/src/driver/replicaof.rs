//! Carries out REPLICAOF: the coordinator's machine with real candidates and links.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        oneshot,
    },
    task::AbortHandle,
};

use damselfly_resp::Reply as Answer;

use super::{
    ask::ask,
    connect::Connect,
    replica::{Candidate, LinkHandle, LinkOptions, greet, start_link},
    status::LinkStatus,
};
use crate::{
    config::ReplicaConfig,
    dataset::ReplicaDataSet,
    error::LinkError,
    replica::{CoordinatorOutput, ReplicaOf, ReplicaOfError, Role, Standing, Ticket},
};

/// The one place where a server's role changes. Cloned to whoever asks; the work is done on the thread that started it.
#[derive(Clone, Debug)]
pub struct ReplicaOfHandle {
    requests: UnboundedSender<Request>,
    shared: Arc<Mutex<Shown>>,
}

/// What others see: locked for a moment only.
#[derive(Clone, Debug)]
struct Shown {
    role: Role,
    link: Option<LinkHandle>,
}

type Reply = oneshot::Sender<Result<(), ReplicaOfError>>;

#[derive(Debug)]
enum Request {
    Follow {
        host: String,
        port: u16,
        reply: Reply,
    },
    NoOne {
        reply: Reply,
    },
    Ask {
        host: String,
        port: u16,
        command: Vec<String>,
        limit_ms: u64,
        reply: oneshot::Sender<Result<Answer, LinkError>>,
    },
    Configure(Box<ReplicaConfig>),
    /// Without greeting first.
    Start {
        host: String,
        port: u16,
        /// By somebody who knows what the server holds; not by the configuration with which it starts.
        told: bool,
    },
}

impl ReplicaOfHandle {
    /// Starts the coordinator of a server that is a primary, on the present thread.
    pub fn start<D: ReplicaDataSet, C: Connect>(
        data: D,
        options: LinkOptions<C>,
    ) -> ReplicaOfHandle {
        let (requests, inbox) = unbounded_channel();
        let (greeted, candidates) = unbounded_channel();
        let shared = Arc::new(Mutex::new(Shown {
            role: Role::Primary,
            link: None,
        }));
        let task = Task {
            data,
            options,
            machine: ReplicaOf::new(Role::Primary),
            inbox,
            greeted,
            candidates,
            pending: HashMap::new(),
            shared: shared.clone(),
        };
        tokio::task::spawn_local(task.run());
        ReplicaOfHandle { requests, shared }
    }

    /// `REPLICAOF host port`: returns when the link has been switched, or nothing has changed.
    ///
    /// # Errors
    /// The candidate could not be greeted, or a later REPLICAOF was carried out first.
    pub async fn follow(&self, host: &str, port: u16) -> Result<(), ReplicaOfError> {
        let host = host.to_owned();
        self.ask(|reply| Request::Follow { host, port, reply })
            .await
    }

    /// `REPLICAOF NO ONE`.
    ///
    /// # Errors
    /// A later one was carried out first.
    pub async fn follow_no_one(&self) -> Result<(), ReplicaOfError> {
        self.ask(|reply| Request::NoOne { reply }).await
    }

    /// Sends one command to another server, with the credentials of a link, on a connection of its own. The role and the
    /// link are not touched.
    ///
    /// # Errors
    /// No connection, no answer within `limit_ms`, or the answer is an error.
    pub async fn ask_server(
        &self,
        host: &str,
        port: u16,
        command: &[&str],
        limit_ms: u64,
    ) -> Result<Answer, LinkError> {
        let gone = || LinkError::Connect {
            why: "the server is shutting down".to_owned(),
        };
        let (reply, answer) = oneshot::channel();
        let request = Request::Ask {
            host: host.to_owned(),
            port,
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            limit_ms,
            reply,
        };
        self.requests.send(request).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Sets what links made from now on use.
    pub fn set_config(&self, config: ReplicaConfig) {
        drop(self.requests.send(Request::Configure(Box::new(config))));
    }

    /// Begins as a replica, and connects until it succeeds (`--replicaof`). A primary that has less than the file out of which the
    /// server was started is refused.
    pub fn begin_as_replica(&self, host: &str, port: u16) {
        self.start_following(host, port, false);
    }

    /// Follows from now on, and connects until that succeeds: REPLICAOF where nobody can wait for it.
    pub fn follow_at_once(&self, host: &str, port: u16) {
        self.start_following(host, port, true);
    }

    fn start_following(&self, host: &str, port: u16, told: bool) {
        // Shown from now on, not only once the coordinator comes to it.
        lock(&self.shared).role = Role::Replica(format!("{host}:{port}"));
        drop(self.requests.send(Request::Start {
            host: host.to_owned(),
            port,
            told,
        }));
    }

    /// What the server is, and how its link does.
    pub fn status(&self) -> (Role, Option<LinkStatus>) {
        let shown = lock(&self.shared).clone();
        (shown.role, shown.link.map(|link| link.status()))
    }

    /// The link, while the server is a replica.
    pub fn link(&self) -> Option<LinkHandle> {
        lock(&self.shared).link.clone()
    }

    async fn ask(&self, request: impl FnOnce(Reply) -> Request) -> Result<(), ReplicaOfError> {
        let (reply, answer) = oneshot::channel();
        let gone = || ReplicaOfError::Candidate("the server is shutting down".to_owned());
        self.requests.send(request(reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

struct Pending<S> {
    host: String,
    port: u16,
    told: bool,
    reply: Option<Reply>,
    greeting: Option<AbortHandle>,
    candidate: Option<Candidate<S>>,
}

type Greeted<S> = (Ticket, Result<Candidate<S>, LinkError>);

struct Task<D, C: Connect> {
    data: D,
    options: LinkOptions<C>,
    machine: ReplicaOf,
    inbox: UnboundedReceiver<Request>,
    greeted: UnboundedSender<Greeted<C::Stream>>,
    candidates: UnboundedReceiver<Greeted<C::Stream>>,
    pending: HashMap<Ticket, Pending<C::Stream>>,
    shared: Arc<Mutex<Shown>>,
}

impl<D: ReplicaDataSet, C: Connect> Task<D, C> {
    async fn run(mut self) {
        loop {
            while let Some(output) = self.machine.poll_output() {
                self.execute(output).await;
            }
            tokio::select! {
                request = self.inbox.recv() => match request {
                    Some(request) => self.handle(request).await,
                    None => return,
                },
                Some((ticket, result)) = self.candidates.recv() => self.handle_greeted(ticket, result),
            }
        }
    }

    async fn handle(&mut self, request: Request) {
        match request {
            Request::Follow { host, port, reply } => {
                let ticket = self.machine.request(format!("{host}:{port}"));
                self.pending.insert(
                    ticket,
                    Pending {
                        host,
                        port,
                        told: true,
                        reply: Some(reply),
                        greeting: None,
                        candidate: None,
                    },
                );
            }
            Request::NoOne { reply } => {
                let ticket = self.machine.request_no_one();
                self.pending.insert(
                    ticket,
                    Pending {
                        host: String::new(),
                        port: 0,
                        told: true,
                        reply: Some(reply),
                        greeting: None,
                        candidate: None,
                    },
                );
            }
            Request::Ask {
                host,
                port,
                command,
                limit_ms,
                reply,
            } => {
                let options = self.options.clone();
                tokio::task::spawn_local(async move {
                    let answer = ask(&options, &host, port, &command, limit_ms).await;
                    drop(reply.send(answer));
                });
            }
            Request::Configure(config) => self.options.config = *config,
            Request::Start { host, port, told } => {
                let ticket = self.machine.request(format!("{host}:{port}"));
                // Its link greets by itself, as often as it takes.
                while let Some(output) = self.machine.poll_output() {
                    debug_assert!(matches!(
                        output,
                        CoordinatorOutput::Greet { .. } | CoordinatorOutput::Answer(..)
                    ));
                }
                self.pending.insert(
                    ticket,
                    Pending {
                        host,
                        port,
                        told,
                        reply: None,
                        greeting: None,
                        candidate: None,
                    },
                );
                self.machine.handle_greeted(ticket);
            }
        }
    }

    fn handle_greeted(&mut self, ticket: Ticket, result: Result<Candidate<C::Stream>, LinkError>) {
        // The greeting knew the replid of its beginning; a full sync may have drawn another one since.
        let own = self.data.replid();
        let result = result.and_then(|candidate| match candidate.upstream().replid == own {
            true => Err(LinkError::SelfReplication),
            false => Ok(candidate),
        });
        let result = result.and_then(|candidate| {
            if let (Some(_), Some(own)) = (&lock(&self.shared).link, self.data.origin()) {
                own.check_fence(candidate.upstream().origin.as_ref())?;
            }
            Ok(candidate)
        });
        match result {
            Ok(candidate) => {
                if let Some(pending) = self.pending.get_mut(&ticket) {
                    pending.candidate = Some(candidate);
                }
                self.machine.handle_greeted(ticket);
            }
            Err(error) => self.machine.handle_failed(ticket, error.to_string()),
        }
    }

    async fn execute(&mut self, output: CoordinatorOutput) {
        match output {
            CoordinatorOutput::Greet { ticket, .. } => self.greet(ticket),
            CoordinatorOutput::Drop(ticket) => {
                if let Some(pending) = self.pending.get_mut(&ticket) {
                    pending.candidate = None;
                    pending.greeting.take().inspect(AbortHandle::abort);
                }
            }
            CoordinatorOutput::Switch(ticket) => {
                self.switch(ticket).await;
                self.machine.handle_switched(ticket);
                lock(&self.shared).role = self.machine.role().clone();
            }
            CoordinatorOutput::Promote(ticket) => {
                self.promote().await;
                self.machine.handle_switched(ticket);
                lock(&self.shared).role = self.machine.role().clone();
            }
            CoordinatorOutput::Answer(ticket, result) => {
                let reply = self
                    .pending
                    .remove(&ticket)
                    .and_then(|pending| pending.reply);
                if let Some(reply) = reply {
                    drop(reply.send(result));
                }
            }
        }
    }

    fn greet(&mut self, ticket: Ticket) {
        let Some(pending) = self.pending.get_mut(&ticket) else {
            return;
        };
        let (options, host, port) = (self.options.clone(), pending.host.clone(), pending.port);
        let (own, greeted) = (self.data.replid(), self.greeted.clone());
        let task = tokio::task::spawn_local(async move {
            let result = greet(&options, &host, port, own).await;
            drop(greeted.send((ticket, result)));
        });
        pending.greeting = Some(task.abort_handle());
    }

    /// The serialized section: the old link ends, what it executed is kept, the new one starts.
    async fn switch(&mut self, ticket: Ticket) {
        let Some(pending) = self.pending.get_mut(&ticket) else {
            return;
        };
        let (host, port, candidate) =
            (pending.host.clone(), pending.port, pending.candidate.take());
        let told = pending.told;
        let old = lock(&self.shared).link.take();
        let address = format!("{host}:{port}");
        let restored = match told {
            true => Vec::new(),
            false => self.data.restored(),
        };
        let keeps = old.is_some() || !restored.is_empty();
        let standing = Standing {
            origin: self.data.origin().filter(|_| keeps),
            restored,
        };
        let resume = match old {
            Some(link) => {
                let kept = link.stop().await;
                self.data.become_replica(&address).await;
                kept
            }
            None => self.data.become_replica(&address).await,
        };
        let link = start_link(
            self.data.clone(),
            self.options.clone(),
            &host,
            port,
            candidate,
            resume,
            standing,
        );
        lock(&self.shared).link = Some(link);
    }

    async fn promote(&mut self) {
        let old = lock(&self.shared).link.take();
        if let Some(link) = old {
            link.stop().await;
            self.data.become_primary().await;
        }
    }
}

fn lock(shared: &Mutex<Shown>) -> std::sync::MutexGuard<'_, Shown> {
    shared
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
