//! Pulling from a real registry: what arrives, for whom, as whom, from where.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::sync::Mutex;
use std::time::Duration;

use atelier_image::{Progress, PullOptions, StoreOptions};
use support::archive::{GZIP, Layer, TAR, ZSTD, digest, gzip, here, layers, zstd};
use support::fake::Fake;
use support::http::{Reply, Server};
use support::registry::{Packing, Registry};
use support::{Home, code, options, quiet};

fn always() -> PullOptions {
    PullOptions { always: true, ..PullOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_arrives_with_every_compression() {
    let registry = Registry::start().await;
    let ways: [Packing; 3] = [(GZIP, gzip), (ZSTD, zstd), (TAR, |bytes: &[u8]| bytes.to_vec())];
    for (nth, way) in ways.into_iter().enumerate() {
        let tag = format!("v{nth}");
        let manifest = registry.push_packed(("a/tool", &tag), here(), &layers(), way).await;
        let home = Home::new();
        let name = registry.name(&format!("a/tool:{tag}"));
        let image = home.store.pull(&name, &PullOptions::default(), &quiet).await.unwrap();
        assert_eq!(image.names, [name.as_str()]);
        assert_eq!(image.digest, Some(digest(&manifest)));
        assert_eq!((image.os.as_str(), image.architecture.as_str()), ("linux", here()));
        assert_eq!(image.layers.len(), 3);
        assert_eq!(home.layer_file(&image, "etc/a").as_deref(), Some("2"));
        assert_eq!(home.store.get(&name).unwrap(), image);
        assert!(home.leftovers().is_empty(), "{:?}", home.leftovers());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_that_are_here_are_not_downloaded_again() {
    let registry = Registry::start().await;
    registry.push("tool", "1", &layers()).await;
    let mut more = layers();
    more.push(Layer::new().file("new", "x").tar());
    registry.push("tool", "2", &more).await;
    let home = Home::new();
    let told = Mutex::new(Vec::new());
    let tell = |progress: Progress| told.lock().unwrap().push(progress);
    let first = registry.name("tool:1");
    home.store.pull(&first, &PullOptions::default(), &tell).await.unwrap();
    let fresh = |told: &Mutex<Vec<Progress>>, wanted: bool| {
        let is = |p: &&Progress| matches!(p, Progress::Ready { cached, .. } if *cached == wanted);
        told.lock().unwrap().iter().filter(is).count()
    };
    assert_eq!(fresh(&told, false), 3);
    told.lock().unwrap().clear();
    home.store.pull(&registry.name("tool:2"), &PullOptions::default(), &tell).await.unwrap();
    assert_eq!((fresh(&told, false), fresh(&told, true)), (1, 3));
    told.lock().unwrap().clear();
    home.store.pull(&first, &PullOptions::default(), &tell).await.unwrap();
    assert!(told.lock().unwrap().is_empty(), "the registry is not asked for what is here");
    home.store.pull(&first, &always(), &tell).await.unwrap();
    assert_eq!((fresh(&told, false), fresh(&told, true)), (0, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_of_the_same_layers_at_once_do_not_fight() {
    let registry = Registry::start().await;
    registry.push("tool", "1", &layers()).await;
    let home = Home::new();
    // A second store on the same folder stands for another process.
    let other = atelier_image::ImageStore::open(&home.images(), options()).unwrap();
    let name = registry.name("tool:1");
    let options = always();
    let pulls = (0..12).map(|n| {
        let store = if n % 2 == 0 { &home.store } else { &other };
        store.pull(&name, &options, &quiet)
    });
    let results = futures_util::future::join_all(pulls).await;
    let ids: std::collections::HashSet<_> =
        results.into_iter().map(|image| image.unwrap().id).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(home.names("layers").len(), 3);
    assert!(home.leftovers().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_gives_the_image_for_the_platform() {
    let registry = Registry::start().await;
    let mut images = Vec::new();
    for architecture in ["amd64", "arm64", "riscv64"] {
        let tar = Layer::new().file("arch", architecture).tar();
        let how = (GZIP, gzip as fn(&[u8]) -> Vec<u8>);
        let pushed = registry.push_packed(("multi", architecture), architecture, &[tar], how).await;
        images.push((architecture, pushed));
    }
    registry.push_index("multi", "all", &images).await;
    let home = Home::new();
    let name = registry.name("multi:all");
    let image = home.store.pull(&name, &PullOptions::default(), &quiet).await.unwrap();
    assert_eq!(home.layer_file(&image, "arch").as_deref(), Some(here()));
    for (platform, architecture) in
        [("linux/arm64/v8", "arm64"), ("linux/riscv64", "riscv64"), ("amd64", "amd64")]
    {
        let options = PullOptions { platform: Some(platform.into()), always: false };
        let image = home.store.pull(&name, &options, &quiet).await.unwrap();
        assert_eq!(home.layer_file(&image, "arch").as_deref(), Some(architecture));
    }
    let missing = PullOptions { platform: Some("linux/s390x".into()), always: false };
    assert_eq!(code(home.store.pull(&name, &missing, &quiet).await), "image.wrong_platform");
    let single = registry.name("multi:amd64");
    assert_eq!(code(home.store.pull(&single, &missing, &quiet).await), "image.wrong_platform");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_names_one_image_for_ever() {
    let registry = Registry::start().await;
    let old = registry.push("tool", "1", &layers()[..1]).await;
    registry.push("tool", "1", &layers()).await;
    let home = Home::new();
    let by_digest = registry.name(&format!("tool@{old}"));
    let image = home.store.pull(&by_digest, &PullOptions::default(), &quiet).await.unwrap();
    assert_eq!(image.layers.len(), 1);
    assert_eq!(image.names, [by_digest.as_str()]);
    assert_eq!(home.store.get(&by_digest).unwrap().id, image.id);
    let newer = home.store.pull(&registry.name("tool:1"), &always(), &quiet).await.unwrap();
    assert_eq!(newer.layers.len(), 3);
    let wrong = registry.name(&format!("tool@sha256:{}", "0".repeat(64)));
    assert_eq!(code(home.store.pull(&wrong, &always(), &quiet).await), "image.not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_registry_lacks_is_not_found() {
    let registry = Registry::start().await;
    let home = Home::new();
    for name in ["nothing", "nothing:here"] {
        let pulled = home.store.pull(&registry.name(name), &PullOptions::default(), &quiet).await;
        assert_eq!(code(pulled), "image.not_found");
    }
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let pulled = home.store.pull(&format!("{nobody}/x"), &always(), &quiet).await;
    assert_eq!(code(pulled), "image.registry_unreachable");
    assert_eq!(code(home.store.pull("Not A Name", &always(), &quiet).await), "image.bad_name");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_was_changed_in_the_registry_is_refused() {
    let registry = Registry::start().await;
    registry.push("tool", "1", &layers()).await;
    let blob = registry.blob_file(&digest(&gzip(&layers()[1])));
    let mut bytes = std::fs::read(&blob).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let home = Home::new();
    let pulled = home.store.pull(&registry.name("tool:1"), &always(), &quiet).await;
    assert_eq!(code(pulled), "image.digest_mismatch");
    assert!(home.store.list().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_in_dockers_file_opens_a_private_registry() {
    // htpasswd -nbB user secret
    let auth = "auth:\n  htpasswd:\n    realm: test\n    path: HTPASSWD\n";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("htpasswd");
    let made = std::process::Command::new("htpasswd")
        .args(["-bBc", file.to_str().unwrap(), "user", "secret"])
        .output()
        .expect("htpasswd is needed: apt-get install apache2-utils");
    assert!(made.status.success());
    let auth = auth.replace("HTPASSWD", file.to_str().unwrap());
    let header = [("Authorization", "Basic dXNlcjpzZWNyZXQ=")];
    let registry = Registry::start_with(&auth, &header).await;
    registry.push("private/tool", "1", &layers()).await;
    let name = registry.name("private/tool:1");

    assert_eq!(code(Home::new().store.pull(&name, &always(), &quiet).await), "image.unauthorized");
    for (entry, works) in [
        (r#"{"auth": "dXNlcjpzZWNyZXQ="}"#, true),
        (r#"{"username": "user", "password": "secret"}"#, true),
        (r#"{"auth": "dXNlcjp3cm9uZw=="}"#, false),
    ] {
        let config = dir.path().join("config.json");
        std::fs::write(&config, format!(r#"{{"auths": {{"{}": {entry}}}}}"#, registry.address))
            .unwrap();
        let home = Home::with(StoreOptions { auth_files: vec![config], ..options() });
        let pulled = home.store.pull(&name, &always(), &quiet).await;
        if works {
            assert_eq!(pulled.unwrap().layers.len(), 3);
        } else {
            let error = pulled.unwrap_err();
            assert!(!error.to_string().contains("wrong"), "no password in a message: {error}");
            assert_eq!(code::<()>(Err(error)), "image.unauthorized");
        }
    }
}

fn challenge(kind: &str) -> Reply {
    Reply::Full(401, vec![("WWW-Authenticate".into(), kind.into())], Vec::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_bought_with_what_docker_stored() {
    let fake = Fake::new();
    let server = Server::start(move |request| {
        let host = &request.headers["host"];
        let bearer = format!("Bearer realm=\"http://{host}/token\",service=\"s\"");
        if request.path.starts_with("/token") {
            let buys = request.headers.get("authorization").is_some_and(|a| a == "Basic dTpw")
                || request.body.contains("refresh_token=identity")
                    && request.body.contains("grant_type=refresh_token");
            let scope = "scope=repository%3Aa%2Fb%3Apull";
            assert!(request.path.contains(scope) || request.body.contains(scope));
            return if buys {
                Reply::ok("application/json", r#"{"access_token": "good"}"#)
            } else {
                Reply::status(401)
            };
        }
        match request.headers.get("authorization") {
            Some(value) if value == "Bearer good" => fake.answer(&request.path),
            _ => challenge(&bearer),
        }
    })
    .await;
    let name = format!("{}/a/b:1", server.address);
    let dir = tempfile::tempdir().unwrap();
    let helper = dir.path().join("docker-credential-atelier-test");
    let script = format!(
        "#!/bin/sh\nread host\n[ \"$host\" = {} ] || exit 1\n\
         echo '{{\"ServerURL\": \"x\", \"Username\": \"<token>\", \"Secret\": \"identity\"}}'\n",
        server.address
    );
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // The helper is looked for on the path of this process.
    let path = std::env::var("PATH").unwrap();
    // SAFETY: nextest runs each test in a process of its own, and no thread reads it yet.
    unsafe { std::env::set_var("PATH", format!("{}:{path}", dir.path().display())) };
    let host = server.address;
    for (config, expected) in [
        (format!(r#"{{"auths": {{"{host}": {{"auth": "dTpw"}}}}}}"#), None),
        (format!(r#"{{"auths": {{"{host}": {{"identitytoken": "identity"}}}}}}"#), None),
        (format!(r#"{{"auths": {{"https://{host}/v1/": {{"registrytoken": "good"}}}}}}"#), None),
        (format!(r#"{{"auths": {{"{host}/a": {{"auth": "dTpw"}}}}}}"#), None),
        (format!(r#"{{"credHelpers": {{"{host}": "atelier-test"}}}}"#), None),
        (r#"{"credsStore": "atelier-test"}"#.to_owned(), None),
        (r#"{"credsStore": "not-installed"}"#.to_owned(), Some("image.unauthorized")),
        (
            format!(r#"{{"credHelpers": {{"{host}": "not-installed"}}}}"#),
            Some("image.credentials_unreadable"),
        ),
        (
            format!(r#"{{"credHelpers": {{"{host}": "../x"}}}}"#),
            Some("image.credentials_unreadable"),
        ),
        ("{}".to_owned(), Some("image.unauthorized")),
        ("{broken".to_owned(), Some("image.credentials_unreadable")),
    ] {
        let file = dir.path().join("config.json");
        std::fs::write(&file, &config).unwrap();
        let home = Home::with(StoreOptions { auth_files: vec![file], ..options() });
        let pulled = home.store.pull(&name, &always(), &quiet).await;
        match expected {
            None => assert_eq!(pulled.expect(&config).layers.len(), 3),
            Some(expected) => assert_eq!(code(pulled), expected, "{config}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mirrors_are_asked_first_and_the_registry_last() {
    let upstream = Registry::start().await;
    upstream.push("library/tool", "1", &layers()).await;
    upstream.push("hub/library/other", "1", &layers()).await;
    let broken = Server::start(|_| Reply::status(500)).await;
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut options = options();
    options.mirrors.insert(
        "docker.io".into(),
        vec![
            format!("http://{dead}"),
            format!("http://{}", broken.address),
            format!("http://{}", upstream.address),
            format!("http://{}/v2/hub", upstream.address),
        ],
    );
    let home = Home::with(options);
    let image = home.store.pull("tool:1", &always(), &quiet).await.unwrap();
    assert_eq!(image.names, ["docker.io/library/tool:1"]);
    assert_eq!(broken.paths(), ["/v2/library/tool/manifests/1"]);
}

/// The other half of the next test: pulls again and again until it is killed.
#[tokio::test(flavor = "multi_thread")]
async fn pulls_for_ever_when_asked_to() {
    let (Ok(root), Ok(name)) = (std::env::var("PULL_INTO"), std::env::var("PULL_NAME")) else {
        return;
    };
    loop {
        let store = atelier_image::ImageStore::open(root.as_ref(), options()).unwrap();
        store.pull(&name, &always(), &quiet).await.unwrap();
        store.prune(&|_| false, true).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_leaves_nothing_half() {
    let registry = Registry::start().await;
    let big = |n: u8| {
        let files = (0..40).fold(Layer::new(), |layer, file| {
            layer.file(&format!("d{n}/f{file}"), &"x".repeat(20_000))
        });
        files.tar()
    };
    registry.push("tool", "1", &[big(1), big(2), big(3)]).await;
    let name = registry.name("tool:1");
    let home = Home::new();
    for round in 0..12u64 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "pulls_for_ever_when_asked_to", "--nocapture"])
            .env("PULL_INTO", home.images())
            .env("PULL_NAME", &name)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(60 + 23 * round)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let store = atelier_image::ImageStore::open(&home.images(), options()).unwrap();
        assert_eq!(home.leftovers(), Vec::<String>::new());
        for image in store.list().unwrap() {
            let dirs = store.layer_dirs(&image);
            assert_eq!(dirs.len(), 3);
            let files: usize = dirs
                .iter()
                .map(|dir| {
                    let folder = std::fs::read_dir(dir).unwrap().next().unwrap().unwrap().path();
                    std::fs::read_dir(folder).unwrap().count()
                })
                .sum();
            assert_eq!(files, 120);
        }
        store.pull(&name, &PullOptions::default(), &quiet).await.unwrap();
    }
}
