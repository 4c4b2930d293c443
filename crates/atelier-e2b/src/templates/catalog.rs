//! The templates that there are, as E2B groups them.

use atelier_api::image::{Image, ImageList, Template, TemplateList};
use atelier_api::system::Nothing;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::names::TemplateName;
use crate::builds::is_kept_point;
use crate::{Door, E2bError};

/// One template of E2B: its tags, the newest first. There is at least one.
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) tags: Vec<Template>,
}

/// All templates but the kept points of builds.
pub(crate) async fn templates<D: Door>(door: &D) -> Result<Vec<Template>, E2bError> {
    let mut all = door.call::<TemplateList>(Nothing {}).await?;
    all.retain(|template| !is_kept_point(&template.name));
    all.sort_by_key(|template| std::cmp::Reverse(template.built_at));
    Ok(all)
}

/// All of them, by name.
pub(crate) async fn groups<D: Door>(door: &D) -> Result<Vec<Group>, E2bError> {
    let mut groups: Vec<Group> = Vec::new();
    for template in templates(door).await? {
        let id = TemplateName::of_ours(&template.name).id;
        match groups.iter_mut().find(|group| group.id == id) {
            Some(group) => group.tags.push(template),
            None => groups.push(Group { id, tags: vec![template] }),
        }
    }
    Ok(groups)
}

/// The template of a name with all its tags.
pub(crate) async fn group<D: Door>(door: &D, id: &str) -> Result<Group, E2bError> {
    let found = groups(door).await?.into_iter().find(|group| group.id == id);
    found.ok_or_else(|| E2bError::no_template(id))
}

/// The template of a name and a tag.
pub(crate) async fn tagged<D: Door>(door: &D, name: &TemplateName) -> Result<Template, E2bError> {
    let group = group(door, &name.id).await?;
    let found = group.tags.into_iter().find(|template| template.name == name.ours());
    let none = || {
        E2bError::NotFound(format!(
            "tag '{}' does not exist for template '{}'",
            name.tag(),
            name.id
        ))
    };
    found.ok_or_else(none)
}

/// The image of a name, if it is on this machine.
pub(crate) async fn image<D: Door>(door: &D, name: &str) -> Result<Option<Image>, E2bError> {
    let images = door.call::<ImageList>(Nothing {}).await?;
    let short = |own: &str| {
        let own = own.strip_prefix("docker.io/").unwrap_or(own);
        let own = own.strip_prefix("library/").unwrap_or(own);
        own.strip_suffix(":latest").unwrap_or(own).to_owned()
    };
    let wanted = short(name);
    Ok(images
        .into_iter()
        .find(|image| image.id == name || image.names.iter().any(|own| short(own) == wanted)))
}

/// The id of what a template was made by: the same for tags of the same files.
pub(crate) fn build_id(template: &Template) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(template.image.as_bytes())[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
