//! The jailer: a folder as root, a user of its own, a control group, a network namespace. Its
//! options are those of `docs/jailer.md` of Firecracker's repository.

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};

use super::Firecracker;
use crate::VmError;
use crate::command::program;
use crate::error::Result;
use crate::files;

/// A machine's jail. Only root can make one.
#[derive(Debug, Clone)]
pub struct Jail {
    /// The jailer's binary.
    pub jailer: PathBuf,
    /// The machine's name: letters, digits and hyphens, at most 64.
    pub id: String,
    /// Whom the monitor runs as.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// The folder of all jails.
    pub base: PathBuf,
    /// A network namespace to enter.
    pub netns: Option<PathBuf>,
    /// The version of control groups, 1 or 2, and the parent, relative to the root of them. Without
    /// it the monitor stays in the groups that the jailer was started in.
    pub cgroup: Option<(u8, PathBuf)>,
    /// Settings of the control group, such as `memory.max=268435456`. Without any, in version 2, the
    /// monitor is put into the parent itself.
    pub cgroup_settings: Vec<String>,
    /// How many files it may have open.
    pub open_files: u32,
    /// Whether it has a process namespace of its own.
    pub new_pid_ns: bool,
}

impl Jail {
    /// A jail for the machine `id` below `base`, with nothing but a user of its own.
    ///
    /// # Errors
    /// When there is no jailer, or the name is none that it takes.
    pub fn new(
        configured: Option<&Path>,
        id: &str,
        owner: (u32, u32),
        base: &Path,
    ) -> Result<Self> {
        let jailer = program("jailer", configured).ok_or_else(|| VmError::Missing {
            what: "Firecracker's jailer",
            why: "no program jailer".to_owned(),
            remedy: super::RELEASES.to_owned(),
        })?;
        let fits = !id.is_empty() && id.len() <= 64;
        if !fits || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(VmError::Refused {
                monitor: "Firecracker's jailer",
                request: format!("the name {id:?}"),
                why: "names have letters, digits and hyphens, at most 64".to_owned(),
            });
        }
        Ok(Self {
            jailer,
            id: id.to_owned(),
            uid: owner.0,
            gid: owner.1,
            base: base.to_owned(),
            netns: None,
            cgroup: None,
            cgroup_settings: Vec::new(),
            open_files: 2048,
            new_pid_ns: false,
        })
    }

    /// The command that starts the monitor in the jail.
    #[must_use]
    pub fn command(&self, firecracker: &Firecracker) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec![self.jailer.clone().into()];
        let mut option = |flag: &str, value: OsString| words.extend([flag.into(), value]);
        option("--id", self.id.clone().into());
        option("--exec-file", firecracker.program().into());
        option("--uid", self.uid.to_string().into());
        option("--gid", self.gid.to_string().into());
        option("--chroot-base-dir", self.base.clone().into());
        if let Some((version, parent)) = &self.cgroup {
            option("--cgroup-version", version.to_string().into());
            option("--parent-cgroup", parent.clone().into());
        }
        for setting in &self.cgroup_settings {
            option("--cgroup", setting.clone().into());
        }
        if let Some(netns) = &self.netns {
            option("--netns", netns.clone().into());
        }
        option("--resource-limit", format!("no-file={}", self.open_files).into());
        if self.new_pid_ns {
            words.push("--new-pid-ns".into());
        }
        words.extend(["--", "--api-sock", super::SOCKET].map(OsString::from));
        words
    }

    /// What the monitor sees as `/`.
    #[must_use]
    pub fn root(&self, firecracker: &Firecracker) -> PathBuf {
        let name = firecracker.program().file_name().unwrap_or_default();
        self.base.join(name).join(&self.id).join("root")
    }

    /// Puts a file into the jail that the monitor only reads, before it starts: as a link where it
    /// can be one, else as a copy. Anybody may read it then who reaches it, which is up to the
    /// folders that it lies in.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn put(&self, firecracker: &Firecracker, file: &Path, name: &str) -> Result<()> {
        let to = self.place(firecracker, name)?;
        if std::fs::hard_link(file, &to).is_err() {
            files::copy_sparse(file, &to)?;
        }
        let failed = || VmError::io("opening to the jail", &to);
        let mode = std::fs::metadata(&to).map_err(failed())?.permissions().mode();
        if mode & 0o004 != 0 {
            return Ok(());
        }
        let open = Permissions::from_mode(mode & 0o7777 | 0o444);
        std::fs::set_permissions(&to, open).map_err(failed())
    }

    /// Gives a file to the jail's user, and links it into the jail. It must be this machine's alone,
    /// and on the filesystem of the jail.
    ///
    /// # Errors
    /// When it can't be linked or given away.
    pub fn lend(&self, firecracker: &Firecracker, file: &Path, name: &str) -> Result<()> {
        let to = self.place(firecracker, name)?;
        std::fs::hard_link(file, &to).map_err(VmError::io("linking", &to))?;
        lchown(&to, Some(self.uid), Some(self.gid)).map_err(VmError::io("giving away", &to))
    }

    /// Makes an empty file that the jail's user owns.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn touch(&self, firecracker: &Firecracker, name: &str) -> Result<()> {
        let to = self.place(firecracker, name)?;
        std::fs::File::create_new(&to).map_err(VmError::io("making", &to))?;
        lchown(&to, Some(self.uid), Some(self.gid)).map_err(VmError::io("giving away", &to))
    }

    fn place(&self, firecracker: &Firecracker, name: &str) -> Result<PathBuf> {
        let root = self.root(firecracker);
        files::make_private(&root)?;
        Ok(root.join(name))
    }
}
