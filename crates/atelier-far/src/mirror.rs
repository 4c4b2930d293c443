//! The mirror of a project on a host: a folder that has what the project has. Only what changed
//! travels, by rsync's own protocol. A transfer that was cut off leaves each file as it was or as it is;
//! the next one completes it.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use crate::error::{FarError, Result, last_words};
use crate::{Far, quote};

/// rsync(1): some files vanished before they could be transferred. The next transfer sees it.
const VANISHED: i32 = 24;

/// A project of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Project {
    /// Its top folder.
    pub root: PathBuf,
    /// What of it an environment does not get, as paths below the root: it does not travel either.
    pub ignored: Vec<Vec<u8>>,
    /// Its repository, when it lies outside: the folder of this work tree, and the common one.
    pub repository: Option<(PathBuf, PathBuf)>,
}

/// What a transfer did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Files whose contents travelled.
    pub files: usize,
    /// Paths that were removed there.
    pub removed: usize,
}

/// Where it lies. Not in Atelier's home, which no environment may see.
pub(crate) fn place(home: &str, id: &str, project: &Path) -> PathBuf {
    let hash = Sha256::digest(project.as_os_str().as_bytes());
    let hash: String = hash.iter().take(8).map(|b| format!("{b:02x}")).collect();
    let name = project.file_name().unwrap_or_else(|| "project".as_ref());
    PathBuf::from(format!("{home}-mirrors")).join(id).join(hash).join(name)
}

impl Far {
    /// Makes the mirror what the project is now.
    ///
    /// # Errors
    /// [`FarError::Missing`] without rsync; [`FarError::DiskFull`]; those of a connection.
    pub fn send(&self, project: &Project) -> Result<Sent> {
        if !self.facts.rsync {
            return Err(FarError::Missing { host: self.ssh.host().name.clone(), program: "rsync" });
        }
        // One at a time: two would each remove what the other brings.
        let root = std::fs::File::open(&project.root)
            .map_err(|e| FarError::here("read", &project.root, e))?;
        flock(&root, FlockOperation::LockExclusive)
            .map_err(|e| FarError::here("locked", &project.root, e.into()))?;
        let mirror = self.mirror(&project.root);
        self.prepare(&mirror)?;
        let mut ignored = project.ignored.clone();
        if project.repository.is_some() {
            ignored.push(b".git".to_vec());
        }
        let mut sent =
            self.transfer(&project.root, &mirror, &["--delete", "--delete-excluded"], &ignored)?;
        if let Some((own, common)) = &project.repository {
            sent.add(self.repository(own, common, &mirror)?);
        }
        Ok(sent)
    }

    /// A linked work tree's repository becomes one of the mirror's own: the common folder, with this
    /// work tree's head and index.
    fn repository(&self, own: &Path, common: &Path, mirror: &Path) -> Result<Sent> {
        let mirror = mirror.join(".git");
        let elsewhere: Vec<Vec<u8>> =
            ["worktrees", "HEAD", "index", "commondir", "gitdir", "logs/HEAD"]
                .map(|path: &str| path.as_bytes().to_vec())
                .into();
        let mut sent = self.transfer(common, &mirror, &["--delete"], &elsewhere)?;
        let pointers = [b"commondir".to_vec(), b"gitdir".to_vec()];
        sent.add(self.transfer(own, &mirror, &[], &pointers)?);
        Ok(sent)
    }

    fn prepare(&self, mirror: &Path) -> Result<()> {
        let path = quote::shell(&mirror.to_string_lossy());
        let script = format!("umask 077; mkdir -p {path} {path}.tmp");
        let ran = self.ssh.run(&script, Stdio::null())?;
        if ran.code != Some(0) {
            return Err(FarError::there(&self.ssh.host().name, "making the mirror", &ran.stderr));
        }
        Ok(())
    }

