//! The public registry of ATK, as published: every plugin is read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::PathBuf;

use atelier_plugin::{Index, Plugin, Slug, Transport};

fn registry() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/atk-registry");
    assert!(root.is_dir(), "{} is missing: the data that tests share", root.display());
    root
}

fn index() -> Index {
    let file = registry().join("index.yaml");
    Index::parse(&fs::read_to_string(&file).unwrap(), &file).unwrap()
}

#[test]
fn all_plugins_of_the_index_are_read() {
    let index = index();
    assert_eq!(index.plugins.len(), 20);
    let (mut variables, mut servers) = (0, 0);
    for entry in &index.plugins {
        let plugin = Plugin::load(&registry().join(&entry.path)).unwrap();
        assert!(Slug::of_name(&plugin.name).is_ok(), "{}", plugin.name);
        variables += plugin.env_vars.len();
        if let Some(mcp) = &plugin.mcp {
            assert_eq!(mcp.transport, Transport::Stdio, "{}", plugin.name);
            servers += 1;
        }
    }
    assert_eq!((variables, servers), (54, 17));
}

#[test]
fn overrides_change_what_they_name_and_their_mistakes_are_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = registry().join("plugins/notion/plugin.yaml");
    fs::copy(upstream, folder.path().join("plugin.yaml")).unwrap();
    fs::create_dir(folder.path().join("custom")).unwrap();
    let overrides = folder.path().join("custom/overrides.yaml");
    fs::write(&overrides, "mcp:\n  args: [one]\n").unwrap();
    let plugin = Plugin::load(folder.path()).unwrap();
    let mcp = plugin.mcp.unwrap();
    assert_eq!(
        (mcp.command.as_deref(), mcp.args.as_slice()),
        (Some("npx"), &["one".to_owned()][..])
    );

    fs::write(&overrides, "mcp:\n  args: 7\n").unwrap();
    let error = Plugin::load(folder.path()).unwrap_err();
    let finding = &error.findings()[0];
    assert_eq!((finding.file.as_path(), finding.line), (overrides.as_path(), 2));
}

#[test]
fn an_index_that_leads_out_of_its_registry_is_refused() {
    for path in ["../x", "/etc", "plugins/../../x", "."] {
        let text = format!("plugins: [{{name: fine, path: '{path}', description: d}}]");
        let error = Index::parse(&text, "index.yaml".as_ref()).unwrap_err();
        assert!(error.to_string().contains("no folder inside"), "{error}");
    }
    assert!(Index::parse("plugins: [{name: ../x, path: a}]", "i".as_ref()).is_err());
}

#[test]
fn the_schema_knows_what_is_read() {
    let schema = atelier_plugin::json_schema();
    let properties = schema["properties"].as_object().unwrap();
    for key in ["schema_version", "mcp", "data", "health", "sandbox", "env_vars"] {
        assert!(properties.contains_key(key), "{key}");
    }
    assert_eq!(schema["additionalProperties"], false);
}
