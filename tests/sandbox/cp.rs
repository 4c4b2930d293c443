//! `atelier sandbox cp`, both ways.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::Lab;

#[test]
fn a_file_goes_in_and_comes_out_as_it_was() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--name", "dev"]);
    let bytes: Vec<u8> = (0..5_000_000u32).map(|n| (n % 253) as u8).collect();
    lab.write("data.bin", &bytes);
    lab.ok(&["sandbox", "cp", "data.bin", "dev:/srv/copy.bin"]);
    assert_eq!(lab.sh(&id, "wc -c < /srv/copy.bin"), "5000000\n");
    lab.ok(&["sandbox", "cp", "dev:/srv/copy.bin", "back.bin"]);
    assert!(fs::read(lab.project.join("back.bin")).unwrap() == bytes);
}

#[test]
fn folders_keep_modes_links_and_what_is_empty() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    lab.write("tree/run.sh", "#!/bin/sh\n");
    lab.write("tree/deep/er/file", "text");
    lab.write("tree/empty", "");
    fs::create_dir(lab.project.join("tree/nothing")).unwrap();
    fs::set_permissions(lab.project.join("tree/run.sh"), Permissions::from_mode(0o750)).unwrap();
    symlink("deep/er/file", lab.project.join("tree/link")).unwrap();
    symlink("/no/where", lab.project.join("tree/dangling")).unwrap();
    lab.ok(&["sandbox", "cp", "tree", &format!("{id}:/srv")]);
    let seen = lab.sh(&id, "cd /srv/tree; stat -c %a run.sh; readlink link; readlink dangling; cat link; ls -a nothing | wc -l; stat -c %s empty");
    assert_eq!(seen, "750\ndeep/er/file\n/no/where\ntext2\n0\n");
    lab.ok(&["sandbox", "cp", &format!("{id}:/srv/tree"), "back"]);
    let back = lab.project.join("back");
    assert_eq!(fs::metadata(back.join("run.sh")).unwrap().permissions().mode() & 0o777, 0o750);
    assert_eq!(fs::read_link(back.join("dangling")).unwrap().to_str(), Some("/no/where"));
    assert_eq!(fs::read_to_string(back.join("link")).unwrap(), "text");
    assert!(back.join("nothing").is_dir() && back.join("empty").is_file());
}

#[test]
fn a_folder_that_is_there_takes_the_copy_in() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    lab.write("d/one", "1");
    lab.ok(&["sandbox", "cp", "d", &format!("{id}:/srv")]);
    lab.ok(&["sandbox", "cp", "d", &format!("{id}:/srv/new")]);
    lab.ok(&["sandbox", "cp", "d/.", &format!("{id}:/srv")]);
    assert_eq!(lab.sh(&id, "cat /srv/d/one /srv/new/one /srv/one"), "111");
    lab.ok(&["sandbox", "cp", "d/one", &format!("{id}:")]);
    assert_eq!(lab.sh(&id, "cat ~/one"), "1");
    fs::create_dir(lab.project.join("into")).unwrap();
    lab.ok(&["sandbox", "cp", &format!("{id}:/srv/d"), "into"]);
    assert_eq!(lab.read("into/d/one"), "1");
}

#[test]
fn the_copy_belongs_to_the_user_that_is_named() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    lab.write("d/one", "1");
    lab.ok(&["sandbox", "cp", "-u", "user", "d", &format!("{id}:")]);
    assert_eq!(lab.sh(&id, "stat -c '%U %n' /home/user/d /home/user/d/one").lines().count(), 2);
    assert_eq!(lab.sh(&id, "stat -c %u:%g /home/user/d/one"), "1000:1000\n");
}

#[test]
fn without_a_tar_inside_it_goes_file_by_file() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    lab.sh(&id, "rm /bin/tar");
    lab.write("d/deep/one", "1");
    symlink("deep", lab.project.join("d/link")).unwrap();
    lab.ok(&["sandbox", "cp", "d", &format!("{id}:/srv")]);
    assert_eq!(lab.sh(&id, "cat /srv/d/link/one; readlink /srv/d/link"), "1deep\n");
    lab.ok(&["sandbox", "cp", &format!("{id}:/srv/d"), "back"]);
    assert_eq!(lab.read("back/deep/one"), "1");
}

#[test]
fn names_of_all_kinds_are_kept() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    let names = ["a b", "-n", "ä€", "quote'\"", "new\nline", "a:b", "*", "\\"];
    for name in names {
        lab.write(&format!("d/{name}"), name);
    }
    let long = "x".repeat(255);
    lab.write(&format!("d/{long}"), "long");
    lab.ok(&["sandbox", "cp", "d", &format!("{id}:/srv")]);
    lab.ok(&["sandbox", "cp", &format!("{id}:/srv/d"), "back"]);
    for name in names {
        assert_eq!(lab.read(&format!("back/{name}")), name);
    }
    assert_eq!(lab.read(&format!("back/{long}")), "long");
}

#[test]
fn what_is_not_there_is_said() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&[]);
    lab.run(&["sandbox", "cp", "nothing", &format!("{id}:/srv")]).fails(3, &["nothing"]);
    lab.run(&["sandbox", "cp", &format!("{id}:/nothing"), "."]).fails(3, &["/nothing"]);
    lab.run(&["sandbox", "cp", "a", "b"]).fails(2, &["SANDBOX:PATH"]);
    lab.run(&["sandbox", "cp", "README.md", &format!("{id}:/etc/passwd/x")]).fails(1, &["passwd"]);
}

#[test]
fn a_full_disk_inside_is_said_and_the_sandbox_goes_on() {
    let lab = Lab::with_image();
    let id = lab.sandbox(&["--disk", "32MiB"]);
    lab.write("big", vec![1; 64 << 20]);
    let done = lab.run(&["sandbox", "cp", "big", &format!("{id}:/srv/big")]);
    assert!(done.code != 0 && done.stderr.contains("space"), "{done:?}");
    assert_eq!(lab.sh(&id, "rm -f /srv/big; echo fine > /srv/small; cat /srv/small"), "fine\n");
}
