//! `atelier secret set`: a value for header rules, new or in the place of another.

use std::io::IsTerminal;
use std::path::PathBuf;

use atelier_api::secret::{
    SecretCreate, SecretCreateInput, SecretRef, SecretShow, SecretUpdate, SecretUpdateInput,
};
use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json};

const EXAMPLES: &str = "\
Examples:
  pass show openai | atelier secret set openai
  atelier secret set openai --from key.txt
  echo '{\"api.openai.com\": {\"headers\": {\"authorization\": \"Bearer ${secrets.openai}\"}}}' > rules.json
  atelier sandbox create python:3.12 --rules rules.json

A command line, which others see, is no place for a value. A line break at its end is left out.";

/// Arguments of `atelier secret set`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SetArgs {
    /// Its name: letters, digits, - and _
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The file with the value; - is standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub from: PathBuf,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Sets it.
pub(crate) fn run(args: &SetArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let value = read(args)?;
    let reference = SecretRef { secret: args.name.clone() };
    let set = match context.call::<SecretShow>(&reference) {
        Ok(_) => context.call::<SecretUpdate>(&SecretUpdateInput {
            secret: args.name.clone(),
            value,
            metadata: None,
        })?,
        Err(Failure::Problem(problem)) if problem.code == "secret.not_found" => {
            let (name, metadata) = (args.name.clone(), Default::default());
            context.call::<SecretCreate>(&SecretCreateInput { name, value, metadata })?
        }
        Err(other) => return Err(other),
    };
    if args.json {
        print_json(&set)?;
    } else {
        print(format!("{} has its value {}\n", set.name, set.version))?;
    }
    Ok(0)
}

fn read(args: &SetArgs) -> Result<String, Failure> {
    let inward = args.from.as_os_str() == "-";
    if inward && std::io::stdin().is_terminal() {
        let why = "the value is read from standard input, and that is a terminal";
        return Err(Failure::usage(format!("{why}; pipe it in, or name a file with --from")));
    }
    let text = match inward {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(&args.from),
    };
    let text = text.map_err(|error| Failure::of_file("read", &args.from, &error))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}
