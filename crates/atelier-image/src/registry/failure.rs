//! What went wrong with a registry, in our words.

use reqwest::{Response, StatusCode};
use serde::Deserialize;

use super::Registry;
use crate::{ImageError, Result};

/// How much of an error's text is read.
const TEXT: usize = 64 * 1024;

#[derive(Deserialize)]
struct Errors {
    errors: Vec<OneError>,
}

#[derive(Deserialize)]
struct OneError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Registry {
    /// A request that got no answer.
    pub(super) fn failed(&self, error: &reqwest::Error) -> ImageError {
        let registry = self.endpoint.host.clone();
        if error.is_connect() {
            return ImageError::Unreachable { registry, why: root_cause(error) };
        }
        if error.is_timeout() {
            return ImageError::Stalled { registry, seconds: self.read_timeout.as_secs() };
        }
        ImageError::Registry { registry, why: root_cause(error) }
    }

    /// The response, if it says that all is well.
    pub(super) async fn usable(&self, response: Response) -> Result<Response> {
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(response);
        }
        let registry = self.endpoint.host.clone();
        let why = format!("{status}{}", said(response).await);
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.unauthorized(&why),
            StatusCode::TOO_MANY_REQUESTS => ImageError::RateLimited { registry, why },
            _ => ImageError::Registry { registry, why },
        })
    }

    pub(super) fn unauthorized(&self, why: &str) -> ImageError {
        let who = match &self.credentials {
            Some(credentials) => format!("with stored credentials{}", credentials.whose()),
            None => "without credentials".to_owned(),
        };
        ImageError::Unauthorized {
            registry: self.endpoint.host.clone(),
            name: self.reference.repository.clone(),
            why: format!("asked {who}, it answered {why}"),
        }
    }
}

/// The registry's own words, if it has any.
pub(super) async fn said(mut response: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await
        && body.len() < TEXT
    {
        body.extend_from_slice(&chunk);
    }
    let Ok(errors) = serde_json::from_slice::<Errors>(&body) else { return String::new() };
    errors.errors.first().map_or_else(String::new, |error| {
        let words = if error.message.is_empty() { &error.code } else { &error.message };
        let words = words.chars().filter(|c| !c.is_control()).take(300);
        format!(": {}", words.collect::<String>())
    })
}

/// The innermost cause, which says most.
pub(super) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}
