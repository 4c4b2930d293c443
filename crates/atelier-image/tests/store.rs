//! What is done with images that are here: names, ids, commits, removal, disks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use atelier_image::{DiskKind, Image, ImageChange, ImageConfig, ImageStore, StoreOptions};
use support::archive::{Layer, docker_save};
use support::{Home, code, is_opaque, is_whiteout, options};

async fn image(home: &Home, names: &[&str], tars: &[Vec<u8>]) -> Image {
    let file = home.dir.path().join("saved.tar");
    std::fs::write(&file, docker_save(names, tars)).unwrap();
    home.store.import(&file, None).await.unwrap()
}

async fn base(home: &Home) -> Image {
    let below = Layer::new().file("etc/a", "1").file("etc/b", "1").file("d/old", "1").tar();
    image(home, &["alpine:3.20"], &[below, Layer::new().file("etc/a", "2").tar()]).await
}

fn change(name: Option<&str>) -> ImageChange {
    ImageChange {
        config: ImageConfig { cmd: vec!["/bin/new".into()], ..ImageConfig::default() },
        name: name.map(str::to_owned),
        created_by: "test".into(),
    }
}

#[tokio::test]
async fn an_image_is_found_by_every_way_to_say_it() {
    let home = Home::new();
    let image = base(&home).await;
    let id = image.id.to_string();
    let hex = image.id.hex();
    for name in [
        "alpine:3.20",
        "docker.io/library/alpine:3.20",
        "docker.io/alpine:3.20",
        "library/alpine:3.20",
        &id,
        hex,
        &hex[..12],
        &hex[..4],
    ] {
        assert_eq!(home.store.get(name).unwrap().id, image.id, "{name}");
    }
    for name in ["alpine", "alpine:3.21", &hex[..3], "ffff0000ffff", "ghcr.io/library/alpine:3.20"]
    {
        assert_eq!(code(home.store.get(name)), "image.not_found", "{name}");
    }
    assert_eq!(code(home.store.get("No Name")), "image.bad_name");
    assert_eq!(home.store.list().unwrap(), [image]);
}

#[tokio::test]
async fn names_come_move_and_go() {
    let home = Home::new();
    let first = base(&home).await;
    let second = image(&home, &["busybox"], &[Layer::new().file("x", "y").tar()]).await;
    assert_eq!(home.store.tag("alpine:3.20", "base").unwrap(), "base:latest");
    assert_eq!(home.store.get("base").unwrap().id, first.id);
    home.store.tag(second.id.as_str(), "base").unwrap();
    assert_eq!(home.store.get("base:latest").unwrap().id, second.id);
    assert_eq!(home.store.untag("base").unwrap(), "base:latest");
    assert_eq!(code(home.store.untag("base")), "image.not_found");
    assert_eq!(code(home.store.tag("nothing", "base")), "image.not_found");
    assert_eq!(home.store.list().unwrap().len(), 2);
}

