//! Snapshots: E2B has them as templates that are made of a sandbox. They are removed by
//! `DELETE /templates/{id}`, in `templates/remove.rs`.

use atelier_api::sandbox::{
    SandboxSnapshot, SandboxSnapshotInput, Snapshot, SnapshotList, SnapshotListInput,
};
use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::paging::Page;
use crate::request::{Body, Caller, Params};
use crate::sandboxes::find;
use crate::templates::names::TemplateName;
use crate::{Door, E2bError};

/// `SandboxSnapshotRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Request {
    name: Option<String>,
    memory: Option<bool>,
}

/// `SnapshotInfo`. The id is always ours, also when there is a name: a name may pass on to a
/// newer snapshot.
#[derive(Debug, Serialize)]
pub(crate) struct SnapshotView {
    #[serde(rename = "snapshotID")]
    id: String,
    names: Vec<String>,
}

impl SnapshotView {
    fn new(snapshot: Snapshot) -> Self {
        Self { id: snapshot.id, names: snapshot.name.into_iter().collect() }
    }
}

/// `POST /sandboxes/{id}/snapshots`.
pub(crate) async fn create<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
    Body(request): Body<Request>,
) -> Result<(StatusCode, Json<SnapshotView>), E2bError> {
    let name = request.name.filter(|name| !name.is_empty());
    let name = name.map(|name| TemplateName::asked(&name)).transpose()?;
    let sandbox = find(&door, &id).await?.sandbox.id;
    let input = SandboxSnapshotInput {
        sandbox,
        name: name.map(|name| name.ours()),
        memory: request.memory,
    };
    let snapshot = door.call::<SandboxSnapshot>(input).await?;
    Ok((StatusCode::CREATED, Json(SnapshotView::new(snapshot))))
}

/// `GET /snapshots`, of one sandbox and of one name if asked.
pub(crate) async fn list<D: Door>(
    Caller(door): Caller<D>,
    params: Params,
) -> Result<Response, E2bError> {
    let page = Page::asked(&params)?;
    let name = params.get("name").map(TemplateName::asked).transpose()?;
    let mut all = door.call::<SnapshotList>(SnapshotListInput::default()).await?;
    if let Some(sandbox) = params.get("sandboxID") {
        all.retain(|snapshot| snapshot.sandbox == sandbox);
    }
    if let Some(name) = name {
        all.retain(|snapshot| {
            let own = snapshot.name.as_deref().map(TemplateName::of_ours);
            own.is_some_and(|own| own.id == name.id && (name.tag.is_none() || own.tag == name.tag))
        });
    }
    let ordered = all
        .into_iter()
        .map(|snapshot| (snapshot.created_at, snapshot.id.clone(), SnapshotView::new(snapshot)));
    Ok(page.of(ordered.collect()).into_response())
}

/// The snapshot of an id or a name.
pub(crate) async fn named<D: Door>(door: &D, name: &str) -> Result<Option<Snapshot>, E2bError> {
    let name = name.strip_suffix(":default").unwrap_or(name);
    let all = door.call::<SnapshotList>(SnapshotListInput::default()).await?;
    Ok(all
        .into_iter()
        .find(|snapshot| snapshot.id == name || snapshot.name.as_deref() == Some(name)))
}
