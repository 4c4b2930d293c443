//! Backups and restores of tools with real files, databases and services.

#![allow(clippy::unwrap_used, clippy::panic)]

mod lab;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use atelier_api::Fault;
use atelier_toolrun::data::{self, Restored, Saved};
use atelier_toolrun::lifecycle;
use atelier_toolrun::secrets::Keys;
use atelier_tools::Slug;
use jiff::Timestamp;
use lab::{Lab, keeper, wait_until};

impl Lab {
    fn backup(&self, slug: &Slug) -> data::Result<Saved> {
        self.with(|manner| data::backup(&self.home, slug, &[], manner))
    }

    fn restore(&self, slug: &Slug) -> data::Result<Restored> {
        self.with(|manner| data::restore(&self.home, slug, None, manner))
    }

    fn runs(&self, slug: &Slug) -> bool {
        self.with(|manner| lifecycle::runs(&self.home, slug, manner)).unwrap()
    }

    fn start(&self, slug: &Slug) {
        let slugs = [slug.clone()];
        let report = self.with(|manner| lifecycle::start(&self.home, &slugs, manner)).unwrap();
        assert_eq!(report.exit().code(), 0, "{report:?}");
    }
}

/// Every path below a folder with its mode and contents.
fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let about = fs::symlink_metadata(&path).unwrap();
        let what = if about.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            "folder".to_owned()
        } else if about.is_symlink() {
            format!("-> {}", fs::read_link(&path).unwrap().display())
        } else {
            format!("{:?}", String::from_utf8_lossy(&fs::read(&path).unwrap()))
        };
        let mode = about.permissions().mode() & 0o7777;
        let name = path.strip_prefix(root).unwrap().display().to_string();
        found.insert(name, format!("{mode:o} {what}"));
    }
    found
}

