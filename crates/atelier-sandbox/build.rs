//! Builds the static guest that this crate carries within it.
//!
//! A nested cargo, because the guest needs flags of its own (static, small) that cargo can't give
//! to one member of a workspace. It has its own target folder, so that the two don't wait for each
//! other, shared by every profile of the outer build.

// A build script has one way to say that it can't go on.
#![allow(clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let workspace = manifest_dir().join("../..");
    for part in ["atelier-guest", "atelier-launch", "atelier-net", "atelier-sftp", "atelier-wire"] {
        println!(
            "cargo:rerun-if-changed={}",
            workspace.join("crates").join(part).join("src").display()
        );
        println!(
            "cargo:rerun-if-changed={}",
            workspace.join("crates").join(part).join("Cargo.toml").display()
        );
    }
    println!("cargo:rerun-if-changed={}", workspace.join("Cargo.lock").display());
    let guest = build(&workspace);
    let size = std::fs::metadata(&guest).expect("the guest was built").len();
    println!("cargo:rustc-env=ATELIER_GUEST={}", packed(&guest).display());
    println!("cargo:rustc-env=ATELIER_GUEST_SIZE={size}");
    println!("cargo:rustc-env=ATELIER_GUEST_HASH={}", hash(&guest));
}

/// Asked for when the script runs: a checkout may have moved since the script was compiled.
fn manifest_dir() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR").into()
}

/// `target/PROFILE/build/CRATE/out` gives `target/guest`.
fn target_dir() -> PathBuf {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    out.ancestors().nth(4).expect("OUT_DIR lies in a target folder").join("guest")
}

fn build(workspace: &Path) -> PathBuf {
    let architecture = std::env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it");
    let triple = format!("{architecture}-unknown-linux-gnu");
    let target_dir = target_dir();
    let cargo = std::env::var_os("CARGO").expect("cargo sets CARGO");
    let mut command = Command::new(cargo);
    command
        .current_dir(workspace)
        .args(["build", "--locked", "--package", "atelier-guest", "--bin", "atelier-guest"])
        .args(["--no-default-features", "--features", "serve,host,machine", "--profile", "guest"])
        .args(["--target", &triple, "--target-dir"])
        .arg(&target_dir)
        .env("RUSTFLAGS", "-C target-feature=+crt-static -C relocation-model=static");
    // What the outer cargo sets for this crate would mislead the inner one: clippy's wrapper above
    // all, which would build no binary.
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        if name.starts_with("CARGO_")
            && !["CARGO_HOME", "CARGO_BUILD_JOBS", "CARGO_NET_OFFLINE"].contains(&name.as_ref())
            || name == "CARGO_ENCODED_RUSTFLAGS"
            || name.starts_with("RUSTC")
        {
            command.env_remove(&key);
        }
    }
    let status = command.status().expect("cargo runs");
    assert!(status.success(), "the guest does not build: see above");
    target_dir.join(triple).join("guest").join("atelier-guest")
}

/// The file compressed, which is less than half of it.
fn packed(path: &Path) -> PathBuf {
    let out = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    let packed = PathBuf::from(out).join("guest.gz");
    let target = std::fs::File::create(&packed).expect("OUT_DIR can be written");
    let mut writer = flate2::write::GzEncoder::new(target, flate2::Compression::best());
    let mut guest = std::fs::File::open(path).expect("the guest was built");
    std::io::copy(&mut guest, &mut writer).expect("the guest is packed");
    writer.finish().expect("the guest is packed");
    packed
}

/// FNV-1a over the file: it only tells one build's file from another's.
fn hash(path: &Path) -> String {
    let bytes = std::fs::read(path).expect("the guest was built");
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
