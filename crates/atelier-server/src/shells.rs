//! What the SSH server needs to know: who may come in, and which guest a login name means.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use atelier_api::Problem;
use atelier_sandbox::Fleet;
use atelier_ssh::{Doors, Entered, Login, PublicKey};
use futures_util::future::BoxFuture;

/// Sandboxes, for the SSH server.
#[derive(Debug)]
pub(crate) struct Shells {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) home: PathBuf,
    pub(crate) user_home: PathBuf,
}

impl Doors for Shells {
    fn keys(&self) -> Vec<PublicKey> {
        atelier_ssh::authorized_keys(&self.home, &self.user_home)
    }

    fn enter<'a>(&'a self, login: &'a Login) -> BoxFuture<'a, Result<Entered, Problem>> {
        Box::pin(async move {
            // Whoever may log in may wake it: that is what a login to a sleeping machine asks for.
            let entrance = self.fleet.enter(&login.sandbox, true).await?;
            Ok(Entered {
                guest: entrance.guest,
                user: login.user.clone(),
                env: BTreeMap::new(),
                guard: Box::new(()),
            })
        })
    }
}
