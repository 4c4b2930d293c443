//! What the server asks of whoever runs it.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;

use atelier_api::Problem;
use atelier_guest::client::Guest;
use futures_util::future::BoxFuture;
use russh::keys::PublicKey;

/// Stands between the sandbox and the user inside it in a login: no name of a sandbox holds it, no
/// shell and no configuration of ssh gives it a meaning.
const USER: char = '+';

/// Who may come in, and where a login leads.
pub trait Doors: Send + Sync + 'static {
    /// The keys that open; asked for each login.
    fn keys(&self) -> Vec<PublicKey>;

    /// Where a login leads; asked for each channel, so that a sandbox that was paused in the
    /// middle of a connection can be resumed.
    fn enter<'a>(&'a self, login: &'a Login) -> BoxFuture<'a, Result<Entered, Problem>>;
}

/// What a client logged in as: `SANDBOX` or `SANDBOX+USER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// A sandbox's id, a unique beginning of it, or its name.
    pub sandbox: String,
    /// The user inside, when the client named one.
    pub user: Option<String>,
}

impl Login {
    /// Takes a login apart.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.split_once(USER) {
            Some((sandbox, user)) if !user.is_empty() => {
                Self { sandbox: sandbox.to_owned(), user: Some(user.to_owned()) }
            }
            _ => Self { sandbox: text.trim_end_matches(USER).to_owned(), user: None },
        }
    }
}

/// A sandbox that was entered.
pub struct Entered {
    /// Its guest.
    pub guest: Guest,
    /// The user inside; the guest's own when none.
    pub user: Option<String>,
    /// Variables of every process.
    pub env: BTreeMap<String, String>,
    /// Held for as long as something of the channel runs: what must not end before it.
    pub guard: Box<dyn Any + Send + Sync>,
}

impl Entered {
    /// The guest, called as the user.
    pub(crate) fn as_user(&self) -> Guest {
        match &self.user {
            Some(user) => self.guest.clone().with_user(user.as_str()),
            None => self.guest.clone(),
        }
    }
}

impl fmt::Debug for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entered").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Login;

    #[test]
    fn a_login_names_a_sandbox_and_maybe_a_user() {
        let parts = |text| {
            let login = Login::parse(text);
            (login.sandbox, login.user)
        };
        assert_eq!(parts("fix"), ("fix".into(), None));
        assert_eq!(parts("fix+root"), ("fix".into(), Some("root".into())));
        assert_eq!(parts("fix+1000:1000"), ("fix".into(), Some("1000:1000".into())));
        assert_eq!(parts("fix+"), ("fix".into(), None));
    }
}
