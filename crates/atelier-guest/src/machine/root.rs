//! The machine's root: the image below, the layer disk above, joined by an overlay.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::mount::{MsFlags, mount};

use super::disks::{Disks, filesystem};
use super::{modules, named, system};

const BASE: &str = "/base";
const LAYER: &str = "/layer";
const ROOT: &str = "/root";

/// Mounts the root and makes it ours. Gives the folder with what is changed over the image, which has no
/// path from then on.
pub fn enter(disks: &Disks) -> io::Result<File> {
    for folder in [BASE, LAYER, ROOT] {
        std::fs::create_dir_all(folder).map_err(named(format!("making {folder}")))?;
    }
    mount_base(&disks.base)?;
    mount_layer(disks.layer.as_deref())?;
    modules::load("overlay")?;
    for folder in ["upper", "work", "spool"] {
        let path = Path::new(LAYER).join(folder);
        std::fs::create_dir_all(&path).map_err(named(format!("making {}", path.display())))?;
    }
    // What is changed must mean something without this mount: it may become a layer of an image.
    let options = format!(
        "lowerdir={BASE},upperdir={LAYER}/upper,workdir={LAYER}/work,redirect_dir=off,metacopy=off"
    );
    mount(Some("root"), ROOT, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
        .map_err(|error| named("joining the image and its layer")(error.into()))?;
    system::mounts(Path::new(ROOT), &Path::new(LAYER).join("spool"))?;
    // Their contents are in the kernel now; the memory is better used.
    drop(std::fs::remove_dir_all("/modules"));
    let upper = Path::new(LAYER).join("upper");
    let upper = File::open(&upper).map_err(named(format!("opening {}", upper.display())))?;
    switch(Path::new(ROOT))?;
    Ok(upper)
}

fn mount_base(disk: &Path) -> io::Result<()> {
    let kind = filesystem(disk)?;
    modules::load(kind)?;
    // An image may have a journal, which a disk that can't be written to can't replay.
    let options = (kind == "ext4").then_some("noload");
    mount(Some(disk), BASE, Some(kind), MsFlags::MS_RDONLY, options)
        .map_err(|error| named(format!("mounting the image ({kind})"))(error.into()))
}

fn mount_layer(disk: Option<&Path>) -> io::Result<()> {
    let (source, kind, options) = match disk {
        // The disk is a fresh sparse file, so the inode tables behind it are zeros already.
        Some(disk) => (disk, filesystem(disk)?, Some("noinit_itable")),
        None => (Path::new("layer"), "tmpfs", None),
    };
    modules::load(kind)?;
    let flags = MsFlags::MS_NOATIME;
    mount(Some(source), LAYER, Some(kind), flags, options)
        .map_err(|error| named("mounting the layer disk")(error.into()))
}

/// The root of the initial RAM disk can't be pivoted away: the new one is moved over it.
fn switch(root: &Path) -> io::Result<()> {
    let none: Option<&str> = None;
    let done = nix::unistd::chdir(root)
        .and_then(|()| mount(Some("."), "/", none, MsFlags::MS_MOVE, none))
        .and_then(|()| nix::unistd::chroot("."))
        .and_then(|()| nix::unistd::chdir("/"));
    done.map_err(|error| named("changing the root")(error.into()))
}
