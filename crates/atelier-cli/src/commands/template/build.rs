//! `atelier template build`: image, repository and setup, run once and frozen.

use std::path::Path;

use atelier_api::image::{TemplateBuild, TemplateBuildInput, TemplateSpec};
use clap::Args;

use super::args::StartArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{note, print, print_json, size};

const EXAMPLES: &str = "\
Examples:
  atelier template build py --image python:3.12 --setup 'pip install numpy'
  atelier template build app --image node:22 --repository . --workdir /app --setup 'npm ci'
  atelier template build db --image postgres:17 --start 'docker-entrypoint.sh postgres' \\
      --ready 'pg_isready'
  atelier sandbox create py";

/// Arguments of `atelier template build`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BuildArgs {
    /// The template's name, with a tag after a colon if one is wanted
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The image or template it starts from
    #[arg(long, value_name = "IMAGE", required_unless_present = "preset")]
    pub image: Option<String>,
    /// A recipe that comes with Atelier: base, or code-interpreter
    #[arg(long, value_name = "RECIPE")]
    pub preset: Option<String>,
    /// A git repository, or a folder of this machine, that is put into the workdir
    #[arg(long, value_name = "URL|PATH")]
    pub repository: Option<String>,
    /// The branch, tag or commit of the repository
    #[arg(long = "ref", value_name = "REF", requires = "repository")]
    pub reference: Option<String>,
    /// A shell command that runs once (repeatable, in order)
    #[arg(long, value_name = "COMMAND")]
    pub setup: Vec<String>,
    /// The runtime that it is set up on; its sandboxes start on any that takes images
    #[arg(long, value_name = "RUNTIME")]
    pub runtime: Option<String>,
    /// Build it again although nothing changed
    #[arg(long)]
    pub force: bool,
    /// Show what the setup said
    #[arg(short, long)]
    pub verbose: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub start: StartArgs,
}

/// Builds it.
pub(crate) fn run(args: &BuildArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let repository = args.repository.as_deref().map(|text| repository(text, context));
    let spec = TemplateSpec {
        preset: args.preset.clone(),
        image: args.image.clone().unwrap_or_default(),
        repository: repository.transpose()?,
        reference: args.reference.clone(),
        setup: args.setup.clone(),
        ..args.start.spec()?
    };
    let (name, runtime) = (args.name.clone(), args.runtime.clone());
    let input = TemplateBuildInput { name, spec, force: args.force, runtime };
    let built = context.call_slowly::<TemplateBuild>(&format!("building {}", args.name), &input)?;
    if args.json {
        print_json(&built)?;
        return Ok(0);
    }
    if args.verbose {
        built.log.lines().for_each(note);
    }
    let (name, bytes) = (&built.template.name, size(built.template.size_bytes));
    if built.rebuilt {
        print(format!("built {name} ({bytes})\n"))?;
    } else {
        print(format!("{name} is as it should be: nothing that it is made of has changed\n"))?;
    }
    Ok(0)
}

/// A URL as it is; a folder by its absolute path.
fn repository(text: &str, context: &Context<'_>) -> Result<String, Failure> {
    if is_url(text) {
        return Ok(text.to_owned());
    }
    let path = context.path(Path::new(text))?;
    let text = path.as_path().to_str().map(str::to_owned);
    text.ok_or_else(|| Failure::usage(format!("{} is not UTF-8", path.as_path().display())))
}

/// Whether git reads it as a URL, or as `user@host:path` (git-clone(1), "GIT URLS").
fn is_url(text: &str) -> bool {
    let scp = text.find(':').is_some_and(|colon| colon > 0 && !text[..colon].contains('/'));
    text.contains("://") || scp
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_a_url_or_a_folder() {
        for url in ["https://example.com/a.git", "git@example.com:a/b", "file:///srv/a"] {
            assert!(is_url(url), "{url}");
        }
        for folder in [".", "../a", "/srv/a:b", "a", "./a:b"] {
            assert!(!is_url(folder), "{folder}");
        }
    }
}
