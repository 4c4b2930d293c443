//! What the jailer does with its arguments, as `src/jailer/src/env.rs` of Firecracker's repository
//! does it, and in that order.

use std::ffi::CString;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::libc;

/// The devices that a jail has.
const DEVICES: [(&str, u32, u32); 3] =
    [("dev/net/tun", 10, 200), ("dev/kvm", 10, 232), ("dev/urandom", 1, 9)];

pub struct Jail {
    id: String,
    program: PathBuf,
    uid: u32,
    gid: u32,
    base: PathBuf,
    /// The monitor's arguments.
    pub rest: Vec<String>,
}

impl Jail {
    pub fn read(words: &[&str]) -> Self {
        let mut words = words.iter();
        let (mut id, mut program, mut uid, mut gid, mut base) = (None, None, None, None, None);
        let mut rest = Vec::new();
        while let Some(&flag) = words.next() {
            if flag == "--" {
                rest = words.by_ref().map(|&word| word.to_owned()).collect();
                break;
            }
            let value = *words.next().unwrap_or_else(|| panic!("{flag} needs a value"));
            match flag {
                "--id" => id = Some(value.to_owned()),
                "--exec-file" => program = Some(fs::canonicalize(value).unwrap()),
                "--uid" => uid = Some(value.parse().unwrap()),
                "--gid" => gid = Some(value.parse().unwrap()),
                "--chroot-base-dir" => base = Some(fs::canonicalize(value).unwrap()),
                "--resource-limit" => {
                    let (name, number) = value.split_once('=').unwrap();
                    assert!(["fsize", "no-file"].contains(&name), "{value}");
                    number.parse::<u64>().unwrap();
                }
                other => panic!("Found argument '{other}' which wasn't expected"),
            }
        }
        let (id, program) = (id.unwrap(), program.unwrap());
        rest.splice(0..0, ["--id".to_owned(), id.clone()]);
        let (uid, gid, base) = (uid.unwrap(), gid.unwrap(), base.unwrap());
        Self { id, program, uid, gid, base, rest }
    }

    pub fn root(&self) -> PathBuf {
        self.base.join(self.program.file_name().unwrap()).join(&self.id).join("root")
    }

    /// Everything up to the moment when the monitor takes over.
    pub fn make(&self) {
        let root = self.root();
        fs::create_dir_all(&root).unwrap();
        let name = self.program.file_name().unwrap();
        let copy = root.join(name);
        assert!(!copy.is_symlink(), "O_NOFOLLOW");
        fs::copy(&self.program, &copy).unwrap();
        for folder in ["", "dev", "dev/net", "run"] {
            let folder = root.join(folder);
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).unwrap();
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
            chown(&folder, Some(self.uid), Some(self.gid)).unwrap();
        }
        for (device, major, minor) in DEVICES {
            self.device(&root.join(device), libc::makedev(major, minor));
        }
        let mut pid = copy.into_os_string();
        pid.push(".pid");
        let mut pid = fs::File::create_new(pid).expect("a jail is used once");
        write!(pid, "{}", std::process::id()).unwrap();
    }

    fn device(&self, path: &Path, number: libc::dev_t) {
        let name = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: the name is NUL-terminated and lives through the call.
        let made = unsafe { libc::mknod(name.as_ptr(), libc::S_IFCHR | 0o600, number) };
        assert_eq!(made, 0, "mknod {}: {}", path.display(), std::io::Error::last_os_error());
        chown(path, Some(self.uid), Some(self.gid)).unwrap();
    }

    /// From here on only what lies in the jail is there, and only for the jail's user.
    pub fn enter(&self) {
        nix::unistd::chroot(&self.root()).unwrap();
        std::env::set_current_dir("/").unwrap();
        nix::unistd::setgroups(&[]).unwrap();
        let (uid, gid) = (self.uid.into(), self.gid.into());
        nix::unistd::setresgid(gid, gid, gid).unwrap();
        nix::unistd::setresuid(uid, uid, uid).unwrap();
    }
}
