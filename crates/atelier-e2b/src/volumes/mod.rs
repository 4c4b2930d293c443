//! `/volumes`: volumes, and the files in one over `/volumecontent`.

mod content;
mod tree;

use std::path::PathBuf;
use std::sync::Arc;

use atelier_api::system::Nothing;
use atelier_api::volume::{
    Volume, VolumeCreate, VolumeCreateInput, VolumeDetail, VolumeList, VolumeRef, VolumeRemove,
    VolumeShow,
};
use axum::Json;
use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use serde::{Deserialize, Serialize};

use crate::request::{Body, Caller};
use crate::{Door, E2b, E2bError};

pub(crate) use content::routes as content_routes;

/// The way to the files of volumes. Whoever has a volume's token needs no API key.
pub trait Volumes: Send + Sync + 'static {
    /// The folder with a volume's files, for whoever shows its token.
    fn folder(&self, id: &str, token: &str) -> Option<PathBuf>;
}

/// As handlers find it.
pub(crate) type Shared = Arc<dyn Volumes>;

/// `NewVolume`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NewVolume {
    name: String,
}

/// `Volume`.
#[derive(Debug, Serialize)]
pub(crate) struct VolumeView {
    #[serde(rename = "volumeID")]
    id: String,
    name: String,
}

/// `VolumeAndToken`.
#[derive(Debug, Serialize)]
pub(crate) struct VolumeAndToken {
    #[serde(flatten)]
    volume: VolumeView,
    token: String,
    /// What clients put behind `api.` to reach the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
}

impl VolumeView {
    fn new(volume: Volume) -> Self {
        Self { id: volume.id, name: volume.name }
    }
}

impl VolumeAndToken {
    fn new<D: Door>(detail: VolumeDetail, door: &D) -> Self {
        let volume = VolumeView::new(detail.volume);
        Self { volume, token: detail.token, domain: door.domain() }
    }
}

pub(crate) fn routes<D: Door>() -> Router<E2b> {
    Router::new()
        .route("/volumes", get(list::<D>).post(create::<D>))
        .route("/volumes/{id}", get(show::<D>).delete(remove::<D>))
}

async fn list<D: Door>(Caller(door): Caller<D>) -> Result<Json<Vec<VolumeView>>, E2bError> {
    let all = door.call::<VolumeList>(Nothing {}).await?;
    Ok(Json(all.into_iter().map(VolumeView::new).collect()))
}

async fn create<D: Door>(
    Caller(door): Caller<D>,
    Body(request): Body<NewVolume>,
) -> Result<(StatusCode, Json<VolumeAndToken>), E2bError> {
    let made = door.call::<VolumeCreate>(VolumeCreateInput { name: request.name }).await?;
    Ok((StatusCode::CREATED, Json(VolumeAndToken::new(made, &door))))
}

async fn show<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
) -> Result<Json<VolumeAndToken>, E2bError> {
    let found = door.call::<VolumeShow>(VolumeRef { volume: id }).await?;
    Ok(Json(VolumeAndToken::new(found, &door)))
}

async fn remove<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
) -> Result<StatusCode, E2bError> {
    door.call::<VolumeRemove>(VolumeRef { volume: id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
