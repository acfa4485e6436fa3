//! Keyspace events, published to whoever subscribes to their channels.

use super::{Space, publish};
use crate::events::{EventSink, KeyEvent};
use crate::thread::Thread;

/// Publishes events on the thread where they happen. They are no records: a replica has events of its own.
pub(crate) struct PublishedEvents;

impl EventSink for PublishedEvents {
    fn event(&self, event: KeyEvent<'_>) {
        let Some(thread) = Thread::try_current() else {
            return;
        };
        if thread.engine.subscriptions.is_empty() {
            return;
        }
        let (db, name) = (event.db.0, event.name.as_bytes());
        if event.flags.by_key() {
            let channel = [format!("__keyspace@{db}__:").as_bytes(), event.key].concat();
            publish(&thread, Space::Channels, &channel, name);
        }
        if event.flags.by_event() {
            let channel = [format!("__keyevent@{db}__:").as_bytes(), name].concat();
            publish(&thread, Space::Channels, &channel, event.key);
        }
    }
}
