//! `atelier tool show`: one tool, in full.

use atelier_plugin::Slug;
use atelier_toolrun::secrets::{self, Purpose};
use atelier_tools::verbs::{self, Shown};
use clap::Args;

use super::args::slug;
use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json};

/// Arguments of `atelier tool show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The tool
    #[arg(value_name = "NAME", value_parser = slug)]
    pub name: Slug,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Shows it.
pub(crate) fn run(args: &ShowArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, false, args.json)?;
    let shown = verbs::show(&desk.home, args.name.as_str())?;
    if args.json {
        print_json(&shown)?;
        return Ok(0);
    }
    print(text(&shown, &settings(&desk, &shown)))?;
    Ok(0)
}

/// Its settings, secrets as hints; or why they can't be read.
fn settings(desk: &Desk, shown: &Shown) -> Vec<String> {
    let Some(plugin) = &shown.plugin else { return Vec::new() };
    let around = |name: &str| std::env::var(name).ok();
    match secrets::resolve(&desk.home, &shown.slug, plugin, Purpose::Service, around) {
        Err(error) => vec![error.to_string()],
        Ok(variables) => variables
            .shown()
            .into_iter()
            .map(|one| {
                let value = one.value.unwrap_or_else(|| {
                    if one.required { "(missing)".to_owned() } else { "(not set)".to_owned() }
                });
                format!("{}={value}", one.name)
            })
            .collect(),
    }
}

fn text(shown: &Shown, settings: &[String]) -> String {
    let mut text = String::new();
    let mut line = |title: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("{title:<12} {value}\n"));
        }
    };
    line("tool", shown.slug.as_str());
    if let Some(plugin) = &shown.plugin {
        line("name", &plugin.name);
        line("what", &plugin.description);
        line(
            "docs",
            plugin.vendor.iter().filter_map(|v| v.docs.as_deref()).next().unwrap_or_default(),
        );
    }
    line("from", &shown.resolved);
    line("folder", &shown.path);
    for package in &shown.packages {
        line("package", &format!("{} {}", package.name, package.version));
    }
    for one in &shown.unpinned {
        line("not pinned", &format!("{}: {}", one.what, one.why));
    }
    settings.iter().for_each(|setting| line("setting", setting));
    shown.modified.iter().for_each(|file| line("changed", file));
    shown.custom.iter().for_each(|file| line("yours", file));
    line("profiles", &shown.profiles.join(" "));
    shown.problems.iter().for_each(|problem| line("problem", &problem.to_string()));
    text
}
