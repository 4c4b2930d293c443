//! What can be wrong with a network policy that a user wrote.

/// A rule of `--allow` that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// The rule has nothing before its port, or nothing at all.
    #[error("the network rule {rule:?} is not valid: the host is missing")]
    NoHost {
        /// The rule as it was given.
        rule: String,
    },
    /// The host is neither a name, an address nor a network.
    #[error("the network rule {rule:?} is not valid: {host:?} is {why}")]
    BadHost {
        /// The rule as it was given.
        rule: String,
        /// Its part that names the host.
        host: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The port is no number from 1 to 65535, nor a range of them.
    #[error("the network rule {rule:?} is not valid: {port:?} is {why}")]
    BadPort {
        /// The rule as it was given.
        rule: String,
        /// Its part that names the port.
        port: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

#[cfg(feature = "fault")]
impl atelier_api::Fault for NetError {
    fn code(&self) -> &'static str {
        "network.rule_invalid"
    }

    fn exit(&self) -> atelier_api::ExitCode {
        atelier_api::ExitCode::Usage
    }

    fn hints(&self) -> Vec<String> {
        vec![
            "write it as HOST:PORT, such as github.com:443, *.npmjs.org:443, 10.0.0.0/8:5432, \
             [2001:db8::1]:80, example.com:8000-9000, or example.com for every port"
                .to_owned(),
            "for a service on this machine's own loopback, write localhost:5432; inside it is \
             host.atelier.internal:5432"
                .to_owned(),
        ]
    }
}
