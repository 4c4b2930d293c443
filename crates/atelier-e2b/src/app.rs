//! What is kept between requests, and the routes.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{delete, get, patch, post, put};
use axum::{Extension, Router};

use crate::builds::{self, Builds};
use crate::idempotency::Keys;
use crate::secrets;
use crate::uploads::{self, Tickets};
use crate::volumes::{self, Volumes};
use crate::{Door, E2bError, sandboxes, snapshots, templates, unserved};

/// The most bytes of a JSON request: a template's steps are the longest.
const BODY_LIMIT: usize = 8 << 20;

/// Limits of what is kept here.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Bytes that one uploaded archive may have.
    pub upload_bytes: u64,
    /// Bytes that all of them may have; the ones that were used least recently go first.
    pub uploads_bytes: u64,
    /// How long steps of a build must have taken since the last kept point for another to be kept.
    /// What the last step made is always kept.
    pub keep_after: Duration,
    /// How many points of builds are kept for later builds.
    pub kept: usize,
    /// How long one step, or the ready command, may take.
    pub step: Duration,
    /// How long a start command without a ready command is watched.
    pub settle: Duration,
    /// How long answers to requests with an idempotency key are remembered.
    pub remembered: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            upload_bytes: 4 << 30,
            uploads_bytes: 20 << 30,
            keep_after: Duration::from_secs(2),
            kept: 40,
            step: Duration::from_secs(3600),
            settle: Duration::from_secs(20),
            remembered: Duration::from_secs(600),
        }
    }
}

/// The E2B API of one server. Clones share everything.
#[derive(Clone, Default)]
pub struct E2b {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Default)]
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) builds: Builds,
    pub(crate) keys: Keys,
    pub(crate) tickets: Tickets,
}

impl E2b {
    /// One with other limits than the default.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { inner: Arc::new(Inner { settings, ..Inner::default() }) }
    }

    /// Takes away what builds left behind that an earlier process began: their sandboxes, and
    /// uploaded files beyond the limit. To be called once, before anything is served.
    ///
    /// # Errors
    /// When sandboxes can't be listed.
    pub async fn sweep<D: Door>(&self, door: &D) -> Result<(), E2bError> {
        uploads::sweep(&door.uploads(), self.inner.settings.uploads_bytes).await;
        builds::sweep(door).await
    }

    /// The routes that need a caller: a [`Door`] `D` in the extensions of the request.
    pub fn router<D: Door>(&self) -> Router {
        Router::new()
            .merge(sandbox_routes::<D>())
            .merge(template_routes::<D>())
            .merge(volumes::routes::<D>())
            .merge(secrets::routes::<D>())
            .merge(unserved::routes::<D>())
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .with_state(self.clone())
    }

    /// The routes that need none: `/health`, uploads to addresses that were handed out, and files of
    /// volumes for whoever has a volume's token.
    pub fn open_router(&self, volumes: Arc<dyn Volumes>) -> Router {
        // A file that is written is as long as it is: it is never held in memory.
        let content = volumes::content_routes().layer(DefaultBodyLimit::disable());
        content
            .layer(Extension(volumes))
            .route("/health", get(|| async { StatusCode::OK }))
            .route(&format!("{}/{{ticket}}", uploads::PATH), put(uploads::receive))
            .with_state(self.clone())
    }
}

fn sandbox_routes<D: Door>() -> Router<E2b> {
    use sandboxes::{connect, create, fork, life, list, logs, metrics, network, show};
    let one = || get(show::show::<D>).delete(life::kill::<D>);
    Router::new()
        .route("/sandboxes", get(list::running::<D>).post(create::legacy::<D>))
        .route("/v2/sandboxes", get(list::all::<D>).post(create::current::<D>))
        .route("/sandboxes/metrics", get(metrics::latest::<D>))
        .route("/sandboxes/{id}", one())
        .route("/sandboxes/{id}/connect", post(connect::legacy::<D>))
        .route("/v2/sandboxes/{id}/connect", post(connect::current::<D>))
        .route("/sandboxes/{id}/resume", post(connect::resume::<D>))
        .route("/sandboxes/{id}/timeout", post(life::timeout::<D>))
        .route("/sandboxes/{id}/refreshes", post(life::refresh::<D>))
        .route("/sandboxes/{id}/pause", post(life::pause::<D>))
        .route("/sandboxes/{id}/fork", post(fork::fork::<D>))
        .route("/sandboxes/{id}/network", put(network::replace::<D>))
        .route("/sandboxes/{id}/metrics", get(metrics::of_one::<D>))
        .route("/sandboxes/{id}/logs", get(logs::legacy::<D>))
        .route("/v2/sandboxes/{id}/logs", get(logs::current::<D>))
        .route("/sandboxes/{id}/snapshots", post(snapshots::create::<D>))
        .route("/snapshots", get(snapshots::list::<D>))
}

fn template_routes<D: Door>() -> Router<E2b> {
    use templates::{aliases, list, remove, request, tags};
    let named = || get(list::one::<D>).delete(remove::remove::<D>).patch(list::update::<D>);
    Router::new()
        .route("/v3/templates", post(request::v3::<D>))
        .route("/v2/templates", get(list::paged::<D>).post(request::v2::<D>))
        .route("/templates", get(list::all::<D>))
        .route("/default-templates", get(list::defaults::<D>))
        .route("/templates/tags", post(tags::assign::<D>).merge(delete(tags::remove::<D>)))
        .route("/templates/aliases/{alias}", get(aliases::check::<D>))
        .route("/templates/{id}", named())
        .route("/v2/templates/{id}", patch(list::update::<D>))
        .route("/templates/{id}/files/{hash}", get(uploads::link::<D>))
        .route("/templates/{id}/tags", get(tags::list::<D>))
        .route("/templates/{id}/tags/count", get(tags::count::<D>))
        .route("/templates/{id}/tags/exists", get(tags::exists::<D>))
        .route("/templates/{id}/tags/groups", get(tags::groups::<D>))
        .route("/templates/{id}/tags/{tag}/assignments", get(tags::assignments::<D>))
        .route("/v2/templates/{id}/builds/{build}", post(builds::start::<D>))
        .route("/templates/{id}/builds/{build}/status", get(builds::status::<D>))
        .route("/templates/{id}/builds/{build}/logs", get(builds::logs::<D>))
}
