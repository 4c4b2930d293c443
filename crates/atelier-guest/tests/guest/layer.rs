//! What a machine changed, as a layer of an image. The tests give the guest a folder that looks like the
//! upper one of a machine's overlay.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use atelier_guest::client::GuestError;

use crate::harness::Running;

/// The archive that the guest answers with, as a file.
async fn fetch(running: &Running) -> std::path::PathBuf {
    let mut stream = running.guest.layer().await.unwrap();
    let file = running.folder.path().join("layer.tar");
    let mut out = fs::File::create(&file).unwrap();
    while let Some(piece) = stream.next().await {
        out.write_all(&piece.unwrap()).unwrap();
    }
    file
}

fn tar(args: &[&str]) -> String {
    let done = Command::new("tar").args(args).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn serve(fill: impl FnOnce(&Path)) -> Running {
    let upper = tempfile::tempdir().unwrap();
    fill(upper.path());
    let running = Running::start_with(&["--layer", upper.path().to_str().unwrap()]);
    // The guest holds the folder itself, and needs no path to it.
    let held = running.folder.path().join("held");
    fs::rename(upper.keep(), &held).unwrap();
    running
}

#[tokio::test]
async fn files_come_with_all_that_they_are() {
    let long = "n".repeat(120);
    let running = serve(|upper| {
        fs::create_dir_all(upper.join("srv/deep")).unwrap();
        fs::write(upper.join("srv/deep/file"), "content").unwrap();
        fs::set_permissions(upper.join("srv/deep/file"), fs::Permissions::from_mode(0o4750))
            .unwrap();
        fs::hard_link(upper.join("srv/deep/file"), upper.join("srv/twin")).unwrap();
        symlink("deep/file", upper.join("srv/link")).unwrap();
        fs::write(upper.join("srv").join(&long), "long").unwrap();
        let mut holes = fs::File::create(upper.join("srv/holes")).unwrap();
        holes.seek(SeekFrom::Start(64 << 20)).unwrap();
        holes.write_all(b"end").unwrap();
    });
    let file = fetch(&running).await;
    assert!(file.metadata().unwrap().len() < 1 << 20, "holes take nothing");
    let out = running.folder.path().join("out");
    fs::create_dir(&out).unwrap();
    tar(&["-x", "-p", "-f", file.to_str().unwrap(), "-C", out.to_str().unwrap()]);
    let meta = out.join("srv/deep/file").metadata().unwrap();
    assert_eq!(meta.permissions().mode() & 0o7777, 0o4750);
    assert_eq!(meta.nlink(), 2);
    let first = running.folder.path().join("held/srv/deep/file").metadata().unwrap();
    assert_eq!(meta.modified().unwrap(), first.modified().unwrap());
    assert_eq!(fs::read_to_string(out.join("srv/twin")).unwrap(), "content");
    assert_eq!(fs::read_link(out.join("srv/link")).unwrap(), Path::new("deep/file"));
    assert_eq!(fs::read_to_string(out.join("srv").join(&long)).unwrap(), "long");
    let holes = fs::read(out.join("srv/holes")).unwrap();
    assert!(holes.len() == (64 << 20) + 3 && holes.ends_with(b"\0end"));
}

#[tokio::test]
async fn names_of_every_length_and_times_before_1970_are_kept() {
    let names: Vec<String> = (60..130).map(|length| "n".repeat(length)).collect();
    let running = serve(|upper| {
        for name in &names {
            fs::write(upper.join(name), name).unwrap();
        }
        for (name, time) in [("early", "@-1.25"), ("late", "@5.5")] {
            let touch = Command::new("touch").args(["-d", time]).arg(upper.join(name)).status();
            assert!(touch.unwrap().success());
        }
    });
    let file = fetch(&running).await;
    let out = running.folder.path().join("out");
    fs::create_dir(&out).unwrap();
    tar(&["-x", "-f", file.to_str().unwrap(), "-C", out.to_str().unwrap()]);
    for name in &names {
        assert_eq!(fs::read_to_string(out.join(name)).unwrap(), *name);
    }
    let time = |name: &str| {
        let meta = out.join(name).metadata().unwrap();
        (meta.mtime(), meta.mtime_nsec())
    };
    assert_eq!((time("early"), time("late")), ((-2, 750_000_000), (5, 500_000_000)));
}

#[tokio::test]
async fn what_hides_something_below_has_the_names_that_images_have_for_it() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can make the marks of an overlay");
        return;
    }
    let running = serve(|upper| {
        let mark = |words: &[&str]| {
            let done =
                Command::new(words[0]).args(&words[1..]).current_dir(upper).status().unwrap();
            assert!(done.success(), "{words:?}");
        };
        fs::create_dir_all(upper.join("etc")).unwrap();
        fs::create_dir_all(upper.join("new")).unwrap();
        mark(&["mknod", "etc/gone", "c", "0", "0"]);
        mark(&["mknod", "etc/disk", "b", "7", "0"]);
        mark(&["python3", "-c", "import os; os.setxattr('new', 'trusted.overlay.opaque', b'y')"]);
        fs::write(upper.join("new/file"), "").unwrap();
        fs::write(upper.join("new/.wh.file"), "").unwrap();
    });
    let file = fetch(&running).await;
    let names = tar(&["-t", "-f", file.to_str().unwrap()]);
    let names: Vec<&str> = names.lines().collect();
    assert_eq!(names, ["./", "etc/", "etc/.wh.gone", "new/", "new/.wh..wh..opq", "new/file"]);
}

#[tokio::test]
async fn what_a_sandbox_has_whatever_its_image_says_stays_out() {
    let running = serve(|upper| {
        for folder in ["tmp", "etc", "srv/tmp"] {
            fs::create_dir_all(upper.join(folder)).unwrap();
        }
        for file in ["tmp/scratch", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/kept"] {
            fs::write(upper.join(file), "x").unwrap();
        }
    });
    let file = fetch(&running).await;
    let names = tar(&["-t", "-f", file.to_str().unwrap()]);
    assert_eq!(names, "./\netc/\netc/kept\nsrv/\nsrv/tmp/\n");
}

#[tokio::test]
async fn a_sandbox_whose_files_lie_outside_has_no_such_layer() {
    let running = Running::start();
    let refused = running.guest.layer().await.map(drop).unwrap_err();
    assert!(matches!(refused, GuestError::Http { status: 404, .. }), "{refused}");
}
