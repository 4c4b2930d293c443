//! What an agent may change without a person's word: `tools.consent` of the settings.

use atelier_api::ExitCode;
use atelier_config::Consent;
use atelier_tools::{Ask, Plan, Result, ToolsError};

/// Agrees as the settings say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule(pub Consent);

impl Ask for Rule {
    fn agree(&self, plan: &Plan) -> Result<bool> {
        let verified = plan.action == "add" && plan.maturity == "verified";
        match self.0 {
            Consent::Allow => Ok(true),
            Consent::Verified if verified => Ok(true),
            _ => Err(refused(&plan.action, &plan.slug, self.0)),
        }
    }
}

impl Rule {
    /// What is no plan of its own, such as starting a service or wiring an agent.
    pub(super) fn permits(self, action: &str, what: &str) -> Result<()> {
        match self.0 {
            Consent::Allow => Ok(()),
            rule => Err(refused(action, what, rule)),
        }
    }
}

fn refused(action: &str, what: &str, rule: Consent) -> ToolsError {
    let word = match rule {
        Consent::Deny => "deny",
        Consent::Ask => "ask",
        Consent::Verified => "verified",
        Consent::Allow => "allow",
    };
    ToolsError::Other {
        code: "tool.consent",
        exit: ExitCode::NotPermitted,
        message: format!("an agent may not {action} {what}: tools.consent is {word}"),
        hints: vec![
            format!("the user can: atelier tool {action} {what}"),
            "or let agents: tools.consent in config.yaml".to_owned(),
        ],
    }
}
