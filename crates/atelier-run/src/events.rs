//! What happens, for whoever listens: a ring of the last events and a channel of the next.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use atelier_api::session::Event;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::broadcast;

/// How many events are kept for a listener who comes back.
const KEPT: usize = 1024;

/// The hub.
#[derive(Debug)]
pub struct Hub {
    past: Mutex<VecDeque<Event>>,
    live: broadcast::Sender<Event>,
}

impl Default for Hub {
    fn default() -> Self {
        Self { past: Mutex::default(), live: broadcast::channel(KEPT).0 }
    }
}

impl Hub {
    /// Tells everybody.
    pub fn publish(&self, kind: &str, subject: impl Into<String>, data: Value) {
        let mut past = self.past();
        let id = past.back().map_or(1, |last| last.id + 1);
        let event = Event {
            id,
            at: Timestamp::now(),
            kind: kind.to_owned(),
            subject: subject.into(),
            data,
        };
        if past.len() == KEPT {
            past.pop_front();
        }
        past.push_back(event.clone());
        // Sent under the lock, so that nobody sees an event twice or not at all.
        let _ = self.live.send(event);
    }

    /// Events from now on, and those after `last` that are kept.
    #[must_use]
    pub fn subscribe(&self, last: Option<u64>) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let past = self.past();
        let live = self.live.subscribe();
        let missed = match last {
            Some(last) => past.iter().filter(|e| e.id > last).cloned().collect(),
            None => Vec::new(),
        };
        (missed, live)
    }

    fn past(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_who_comes_back_misses_nothing() {
        let hub = Hub::default();
        for n in 0..3 {
            hub.publish("env.created", format!("p/{n}"), Value::Null);
        }
        let (missed, mut live) = hub.subscribe(Some(1));
        assert_eq!(missed.iter().map(|e| e.id).collect::<Vec<_>>(), [2, 3]);
        hub.publish("env.removed", "p/0", Value::Null);
        assert_eq!(live.try_recv().unwrap().id, 4);
        assert!(hub.subscribe(None).0.is_empty());
    }
}
