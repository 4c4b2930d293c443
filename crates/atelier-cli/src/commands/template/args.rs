//! What sandboxes of a template start with: arguments that verbs share.

use atelier_api::image::TemplateSpec;
use clap::Args;

use crate::commands::sandbox::LimitArgs;
use crate::failure::Failure;
use crate::variables::VariableArgs;

/// What sandboxes of a template start with.
#[derive(Debug, Default, Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    pub variables: VariableArgs,
    /// The user of commands that name none
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// The folder where commands start that name none
    #[arg(long, value_name = "FOLDER")]
    pub workdir: Option<String>,
    /// A command that is started with every sandbox of the template
    #[arg(long, value_name = "COMMAND")]
    pub start: Option<String>,
    /// A command that succeeds when the started one is ready
    #[arg(long, value_name = "COMMAND")]
    pub ready: Option<String>,
    #[command(flatten)]
    pub limits: LimitArgs,
}

impl StartArgs {
    /// As the API takes them; what else a template is made of is left empty.
    pub(super) fn spec(&self) -> Result<TemplateSpec, Failure> {
        Ok(TemplateSpec {
            variables: self.variables.collect()?,
            user: self.user.clone(),
            workdir: self.workdir.clone(),
            start: self.start.clone(),
            ready: self.ready.clone(),
            resources: self.limits.resources(),
            ..TemplateSpec::default()
        })
    }
}
