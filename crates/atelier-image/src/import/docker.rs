//! Archives of `docker save`: `manifest.json` names the configuration and the layers.

use serde::Deserialize;

use super::{Packed, Parts};
use crate::digest::Digest;
use crate::manifest::json;
use crate::reference::{Reference, candidates, local_name};
use crate::{ImageError, Result};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// The image of the archive; with several, the one that is called `name`.
pub(super) fn read(archive: &dyn Parts, name: Option<&str>) -> Result<Packed> {
    let saved: Vec<Saved> = json("manifest.json", &archive.document("manifest.json")?)?;
    let saved = choose(saved, name)?;
    let config = archive.document(&saved.config)?;
    check_config(&saved.config, &config)?;
    let layers = saved
        .layers
        .iter()
        .map(|layer| {
            let part = archive.part(layer);
            part.ok_or_else(|| ImageError::invalid("the archive", format!("it has no {layer}")))
        })
        .collect::<Result<_>>()?;
    Ok(Packed { config, layers, names: saved.names(), digest: None })
}

impl Saved {
    /// Its names, in full. Podman's `localhost/` is no registry.
    fn names(&self) -> Vec<String> {
        let tags = self.repo_tags.iter().flatten();
        tags.filter_map(|tag| full_name(tag)).collect()
    }
}

/// A name that an archive gives, in full.
pub(super) fn full_name(tag: &str) -> Option<String> {
    if tag.starts_with("localhost/") {
        return local_name(tag).ok();
    }
    Reference::parse(tag).ok().map(|reference| reference.name())
}

fn choose(mut saved: Vec<Saved>, name: Option<&str>) -> Result<Saved> {
    if saved.len() > 1 {
        let wanted = name.map(candidates).unwrap_or_default();
        let fits = |s: &Saved| s.names().iter().any(|n| wanted.contains(n));
        match saved.iter().position(fits) {
            Some(at) => return Ok(saved.swap_remove(at)),
            None => {
                return Err(ImageError::Ambiguous {
                    name: name.unwrap_or("the archive").to_owned(),
                    candidates: saved.iter().flat_map(Saved::names).collect(),
                });
            }
        }
    }
    saved.pop().ok_or_else(|| ImageError::invalid("manifest.json", "it lists no image"))
}

/// Configurations are named by their digest: `HEX.json` or `blobs/sha256/HEX`.
fn check_config(name: &str, bytes: &[u8]) -> Result<()> {
    let last = name.rsplit('/').next().unwrap_or(name);
    let hex = last.strip_suffix(".json").unwrap_or(last);
    match format!("sha256:{hex}").parse::<Digest>() {
        Ok(digest) => digest.check("the configuration of the image", bytes),
        Err(_) => Ok(()),
    }
}
