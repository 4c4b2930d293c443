//! Repositories behind ssh and HTTPS, with servers of the test's own: what is in order is fetched, and whoever asks
//! something gets no answer, but an error at once.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Shed;

/// A server that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A home, and beside it a repository `tool` with a plugin at its root, tagged v1.0.0.
fn with_repository() -> (Shed, PathBuf) {
    let shed = Shed::new();
    shed.publish(
        "spare",
        &[("plugin.yaml", "schema_version: atelier/1\nname: Spare\ndescription: x\n")],
    );
    shed.init();
    let folder = shed.lab.user_home().join("served");
    let repository = folder.join("tool");
    fs::create_dir_all(&repository).unwrap();
    let plugin = "schema_version: atelier/1\nname: Far Tool\ndescription: comes from afar\n";
    fs::write(repository.join("plugin.yaml"), plugin).unwrap();
    for args in [
        &["init", "-q", "-b", "main"][..],
        &["add", "-A"],
        &["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "x"],
        &["tag", "v1.0.0"],
    ] {
        let done = Command::new("git").arg("-C").arg(&repository).args(args).status().unwrap();
        assert!(done.success(), "{args:?}");
    }
    (shed, folder)
}

/// `add` fails within moments, with nothing left behind. The whole error, for what it must not say.
fn refused(shed: &Shed, source: &str, code: i32, says: &[&str]) -> String {
    let done = shed.lab.run(&["tool", "add", source, "--yes"]);
    done.fails(code, says);
    assert_eq!(shed.json(&["ls"]), serde_json::json!([]));
    done.stderr
}

fn https(folder: &std::path::Path, password: Option<&str>) -> (Server, u16) {
    let script = format!("{}/../../tests/tool/git_https.py", env!("CARGO_MANIFEST_DIR"));
    let mut python = Command::new("python3");
    python.arg(script).arg(folder).args(password).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut server = Server(python.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (server, line.trim().parse().expect("its port"))
}

/// The user's git trusts the server's certificate authority.
fn trust(shed: &Shed, folder: &std::path::Path) {
    let settings = format!("[http]\n\tsslCAInfo = {}\n", folder.join("ca.pem").display());
    fs::write(shed.lab.user_home().join(".gitconfig"), settings).unwrap();
}

#[test]
fn a_repository_behind_https_is_fetched_where_its_certificate_is_trusted() {
    let (shed, folder) = with_repository();
    let (_server, port) = https(&folder, None);
    let url = format!("https://127.0.0.1:{port}/tool");
    let says = ["https://127.0.0.1", "certificate", "git ls-remote"];
    refused(&shed, &url, 7, &says);
    trust(&shed, &folder);
    refused(&shed, &format!("https://127.0.0.1:{port}/nothing"), 7, &["not found"]);
    shed.ok(&["add", &format!("{url}@^1.0"), "--yes"]);
    let version = shed.json(&["ls"])[0]["version"].as_str().unwrap().to_owned();
    assert!(version.starts_with("v1.0.0"), "{version}");
    assert_eq!(shed.json(&["outdated"]), serde_json::json!([]));
}

#[test]
fn who_asks_for_a_password_over_https_gets_none_and_one_that_git_knows_is_used() {
    let (shed, folder) = with_repository();
    let (_server, port) = https(&folder, Some("ada:a-long-password"));
    trust(&shed, &folder);
    let url = format!("https://127.0.0.1:{port}/tool");
    refused(&shed, &url, 7, &["127.0.0.1", "could not read Username"]);
    // As git's own credential store has it, no password stands in the home.
    let store = shed.lab.user_home().join("credentials");
    let password = |word: &str| {
        fs::write(&store, format!("https://ada:{word}@127.0.0.1%3a{port}\n")).unwrap();
    };
    let config = shed.lab.user_home().join(".gitconfig");
    let settings = fs::read_to_string(&config).unwrap();
    let helper = format!("[credential]\n\thelper = store --file={}\n", store.display());
    fs::write(&config, settings + &helper).unwrap();
    password("wrong-password");
    let said = refused(&shed, &url, 7, &["Authentication failed"]);
    assert!(!said.contains("wrong-password"), "{said}");
    password("a-long-password");
    shed.ok(&["add", &url, "--yes"]);
    assert!(!super::all_text_below(&shed.tools()).contains("a-long-password"));
}

#[test]
fn a_password_in_an_address_is_refused_before_it_gets_into_the_home() {
    let (shed, _) = with_repository();
    let url = "https://ada:a-long-password@127.0.0.1:1/tool";
    let said = refused(&shed, url, 2, &["password", "credential"]);
    assert!(!said.contains("a-long-password"), "{said}");
    assert!(!super::all_text_below(&shed.tools()).contains("a-long-password"));
}

/// An SSH server on loopback, and a user's `ssh` with settings of the test's own: its port.
fn ssh(shed: &mut Shed, folder: &std::path::Path) -> (Server, u16) {
    let at = |name: &str| folder.join(name).display().to_string();
    for key in ["host", "other", "key", "stranger"] {
        let args = ["-q", "-t", "ed25519", "-N", "", "-f", &at(key)];
        assert!(Command::new("ssh-keygen").args(args).status().unwrap().success());
    }
    fs::copy(folder.join("key.pub"), folder.join("authorized")).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
         PermitRootLogin yes\nPasswordAuthentication yes\nPidFile none\n",
        at("host"),
        at("authorized")
    );
    fs::write(folder.join("sshd_config"), config).unwrap();
    fs::create_dir_all("/run/sshd").unwrap();
    let log = fs::File::create(folder.join("log")).unwrap();
    let mut sshd = Command::new("/usr/sbin/sshd");
    sshd.args(["-D", "-e", "-f", &at("sshd_config")]).stdin(Stdio::null()).stderr(log);
    let server = Server(sshd.spawn().unwrap());
    crate::support::wait_until("sshd listens", || {
        fs::read_to_string(folder.join("log")).unwrap().contains("Server listening")
    });
    // OpenSSH looks into the home folder of the password file, so its settings are given by a program of its name.
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let script = format!("#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n", at("ssh_config"));
    fs::write(bin.join("ssh"), script).unwrap();
    fs::set_permissions(bin.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    shed.lab.set("PATH", &path);
    (server, port)
}

/// What the user's `ssh` knows and has.
fn ssh_settings(folder: &std::path::Path, port: u16, known: Option<&str>, key: &str) {
    let at = |name: &str| folder.join(name).display().to_string();
    let line = known.map(|name| {
        let key = fs::read_to_string(folder.join(format!("{name}.pub"))).unwrap();
        format!("[127.0.0.1]:{port} {key}")
    });
    fs::write(folder.join("known"), line.unwrap_or_default()).unwrap();
    let text = format!(
        "UserKnownHostsFile {}\nGlobalKnownHostsFile /dev/null\nIdentitiesOnly yes\nIdentityFile {}\n",
        at("known"),
        at(key)
    );
    fs::write(folder.join("ssh_config"), text).unwrap();
}

#[test]
fn a_repository_behind_ssh_is_fetched_from_a_host_that_is_known_with_a_key_that_it_knows() {
    let (mut shed, folder) = with_repository();
    let (_server, port) = ssh(&mut shed, &folder);
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let url = format!("ssh://{}@127.0.0.1:{port}{}", user.trim(), folder.join("tool").display());
    ssh_settings(&folder, port, None, "key");
    refused(&shed, &url, 7, &["Host key verification failed", "git ls-remote"]);
    ssh_settings(&folder, port, Some("other"), "key");
    refused(&shed, &url, 7, &["Host key verification failed"]);
    ssh_settings(&folder, port, Some("host"), "stranger");
    refused(&shed, &url, 7, &["Permission denied"]);
    ssh_settings(&folder, port, Some("host"), "key");
    refused(&shed, &format!("{url}-not"), 7, &["does not appear to be a git repository"]);
    shed.ok(&["add", &format!("{url}@v1.0.0"), "--yes"]);
    assert_eq!(shed.json(&["ls"])[0]["slug"], "far-tool");
}

#[test]
fn a_command_of_the_users_own_for_ssh_that_would_ask_does_not_hang() {
    let (mut shed, folder) = with_repository();
    let (_server, port) = ssh(&mut shed, &folder);
    ssh_settings(&folder, port, Some("host"), "stranger");
    // Without BatchMode, `ssh` asks for a password, at the terminal that it is given.
    shed.lab.set("GIT_SSH_COMMAND", "ssh -oPreferredAuthentications=password");
    let url = format!("ssh://root@127.0.0.1:{port}{}", folder.join("tool").display());
    let own = shed.lab.command(&["tool", "add", &url, "--yes"]);
    let mut terminal = Command::new("script");
    let line = format!("{} tool add {url} --yes", own.get_program().display());
    terminal.args(["-qec", &line, "/dev/null"]).env_clear();
    terminal.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = terminal.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(100) {
            let _ = child.kill();
            panic!("it waits for an answer");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let done = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(7), "{said}");
    assert!(said.contains("Permission denied"), "{said}");
}
