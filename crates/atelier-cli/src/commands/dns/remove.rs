//! `atelier dns remove`: the resolver as it was before.

use clap::Args;

use super::target::{RootArgs, Source, as_root};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{confirm, note, print};
use crate::system::{ResolverRemoved, ResolverStatus};

/// Arguments of `atelier dns remove`.
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    pub root: RootArgs,
}

/// Takes it back.
pub(crate) fn run(args: &RemoveArgs, context: &Context<'_>) -> Result<u8, Failure> {
    // Whatever the server is: what was written down says what there is to take back.
    let nobody = Source { server: None, suffix: "test".to_owned(), report: None };
    let target = nobody.target(&args.root, as_root("dns remove"));
    let resolver = context.hooks.resolver();
    let status = resolver.look(&target)?;
    if status.state == "none" {
        print("nothing is set up\n")?;
        return Ok(0);
    }
    print(what(&status))?;
    args.root.needs_root("this machine's resolver", "dns remove")?;
    if !(args.yes || confirm("Take it back?")?) {
        return Ok(0);
    }
    print(text(&resolver.unhook(&target)?))?;
    if args.root.is_here()
        && let Err(Failure::Problem(problem)) = Source::ask(context, false)
    {
        note(&format!("the control plane could not be told: {}", problem.detail));
    }
    Ok(0)
}

fn what(status: &ResolverStatus) -> String {
    let line = |file: &std::path::PathBuf| match status.changed.contains(file) {
        true => format!("leave {} as somebody else made it\n", file.display()),
        false => format!("restore {}\n", file.display()),
    };
    status.files.iter().map(line).collect()
}

fn text(removed: &ResolverRemoved) -> String {
    let mut text = String::new();
    for file in &removed.restored {
        text.push_str(&format!("{} is as before\n", file.display()));
    }
    for (file, saved) in &removed.kept {
        let saved = saved.as_ref();
        let saved = saved.map(|at| format!("; what it held before is in {}", at.display()));
        let saved = saved.unwrap_or_default();
        text.push_str(&format!(
            "{} was changed by somebody else, and stays{saved}\n",
            file.display()
        ));
    }
    for failed in &removed.failed {
        text.push_str(&format!("{failed}\n"));
    }
    text
}
