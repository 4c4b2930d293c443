//! `atelier volume create`: an empty volume.

use atelier_api::volume::{VolumeCreate, VolumeCreateInput};
use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json};

const EXAMPLES: &str = "\
Examples:
  atelier volume create cache
  atelier sandbox create debian:bookworm-slim --volume cache:/var/cache";

/// Arguments of `atelier volume create`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CreateArgs {
    /// A name to know it by: letters, digits, - and _
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Makes it.
pub(crate) fn run(args: &CreateArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let made = context.call::<VolumeCreate>(&VolumeCreateInput { name: args.name.clone() })?;
    if args.json {
        print_json(&made)?;
    } else {
        print(format!("{}\n", made.volume.name))?;
    }
    Ok(0)
}
