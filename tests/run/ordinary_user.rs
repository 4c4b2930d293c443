//! The same without root: namespaces of an ordinary user.
//!
//! These tests become the user 65534 in a mount namespace of their own, where `/dev/net/tun` may be
//! opened by everybody, as on machines with udev.

use std::process::Command;

use crate::support::{Done, Lab};

/// Runs a shell script as the user, with the binary as `$A`.
fn as_user(lab: &Lab, script: &str) -> Done {
    with_tun_mode(lab, "666", script)
}

/// The same where the TUN device has other permissions.
fn with_tun_mode(lab: &Lab, mode: &str, script: &str) -> Done {
    let outer = "chown -R 65534:65534 \"$HOME/..\"
        mknod $HOME/tun c 10 200 && chmod $MODE $HOME/tun && mount --bind $HOME/tun /dev/net/tun
        cp $A $HOME/atelier
        exec setpriv --reuid=65534 --regid=65534 --clear-groups sh -uc \"$SCRIPT\"";
    let template = lab.command(&[""; 0]);
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--propagation", "private", "sh", "-euc", outer]);
    shell.env_clear().current_dir(&lab.project);
    for (key, value) in template.get_envs() {
        shell.env(key, value.unwrap());
    }
    let full = format!(
        "A=$HOME/atelier; trap '$A env rm --yes --force $($A env ls -q) >/dev/null 2>&1; $A stop >/dev/null 2>&1' EXIT\n{script}"
    );
    shell.env("A", template.get_program()).env("SCRIPT", full).env("MODE", mode);
    Done::of(shell.output().unwrap())
}

#[test]
fn the_main_job_works() {
    let lab = Lab::new();
    std::fs::create_dir(lab.user_home().join(".ssh")).unwrap();
    std::fs::write(lab.user_home().join(".ssh/id"), "SECRET").unwrap();
    let done = as_user(
        &lab,
        "$A run a -- sh -c 'id -u; cat src/app.txt; echo four >> src/app.txt; cat ~/.ssh/id 2>/dev/null; \
             grep CapEff /proc/self/status; exit 3' || echo code $?
         $A env diff a --name-only
         $A env apply a && tail -1 src/app.txt",
    );
    let wanted = "65534\none\ntwo\nthree\nCapEff:\t0000000000000000\ncode 3\nsrc/app.txt\n";
    assert!(done.stdout.starts_with(wanted), "{done:?}");
    assert!(done.stdout.ends_with("four\n"), "{done:?}");
}

#[test]
fn an_environment_is_synced_and_made_anew() {
    let lab = Lab::new();
    let done = as_user(
        &lab,
        "$A run a -- sh -c 'echo mine > mine.txt; echo x > /var/tmp/x'
         sed -i s/three/THREE/ src/app.txt; echo new > new.txt
         $A env sync a; $A run a -- cat new.txt src/app.txt
         $A env diff a --name-only
         $A env recreate a --force; $A run a -- sh -c 'ls; ls /var/tmp/x'",
    );
    let wanted = "new.txt\nsrc/app.txt\n2 files changed in the environment\nnew\none\ntwo\nTHREE\nmine.txt\n\
                  made a of shop anew\nREADME.md\nnew.txt\nsrc\n";
    assert_eq!(done.stdout, wanted, "{}", done.stderr);
}

#[test]
fn two_environments_listen_on_one_port_and_the_host_keeps_its_files() {
    let lab = Lab::new();
    let done = as_user(
        &lab,
        "serve='import socket,time; s=socket.create_server((\"\",8000)); print(\"up\",flush=True); time.sleep(2)'
         $A run a -- python3 -c \"$serve\" > a.out & $A run b -- python3 -c \"$serve\" > b.out & wait
         cat a.out b.out
         $A run a -- sh -c 'rm -rf ~/* ; ls -A ~ | wc -l'; ls $HOME/atelier",
    );
    assert!(done.stdout.starts_with("up\nup\n"), "{done:?}");
    assert!(done.stdout.trim_end().ends_with("/user/atelier"), "{done:?}");
}

#[test]
fn an_environment_that_cannot_start_is_taken_back_so_that_the_hint_works() {
    let lab = Lab::new();
    // Without a TUN device there is no open network, and the error names the way out.
    let done = with_tun_mode(
        &lab,
        "000",
        "$A run a -- true && exit 1; test -z \"$($A env ls -q)\"
         $A run a --network none -- echo works",
    );
    assert!(done.stderr.contains("--network none"), "{done:?}");
    assert_eq!(done.stdout, "works\n", "{done:?}");
}

#[test]
fn a_limit_that_needs_root_is_refused_and_nothing_is_made() {
    let lab = Lab::new();
    let done = as_user(&lab, "$A run a --disk 64MiB -- true; code=$?; $A env ls -q; exit $code");
    done.fails(8, &["only root may mount", "hint:"]);
    assert_eq!(done.stdout, "");
}
