//! `atelier sandbox create`, and what a sandbox begins with.

use crate::support::{Lab, Traces};

#[test]
fn a_sandbox_is_made_used_and_removed_without_a_trace() {
    let lab = Lab::with_image();
    let before = Traces::of(&lab.home());
    let id = lab.ok(&["sandbox", "create", "box"]).trim().to_owned();
    assert_eq!(
        lab.sh(&id, "id -u; cat /etc/passwd | head -1"),
        "0\nroot:x:0:0:root:/root:/bin/sh\n"
    );
    assert_eq!(lab.state(&id), "running");
    lab.ok(&["sandbox", "rm", "--yes", &id]);
    assert_eq!(lab.state(&id), "gone");
    before.wait_until_nothing_more(&lab.home());
}

#[test]
fn it_has_the_files_of_its_image_and_nothing_of_this_machine() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    let home = lab.home();
    let home = home.display();
    assert_eq!(lab.sh(&id, "ls -d /usr /home/user 2>/dev/null || true"), "/home/user\n");
    assert_eq!(lab.try_sh(&id, &format!("ls {home}")).code, 1);
    let seen = lab.sh(&id, "ls /proc | grep -c '^[0-9]'");
    assert!(seen.trim().parse::<u32>().unwrap() < 10, "{seen}");
}

#[test]
fn what_it_changes_is_its_own() {
    let lab = Lab::with_image();
    let (one, other) = (lab.sandbox(&[]), lab.sandbox(&[]));
    lab.sh(&one, "echo changed > /etc/group; rm /bin/vi; chmod 700 /home/user");
    let seen = "cat /etc/group | wc -l; ls /bin/vi; stat -c %a /home/user";
    assert_eq!(lab.sh(&other, seen), "2\n/bin/vi\n755\n");
    let later = lab.sandbox(&[]);
    assert_eq!(lab.sh(&later, seen), "2\n/bin/vi\n755\n");
}

#[test]
fn variables_user_and_folder_hold_for_every_command() {
    let lab = Lab::with_image();
    let options = ["-e", "COLOUR=green", "--user", "user", "--workdir", "/srv"];
    let id = lab.sandbox(&options);
    let seen = lab.sh(&id, "echo $COLOUR $(id -un) $(pwd) $HOME");
    assert_eq!(seen, "green user /srv /home/user\n");
}

#[test]
fn limits_that_cannot_hold_are_refused_and_nothing_is_made() {
    let lab = Lab::with_image();
    lab.run(&["sandbox", "create", "--memory", "1"]).fails(2, &["8 MiB"]);
    lab.run(&["sandbox", "create", "--cpus", "0"]).fails(2, &["cores"]);
    assert_eq!(lab.json(&["sandbox", "ls"]).as_array().unwrap().len(), 0);
}

#[test]
fn what_it_starts_from_must_be_there_once() {
    let lab = Lab::with_image();
    lab.run(&["sandbox", "create", "--template", "nothing"]).fails(3, &["nothing", "template ls"]);
    lab.run(&["sandbox", "create", "--snapshot", "nothing"]).fails(3, &["nothing", "snapshot ls"]);
    lab.run(&["sandbox", "create", "--image", "box", "--template", "t"]).fails(2, &["--template"]);
    assert_eq!(lab.json(&["sandbox", "ls"]).as_array().unwrap().len(), 0);
}

#[test]
fn a_runtime_that_there_is_not_or_that_takes_no_image_is_said() {
    let lab = Lab::with_image();
    lab.run(&["sandbox", "create", "--runtime", "magic"]).fails(2, &["magic", "runtime ls"]);
    // Said before an image is brought for it, here one of a registry that there is not.
    let far = "registry.invalid/app:1";
    lab.run(&["sandbox", "create", far, "--runtime", "magic"]).fails(2, &["magic", "runtime ls"]);
    let done = lab.run(&["sandbox", "create", "--runtime", "host", "box"]);
    done.fails(2, &["host", "image", "hint:"]);
    let all = lab.json(&["runtime", "ls"]);
    let oci = all.as_array().unwrap().iter().find(|r| r["name"] == "oci").unwrap();
    assert_eq!((&oci["available"], &oci["images"]), (&true.into(), &true.into()));
}

#[test]
fn the_runtime_host_shows_this_machines_files_and_keeps_them() {
    let lab = Lab::with_image();
    let id = lab.ok(&["sandbox", "create", "--runtime", "host"]).trim().to_owned();
    let before = std::fs::read("/etc/passwd").unwrap();
    lab.sh(&id, "test -x /usr/bin/python3 && echo broken > /etc/passwd");
    assert_eq!(lab.sh(&id, "cat /etc/passwd"), "broken\n");
    assert_eq!(std::fs::read("/etc/passwd").unwrap(), before);
}
