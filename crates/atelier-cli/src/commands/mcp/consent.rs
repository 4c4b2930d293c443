//! What an agent may change: `tools.consent` of the settings, and the word of the person at the agent, who is
//! asked through it.

use atelier_api::ExitCode;
use atelier_config::Consent;
use atelier_mcp::Confirmed;
use atelier_tools::{Ask, Plan, Result, ToolsError};
use tokio::runtime::Handle;

use crate::commands::tool::desk::describe;
use crate::output::{Paint, visible};

/// Agrees as the settings say, in one call of a client.
pub(super) struct Rule {
    pub consent: Consent,
    pub client: atelier_mcp::Context,
}

impl Ask for Rule {
    fn agree(&self, plan: &Plan) -> Result<bool> {
        let verified = plan.action == "add" && plan.maturity == "verified";
        match self.consent {
            Consent::Allow => Ok(true),
            Consent::Verified if verified => Ok(true),
            _ => self.ask(&plan.action, &plan.slug, &describe(plan, Paint::plain())),
        }
    }
}

impl Rule {
    /// What is no plan of its own, such as starting a service or wiring an agent.
    pub(super) fn permits(&self, action: &str, what: &str) -> Result<()> {
        let agreed = match self.consent {
            Consent::Allow => true,
            _ => self.ask(action, what, "")?,
        };
        match agreed {
            true => Ok(()),
            false => Err(ToolsError::Declined(format!("{action} {what}"))),
        }
    }

    /// The word of the person at the agent.
    fn ask(&self, action: &str, what: &str, details: &str) -> Result<bool> {
        if self.consent == Consent::Deny {
            return Err(refused(action, what, self.consent));
        }
        let question = format!("May the agent {action} {}?\n\n{details}", visible(what));
        match Handle::current().block_on(self.client.confirm(question.trim_end())) {
            Confirmed::Yes => Ok(true),
            Confirmed::No | Confirmed::Again => Ok(false),
            Confirmed::Dismissed => Err(unanswered(action, what)),
            Confirmed::Unable => Err(refused(action, what, self.consent)),
        }
    }
}

fn unanswered(action: &str, what: &str) -> ToolsError {
    ToolsError::Other {
        code: "tool.unanswered",
        exit: ExitCode::NotPermitted,
        message: format!("nothing was done: the user did not say whether to {action} {what}"),
        hints: vec![format!("ask again when the user wants it, or: atelier tool {action} {what}")],
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
