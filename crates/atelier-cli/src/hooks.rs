//! What the binary brings to the command line: the few things that no control plane can be asked.

use std::path::{Path, PathBuf};

use atelier_api::Problem;
use atelier_api::system::Check;
use atelier_config::{Home, ProjectLayer, Settings};

use crate::system::{Authorities, Resolver};

/// How the control plane is to serve.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The home that it serves; its folders are there.
    pub home: Home,
    /// Every setting, with the command's flags applied: `listen` among them.
    pub settings: Settings,
    /// Whether a command started it: nobody looks at its output but in the log file, and another
    /// control plane of this home is no failure.
    pub background: bool,
}

/// What the binary brings.
pub trait Hooks {
    /// The version for people, such as `0.1.0`.
    fn version(&self) -> &'static str;
    /// Version and build: a control plane of another build is replaced.
    fn build(&self) -> &'static str;
    /// Serves until it is told to stop.
    ///
    /// # Errors
    /// Why it could not.
    fn serve(&self, options: ServeOptions) -> Result<(), Problem>;
    /// What can be checked when no control plane can be asked.
    fn local_doctor(&self, home: &Home) -> Vec<Check>;
    /// Mends what keeps a control plane from starting, such as a corrupt database, and says what
    /// it did. Called when none runs, and after the user has agreed.
    ///
    /// # Errors
    /// Why it could not.
    fn repair(&self, home: &Home) -> Result<Vec<Check>, Problem>;
    /// Where the `atelier.yaml` of the project at `folder` belongs, and what a new one says after
    /// a look at the project.
    ///
    /// # Errors
    /// Why the project could not be looked at.
    fn init_template(&self, folder: &Path) -> Result<(PathBuf, String), Problem>;
    /// The `atelier.yaml` of the project that `folder` lies in, if it has one.
    ///
    /// # Errors
    /// Why it is not valid, with line and column.
    fn project_layer(&self, folder: &Path) -> Result<Option<ProjectLayer>, Problem>;
    /// The top folder of the project that `folder` lies in.
    ///
    /// # Errors
    /// When there is none.
    fn project_root(&self, folder: &Path) -> Result<PathBuf, Problem>;
    /// What of this project goes to a far host.
    ///
    /// # Errors
    /// Why the project could not be looked at.
    fn travelling(&self, folder: &Path, home: &Home) -> Result<atelier_far::Project, Problem>;
    /// Brings an environment's changes back that were fetched from a far host into `folder`.
    ///
    /// # Errors
    /// As `env.apply`.
    fn bring_back(
        &self,
        folder: &Path,
        input: &atelier_api::env::EnvApplyInput,
    ) -> Result<atelier_api::env::Applied, Problem>;
    /// Reference pages of the parts, by file name.
    fn reference_pages(&self) -> Vec<(&'static str, String)>;
    /// This machine's resolver.
    fn resolver(&self) -> &dyn Resolver;
    /// Whom this machine trusts.
    fn authorities(&self) -> &dyn Authorities;
    /// The OpenAPI document.
    fn openapi(&self) -> serde_json::Value;
}