fn upper(home: &Home) -> PathBuf {
    let upper = home.dir.path().join("upper");
    std::fs::create_dir_all(upper.join("etc")).unwrap();
    std::fs::create_dir_all(upper.join("d")).unwrap();
    std::fs::write(upper.join("etc/new"), "3").unwrap();
    std::fs::hard_link(upper.join("etc/new"), upper.join("etc/twin")).unwrap();
    run("mknod", &[upper.join("etc/b").to_str().unwrap(), "c", "0", "0"]);
    let mark = "user.overlay.opaque";
    rustix::fs::setxattr(upper.join("d"), mark, b"y", rustix::fs::XattrFlags::empty()).unwrap();
    let sparse = std::fs::File::create(upper.join("sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    std::fs::set_permissions(
        upper.join("etc/new"),
        std::os::unix::fs::PermissionsExt::from_mode(0o4711),
    )
    .unwrap();
    upper
}

#[tokio::test]
async fn a_commit_adds_what_a_sandbox_wrote() {
    for take in [false, true] {
        let home = Home::new();
        let parent = base(&home).await;
        let upper = upper(&home);
        let made =
            home.store.commit(&parent.id, &upper, change(Some("snap:1")), take).await.unwrap();
        assert_eq!(made.layers[..2], parent.layers);
        assert!(made.layers[2].is_local());
        assert_eq!(made.names, ["snap:1"]);
        assert_eq!(made.config.cmd, ["/bin/new"]);
        assert_eq!(made.created_by.as_deref(), Some("test"));
        assert_eq!(upper.exists(), !take);
        let dir = &home.store.layer_dirs(&made)[0];
        assert_eq!(std::fs::read_to_string(dir.join("etc/new")).unwrap(), "3");
        let new = std::fs::metadata(dir.join("etc/new")).unwrap();
        assert_eq!((new.nlink(), new.mode() & 0o7777), (2, 0o4711));
        assert!(is_whiteout(&dir.join("etc/b")));
        assert!(is_opaque(&dir.join("d")));
        let sparse = std::fs::metadata(dir.join("sparse")).unwrap();
        assert!(sparse.len() == 64 << 20 && sparse.blocks() < 100);
        let kept = home.store.get("snap:1").unwrap();
        assert_eq!((kept.id, kept.layers), (made.id.clone(), made.layers.clone()));
        assert!(home.leftovers().is_empty());

        // A commit of a commit, and two of the same content are two images.
        let again = home.dir.path().join("again");
        std::fs::create_dir(&again).unwrap();
        let one = home.store.commit(&made.id, &again, change(None), false).await.unwrap();
        let two = home.store.commit(&made.id, &again, change(None), false).await.unwrap();
        assert_eq!(one.layers.len(), 4);
        assert_ne!(one.id, two.id);
    }
}

#[tokio::test]
async fn an_archive_that_a_machine_sends_becomes_a_layer() {
    let home = Home::new();
    let parent = base(&home).await;
    let sent =
        Layer::new().file("etc/new", "3").file("etc/.wh.b", "").file("d/.wh..wh..opq", "").tar();
    let sent = std::io::Cursor::new(sent);
    let made = home.store.commit_archive(&parent.id, sent, change(None)).await.unwrap();
    assert_eq!(made.layers[..2], parent.layers);
    assert!(made.layers[2].is_local());
    assert_eq!(made.config.cmd, ["/bin/new"]);
    let dir = &home.store.layer_dirs(&made)[0];
    assert_eq!(std::fs::read_to_string(dir.join("etc/new")).unwrap(), "3");
    assert!(is_whiteout(&dir.join("etc/b")) && is_opaque(&dir.join("d")));
    assert!(home.leftovers().is_empty());
}

#[tokio::test]
async fn what_a_machine_may_not_send_leaves_nothing() {
    let home = Home::new();
    let parent = base(&home).await;
    let cut = Layer::new().file("a", &"long".repeat(500)).tar();
    for (sent, expected) in [
        (Layer::new().raw("disk", b'4', "", 0o666, b"").tar(), "image.layer_device"),
        (Layer::new().file("../out", "x").tar(), "image.layer_escapes"),
        (cut[..1024].to_vec(), "image.truncated"),
    ] {
        let sent = std::io::Cursor::new(sent);
        let refused = home.store.commit_archive(&parent.id, sent, change(None)).await;
        assert_eq!(code(refused), expected);
        assert_eq!(home.store.list().unwrap().len(), 1);
        assert!(home.leftovers().is_empty());
    }
}

#[tokio::test]
async fn an_image_in_use_stays_and_its_last_name_takes_it_away() {
    let home = Home::new();
    let first = base(&home).await;
    home.store.tag("alpine:3.20", "base").unwrap();
    let nobody = |_: &_| false;
    let removed = home.store.remove("base", &nobody, false).unwrap();
    assert_eq!((removed.untagged, removed.images.len()), (vec!["base:latest".to_owned()], 0));
    home.store.tag("alpine:3.20", "base").unwrap();
    let by_id = home.store.remove(first.id.as_str(), &nobody, false);
    assert_eq!(code(by_id), "image.several_names");
    home.store.untag("base").unwrap();
    assert_eq!(code(home.store.remove("alpine:3.20", &|_| true, false)), "image.in_use");

    let forced = home.store.remove("alpine:3.20", &|_| true, true).unwrap();
    assert!(forced.images.is_empty());
    assert!(home.store.get(first.id.as_str()).unwrap().names.is_empty());
    assert!(home.store.prune(&|_| true, true).unwrap().images.is_empty());
    let pruned = home.store.prune(&nobody, false).unwrap();
    assert_eq!(pruned.images, [first.id]);
    assert!(pruned.freed_bytes > 0);
    assert!(home.names("layers").is_empty() && home.store.list().unwrap().is_empty());
}

#[tokio::test]
async fn layers_that_another_image_needs_stay() {
    let home = Home::new();
    let parent = base(&home).await;
    let made =
        home.store.commit(&parent.id, &upper(&home), change(Some("snap")), true).await.unwrap();
    home.store.remove("alpine:3.20", &|_| false, false).unwrap();
    assert_eq!(home.names("layers").len(), 3);
    assert_eq!(home.layer_file(&home.store.get("snap").unwrap(), "etc/a").as_deref(), Some("2"));
    let removed = home.store.remove("snap", &|_| false, false).unwrap();
    assert_eq!(removed.images, [made.id]);
    assert!(home.names("layers").is_empty(), "{:?}", home.names("layers"));
}

#[tokio::test]
async fn a_store_opened_again_has_what_it_had() {
    let home = Home::new();
    let before = base(&home).await;
    home.store.disk(&before).await.unwrap();
    let other = ImageStore::open(&home.images(), options()).unwrap();
    assert_eq!(other.list().unwrap(), [before]);
    let mode = std::fs::metadata(home.images()).unwrap().mode();
    assert_eq!(mode & 0o777, 0o700, "layers hold setuid programs");
}

#[tokio::test]
async fn a_layer_that_was_not_on_the_disk_when_the_machine_went_down_is_forgotten() {
    let home = Home::new();
    let image = base(&home).await;
    let Home { dir, store } = home;
    drop(store);
    let layer = dir.path().join("images/layers").join(image.layers[0].as_str().replace(':', "-"));
    let info = layer.join("layer.json");
    // It is noted in the background that the layer is on the disk.
    while std::fs::read_to_string(&info).unwrap().contains("unflushed") {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    // What a crash during an earlier boot leaves.
    std::fs::write(info, r#"{"size_bytes": 1, "unflushed": "another-boot"}"#).unwrap();
    let store = ImageStore::open(&dir.path().join("images"), options()).unwrap();
    assert!(!layer.exists());
    assert!(store.list().unwrap().is_empty());
    let home = Home { dir, store };
    assert_eq!(base(&home).await.id, image.id, "it can be had again");
}

/// The kernel itself reads the whiteouts and marks, in a mount namespace of its own.
#[tokio::test]
async fn an_overlay_of_the_layers_shows_the_image() {
    let home = Home::new();
    let parent = base(&home).await;
    let above = Layer::new().file("d/.wh..wh..opq", "").file("d/new", "3").tar();
    let below = Layer::new().file("d/old", "1").file("gone", "1").file("etc/a", "1").tar();
    let hides = Layer::new().file(".wh.gone", "").file("etc/a", "2").tar();
    let image = image(&home, &["x"], &[below, hides.clone(), above, hides]).await;
    let made = home.store.commit(&image.id, &upper(&home), change(None), true).await.unwrap();
    for (image, expected) in [
        (&parent, "./d/old ./etc/a ./etc/b"),
        (&image, "./d/new ./etc/a"),
        (&made, "./etc/a ./etc/new ./etc/twin ./sparse"),
    ] {
        let dirs = home.store.layer_dirs(image);
        let lower: Vec<_> = dirs.iter().map(|dir| dir.to_str().unwrap()).collect();
        let empty = home.dir.path().join("empty");
        std::fs::create_dir_all(&empty).unwrap();
        let root = rustix::process::geteuid().is_root();
        let script = format!(
            "mount -t overlay -o userxattr,lowerdir={}:{} x {empty} && cd {empty} && \
             find . -type f | sort | tr '\\n' ' '",
            lower.join(":"),
            home.dir.path().join("context-less").display(),
            empty = empty.display(),
        );
        std::fs::create_dir_all(home.dir.path().join("context-less")).unwrap();
        let unshare = if root { "-m" } else { "-Urm" };
        let done = Command::new("unshare").args([unshare, "sh", "-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        let failed = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(said.trim(), expected, "{failed}");
    }
}

#[tokio::test]
async fn a_disk_is_what_an_overlay_would_show() {
    for kind in [DiskKind::Erofs, DiskKind::Ext4] {
        let home = Home::with(StoreOptions { disk: Some(kind), ..options() });
        let parent = base(&home).await;
        let made = home.store.commit(&parent.id, &upper(&home), change(None), true).await.unwrap();
        let disk = home.store.disk(&made).await.unwrap();
        assert_eq!(disk.kind, kind);
        assert!(home.leftovers().is_empty());
        let before = std::fs::metadata(&disk.path).unwrap().ino();
        assert_eq!(home.store.disk(&made).await.unwrap(), disk);
        assert_eq!(std::fs::metadata(&disk.path).unwrap().ino(), before, "made once");
        check_disk(&disk.path, kind, home.dir.path());
        home.store.remove(made.id.as_str(), &|_| false, false).unwrap();
        assert!(!disk.path.exists(), "it goes with its image");
    }
}

/// Reads a disk by the tools of its filesystem, without mounting it.
fn check_disk(disk: &Path, kind: DiskKind, dir: &Path) {
    let disk = disk.to_str().unwrap();
    let out = dir.join("out");
    match kind {
        DiskKind::Erofs => {
            run("fsck.erofs", &[&format!("--extract={}", out.display()), disk]);
        }
        DiskKind::Ext4 => {
            std::fs::create_dir(&out).unwrap();
            run("e2fsck", &["-fn", disk]);
            run("debugfs", &["-R", &format!("rdump / {}", out.display()), disk]);
        }
    }
    let read = |name: &str| std::fs::read_to_string(out.join(name)).ok();
    assert_eq!(read("etc/a").as_deref(), Some("2"));
    assert_eq!(read("etc/new").as_deref(), Some("3"));
    assert_eq!(read("etc/b"), None, "hidden by a whiteout");
    assert_eq!(read("d/old"), None, "hidden by an opaque folder");
    assert!(out.join("d").is_dir());
    assert_eq!(std::fs::metadata(out.join("sparse")).unwrap().len(), 64 << 20);
    assert!(!std::fs::symlink_metadata(out.join("etc")).unwrap().file_type().is_char_device());
}

#[tokio::test]
async fn a_disk_of_each_kind_is_kept() {
    let home = Home::new();
    let image = base(&home).await;
    let found = |kind| StoreOptions { disk: Some(kind), ..options() };
    for kind in [DiskKind::Erofs, DiskKind::Ext4] {
        let store = ImageStore::open(&home.images(), found(kind)).unwrap();
        assert_eq!(store.disk(&image).await.unwrap().kind, kind);
    }
    assert_eq!(home.names("disks").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn collecting_while_images_arrive_takes_nothing_away() {
    let home = Home::new();
    let mut work = Vec::new();
    for n in 0..8 {
        let (store, file) = (home.store.clone(), home.dir.path().join(format!("{n}.tar")));
        let shared = Layer::new().file("shared", &"x".repeat(100_000)).tar();
        let own = Layer::new().file("own", &n.to_string()).tar();
        std::fs::write(&file, docker_save(&[&format!("image{n}")], &[shared, own])).unwrap();
        work.push(tokio::spawn(async move {
            for _ in 0..6 {
                let image = store.import(&file, None).await.unwrap();
                for dir in store.layer_dirs(&image) {
                    assert!(dir.is_dir());
                }
                store.remove(image.id.as_str(), &|_| false, true).unwrap();
                store.prune(&|_| true, false).unwrap();
            }
        }));
    }
    for one in work {
        one.await.unwrap();
    }
    assert!(home.names("layers").is_empty());
}

fn run(program: &str, args: &[&str]) {
    let done = Command::new(program).args(args).output().unwrap();
    assert!(done.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}
