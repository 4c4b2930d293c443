//! Layers that try to get out, to smuggle something in, or to fill the machine. Each is refused,
//! or does no more than it would do after `chroot`; and nothing of it is left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;

use atelier_image::{Image, ImageError, Limits, StoreOptions};
use support::archive::{Layer, docker_save, gzip, zstd};
use support::{Home, code, is_opaque, is_whiteout, kind_of, options};

async fn import(home: &Home, layer: Layer) -> Result<Image, ImageError> {
    import_layers(home, vec![layer.tar()]).await
}

async fn import_layers(home: &Home, tars: Vec<Vec<u8>>) -> Result<Image, ImageError> {
    let file = home.dir.path().join("saved.tar");
    std::fs::write(&file, docker_save(&["evil:1"], &tars)).unwrap();
    home.store.import(&file, None).await
}

/// Imports a layer that is refused with `expected`, and checks that nothing of it stays.
async fn refused(layer: Layer, expected: &str) {
    let home = Home::new();
    assert_eq!(code(import(&home, layer).await), expected);
    assert!(home.names("layers").is_empty(), "{:?}", home.names("layers"));
    assert!(home.store.list().unwrap().is_empty());
    assert!(home.leftovers().is_empty(), "{:?}", home.leftovers());
}

/// Imports a layer that is taken; returns its folder.
async fn taken(home: &Home, layer: Layer) -> PathBuf {
    let image = import(home, layer).await.unwrap();
    home.store.layer_dirs(&image)[0].clone()
}

#[tokio::test]
async fn names_that_go_up_are_refused() {
    for path in ["../evil", "a/../../evil", "/../evil", "a/b/..", "..", "./../evil"] {
        refused(Layer::new().file(path, "x"), "image.layer_escapes").await;
        refused(Layer::new().dir(path), "image.layer_escapes").await;
        refused(Layer::new().symlink(path, "x"), "image.layer_escapes").await;
    }
    let long = Layer::new().pax(&[("path", b"a/../../../evil")]).file("harmless", "x");
    refused(long, "image.layer_escapes").await;
}

#[tokio::test]
async fn absolute_names_stay_inside() {
    let home = Home::new();
    let dir = taken(&home, Layer::new().file("/etc/atelier-absolute", "x")).await;
    assert_eq!(std::fs::read_to_string(dir.join("etc/atelier-absolute")).unwrap(), "x");
    assert!(!PathBuf::from("/etc/atelier-absolute").exists());
}

#[tokio::test]
async fn symlinks_lead_no_further_than_the_root() {
    let home = Home::new();
    let outside = home.dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let absolute = outside.to_str().unwrap();
    let layer = Layer::new()
        .symlink("absolute", absolute)
        .symlink("up", "../../../../../../../../../../../../../../../..")
        .dir("usr")
        .dir("usr/lib")
        .symlink("lib", "usr/lib")
        .file("lib/through", "1")
        .file(&format!("up{absolute}/x"), "2");
    let dir = taken(&home, layer).await;
    assert_eq!(std::fs::read_to_string(dir.join("usr/lib/through")).unwrap(), "1");
    assert!(dir.join("lib").is_symlink());
    // Through `up`, the path is one inside.
    assert_eq!(std::fs::read_to_string(dir.join(&absolute[1..]).join("x")).unwrap(), "2");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);

    // Where the link leads nowhere inside, nothing is made on its way.
    let lost = Layer::new().symlink("lost", absolute).file("lost/x", "3");
    assert_eq!(code(import(&Home::new(), lost).await), "image.layer_escapes");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}

#[tokio::test]
async fn a_file_in_the_place_of_a_symlink_replaces_it() {
    let home = Home::new();
    let victim = home.dir.path().join("victim");
    std::fs::write(&victim, "mine").unwrap();
    let to = victim.to_str().unwrap();
    for layer in [
        Layer::new().symlink("x", to).file("x", "theirs"),
        Layer::new().symlink("x", to).dir("x").file("x/y", "theirs"),
        Layer::new().symlink("x", to).hard_link("y", "x").file("y", "theirs"),
        Layer::new().symlink("x", to).raw("x", b'6', "", 0o644, b""),
    ] {
        taken(&home, layer).await;
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "mine");
        assert_eq!(std::fs::metadata(&victim).unwrap().nlink(), 1);
        home.store.prune(&|_| false, true).unwrap();
    }
}

#[tokio::test]
async fn a_folder_that_became_a_symlink_does_not_carry_its_content_out() {
    let home = Home::new();
    let outside = home.dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let layer = Layer::new()
        .file("a/first", "1")
        .symlink("a", outside.to_str().unwrap())
        .file("a/second", "2");
    assert_eq!(code(import(&home, layer).await), "image.layer_escapes");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}

