//! Importing what tools write: `docker save`, OCI layouts, root filesystems; all the ways in which
//! tar archives hold long names, attributes and sparse files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use support::archive::{Layer, docker_save, gzip, layout, zstd};
use support::{Home, code};

fn two_layers() -> Vec<Vec<u8>> {
    vec![
        Layer::new().dir("bin").mode_file("bin/sh", "#!", 0o755).file("etc/a", "1").tar(),
        Layer::new().file("etc/a", "2").tar(),
    ]
}

#[tokio::test]
async fn an_archive_of_docker_save_becomes_an_image() {
    let saved = docker_save(&["tool:1", "ghcr.io/owner/tool:2"], &two_layers());
    for bytes in [saved.clone(), gzip(&saved), zstd(&saved)] {
        let home = Home::new();
        let file = home.dir.path().join("saved");
        std::fs::write(&file, bytes).unwrap();
        let image = home.store.import(&file, None).await.unwrap();
        assert_eq!(image.names, ["docker.io/library/tool:1", "ghcr.io/owner/tool:2"]);
        assert_eq!(image.config.cmd, ["/bin/sh"]);
        assert!(image.config.entrypoint.is_empty());
        assert_eq!(image.config.workdir.as_deref(), Some("/srv"));
        assert_eq!(image.config.user.as_deref(), Some("1000:1000"));
        assert_eq!(image.config.exposed_ports, ["8080/tcp"]);
        assert_eq!(image.created_at.to_string(), "2024-05-06T07:08:09Z");
        assert_eq!(home.layer_file(&image, "etc/a").as_deref(), Some("2"));
        assert_eq!(home.store.get("tool:1").unwrap(), image);
        assert!(home.leftovers().is_empty(), "{:?}", home.leftovers());
        // Again: it is all here.
        assert_eq!(home.store.import(&file, Some("mine")).await.unwrap().id, image.id);
        assert_eq!(home.store.get("mine").unwrap().names.len(), 3);
    }
}

#[tokio::test]
async fn an_oci_layout_becomes_an_image_as_a_folder_and_as_an_archive() {
    let home = Home::new();
    let folder = home.dir.path().join("layout");
    layout(&folder, Some("docker.io/library/tool:1"), &two_layers());
    let image = home.store.import(&folder, None).await.unwrap();
    assert_eq!(image.names, ["docker.io/library/tool:1"]);
    assert_eq!(home.layer_file(&image, "etc/a").as_deref(), Some("2"));

    let archive = home.dir.path().join("layout.tar");
    run("tar", &["-C", folder.to_str().unwrap(), "-cf", archive.to_str().unwrap(), "."]);
    assert_eq!(home.store.import(&archive, Some("again")).await.unwrap().id, image.id);
}

#[tokio::test]
async fn damaged_layouts_are_refused() {
    let home = Home::new();
    let folder = home.dir.path().join("layout");
    layout(&folder, None, &two_layers());
    let blobs = folder.join("blobs/sha256");
    let largest = std::fs::read_dir(&blobs).unwrap().map(|e| e.unwrap().path());
    let layer = largest
        .filter(|f| std::fs::read(f).unwrap().starts_with(&[0x1f, 0x8b]))
        .max_by_key(|f| std::fs::metadata(f).unwrap().len())
        .unwrap();
    let whole = std::fs::read(&layer).unwrap();
    let mut changed = whole.clone();
    changed[20] ^= 1;
    std::fs::write(&layer, changed).unwrap();
    assert_eq!(code(home.store.import(&folder, None).await), "image.digest_mismatch");
    std::fs::write(&layer, &whole[..whole.len() - 5]).unwrap();
    assert_eq!(code(home.store.import(&folder, None).await), "image.truncated");
    std::fs::remove_file(&layer).unwrap();
    assert_eq!(code(home.store.import(&folder, None).await), "image.invalid");
    assert!(home.store.list().unwrap().is_empty());
}

#[tokio::test]
async fn a_layer_that_is_not_the_one_the_configuration_names_is_refused() {
    let home = Home::new();
    let mut saved = docker_save(&["tool:1"], &[Layer::new().file("a", "honest content").tar()]);
    let at = saved.windows(14).position(|w| w == b"honest content").unwrap();
    saved[at..at + 6].copy_from_slice(b"forged");
    let file = home.dir.path().join("saved.tar");
    std::fs::write(&file, saved).unwrap();
    assert_eq!(code(home.store.import(&file, None).await), "image.digest_mismatch");
    assert!(home.names("layers").is_empty());
}

#[tokio::test]
async fn what_is_no_archive_is_refused_in_words() {
    let home = Home::new();
    let file = home.dir.path().join("x");
    std::fs::write(&file, b"hello").unwrap();
    assert_eq!(code(home.store.import(&file, None).await), "image.truncated");
    std::fs::write(&file, b"").unwrap();
    assert_eq!(code(home.store.import(&file, None).await), "image.layer_invalid");
    std::fs::write(&file, gzip(b"hello")).unwrap();
    assert_eq!(code(home.store.import(&file, None).await), "image.truncated");
    assert_eq!(code(home.store.import(Path::new("/nonexistent"), None).await), "image.io");
    assert_eq!(code(home.store.import(&file, Some("Bad Name")).await), "image.bad_name");
}

