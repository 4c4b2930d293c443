//! Settings of tools: kept, sealed, resolved, asked for.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use atelier_api::Fault;
use atelier_plugin::Plugin;
use atelier_toolrun::secrets::{
    self, Answer, Error, Given, Keys, Origin, Purpose, Recipients, Secret, Settings,
};
use atelier_tools::{Home, Slug};
use serde_json::{Value, json};

const PLUGIN: &str = r#"
schema_version: atelier/1
name: Notion
description: Notes
env_vars:
  - {name: TOKEN, required: true, secret: true, description: The key}
  - {name: PORT, default: "8080", format: port}
  - {name: MODE, choices: [fast, slow]}
  - {name: URL, required: true, format: url}
"#;

struct Lab {
    folder: tempfile::TempDir,
    home: Home,
    slug: Slug,
    plugin: Plugin,
}

fn lab() -> Lab {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::below(folder.path());
    let plugin = Plugin::parse(PLUGIN, Path::new("plugin.yaml")).unwrap();
    Lab { folder, home, slug: "notion".parse().unwrap(), plugin }
}

impl Lab {
    fn set(&self, pairs: &[(&str, &str)]) -> secrets::Done {
        let answers: BTreeMap<_, _> = pairs
            .iter()
            .map(|(name, text)| ((*name).to_owned(), Answer::Set(Secret::new(*text))))
            .collect();
        secrets::apply(&self.home, &self.slug, &self.plugin, &[], &answers).unwrap()
    }

    fn answers(
        &self,
        arguments: &[&str],
        input: &str,
    ) -> secrets::Result<BTreeMap<String, Answer>> {
        let arguments: Vec<_> = arguments.iter().map(|a| (*a).to_owned()).collect();
        let environment = |name: &str| (name == "TOKEN").then(|| "from-env".to_owned());
        let mut input = input.as_bytes();
        let mut given = Given { input: &mut input, environment: &environment };
        secrets::answers(&self.slug, &self.plugin, &arguments, &mut given)
    }

    fn get(&self, purpose: Purpose, around: &[(&str, &str)]) -> secrets::Variables {
        let around = |name: &str| {
            around.iter().find(|(n, _)| *n == name).map(|(_, text)| (*text).to_owned())
        };
        secrets::resolve(&self.home, &self.slug, &self.plugin, purpose, around).unwrap()
    }
}

#[test]
fn any_text_survives_sealed_or_plain() {
    let lab = lab();
    let keys = Keys::load_or_make(&lab.home).unwrap();
    let to = Recipients::of(&[], &keys).unwrap();
    let every: String = (1..0xd7ffu32).step_by(7).filter_map(char::from_u32).collect();
    let texts = [
        "",
        " ",
        "plain",
        "'it''s'",
        "a \"b\" c",
        "${X} $Y $$",
        "# no comment",
        "k: v",
        "- x",
        "~",
        "null",
        "yes",
        "0x1F",
        "1.10",
        "012",
        "\n",
        "a\nb\n\n",
        "  lead",
        "trail  ",
        "tab\there",
        "\r\n",
        "\\n",
        "ü€😀",
        "\u{85}\u{2028}\u{feff}\u{a0}\u{7f}\u{1b}[0m",
        "{a: b}",
        "*x",
        "&x",
        "!t",
        "-----BEGIN AGE ENCRYPTED FILE-----",
        "---",
        "...",
        "%YAML",
        &every,
        &"x".repeat(64 * 1024),
        &"é\n".repeat(20_000),
    ];
    for text in texts {
        let mut settings = Settings::default();
        settings.set_plain("PLAIN", text).unwrap();
        settings.set_secret("SEALED", &Secret::new(text), &to).unwrap();
        settings.save(&lab.home, &lab.slug).unwrap();
        let read = Settings::load(&lab.home, &lab.slug).unwrap();
        assert_eq!(read.plain("PLAIN"), Some(text));
        let opened = read.open(&lab.home, &lab.slug, Some(&keys)).unwrap();
        assert_eq!(opened.secrets["SEALED"].expose(), text);
    }
    let sealed = fs::read_to_string(lab.home.secrets_file(&lab.slug)).unwrap();
    assert!(sealed.contains("BEGIN AGE ENCRYPTED FILE") && !sealed.contains("é"));
    let mut settings = Settings::default();
    for bad in ["nul\0", &"x".repeat(64 * 1024 + 1)] {
        assert_eq!(settings.set_plain("A", bad).unwrap_err().code(), "tool.settings.value");
    }
}

