//! `DELETE /templates/{id}`: a template with all its tags, one of its tags, or a snapshot.

use atelier_api::image::{TemplateRef, TemplateRemove};
use atelier_api::sandbox::{SnapshotRef, SnapshotRemove};
use axum::extract::Path;
use axum::http::StatusCode;

use super::catalog;
use super::names::TemplateName;
use crate::request::Caller;
use crate::{Door, E2bError, snapshots};

/// `DELETE /templates/{id}`.
pub(crate) async fn remove<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
) -> Result<StatusCode, E2bError> {
    let name = TemplateName::asked(&id)?;
    let mut templates = catalog::templates(&door).await?;
    templates.retain(|template| {
        let own = TemplateName::of_ours(&template.name);
        own.id == name.id && (!id.contains(':') || own.tag == name.tag)
    });
    if templates.is_empty() {
        let snapshot = snapshots::named(&door, &id).await?;
        let snapshot = snapshot.ok_or_else(|| E2bError::no_template(&id))?.id;
        door.call::<SnapshotRemove>(SnapshotRef { snapshot }).await?;
    }
    for template in templates {
        door.call::<TemplateRemove>(TemplateRef { template: template.name }).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
