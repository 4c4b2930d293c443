//! `atelier sandbox cp`: files and folders, into a sandbox or out of it.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::inside::{Inside, copy};
use crate::progress::working;

const EXAMPLES: &str = "\
Examples:
  atelier sandbox cp notes.txt dev:              into the user's home
  atelier sandbox cp src dev:/srv                becomes /srv/src when /srv is there
  atelier sandbox cp src/. dev:/srv              what is in src becomes what is in /srv
  atelier sandbox cp dev:/srv/report.pdf .
  atelier sandbox cp ./a:b dev:/tmp/             a name with a colon: write ./ before it

Modes and symlinks are kept; who owns the copy is whoever makes it. Folders go through the tar that
is in the sandbox, or file by file where there is none.";

/// Arguments of `atelier sandbox cp`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CpArgs {
    /// What is copied: PATH, or SANDBOX:PATH
    #[arg(value_name = "FROM")]
    pub from: PathBuf,
    /// Where to: PATH, or SANDBOX:PATH; a folder that is there takes the copy in
    #[arg(value_name = "TO")]
    pub to: PathBuf,
    /// The user of the sandbox who reads and writes there
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
}

/// One end of a copy.
#[derive(Debug, PartialEq, Eq)]
enum End<'a> {
    Here(&'a Path),
    Inside { sandbox: &'a str, path: &'a str },
}

/// `SANDBOX:PATH` has its colon before any slash.
fn end(path: &Path) -> Result<End<'_>, Failure> {
    let text = path.to_string_lossy();
    let is_inside = text.find(':').is_some_and(|colon| !text[..colon].contains('/') && colon > 0);
    if !is_inside {
        return Ok(End::Here(path));
    }
    let text = path.to_str().ok_or_else(|| {
        Failure::usage(format!(
            "{} is not UTF-8; for a file of this machine, write ./ before it",
            path.display()
        ))
    })?;
    let (sandbox, path) = text.split_once(':').unwrap_or((text, ""));
    Ok(End::Inside { sandbox, path })
}

/// Copies.
pub(crate) fn run(args: &CpArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let (from, to) = (end(&args.from)?, end(&args.to)?);
    let sandbox = match (&from, &to) {
        (End::Here(_), End::Here(_)) => {
            let why = "neither side is SANDBOX:PATH";
            return Err(Failure::usage(why));
        }
        (End::Inside { .. }, End::Inside { .. }) => {
            let why = "both sides are in a sandbox; copy by way of this machine";
            return Err(Failure::usage(why));
        }
        (End::Inside { sandbox, .. }, _) | (_, End::Inside { sandbox, .. }) => {
            (*sandbox).to_owned()
        }
    };
    let plane = context.control_plane()?;
    let inside = Inside { plane: &plane, sandbox, user: args.user.clone() };
    context.wait(working("copying", async {
        let guest = inside.guest_near().await?;
        match (from, to) {
            (End::Here(from), End::Inside { path, .. }) => {
                copy::copy_in(&guest, from, path).await?;
            }
            (End::Inside { path, .. }, End::Here(to)) => copy::copy_out(&guest, path, to).await?,
            _ => {}
        }
        Ok(0)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_side_with_a_colon_is_the_sandbox() {
        let inside = |text: &'static str| match end(Path::new(text)).unwrap() {
            End::Inside { sandbox, path } => Some((sandbox, path)),
            End::Here(_) => None,
        };
        assert_eq!(inside("dev:/srv"), Some(("dev", "/srv")));
        assert_eq!(inside("dev:"), Some(("dev", "")));
        assert_eq!(inside("dev:a:b"), Some(("dev", "a:b")));
        for here in ["file", "./a:b", "/a:b", "dir/a:b", ":x", "."] {
            assert_eq!(inside(here), None, "{here}");
        }
    }
}