#[test]
fn files_are_their_owners_alone_and_hand_written_ones_are_read() {
    let lab = lab();
    lab.set(&[("TOKEN", "s3cret-value"), ("PORT", "81")]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for file in
        [lab.home.values_file(&lab.slug), lab.home.secrets_file(&lab.slug), lab.home.key_file()]
    {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    fs::write(lab.home.values_file(&lab.slug), "# mine\nPORT: 0123\nMODE: yes\nURL:\n").unwrap();
    let read = Settings::load(&lab.home, &lab.slug).unwrap();
    assert_eq!(
        (read.plain("PORT"), read.plain("MODE"), read.plain("URL")),
        (Some("0123"), Some("yes"), Some(""))
    );
    fs::write(lab.home.values_file(&lab.slug), "PORT: [1\n").unwrap();
    let error = Settings::load(&lab.home, &lab.slug).unwrap_err();
    assert_eq!((error.code(), error.exit().code()), ("tool.settings.format", 5));
    fs::set_permissions(lab.home.key_file(), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(Keys::load(&lab.home).unwrap_err().to_string().contains("chmod 600"));
}

#[test]
fn comments_in_the_file_of_plain_settings_outlive_a_setup() {
    let lab = lab();
    let file = lab.home.values_file(&lab.slug);
    let text = "# For the office.\n\nURL: http://a # the proxy\nPORT: 0123   # not 80\n# the end\n";
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, text).unwrap();
    lab.set(&[("PORT", "8080")]);
    let read = || fs::read_to_string(&file).unwrap();
    assert_eq!(read(), text.replace("0123", "\"8080\""));
    lab.set(&[("PORT", "8080")]);
    assert_eq!(read(), text.replace("0123", "\"8080\""), "nothing to do, nothing done");
    let mut settings = Settings::load(&lab.home, &lab.slug).unwrap();
    settings.remove("PORT");
    settings.remove("URL");
    settings.save(&lab.home, &lab.slug).unwrap();
    assert_eq!(read(), "# For the office.\n\n# the end\n");
    // What is not in block style is written anew, its values right.
    fs::write(&file, "{URL: http://a, PORT: 1}\n").unwrap();
    lab.set(&[("PORT", "2")]);
    let settings = Settings::load(&lab.home, &lab.slug).unwrap();
    assert_eq!((settings.plain("PORT"), settings.plain("URL")), (Some("2"), Some("http://a")));
}

#[test]
fn a_home_without_its_key_says_whose_secrets_these_are_and_another_machine_is_let_in() {
    let first = lab();
    first.set(&[("TOKEN", "s3cret-value"), ("URL", "http://a")]);
    let second = lab();
    fs::create_dir_all(second.home.root().join("secrets")).unwrap();
    fs::copy(first.home.secrets_file(&first.slug), second.home.secrets_file(&second.slug)).unwrap();
    let resolve =
        |lab: &Lab| secrets::resolve(&lab.home, &lab.slug, &lab.plugin, Purpose::Service, |_| None);
    let error = resolve(&second).unwrap_err();
    assert_eq!((error.code(), error.exit().code()), ("tool.settings.sealed", 8));
    let Error::Sealed { own, names, .. } = &error else { panic!("{error}") };
    assert_eq!(names, &["TOKEN"]);
    assert!(error.hints()[0].contains(&format!("recipient add {own}")), "{:?}", error.hints());
    assert_eq!(secrets::closed(&second.home).unwrap(), ["notion TOKEN"]);

    let done = secrets::reseal(&first.home, std::slice::from_ref(own)).unwrap();
    assert_eq!((done.values, done.files.len()), (1, 1));
    fs::copy(first.home.secrets_file(&first.slug), second.home.secrets_file(&second.slug)).unwrap();
    assert_eq!(resolve(&second).unwrap().get("TOKEN").unwrap().expose(), "s3cret-value");
    assert_eq!(resolve(&first).unwrap().get("TOKEN").unwrap().expose(), "s3cret-value");
    let bad = secrets::reseal(&first.home, &["ssh-ed25519 AAAA".to_owned()]).unwrap_err();
    assert_eq!(bad.code(), "tool.settings.recipient");
    drop((first.folder, second.folder));
}

#[test]
fn a_changed_armour_is_refused() {
    let lab = lab();
    lab.set(&[("TOKEN", "s3cret-value")]);
    let file = lab.home.secrets_file(&lab.slug);
    let text = fs::read_to_string(&file).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let at = lines.len() - 3;
    lines[at] = lines[at].chars().rev().collect::<String>();
    lines[at] = format!("  {}", lines[at].trim());
    fs::write(&file, lines.join("\n")).unwrap();
    let error = secrets::resolve(&lab.home, &lab.slug, &lab.plugin, Purpose::Server, |_| None);
    let error = error.unwrap_err();
    assert_eq!(error.code(), "tool.settings.format");
    assert!(!format!("{error:?}").contains("s3cret"));
}

#[test]
fn a_service_and_a_server_take_what_nobody_set_from_different_places() {
    let lab = lab();
    let around = [("PORT", "9000"), ("TOKEN", "t"), ("UNDECLARED", "x")];
    let service = lab.get(Purpose::Service, &around);
    let of = |variables: &secrets::Variables, name: &str| {
        variables.values.get(name).map(|v| (v.text.expose().to_owned(), v.origin))
    };
    assert_eq!(of(&service, "PORT"), Some(("9000".into(), Origin::Environment)));
    let server = lab.get(Purpose::Server, &around);
    assert_eq!(of(&server, "PORT"), Some(("8080".into(), Origin::Default)));
    assert_eq!(of(&server, "TOKEN"), Some(("t".into(), Origin::Environment)));
    assert_eq!(of(&service, "UNDECLARED"), None);
    lab.set(&[("PORT", "81")]);
    for purpose in [Purpose::Service, Purpose::Server] {
        assert_eq!(of(&lab.get(purpose, &around), "PORT"), Some(("81".into(), Origin::Setting)));
    }
}

#[test]
fn what_is_missing_is_listed_at_once_with_its_own_exit_code() {
    let lab = lab();
    let error = lab.get(Purpose::Service, &[]).check().unwrap_err();
    assert_eq!((error.to_string().as_str(), error.exit().code()), ("notion needs TOKEN, URL", 8));
    let done = lab.set(&[("TOKEN", "abcdefgh")]);
    assert_eq!(done.missing, ["URL"]);
}

#[test]
fn what_is_shown_has_no_secret_in_it() {
    let lab = lab();
    lab.set(&[("TOKEN", "s3cret-value-9f3a"), ("URL", "http://a")]);
    let variables = lab.get(Purpose::Service, &[]);
    let shown = serde_json::to_value(variables.shown()).unwrap();
    assert_eq!(shown[0]["value"], "••••9f3a");
    assert_eq!(
        shown[3],
        json!({"name": "URL", "value": "http://a", "secret": false, "required": true, "origin": "setting"})
    );
    assert!(!format!("{variables:?}{shown}").contains("s3cret"));
    assert_eq!(
        variables.masker().text("key=s3cret-value-9f3a at http://a"),
        "key=•••• at http://a"
    );
    let questions = secrets::questions(&lab.home, &lab.slug, &lab.plugin).unwrap();
    assert_eq!(questions[0].current.as_deref(), Some("••••9f3a"));
    assert!(questions[0].secret && questions[0].required);
    assert_eq!(questions[1].default.as_deref(), Some("8080"));
}

#[test]
fn a_secret_comes_from_anywhere_but_the_command_line() {
    let lab = lab();
    let error = lab.answers(&["TOKEN=hunter2hunter2"], "").unwrap_err();
    assert_eq!((error.code(), error.exit().code()), ("tool.settings.exposed", 2));
    assert!(!error.to_string().contains("hunter2"));
    let file = lab.folder.path().join("pem");
    fs::write(&file, "line 1\nline 2\n").unwrap();
    let at = format!("TOKEN=@{}", file.display());
    let set = |text: &str| Answer::Set(Secret::new(text));
    assert_eq!(lab.answers(&[&at], "").unwrap()["TOKEN"], set("line 1\nline 2\n"));
    assert_eq!(lab.answers(&["TOKEN=-"], "typed\n").unwrap()["TOKEN"], set("typed"));
    assert_eq!(lab.answers(&["TOKEN"], "").unwrap()["TOKEN"], set("from-env"));
    assert_eq!(lab.answers(&["TOKEN="], "").unwrap()["TOKEN"], Answer::Clear);
    assert_eq!(lab.answers(&["PORT=81"], "").unwrap()["PORT"], set("81"));
    let error = lab.answers(&["TOKEN=-", "URL=-"], "x").unwrap_err();
    assert_eq!(error.code(), "tool.settings.input_twice");
}

#[test]
fn answers_that_do_not_fit_are_refused_before_anything_is_written() {
    let lab = lab();
    for (argument, code) in [
        ("PORT=0", "tool.settings.value"),
        ("PORT=http", "tool.settings.value"),
        ("MODE=medium", "tool.settings.value"),
        ("URL=example.org", "tool.settings.value"),
        ("NOPE=1", "tool.settings.unknown"),
        ("URL=@/no/such/file", "tool.settings.file"),
    ] {
        let error = lab.answers(&[argument], "").unwrap_err();
        assert_eq!(error.code(), code, "{argument}: {error}");
    }
    assert!(!lab.home.values_file(&lab.slug).exists());
}

#[test]
fn an_atk_env_file_is_read_as_python_dotenv_reads_it() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("dotenv.json")).unwrap();
    let around = |name: &str| match name {
        "AROUND" => Some("world".to_owned()),
        "B" => Some("outer".to_owned()),
        _ => None,
    };
    for case in cases {
        let text = case["text"].as_str().unwrap();
        let read = serde_json::to_value(secrets::dotenv::parse(text, around)).unwrap();
        assert_eq!(read, case["is"], "{text:?}");
    }
}

#[test]
fn an_atk_env_file_becomes_settings_and_what_nobody_declared_is_taken_for_a_secret() {
    let lab = lab();
    let file = lab.folder.path().join(".env");
    fs::write(&file, "TOKEN=\"a b\\nc\"\nPORT=99\nEXTRA='x y z w'\n1BAD=2\n").unwrap();
    let done =
        secrets::import_env(&lab.home, &lab.slug, &lab.plugin, &file, &[], |_| None).unwrap();
    assert_eq!(
        (done.plain, done.secret, done.refused),
        (
            vec!["PORT".to_owned()],
            vec!["EXTRA".to_owned(), "TOKEN".to_owned()],
            vec!["1BAD".to_owned()]
        )
    );
    let service = lab.get(Purpose::Service, &[]);
    assert_eq!(service.get("TOKEN").unwrap().expose(), "a b\nc");
    assert_eq!(service.get("EXTRA").unwrap().expose(), "x y z w");
    let mut server = lab.get(Purpose::Server, &[]);
    server.keep_only(&["PORT".to_owned(), "NAMED_ONLY".to_owned()]);
    assert!(server.get("EXTRA").is_none() && server.get("PORT").is_some());
    assert_eq!(server.missing, ["NAMED_ONLY"]);
}
