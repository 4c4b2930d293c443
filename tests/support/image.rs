//! The image of the tests: BusyBox and two users, 2 MB.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Lab;

/// A static program: it runs in a root without a C library.
pub const BUSYBOX: &str = "/bin/busybox";

/// The user inside that is not root.
pub const USER: u32 = 1000;

impl Lab {
    /// With the image `box`, which sandboxes start from that name nothing else.
    pub fn with_image() -> Self {
        let lab = Self::new();
        lab.import_box();
        lab
    }

    /// With the image `box`, where `runtime` must work.
    pub fn with_runtime(runtime: &str) -> Self {
        let lab = Self::with_image();
        let all = lab.json(&["runtime", "ls"]);
        let one = all.as_array().unwrap().iter().find(|one| one["name"] == runtime).unwrap();
        assert!(
            one["available"] == true,
            "{runtime} does not work here; scripts/test installs it: {one}"
        );
        lab
    }

    /// The same with `gvisor`, by a `runsc` that saves what runs.
    pub fn with_runsc_that_saves() -> Self {
        let program = std::env::var_os("ATELIER_TEST_RUNSC").map(PathBuf::from);
        let program =
            program.expect("ATELIER_TEST_RUNSC names no runsc: scripts/test installs one");
        let path = std::env::var("PATH").unwrap();
        let mut lab = Self::new();
        lab.variables.push(("PATH", format!("{}:{path}", program.parent().unwrap().display())));
        lab.import_box();
        let all = lab.json(&["runtime", "ls"]);
        let one = all.as_array().unwrap().iter().find(|one| one["name"] == "gvisor").unwrap();
        let fits = one["available"] == true && one["memory_snapshots"] == true;
        assert!(fits, "{} does not do: {one}", program.display());
        lab
    }

    /// Imports the image `box`.
    pub fn import_box(&self) {
        let root = self.image_root();
        self.ok(&["image", "import", root.to_str().unwrap(), "box"]);
    }

    /// The root of the image `box`, as a folder.
    pub fn image_root(&self) -> PathBuf {
        let root = self.user_home().join("box");
        if !root.exists() {
            make(&root);
        }
        root
    }
}

fn make(root: &Path) {
    assert!(Path::new(BUSYBOX).exists(), "{BUSYBOX} is missing: apt-get install busybox-static");
    let folder = |name: &str, mode: u32| {
        let folder = root.join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
    };
    folder("", 0o755);
    for name in ["bin", "etc", "dev", "proc", "sys", "run", "srv", "var/log", "home/user"] {
        folder(name, 0o755);
    }
    folder("root", 0o700);
    folder("tmp", 0o1777);
    let busybox = root.join("bin/busybox");
    fs::copy(BUSYBOX, &busybox).unwrap();
    let applets = Command::new(&busybox).arg("--list").output().unwrap().stdout;
    for applet in String::from_utf8(applets).unwrap().lines().filter(|name| *name != "busybox") {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    chown(root.join("home/user"), Some(USER), Some(USER)).unwrap();
    let passwd = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n";
    fs::write(root.join("etc/passwd"), passwd).unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nuser:x:1000:\n").unwrap();
}
