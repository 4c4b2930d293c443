//! What handlers take out of a request, with failures in E2B's shape.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::{Door, E2bError};

/// The door of the caller, as the server's middleware left it.
pub(crate) struct Caller<D>(pub(crate) D);

impl<D: Door, S: Sync> FromRequestParts<S> for Caller<D> {
    type Rejection = E2bError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, E2bError> {
        let nobody = || E2bError::Unauthorised("the request carries no valid API key".to_owned());
        parts.extensions.get::<D>().cloned().map(Self).ok_or_else(nobody)
    }
}

/// A JSON body; an absent one is an empty object, unknown fields are passed over.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = E2bError;

    async fn from_request(request: Request, state: &S) -> Result<Self, E2bError> {
        let wrong = |why: String| E2bError::Invalid(format!("Error when parsing request: {why}"));
        let bytes = Bytes::from_request(request, state).await.map_err(|e| wrong(e.to_string()))?;
        let json: &[u8] = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { &bytes };
        serde_json::from_slice(json).map(Self).map_err(|error| wrong(error.to_string()))
    }
}

/// The query, where a name may stand more than once.
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = E2bError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, E2bError> {
        Query::from_request_parts(parts, state)
            .await
            .map(|Query(pairs)| Self(pairs))
            .map_err(|error| E2bError::Invalid(error.to_string()))
    }
}

impl Params {
    /// The value of a name; an empty one counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// All values of a name, those between commas each for itself.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        let values = self.0.iter().filter(|(key, _)| key == name || key == &format!("{name}[]"));
        values.flat_map(|(_, value)| value.split(',')).filter(|part| !part.is_empty()).collect()
    }

    /// A whole number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, E2bError> {
        let wrong =
            |value: &str| E2bError::Invalid(format!("{name} is no whole number: '{value}'"));
        self.get(name).map(|value| value.parse().map_err(|_| wrong(value))).transpose()
    }

    /// A time as RFC 3339 writes it.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, E2bError> {
        let wrong = |value: &str| E2bError::Invalid(format!("{name} is no time: '{value}'"));
        self.get(name).map(|value| value.parse().map_err(|_| wrong(value))).transpose()
    }
}

/// Decodes `%XX` and `+`, as in a query. What is no encoding stays as it is.
pub(crate) fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let code = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match (byte, code.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(decoded)) => {
                out.push(decoded);
                at += 3;
                continue;
            }
            (b'+', _) => out.push(b' '),
            (other, _) => out.push(*other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_undone_and_nothing_else() {
        assert_eq!(unescape("a%3Db+c%26"), "a=b c&");
        assert_eq!(unescape("100%"), "100%");
        assert_eq!(unescape("%zz%C3%A9"), "%zzé");
    }
}
