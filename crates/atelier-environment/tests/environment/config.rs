//! `atelier.yaml`: what is valid, and where it says a mistake is.

use std::path::Path;

use atelier_api::{ExitCode, Fault};
use atelier_environment::{ByteSize, Config, Error, Network};

fn parse(text: &[u8]) -> atelier_environment::Result<Config> {
    Config::parse(text, Path::new("atelier.yaml"))
}

#[test]
fn every_setting_can_be_given() {
    let config = parse(
        b"name: shop\nruntime: host\nresources: {memory: 2GiB, cpus: 1.5, processes: 512, disk: 10g}\n\
          grants: [ssh]\nenv: {LOG: debug}\ninit: npm ci\ncommands: {test: npm test}\n\
          network: {allow: ['registry.npmjs.org:443']}\nport: 3000\n",
    )
    .unwrap();
    assert_eq!(config.resources.memory, Some(ByteSize(2 << 30)));
    assert_eq!(config.resources.disk, Some(ByteSize(10 << 30)));
    assert_eq!(config.commands["test"], "npm test");
    assert_eq!(config.network, Some(Network::Allow(vec!["registry.npmjs.org:443".into()])));
    assert_eq!(parse(b"network: none").unwrap().network, Some(Network::None));
    for empty in [b"".as_slice(), b"# only a comment\n", b"---\n"] {
        assert_eq!(parse(empty).unwrap(), Config::default());
    }
}

#[test]
fn a_mistake_is_shown_where_it_is_and_the_likely_name_is_named() {
    for (text, line, column, word, hint) in [
        (b"name: shop\ncomands:\n  test: x\n".as_slice(), 2, 1, "comands", Some("commands")),
        (b"resources:\n  memroy: 1g\n", 2, 3, "memroy", Some("memory")),
        (b"resources:\n  memory: lots\n", 2, 11, "lots", None),
        (b"port: 99999\n", 1, 7, "", None),
        (b"port: [1]\n", 1, 7, "", None),
        (b"name: a\nname: b\n", 2, 1, "twice", None),
        (b"name: Not Valid\n", 1, 7, "not valid", None),
        (b"port: 1\nnetwork: opne\n", 2, 1, "opne", Some("open")),
        (b"port: 1\nnetwork: {allow: [http://x/]}\n", 2, 10, "http://x/", None),
        (b"env:\n  A: \xff\n", 2, 6, "UTF-8", None),
        (b"env: [unclosed\n", 0, 0, "", None),
    ] {
        let error = parse(text).unwrap_err();
        let Error::Config { line: l, column: c, message, suggestion, .. } = &error else {
            panic!("{error:?}");
        };
        if line > 0 {
            assert_eq!((*l, *c), (line, column), "{error}");
        }
        assert!(message.contains(word), "{error}");
        assert!(!message.contains('\n'), "{error}");
        assert_eq!(suggestion.as_deref(), hint, "{error}");
        assert_eq!(error.exit(), ExitCode::InvalidInput);
    }
}

#[test]
fn the_schema_names_every_setting() {
    let schema = serde_json::to_value(Config::json_schema()).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    assert_eq!(properties.len(), 12);
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn a_project_of_cilo_is_read_as_it_is_and_its_mistakes_have_a_place() {
    let tmp = tempfile::tempdir().unwrap();
    std::fs::create_dir(tmp.path().join(".cilo")).unwrap();
    let file = tmp.path().join(".cilo/config.yml");
    std::fs::write(&file, "project: shop\ncompose_files: [a.yml]\nenv: {copy_mode: none}\n")
        .unwrap();
    let config = Config::load(tmp.path()).unwrap();
    assert_eq!(config.name.unwrap().as_str(), "shop");
    assert_eq!(config.services.files, [Path::new("a.yml")]);
    assert_eq!(config.files.ignore, [".env", ".env.*"]);
    assert!(config.notes.is_empty());
    std::fs::write(&file, "project: shop\nenv:\n  render: [{file: ../x}]\n").unwrap();
    let error = Config::load(tmp.path()).unwrap_err();
    assert!(error.to_string().contains("../x"), "{error}");
    std::fs::write(&file, "env:\n  copy_mode: most\n").unwrap();
    let error = Config::load(tmp.path()).unwrap_err();
    assert!(error.to_string().contains("config.yml:2:14: `most`"), "{error}");
    std::fs::write(tmp.path().join("atelier.yaml"), "name: own\n").unwrap();
    assert_eq!(Config::load(tmp.path()).unwrap().name.unwrap().as_str(), "own");
}
