//! `atelier tool setup`: the settings of a tool, asked or given.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

use atelier_plugin::{Plugin, Slug};
use atelier_toolrun::secrets::{self, Answer, Done, Given};
use atelier_tools::verbs;
use clap::Args;
use serde::Serialize;

use super::args::SomeOrAll;
use super::ask;
use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{note, print, print_json};

const EXAMPLES: &str = "\
Examples:
  atelier tool setup notion                          asks
  atelier tool setup notion --set NOTION_TOKEN=@token.txt
  pass notion | atelier tool setup notion --set NOTION_TOKEN=-
  NOTION_TOKEN=… atelier tool setup notion --set NOTION_TOKEN
  atelier tool setup metabase --set METABASE_URL=http://localhost:3000

A secret's value is never an argument: every process of this machine could read it there.";

/// Arguments of `atelier tool setup`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SetupArgs {
    #[command(flatten)]
    pub tools: SomeOrAll,
    /// A setting: KEY=VALUE, KEY=@FILE, KEY=- (standard input), KEY (the variable of that name), KEY= (none)
    #[arg(short, long, value_name = "KEY[=VALUE]", conflicts_with = "all")]
    pub set: Vec<String>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// A tool, and what became of its settings.
#[derive(Debug, Serialize)]
struct SetUp<'a> {
    slug: &'a Slug,
    #[serde(flatten)]
    done: Done,
}

/// Sets them up.
pub(crate) fn run(args: &SetupArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, false, args.json)?;
    let tools = desk.tools(&args.tools.names)?;
    if !args.set.is_empty() && tools.len() != 1 {
        return Err(Failure::usage("--set is for one tool"));
    }
    let mut all = Vec::new();
    for slug in &tools {
        let plugin = Plugin::load(&desk.home.plugin(slug))?;
        let answers = match args.set.is_empty() {
            true => asked(&desk, slug, &plugin)?,
            false => given(slug, &plugin, &args.set)?,
        };
        let done = keep(&desk, slug, &plugin, &answers)?;
        if !args.json {
            show(slug, &done)?;
        }
        all.push(SetUp { slug, done });
    }
    if args.json {
        print_json(&all)?;
    }
    Ok(0)
}

fn keep(
    desk: &Desk,
    slug: &Slug,
    plugin: &Plugin,
    answers: &BTreeMap<String, Answer>,
) -> Result<Done, Failure> {
    let recipients = verbs::recipients(&desk.home)?;
    let doing = format!("tool setup {slug}");
    let (done, _) = verbs::record(&desk.home, &doing, &desk.context().get(), || {
        let done = secrets::apply(&desk.home, slug, plugin, &recipients, answers)?;
        let files = done.files.clone();
        Ok((done, files))
    })?;
    Ok(done)
}

fn given(
    slug: &Slug,
    plugin: &Plugin,
    set: &[String],
) -> Result<BTreeMap<String, Answer>, Failure> {
    let environment = |name: &str| std::env::var(name).ok();
    let mut given = Given { input: &mut io::stdin().lock(), environment: &environment };
    Ok(secrets::answers(slug, plugin, set, &mut given)?)
}

fn asked(desk: &Desk, slug: &Slug, plugin: &Plugin) -> Result<BTreeMap<String, Answer>, Failure> {
    let questions = secrets::questions(&desk.home, slug, plugin)?;
    if questions.is_empty() {
        note(&format!("{slug} has no settings"));
        return Ok(BTreeMap::new());
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        let names: Vec<_> = questions.iter().map(|question| question.name.as_str()).collect();
        return Err(Failure::usage(format!(
            "there is no terminal to ask for the settings of {slug} ({}); give them with --set",
            names.join(", ")
        )));
    }
    ask::all(slug, &questions)
}

fn show(slug: &Slug, done: &Done) -> Result<(), Failure> {
    if !done.changed.is_empty() {
        print(format!("set {} of {slug}\n", done.changed.join(", ")))?;
    }
    if !done.missing.is_empty() {
        note(&format!("{slug} still needs {}", done.missing.join(", ")));
    }
    Ok(())
}
