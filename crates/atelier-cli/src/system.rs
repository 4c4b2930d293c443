//! What the binary can change of the system that it runs on: its resolver, and whom it trusts. It does
//! so in this process, because it needs root and the control plane has none.

use std::net::SocketAddr;
use std::path::PathBuf;

use atelier_api::Problem;
use atelier_config::Home;
use serde::Serialize;

/// A resolver, and the server that it is to ask.
#[derive(Debug, Clone)]
pub struct ResolverTarget {
    /// The folder that the system's paths are below: `/` for this machine.
    pub root: PathBuf,
    /// Where our name server listens.
    pub server: SocketAddr,
    /// What its names end with.
    pub suffix: String,
    /// The way into the resolver; the one that fits when absent.
    pub way: Option<String>,
    /// What a user without root is told to run.
    pub as_root: String,
}

/// What will be changed, or was.
#[derive(Debug, Clone)]
pub struct ResolverPlan {
    /// For people.
    pub text: String,
    /// Whether everything is in place already.
    pub in_place: bool,
}

/// How a hook stands.
#[derive(Debug, Clone, Serialize)]
pub struct ResolverStatus {
    /// `none`, `set_up`, `different`, `interrupted` or `changed`.
    pub state: String,
    /// The way into the resolver.
    pub way: Option<String>,
    /// The server that the system was told.
    pub server: Option<SocketAddr>,
    /// The suffixes that it was told.
    pub domains: Vec<String>,
    /// The hook's files.
    pub files: Vec<PathBuf>,
    /// Those that somebody else has changed.
    pub changed: Vec<PathBuf>,
}

/// What was taken back.
#[derive(Debug, Clone)]
pub struct ResolverRemoved {
    /// Files that are as before.
    pub restored: Vec<PathBuf>,
    /// Files that somebody else has changed, with where the former content is now.
    pub kept: Vec<(PathBuf, Option<PathBuf>)>,
    /// Commands that failed, with their words.
    pub failed: Vec<String>,
}

/// The hook in a system's resolver.
pub trait Resolver {
    /// What [`Resolver::hook`] would change. Needs no root.
    ///
    /// # Errors
    /// When no way fits, or somebody else has changed what was hooked.
    fn plan(&self, target: &ResolverTarget) -> Result<ResolverPlan, Problem>;
    /// Makes the resolver ask our server.
    ///
    /// # Errors
    /// Those of the plan, without root, and of files and commands.
    fn hook(&self, target: &ResolverTarget) -> Result<ResolverPlan, Problem>;
    /// How it stands. Needs no root.
    ///
    /// # Errors
    /// When what was noted of it can't be read.
    fn look(&self, target: &ResolverTarget) -> Result<ResolverStatus, Problem>;
    /// Takes it back.
    ///
    /// # Errors
    /// Without root, and those of files.
    fn unhook(&self, target: &ResolverTarget) -> Result<ResolverRemoved, Problem>;
}

/// A store of authorities, and ours.
#[derive(Debug, Clone)]
pub struct TrustTarget {
    /// The folder that the system's paths are below: `/` for this machine.
    pub root: PathBuf,
    /// The home whose authority it is.
    pub home: Home,
    /// A certificate to take instead of the home's own.
    pub certificate: Option<PathBuf>,
    /// Take it back instead.
    pub remove: bool,
}

/// What will be changed.
#[derive(Debug, Clone)]
pub struct TrustPlan {
    /// For people.
    pub text: String,
    /// Whether there is nothing to be done.
    pub in_place: bool,
    /// The authority's certificate.
    pub certificate: PathBuf,
}

/// The system's store of authorities that it trusts.
pub trait Authorities {
    /// What [`Authorities::change`] would do. Needs no root.
    ///
    /// # Errors
    /// When there is no certificate, or no store that is known.
    fn plan(&self, target: &TrustTarget) -> Result<TrustPlan, Problem>;
    /// Does it.
    ///
    /// # Errors
    /// Those of files and commands.
    fn change(&self, target: &TrustTarget) -> Result<(), Problem>;
}
