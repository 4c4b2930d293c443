//! Bad repositories, bad folders, signed registries, the MCP Registry.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::time::Duration;

use atelier_api::Fault;
use atelier_tools::home::Registry;
use atelier_tools::verbs;
use atelier_tools::{Context, Limits, ToolsError};
use support::*;

/// A repository with a good plugin, changed by `change`, added; the error.
fn refused(change: impl FnOnce(&std::path::Path)) -> ToolsError {
    let world = World::new();
    let repository = world.folder.path().join("repo");
    plugin(&repository, "Bad", "");
    git(&repository, &["init", "-q", "-b", "main"]);
    change(&repository);
    commit(&repository, "bad");
    let before = world.snapshot();
    let error = world.add(&format!("file://{}", repository.display())).unwrap_err();
    assert_eq!(world.snapshot(), before);
    world.assert_clean();
    assert!(!world.folder.path().join("pwned").exists());
    error
}

#[test]
fn a_link_that_leaves_the_plugin_is_refused() {
    for target in ["/etc/passwd", "../../../../etc/passwd", "lib/../../x"] {
        let error = refused(|repository| symlink(target, repository.join("leak")).unwrap());
        assert!(error.to_string().contains("leak: it is a link to"), "{error}");
        assert_eq!(error.exit().code(), 5);
    }
}

#[test]
fn a_submodule_is_refused() {
    let error = refused(|repository| {
        let other = repository.parent().unwrap().join("other");
        plugin(&other, "Other", "");
        git(&other, &["init", "-q"]);
        commit(&other, "x");
        git(repository, &["submodule", "-q", "add", other.to_str().unwrap(), "sub"]);
    });
    assert!(error.to_string().contains("sub") && error.exit().code() == 5, "{error}");
}

#[test]
fn a_tree_that_names_paths_outside_is_refused() {
    let world = World::new();
    let repository = world.folder.path().join("repo");
    plugin(&repository, "Bad", "");
    git(&repository, &["init", "-q", "-b", "main"]);
    for name in ["..", ".git"] {
        // git itself refuses to stage such a path, so the tree is made by hand.
        let blob = git(&repository, &["hash-object", "-w", "plugin.yaml"]);
        let inner = mktree(&repository, &format!("100644 blob {blob}\tpwned\n"));
        let odd = mktree(&repository, &format!("040000 tree {inner}\t{name}\n"));
        let root = mktree(
            &repository,
            &format!("040000 tree {odd}\ta\n100644 blob {blob}\tplugin.yaml\n"),
        );
        let commit = git(&repository, &["commit-tree", "-m", "x", &root]);
        git(&repository, &["update-ref", "refs/heads/main", &commit]);
        let error = world.add(&format!("file://{}", repository.display())).unwrap_err();
        assert_eq!(error.exit().code(), 5, "{error}");
        world.assert_clean();
    }
}

