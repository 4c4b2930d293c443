//! The kernel of a machine, and what it boots with.
//!
//! This file finds a kernel and makes its boot files, once for each kernel and guest. `image.rs`
//! unpacks a kernel, `modules.rs` picks its modules, `cpio.rs` writes the initial RAM disk.

mod cpio;
mod image;
mod modules;
mod unpack;

use std::cmp::Reverse;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::VmError;
use crate::error::Result;
use crate::files;

/// Changes when boot files of earlier versions of this crate must not be used any more.
const FORMAT: &str = "1";
const REMEDY: &str = "install a kernel made for virtual machines: 'apt install \
    linux-image-cloud-amd64' on Debian, 'apt install linux-image-virtual' on Ubuntu, 'dnf install \
    kernel-core' on Fedora";

/// A Linux kernel of this host, with its modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// The kernel: a bzImage, or an uncompressed ELF file.
    pub path: PathBuf,
    /// Its release, such as `6.1.0-56-cloud-amd64`.
    pub release: String,
    /// Where its modules are.
    pub modules: PathBuf,
}

/// What a machine boots with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootFiles {
    /// Names this kernel together with this guest.
    pub id: String,
    /// The kernel's release.
    pub release: String,
    /// How many timer ticks the kernel makes in a second, if that is known.
    pub hz: Option<u32>,
    /// The kernel, uncompressed: unpacking is slow inside an emulated machine.
    pub vmlinux: PathBuf,
    /// The initial RAM disk, with the guest as init.
    pub initrd: PathBuf,
}

impl Kernel {
    /// The kernel that the user named, or the best one of this host.
    ///
    /// # Errors
    /// When there is none that can be read and has its modules.
    pub fn find(configured: Option<&Path>) -> Result<Self> {
        if let Some(path) = configured {
            return Self::at(path);
        }
        let mut why = "no vmlinuz in /boot or /lib/modules".to_owned();
        for path in candidates() {
            match Self::at(&path) {
                Ok(kernel) => return Ok(kernel),
                Err(error) => {
                    why = match std::error::Error::source(&error) {
                        Some(source) => format!("{error}: {source}"),
                        None => error.to_string(),
                    };
                }
            }
        }
        Err(VmError::Missing { what: "a kernel", why, remedy: REMEDY.to_owned() })
    }

    fn at(path: &Path) -> Result<Self> {
        let unusable = |why: String| VmError::Kernel { path: path.to_owned(), why };
        let release = image::release(path)?;
        let modules = Path::new("/lib/modules").join(&release);
        if !modules.join("modules.dep").is_file() {
            return Err(unusable(format!("its modules are not in {}", modules.display())));
        }
        Ok(Self { path: path.to_owned(), release, modules })
    }

    /// Makes the boot files, or takes those that are in `cache` already. `guest` is the static
    /// guest binary with the feature `machine`.
    ///
    /// # Errors
    /// When the kernel can't be unpacked, lacks a driver, or the folder can't be written.
    pub fn prepare(&self, guest: &Path, cache: &Path) -> Result<BootFiles> {
        let dep = self.modules.join("modules.dep");
        let id = files::identity(&[FORMAT, &self.release], &[&self.path, &dep, guest])?;
        let folder = cache.join(&id);
        let boot = BootFiles {
            id,
            release: self.release.clone(),
            hz: self.hz(),
            vmlinux: folder.join("vmlinux"),
            initrd: folder.join("initrd"),
        };
        files::make_once(&folder, |fresh| {
            image::extract(&self.path, &fresh.join("vmlinux"))?;
            let initrd = self.initrd(guest)?;
            let path = fresh.join("initrd");
            fs::write(&path, initrd).map_err(VmError::io("writing", path))
        })?;
        Ok(boot)
    }

    fn initrd(&self, guest: &Path) -> Result<Vec<u8>> {
        let mut archive = cpio::Archive::default();
        for folder in ["dev", "proc", "sys", "modules"] {
            archive.folder(folder);
        }
        // The kernel opens it for init before init can make it.
        archive.character_device("dev/console", 0o600, (5, 1));
        let guest = fs::read(guest).map_err(VmError::io("reading", guest))?;
        archive.file("init", 0o755, &guest);
        let picked = modules::pick(&self.modules)?;
        archive.file("modules/order", 0o644, picked.order.as_bytes());
        for (name, bytes) in &picked.files {
            archive.file(&format!("modules/{name}"), 0o644, bytes);
        }
        Ok(archive.finish())
    }

    /// From the kernel's configuration, which distributions put beside it.
    fn hz(&self) -> Option<u32> {
        let places = [
            Path::new("/boot").join(format!("config-{}", self.release)),
            self.modules.join("config"),
        ];
        let text = places.iter().find_map(|path| fs::read_to_string(path).ok())?;
        text.lines().find_map(|line| line.strip_prefix("CONFIG_HZ=")?.parse().ok())
    }
}

/// Kernels made for virtual machines first, then the newest.
fn candidates() -> Vec<PathBuf> {
    let list = |folder: &str| -> Vec<PathBuf> {
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let name = |path: &Path| path.to_string_lossy().into_owned();
    let mut found: Vec<PathBuf> = list("/boot")
        .into_iter()
        .filter(|path| {
            path.file_name().is_some_and(|it| it.to_string_lossy().starts_with("vmlinuz-"))
        })
        .chain(list("/lib/modules").into_iter().map(|folder| folder.join("vmlinuz")))
        .filter(|path| path.exists())
        .collect();
    found.sort_by_cached_key(|path| {
        let made_for_it = ["cloud", "virtual", "kvm"].iter().any(|it| name(path).contains(it));
        let age = fs::metadata(path).map_or(0, |meta| meta.mtime());
        (Reverse(made_for_it), Reverse(age))
    });
    found
}
