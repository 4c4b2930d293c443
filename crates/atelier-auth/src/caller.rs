//! Who calls, and the policy: what a caller may do.

use std::fmt;

use atelier_api::token::Scope;
use atelier_api::{Effect, ExitCode, Fault};
use jiff::Timestamp;

use crate::scope;

/// Who makes a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A process on this machine, by the credentials of its Unix socket.
    Peer {
        /// Its user.
        uid: u32,
    },
    /// Whoever holds the key of this home, over TCP.
    Key,
    /// Whoever holds a token's secret, over TCP.
    Token {
        /// The token's id.
        id: String,
        /// Its name.
        name: String,
        /// What it opens.
        scopes: Vec<Scope>,
    },
    /// The control plane itself: what it does without being asked.
    ControlPlane,
}

/// A call that the policy refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Another user's process.
    #[error("{caller} may not call {action}: this control plane belongs to uid:{owner}")]
    NotOwner {
        /// Who called.
        caller: Caller,
        /// What was called.
        action: String,
        /// Whose control plane it is.
        owner: u32,
    },
    /// No key, or a wrong one.
    #[error("the call over TCP carries no valid key")]
    NoKey,
    /// A token that opens something else.
    #[error("{caller} may not call {action}: its scopes do not open it")]
    Scope {
        /// Who called.
        caller: Caller,
        /// What was called.
        action: String,
    },
    /// A token whose time is over.
    #[error("the token '{token}' ended at {at}")]
    Expired {
        /// Its name.
        token: String,
        /// When it ended.
        at: Timestamp,
    },
    /// The tokens could not be read, so nobody is let in by one.
    #[error("the token can't be checked now")]
    Unchecked,
    /// A web page of another origin made the browser call.
    #[error("a call from the web origin {0:?} is refused")]
    Origin(String),
}

impl Caller {
    /// Whether this caller may do `action` on a control plane that `owner` runs. Every action of
    /// one person's control plane belongs to that person, and to root; a token opens what its
    /// scopes say.
    ///
    /// # Errors
    /// [`Denied`] when not.
    pub fn authorise(&self, action: &str, effect: Effect, owner: u32) -> Result<(), Denied> {
        match self {
            Self::Key | Self::ControlPlane => Ok(()),
            Self::Peer { uid } if *uid == owner || *uid == 0 => Ok(()),
            Self::Token { scopes, .. } if scope::opens(scopes, action, effect) => Ok(()),
            Self::Token { .. } => {
                Err(Denied::Scope { caller: self.clone(), action: action.to_owned() })
            }
            Self::Peer { .. } => {
                Err(Denied::NotOwner { caller: self.clone(), action: action.to_owned(), owner })
            }
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer { uid } => write!(f, "uid:{uid}"),
            Self::Key => f.write_str("key:local"),
            Self::Token { name, .. } => write!(f, "token:{name}"),
            Self::ControlPlane => f.write_str("atelier"),
        }
    }
}

impl Fault for Denied {
    fn code(&self) -> &'static str {
        match self {
            Self::Unchecked => "auth.unavailable",
            _ => "auth.denied",
        }
    }
    fn exit(&self) -> ExitCode {
        match self {
            Self::Unchecked => ExitCode::Configuration,
            _ => ExitCode::NotPermitted,
        }
    }
    fn hints(&self) -> Vec<String> {
        vec![match self {
            Self::NotOwner { .. } => "use your own control plane: unset ATELIER_HOME".into(),
            Self::NoKey => {
                "send 'Authorization: Bearer KEY'; the key is in keys/api of the ATELIER_HOME \
                 that serves, or set ATELIER_TOKEN"
                    .into()
            }
            Self::Scope { .. } => {
                "make a token that opens it: 'atelier token create NAME --scope SCOPE'".into()
            }
            Self::Expired { .. } => "make a new one: 'atelier token create NAME'".into(),
            Self::Unchecked => "run 'atelier doctor' where the control plane runs".into(),
            Self::Origin(_) => "call the API from a program, not from a web page".into(),
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_and_root_may_call() {
        let list = |uid| Caller::Peer { uid }.authorise("env.list", Effect::Read, 1000);
        assert!(list(1000).is_ok());
        assert!(list(0).is_ok());
        assert_eq!(list(1001).unwrap_err().exit(), ExitCode::NotPermitted);
    }

    #[test]
    fn a_token_may_call_what_its_scopes_open() {
        let caller =
            Caller::Token { id: "1".into(), name: "ci".into(), scopes: vec![Scope::Sandboxes] };
        assert!(caller.authorise("sandbox.create", Effect::Change, 1000).is_ok());
        let denied = caller.authorise("system.stop", Effect::Change, 1000).unwrap_err();
        assert_eq!(denied.code(), "auth.denied");
        assert_eq!(
            denied.to_string(),
            "token:ci may not call system.stop: its scopes do not open it"
        );
    }
}
