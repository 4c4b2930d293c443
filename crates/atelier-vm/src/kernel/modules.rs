//! Picks the modules that a machine needs, in the order in which they load: `modules.dep`,
//! `modules.softdep` and `modules.builtin` of modprobe(8) say how they hang together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::unpack::unpack;
use crate::VmError;
use crate::error::Result;

/// What a machine can't do without, by the group that the guest loads it in.
const NEEDED: [(&str, &str); 5] = [
    ("core", "virtio_mmio"),
    ("core", "virtio_blk"),
    ("core", "virtio_net"),
    ("overlay", "overlay"),
    ("ext4", "ext4"),
];
/// What it uses if the kernel has it.
const USEFUL: [(&str, &str); 6] = [
    ("core", "virtio_rng"),
    ("core", "af_packet"),
    ("core", "tun"),
    ("erofs", "erofs"),
    ("squashfs", "squashfs"),
    ("vsock", "vmw_vsock_virtio_transport"),
];
/// No module is larger than this, in bytes.
const LARGEST: u64 = 64 << 20;

/// The modules for a machine.
#[derive(Debug)]
pub(super) struct Picked {
    /// A line for each: the group that needs it, and its file.
    pub order: String,
    /// Each file with its contents, not compressed.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Picks from a folder such as `/lib/modules/6.1.0-56-cloud-amd64`.
pub(super) fn pick(folder: &Path) -> Result<Picked> {
    let tree = Tree::read(folder)?;
    let mut picked = Picked { order: String::new(), files: BTreeMap::new() };
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (group, module) in NEEDED.iter().chain(&USEFUL) {
        let order = groups.entry(group).or_default();
        if !tree.add(module, order) && NEEDED.contains(&(group, module)) {
            let why = format!("it has no module {module}");
            return Err(VmError::Kernel { path: folder.to_owned(), why });
        }
    }
    for (group, modules) in groups {
        for module in modules {
            let Some(entry) = tree.modules.get(module) else { continue };
            picked.order.push_str(&format!("{group} {module}.ko\n"));
            let path = folder.join(&entry.file);
            let packed = fs::read(&path).map_err(VmError::io("reading", &path))?;
            let bytes = unpack(&packed, LARGEST).map_err(VmError::io("unpacking", path))?;
            picked.files.insert(format!("{module}.ko"), bytes);
        }
    }
    Ok(picked)
}

struct Entry {
    file: PathBuf,
    /// Each of them before this one.
    needs: Vec<String>,
}

struct Tree {
    modules: HashMap<String, Entry>,
    built_in: BTreeSet<String>,
}

impl Tree {
    fn read(folder: &Path) -> Result<Self> {
        let dep = folder.join("modules.dep");
        let dep = fs::read_to_string(&dep).map_err(VmError::io("reading", dep))?;
        // A kernel without one of these has nothing built in, or no soft dependencies.
        let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        Ok(Self::parse(&dep, &text("modules.softdep"), &text("modules.builtin")))
    }

    fn parse(dep: &str, soft: &str, built_in: &str) -> Self {
        let mut modules = HashMap::new();
        for (file, needs) in dep.lines().filter_map(|line| line.split_once(':')) {
            // The list is to be loaded from its end.
            let needs = needs.split_whitespace().rev().map(name_of).collect();
            modules.insert(name_of(file), Entry { file: file.into(), needs });
        }
        for line in soft.lines() {
            let mut words = line.split_whitespace();
            let Some(module) = words.nth(1).map(name_of) else { continue };
            let before = words
                .skip_while(|word| *word != "pre:")
                .skip(1)
                .take_while(|word| *word != "post:");
            if let Some(entry) = modules.get_mut(&module) {
                entry.needs.splice(0..0, before.map(name_of));
            }
        }
        // What answers to `crc32c`, an alias that only modprobe would resolve.
        if let Some(entry) = modules.get_mut("libcrc32c") {
            entry.needs.insert(0, "crc32c_generic".to_owned());
        }
        Self { modules, built_in: built_in.lines().map(name_of).collect() }
    }

    /// Adds a module after those that it needs. Whether it is there, or built in.
    fn add<'a>(&'a self, module: &str, order: &mut Vec<&'a str>) -> bool {
        if self.built_in.contains(module) || order.contains(&module) {
            return true;
        }
        let Some((name, entry)) = self.modules.get_key_value(module) else { return false };
        for needed in entry.needs.iter().filter(|needed| *needed != module) {
            // What is not there is an alias of something that is, or a soft dependency.
            self.add(needed, order);
        }
        if !order.contains(&name.as_str()) {
            order.push(name);
        }
        true
    }
}

/// `kernel/drivers/char/hw_random/virtio-rng.ko.xz` is `virtio_rng`.
fn name_of(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.split(".ko").next().unwrap_or(name).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "kernel/virtio.ko.zst: kernel/virtio_ring.ko.zst\n\
        kernel/virtio_ring.ko.zst:\n\
        kernel/virtio-blk.ko.zst: kernel/virtio.ko.zst kernel/virtio_ring.ko.zst\n\
        kernel/erofs.ko.zst: kernel/libcrc32c.ko.zst\n\
        kernel/libcrc32c.ko.zst:\n";

    #[test]
    fn a_module_comes_after_those_that_it_needs() {
        let tree = Tree::parse(DEP, "", "");
        let mut order = Vec::new();
        assert!(tree.add("virtio_blk", &mut order));
        assert_eq!(order, ["virtio_ring", "virtio", "virtio_blk"]);
    }

    #[test]
    fn what_is_built_in_is_there_and_not_loaded() {
        let tree = Tree::parse(DEP, "", "kernel/fs/ext4/ext4.ko\n");
        let mut order = Vec::new();
        assert!(tree.add("ext4", &mut order));
        assert!(!tree.add("xfs", &mut order));
        assert!(order.is_empty());
    }

    #[test]
    fn soft_dependencies_are_loaded_when_they_exist() {
        let dep = format!("{DEP}kernel/crc32c_intel.ko.zst:\n");
        let soft = "# a comment\nsoftdep libcrc32c pre: crc32c crc32c-intel\n";
        let tree = Tree::parse(&dep, soft, "");
        let mut order = Vec::new();
        assert!(tree.add("erofs", &mut order));
        assert_eq!(order, ["crc32c_intel", "libcrc32c", "erofs"]);
    }
}
