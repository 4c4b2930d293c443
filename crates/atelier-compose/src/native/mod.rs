//! The loader of our own, for hosts without a Compose tool: the common subset, and a refusal of
//! the rest that names file, line and key.

pub(crate) mod places;
mod yaml;

use crate::error::{ComposeError, Result};
use crate::model::Model;
use crate::request::{Request, find};

pub(crate) fn load(request: &Request) -> Result<Model> {
    let files =
        find(request)?.ok_or_else(|| ComposeError::NoProject { folder: request.folder.clone() })?;
    Err(ComposeError::Unsupported {
        file: files.first().cloned(),
        line: None,
        key: "services".to_owned(),
        why: "without a Compose tool".to_owned(),
        install: true,
    })
}
