//! Files: scp, sftp and rsync.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Output};

use crate::harness::{Place, ok, text};

fn scp(place: &Place, words: &[&str]) -> Output {
    place.program("scp").args(words).output().unwrap()
}

fn sftp(place: &Place, batch: &str) -> Output {
    fs::write(place.path("batch"), batch).unwrap();
    place.program("sftp").arg("-b").arg(place.path("batch")).arg("box").output().unwrap()
}

#[test]
fn a_file_goes_in_and_out_with_its_mode_and_time() {
    let place = Place::new();
    let big: Vec<u8> = (0..5_000_000u32).map(|n| (n % 251) as u8).collect();
    let (here, back) = (place.path("here.sh"), place.path("back.sh"));
    fs::write(&here, &big).unwrap();
    fs::set_permissions(&here, fs::Permissions::from_mode(0o751)).unwrap();
    let file = fs::File::options().write(true).open(&here).unwrap();
    let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    file.set_modified(then).unwrap();
    ok(&scp(&place, &["-p", here.to_str().unwrap(), "box:there.sh"]));
    let there = fs::metadata(place.path("home/there.sh")).unwrap();
    assert_eq!((there.mode() & 0o777, there.mtime()), (0o751, 1_000_000_000));
    ok(&scp(&place, &["-p", "box:there.sh", back.to_str().unwrap()]));
    assert!(fs::read(&back).unwrap() == big);
    assert_eq!(fs::metadata(&back).unwrap().mode() & 0o777, 0o751);
}

#[test]
fn folders_go_in_and_out() {
    let place = Place::new();
    for index in 0..200 {
        let folder = place.path(&format!("tree/d{}", index % 7));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("f {index} ä")), index.to_string()).unwrap();
    }
    let (tree, back) = (place.path("tree"), place.path("back"));
    ok(&scp(&place, &["-r", tree.to_str().unwrap(), "box:tree"]));
    ok(&scp(&place, &["-r", "box:tree", back.to_str().unwrap()]));
    let same = Command::new("diff").arg("-r").arg(&tree).arg(&back).output().unwrap();
    assert_eq!(ok(&same), "");
}

#[test]
fn a_failure_is_told_and_leaves_a_code() {
    let place = Place::new();
    let output = scp(&place, &["box:missing", "/dev/null"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("No such file"), "{output:?}");
}

#[test]
fn a_batch_of_sftp_does_what_it_says() {
    let place = Place::new();
    fs::write(place.path("one"), "one").unwrap();
    let one = place.path("one").display().to_string();
    let said = ok(&sftp(
        &place,
        &format!(
            "mkdir d\nput {one} d/one\nln -s d/one link\nln d/one hard\nrename hard d/two\n\
             chmod 600 d/two\nls -l d\ndf .\nget link {one}.back\nmkdir e\nrmdir e\n\
             put {one} gone\nrm gone\n"
        ),
    ));
    assert!(said.contains("-rw-------"), "{said}");
    assert_eq!(fs::read(place.path("one.back")).unwrap(), b"one");
    let home = place.path("home");
    assert_eq!(fs::read_link(home.join("link")).unwrap().to_str(), Some("d/one"));
    assert_eq!(fs::metadata(home.join("d/one")).unwrap().nlink(), 2);
    assert!(!home.join("e").exists() && !home.join("gone").exists());
}

#[test]
fn an_upload_that_broke_off_goes_on_where_it_was() {
    let place = Place::new();
    let whole: Vec<u8> = (0..300_000u32).map(|n| (n % 253) as u8).collect();
    fs::write(place.path("whole"), &whole).unwrap();
    fs::write(place.path("home/part"), &whole[..100_001]).unwrap();
    let from = place.path("whole").display().to_string();
    ok(&sftp(&place, &format!("reput {from} part\n")));
    assert!(fs::read(place.path("home/part")).unwrap() == whole);
}

#[test]
fn files_are_those_of_the_user_who_logged_in() {
    let place = Place::new();
    if ok(&place.ssh(&["box", "id -u"])).trim() != "0" {
        eprintln!("skipped: only a guest that runs as root can become others");
        return;
    }
    let drop = place.path("drop");
    fs::create_dir(&drop).unwrap();
    fs::set_permissions(place.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&drop, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(place.path("one"), "one").unwrap();
    let one = place.path("one").display().to_string();
    ok(&scp(&place, &[&one, &format!("nobody:{}/theirs", drop.display())]));
    assert_ne!(fs::metadata(drop.join("theirs")).unwrap().uid(), 0);
    fs::set_permissions(place.path("home"), fs::Permissions::from_mode(0o700)).unwrap();
    let denied = scp(&place, &[&one, &format!("nobody:{}/x", place.path("home").display())]);
    assert!(text(&denied.stderr).contains("Permission denied"), "{denied:?}");
}

#[test]
fn rsync_works_where_it_is() {
    let place = Place::new();
    if Command::new("rsync").arg("--version").output().is_err() {
        eprintln!("skipped: rsync is not installed");
        return;
    }
    fs::create_dir(place.path("tree")).unwrap();
    for index in 0..300 {
        fs::write(place.path(&format!("tree/{index}")), index.to_string().repeat(1000)).unwrap();
    }
    let shell = format!("ssh -F {}", place.path("config").display());
    let (tree, back) = (place.path("tree"), place.path("back"));
    let rsync = |from: &str, to: &str| {
        Command::new("timeout").args(["60", "rsync", "-a", "-e", &shell, from, to]).output()
    };
    ok(&rsync(tree.to_str().unwrap(), "box:").unwrap());
    ok(&rsync("box:tree/", back.to_str().unwrap()).unwrap());
    let same = Command::new("diff").arg("-r").arg(&tree).arg(&back).output().unwrap();
    assert_eq!(ok(&same), "");
}

#[test]
fn git_clones_over_it() {
    let place = Place::new();
    let git = |words: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=a", "-c", "user.email=a@b"]).args(words);
        let shell = format!("ssh -F {}", place.path("config").display());
        ok(&command.env("GIT_SSH_COMMAND", shell).output().unwrap())
    };
    let inside = place.path("home/repo").display().to_string();
    git(&["init", "-q", &inside]);
    git(&["-C", &inside, "commit", "-q", "--allow-empty", "-m", "hello"]);
    let clone = place.path("clone").display().to_string();
    git(&["clone", "-q", "box:repo", &clone]);
    assert!(git(&["-C", &clone, "log", "--format=%s"]).contains("hello"));
    git(&["-C", &clone, "push", "-q", "origin", "HEAD:refs/heads/new"]);
    assert!(git(&["-C", &inside, "branch"]).contains("new"));
}
