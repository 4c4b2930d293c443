//! A tool whose data is a PostgreSQL of its own: saved by `pg_dump`, brought back by `psql`, while it serves.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use super::Shed;
use crate::support::wait_until;

/// Where Debian and others keep the server's programs.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("apt-get install postgresql");
    let mut all: Vec<_> = versions.map(|entry| entry.unwrap().path().join("bin")).collect();
    all.retain(|folder| folder.join("initdb").exists());
    all.sort();
    all.pop().expect("apt-get install postgresql")
}

/// The server runs as nobody: it refuses to be root's. So its files lie where nobody may go.
fn shed(folder: &std::path::Path, port: u16) -> Shed {
    let shed = Shed::new();
    let serve = format!(
        "#!/bin/sh\nset -eu\nas='setpriv --reuid 65534 --regid 65534 --clear-groups'\ncd /\nexport HOME=/ PATH={}:$PATH\n\
         [ -e {1}/db/PG_VERSION ] || $as initdb -A trust -U app -D {1}/db >/dev/null\n\
         exec $as postgres -D {1}/db -p {port} -h 127.0.0.1 -k {1} -c fsync=off\n",
        programs().display(),
        folder.display()
    );
    let call = |program: &str| format!("{program} -h 127.0.0.1 -p {port} -U app");
    let plugin = format!(
        "schema_version: atelier/1\nname: Ledger\ndescription: keeps books\n\
         service: {{type: process, command: [sh, serve.sh]}}\nports: [{{port: {port}}}]\n\
         health: {{command: '{} -q', interval: 200ms, retries: 200}}\n\
         data:\n  - dump:\n      name: books\n      save: {} --clean --if-exists postgres\n      load: {} -q -v ON_ERROR_STOP=1 --single-transaction postgres\n",
        call("pg_isready"),
        call("pg_dump"),
        call("psql")
    );
    shed.publish("ledger", &[("plugin.yaml", &plugin), ("serve.sh", &serve)]);
    shed.init();
    shed.ok(&["add", "ledger", "--yes"]);
    shed.ok(&["start", "ledger"]);
    shed
}

#[test]
fn a_database_is_saved_while_it_serves_and_comes_back_as_it_was() {
    let folder = tempfile::Builder::new().prefix("atelier-pg-").tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let shed = shed(folder.path(), port);
    let sql = |text: &str| {
        let mut psql = Command::new("psql");
        psql.args(["-h", "127.0.0.1", "-U", "app", "-At", "-v", "ON_ERROR_STOP=1"]);
        let done = psql.args(["-p", &port.to_string(), "-c", text, "postgres"]).output().unwrap();
        assert!(done.status.success(), "{text}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    wait_until("it serves", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    sql(
        "create table books (id int primary key, title text not null); create index on books (title)",
    );
    sql(
        "insert into books select n, 'book ' || n || E'\\n\\\\ \u{fc}' from generate_series(1, 5000) n",
    );
    let before = sql("select count(*), md5(string_agg(title, '|' order by id)) from books");
    let pids = shed.json(&["status", "ledger"])[0]["pids"].clone();
    shed.ok(&["backup", "ledger"]);
    assert_eq!(shed.json(&["status", "ledger"])[0]["pids"], pids, "it was not stopped");
    assert!(shed.ok(&["backup", "ledger", "--verify"]).contains("is whole"));

    sql(
        "delete from books where id > 7; create table later (x int); insert into books values (9999, 'new')",
    );
    shed.ok(&["restore", "ledger", "--yes"]);
    let count = "select count(*), md5(string_agg(title, '|' order by id)) from books";
    assert_eq!(sql(count), before);
    assert_eq!(sql("select count(*) from pg_indexes where tablename = 'books'"), "2");

    // A dump that can't be loaded changes nothing: here somebody holds on to the table's name as a view.
    sql("drop table books; create view books as select 1 as id");
    let done = shed.lab.run(&["tool", "restore", "ledger", "--yes"]);
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.stderr.contains("books"), "{}", done.stderr);
    assert_eq!(sql("select id from books"), "1");
    shed.ok(&["stop", "ledger"]);
    shed.ok(&["remove", "ledger", "--yes"]);
}
