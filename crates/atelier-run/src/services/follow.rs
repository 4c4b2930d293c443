//! What services write, as they write it: of the containers that are there, and of those that come.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use atelier_api::Problem;
use atelier_api::session::{Event, ServiceFollow};
use atelier_engine::{Container, Engine, Lines, State};
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};

use crate::record::Record;
use crate::workshop::Workshop;

/// The pause between looks at containers that have stopped.
const AGAIN: Duration = Duration::from_secs(1);
/// Pieces that wait for a reader.
const WAITING: usize = 64;

/// A piece of what a service wrote.
#[derive(Debug)]
pub struct Written {
    /// The service.
    pub service: String,
    /// The container's name.
    pub container: String,
    /// Whether it is of standard error.
    pub error: bool,
    /// What.
    pub bytes: Vec<u8>,
}

/// What services of an environment write.
#[derive(Debug)]
pub struct Following {
    workshop: Arc<Workshop>,
    record: Record,
    wanted: ServiceFollow,
    engine: Engine,
    events: broadcast::Receiver<Event>,
    pieces: mpsc::Receiver<Result<Written, Problem>>,
    sender: mpsc::Sender<Result<Written, Problem>>,
    /// Ended with the session.
    readers: JoinSet<(String, Timestamp)>,
    /// Containers that are read, or the time of what was read last.
    seen: HashMap<String, Option<Timestamp>>,
    /// When to look whether one that stopped runs again: its start may have been missed.
    again: Interval,
}

impl Workshop {
    /// Follows what services write, from what they wrote before on.
    ///
    /// # Errors
    /// `env.not_found`, `env.no_service`, no engine.
    pub async fn follow_services(
        self: &Arc<Self>,
        wanted: ServiceFollow,
    ) -> Result<Following, Problem> {
        let record = self.get(&wanted.project, &wanted.env).await?;
        self.had_services(&record).await?;
        let engine = self.driver.engine().await?;
        let (_, events) = self.events.subscribe(None);
        let (sender, pieces) = mpsc::channel(WAITING);
        let mut following = Following {
            workshop: self.clone(),
            record,
            wanted,
            engine,
            events,
            pieces,
            sender,
            readers: JoinSet::new(),
            seen: HashMap::new(),
            again: tokio::time::interval(AGAIN),
        };
        following.again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        following.look().await?;
        Ok(following)
    }
}

impl Following {
    /// What comes next; `None` when the services are down or the environment is gone.
    ///
    /// # Errors
    /// When the engine can't be asked.
    pub async fn next(&mut self) -> Result<Option<Written>, Problem> {
        loop {
            tokio::select! {
                biased;
                Some(piece) = self.pieces.recv() => return piece.map(Some),
                Some(Ok((id, ended))) = self.readers.join_next() => {
                    self.seen.insert(id, Some(ended));
                    // It may run again already, and the event may be past.
                    self.look().await?;
                }
                _ = self.again.tick(), if self.seen.values().any(Option::is_some) => self.look().await?,
                event = self.events.recv() => match event {
                    Ok(event) if event.subject == self.record.label() => {
                        if matches!(event.kind.as_str(), "env.down" | "env.removed") {
                            return Ok(None);
                        }
                        if event.kind == "service.changed" || event.kind == "env.up" {
                            self.look().await?;
                        }
                    }
                    Ok(_) => {}
                    Err(broadcast::error::RecvError::Lagged(_)) => self.look().await?,
                    Err(broadcast::error::RecvError::Closed) => return Ok(None),
                },
            }
        }
    }

    /// Begins to read what is not read yet.
    async fn look(&mut self) -> Result<(), Problem> {
        let (engine, services) = (self.engine.clone(), self.wanted.services.clone());
        for container in self.workshop.containers_of(&engine, &self.record, &services).await? {
            let lines = match self.seen.get(&container.id) {
                None => Lines { tail: self.wanted.tail, follow: true, ..Lines::default() },
                Some(Some(ended)) if container.state == State::Running => {
                    Lines { since: Some(*ended), follow: true, ..Lines::default() }
                }
                Some(_) => continue,
            };
            self.seen.insert(container.id.clone(), None);
            self.readers.spawn(read(engine.clone(), container, lines, self.sender.clone()));
        }
        Ok(())
    }
}

/// Reads one container until it stops; gives when what it gave last was written.
async fn read(
    engine: Engine,
    container: Container,
    lines: Lines,
    sender: mpsc::Sender<Result<Written, Problem>>,
) -> (String, Timestamp) {
    let mut pieces = std::pin::pin!(engine.logs(&container.id, lines));
    let mut last = lines.since.unwrap_or(Timestamp::UNIX_EPOCH);
    while let Some(piece) = pieces.next().await {
        if let Ok(Some(at)) = piece.as_ref().map(|piece| piece.at) {
            last = last.max(at);
        }
        let written = piece.map_err(Problem::from).map(|piece| Written {
            service: container.service.clone(),
            container: container.name.clone(),
            error: piece.error,
            bytes: piece.bytes,
        });
        if sender.send(written).await.is_err() {
            break;
        }
    }
    (container.id, last)
}
