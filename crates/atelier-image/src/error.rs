//! What can go wrong with an image, in words.

use std::io;
use std::path::{Path, PathBuf};

use atelier_api::{ExitCode, Fault};
use atelier_files::RemoveError;

use crate::unpack::LayerError;

/// What this crate's functions return.
pub type Result<T, E = ImageError> = std::result::Result<T, E>;

/// Why an image could not be had, made, found or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A name that no image can have.
    #[error("{name:?} is not an image name: {why}")]
    BadName {
        /// What was given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No image of that name or id is here.
    #[error("there is no image {0:?} here")]
    NotHere(String),
    /// The registry has no such image.
    #[error("{registry} has no image {name:?}")]
    NotInRegistry {
        /// The registry asked.
        registry: String,
        /// The image's repository and tag.
        name: String,
    },
    /// The beginning of an id that several images share, or an archive of several images.
    #[error("{name:?} could be any of {}", candidates.join(", "))]
    Ambiguous {
        /// What was given.
        name: String,
        /// What it could mean.
        candidates: Vec<String>,
    },
    /// The registry wants other credentials.
    #[error("{registry} does not let us pull {name:?}: {why}")]
    Unauthorized {
        /// The registry asked.
        registry: String,
        /// The repository.
        name: String,
        /// What it answered, and as whom we asked.
        why: String,
    },
    /// Stored credentials can't be read.
    #[error("the credentials for {registry} can't be read: {why}")]
    Credentials {
        /// The registry they are for.
        registry: String,
        /// Why not.
        why: String,
    },
    /// The registry could not be reached.
    #[error("{registry} can't be reached: {why}")]
    Unreachable {
        /// The registry.
        registry: String,
        /// Why not.
        why: String,
    },
    /// The registry stopped sending.
    #[error("{registry} sent nothing for {seconds} s")]
    Stalled {
        /// The registry.
        registry: String,
        /// How long we waited.
        seconds: u64,
    },
    /// The registry asks us to come back later.
    #[error("{registry} limits how often we may pull: {why}")]
    RateLimited {
        /// The registry.
        registry: String,
        /// What it said.
        why: String,
    },
    /// The registry answered something that we can't use.
    #[error("{registry} failed: {why}")]
    Registry {
        /// The registry.
        registry: String,
        /// What it answered.
        why: String,
    },
    /// Content that isn't what its digest says.
    #[error("{what} has the digest {found}, not {expected}")]
    DigestMismatch {
        /// Which content.
        what: String,
        /// What it should have been.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Content that ends too early.
    #[error("{what} is cut off: {found} of {expected} bytes")]
    Truncated {
        /// Which content.
        what: String,
        /// Its size.
        expected: u64,
        /// What there is of it.
        found: u64,
    },
    /// A kind of manifest, layer or compression that is not supported.
    #[error("{what} is of the kind {kind:?}, which can't be used")]
    MediaType {
        /// Which content.
        what: String,
        /// Its media type.
        kind: String,
    },
    /// A layer which the registry must not hand out.
    #[error("the layer {0} is not distributable: its registry does not have it")]
    ForeignLayer(String),
    /// The image is for other machines.
    #[error("{name:?} is not there for {wanted}, only for {}", offered.join(", "))]
    WrongPlatform {
        /// The image.
        name: String,
        /// The platform asked for.
        wanted: String,
        /// What there is.
        offered: Vec<String>,
    },
    /// A layer that can't or must not be unpacked.
    #[error("the layer {layer} was refused: {source}")]
    Layer {
        /// Which layer.
        layer: String,
        /// Why.
        source: LayerError,
    },
    /// A manifest, configuration or archive that is not well formed.
    #[error("{what} is not valid: {why}")]
    Invalid {
        /// Which document.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A sandbox runs from it.
    #[error("the image {0:?} is in use by a sandbox")]
    InUse(String),
    /// An image with several names was to be removed by its id.
    #[error("the image {id} has several names: {}", names.join(", "))]
    SeveralNames {
        /// The image.
        id: String,
        /// Its names.
        names: Vec<String>,
    },
    /// Nothing on this machine can build images.
    #[error("nothing here can build an image: {why}")]
    NoBuilder {
        /// What was tried, and what each said.
        why: String,
    },
    /// The build failed.
    #[error("{builder} could not build the image: {why}")]
    Build {
        /// The program that built.
        builder: &'static str,
        /// The end of what it said.
        why: String,
    },
    /// No program that makes a filesystem image.
    #[error("nothing here can make a {0} disk")]
    NoMkfs(&'static str),
    /// A filesystem image could not be made.
    #[error("the disk of the image could not be made: {0}")]
    Disk(String),
    /// Not enough space.
    #[error("there is not enough space below {}", .0.display())]
    NoSpace(PathBuf),
    /// A file operation of ours failed.
    #[error("{doing} {} failed", path.display())]
    Io {
        /// What was being done, such as `reading`.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The control plane is going down.
    #[error("the work was interrupted")]
    Interrupted,
}

impl From<RemoveError> for ImageError {
    fn from(error: RemoveError) -> Self {
        let path = error.path().to_owned();
        Self::io("removing", path)(error)
    }
}

impl ImageError {
    /// Wraps an I/O error with what was being done to which path.
    pub(crate) fn io<E: Into<io::Error>>(
        doing: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(E) -> Self {
        let path = path.as_ref().to_owned();
        move |source| {
            let source = source.into();
            match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace(path),
                _ => Self::Io { doing, path, source },
            }
        }
    }

    /// A document that is not well formed.
    pub(crate) fn invalid(what: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self::Invalid { what: what.into(), why: format!("{why}") }
    }
}

impl From<tokio::task::JoinError> for ImageError {
    fn from(_: tokio::task::JoinError) -> Self {
        Self::Interrupted
    }
}

impl Fault for ImageError {
    fn code(&self) -> &'static str {
        match self {
            Self::BadName { .. } => "image.bad_name",
            Self::NotHere(_) | Self::NotInRegistry { .. } => "image.not_found",
            Self::Ambiguous { .. } => "image.ambiguous",
            Self::Unauthorized { .. } => "image.unauthorized",
            Self::Credentials { .. } => "image.credentials_unreadable",
            Self::Unreachable { .. } => "image.registry_unreachable",
            Self::Stalled { .. } => "image.registry_stalled",
            Self::RateLimited { .. } => "image.registry_rate_limited",
            Self::Registry { .. } => "image.registry_failed",
            Self::DigestMismatch { .. } => "image.digest_mismatch",
            Self::Truncated { .. } => "image.truncated",
            Self::MediaType { .. } => "image.unsupported_media_type",
            Self::ForeignLayer(_) => "image.foreign_layer",
            Self::WrongPlatform { .. } => "image.wrong_platform",
            Self::Layer { source, .. } => source.code(),
            Self::Invalid { .. } => "image.invalid",
            Self::InUse(_) => "image.in_use",
            Self::SeveralNames { .. } => "image.several_names",
            Self::NoBuilder { .. } => "image.no_builder",
            Self::Build { .. } => "image.build_failed",
            Self::NoMkfs(_) => "image.no_mkfs",
            Self::Disk(_) => "image.disk_failed",
            Self::NoSpace(_) => "image.no_space",
            Self::Io { .. } => "image.io",
            Self::Interrupted => "image.interrupted",
        }
    }

    fn exit(&self) -> ExitCode {
        match self {
            Self::BadName { .. } => ExitCode::Usage,
            Self::NotHere(_) | Self::NotInRegistry { .. } | Self::WrongPlatform { .. } => {
                ExitCode::NotFound
            }
            // What the caller named; what is ours is always there, or damaged.
            Self::Io { doing: "reading", source, .. }
                if source.kind() == io::ErrorKind::NotFound =>
            {
                ExitCode::NotFound
            }
            Self::Ambiguous { .. } | Self::InUse(_) | Self::SeveralNames { .. } => {
                ExitCode::Conflict
            }
            Self::Unauthorized { .. } => ExitCode::NotPermitted,
            Self::Credentials { .. } | Self::NoBuilder { .. } | Self::NoMkfs(_) => {
                ExitCode::Configuration
            }
            Self::Unreachable { .. }
            | Self::Stalled { .. }
            | Self::RateLimited { .. }
            | Self::Registry { .. }
            | Self::Build { .. }
            | Self::Disk(_) => ExitCode::Engine,
            Self::Layer { source, .. } => source.exit(),
            Self::DigestMismatch { .. }
            | Self::Truncated { .. }
            | Self::MediaType { .. }
            | Self::ForeignLayer(_)
            | Self::Invalid { .. } => ExitCode::InvalidInput,
            Self::NoSpace(_) | Self::Io { .. } | Self::Interrupted => ExitCode::Failed,
        }
    }

    fn hints(&self) -> Vec<String> {
        self.hint().into_iter().collect()
    }
}

impl ImageError {
    /// What to do next.
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::BadName { .. } => "a name looks like alpine, alpine:3.20, \
                ghcr.io/owner/name:tag or name@sha256:…"
                .to_owned(),
            Self::NotHere(name) => format!("`atelier image pull {name}` gets it from a registry"),
            Self::NotInRegistry { registry, .. } => format!(
                "check the spelling and the tag; a private image needs `docker login {registry}`"
            ),
            Self::Ambiguous { .. } => "give more of it, or one of these names".to_owned(),
            Self::Unauthorized { registry, .. } => {
                format!("`docker login {registry}` (or podman login) stores credentials")
            }
            Self::Credentials { .. } => {
                "mend or remove the entry in ~/.docker/config.json".to_owned()
            }
            Self::Unreachable { .. } => "check the name, the network and the proxy; a registry \
                without TLS must be listed under insecure registries"
                .to_owned(),
            Self::Stalled { .. } | Self::Registry { .. } => {
                "try again later, or set a mirror for this registry".to_owned()
            }
            Self::RateLimited { .. } => {
                "log in to the registry, wait, or set a mirror for it".to_owned()
            }
            Self::DigestMismatch { .. } | Self::Truncated { .. } => "the source is damaged or was \
                tampered with: try again, or get it from elsewhere"
                .to_owned(),
            Self::MediaType { .. } => "build or push the image again with a current tool: Docker \
                schema 2 or OCI, layers plain, gzip or zstd"
                .to_owned(),
            Self::ForeignLayer(_) => "use an image whose layers are all in the registry".to_owned(),
            Self::WrongPlatform { .. } => {
                "choose one of these with --platform, where a runtime can run it".to_owned()
            }
            Self::Layer { source, .. } => return source.hint(),
            Self::InUse(_) => {
                "remove the sandboxes that run from it first, or force it to lose its name"
                    .to_owned()
            }
            Self::SeveralNames { .. } => "remove it by its names, or force it".to_owned(),
            Self::NoBuilder { .. } => {
                "apt-get install buildah (or docker.io, or podman)".to_owned()
            }
            Self::NoMkfs("erofs") => "apt-get install erofs-utils".to_owned(),
            Self::NoMkfs(_) => "apt-get install erofs-utils e2fsprogs".to_owned(),
            Self::NoSpace(_) => {
                "free some space, `atelier image prune` removes unused images".to_owned()
            }
            Self::Invalid { .. }
            | Self::Build { .. }
            | Self::Disk(_)
            | Self::Io { .. }
            | Self::Interrupted => return None,
        })
    }
}
