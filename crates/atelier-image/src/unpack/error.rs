//! Why a layer was refused.

use std::io;

use atelier_api::ExitCode;

use crate::ImageError;
use crate::tar::TarError;

/// Why a layer can't or must not be unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// A name leads out of the layer.
    #[error("{path:?} leads out of the layer: {why}")]
    Escapes {
        /// The name in the archive.
        path: String,
        /// How.
        why: &'static str,
    },
    /// A device.
    #[error("{0:?} is a device, which no image may bring")]
    Device(String),
    /// A limit was passed.
    #[error("it is too large: {0}")]
    TooLarge(String),
    /// The archive or a name in it is not valid.
    #[error("{0}")]
    Invalid(String),
    /// The archive or its compression ends in the middle.
    #[error("it is cut off")]
    CutOff,
    /// Not enough space.
    #[error("the disk is full, or soon would be")]
    NoSpace,
    /// Nobody waits for it any more.
    #[error("the work was interrupted")]
    Interrupted,
    /// A file operation of ours failed.
    #[error("writing {path:?} failed")]
    Io {
        /// The name in the archive.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl LayerError {
    /// The stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Escapes { .. } => "image.layer_escapes",
            Self::Device(_) => "image.layer_device",
            Self::TooLarge(_) => "image.too_large",
            Self::Invalid(_) => "image.layer_invalid",
            Self::CutOff => "image.truncated",
            Self::NoSpace => "image.no_space",
            Self::Interrupted => "image.interrupted",
            Self::Io { .. } => "image.io",
        }
    }

    /// The error of an image's layer.
    pub(crate) fn of(layer: impl std::fmt::Display) -> impl FnOnce(Self) -> ImageError {
        let layer = layer.to_string();
        move |source| ImageError::Layer { layer, source }
    }

    pub(crate) fn exit(&self) -> ExitCode {
        match self {
            Self::NoSpace | Self::Interrupted | Self::Io { .. } => ExitCode::Failed,
            _ => ExitCode::InvalidInput,
        }
    }

    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Escapes { .. } | Self::Device(_) => {
                "don't use this image: no proper tool makes such a layer".to_owned()
            }
            Self::TooLarge(_) => {
                "if you trust its origin, raise the limits on images and try again".to_owned()
            }
            Self::Invalid(_) | Self::CutOff => {
                "build, save or push the image again; this copy is damaged".to_owned()
            }
            Self::NoSpace => {
                "free some space, `atelier image prune` removes unused images".to_owned()
            }
            Self::Interrupted | Self::Io { .. } => return None,
        })
    }

    /// An error of a read, which may carry one of ours inside.
    pub(crate) fn from_io(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::CutOff,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            _ => match error.downcast::<Self>() {
                Ok(ours) => ours,
                Err(error) => Self::Invalid(format!("it can't be read: {error}")),
            },
        }
    }

    /// An error of a write to a file of the layer.
    pub(crate) fn writing<E: Into<io::Error>>(path: &[u8]) -> impl FnOnce(E) -> Self {
        let path = String::from_utf8_lossy(path).into_owned();
        move |error| {
            let source = error.into();
            match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
                io::ErrorKind::InvalidFilename => {
                    Self::Invalid(format!("{:?} is longer than names may be", cut(&path)))
                }
                _ => Self::Io { path, source },
            }
        }
    }

    /// A name in the archive that makes no sense.
    pub(crate) fn name(path: &[u8], why: &str) -> Self {
        Self::Invalid(format!("{:?} {why}", cut(&String::from_utf8_lossy(path))))
    }
}

fn cut(text: &str) -> String {
    text.chars().take(200).collect()
}

impl From<TarError> for LayerError {
    fn from(error: TarError) -> Self {
        match error {
            TarError::Io(error) => Self::from_io(error),
            TarError::CutOff => Self::CutOff,
            TarError::Invalid(_) => Self::Invalid(error.to_string()),
        }
    }
}
