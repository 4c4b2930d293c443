//! `POST /sandboxes/{id}/fork`: copies of a running sandbox.

use atelier_api::sandbox::{SandboxFork, SandboxForkInput, SandboxState};
use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::create::{LEGACY_TIMEOUT, seconds};
use super::find;
use super::view::SandboxView;
use crate::error::ErrorBody;
use crate::request::{Body, Caller};
use crate::{Door, E2bError};

/// The most copies of one call.
const MOST: u32 = 100;

/// `SandboxForkRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Request {
    timeout: Option<i64>,
    count: Option<i64>,
}

/// `SandboxForkResult`: one of the two.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Forked {
    Sandbox(SandboxView),
    Error(ErrorBody),
}

/// `POST /sandboxes/{id}/fork`.
pub(crate) async fn fork<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
    Body(request): Body<Request>,
) -> Result<(StatusCode, Json<Vec<Forked>>), E2bError> {
    let count = u32::try_from(request.count.unwrap_or(1)).unwrap_or(0);
    if !(1..=MOST).contains(&count) {
        return Err(E2bError::Invalid(format!("count is 1 to {MOST}")));
    }
    let timeout = Some(seconds(request.timeout, LEGACY_TIMEOUT)?);
    let detail = find(&door, &id).await?;
    if detail.sandbox.state != SandboxState::Running {
        let why = format!("Sandbox '{id}' is paused and cannot be forked; resume it first");
        return Err(E2bError::Conflict(why));
    }
    let input = SandboxForkInput { sandbox: detail.sandbox.id, count, timeout };
    let made = door.call::<SandboxFork>(input).await?;
    let missing = (count as usize).saturating_sub(made.len());
    let mut forks: Vec<Forked> = made
        .into_iter()
        .map(|detail| Forked::Sandbox(SandboxView::new(detail, door.domain())))
        .collect();
    forks.extend(
        (0..missing)
            .map(|_| Forked::Error(E2bError::Failed("the fork did not start".to_owned()).body())),
    );
    Ok((StatusCode::CREATED, Json(forks)))
}