#[tokio::test]
async fn the_owner_and_mode_of_a_link_target_stay() {
    let home = Home::new();
    let victim = home.dir.path().join("victim");
    std::fs::write(&victim, "mine").unwrap();
    std::fs::set_permissions(&victim, PermissionsExt::from_mode(0o600)).unwrap();
    let layer = Layer::new().raw("x", b'2', victim.to_str().unwrap(), 0o6777, b"");
    taken(&home, layer).await;
    assert_eq!(std::fs::metadata(&victim).unwrap().mode() & 0o7777, 0o600);
}

#[tokio::test]
async fn hard_links_reach_only_files_of_the_layer() {
    let home = Home::new();
    let victim = home.dir.path().join("victim");
    std::fs::write(&victim, "mine").unwrap();
    let path = victim.to_str().unwrap();
    refused(Layer::new().hard_link("x", path), "image.layer_invalid").await;
    refused(Layer::new().hard_link("x", "../victim"), "image.layer_escapes").await;
    refused(Layer::new().hard_link("x", "/etc/passwd"), "image.layer_invalid").await;
    refused(Layer::new().dir("d").hard_link("x", "d"), "image.layer_invalid").await;
    let through = Layer::new().symlink("out", home.dir.path().to_str().unwrap());
    refused(through.hard_link("x", "out/victim"), "image.layer_invalid").await;
    assert_eq!(std::fs::metadata(&victim).unwrap().nlink(), 1);

    let below = Layer::new().file("below", "1").tar();
    let onto = Layer::new().hard_link("x", "below").tar();
    assert_eq!(code(import_layers(&home, vec![below, onto]).await), "image.layer_invalid");

    let dir = taken(&home, Layer::new().file("a", "1").hard_link("b/c", "/a")).await;
    assert_eq!(
        std::fs::metadata(dir.join("a")).unwrap().ino(),
        std::fs::metadata(dir.join("b/c")).unwrap().ino()
    );
}

#[tokio::test]
async fn devices_are_refused_even_those_that_look_like_whiteouts() {
    for kind in [b'3', b'4'] {
        refused(Layer::new().raw("dev/x", kind, "", 0o666, b""), "image.layer_device").await;
        refused(Layer::new().raw("x", kind, "", 0o666, b""), "image.layer_device").await;
    }
}

#[tokio::test]
async fn pipes_setuid_bits_and_times_are_kept() {
    let home = Home::new();
    let layer = Layer::new()
        .raw("pipe", b'6', "", 0o640, b"")
        .mode_file("su", "#!", 0o4755)
        .raw("tmp", b'5', "", 0o1777, b"");
    let dir = taken(&home, layer).await;
    assert!(kind_of(&dir.join("pipe")).unwrap().is_fifo());
    let su = std::fs::metadata(dir.join("su")).unwrap();
    assert_eq!((su.mode() & 0o7777, su.mtime()), (0o4755, 0o14000000000));
    let tmp = std::fs::metadata(dir.join("tmp")).unwrap();
    assert_eq!((tmp.mode() & 0o7777, tmp.mtime()), (0o1777, 0o14000000000));
}

