//! What this crate needs of the server: calls in a caller's name.

use std::future::Future;
use std::path::PathBuf;

use atelier_api::{Operation, Problem};
use atelier_guest::client::Guest;

/// The way to operations and guests, in the name of one caller. The server's middleware puts one
/// into the extensions of each request that it let through.
pub trait Door: Clone + Send + Sync + 'static {
    /// Makes a call of our API: authorised, audited.
    fn call<O: Operation>(
        &self,
        input: O::Input,
    ) -> impl Future<Output = Result<O::Output, Problem>> + Send;

    /// The guest of a running sandbox, by its id.
    fn guest(&self, sandbox: &str) -> impl Future<Output = Result<Guest, Problem>> + Send;

    /// What stands behind `{port}-{id}.` in the host names of sandboxes, with the port if it is
    /// not 443: clients take it instead of their `E2B_DOMAIN`. `None` when no such names are served.
    fn domain(&self) -> Option<String>;

    /// A folder of this crate's own, for uploaded files and records of builds.
    fn uploads(&self) -> PathBuf;

    /// The URL of the root of this API as the caller reaches it, such as `http://127.0.0.1:3000`.
    fn base_url(&self) -> String;
}
