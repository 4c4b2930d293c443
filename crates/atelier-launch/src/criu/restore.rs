//! Bringing processes back: the launcher has made everything around them.

use std::fs::{File, Permissions};
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns};
use nix::unistd::Pid;

use super::save::{IMAGES, NOTHING, PROGRAM, SAVED, Saved, explain};
use super::{Criu, Run, open_dir, usual};
use crate::error::{At as _, LaunchError, Result};

/// What lies on this machine, opened before the powers for it are gone.
pub(crate) struct Prepared {
    criu: Criu,
    saved: Saved,
    images: OwnedFd,
    nothing: OwnedFd,
    program: File,
    output: File,
    said: File,
    said_at: PathBuf,
}

impl Prepared {
    /// Opens what was saved in `state`, for the sandbox with the folder `dir`.
    pub(crate) fn open(criu: &Criu, state: &Path, dir: &Path) -> Result<Self> {
        let file = |path: PathBuf| File::open(&path).at("open", &path);
        let mut text = String::new();
        let path = state.join(SAVED);
        file(path.clone())?.read_to_string(&mut text).at("read", &path)?;
        let saved = serde_json::from_str(&text)
            .map_err(|error| LaunchError::new("read what was saved", error.to_string()))?;
        let mut append = File::options();
        append.create(true).append(true);
        let log = dir.join("log");
        // CRIU, as the sandbox's root, opens it anew; the folder around it lets nobody in.
        let opened = append.open(&log).at("open", &log)?;
        opened.set_permissions(Permissions::from_mode(0o666)).at("set the mode of", &log)?;
        let said_at = dir.join("criu.log");
        Ok(Self {
            criu: criu.clone(),
            saved,
            images: open_dir(&state.join(IMAGES))?,
            nothing: open_dir(&state.join(NOTHING))?,
            program: file(state.join(PROGRAM))?,
            output: opened,
            said: File::create(&said_at).at("make", &said_at)?,
            said_at,
        })
    }

    /// Brings them back around this PID 1, whose socket the guest serves at. `many` is there in a
    /// user namespace, and says whether there is anybody but root in it.
    pub(crate) fn restore(&self, init: Pid, listener: &OwnedFd, many: Option<bool>) -> Result<()> {
        let mounts = enter(init)?;
        let mut words = vec!["restore".to_owned(), "--restore-detached".to_owned()];
        words.extend(usual(&self.images, &self.nothing));
        // The guest's program and log are handed over, and are others than those that it had.
        words.push("--skip-file-rwx-check".into());
        if many.is_some() {
            // It is root, but of the sandbox's users only.
            words.push("--unprivileged".into());
        }
        let mut inherited: Vec<(BorrowedFd<'_>, &str)> = vec![
            (self.program.as_fd(), &self.saved.program),
            (listener.as_fd(), &self.saved.listener),
        ];
        inherited.extend(self.saved.logs.iter().map(|name| (self.output.as_fd(), name.as_str())));
        for (fd, name) in &inherited {
            let inherit = format!("fd[{}]:{name}", fd.as_raw_fd());
            words.extend(["--inherit-fd".into(), inherit]);
        }
        let mut keep = vec![self.images.as_fd(), self.nothing.as_fd()];
        keep.extend(inherited.iter().map(|(fd, _)| *fd));
        let run = Run {
            words,
            mounts: &mounts,
            keep,
            known: None,
            owner: None,
            log: self.said.as_fd(),
            pid: Some(self.saved.free),
            root: many,
        };
        self.criu
            .run("bring the processes back", &run)
            .map_err(|error| explain(error, &self.said_at))?;
        let _ = std::fs::remove_file(&self.said_at);
        Ok(())
    }
}

fn enter(init: Pid) -> Result<OwnedFd> {
    let open = |name: &str| {
        let path = PathBuf::from(format!("/proc/{init}/ns/{name}"));
        File::open(&path).map(OwnedFd::from).at("open", &path)
    };
    let mounts = open("mnt")?;
    let others = [
        ("net", CloneFlags::CLONE_NEWNET),
        ("ipc", CloneFlags::CLONE_NEWIPC),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("cgroup", CloneFlags::CLONE_NEWCGROUP),
    ];
    for (name, kind) in others {
        setns(open(name)?, kind).step("enter the sandbox's namespaces")?;
    }
    Ok(mounts)
}