#[tokio::test]
async fn only_harmless_attributes_arrive() {
    let home = Home::new();
    let layer = Layer::new()
        .pax(&[
            ("SCHILY.xattr.user.note", b"kept"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ("SCHILY.xattr.user.overlay.whiteout", b"y"),
            ("SCHILY.xattr.trusted.other", b"x"),
        ])
        .dir("d")
        .pax(&[("SCHILY.xattr.trusted.overlay.metacopy", b""), ("SCHILY.xattr.user.a", b"\x00b")])
        .file("f", "x");
    let dir = taken(&home, layer).await;
    let mut list = [0; 1024];
    let n = rustix::fs::listxattr(dir.join("d"), list.as_mut_slice()).unwrap();
    assert_eq!(&list[..n], b"user.note\0");
    let n = rustix::fs::listxattr(dir.join("f"), list.as_mut_slice()).unwrap();
    assert_eq!(&list[..n], b"user.a\0");
}

#[tokio::test]
async fn whiteouts_hide_names_and_folders() {
    let home = Home::new();
    let below = Layer::new().file("gone", "1").file("d/old", "2").file("o/old", "3").tar();
    let above = Layer::new()
        .file(".wh.gone", "")
        .file("d/.wh.old", "")
        .file("o/.wh..wh..opq", "")
        .file("o/new", "4")
        .file(".wh.again", "")
        .dir("again")
        .dir("twice")
        .file(".wh.twice", "")
        .file("both", "5")
        .file(".wh.both", "")
        .file(".wh..wh.plnk/1.2", "");
    let image = import_layers(&home, vec![below, above.tar()]).await.unwrap();
    let dirs = home.store.layer_dirs(&image);
    assert_eq!(dirs.len(), 2);
    assert!(is_whiteout(&dirs[0].join("gone")) && is_whiteout(&dirs[0].join("d/old")));
    assert!(is_opaque(&dirs[0].join("o")) && !is_opaque(&dirs[0].join("d")));
    assert!(is_opaque(&dirs[0].join("again")) && is_opaque(&dirs[0].join("twice")));
    assert_eq!(std::fs::read_to_string(dirs[0].join("both")).unwrap(), "5");
    assert!(kind_of(&dirs[0].join(".wh..wh.plnk")).is_none());
    assert!(dirs[1].join("gone").is_file(), "the lowest layer is the last");
}

#[tokio::test]
async fn a_layer_that_hides_everything_ends_the_chain() {
    let home = Home::new();
    let below = Layer::new().file("old", "1").tar();
    let above = Layer::new().file(".wh..wh..opq", "").file("new", "2").tar();
    let image = import_layers(&home, vec![below, above]).await.unwrap();
    assert_eq!(home.store.layer_dirs(&image).len(), 1);
}

#[tokio::test]
async fn whiteouts_of_nothing_or_of_elsewhere_are_refused() {
    for name in [".wh.", ".wh..", ".wh...", "d/.wh..."] {
        refused(Layer::new().file(name, ""), "image.layer_escapes").await;
    }
    refused(Layer::new().file(".wh.d/x", ""), "image.layer_invalid").await;
}

#[tokio::test]
async fn broken_archives_are_refused() {
    let whole = Layer::new().file("a", "content").tar();
    let home = Home::new();
    assert_eq!(code(import_layers(&home, vec![whole[..700].to_vec()]).await), "image.truncated");
    let mut wrong = whole.clone();
    wrong[0] = b'X';
    assert_eq!(code(import_layers(&home, vec![wrong]).await), "image.layer_invalid");
    refused(Layer::new().raw("x", b'Z', "", 0o644, b""), "image.layer_invalid").await;
    refused(Layer::new().raw("", b'0', "", 0o644, b"x"), "image.layer_invalid").await;
    refused(Layer::new().symlink("x", ""), "image.layer_invalid").await;
    refused(Layer::new().file("f", "x").file("f/below", "y"), "image.layer_invalid").await;
    let name = "n".repeat(300);
    let long = Layer::new().pax(&[("path", name.as_bytes())]).file("x", "");
    refused(long, "image.layer_invalid").await;
    let path = vec!["d"; 3000].join("/");
    let deep = Layer::new().pax(&[("path", path.as_bytes())]).file("x", "");
    refused(deep, "image.layer_invalid").await;
    let owner = Layer::new().pax(&[("uid", b"4294967295")]).file("x", "");
    if rustix::process::geteuid().is_root() {
        refused(owner, "image.layer_invalid").await;
    }
    let huge = Layer::new().pax(&[("size", b"9223372036854775807")]).file("x", "");
    refused(huge, "image.layer_invalid").await;
    let records = vec![b'x'; (1 << 20) + 1];
    refused(Layer::new().raw("pax", b'x', "", 0o644, &records), "image.layer_invalid").await;
}

fn limited(limits: Limits) -> Home {
    Home::with(StoreOptions { limits, ..options() })
}

#[tokio::test]
async fn bombs_end_at_their_limit() {
    let zeros = "\0".repeat(8 << 20);
    let tar = Layer::new().file("zeros", &zeros).tar();
    let small = Limits { bytes: 4 << 20, ..Limits::default() };
    let ratio = Limits { ratio: 100, ratio_from: 1 << 20, ..Limits::default() };
    let many = Limits { entries: 10, ..Limits::default() };
    let full = Limits { keep_free: u64::MAX / 2, ..Limits::default() };
    for packed in [gzip(&tar), zstd(&tar)] {
        // docker_save() takes diff ids from what it is given, which a bomb need not have right.
        let home = limited(small);
        assert_eq!(code(import_layers(&home, vec![packed.clone()]).await), "image.too_large");
        assert!(home.leftovers().is_empty());
        let home = limited(ratio);
        assert_eq!(code(import_layers(&home, vec![packed]).await), "image.too_large");
    }
    let mut files = Layer::new();
    for n in 0..20 {
        files = files.file(&format!("f{n}"), "");
    }
    assert_eq!(code(import(&limited(many), files).await), "image.too_large");
    let home = limited(full);
    assert_eq!(code(import(&home, Layer::new().file("a", "b")).await), "image.no_space");
    let sparse = Layer::new()
        .pax(&[("GNU.sparse.size", b"1099511627776"), ("GNU.sparse.map", b"0,1")])
        .file("huge", "x");
    assert_eq!(code(import(&limited(small), sparse).await), "image.too_large");
}

#[tokio::test]
async fn broken_maps_of_sparse_files_are_refused() {
    for map in ["0,1,0,1", "5,1,0,1", "0,9", "0", "18446744073709551615,1", "9223372036854775807,1"]
    {
        let layer = Layer::new()
            .pax(&[("GNU.sparse.size", b"10"), ("GNU.sparse.map", map.as_bytes())])
            .file("f", "xy");
        refused(layer, "image.layer_invalid").await;
    }
    let layer = Layer::new()
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.realsize", b"9"),
        ])
        .file("f", &format!("99999999999\n{}", "\0".repeat(500)));
    refused(layer, "image.layer_invalid").await;
}
