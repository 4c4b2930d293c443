//! What a bridge remembers of its session, so that it can open another when the server forgot it.

use super::headers::Promoted;
use super::message::{Message, SESSIONLESS};

/// What is remembered.
#[derive(Default)]
pub(super) struct Session {
    /// The server's name for it.
    pub(super) id: Option<String>,
    /// The revision that was agreed on.
    pub(super) version: Option<String>,
    /// The agent's first message, to be said again.
    pub(super) initialize: Option<Message>,
    /// Its second one.
    pub(super) initialized: Option<Message>,
    /// Which arguments go into headers.
    pub(super) promoted: Promoted,
    /// How many sessions there were.
    pub(super) count: u64,
}

impl Session {
    /// The revision that a message is of.
    pub(super) fn version_of(&self, message: &Message) -> Option<String> {
        message.version().map(ToOwned::to_owned).or_else(|| self.version.clone())
    }

    /// Whether a message is of a revision without sessions.
    pub(super) fn is_sessionless(&self, message: &Message) -> bool {
        // Revisions are dates, which sort as text.
        self.version_of(message).is_some_and(|version| version.as_str() >= SESSIONLESS)
    }
}
