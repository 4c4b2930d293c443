//! What a call answers when it fails: E2B's `{code, message}`.

use atelier_api::{ExitCode, Fault, Problem};
use axum::Json;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum E2bError {
    /// The request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// Nobody was let in for it.
    #[error("{0}")]
    Unauthorised(String),
    /// What it names does not exist.
    #[error("{0}")]
    NotFound(String),
    /// What it names is in another state.
    #[error("{0}")]
    Conflict(String),
    /// An idempotency key was used for another request.
    #[error("the idempotency key was used for a request with another body")]
    KeyReused,
    /// It is bigger than what is taken.
    #[error("{0}")]
    TooLarge(String),
    /// It works later.
    #[error("{0}")]
    Busy(String),
    /// E2B has it and this server has not.
    #[error("{0} are not supported by this server")]
    Unserved(&'static str),
    /// It failed on our side.
    #[error("{0}")]
    Failed(String),
    /// An operation failed.
    #[error("{0}")]
    Operation(#[from] Problem),
}

impl E2bError {
    /// That a sandbox is not there.
    pub(crate) fn no_sandbox(id: &str) -> Self {
        Self::NotFound(format!("sandbox '{id}' was not found"))
    }

    /// That a template is not there.
    pub(crate) fn no_template(name: &str) -> Self {
        Self::NotFound(format!("template '{name}' not found"))
    }

    /// The HTTP status. What a repetition does not mend is not 502 to 504: SDKs repeat those.
    fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorised(_) => StatusCode::UNAUTHORIZED,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unserved(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Operation(problem) => match problem.status {
                422 => StatusCode::BAD_REQUEST,
                502..=504 => StatusCode::INTERNAL_SERVER_ERROR,
                status => StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            },
        }
    }

    fn semantic(&self) -> Option<&str> {
        match self {
            Self::KeyReused => Some("idempotency_request_mismatch"),
            Self::Operation(problem) => Some(&problem.code),
            _ => None,
        }
    }

    /// What failed and why, and what to do next.
    pub(crate) fn message(&self) -> String {
        let Self::Operation(problem) = self else { return self.to_string() };
        let mut message = problem.detail.clone();
        for hint in &problem.hints {
            message.push_str("; ");
            message.push_str(hint);
        }
        message
    }

    /// As it stands in the answer, also for one of several results.
    pub(crate) fn body(&self) -> ErrorBody {
        ErrorBody {
            code: self.status().as_u16(),
            message: self.message(),
            error_code: self.semantic().map(str::to_owned),
        }
    }
}

impl Fault for E2bError {
    fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "e2b.invalid",
            Self::Unauthorised(_) => "e2b.unauthorised",
            Self::NotFound(_) => "e2b.not_found",
            Self::Conflict(_) => "e2b.conflict",
            Self::KeyReused => "e2b.key_reused",
            Self::TooLarge(_) => "e2b.too_large",
            Self::Busy(_) => "e2b.busy",
            Self::Unserved(_) => "e2b.unserved",
            Self::Failed(_) => "e2b.failed",
            Self::Operation(_) => "e2b.operation",
        }
    }

    fn exit(&self) -> ExitCode {
        match self {
            Self::Invalid(_) | Self::TooLarge(_) => ExitCode::Usage,
            Self::Unauthorised(_) => ExitCode::NotPermitted,
            Self::NotFound(_) => ExitCode::NotFound,
            Self::Conflict(_) | Self::KeyReused => ExitCode::Conflict,
            Self::Busy(_) | Self::Unserved(_) | Self::Failed(_) => ExitCode::Failed,
            Self::Operation(problem) => problem.exit_code(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Operation(problem) => problem.hints.clone(),
            _ => Vec::new(),
        }
    }
}

/// E2B's error.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ErrorBody {
    code: u16,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
}

impl IntoResponse for E2bError {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = (status, Json(self.body())).into_response();
        if status.is_server_error() {
            let again = matches!(self, Self::Busy(_));
            let again = HeaderValue::from_static(if again { "true" } else { "false" });
            response.headers_mut().insert("should-retry", again);
        }
        response
    }
}

/// What the server's guard answers to a caller of this API whom it does not let through.
#[must_use]
pub fn refusal(problem: &Problem) -> Response {
    if problem.code.starts_with("auth.") {
        let error = E2bError::Operation(problem.clone());
        return E2bError::Unauthorised(error.message()).into_response();
    }
    E2bError::Operation(problem.clone()).into_response()
}
