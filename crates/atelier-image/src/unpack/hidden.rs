//! The names that hide what lower layers have: `.wh.NAME` and `.wh..wh..opq`.

use super::LayerError;
use atelier_files::below::parts;

const PREFIX: &[u8] = b".wh.";

/// What a name asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Hides<'a> {
    /// An ordinary name.
    Nothing,
    /// The name of that kind in the same folder.
    Name(&'a [u8]),
    /// Everything in the folder.
    Everything,
    /// Bookkeeping of aufs, which means nothing here.
    Aufs,
}

/// What the name `dir/name` asks for.
pub(crate) fn hides<'a>(dir: &[u8], name: &'a [u8]) -> Result<Hides<'a>, LayerError> {
    for part in parts(dir) {
        match part.strip_prefix(PREFIX) {
            Some(rest) if rest.starts_with(PREFIX) => return Ok(Hides::Aufs),
            Some(_) => return Err(LayerError::name(dir, "is a folder with a whiteout's name")),
            None => {}
        }
    }
    match name.strip_prefix(PREFIX) {
        None => Ok(Hides::Nothing),
        Some(b".wh..opq") => Ok(Hides::Everything),
        Some(rest) if rest.starts_with(PREFIX) => Ok(Hides::Aufs),
        Some(b"" | b"." | b"..") => Err(LayerError::Escapes {
            path: String::from_utf8_lossy(name).into_owned(),
            why: "a whiteout must name something in its folder",
        }),
        Some(rest) => Ok(Hides::Name(rest)),
    }
}
