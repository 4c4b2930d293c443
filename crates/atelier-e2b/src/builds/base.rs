//! What a build starts from, and making an image ready for E2B's clients.

use std::collections::BTreeMap;

use atelier_api::sandbox::SandboxOptions;

use super::order::{From, Plan};
use super::shell::Context;
use crate::templates::catalog;
use crate::templates::names::TemplateName;
use crate::{Door, E2bError};

/// The user of E2B's templates, and its home.
pub(super) const USER: &str = "user";
const HOME: &str = "/home/user";
/// The image that clients of E2B mean by "the base image". Where it is not on this machine, the
/// template or image `base` stands for it.
const E2B_BASE: &str = "e2bdev/base";

/// Makes the user, and what E2B lets it do.
pub(super) const PREPARE: &str = include_str!("prepare.sh");

/// What a build starts from.
#[derive(Debug)]
pub(super) struct Base {
    /// In words.
    pub(super) name: String,
    /// Another one whenever the base is another.
    pub(super) key: String,
    pub(super) context: Context,
    /// Whether it must be made ready first.
    pub(super) bare: bool,
    image: Option<String>,
    template: Option<String>,
}

impl Base {
    /// A sandbox's options that begin here.
    pub(super) fn options(&self) -> SandboxOptions {
        SandboxOptions {
            image: self.image.clone(),
            template: self.template.clone(),
            ..SandboxOptions::default()
        }
    }
}

/// Finds the base of a plan.
pub(super) async fn resolve<D: Door>(door: &D, plan: &Plan) -> Result<Base, E2bError> {
    match &plan.from {
        From::Template(name) => of_template(door, name).await,
        From::Image(name) => {
            let known = catalog::image(door, name).await?;
            let repository = name.strip_prefix("docker.io/").unwrap_or(name);
            let repository = repository.split([':', '@']).next().unwrap_or(repository);
            if known.is_none() && repository == E2B_BASE {
                if catalog::group(door, "base").await.is_ok() {
                    return of_template(door, "base").await;
                }
                if let Some(image) = catalog::image(door, "base").await? {
                    return Ok(of_image("base", &image.id));
                }
            }
            // One that is not here yet is pulled when the sandbox is made.
            Ok(of_image(name, known.as_ref().map_or(name.as_str(), |image| &image.id)))
        }
    }
}

fn of_image(name: &str, id: &str) -> Base {
    let context = Context {
        user: USER.to_owned(),
        workdir: Some(HOME.to_owned()),
        variables: BTreeMap::new(),
    };
    Base {
        name: name.to_owned(),
        key: format!("image {id}"),
        context,
        bare: true,
        image: Some(name.to_owned()),
        template: None,
    }
}

async fn of_template<D: Door>(door: &D, name: &str) -> Result<Base, E2bError> {
    let asked = TemplateName::asked(name)?;
    let template = match catalog::tagged(door, &asked).await {
        Ok(template) => template,
        Err(E2bError::NotFound(why)) => {
            let image = catalog::image(door, &asked.ours()).await?;
            return image
                .map(|image| of_image(&asked.ours(), &image.id))
                .ok_or(E2bError::NotFound(why));
        }
        Err(error) => return Err(error),
    };
    let context = Context {
        user: template.spec.user.clone().unwrap_or_else(|| USER.to_owned()),
        workdir: template.spec.workdir.clone(),
        variables: template.spec.variables.clone(),
    };
    Ok(Base {
        name: template.name.clone(),
        key: format!("template {} {}", template.inputs, template.image),
        // A template of ours need not have been made for E2B's clients.
        bare: context.user == USER,
        context,
        image: None,
        template: Some(template.name),
    })
}
