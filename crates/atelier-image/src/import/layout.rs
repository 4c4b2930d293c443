//! OCI layouts: `index.json` names manifests, everything is below `blobs/sha256/`.

use std::collections::HashSet;

use super::docker::full_name;
use super::{Packed, Part, Parts};
use crate::digest::{Digest, Hashing};
use crate::manifest::{Descriptor, Document, Manifest, choose};
use crate::platform::Platform;
use crate::reference::candidates;
use crate::{ImageError, Result};

/// How deep indexes may lie in one another.
const DEPTH: usize = 4;

/// The image of the layout for this machine; with several, the one that is called `name`.
pub(super) fn read(layout: &dyn Parts, name: Option<&str>) -> Result<Packed> {
    let bytes = layout.document("index.json")?;
    let Document::Index(entries) = Document::read("index.json", &bytes, None)? else {
        return Err(ImageError::invalid("index.json", "it is no index"));
    };
    let entries = named(entries, name)?;
    let names: Vec<_> = entries.iter().filter_map(name_of).collect();
    let (manifest, digest) = resolve(layout, entries)?;
    let config = blob(layout, &manifest.config)?;
    let layers = manifest.layers.iter().map(|layer| checked(layout, layer));
    Ok(Packed {
        config,
        layers: layers.collect::<Result<_>>()?,
        names,
        digest: Some(digest.to_string()),
    })
}

/// The entries that are one image: all, unless they have different names.
fn named(entries: Vec<Descriptor>, name: Option<&str>) -> Result<Vec<Descriptor>> {
    let names: HashSet<_> = entries.iter().filter_map(name_of).collect();
    if names.len() < 2 {
        return Ok(entries);
    }
    let wanted = name.map(candidates).unwrap_or_default();
    let of_that_name = |e: &Descriptor| name_of(e).is_some_and(|n| wanted.contains(&n));
    let found: Vec<_> = entries.into_iter().filter(of_that_name).collect();
    if found.is_empty() {
        return Err(ImageError::Ambiguous {
            name: name.unwrap_or("the layout").to_owned(),
            candidates: names.into_iter().collect(),
        });
    }
    Ok(found)
}

/// Its name, if it is more than a tag.
fn name_of(entry: &Descriptor) -> Option<String> {
    entry.name().filter(|name| name.contains(['/', ':'])).and_then(full_name)
}

fn resolve(layout: &dyn Parts, mut entries: Vec<Descriptor>) -> Result<(Manifest, Digest)> {
    for _ in 0..DEPTH {
        let chosen = match entries.as_slice() {
            [only] => only.clone(),
            _ => choose("the layout", &entries, &Platform::here())?.clone(),
        };
        let bytes = blob(layout, &chosen)?;
        let what = format!("the manifest {}", chosen.digest);
        match Document::read(&what, &bytes, Some(&chosen.media_type))? {
            Document::Manifest(manifest) => return Ok((manifest, chosen.digest()?)),
            Document::Index(inner) => entries = inner,
        }
    }
    Err(ImageError::invalid("index.json", "its indexes lie too deep in one another"))
}

fn part(layout: &dyn Parts, descriptor: &Descriptor) -> Result<Part> {
    let digest = descriptor.digest()?;
    let part = layout.part(&format!("blobs/sha256/{}", digest.hex()));
    let part =
        part.ok_or_else(|| ImageError::invalid("the layout", format!("it lacks {digest}")))?;
    if part.size < descriptor.size {
        return Err(ImageError::Truncated {
            what: digest.to_string(),
            expected: descriptor.size,
            found: part.size,
        });
    }
    Ok(part)
}

/// A small blob, checked.
fn blob(layout: &dyn Parts, descriptor: &Descriptor) -> Result<Vec<u8>> {
    let part = part(layout, descriptor)?;
    let bytes = part.read(&descriptor.digest)?;
    descriptor.digest()?.check(descriptor.digest.clone(), &bytes)?;
    Ok(bytes)
}

/// A layer's blob, checked before anything looks into it.
fn checked(layout: &dyn Parts, descriptor: &Descriptor) -> Result<Part> {
    let part = part(layout, descriptor)?;
    let mut hashing = Hashing::new(part.open()?);
    std::io::copy(&mut hashing, &mut std::io::sink())
        .map_err(ImageError::io("reading", &part.file))?;
    descriptor.digest()?.matches(format!("the layer {}", descriptor.digest), &hashing.digest())?;
    Ok(part)
}
