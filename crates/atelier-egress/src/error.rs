//! What can be wrong with rules that a user wrote.

use atelier_api::{ExitCode, Fault};
use atelier_net::NetError;

/// Why rules can't be used. No value of a header is in any of them.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The host is none.
    #[error(transparent)]
    Host(#[from] NetError),
    /// An address, a network, or everything.
    #[error("the rule for {rule:?} can't be used: headers are for hosts with a name")]
    NoName {
        /// The host as it was given.
        rule: String,
    },
    /// A header that can't be set.
    #[error("the rule for {rule:?} can't be used: the header {name:?} {why}")]
    Header {
        /// The host as it was given.
        rule: String,
        /// The header's name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// More than fits.
    #[error("the rules can't be used: {what}")]
    TooMuch {
        /// Of what.
        what: &'static str,
    },
}

impl Fault for EgressError {
    fn code(&self) -> &'static str {
        "network.rule_invalid"
    }

    fn exit(&self) -> ExitCode {
        ExitCode::Usage
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Host(error) => error.hints(),
            Self::NoName { .. } => {
                vec!["write api.example.com, *.example.com, or one of them with :PORT".to_owned()]
            }
            Self::Header { .. } | Self::TooMuch { .. } => Vec::new(),
        }
    }
}
