//! What callers choose: the store's settings, and the requests of a pull, a build and a commit.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ImageConfig;

/// How a store works. [`StoreOptions::default`] suits most machines.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Other places to ask first, by registry: `docker.io` → `https://mirror.example/path`. A URL
    /// with `http://` is used without TLS. The registry itself is asked last.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Registries (`host` or `host:port`) that are spoken to without TLS. Loopback always is.
    pub insecure: Vec<String>,
    /// Where credentials are looked for, the first match wins. Docker's format.
    pub auth_files: Vec<PathBuf>,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long a registry may send nothing.
    pub read_timeout: Duration,
    /// How many layers of one image are downloaded at a time.
    pub parallel: usize,
    /// What one image may unpack to.
    pub limits: Limits,
    /// The kind of disk that VMs get; by default EROFS where `mkfs.erofs` is there, else ext4.
    pub disk: Option<DiskKind>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            mirrors: BTreeMap::new(),
            insecure: Vec::new(),
            auth_files: auth_files(|name| std::env::var_os(name).map(PathBuf::from)),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            parallel: 3,
            limits: Limits::default(),
            disk: None,
        }
    }
}

/// Where `docker login` and `podman login` write, Docker's first. `var` reads the environment.
fn auth_files(var: impl Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let home = var("HOME").or_else(std::env::home_dir);
    let below = |folder: Option<PathBuf>, file: &str| folder.map(|folder| folder.join(file));
    let places = [
        var("REGISTRY_AUTH_FILE"),
        below(var("DOCKER_CONFIG"), "config.json"),
        below(home.clone(), ".docker/config.json"),
        below(var("XDG_RUNTIME_DIR"), "containers/auth.json"),
        below(home, ".config/containers/auth.json"),
    ];
    places.into_iter().flatten().collect()
}

/// What one pull, import or build may unpack to, all its layers together.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes after decompression.
    pub bytes: u64,
    /// Files, folders and links.
    pub entries: u64,
    /// Bytes after decompression for each byte before, once [`Limits::ratio_from`] is passed.
    pub ratio: u64,
    /// From how many decompressed bytes of a layer on the ratio counts.
    pub ratio_from: u64,
    /// Layers of one image.
    pub layers: usize,
    /// Bytes that stay free on the filesystem.
    pub keep_free: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 64 << 30,
            entries: 5_000_000,
            ratio: 200,
            ratio_from: 1 << 30,
            layers: 256,
            keep_free: 256 << 20,
        }
    }
}

/// What to pull.
#[derive(Debug, Clone, Default)]
pub struct PullOptions {
    /// `linux/amd64`, `linux/arm64/v8`; by default what this machine is.
    pub platform: Option<String>,
    /// Whether the registry is asked although an image of this name is here.
    pub always: bool,
}

/// What to build.
#[derive(Debug, Clone, Default)]
pub struct BuildRequest {
    /// The folder that is sent to the builder.
    pub context: PathBuf,
    /// The Dockerfile, by default `Dockerfile` in the context.
    pub dockerfile: Option<PathBuf>,
    /// The name of the result.
    pub tag: Option<String>,
    /// Values of `ARG`.
    pub build_args: BTreeMap<String, String>,
    /// The stage to build, by default the last.
    pub target: Option<String>,
    /// Whether earlier results are left aside.
    pub no_cache: bool,
}

/// What a new image is besides its layers.
#[derive(Debug, Clone, Default)]
pub struct ImageChange {
    /// How it runs.
    pub config: ImageConfig,
    /// Its name, if it gets one.
    pub name: Option<String>,
    /// What made it, for its history.
    pub created_by: String,
}

/// The filesystem of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskKind {
    /// EROFS: compact, read-only. A module in Debian's cloud kernel.
    Erofs,
    /// ext4: built into Debian's cloud kernel.
    Ext4,
}

impl DiskKind {
    /// The name that `mount -t` takes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Erofs => "erofs",
            Self::Ext4 => "ext4",
        }
    }
}

/// A root filesystem as one file, never to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub kind: DiskKind,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_looked_for_where_docker_and_podman_write_them() {
        let var = |name: &str| match name {
            "HOME" => Some(PathBuf::from("/h")),
            "DOCKER_CONFIG" => Some(PathBuf::from("/d")),
            _ => None,
        };
        let expected =
            ["/d/config.json", "/h/.docker/config.json", "/h/.config/containers/auth.json"];
        assert_eq!(auth_files(var), expected.map(PathBuf::from));
    }
}