fn sql(database: &Path, script: &str) -> String {
    let program = "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1],timeout=30)\nfor r in c.execute(sys.argv[2]): print(*r)\nc.commit()";
    let output =
        Command::new("python3").args(["-c", program]).arg(database).arg(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn files_come_back_as_they_were_with_modes_links_and_odd_names() {
    let lab = Lab::new();
    let slug =
        lab.tool("files", "data: [{path: data}, {path: one.txt}, {path: ~/notes}, {path: gone}]\n");
    let long = format!("data/{}/{}", "d".repeat(120), "f".repeat(200));
    for (name, text) in
        [("data/a b\n.txt", "1"), ("data/ü/x", "2"), (long.as_str(), "3"), ("one.txt", "4")]
    {
        lab.file(&slug, name, text);
    }
    let folder = lab.home.plugin(&slug);
    fs::create_dir(folder.join("data/empty")).unwrap();
    symlink("/nowhere/at all", folder.join("data/link")).unwrap();
    fs::set_permissions(folder.join("one.txt"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(folder.join("data/empty"), fs::Permissions::from_mode(0o500)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.join("data/socket")).unwrap();
    let notes = lab.folder.path().join("user/notes");
    fs::create_dir(&notes).unwrap();
    fs::write(notes.join("n"), "5").unwrap();
    let saved = lab.backup(&slug).unwrap();
    assert_eq!(saved.absent, [format!("path {}", folder.join("gone").display())]);
    assert_eq!(saved.skipped, [folder.join("data/socket")]);
    fs::remove_file(folder.join("data/socket")).unwrap();
    let before = (tree(&folder.join("data")), tree(&notes));
    fs::remove_file(folder.join(&long)).unwrap();
    lab.file(&slug, "data/new", "later");
    lab.file(&slug, "gone", "is here now");
    fs::write(folder.join("one.txt"), "changed").unwrap();
    fs::remove_dir_all(&notes).unwrap();
    let restored = lab.restore(&slug).unwrap();
    assert_eq!((tree(&folder.join("data")), tree(&notes)), before);
    assert_eq!(lab.read(&slug, "one.txt"), "4");
    assert_eq!(fs::metadata(folder.join("one.txt")).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(lab.read(&slug, "gone"), "is here now");
    assert_eq!((restored.restored.len(), restored.untouched.len()), (3, 1));
    let names: Vec<_> =
        tree(&folder).into_keys().filter(|name| name.contains("atelier-")).collect();
    assert!(names.is_empty(), "{names:?}");
    let verified = data::verify(&lab.home, &slug, None).unwrap();
    assert_eq!((verified.items.len(), verified.bytes), (3, 5));
}

#[test]
fn a_backup_is_sealed_and_its_file_is_its_owners_alone() {
    let lab = Lab::new();
    let slug = lab.tool("sealed", "data: [{path: data}]\n");
    lab.file(&slug, "data/x", &"very secret text ".repeat(50));
    let file = lab.backup(&slug).unwrap().backup.unwrap().file;
    let bytes = fs::read(&file).unwrap();
    assert!(bytes.starts_with(b"age-encryption.org/v1"));
    assert!(!bytes.windows(6).any(|window| window == b"secret"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(lab.home.backups(&slug)).unwrap().permissions().mode() & 0o777, 0o700);
    fs::remove_file(lab.home.key_file()).unwrap();
    let error = lab.restore(&slug).unwrap_err();
    assert_eq!((error.code(), error.exit().code()), ("tool.data.sealed", 8));
    Keys::load_or_make(&lab.home).unwrap();
    assert_eq!(lab.restore(&slug).unwrap_err().code(), "tool.data.sealed");
}

#[test]
fn a_database_is_saved_while_somebody_writes_to_it() {
    let lab = Lab::new();
    let writer = "import sqlite3,time\nc=sqlite3.connect(\"app.db\",timeout=30)\nc.execute(\"pragma journal_mode=wal\")\nc.execute(\"create table if not exists t(a integer primary key, b)\")\nc.commit()\nwhile True:\n  with c:\n    c.execute(\"insert into t(b) values(1)\"); c.execute(\"insert into t(b) values(-1)\")\n";
    let slug = lab.tool(
        "writer",
        "service: {type: process, command: [python3, writer.py]}\ndata: [{sqlite: app.db}]\n",
    );
    lab.file(&slug, "writer.py", writer);
    lab.start(&slug);
    let database = lab.home.plugin(&slug).join("app.db");
    let count = || sql(&database, "select count(*) from t").parse::<u64>().unwrap();
    wait_until("it writes", || {
        database.exists() && database.metadata().unwrap().len() > 0 && count() > 10
    });
    let at_least = count();
    let pids = lab
        .with(|manner| lifecycle::status(&lab.home, std::slice::from_ref(&slug), manner))
        .remove(0)
        .pids;
    lab.backup(&slug).unwrap();
    let still = lab
        .with(|manner| lifecycle::status(&lab.home, std::slice::from_ref(&slug), manner))
        .remove(0)
        .pids;
    assert_eq!(pids, still, "a database needs no stop");
    wait_until("it goes on", || count() > at_least + 100);
    lab.with(|manner| lifecycle::stop(&lab.home, std::slice::from_ref(&slug), &[], manner))
        .unwrap();
    let at_most = count();
    lab.restore(&slug).unwrap();
    let restored = count();
    assert!(restored >= at_least && restored < at_most, "{at_least} {restored} {at_most}");
    // Never half of a transaction.
    assert_eq!(
        sql(&database, "select sum(b), (select * from pragma_integrity_check) from t"),
        "0 ok"
    );
    assert!(!lab.runs(&slug));
}

#[test]
fn a_running_service_is_stopped_for_its_files_and_runs_again() {
    let lab = Lab::new();
    let slug = lab.tool(
        "quiet",
        "service: {type: process, command: [sh, -c, 'echo start >> life; trap \"echo stop >> life; exit 0\" TERM; while :; do sleep 0.05; done']}\ndata: [{path: data}]\n",
    );
    lab.file(&slug, "data/x", "1");
    lab.start(&slug);
    wait_until("it runs", || lab.read(&slug, "life").contains("start"));
    lab.backup(&slug).unwrap();
    assert!(lab.runs(&slug));
    wait_until("it runs again", || lab.read(&slug, "life") == "start\nstop\nstart\n");
    lab.file(&slug, "data/x", "2");
    lab.restore(&slug).unwrap();
    assert!(lab.runs(&slug));
    assert_eq!(lab.read(&slug, "data/x"), "1");
}

#[test]
fn a_dump_is_saved_and_loaded_by_its_commands() {
    let lab = Lab::new();
    let slug =
        lab.tool("dump", "data: [{dump: {name: db, save: cat state, load: 'cat > state'}}]\n");
    lab.file(&slug, "state", "one");
    lab.backup(&slug).unwrap();
    lab.file(&slug, "state", "two");
    assert_eq!(lab.restore(&slug).unwrap().restored, ["dump db"]);
    assert_eq!(lab.read(&slug, "state"), "one");
    fs::remove_file(lab.home.plugin(&slug).join("state")).unwrap();
    let error = lab.backup(&slug).unwrap_err();
    assert_eq!(error.code(), "tool.data.dump");
    assert!(error.to_string().contains("No such file"), "{error}");
    assert_eq!(data::list(&lab.home, &slug).unwrap().len(), 1);
    assert_eq!(fs::read_dir(lab.home.backups(&slug)).unwrap().count(), 1);
}

#[test]
fn when_loading_fails_everything_is_as_before() {
    let lab = Lab::new();
    let slug = lab.tool(
        "fails",
        "service: {type: process, command: [sleep, '1000']}\n\
         data: [{path: data}, {dump: {name: db, save: cat state, load: 'cat > state; test ! -e broken'}}]\n",
    );
    lab.file(&slug, "data/x", "old");
    lab.file(&slug, "state", "old");
    lab.start(&slug);
    lab.backup(&slug).unwrap();
    lab.file(&slug, "data/x", "new");
    lab.file(&slug, "state", "new");
    lab.file(&slug, "broken", "");
    let error = lab.restore(&slug).unwrap_err();
    assert_eq!(error.code(), "tool.data.dump", "{error}");
    assert_eq!((lab.read(&slug, "data/x"), lab.read(&slug, "state")), ("new".into(), "new".into()));
    assert!(lab.runs(&slug));
}

#[test]
fn a_damaged_backup_changes_nothing() {
    let lab = Lab::new();
    let slug = lab.tool("damaged", "data: [{path: data}]\n");
    lab.file(&slug, "data/x", &"x".repeat(200_000));
    let file = lab.backup(&slug).unwrap().backup.unwrap().file;
    let whole = fs::read(&file).unwrap();
    lab.file(&slug, "data/x", "now");
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let cut = whole[..whole.len() - 20].to_vec();
    for bad in [flipped, cut, b"no backup".to_vec(), Vec::new()] {
        fs::write(&file, bad).unwrap();
        let error = lab.restore(&slug).unwrap_err();
        assert_eq!((error.code(), error.exit().code()), ("tool.data.damaged", 5), "{error}");
        assert_eq!(data::verify(&lab.home, &slug, None).unwrap_err().code(), "tool.data.damaged");
        assert_eq!(lab.read(&slug, "data/x"), "now");
    }
    fs::write(&file, &whole).unwrap();
    let other = lab.tool("other", "data: [{path: data}]\n");
    fs::create_dir_all(lab.home.backups(&other)).unwrap();
    fs::copy(&file, lab.home.backups(&other).join(file.file_name().unwrap())).unwrap();
    assert_eq!(lab.restore(&other).unwrap_err().code(), "tool.data.other");
}

#[test]
fn data_outside_of_its_folder_is_refused() {
    let lab = Lab::new();
    for bad in ["../other", ".", "a/../../b", "~/../x", "link/x"] {
        let slug = lab.tool("outside", &format!("data: [{{path: '{bad}'}}]\n"));
        let link = lab.home.plugin(&slug).join("link");
        let _ = symlink("/etc", &link);
        let error = lab.backup(&slug).unwrap_err();
        let refused = ["tool.data.outside", "tool.invalid"].contains(&error.code());
        assert!(refused && error.exit().code() == 5, "{bad}: {error}");
    }
}

#[test]
fn old_backups_go_and_the_last_good_one_never_does() {
    let lab = Lab::new();
    let slug = lab.tool("old", "data: [{path: data}]\n");
    lab.file(&slug, "data/x", "1");
    let names: Vec<String> = (0..4)
        .map(|_| {
            std::thread::sleep(Duration::from_millis(2));
            lab.backup(&slug).unwrap().backup.unwrap().name
        })
        .collect();
    let left = || -> Vec<String> {
        data::list(&lab.home, &slug).unwrap().into_iter().map(|one| one.name).collect()
    };
    let prune =
        |keep, days| data::prune(&lab.home, &slug, keep, days, Timestamp::now()).unwrap().len();
    assert_eq!(prune(Some(3), None), 1);
    assert_eq!(left(), [names[3].clone(), names[2].clone(), names[1].clone()]);
    assert_eq!(prune(None, Some(1)), 0);
    // The two newest are damaged: the third stays, though only one is to be kept.
    for one in data::list(&lab.home, &slug).unwrap().iter().take(2) {
        fs::write(&one.file, "damaged").unwrap();
    }
    prune(Some(1), None);
    assert!(left().contains(&names[1]), "{:?}", left());
    let later = Timestamp::now() + jiff::SignedDuration::from_hours(240);
    data::prune(&lab.home, &slug, None, Some(1), later).unwrap();
    assert_eq!(left(), [names[1].clone()]);
}

#[test]
fn a_plugin_of_atk_has_its_own_scripts_run() {
    let lab = Lab::new();
    let slug = lab.tool("scripts", "env_vars: [{name: WHO, default: me}]\n");
    assert_eq!(lab.backup(&slug).unwrap_err().code(), "tool.data.nothing");
    lab.file(&slug, "backup.sh", "echo saved for $WHO > saved\n");
    lab.file(&slug, "restore.sh", "echo restored $1 > restored\n");
    assert_eq!(lab.backup(&slug).unwrap().backup, None);
    assert_eq!(lab.read(&slug, "saved"), "saved for me\n");
    lab.with(|manner| data::restore(&lab.home, &slug, Some("a b"), manner)).unwrap();
    assert_eq!(lab.read(&slug, "restored"), "restored a b\n");
}

#[test]
fn a_kill_at_any_moment_leaves_one_state_or_the_other_and_the_service_as_it_was() {
    let lab = Lab::new();
    let slug = lab.tool(
        "killed",
        "service: {type: process, command: [sleep, '1000']}\ndata: [{path: first}, {path: second}]\n",
    );
    for name in ["first", "second"] {
        for number in 0..40 {
            lab.file(&slug, &format!("{name}/{number}"), "old");
        }
    }
    lab.start(&slug);
    lab.backup(&slug).unwrap();
    let state = || {
        let all = ["first", "second"].map(|name| tree(&lab.home.plugin(&slug).join(name)));
        let values: Vec<_> = all
            .iter()
            .flat_map(|one| one.values())
            .filter(|v| !v.contains("folder"))
            .cloned()
            .collect();
        assert_eq!(values.len(), 80);
        assert!(values.iter().all(|value| *value == values[0]), "two states at once");
        values[0].clone()
    };
    let (mut olds, mut news) = (0, 0);
    for round in 0u64..24 {
        for name in ["first", "second"] {
            for number in 0..40 {
                lab.file(&slug, &format!("{name}/{number}"), "new");
            }
        }
        let verb = if round % 4 == 0 { "backup" } else { "restore" };
        let mut child = Command::new(keeper())
            .args([verb, "killed"])
            .env_clear()
            .envs(&lab.environment)
            .env("ATELIER_HOME", lab.home.root().parent().unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(round * 9));
        let _ = child.kill();
        child.wait().unwrap();
        lab.with(|manner| data::recover(&lab.home, manner)).unwrap();
        let now = state();
        olds += u32::from(now.contains("old"));
        news += u32::from(now.contains("new"));
        assert!(lab.runs(&slug), "round {round}");
        let left: Vec<_> =
            tree(&lab.home.plugin(&slug)).into_keys().filter(|n| n.contains("atelier-")).collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(!lab.home.staging().join("data-killed").exists());
        let parts = fs::read_dir(lab.home.backups(&slug)).unwrap().flatten();
        assert!(
            !parts.into_iter().any(|entry| entry.file_name().to_string_lossy().ends_with(".part"))
        );
        // A backup of this round may hold what is new: the first one is the one that is restored.
        let all = data::list(&lab.home, &slug).unwrap();
        for one in &all[..all.len() - 1] {
            fs::remove_file(&one.file).unwrap();
        }
    }
    assert!(news > 0, "{olds} {news}");
}
