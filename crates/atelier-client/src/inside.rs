//! The guest of a sandbox, reached through the control plane. What it is asked is the caller's
//! business.

use std::path::Path;

use atelier_api::API_ROOT;
use atelier_api::sandbox::{GUEST_PATH, SandboxDetail};
use atelier_api::session::VERSION_HEADER;
use atelier_guest::client::{Address, Guest, GuestError};
use uuid::Uuid;

use crate::{Client, ClientError, Endpoint, request};

/// The key of calls over TCP. It is not in `Authorization`, which is the guest's: it names the
/// user of a call there.
const KEY_HEADER: &str = "x-api-key";

impl Client {
    /// The guest of a sandbox. Nothing is connected yet.
    pub(crate) fn guest(&self, sandbox: &str) -> Guest {
        let address = match self.endpoint() {
            Endpoint::Unix(socket) => Address::Unix(socket.clone()),
            Endpoint::Tcp(authority) => Address::Tcp(authority.clone()),
        };
        let guest = Guest::over(address).with_prefix(prefix(sandbox));
        let (version, token) = self.headers();
        let guest =
            if version.is_empty() { guest } else { guest.with_header(VERSION_HEADER, version) };
        match token {
            Some(token) => guest.with_header(KEY_HEADER, token),
            None => guest,
        }
    }

    /// What a failed call to a guest says of the control plane.
    pub(crate) fn of_guest(&self, error: GuestError) -> ClientError {
        match error {
            GuestError::Unreachable { source, .. } => {
                ClientError::Connect { endpoint: self.endpoint().to_string(), source }
            }
            GuestError::Broken(cause) => ClientError::Lost(cause.to_string()),
            other => other.into_problem().into(),
        }
    }
}

/// The guest of a sandbox whose folder lies beside the control plane's socket.
pub(crate) fn near(control_plane: &Path, sandbox: &SandboxDetail) -> Option<Guest> {
    let id: Uuid = sandbox.sandbox.id.parse().ok()?;
    let folder = control_plane.with_file_name("sandboxes").join(id.to_string());
    let socket = folder.join("guest.sock");
    socket.exists().then(|| Guest::new(socket).with_token(sandbox.access_token.clone()))
}

fn prefix(sandbox: &str) -> String {
    let (before, after) = GUEST_PATH.split_once("{sandbox}").unwrap_or((GUEST_PATH, ""));
    let mut path = format!("{API_ROOT}{before}");
    request::escape(&mut path, sandbox);
    path.push_str(after);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_cannot_lead_elsewhere() {
        assert_eq!(prefix("dev"), "/api/v1/sandboxes/dev/guest");
        assert_eq!(prefix("../stop?"), "/api/v1/sandboxes/..%2Fstop%3F/guest");
    }
}
