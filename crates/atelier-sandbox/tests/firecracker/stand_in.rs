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

const ROLE: &str = "STAND_IN_ROLE";
const WORDS: &str = "STAND_IN_WORDS";
const GUESTS: &str = "STAND_IN_GUESTS";

/// Writes a program that plays a part into `folder`. The guest of its machines is in `guests`.
pub fn install(folder: &Path, role: &str, guests: &Path) {
    let me = std::env::current_exe().unwrap();
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && {{ echo '{version}'; exit 0; }}\n\
         {ROLE}={role} {GUESTS}='{guests}' {WORDS}=\"$(printf '%s\\n' \"$@\")\" \
         exec '{me}' --exact stand_in::plays_its_part --ignored --nocapture\n",
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
    part.args(["--exact", "stand_in::plays_its_part", "--ignored", "--nocapture"]);
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
#[ignore = "not a test: what the stand-ins for firecracker and jailer execute"]
fn plays_its_part() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let words = std::env::var(WORDS).unwrap();
    let words: Vec<&str> = words.lines().collect();
    let guests = PathBuf::from(std::env::var_os(GUESTS).unwrap());
    match role.as_str() {
        "control" => crate::life::everything(Path::new(words[0])),
        "user" => return crate::user::lives(Path::new(words[0])),
        _ => {}
    }
    let (dir, words, machine) = match role.as_str() {
        "jailer" => {
            let jail = jailer::Jail::read(&words);
            jail.make();
            // Before the jail is shut: it is a machine's hardware, which no jail keeps out.
            let machine = Machine::new(&jail.root(), &guests);
            let words = jail.rest.clone();
            jail.enter();
            (PathBuf::from("/"), words, machine)
        }
        _ => {
            let dir = std::env::current_dir().unwrap();
            let words = words.iter().map(|&word| word.to_owned()).collect();
            let machine = Machine::new(&dir, &guests);
            (dir, words, machine)
        }
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ["--id", id, "--api-sock", socket] = words[..] else {
        panic!("Arguments parsing error: {words:?}");
    };
    assert!(id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{id}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let _peer = Peer::with(&dir, socket, Some(Box::new(machine)));
        std::future::pending::<()>().await;
    });
}
