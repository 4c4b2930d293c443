//! Who may call, and as which user: the access token, signatures of file paths, Basic names.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use sha2::{Digest, Sha256};

use super::state::Server;
use super::users::User;
use crate::wire::{Code, ConnectError};

/// The header of the access token.
const TOKEN: &str = "x-access-token";

/// Paths that are open, or that check for themselves.
fn is_open(method: &str, path: &str) -> bool {
    matches!((method, path), ("GET", "/health") | ("GET" | "POST", "/files") | ("POST", "/init"))
}

impl Server {
    /// Whether a caller may call this path at all.
    pub(super) fn may_call(&self, method: &str, path: &str, headers: &HeaderMap) -> bool {
        is_open(method, path) || self.shows_token(headers)
    }

    /// Whether a caller shows the token, or none is needed.
    pub(super) fn shows_token(&self, headers: &HeaderMap) -> bool {
        let Some(token) = self.token() else { return true };
        headers.get(TOKEN).is_some_and(|shown| same(shown.as_bytes(), token.as_bytes()))
    }

    /// The user that a caller names by `Authorization: Basic`, or the default one.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<User, ConnectError> {
        let named = headers.get(AUTHORIZATION).and_then(|value| basic_name(value.to_str().ok()?));
        self.user(named.as_deref()).map_err(|name| {
            ConnectError::new(Code::Unauthenticated, format!("invalid username: '{name}'"))
        })
    }

    /// Checks the token or the signature of a file path; the error is what the caller is told.
    pub(super) fn check_signature(
        &self,
        headers: &HeaderMap,
        signed: &Signed<'_>,
        now: u64,
    ) -> Result<(), &'static str> {
        let Some(token) = self.token() else { return Ok(()) };
        if headers.contains_key(TOKEN) {
            let shown = self.shows_token(headers);
            return shown.then_some(()).ok_or("access token present in header but does not match");
        }
        let signature = signed.signature.ok_or("missing signature query parameter")?;
        if !same(signed.expected(&token).as_bytes(), signature.as_bytes()) {
            return Err("invalid signature");
        }
        match signed.expiration.map(str::parse::<u64>) {
            Some(Ok(expiration)) if expiration < now => Err("signature is already expired"),
            Some(Err(_)) => Err("invalid signature"),
            _ => Ok(()),
        }
    }
}

/// What a signed URL says.
pub(super) struct Signed<'a> {
    pub(super) path: &'a str,
    pub(super) operation: &'a str,
    pub(super) user: &'a str,
    pub(super) signature: Option<&'a str>,
    pub(super) expiration: Option<&'a str>,
}

impl Signed<'_> {
    fn expected(&self, token: &str) -> String {
        let mut text = format!("{}:{}:{}:{token}", self.path, self.operation, self.user);
        if let Some(expiration) = self.expiration {
            text.push(':');
            text.push_str(expiration);
        }
        format!("v1_{}", STANDARD_NO_PAD.encode(Sha256::digest(text.as_bytes())))
    }
}

fn basic_name(header: &str) -> Option<String> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    // The password is empty, and a name of ours may hold a colon itself: `1000:1000:`.
    let (name, _) = decoded.rsplit_once(':')?;
    Some(name.to_owned())
}

/// Compares without telling by its time how much was right.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_basic_header_may_be_two_numbers() {
        let header = format!("Basic {}", STANDARD.encode("1000:1000:"));
        assert_eq!(basic_name(&header).as_deref(), Some("1000:1000"));
        assert_eq!(basic_name("Basic dXNlcjo=").as_deref(), Some("user"));
        assert_eq!(basic_name("Bearer dXNlcjo="), None);
    }

    #[test]
    fn a_signature_covers_path_operation_user_and_expiration() {
        let signed = |operation| Signed {
            path: "/a",
            operation,
            user: "",
            signature: None,
            expiration: Some("9"),
        };
        let digest = Sha256::digest(b"/a:read::secret:9");
        let expected = format!("v1_{}", STANDARD_NO_PAD.encode(digest));
        assert_eq!(signed("read").expected("secret"), expected);
        assert_ne!(signed("write").expected("secret"), expected);
    }
}
