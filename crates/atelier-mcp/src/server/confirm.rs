//! Questions to the user, asked through the client: by a request of ours where the revision has those, and since
//! 2026-07-28 by an answer that wants input, after which the client makes the call again.
//!
//! What must not be here: what is asked, and what follows from the answer.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationSchema,
    InputRequest, InputRequests, InputRequiredResult, InputResponses, ProtocolVersion,
};
use rmcp::service::{Peer, RequestContext};
use tokio_util::sync::CancellationToken;

/// How long a person has for an answer.
const PATIENCE: Duration = Duration::from_mins(10);

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmed {
    /// The user agrees.
    Yes,
    /// The user does not.
    No,
    /// The user put the question away, or gave no answer.
    Dismissed,
    /// The client asks, and makes the call again with the answer. End the call now, with nothing done: whatever it
    /// ends with is not told.
    Again,
    /// This client can't ask its user.
    Unable,
}

/// What a call knows of questions.
#[derive(Clone)]
pub(super) struct Round {
    way: Way,
    answers: Arc<InputResponses>,
    open: Arc<Mutex<InputRequests>>,
}

/// How this client is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Nowhere,
    Request,
    Answer,
}

impl Round {
    pub(super) fn new(
        context: &RequestContext<RoleServer>,
        answers: Option<InputResponses>,
    ) -> Self {
        let able = context.client_capabilities().and_then(|all| all.elicitation);
        // Before 2025-11-25 there were forms alone, and nothing said so.
        let able = able.is_some_and(|able| able.form.is_some() || able.url.is_none());
        let newest = context.protocol_version().is_some_and(|v| v >= ProtocolVersion::V_2026_07_28);
        let way = match (able, newest) {
            (false, _) => Way::Nowhere,
            (true, false) => Way::Request,
            (true, true) => Way::Answer,
        };
        Self { way, answers: Arc::new(answers.unwrap_or_default()), open: Arc::default() }
    }

    /// What the client is to ask before it makes the call again.
    pub(super) fn open(&self) -> Option<InputRequiredResult> {
        let open = self.open.lock().ok()?.clone();
        (!open.is_empty()).then(|| InputRequiredResult::from_input_requests(open))
    }

    pub(super) async fn confirm(
        &self,
        question: &str,
        peer: &Peer<RoleServer>,
        cancelled: &CancellationToken,
    ) -> Confirmed {
        match self.way {
            Way::Nowhere => Confirmed::Unable,
            Way::Request => tokio::select! {
                said = request(question, peer) => said,
                () = cancelled.cancelled() => Confirmed::Dismissed,
            },
            Way::Answer => self.answered(question),
        }
    }

    /// The answer that came with the call, or the question to be asked. An answer belongs to its question's very words:
    /// when what is asked has changed meanwhile, it is asked again.
    fn answered(&self, question: &str) -> Confirmed {
        let name = name_of(question);
        let answer = self.answers.get(&name).cloned();
        let answer = answer.and_then(|value| serde_json::from_value::<ElicitResult>(value).ok());
        if let Some(answer) = answer {
            return said(&answer);
        }
        if let Ok(mut open) = self.open.lock() {
            let request = ElicitRequest::new(form(question));
            open.insert(name, InputRequest::Elicitation(request));
        }
        Confirmed::Again
    }
}

async fn request(question: &str, peer: &Peer<RoleServer>) -> Confirmed {
    use rmcp::service::ServiceError;
    let asked = peer.create_elicitation_with_timeout(form(question), Some(PATIENCE)).await;
    match asked {
        Ok(answer) => said(&answer),
        Err(ServiceError::Timeout { .. }) => Confirmed::Dismissed,
        Err(_) => Confirmed::Unable,
    }
}

/// A form with nothing to fill in: to send it is to agree.
fn form(question: &str) -> ElicitRequestParams {
    ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: question.to_owned(),
        requested_schema: ElicitationSchema::new(BTreeMap::new()),
    }
}

fn said(answer: &ElicitResult) -> Confirmed {
    match answer.action {
        ElicitationAction::Accept => Confirmed::Yes,
        ElicitationAction::Decline => Confirmed::No,
        _ => Confirmed::Dismissed,
    }
}

fn name_of(question: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, question.as_bytes());
    let mut name = "confirm-".to_owned();
    for byte in digest.as_ref().iter().take(8) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}
