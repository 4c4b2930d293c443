//! One sandbox: finding it by the id in a path, and `GET /sandboxes/{id}`.

use atelier_api::sandbox::{Sandbox, SandboxDetail, SandboxRef, SandboxShow, SandboxState};
use axum::Json;
use axum::extract::Path;

use super::view::DetailView;
use crate::builds::MARK;
use crate::request::Caller;
use crate::{Door, E2bError};

/// The sandbox of an id. Our own references may also be the beginning of an id; a client of E2B
/// that has an id means exactly that one.
pub(crate) async fn find<D: Door>(door: &D, id: &str) -> Result<SandboxDetail, E2bError> {
    // Old clients append their `clientID`.
    let id = match id.split_once('-') {
        Some((own, _)) if own.len() == 32 && own.bytes().all(|b| b.is_ascii_hexdigit()) => own,
        _ => id,
    };
    let sandbox = SandboxRef { sandbox: id.to_owned() };
    let detail = match door.call::<SandboxShow>(sandbox).await {
        Ok(detail) => detail,
        // What can't be an id or a name is no sandbox either.
        Err(problem) if matches!(problem.status, 400 | 404) => {
            return Err(E2bError::no_sandbox(id));
        }
        Err(problem) => return Err(problem.into()),
    };
    let sandbox = &detail.sandbox;
    let named = sandbox.name.as_ref().is_some_and(|name| name.as_str() == id);
    if (sandbox.id != id && !named) || sandbox.state == SandboxState::Removing {
        return Err(E2bError::no_sandbox(id));
    }
    Ok(detail)
}

/// Whether a template is being built in it: such a sandbox is not shown.
pub(crate) fn is_of_a_build(sandbox: &Sandbox) -> bool {
    sandbox.metadata.contains_key(MARK)
}

/// `GET /sandboxes/{id}`.
pub(crate) async fn show<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
) -> Result<Json<DetailView>, E2bError> {
    let detail = find(&door, &id).await?;
    Ok(Json(DetailView::new(detail, door.domain())))
}
