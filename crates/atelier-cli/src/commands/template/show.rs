//! `atelier template show`: everything about one template.

use atelier_api::image::{Template, TemplateList};
use atelier_api::system::Nothing;
use atelier_api::{ExitCode, Problem};
use clap::Args;

use crate::commands::sandbox::limits;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{age, print, print_json, size, visible};

/// Arguments of `atelier template show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The template's name
    #[arg(value_name = "TEMPLATE")]
    pub template: String,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Shows it.
pub(crate) fn run(args: &ShowArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let all = context.call::<TemplateList>(&Nothing {})?;
    let Some(found) = all.into_iter().find(|one| one.name == args.template) else {
        let detail = format!("there is no template {:?}", args.template);
        return Err(Problem::new("template.not_found", ExitCode::NotFound, detail)
            .hint("`atelier template ls` lists what there is")
            .into());
    };
    if args.json {
        print_json(&found)?;
    } else {
        print(text(&found))?;
    }
    Ok(0)
}

fn text(one: &Template) -> String {
    let spec = &one.spec;
    let mut lines = vec![("name", one.name.clone())];
    let mut optional = |name, value: &Option<String>| {
        if let Some(value) = value {
            lines.push((name, value.clone()));
        }
    };
    let image = Some(&spec.image).filter(|image| !image.is_empty());
    optional("image", &image.cloned());
    optional("preset", &spec.preset);
    optional("repository", &spec.repository);
    optional("ref", &spec.reference);
    optional("user", &spec.user);
    optional("workdir", &spec.workdir);
    optional("start", &spec.start);
    optional("ready", &spec.ready);
    lines.extend(spec.setup.iter().map(|command| ("setup", command.clone())));
    lines
        .extend(spec.variables.iter().map(|(name, value)| ("variable", format!("{name}={value}"))));
    lines.push(("limits", limits(&spec.resources)));
    lines.push(("built", format!("{} ago, as {}", age(one.built_at), one.image)));
    lines.push(("size", size(one.size_bytes)));
    lines.iter().map(|(name, value)| format!("{name:<12}{}\n", visible(value))).collect()
}
