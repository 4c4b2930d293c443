//! What there is to read beside the tools: resources, and prompts. For the SDK, and for who has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use atelier_api::{ExitCode, Problem};
use rmcp::model::{
    self as sdk, ErrorData, GetPromptResult, PromptMessage, ReadResourceResult, ResourceContents,
    Role,
};

use super::handler::told;

/// A resource, or by `{name}` in its URI a family of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its URI; of a family its template (RFC 6570).
    pub uri: String,
    /// Its name.
    pub name: String,
    /// What it is, for models and people.
    pub description: String,
    /// What it is written in, such as `text/markdown`.
    pub media: &'static str,
}

/// A prompt: a text that a user has the client bring, with values of the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// The names of its values, with what each is; all are required.
    pub values: &'static [(&'static str, &'static str)],
}

/// Who has resources and prompts. Calls may block: each has a thread of its own.
pub trait Shelf: Send + Sync {
    /// The resources there are.
    ///
    /// # Errors
    /// When they can't be told.
    fn resources(&self) -> Result<Vec<Resource>, Problem>;

    /// Families of resources.
    fn families(&self) -> Vec<Resource>;

    /// The text of a resource, with what it is written in; nothing when there is none of that URI.
    ///
    /// # Errors
    /// When it can't be read.
    fn read(&self, uri: &str) -> Result<Option<(String, &'static str)>, Problem>;

    /// The prompts there are.
    fn prompts(&self) -> Vec<Prompt>;

    /// The text of a prompt with its values, which are all there.
    ///
    /// # Errors
    /// When it can't be made.
    fn prompt(&self, name: &str, values: &BTreeMap<String, String>) -> Result<String, Problem>;
}

/// A shelf that many may ask.
pub(super) type Shared = Arc<dyn Shelf>;

type Answer<T> = Result<T, ErrorData>;

/// Does something with the shelf on a thread of its own.
pub(super) async fn with<T: Send + 'static>(
    shelf: &Shared,
    work: impl FnOnce(&dyn Shelf) -> Result<T, Problem> + Send + 'static,
) -> Answer<T> {
    let shelf = shelf.clone();
    let done = tokio::task::spawn_blocking(move || work(&*shelf)).await;
    let done = done.map_err(|_| ErrorData::internal_error("it failed inside Atelier", None))?;
    done.map_err(|problem| {
        let data = serde_json::to_value(&problem).ok();
        match problem.exit_code() {
            ExitCode::NotFound => ErrorData::resource_not_found(told(&problem), data),
            ExitCode::Usage => ErrorData::invalid_params(told(&problem), data),
            _ => ErrorData::internal_error(told(&problem), data),
        }
    })
}

pub(super) fn listed(resource: &Resource) -> sdk::Resource {
    sdk::Resource::new(&resource.uri, &resource.name)
        .with_description(&resource.description)
        .with_mime_type(resource.media)
}

pub(super) fn family(resource: &Resource) -> sdk::ResourceTemplate {
    sdk::ResourceTemplate::new(&resource.uri, &resource.name)
        .with_description(&resource.description)
        .with_mime_type(resource.media)
}

pub(super) fn offered(prompt: &Prompt) -> sdk::Prompt {
    let values = prompt.values.iter().map(|(name, about)| {
        sdk::PromptArgument::new(*name).with_description(*about).with_required(true)
    });
    sdk::Prompt::new(prompt.name, Some(prompt.description), Some(values.collect()))
}

pub(super) async fn read(shelf: &Shared, uri: String) -> Answer<ReadResourceResult> {
    let wanted = uri.clone();
    let found = with(shelf, move |shelf| shelf.read(&wanted)).await?;
    let Some((text, media)) = found else {
        let data = serde_json::json!({ "uri": uri });
        return Err(ErrorData::resource_not_found(format!("there is no {uri}"), Some(data)));
    };
    let contents = ResourceContents::text(text, uri).with_mime_type(media);
    Ok(ReadResourceResult::new(vec![contents]))
}

pub(super) async fn prompt(
    shelf: &Shared,
    name: String,
    given: sdk::JsonObject,
) -> Answer<GetPromptResult> {
    let wrong = |why: String| ErrorData::invalid_params(why, None);
    let all = shelf.prompts();
    let Some(prompt) = all.iter().find(|prompt| prompt.name == name) else {
        return Err(wrong(format!("there is no prompt {name:?}")));
    };
    let text = |value: serde_json::Value| value.as_str().map(str::to_owned);
    let values = given.into_iter().filter_map(|(name, value)| Some((name, text(value)?)));
    let values: BTreeMap<String, String> = values.collect();
    if let Some((lacks, _)) = prompt.values.iter().find(|(name, _)| !values.contains_key(*name)) {
        return Err(wrong(format!("the prompt {name} needs {lacks}, a text")));
    }
    let text = with(shelf, move |shelf| shelf.prompt(&name, &values)).await?;
    let message = PromptMessage::new_text(Role::User, text);
    Ok(GetPromptResult::new(vec![message]).with_description(prompt.description))
}
