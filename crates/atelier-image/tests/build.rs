//! Building from a Dockerfile with whatever builder this machine has.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::path::Path;
use std::sync::Mutex;

use atelier_image::BuildRequest;
use support::{Home, code};

/// Builders keep what they make in a folder of the test, by plain copies, so that nothing stays.
fn own_storage(dir: &Path) {
    let (root, run) = (dir.join("containers"), dir.join("run"));
    let file = dir.join("storage.conf");
    let text = format!("[storage]\ndriver = \"vfs\"\ngraphroot = {root:?}\nrunroot = {run:?}\n");
    std::fs::write(&file, text).unwrap();
    // SAFETY: nextest runs each test in a process of its own, and no thread reads it yet.
    unsafe { std::env::set_var("CONTAINERS_STORAGE_CONF", file) };
}

fn context(dir: &Path, dockerfile: &str) -> BuildRequest {
    let context = dir.join("context");
    std::fs::create_dir_all(&context).unwrap();
    std::fs::write(context.join("Dockerfile"), dockerfile).unwrap();
    std::fs::write(context.join("file"), "from the context").unwrap();
    BuildRequest { context, tag: Some("built:1".into()), ..BuildRequest::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dockerfile_becomes_an_image() {
    let home = Home::new();
    own_storage(home.dir.path());
    let mut request = context(
        home.dir.path(),
        "FROM scratch AS first\nARG WHO=nobody\nCOPY file /data/file\nENV WHO=$WHO\n\
         CMD [\"/bin/x\"]\nFROM first AS second\nENV STAGE=second\n",
    );
    request.build_args.insert("WHO".into(), "me".into());
    let lines = Mutex::new(Vec::new());
    let told = |line: &str| lines.lock().unwrap().push(line.to_owned());
    let image = home.store.build(&request, &told).await.unwrap();
    assert_eq!(image.names, ["built:1"]);
    assert_eq!(home.layer_file(&image, "data/file").as_deref(), Some("from the context"));
    assert!(image.config.env.contains(&"WHO=me".to_owned()), "{:?}", image.config.env);
    assert!(image.config.env.contains(&"STAGE=second".to_owned()));
    assert!(lines.lock().unwrap().iter().any(|line| line.contains("COPY")));

    request.target = Some("first".into());
    let first = home.store.build(&request, &|_| {}).await.unwrap();
    assert!(!first.config.env.contains(&"STAGE=second".to_owned()));
    assert_eq!(home.store.get("built:1").unwrap().id, first.id);
    assert!(home.leftovers().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_build_says_what_the_builder_said() {
    let home = Home::new();
    own_storage(home.dir.path());
    let request = context(home.dir.path(), "FROM scratch\nCOPY missing-file /x\n");
    let built = home.store.build(&request, &|_| {}).await;
    let text = built.as_ref().unwrap_err().to_string();
    assert!(text.contains("missing-file"), "{text}");
    assert_eq!(code(built), "image.build_failed");
    // Where Buildah is the builder, its working container is gone.
    if let Ok(left) = std::process::Command::new("buildah").args(["containers", "-aq"]).output() {
        assert_eq!(String::from_utf8_lossy(&left.stdout), "");
    }
    let none = BuildRequest { context: "/nonexistent".into(), ..BuildRequest::default() };
    assert_eq!(code(home.store.build(&none, &|_| {}).await), "image.io");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_a_builder_is_told_what_to_install() {
    let home = Home::new();
    let request = context(home.dir.path(), "FROM scratch\n");
    let programs = home.dir.path().join("bin");
    std::fs::create_dir(&programs).unwrap();
    for program in ["docker", "podman", "buildah"] {
        let file = programs.join(program);
        std::fs::write(&file, "#!/bin/sh\necho no daemon >&2\nexit 1\n").unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
    }
    // SAFETY: nextest runs each test in a process of its own, and no thread reads it yet.
    unsafe { std::env::set_var("PATH", format!("{}:/usr/bin:/bin", programs.display())) };
    let error = home.store.build(&request, &|_| {}).await.unwrap_err();
    assert!(error.to_string().contains("buildah does not work: no daemon"), "{error}");
    let hints = atelier_api::Fault::hints(&error);
    assert!(hints[0].contains("apt-get install buildah"));
    assert_eq!(code::<()>(Err(error)), "image.no_builder");
}
