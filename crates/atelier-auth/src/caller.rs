//! Who calls, and the policy: what a caller may do.

use std::fmt;

use atelier_api::{ExitCode, Fault};

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
    /// A web page of another origin made the browser call.
    #[error("a call from the web origin {0:?} is refused")]
    Origin(String),
}

impl Caller {
    /// Whether this caller may do `action` on a control plane that `owner` runs. Every action of
    /// one person's control plane belongs to that person, and to root.
    ///
    /// # Errors
    /// [`Denied`] when not.
    pub fn authorise(&self, action: &str, owner: u32) -> Result<(), Denied> {
        match self {
            Self::Key | Self::ControlPlane => Ok(()),
            Self::Peer { uid } if *uid == owner || *uid == 0 => Ok(()),
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
            Self::ControlPlane => f.write_str("atelier"),
        }
    }
}

impl Fault for Denied {
    fn code(&self) -> &'static str {
        "auth.denied"
    }
    fn exit(&self) -> ExitCode {
        ExitCode::NotPermitted
    }
    fn hints(&self) -> Vec<String> {
        vec![match self {
            Self::NotOwner { .. } => "use your own control plane: unset ATELIER_HOME".into(),
            Self::NoKey => {
                "send 'Authorization: Bearer KEY'; the key is in keys/api of the ATELIER_HOME \
                 that serves, or set ATELIER_TOKEN"
                    .into()
            }
            Self::Origin(_) => "call the API from a program, not from a web page".into(),
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_and_root_may_call() {
        assert!(Caller::Peer { uid: 1000 }.authorise("env.list", 1000).is_ok());
        assert!(Caller::Peer { uid: 0 }.authorise("env.list", 1000).is_ok());
        let denied = Caller::Peer { uid: 1001 }.authorise("env.list", 1000).unwrap_err();
        assert_eq!(denied.exit(), ExitCode::NotPermitted);
    }
}
