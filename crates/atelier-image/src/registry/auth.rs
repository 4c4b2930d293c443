//! Authorization: what a registry asks for by `WWW-Authenticate`, and getting it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use super::Registry;
use super::credentials::Credentials;
use super::failure::said;
use crate::{ImageError, Result};

/// Larger answers are no tokens.
const TOKEN_LIMIT: u64 = 1 << 20;

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Registry {
    /// The header that answers a registry's challenges.
    pub(super) async fn authorize(&self, challenges: &[HeaderValue]) -> Result<HeaderValue> {
        let challenges: Vec<_> =
            challenges.iter().filter_map(|value| Challenge::parse(value.to_str().ok()?)).collect();
        if let Some(bearer) = challenges.iter().find(|c| c.scheme == "bearer") {
            let token = match &self.credentials {
                Some(Credentials::RegistryToken(token)) => token.clone(),
                _ => self.token(bearer).await?,
            };
            return header(&format!("Bearer {token}"));
        }
        if challenges.iter().any(|c| c.scheme == "basic") {
            return match &self.credentials {
                Some(Credentials::Password { user, password }) => basic(user, password),
                _ => Err(self.unauthorized("that it wants a user and a password")),
            };
        }
        Err(self.unauthorized("401 without saying what it wants"))
    }

    async fn token(&self, challenge: &Challenge) -> Result<String> {
        let url = self.realm(challenge)?;
        let repository = self.endpoint.repository(&self.reference.repository);
        let scope = match challenge.get("scope") {
            Some(scope) if !scope.is_empty() => scope.to_owned(),
            _ => format!("repository:{repository}:pull"),
        };
        let mut fields = vec![("scope", scope.as_str())];
        fields.extend(challenge.get("service").map(|service| ("service", service)));
        let request = match &self.credentials {
            Some(Credentials::IdentityToken(token)) => {
                fields.push(("grant_type", "refresh_token"));
                fields.push(("client_id", "atelier"));
                fields.push(("refresh_token", token));
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                self.client.post(url).header(CONTENT_TYPE, form).body(encode(&fields)?)
            }
            credentials => {
                let mut url = url;
                url.query_pairs_mut().extend_pairs(fields);
                let request = self.client.get(url);
                match credentials {
                    Some(Credentials::Password { user, password }) => {
                        request.header(AUTHORIZATION, basic(user, password)?)
                    }
                    _ => request,
                }
            }
        };
        let response = request.send().await.map_err(|e| self.failed(&e))?;
        let status = response.status();
        if matches!(
            status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST
        ) {
            let why = format!("{status}{}", said(response).await);
            return Err(self.unauthorized(&why));
        }
        let response = self.usable(response).await?;
        let bytes = self.small(response, TOKEN_LIMIT, "the token").await?;
        let token: Token = crate::manifest::json("the token of the registry", &bytes)?;
        token
            .token
            .or(token.access_token)
            .filter(|token| !token.is_empty())
            .ok_or_else(|| self.unauthorized("with an empty token"))
    }

    /// Where tokens are had. A registry behind TLS can't send our password elsewhere in the clear.
    fn realm(&self, challenge: &Challenge) -> Result<Url> {
        let bad = |why: &str| ImageError::Registry {
            registry: self.endpoint.host.clone(),
            why: format!("its token service {why}"),
        };
        let realm = challenge.get("realm").ok_or_else(|| bad("has no address"))?;
        let url: Url = realm.parse().map_err(|_| bad("has no valid address"))?;
        match url.scheme() {
            "https" => Ok(url),
            "http" if !self.endpoint.is_secure() => Ok(url),
            _ => Err(bad("is not reached by TLS")),
        }
    }
}

fn basic(user: &str, password: &str) -> Result<HeaderValue> {
    header(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

fn header(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| ImageError::invalid("the token of the registry", "it can't be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn encode(fields: &[(&str, &str)]) -> Result<String> {
    let mut url: Url = "http://x/".parse().map_err(|e| ImageError::invalid("a form", e))?;
    url.query_pairs_mut().extend_pairs(fields);
    Ok(url.query().unwrap_or_default().to_owned())
}

/// `Bearer realm="…",service="…"`.
#[derive(Debug)]
struct Challenge {
    /// In lower case.
    scheme: String,
    fields: Vec<(String, String)>,
}

impl Challenge {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, mut rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let mut fields = Vec::new();
        while let Some((key, after)) = rest.split_once('=') {
            let key = key.trim_matches([' ', ',']).to_lowercase();
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => unquote(quoted)?,
                None => {
                    let (value, after) = after.split_once(',').unwrap_or((after, ""));
                    (value.trim().to_owned(), after)
                }
            };
            fields.push((key, value));
            rest = after;
        }
        (!scheme.is_empty()).then(|| Self { scheme: scheme.to_lowercase(), fields })
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }
}

/// The text up to the closing quote, and what is behind it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            _ => value.push(char),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let text = "Bearer realm=\"https://auth.example/token?a=b,c\", service=reg,scope=\"a:b:pull,push\"";
        let challenge = Challenge::parse(text).unwrap();
        assert_eq!(challenge.scheme, "bearer");
        assert_eq!(challenge.get("realm"), Some("https://auth.example/token?a=b,c"));
        assert_eq!(challenge.get("service"), Some("reg"));
        assert_eq!(challenge.get("scope"), Some("a:b:pull,push"));
        assert_eq!(
            Challenge::parse("Basic realm=\"a \\\"b\\\"\"").unwrap().get("realm"),
            Some("a \"b\"")
        );
        assert!(Challenge::parse("Bearer realm=\"open").is_none());
    }
}
