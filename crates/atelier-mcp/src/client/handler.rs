//! What we answer to a server's own requests.

use rmcp::model::{
    ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult, ElicitationAction,
    ElicitationCapability, ErrorData, FormElicitationCapability, Implementation, ProtocolVersion,
};
use rmcp::service::RequestContext;
use rmcp::{ClientHandler, RoleClient};
use serde_json::{Map, Value};

use crate::client::Asker;

/// A server's question to the user.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Ask {
    /// Values of a form.
    Form {
        /// What it is about.
        message: String,
        /// The form: a JSON Schema of an object with plain properties.
        schema: Value,
    },
    /// A visit to a page, whose result we do not see.
    Page {
        /// What it is about.
        message: String,
        /// Where.
        url: String,
    },
}

/// The user's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Yes, with the form's values.
    Accept(Value),
    /// No.
    Decline,
    /// The question was put away.
    Cancel,
}

/// The values that a form has without the user.
#[must_use]
pub fn defaults_of(schema: &Value) -> Value {
    let properties = schema.get("properties").and_then(Value::as_object);
    let with_default = properties
        .into_iter()
        .flatten()
        .filter_map(|(name, property)| Some((name.clone(), property.get("default")?.clone())));
    Value::Object(with_default.collect::<Map<_, _>>())
}

/// The SDK's side of it.
pub(crate) struct Handler {
    pub(crate) ask: Option<Asker>,
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        if self.ask.is_some() {
            let form = FormElicitationCapability::new().with_schema_validation(true);
            capabilities.elicitation = Some(ElicitationCapability::new().with_form(form));
        }
        let us = Implementation::new("atelier", env!("CARGO_PKG_VERSION"));
        let mut config = ClientConfig::new(capabilities, us);
        config.protocol_version = ProtocolVersion::LATEST_WITH_INITIALIZE;
        config
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let answer = match (&self.ask, asked(request)) {
            (Some(ask), Some(question)) => ask(question).await,
            _ => Answer::Decline,
        };
        Ok(match answer {
            Answer::Accept(values) => {
                ElicitResult::new(ElicitationAction::Accept).with_content(values)
            }
            Answer::Decline => ElicitResult::new(ElicitationAction::Decline),
            Answer::Cancel => ElicitResult::new(ElicitationAction::Cancel),
        })
    }
}

fn asked(request: ElicitRequestParams) -> Option<Ask> {
    match request {
        ElicitRequestParams::FormElicitationParams { message, requested_schema, .. } => {
            let schema = serde_json::to_value(requested_schema).ok()?;
            Some(Ask::Form { message, schema })
        }
        ElicitRequestParams::UrlElicitationParams { message, url, .. } => {
            Some(Ask::Page { message, url })
        }
        _ => None,
    }
}
