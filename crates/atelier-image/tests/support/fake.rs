//! An image whose registry is a function of the test.

use super::archive::{GZIP, MANIFEST, config, digest, gzip, here, layers, manifest};
use super::http::Reply;

/// A registry that hands out what it is given, with tokens if asked.
pub struct Fake {
    pub manifest: Vec<u8>,
    pub config: Vec<u8>,
    pub blobs: Vec<Vec<u8>>,
}

impl Fake {
    pub fn new() -> Self {
        let tars = layers();
        let blobs: Vec<_> = tars.iter().map(|tar| gzip(tar)).collect();
        let config = config(here(), &tars);
        Self { manifest: manifest(&config, &blobs, GZIP), config, blobs }
    }

    pub fn answer(&self, path: &str) -> Reply {
        if path.contains("/manifests/") {
            return Reply::ok(MANIFEST, self.manifest.clone());
        }
        let wanted = |blob: &&Vec<u8>| path.ends_with(&digest(blob));
        match self.blobs.iter().chain([&self.config]).find(wanted) {
            Some(blob) => Reply::ok("application/octet-stream", blob.clone()),
            None => Reply::status(404),
        }
    }
}