#[tokio::test]
async fn a_root_archive_becomes_an_image_of_one_layer() {
    let home = Home::new();
    let tar = Layer::new()
        .dir("./")
        .file("./etc/os-release", "ID=test")
        .raw("./dev/null", b'3', "", 0o666, b"")
        .tar();
    for (nth, bytes) in [tar.clone(), gzip(&tar), zstd(&tar)].iter().enumerate() {
        let file = home.dir.path().join(format!("root{nth}"));
        std::fs::write(&file, bytes).unwrap();
        let image = home.store.import(&file, Some("base")).await.unwrap();
        assert_eq!(image.names, ["base:latest"]);
        assert_eq!(home.layer_file(&image, "etc/os-release").as_deref(), Some("ID=test"));
        assert!(!home.store.layer_dirs(&image)[0].join("dev/null").exists());
    }
    assert_eq!(home.names("layers").len(), 1, "the same content is one layer");
    let elsewhere = Layer::new().file("etc/a", "1").raw("x", b'4', "", 0o666, b"").tar();
    std::fs::write(home.dir.path().join("evil"), elsewhere).unwrap();
    let evil = home.store.import(&home.dir.path().join("evil"), None).await;
    assert_eq!(code(evil), "image.layer_device");
}

#[tokio::test]
async fn a_root_folder_becomes_an_image_with_its_links_holes_and_attributes() {
    let home = Home::new();
    let root = home.dir.path().join("root");
    std::fs::create_dir_all(root.join("etc")).unwrap();
    std::fs::write(root.join("etc/a"), "1").unwrap();
    std::fs::hard_link(root.join("etc/a"), root.join("etc/b")).unwrap();
    std::os::unix::fs::symlink("/etc/a", root.join("link")).unwrap();
    let big = std::fs::File::create(root.join("sparse")).unwrap();
    big.set_len(1 << 30).unwrap();
    run("mkfifo", &[root.join("pipe").to_str().unwrap()]);
    rustix::fs::setxattr(root.join("etc"), "user.note", b"1", rustix::fs::XattrFlags::empty())
        .unwrap();
    let mark = "user.overlay.opaque";
    rustix::fs::setxattr(root.join("etc"), mark, b"y", rustix::fs::XattrFlags::empty()).unwrap();

    let image = home.store.import(&root, Some("base:1")).await.unwrap();
    let dir = &home.store.layer_dirs(&image)[0];
    let ino = |name: &str| std::fs::metadata(dir.join(name)).unwrap().ino();
    assert_eq!(ino("etc/a"), ino("etc/b"));
    assert_eq!(std::fs::read_link(dir.join("link")).unwrap(), Path::new("/etc/a"));
    let sparse = std::fs::metadata(dir.join("sparse")).unwrap();
    assert_eq!(sparse.len(), 1 << 30);
    assert!(sparse.blocks() < 1000, "{}", sparse.blocks());
    assert!(std::fs::metadata(dir.join("pipe")).unwrap().file_type().is_fifo());
    let mut list = [0; 256];
    let n = rustix::fs::listxattr(dir.join("etc"), list.as_mut_slice()).unwrap();
    assert_eq!(&list[..n], b"user.note\0");
    assert!(image.size_bytes < 10 << 20, "{}", image.size_bytes);
}

/// GNU tar writes each of its formats; we read what it wrote.
#[tokio::test]
async fn every_format_of_gnu_tar_is_read() {
    let home = Home::new();
    let root = home.dir.path().join("root");
    let long = format!("etc/{}/{}", "d".repeat(120), "f".repeat(200));
    std::fs::create_dir_all(root.join(&long).parent().unwrap()).unwrap();
    std::fs::write(root.join(&long), "long").unwrap();
    std::os::unix::fs::symlink(&long, root.join("etc/to-long")).unwrap();
    let holes = std::fs::File::create(root.join("etc/holes")).unwrap();
    for at in [0u64, 1 << 20, 5 << 20] {
        use std::os::unix::fs::FileExt;
        holes.write_all_at(b"data", at).unwrap();
    }
    holes.set_len(9 << 20).unwrap();
    for n in 0..60u64 {
        use std::os::unix::fs::FileExt;
        holes.write_all_at(b"more", (6 << 20) + n * 40_000).unwrap();
    }
    let content = std::fs::read(root.join("etc/holes")).unwrap();
    for options in [
        &["--format=gnu", "--sparse"][..],
        &["--format=gnu"],
        &["--format=posix"],
        &["--format=posix", "--sparse", "--sparse-version=0.0"],
        &["--format=posix", "--sparse", "--sparse-version=0.1"],
        &["--format=posix", "--sparse", "--sparse-version=1.0"],
    ] {
        let file = home.dir.path().join("root.tar");
        let mut args = options.to_vec();
        args.extend(["-C", root.to_str().unwrap(), "-cf", file.to_str().unwrap(), "etc"]);
        run("tar", &args);
        let image = home.store.import(&file, Some("base")).await.unwrap();
        let dir = &home.store.layer_dirs(&image)[0];
        assert_eq!(std::fs::read_to_string(dir.join(&long)).unwrap(), "long", "{options:?}");
        assert_eq!(std::fs::read_link(dir.join("etc/to-long")).unwrap(), Path::new(&long));
        assert!(std::fs::read(dir.join("etc/holes")).unwrap() == content, "{options:?}");
        if options.contains(&"--sparse") {
            let blocks = std::fs::metadata(dir.join("etc/holes")).unwrap().blocks();
            assert!(blocks < 4000, "{options:?}: {blocks}");
        }
    }
}

fn run(program: &str, args: &[&str]) {
    assert!(Command::new(program).args(args).status().unwrap().success(), "{program} {args:?}");
}
