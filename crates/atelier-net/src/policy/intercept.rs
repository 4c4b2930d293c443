//! Hosts whose connections the stack gives to the control plane, which changes their requests. What
//! it changes is not known here: no value of a header comes near a sandbox or its stack.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Rule;

/// Which connections are handed over, and to whom.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intercept {
    /// The control plane's socket ([`crate::handover`]).
    pub socket: PathBuf,
    /// Shown there: it says which sandbox this is.
    pub token: String,
    /// The hosts, by the names that requests give them.
    pub hosts: Vec<Rule>,
}

impl Intercept {
    /// Whether a port of a host is one of them.
    #[must_use]
    pub fn is_about(&self, host: &str, port: u16) -> bool {
        self.hosts.iter().any(|rule| rule.is_about(host, port))
    }
}

impl fmt::Debug for Intercept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intercept").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intercept(hosts: &[&str]) -> Intercept {
        let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
        Intercept { socket: PathBuf::from("/x"), token: "ours".into(), hosts }
    }

    #[test]
    fn a_host_is_meant_by_its_name_a_star_and_its_port() {
        let some = intercept(&["api.test", "*.wild.test:443", "localhost:80"]);
        assert!(some.is_about("api.test", 443) && some.is_about("api.test", 8080));
        assert!(some.is_about("a.b.wild.test", 443) && !some.is_about("a.wild.test", 80));
        assert!(!some.is_about("wild.test", 443) && !some.is_about("x.api.test", 443));
        assert!(some.is_about("host.atelier.internal", 80));
        assert!(!some.is_about("localhost", 80), "that is the sandbox's own");
    }

    #[test]
    fn its_token_is_not_shown() {
        assert!(!format!("{:?}", intercept(&["a.test"])).contains("ours"));
    }
}
