//! `atelier sandbox cp`, against a real guest: with the tar of this machine, and without any.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Output;

use crate::machine::Machine;

fn cp(machine: &Machine, from: &str, to: &str) -> Output {
    machine.atelier(&["sandbox", "cp", from, to]).output().unwrap()
}

fn copied(machine: &Machine, from: &str, to: &str) {
    let output = cp(machine, from, to);
    assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]), "{output:?}");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// A machine whose sandbox has the tools of this one, and one that has few and no tar.
fn machines() -> [Machine; 2] {
    let tools = tempfile::tempdir().unwrap().keep();
    for tool in ["chmod", "ln", "sh"] {
        let found = ["/bin", "/usr/bin"].map(|folder| Path::new(folder).join(tool));
        symlink(found.iter().find(|path| path.exists()).unwrap(), tools.join(tool)).unwrap();
    }
    [Machine::new(), Machine::with_path(tools.to_str().unwrap())]
}

/// A tree of all that is kept.
fn tree(at: &Path) {
    fs::create_dir_all(at.join("deep/er")).unwrap();
    fs::write(at.join("deep/er/file"), "text").unwrap();
    fs::write(at.join("tool"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(at.join("tool"), PermissionsExt::from_mode(0o750)).unwrap();
    fs::write(at.join("empty"), "").unwrap();
    fs::write(at.join("big"), vec![7; 3_000_001]).unwrap();
    symlink("er/file", at.join("deep/link")).unwrap();
    symlink("deep", at.join("folder-link")).unwrap();
    for number in 0..40 {
        fs::write(at.join(format!("deep/{number}")), number.to_string()).unwrap();
    }
}

fn check(at: &Path) {
    assert_eq!(fs::read_to_string(at.join("deep/er/file")).unwrap(), "text");
    assert_eq!(mode(&at.join("tool")), 0o750);
    assert_eq!(fs::read(at.join("empty")).unwrap(), b"");
    assert!(fs::read(at.join("big")).unwrap() == vec![7; 3_000_001]);
    assert_eq!(fs::read_link(at.join("deep/link")).unwrap(), Path::new("er/file"));
    assert_eq!(fs::read_link(at.join("folder-link")).unwrap(), Path::new("deep"));
    assert_eq!(fs::read_to_string(at.join("deep/39")).unwrap(), "39");
}

#[test]
fn a_folder_goes_in_and_comes_out_as_it_was() {
    for (number, machine) in machines().into_iter().enumerate() {
        tree(&machine.path("src"));
        copied(&machine, "src", "dev:there");
        check(&machine.inside("there"));
        if number == 1 {
            // Without readlink nobody knows how a link was written, only where it ends.
            fs::remove_file(machine.inside("there/deep/link")).unwrap();
            symlink("er/file", machine.inside("there/deep/link")).unwrap();
        }
        copied(&machine, "dev:there", "back");
        if number == 0 {
            check(&machine.path("back"));
        } else {
            let link = fs::read_link(machine.path("back/deep/link")).unwrap();
            assert_eq!(
                machine.path("back/deep").join(link).canonicalize().unwrap(),
                machine.path("back/deep/er/file").canonicalize().unwrap()
            );
        }
    }
}

#[test]
fn a_folder_that_is_there_takes_the_copy_in() {
    let machine = Machine::new();
    fs::create_dir_all(machine.path("src/sub")).unwrap();
    fs::create_dir(machine.inside("there")).unwrap();
    copied(&machine, "src", "dev:there");
    assert!(machine.inside("there/src/sub").is_dir());
    copied(&machine, "src/.", "dev:there");
    assert!(machine.inside("there/sub").is_dir());
    copied(&machine, "src", "dev:");
    assert!(machine.inside("src/sub").is_dir());
    fs::create_dir(machine.path("here")).unwrap();
    copied(&machine, "dev:there", "here");
    copied(&machine, "dev:there/.", "here");
    assert!(machine.path("here/there/sub").is_dir() && machine.path("here/sub").is_dir());
}

#[test]
fn a_file_goes_in_and_comes_out_with_its_mode() {
    for machine in machines() {
        fs::write(machine.path("tool"), vec![9; 1_500_000]).unwrap();
        fs::set_permissions(machine.path("tool"), PermissionsExt::from_mode(0o700)).unwrap();
        copied(&machine, "tool", "dev:new/name");
        assert_eq!(mode(&machine.inside("new/name")), 0o700);
        copied(&machine, "tool", "dev:new");
        copied(&machine, "dev:new/tool", "back");
        assert!(fs::read(machine.path("back")).unwrap() == vec![9; 1_500_000]);
        assert_eq!(mode(&machine.path("back")), 0o700);
        copied(&machine, "dev:new/name", ".");
        assert!(machine.path("name").is_file());
        let left: Vec<_> = fs::read_dir(machine.path(""))
            .unwrap()
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().contains(".atelier-"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_link_here_is_replaced_and_not_written_through() {
    for machine in machines() {
        fs::write(machine.inside("file"), "theirs").unwrap();
        fs::create_dir(machine.inside("dir")).unwrap();
        fs::write(machine.inside("dir/file"), "theirs").unwrap();
        fs::write(machine.path("mine"), "mine").unwrap();
        symlink("mine", machine.path("link")).unwrap();
        copied(&machine, "dev:file", "link");
        fs::create_dir_all(machine.path("to/dir")).unwrap();
        symlink(machine.path("mine"), machine.path("to/dir/file")).unwrap();
        copied(&machine, "dev:dir", "to");
        assert_eq!(fs::read_to_string(machine.path("mine")).unwrap(), "mine");
        assert_eq!(fs::read_to_string(machine.path("link")).unwrap(), "theirs");
        assert_eq!(fs::read_to_string(machine.path("to/dir/file")).unwrap(), "theirs");
    }
}

#[test]
fn links_of_a_sandbox_lead_no_later_copy_out() {
    for machine in machines() {
        let outside = machine.path("outside");
        fs::create_dir(&outside).unwrap();
        fs::create_dir(machine.inside("dir")).unwrap();
        symlink(&outside, machine.inside("dir/way")).unwrap();
        copied(&machine, "dev:dir", "to");
        fs::remove_file(machine.inside("dir/way")).unwrap();
        fs::create_dir(machine.inside("dir/way")).unwrap();
        fs::write(machine.inside("dir/way/file"), "theirs").unwrap();
        let output = cp(&machine, "dev:dir/.", "to");
        assert_ne!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }
}

#[test]
fn a_tar_that_lies_writes_nothing_outside() {
    // A sandbox whose tar is the sandbox's own.
    let tools = tempfile::tempdir().unwrap();
    let machine = Machine::with_path(&format!("{}:/usr/bin:/bin", tools.path().display()));
    fs::write(machine.path("evil"), "theirs").unwrap();
    let script = format!(
        "#!/bin/sh\ncd {}\nexec /bin/tar -c -P -f - --transform 's,evil,../out,' evil\n",
        machine.path("").display()
    );
    fs::write(tools.path().join("tar"), script).unwrap();
    fs::set_permissions(tools.path().join("tar"), PermissionsExt::from_mode(0o755)).unwrap();
    fs::create_dir(machine.inside("dir")).unwrap();
    let output = cp(&machine, "dev:dir", "to");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("leads out of the copy"),
        "{output:?}"
    );
    assert!(!machine.path("out").exists());
}

#[test]
fn what_cannot_be_copied_is_said() {
    let machine = Machine::new();
    fs::write(machine.inside("file"), "").unwrap();
    fs::create_dir(machine.path("dir")).unwrap();
    for (from, to, code) in [
        ("missing", "dev:x", 3),
        ("dev:missing", ".", 3),
        ("dir", "dev:file", 4),
        ("dev:file", "no/such/folder", 3),
        ("dir", "dir2", 2),
        ("dev:a", "dev:b", 2),
    ] {
        let output = cp(&machine, from, to);
        assert_eq!(output.status.code(), Some(code), "{from} {to}: {output:?}");
        assert!(output.stderr.starts_with(b"error: "), "{output:?}");
    }
}
