//! The code interpreter: its template built in a sandbox, as users do, and E2B's SDK for it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use super::sdk::{Service, folder, ours, python, succeed};

const SDK: &str = "e2b-code-interpreter==2.11.5";
const PACKAGES: &str =
    "--include=sudo,curl,git,ca-certificates,python3,python3-venv,ncurses-bin,procps";
/// Authorities that this machine trusts, where Debian and its like keep them.
const AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";

#[test]
fn code_runs_in_kept_contexts() {
    let python = python(&[SDK]);
    let service = Service::start();
    let root = debian();
    service.lab.ok(&["image", "import", root.to_str().unwrap(), "debian"]);
    let preset = ["template", "build", "code-interpreter-v1", "--preset", "code-interpreter"];
    let mut build = service.lab.command(&[&preset[..], &["--image", "debian"]].concat());
    // The index that this machine installs from is the one for the sandbox as well.
    for (name, value) in env::vars().filter(|(name, _)| name.starts_with("PIP_")) {
        build.arg("--env").arg(format!("{name}={value}"));
    }
    succeed(&mut build, "is PyPI reachable from a sandbox?");
    let said = succeed(service.by_url(&python).arg(ours("sdk/code.py")), SDK);
    assert_eq!(said.trim(), "walked");
    service.left_nothing();
}

/// The root of a small Debian with Python, made once.
fn debian() -> PathBuf {
    let home = folder("debian-python", |home| {
        let _ = fs::remove_dir_all(home.join("root"));
        let mut make = Command::new("debootstrap");
        make.args(["--variant=minbase", PACKAGES, "bookworm"]).arg(home.join("root"));
        succeed(&mut make, "install debootstrap; are Debian's packages reachable?");
    });
    let root = home.join("root");
    let ours = Path::new("/").join(AUTHORITIES);
    if ours.exists() {
        fs::copy(ours, root.join(AUTHORITIES)).unwrap();
    }
    root
}
