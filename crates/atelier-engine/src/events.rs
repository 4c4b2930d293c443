//! What happens in an engine, as it happens.

use std::collections::HashMap;

use bollard::models::EventMessageTypeEnum;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::{Stream, StreamExt};
use jiff::Timestamp;

use crate::connect::Engine;
use crate::error::{Doing, EngineError};

/// Something that happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// `start`, `die`, `health_status: healthy`, …: Docker's words.
    pub action: String,
    /// The container.
    pub id: String,
    /// Its labels and name.
    pub attributes: HashMap<String, String>,
}

impl Engine {
    /// What happens from this call on to containers that have a label, also before the first of it is waited
    /// for, which is when the engine is asked.
    pub fn events(
        &self,
        label: &str,
    ) -> impl Stream<Item = Result<Happening, EngineError>> + use<> {
        let filters = HashMap::from([
            ("label".to_owned(), vec![label.to_owned()]),
            ("type".to_owned(), vec!["container".to_owned()]),
        ]);
        let now = Timestamp::now();
        let since = format!("{}.{:09}", now.as_second(), now.subsec_nanosecond());
        let options = EventsOptionsBuilder::new().since(&since).filters(&filters).build();
        self.docker.events(Some(options)).filter_map(async |event| {
            let event = match event.doing(|| "tell what happens".into()) {
                Ok(event) => event,
                Err(error) => return Some(Err(error)),
            };
            if event.typ != Some(EventMessageTypeEnum::CONTAINER) {
                return None;
            }
            let actor = event.actor.unwrap_or_default();
            Some(Ok(Happening {
                action: event.action.unwrap_or_default(),
                id: actor.id.unwrap_or_default(),
                attributes: actor.attributes.unwrap_or_default(),
            }))
        })
    }
}
