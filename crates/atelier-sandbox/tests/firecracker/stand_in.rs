//! The programs `firecracker` and `jailer` of these tests: scripts that execute this very test
//! binary, which then plays the part. It takes the arguments that the real ones take, and no others.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::libc;

use crate::jailer;
use crate::machine::Machine;
use crate::peer::Peer;

/// The test that plays a part when it is told to by [`ROLE`].
const PART: &str = "stand_in::a_stand_in_takes_the_arguments_of_the_real_one_and_no_others";
const ROLE: &str = "STAND_IN_ROLE";
const WORDS: &str = "STAND_IN_WORDS";
const GUESTS: &str = "STAND_IN_GUESTS";

/// Writes a program that plays a part into `folder`. The guest of its machines is in `guests`.
pub fn install(folder: &Path, role: &str, guests: &Path) {
    let me = std::env::current_exe().unwrap();
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && {{ echo '{version}'; exit 0; }}\n\
         {ROLE}={role} {GUESTS}='{guests}' {WORDS}=\"$(printf '%s\\n' \"$@\")\" \
         exec '{me}' --exact {PART} --nocapture\n",
        version = if role == "jailer" { "Jailer v1.17.0" } else { "Firecracker v1.17.0" },
        guests = guests.display(),
        me = me.display(),
    );
    let path = folder.join(role);
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Starts a part that no program has, with one word. It ends with this process.
pub fn start(role: &str, word: &Path) -> Child {
    let mut part = Command::new(std::env::current_exe().unwrap());
    part.args(["--exact", PART, "--nocapture"]);
    part.env(ROLE, role).env(WORDS, word).env(GUESTS, "/");
    if role == "user" {
        let (kvm, id) = (fs::metadata("/dev/kvm").unwrap().gid(), crate::user::ID);
        // SAFETY: the calls are safe between fork and exec, and take numbers.
        unsafe {
            part.pre_exec(move || {
                let changed = libc::setgroups(1, &raw const kvm) == 0
                    && libc::setresgid(id, id, id) == 0
                    && libc::setresuid(id, id, id) == 0;
                if changed { Ok(()) } else { Err(std::io::Error::last_os_error()) }
            });
        }
    } else {
        part.stdout(Stdio::null()).stderr(Stdio::null());
    }
    // SAFETY: the call is safe between fork and exec, and takes numbers.
    unsafe {
        part.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    part.spawn().unwrap()
}

/// In place of Firecracker: one whose machines never say a word.
pub fn install_dumb(folder: &Path) {
    let path = folder.join("firecracker");
    let script = fs::read_to_string(&path).unwrap();
    fs::write(&path, script.replace("--nocapture", "--nocapture >/dev/null")).unwrap();
}

#[test]
fn a_stand_in_takes_the_arguments_of_the_real_one_and_no_others() {
    if let Ok(role) = std::env::var(ROLE) {
        return play(&role);
    }
    let folder = tempfile::tempdir().unwrap();
    install(folder.path(), "firecracker", Path::new("/"));
    let program = folder.path().join("firecracker");
    let version = Command::new(&program).arg("--version").output().unwrap();
    assert_eq!(version.stdout, b"Firecracker v1.17.0\n");
    let refused = Command::new(&program).args(["--id", "a", "--socket", "s"]).output().unwrap();
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("Arguments parsing error"), "{said}");
}

fn play(role: &str) {
    let words = std::env::var(WORDS).unwrap();
    let words: Vec<&str> = words.lines().collect();
    let guests = PathBuf::from(std::env::var_os(GUESTS).unwrap());
    match role {
        "control" => crate::life::everything(Path::new(words[0])),
        "user" => return crate::user::lives(Path::new(words[0])),
        _ => {}
    }
    let (dir, socket, machine) = if role == "jailer" {
        let jail = jailer::Jail::read(&words);
        jail.make();
        let rest: Vec<&str> = jail.rest.iter().map(String::as_str).collect();
        let socket = socket(&rest);
        // Before the jail is shut: it is a machine's hardware, which no jail keeps out.
        let machine = Machine::new(&jail.root(), &guests);
        jail.enter();
        (PathBuf::from("/"), socket, machine)
    } else {
        let (dir, socket) = (std::env::current_dir().unwrap(), socket(&words));
        let machine = Machine::new(&dir, &guests);
        (dir, socket, machine)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let _peer = Peer::with(&dir, &socket, Some(Box::new(machine)));
        std::future::pending::<()>().await;
    });
}

/// The API's socket, from the arguments that Firecracker is started with.
fn socket(words: &[&str]) -> String {
    let ["--id", id, "--api-sock", socket] = words else {
        panic!("Arguments parsing error: {words:?}");
    };
    assert!(id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{id}");
    (*socket).to_owned()
}