    /// `ignored` are paths below `from`.
    fn transfer(&self, from: &Path, to: &Path, more: &[&str], ignored: &[Vec<u8>]) -> Result<Sent> {
        let mirror = if to.ends_with(".git") { to.parent().unwrap_or(to) } else { to };
        let mut temporary = OsString::from("--temp-dir=");
        temporary.push(mirror);
        temporary.push(".tmp");
        let mut arguments: Vec<OsString> = FLAGS.iter().map(OsString::from).collect();
        arguments.extend(more.iter().map(OsString::from));
        // Half files lie beside the mirror, where no environment is made of them.
        arguments.extend([temporary, "--from0".into(), "--exclude-from=-".into()]);
        arguments.extend([slash(from), self.remote(to)]);
        let mut child = self.ssh.rsync(&arguments, Stdio::piped())?;
        if let Some(mut stdin) = child.stdin.take() {
            for path in ignored {
                // One that ended says why below.
                let _ = stdin.write_all(&[quote::pattern(path).as_slice(), b"\0"].concat());
            }
        }
        self.finish(child, "copying the project").map(|text| count(&text))
    }

    /// Brings a folder of the host here; what is there already is compared, what is not there any more
    /// goes.
    ///
    /// # Errors
    /// As [`Far::send`].
    pub fn fetch(&self, from: &Path, to: &Path) -> Result<()> {
        let mut arguments: Vec<OsString> = FLAGS.iter().map(OsString::from).collect();
        arguments.extend(["--delete".into(), self.remote(from), slash(to)]);
        let child = self.ssh.rsync(&arguments, Stdio::null())?;
        self.finish(child, "fetching the changes").map(|_| ())
    }

    fn remote(&self, path: &Path) -> OsString {
        let mut remote = OsString::from(&self.ssh.host().ssh);
        remote.push(":");
        remote.push(slash(path));
        remote
    }

    fn finish(&self, mut child: Child, doing: &'static str) -> Result<Vec<u8>> {
        let failed = |source| FarError::Program { program: "rsync", source };
        let mut errors = child.stderr.take();
        let reader = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = errors.as_mut().map(|e| e.read_to_end(&mut text));
            text
        });
        let done = child.wait_with_output().map_err(failed)?;
        let said = reader.join().unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let host = self.ssh.host();
        match done.status.code() {
            Some(0 | VANISHED) => Ok(done.stdout),
            Some(255) => Err(FarError::of_ssh(&host.name, &host.ssh, &said)),
            _ => Err(FarError::there(&host.name, doing, &cause(&said))),
        }
    }
}

impl Sent {
    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.removed += other.removed;
    }
}

/// Files belong to whoever connects; devices and sockets do not travel; times count to the
/// nanosecond, so that a file which changed twice in a second is not missed.
const FLAGS: &[&str] = &[
    "-rlptH",
    "--no-devices",
    "--no-specials",
    "--modify-window=-1",
    "--protect-args",
    "--out-format=%i",
];

/// The folder's contents, not the folder.
fn slash(path: &Path) -> OsString {
    let mut path = path.as_os_str().to_owned();
    path.push("/");
    path
}

/// rsync's itemised changes (rsync(1), `--itemize-changes`): `<f` is a file that was sent.
fn count(lines: &[u8]) -> Sent {
    let mut sent = Sent::default();
    for line in lines.split(|b| *b == b'\n') {
        sent.files += usize::from(line.starts_with(b"<f"));
        sent.removed += usize::from(line.starts_with(b"*deleting"));
    }
    sent
}

/// The line that says why: rsync's last ones only say that there was something.
fn cause(said: &str) -> String {
    let why = said.lines().find(|line| line.contains("failed:") || line.contains("No space left"));
    why.map_or_else(|| last_words(said), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_project_of_each_machine_has_its_own_mirror() {
        let one = place("/h/.atelier", "id", Path::new("/a/shop"));
        assert!(one.starts_with("/h/.atelier-mirrors/id") && one.ends_with("shop"), "{one:?}");
        assert_ne!(one, place("/h/.atelier", "id", Path::new("/b/shop")));
        assert_ne!(one, place("/h/.atelier", "other", Path::new("/a/shop")));
    }

    #[test]
    fn what_travelled_is_counted() {
        let lines = b"<f+++++++++\ncd+++++++++\n<f.st......\n*deleting  \n.f..t......\n";
        assert_eq!(count(lines), Sent { files: 2, removed: 1 });
    }

    #[test]
    fn the_cause_stands_before_the_summary() {
        let said = "rsync: [receiver] write failed on \"/m/a\": No space left on device (28)\n\
                    rsync error: error in file IO (code 11) at receiver.c(381)\n";
        assert!(cause(said).contains("No space left"));
    }
}
