//! Which headers requests to which host get.

use std::collections::BTreeMap;
use std::fmt;

use atelier_net::{Rule, Target};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::EgressError;

/// Headers by name.
pub type Headers = BTreeMap<String, String>;

/// Hosts at most.
const MOST_HOSTS: usize = 256;
/// Headers at most, for one host.
const MOST_HEADERS: usize = 64;
/// Bytes of a value at most: servers take 8 KiB of headers as a rule.
const LONGEST: usize = 16 * 1024;

/// Headers that say how a message is framed, or where it goes.
const REFUSED: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers for hosts. What holds for more hosts comes first, so that the narrower rule has the last word.
#[derive(Clone, Default)]
pub struct Rules(Vec<(Rule, Vec<(HeaderName, HeaderValue)>)>);

impl Rules {
    /// Reads rules as users write them: by host (`api.example.com`, `*.example.com`, with or without a port).
    ///
    /// # Errors
    /// When a host or a header can't be used.
    pub fn read(rules: &BTreeMap<String, Headers>) -> Result<Self, EgressError> {
        if rules.len() > MOST_HOSTS {
            return Err(EgressError::TooMuch { what: "there may be 256 hosts at most" });
        }
        let mut read = rules.iter().map(one).collect::<Result<Vec<_>, _>>()?;
        read.sort_by_key(|(rule, _)| breadth(rule));
        Ok(Self(read))
    }

    /// The hosts, in the network's own words.
    #[must_use]
    pub fn hosts(&self) -> Vec<Rule> {
        self.0.iter().map(|(rule, _)| rule.clone()).collect()
    }

    /// Sets the headers of a request, each in place of any that has its name.
    pub(crate) fn apply(&self, host: &str, port: u16, headers: &mut HeaderMap) {
        let about = self.0.iter().filter(|(rule, _)| rule.is_about(host, port));
        for (name, value) in about.flat_map(|(_, set)| set) {
            headers.insert(name.clone(), value.clone());
        }
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rules").field(&self.hosts()).finish()
    }
}

fn one(
    (host, headers): (&String, &Headers),
) -> Result<(Rule, Vec<(HeaderName, HeaderValue)>), EgressError> {
    let rule: Rule = host.parse()?;
    if matches!(rule.target, Target::Any | Target::Network(_)) {
        return Err(EgressError::NoName { rule: host.clone() });
    }
    if headers.len() > MOST_HEADERS {
        return Err(EgressError::TooMuch { what: "a host may have 64 headers at most" });
    }
    let set = headers.iter().map(|(name, value)| {
        let wrong = |why| EgressError::Header { rule: host.clone(), name: name.clone(), why };
        header(name, value).map_err(wrong)
    });
    Ok((rule, set.collect::<Result<_, _>>()?))
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), &'static str> {
    let name: HeaderName = name.parse().map_err(|_| "is no name of a header")?;
    if REFUSED.contains(&name.as_str()) {
        return Err("is about the connection, and stays the sandbox's own");
    }
    if value.len() > LONGEST {
        return Err("has a value of more than 16 KiB");
    }
    let mut value: HeaderValue =
        value.parse().map_err(|_| "has a value with characters that none may have")?;
    // Kept out of what is printed, and out of HTTP/2's table of what was sent before.
    value.set_sensitive(true);
    Ok((name, value))
}

/// What sorts a wider rule before a narrower one.
fn breadth(rule: &Rule) -> (bool, usize, std::cmp::Reverse<u16>) {
    let name = match &rule.target {
        Target::Below(parent) => (false, parent.len()),
        Target::Name(name) => (true, name.len()),
        _ => (true, 0),
    };
    (name.0, name.1, std::cmp::Reverse(rule.ports.last - rule.ports.first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(all: &[(&str, &[(&str, &str)])]) -> Result<Rules, EgressError> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let all = all.iter().map(|(host, set)| ((*host).to_owned(), set.iter().map(own).collect()));
        Rules::read(&all.collect())
    }

    fn set(rules: &Rules, host: &str, port: u16) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-key", "of the sandbox".parse().unwrap());
        headers.append("x-key", "and another".parse().unwrap());
        rules.apply(host, port, &mut headers);
        headers
    }

    #[test]
    fn a_header_takes_the_place_of_all_that_have_its_name() {
        let rules = rules(&[("api.test", &[("X-Key", "ours"), ("X-More", "1")])]).unwrap();
        let headers = set(&rules, "api.test", 443);
        assert_eq!(headers.get_all("x-key").iter().collect::<Vec<_>>(), ["ours"]);
        assert_eq!(headers["x-more"], "1");
        let other = set(&rules, "other.test", 443);
        assert_eq!(other.get_all("x-key").iter().count(), 2, "nothing of another host's");
    }

    #[test]
    fn the_narrower_rule_has_the_last_word() {
        let rules = rules(&[
            ("*.test", &[("x-key", "star"), ("x-star", "1")]),
            ("*.b.test", &[("x-key", "longer star")]),
            ("a.b.test", &[("x-key", "name")]),
            ("a.b.test:8443", &[("x-key", "port")]),
        ])
        .unwrap();
        assert_eq!(set(&rules, "c.test", 443)["x-key"], "star");
        assert_eq!(set(&rules, "c.b.test", 443)["x-key"], "longer star");
        assert_eq!(set(&rules, "a.b.test", 443)["x-key"], "name");
        assert_eq!(set(&rules, "a.b.test", 8443)["x-key"], "port");
        assert_eq!(set(&rules, "a.b.test", 8443)["x-star"], "1");
    }

    #[test]
    fn what_can_not_be_set_is_refused_without_its_value() {
        let says = |host: &str, name: &str, value: &str| {
            rules(&[(host, &[(name, value)])]).unwrap_err().to_string()
        };
        for host in ["*", "10.0.0.0/8", "1.2.3.4"] {
            assert!(says(host, "a", "b").contains("hosts with a name"), "{host}");
        }
        assert!(says("http://a.test", "a", "b").contains("is not valid"));
        assert!(says("a.test", "Content-Length", "1").contains("stays the sandbox's own"));
        assert!(says("a.test", "a b", "1").contains("no name"));
        let split = says("a.test", "a", "secret\r\nX-Other: 1");
        assert!(split.contains("characters") && !split.contains("secret"));
    }

    #[test]
    fn values_are_not_shown() {
        let rules = rules(&[("api.test", &[("x-key", "hidden")])]).unwrap();
        assert!(!format!("{rules:?}").contains("hidden"));
        assert!(!format!("{:?}", set(&rules, "api.test", 443)).contains("hidden"));
    }
}
