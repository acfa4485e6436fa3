//! Tells a service manager (systemd, `Type=notify`) how the server is: `READY=1` once its files are loaded, `STATUS=` with every
//! change, more time while it loads or saves, and `STOPPING=1`. Its protocol is a datagram socket that `NOTIFY_SOCKET` names.

use crate::builder::Server;
use crate::condition::{Condition, Watcher};
use sd_notify::NotifyState;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How often it is looked.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// While the server loads or saves, it is given this much more time, again and again.
const MORE_TIME: Duration = Duration::from_secs(60);

/// How long a server that ends waits for a manager that does not listen.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who is told. Dropped, it is told that the server ends.
pub(crate) struct Manager {
    news: Option<Sender<String>>,
    told: Receiver<()>,
}

impl Manager {
    /// Tells the manager of this process from now on; `None` if there is none.
    pub(crate) fn tell_of(server: &Server) -> Option<Manager> {
        std::env::var_os("NOTIFY_SOCKET")?;
        let ((news, heard), (done, told)) = (channel(), channel());
        let teller = Teller {
            watcher: server.watcher(),
            said: None,
            is_ready: false,
            beat: 0,
            watchdog: sd_notify::watchdog_enabled(),
        };
        let tell = move || {
            teller.run(&heard);
            // Whoever waits for it may have lost patience.
            let _ = done.send(());
        };
        let thread = std::thread::Builder::new().name("manager".to_owned());
        if let Err(error) = thread.spawn(tell) {
            tracing::error!(%error, "the service manager cannot be told how the server is");
            return None;
        }
        Some(Manager {
            news: Some(news),
            told,
        })
    }

    /// Says something that is no phase of the server, until the next one.
    pub(crate) fn say(&self, text: String) {
        if let Some(news) = &self.news {
            let _ = news.send(text);
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.news = None;
        let _ = self.told.recv_timeout(PATIENCE);
    }
}

struct Teller {
    /// Set once the service has started.
    watcher: Arc<OnceLock<Watcher>>,
    said: Option<String>,
    is_ready: bool,
    /// The last sign of life that the engine's threads were asked for.
    beat: u64,
    /// How long the manager waits for one.
    watchdog: Option<Duration>,
}

impl Teller {
    fn run(mut self, heard: &Receiver<String>) {
        let watchdog = self.watchdog.map_or(LOOK_INTERVAL, |limit| limit / 4);
        let interval = LOOK_INTERVAL.min(watchdog);
        loop {
            let watcher = self.watcher.clone();
            if let Some(watcher) = watcher.get() {
                self.tell(&watcher.condition());
                self.beat(watcher);
            }
            match heard.recv_timeout(interval) {
                Ok(text) => send(&[NotifyState::Status(&text)]),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    }

    fn tell(&mut self, condition: &Condition) {
        if condition.is_starting || condition.is_saving {
            let micros = u32::try_from(MORE_TIME.as_micros()).unwrap_or(u32::MAX);
            send(&[NotifyState::ExtendTimeoutUsec(micros)]);
        }
        if self.said.as_ref() != Some(&condition.text) {
            send(&[NotifyState::Status(&condition.text)]);
            self.said = Some(condition.text.clone());
        }
        if !self.is_ready && !condition.is_starting {
            self.is_ready = true;
            send(&[NotifyState::Ready]);
        }
    }

    /// A sign of life, if every thread of the engine gave one.
    fn beat(&mut self, watcher: &Watcher) {
        if self.watchdog.is_some() && watcher.have_answered(self.beat) {
            send(&[NotifyState::Watchdog]);
            self.beat += 1;
            watcher.ask(self.beat);
        }
    }
}

/// A manager that is gone is no reason to end a server.
fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager does not listen");
    }
}
