//! `GET /templates/aliases/{alias}`: whether there is something of this name to start from.

use axum::Json;
use axum::extract::Path;
use serde::Serialize;

use super::catalog;
use super::names::TemplateName;
use crate::request::Caller;
use crate::{Door, E2bError};

/// `TemplateAliasResponse`.
#[derive(Debug, Serialize)]
pub(crate) struct Alias {
    #[serde(rename = "templateID")]
    template: String,
    public: bool,
}

/// A template of this name, or else an image: a sandbox starts from either.
pub(crate) async fn check<D: Door>(
    Caller(door): Caller<D>,
    Path(alias): Path<String>,
) -> Result<Json<Alias>, E2bError> {
    let name = TemplateName::asked(&alias)?;
    let found = if alias.contains(':') {
        catalog::tagged(&door, &name).await.map(|_| ())
    } else {
        catalog::group(&door, &name.id).await.map(|_| ())
    };
    match found {
        Ok(()) => {}
        Err(E2bError::NotFound(why)) => {
            if catalog::image(&door, &name.ours()).await?.is_none() {
                return Err(E2bError::NotFound(why));
            }
        }
        Err(error) => return Err(error),
    }
    Ok(Json(Alias { template: name.id, public: false }))
}
