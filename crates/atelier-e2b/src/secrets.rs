//! `/secrets`: values that header rules name.

use std::collections::BTreeMap;

use atelier_api::secret::{
    Secret, SecretCreate, SecretCreateInput, SecretList, SecretRef, SecretRemove, SecretShow,
    SecretUpdate, SecretUpdateInput,
};
use atelier_api::system::Nothing;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::paging::Page;
use crate::request::{Body, Caller, Params};
use crate::{Door, E2b, E2bError};

/// `NewSecret`, and `SecretUpdate`, which has no name.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct SecretRequest {
    name: String,
    value: String,
    metadata: Option<BTreeMap<String, String>>,
}

/// `Secret`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SecretView {
    #[serde(rename = "secretID")]
    id: String,
    name: String,
    current_version: u64,
    metadata: BTreeMap<String, String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl SecretView {
    fn new(secret: Secret) -> Self {
        Self {
            id: secret.id,
            name: secret.name,
            current_version: secret.version,
            metadata: secret.metadata,
            created_at: secret.created_at,
            updated_at: secret.updated_at,
        }
    }
}

pub(crate) fn routes<D: Door>() -> Router<E2b> {
    Router::new()
        .route("/secrets", get(list::<D>).post(create::<D>))
        .route("/secrets/{id}", get(show::<D>).post(update::<D>).delete(remove::<D>))
}

async fn list<D: Door>(Caller(door): Caller<D>, params: Params) -> Result<Response, E2bError> {
    let page = Page::asked(&params)?;
    let all = door.call::<SecretList>(Nothing {}).await?.into_iter().map(SecretView::new);
    let ordered = all.map(|view| (view.created_at, view.id.clone(), view)).collect();
    Ok(page.of(ordered).into_response())
}

async fn create<D: Door>(
    Caller(door): Caller<D>,
    Body(request): Body<SecretRequest>,
) -> Result<(StatusCode, Json<SecretView>), E2bError> {
    let SecretRequest { name, value, metadata } = request;
    let input = SecretCreateInput { name, value, metadata: metadata.unwrap_or_default() };
    let made = door.call::<SecretCreate>(input).await?;
    Ok((StatusCode::CREATED, Json(SecretView::new(made))))
}

async fn show<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
) -> Result<Json<SecretView>, E2bError> {
    let found = door.call::<SecretShow>(SecretRef { secret: id }).await?;
    Ok(Json(SecretView::new(found)))
}

async fn update<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
    Body(request): Body<SecretRequest>,
) -> Result<Json<SecretView>, E2bError> {
    let SecretRequest { value, metadata, .. } = request;
    let changed = door.call::<SecretUpdate>(SecretUpdateInput { secret: id, value, metadata });
    Ok(Json(SecretView::new(changed.await?)))
}

async fn remove<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
) -> Result<StatusCode, E2bError> {
    door.call::<SecretRemove>(SecretRef { secret: id }).await?;
    Ok(StatusCode::NO_CONTENT)
}
