//! Where a server is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{McpError, Result};
use crate::mask::Masks;

/// From this length on a value of a URL's query counts as a secret; shorter ones are versions and names.
const LONG: usize = 12;

/// A server, and the way to it.
#[derive(Clone)]
pub enum Target {
    /// A program of this machine, spoken to over its standard input and output.
    Stdio {
        /// The program: a path, or a name of `PATH`.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// Variables besides those of this process.
        env: BTreeMap<String, String>,
        /// Where it starts; here without.
        cwd: Option<PathBuf>,
    },
    /// A server of streamable HTTP; one of the older transport is found, too.
    Http {
        /// Where.
        url: String,
        /// What is sent with each request. Their values count as secrets.
        headers: BTreeMap<String, String>,
    },
    /// A server of the older transport (HTTP with server-sent events, 2024-11-05).
    Sse {
        /// Where its stream is.
        url: String,
        /// What is sent with each request. Their values count as secrets.
        headers: BTreeMap<String, String>,
    },
}

/// Values are left out: they may be secrets.
impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys = |map: &BTreeMap<String, String>| map.keys().cloned().collect::<Vec<_>>();
        match self {
            Self::Stdio { command, env, .. } => {
                write!(f, "Stdio({command}, variables {:?})", keys(env))
            }
            Self::Http { headers, .. } => write!(f, "Http({}, {:?})", self.name(), keys(headers)),
            Self::Sse { headers, .. } => write!(f, "Sse({}, {:?})", self.name(), keys(headers)),
        }
    }
}

impl Target {
    /// A program with its arguments.
    pub fn program(
        command: impl Into<String>,
        args: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        Self::Stdio { command: command.into(), args, env: BTreeMap::new(), cwd: None }
    }

    /// A server of streamable HTTP.
    pub fn http(url: impl Into<String>) -> Self {
        Self::Http { url: url.into(), headers: BTreeMap::new() }
    }

    /// What it is called in messages: the program, or the URL without what may be secret in it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Stdio { command, .. } => command.clone(),
            Self::Http { url, .. } | Self::Sse { url, .. } => match Url::parse(url) {
                Ok(url) => shown(&url),
                Err(_) => "the server".to_owned(),
            },
        }
    }

    /// What must not be shown: the caller's secrets, and what the headers say.
    pub(crate) fn masks(&self, secrets: &[String]) -> Masks {
        let headers = match self {
            Self::Stdio { .. } => None,
            Self::Http { headers, .. } | Self::Sse { headers, .. } => Some(headers),
        };
        let words = headers.into_iter().flat_map(BTreeMap::values).flat_map(|value| {
            // "Bearer TOKEN": the token alone is one as well.
            std::iter::once(value.as_str()).chain(value.split_once(' ').map(|(_, token)| token))
        });
        let secrets = secrets.iter().map(String::as_str).chain(words);
        let url = self.url_secrets();
        Masks::new(secrets.chain(url.iter().map(String::as_str)))
    }

    /// What of a URL may be a secret: its password, and long values of its query.
    fn url_secrets(&self) -> Vec<String> {
        let (Self::Http { url, .. } | Self::Sse { url, .. }) = self else { return Vec::new() };
        let Ok(url) = Url::parse(url) else { return Vec::new() };
        let values = url.query_pairs().map(|(_, value)| value.into_owned());
        let long = values.filter(|value| value.len() >= LONG);
        url.password().map(ToOwned::to_owned).into_iter().chain(long).collect()
    }
}

/// A URL without user, password, query and fragment.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

/// The address of a remote server.
pub(crate) fn address(url: &str) -> Result<Url> {
    let wrong = |why: &str| McpError::Target { why: why.to_owned() };
    let parsed = Url::parse(url).map_err(|e| wrong(&format!("the server's URL is none: {e}")))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
        return Err(wrong("the server's URL must begin with http:// or https://"));
    }
    Ok(parsed)
}

/// The headers as they are sent.
pub(crate) fn headers(of: &BTreeMap<String, String>) -> Result<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in of {
        let wrong = |what| McpError::Target { why: format!("the header {name:?} {what}") };
        let key = HeaderName::try_from(name.as_str()).map_err(|_| wrong("has no valid name"))?;
        let mut value = HeaderValue::try_from(value.trim())
            .map_err(|_| wrong("has a value with characters that no header can have"))?;
        value.set_sensitive(true);
        map.insert(key, value);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_is_in_no_name() {
        let target = Target::http("https://me:word@example.org/mcp?key=secret#x");
        assert_eq!(target.name(), "https://example.org/mcp");
    }

    #[test]
    fn a_key_in_the_url_is_masked_as_a_header_is() {
        let mut target = Target::http("https://me:pass-word@example.org/?key=0123456789abcdef&v=2");
        if let Target::Http { headers, .. } = &mut target {
            headers.insert("Authorization".to_owned(), "Bearer abc-def".to_owned());
        }
        let said = "key 0123456789abcdef, pass-word, abc-def, v 2";
        assert_eq!(target.masks(&[]).clean(said), "key ***, ***, ***, v 2");
    }

    #[test]
    fn a_header_that_cannot_be_one_is_refused_without_its_value() {
        let bad = BTreeMap::from([("X-Key".to_owned(), "line\nbreak".to_owned())]);
        let error = headers(&bad).unwrap_err().to_string();
        assert!(error.contains("X-Key") && !error.contains("break"), "{error}");
    }
}