/// A tree object as it is written, good or bad.
fn mktree(folder: &std::path::Path, entries: &str) -> String {
    let mut child = std::process::Command::new("git")
        .arg("mktree")
        .current_dir(folder)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(entries.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

#[test]
fn hooks_filters_and_settings_of_a_repository_run_nothing() {
    let world = World::new();
    let repository = world.folder.path().join("repo");
    plugin(&repository, "Sly", "");
    write(&repository.join(".gitattributes"), "* filter=evil diff=evil\n");
    git(&repository, &["init", "-q", "-b", "main"]);
    commit(&repository, "x");
    let pwned = world.folder.path().join("pwned");
    let evil = format!("touch {}", pwned.display());
    for key in [
        "filter.evil.smudge",
        "filter.evil.clean",
        "core.fsmonitor",
        "diff.external",
        "core.sshCommand",
    ] {
        git(&repository, &["config", key, &evil]);
    }
    for hook in ["post-checkout", "pre-commit", "post-merge", "reference-transaction", "pre-upload"]
    {
        write(&repository.join(".git/hooks").join(hook), &format!("#!/bin/sh\n{evil}\n"));
        std::process::Command::new("chmod")
            .args(["+x"])
            .arg(repository.join(".git/hooks").join(hook))
            .status()
            .unwrap();
    }
    world.add(&format!("file://{}", repository.display())).unwrap();
    verbs::remove(
        &world.home,
        "sly",
        &verbs::RemoveOptions::default(),
        &context(&Shell(&world.home), QUIET),
    )
    .unwrap();
    world.add("./repo").unwrap();
    assert!(!pwned.exists());
}

#[test]
fn secrets_and_the_users_folder_are_left_out_of_a_copy() {
    let world = World::new();
    let folder = world.folder.path().join("local");
    plugin(&folder, "Local", "");
    write(&folder.join(".env"), "KEY=secret");
    write(&folder.join("custom/x"), "x");
    write(&folder.join("node_modules/big/x"), "x");
    let added = world.add("./local").unwrap();
    assert_eq!(added.notes.len(), 2, "{:?}", added.notes);
    let files = git(world.home.root(), &["ls-files", "plugins"]);
    assert_eq!(
        files.lines().collect::<Vec<_>>(),
        ["plugins/local/mcp.sh", "plugins/local/plugin.yaml"]
    );
}

#[test]
fn a_plugin_that_is_huge_or_hangs_is_given_up() {
    let world = World::new();
    let folder = world.folder.path().join("big");
    plugin(&folder, "Big", "");
    (0..20).for_each(|n| write(&folder.join(format!("f{n}")), &"x".repeat(100_000)));
    git(&folder, &["init", "-q", "-b", "main"]);
    commit(&folder, "x");
    let shell = Shell(&world.home);
    let limited = |limits: Limits| Context { limits, ..context(&shell, QUIET) };
    let url = format!("file://{}", folder.display());
    for what in [url.as_str(), "./big"] {
        for limits in [
            Limits { bytes: 1 << 20, ..Limits::default() },
            Limits { files: 10, ..Limits::default() },
        ] {
            let error =
                verbs::add(&world.home, &world.options(what), &limited(limits)).unwrap_err();
            assert_eq!(error.code(), "tool.limit", "{error}");
        }
    }
    // A server that takes the connection and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/o/r", silent.local_addr().unwrap());
    let limits = Limits { time: Duration::from_millis(300), ..Limits::default() };
    let error = verbs::add(&world.home, &world.options(&url), &limited(limits)).unwrap_err();
    assert_eq!(error.code(), "tool.limit", "{error}");
    world.assert_clean();
}

#[test]
fn a_repository_keeps_its_plugin_in_a_folder_for_it() {
    let world = World::new();
    for (repo, place) in [("one", ".atk"), ("two", ".atelier"), ("three", "")] {
        let repository = world.folder.path().join(repo);
        plugin(&repository.join(place), &format!("Plugin {repo}"), "");
        git(&repository, &["init", "-q", "-b", "main"]);
        commit(&repository, "x");
        let added = world.add(&format!("file://{}", repository.display())).unwrap();
        assert_eq!(added.slug.as_str(), format!("plugin-{repo}"));
        assert_eq!(added.resolved.subdir.unwrap_or_default(), place);
    }
    let error = world.add(&format!("file://{}#nowhere", world.registry.display())).unwrap_err();
    assert_eq!(error.exit().code(), 7, "{error}");
}

/// A minisign signature (its older form, without a pre-hash) and the public key, with a key made here.
fn sign(text: &[u8]) -> (String, String) {
    use base64::Engine as _;
    use ring::signature::KeyPair;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let key = ring::signature::Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let (id, comment) = ([1u8; 8], "a comment");
    let signature = key.sign(text).as_ref().to_vec();
    let global = key.sign(&[signature.as_slice(), comment.as_bytes()].concat()).as_ref().to_vec();
    let line = encode(&[b"Ed".as_slice(), &id, &signature].concat());
    let signature =
        format!("untrusted comment: x\n{line}\ntrusted comment: {comment}\n{}\n", encode(&global));
    (signature, encode(&[b"Ed".as_slice(), &id, key.public_key().as_ref()].concat()))
}

#[test]
fn a_signed_registry_is_believed_only_with_its_signature_and_its_files() {
    let world = World::new();
    let registry = world.folder.path().join("signed");
    plugin(&registry.join("plugins/echo"), "Echo", "");
    let shell = Shell(&world.home);
    let context = context(&shell, QUIET);
    let digest = verbs::validate(&registry.join("plugins/echo"), &context).unwrap().sha256.unwrap();
    let index = format!(
        "plugins:\n- {{name: echo, path: plugins/echo, description: x, sha256: {digest}}}\n"
    );
    let (signature, key) = sign(index.as_bytes());
    write(&registry.join("index.yaml"), &index);
    write(&registry.join("index.yaml.minisig"), &signature);
    git(&registry, &["init", "-q", "-b", "main"]);
    commit(&registry, "x");
    let entry = Registry {
        name: "team".into(),
        url: format!("file://{}", registry.display()),
        key: Some(key),
        ..Registry::default()
    };
    verbs::registry_add(&world.home, &entry, &context).unwrap();
    world.add("team/echo").unwrap();
    verbs::remove(&world.home, "echo", &verbs::RemoveOptions::default(), &context).unwrap();
    // Other files than the index vouches for.
    write(&registry.join("plugins/echo/mcp.sh"), "evil");
    commit(&registry, "x");
    assert_eq!(world.add("team/echo").unwrap_err().code(), "tool.signature");
    // An index that nobody signed.
    write(&registry.join("index.yaml"), &index.replace("description: x", "description: y"));
    commit(&registry, "x");
    let error = world.add("team/echo").unwrap_err();
    assert_eq!((error.code(), error.exit().code()), ("tool.signature", 10), "{error}");
    assert_eq!(verbs::registry_remove(&world.home, "team", &context).map(drop).ok(), Some(()));
}

#[test]
fn a_search_is_ranked_and_works_offline_from_what_was_fetched() {
    let world = World::new();
    let shell = Shell(&world.home);
    let context = context(&shell, QUIET);
    let search = |query: &str, offline| {
        let options = verbs::SearchOptions { query: query.into(), offline, mcp: None };
        verbs::search(&world.home, &options, &context)
    };
    assert_eq!(search("echo", true).unwrap_err().exit().code(), 7);
    let found = search("echo", false).unwrap();
    assert_eq!((found.tools.len(), found.tools[0].name.as_str()), (1, "echo"));
    std::fs::rename(&world.registry, world.folder.path().join("gone")).unwrap();
    let found = search("hears", true).unwrap();
    assert_eq!(found.tools[0].name, "echo");
    assert!(found.registries[0].age.unwrap() < 3600);
    assert_eq!(world.add("echo").unwrap_err().exit().code(), 7);
}

#[test]
fn a_server_of_the_mcp_registry_becomes_a_tool() {
    let world = World::new();
    let server = r#"{"server": {"name": "io.github.o/weather", "description": "Weather", "version": "1.0.0",
      "remotes": [{"type": "streamable-http", "url": "https://example.org/mcp"}]}, "_meta": {}}"#;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let answers = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for status in ["404 Not Found", "200 OK"] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            let n = stream.read(&mut buffer).unwrap();
            asked.push(
                String::from_utf8_lossy(&buffer[..n]).lines().next().unwrap_or_default().to_owned(),
            );
            let body = if status.starts_with("200") { server } else { "" };
            write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
        }
        asked
    });
    let added = world.add(&format!("mcp:{base}#io.github.o/weather")).unwrap();
    assert_eq!(
        (added.slug.as_str(), added.resolved.version.as_deref()),
        ("weather", Some("1.0.0"))
    );
    assert_eq!(
        answers.join().unwrap()[1],
        "GET /v0/servers/io.github.o%2Fweather/versions/latest HTTP/1.1"
    );
    let shown = verbs::show(&world.home, "weather").unwrap();
    assert_eq!(
        shown.plugin.unwrap().mcp.unwrap().endpoint.as_deref(),
        Some("https://example.org/mcp")
    );
    world.assert_clean();
}

#[test]
fn validate_tells_all_problems_at_once() {
    let world = World::new();
    let folder = world.folder.path().join("bad");
    plugin(
        &folder,
        "Bad",
        "lifecycle: {install: ./missing.sh, uninstall: 'true'}\nmcp: {transport: stdio, command: sh}\n",
    );
    symlink("/etc", folder.join("etc")).unwrap();
    let found = verbs::validate(&folder, &context(&Shell(&world.home), QUIET)).unwrap();
    assert!(!found.valid && found.problems.iter().any(|p| p.file == "etc"), "{found:?}");
    std::fs::remove_file(folder.join("etc")).unwrap();
    let found = verbs::validate(&folder, &context(&Shell(&world.home), QUIET)).unwrap();
    assert!(found.problems[0].message.contains("missing.sh"), "{found:?}");
    write(
        &folder.join("plugin.yaml"),
        "schema_version: atelier/1\nname: 1\nport: 3\nmcp: {transport: x}\n",
    );
    let found = verbs::validate(&folder, &context(&Shell(&world.home), QUIET)).unwrap();
    assert!(
        found.problems.len() >= 3 && found.problems.iter().any(|p| p.line == Some(3)),
        "{found:?}"
    );
}
