//! An MCP server as every agent can be told of it. How each agent writes it down is in `shape.rs`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{AgentError, Result};

/// The longest name that is taken, in bytes.
pub const LONGEST_NAME: usize = 64;

/// An MCP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Server {
    /// What agents call it: 1 to 64 of `A-Z`, `a-z`, `0-9`, `_` and `-`, valid in all of them.
    pub name: String,
    /// How it is reached.
    #[serde(flatten)]
    pub transport: Transport,
    /// How long one call may take, in milliseconds; agents that have no such setting keep their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// How an MCP server is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "transport", rename_all = "lowercase")]
pub enum Transport {
    /// A program that the agent starts.
    Stdio {
        /// The program.
        command: String,
        /// Its arguments.
        #[serde(default)]
        args: Vec<String>,
        /// Variables besides the agent's own.
        #[serde(default)]
        env: BTreeMap<String, String>,
    },
    /// Streamable HTTP.
    Http {
        /// Where.
        url: String,
        /// What is sent along.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// HTTP with server-sent events, as MCP had it until 2025.
    Sse {
        /// Where.
        url: String,
        /// What is sent along.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
}

impl Transport {
    /// Its name: `stdio`, `http`, `sse`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stdio { .. } => "stdio",
            Self::Http { .. } => "http",
            Self::Sse { .. } => "sse",
        }
    }
}

impl Server {
    /// A server that the agent starts.
    #[must_use]
    pub fn stdio(name: &str, command: &str, args: &[&str]) -> Self {
        let args = args.iter().map(ToString::to_string).collect();
        let transport = Transport::Stdio { command: command.into(), args, env: BTreeMap::new() };
        Self { name: name.into(), transport, timeout: None }
    }

    /// A server behind streamable HTTP.
    #[must_use]
    pub fn http(name: &str, url: &str) -> Self {
        let transport = Transport::Http { url: url.into(), headers: BTreeMap::new() };
        Self { name: name.into(), transport, timeout: None }
    }

    /// Checks what some agent would refuse.
    pub(crate) fn check(&self) -> Result<()> {
        check_name(&self.name)?;
        let bad = |why| Err(AgentError::Server { name: self.name.clone(), why });
        match &self.transport {
            Transport::Stdio { command, .. } if command.is_empty() => bad("it has no command"),
            Transport::Stdio { env, .. }
                if env.keys().any(|key| key.is_empty() || key.contains(['=', '\0'])) =>
            {
                bad("it has a variable whose name is not one")
            }
            Transport::Http { url, .. } | Transport::Sse { url, .. }
                if !(url.starts_with("http://") || url.starts_with("https://")) =>
            {
                bad("its URL begins with neither http:// nor https://")
            }
            _ => Ok(()),
        }
    }
}

/// A name that every agent takes.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let fits = !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(allowed);
    if fits { Ok(()) } else { Err(AgentError::Name { given: name.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_every_agent_takes() {
        for good in ["notion", "git-local", "A_1", &"x".repeat(64)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "Piper TTS", "a.b", "a/b", "é", &"x".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_no_agent_could_start_is_refused() {
        assert!(Server::stdio("a", "", &[]).check().is_err());
        assert!(Server::http("a", "ftp://x").check().is_err());
        assert!(Server::http("a", "https://x/mcp").check().is_ok());
    }
}
