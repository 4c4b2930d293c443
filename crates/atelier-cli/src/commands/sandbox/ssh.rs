//! `atelier sandbox ssh`: the ssh of this machine, into a sandbox.

use std::ffi::OsString;

use atelier_api::system::{Nothing, SystemStatus};
use atelier_api::{ExitCode, Problem};
use clap::Args;

use super::args::SandboxArg;
use super::show::show;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::print;
use crate::spawn;

/// Arguments of `atelier sandbox ssh`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    atelier sandbox ssh dev\n  \
    atelier sandbox ssh dev -- -L 8080:localhost:80 make\n  \
    atelier sandbox ssh dev --print      the command, for editors and scripts")]
pub(crate) struct SshArgs {
    #[command(flatten)]
    pub sandbox: SandboxArg,
    /// Print the command instead of running it
    #[arg(long)]
    pub print: bool,
    /// Further arguments of ssh: options, and a command
    #[arg(last = true, value_name = "ARGS")]
    pub arguments: Vec<OsString>,
}

/// Becomes ssh.
pub(crate) fn run(args: &SshArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let id = show(context, &args.sandbox)?.sandbox.id;
    let Some(address) = context.call::<SystemStatus>(&Nothing {})?.ssh else {
        let detail = "the control plane serves no SSH";
        return Err(Problem::new("ssh.absent", ExitCode::Configuration, detail)
            .hint("`atelier config` shows where it would be served")
            .hint("`atelier sandbox shell` needs no such service")
            .into());
    };
    let (host, port) = split(&address)?;
    let mut words: Vec<OsString> = vec!["-p".into(), port.into()];
    words.push(format!("{id}@{host}").into());
    // ssh takes options behind the host as well, and the command after them.
    words.extend(args.arguments.iter().cloned());
    if args.print {
        let shown: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        print(format!("ssh {}\n", shown.join(" ")))?;
        return Ok(0);
    }
    Err(spawn::become_program("ssh", &words).into())
}

fn split(address: &str) -> Result<(&str, &str), Failure> {
    let parts = address.rsplit_once(':').map(|(host, port)| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        // What listens everywhere is reached here.
        (if matches!(host, "0.0.0.0" | "::") { "127.0.0.1" } else { host }, port)
    });
    parts.ok_or_else(|| {
        let detail = format!("{address:?} is no address of an SSH server");
        Problem::new("control_plane.protocol", ExitCode::Failed, detail).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_everywhere_is_reached_here() {
        assert_eq!(split("0.0.0.0:2222").unwrap(), ("127.0.0.1", "2222"));
        assert_eq!(split("[::1]:2222").unwrap(), ("::1", "2222"));
        assert!(split("nonsense").is_err());
    }
}
