//! Which system is meant, which server it is to ask, and who may change it.

use std::env;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use atelier_api::hostname::{DnsReport, DnsStatus};
use atelier_api::system::Nothing;
use atelier_api::{ExitCode, Problem};
use atelier_config::{Layer, Settings};
use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::system::ResolverTarget;

/// The system whose files are meant.
#[derive(Debug, Args)]
pub(crate) struct RootArgs {
    /// The files of a system that does not run, such as an image's, instead of this machine's
    #[arg(long, value_name = "FOLDER", default_value = "/", hide_default_value = true)]
    pub root: PathBuf,
}

impl RootArgs {
    /// Whether it is this machine.
    pub(crate) fn is_here(&self) -> bool {
        self.root == Path::new("/")
    }

    /// A change of this machine needs root. `command` is what to run instead, without `sudo atelier`.
    pub(crate) fn needs_root(&self, what: &str, command: &str) -> Result<(), Failure> {
        if !self.is_here() || rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let detail = format!("only root may change {what}");
        let problem = Problem::new("dns.needs_root", ExitCode::NotPermitted, detail);
        Err(problem.hint(format!("run: {}", as_root(command))).into())
    }
}

/// The same command for root, who finds another `PATH` and another home.
pub(crate) fn as_root(command: &str) -> String {
    let program = env::current_exe().unwrap_or_else(|_| "atelier".into());
    format!("sudo {} {command}", word(&program.display().to_string()))
}

/// A word as a shell takes it.
pub(crate) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:+@=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Where names are answered for.
#[derive(Debug)]
pub(crate) struct Source {
    /// The server.
    pub server: Option<SocketAddr>,
    /// What its names end with.
    pub suffix: String,
    /// What the control plane says, if it runs.
    pub report: Option<DnsReport>,
}

impl Source {
    /// What the control plane says, which is started for this or not.
    pub(crate) fn ask(context: &Context<'_>, start: bool) -> Result<Self, Failure> {
        let plane = context.control_plane()?;
        let report = context.wait(async {
            if !plane.is_running().await? {
                if !start {
                    return Ok(None);
                }
                not_for_somebody_else()?;
            }
            Ok(Some(plane.call::<DnsStatus>(&Nothing {}).await?))
        })?;
        if let Some(report) = report {
            let server = report.server.as_deref().and_then(|at| at.parse().ok());
            return Ok(Self { server, suffix: report.suffix.clone(), report: Some(report) });
        }
        let get = |name: &str| env::var_os(name);
        let settings = Settings::load(&context.home()?, None, get, Layer::default())?;
        let (server, suffix) = (settings.dns.value, settings.dns_suffix.value);
        Ok(Self { server, suffix, report: None })
    }

    /// As the system is to be told.
    pub(crate) fn target(&self, root: &RootArgs, as_root: String) -> ResolverTarget {
        // Without a server nothing stands as it should, whatever the hook says.
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        ResolverTarget {
            root: root.root.clone(),
            server: self.server.unwrap_or(nowhere),
            suffix: self.suffix.clone(),
            way: None,
            as_root,
        }
    }
}

/// Root who was somebody else a moment ago must not get a control plane of its own by the way.
fn not_for_somebody_else() -> Result<(), Failure> {
    if env::var_os("SUDO_UID").is_none() || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let detail = "root has no control plane here, and names are those of a user";
    Err(Problem::new("dns.whose", ExitCode::Configuration, detail)
        .hint("run 'atelier dns setup' as yourself: it says what root is to run")
        .hint("or name the server: --server 127.0.0.1:5354 --suffix test")
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_split_them() {
        assert_eq!(word("/usr/bin/atelier"), "/usr/bin/atelier");
        assert_eq!(word("/home/a b/it's"), r"'/home/a b/it'\''s'");
        assert_eq!(word(""), "''");
    }
}
