//! A guest, a server before it, and OpenSSH's programs set up to reach it.

use std::any::Any;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use atelier_api::{ExitCode, Problem};
use atelier_guest::client::Guest;
use atelier_ssh::{Doors, Entered, Login, PublicKey, Settings, authorized_keys, host_key, serve};
use futures_util::future::BoxFuture;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Longer than anything takes; a test that hangs ends with it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Everything that a test needs; it ends with the test.
pub struct Place {
    pub folder: TempDir,
    pub guest: Guest,
    pub stop: CancellationToken,
    pub runtime: Option<Runtime>,
    child: Child,
}

struct House {
    guest: Guest,
    folder: PathBuf,
}

impl Doors for House {
    fn keys(&self) -> Vec<PublicKey> {
        authorized_keys(&self.folder.join("atelier"), &self.folder.join("user"))
    }

    fn enter<'a>(&'a self, login: &'a Login) -> BoxFuture<'a, Result<Entered, Problem>> {
        Box::pin(async move {
            if login.sandbox != "box" {
                let why = format!("there is no sandbox '{}'", login.sandbox);
                return Err(Problem::new("sandbox.not_found", ExitCode::NotFound, why)
                    .hint("run 'atelier sandbox ls'"));
            }
            let env = BTreeMap::from([("FROM_DOORS".to_owned(), "yes".to_owned())]);
            let guard: Box<dyn Any + Send + Sync> = Box::new(());
            Ok(Entered { guest: self.guest.clone(), user: login.user.clone(), env, guard })
        })
    }
}

impl Place {
    pub fn new() -> Self {
        Self::with_guest(|guest| Command::new(guest))
    }

    /// With a guest that is started by what `command` makes of its path.
    pub fn with_guest(command: impl FnOnce(&Path) -> Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["home", "user/.ssh", "atelier/keys"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        let socket = at("guest.sock");
        let program = std::env::current_exe().unwrap();
        let program = program.ancestors().nth(2).unwrap().join("examples/guest");
        let child = command(&program)
            .arg(format!("unix:{}", socket.display()))
            .arg(at("home"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let guest = Guest::new(&socket);
        until(|| std::os::unix::net::UnixStream::connect(&socket).is_ok());
        let stop = CancellationToken::new();
        let mut place = Self { guest, stop, child, runtime: None, folder };
        let port = place.listen();
        place.set_up_clients(port);
        place
    }

    fn listen(&mut self) -> u16 {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let doors =
            Arc::new(House { guest: self.guest.clone(), folder: self.folder.path().to_owned() });
        let host_key = host_key(&self.path("atelier/keys")).unwrap();
        let settings = Settings { host_key, scratch: self.folder.path().to_owned() };
        runtime.spawn(serve(listener, doors, settings, self.stop.clone()));
        self.runtime = Some(runtime);
        port
    }

    /// `ssh box` reaches the sandbox, `ssh nobody` it as another user, `ssh other` one that is not
    /// there.
    fn set_up_clients(&self, port: u16) {
        self.make_key("ed25519", "user/.ssh/id");
        let public = fs::read_to_string(self.path("atelier/keys/ssh_host_ed25519_key.pub"));
        let known = format!("[127.0.0.1]:{port} {}", public.unwrap());
        fs::write(self.path("known_hosts"), known).unwrap();
        let shown = |name: &str| self.path(name).display().to_string();
        let common = format!(
            "Host *\n HostName 127.0.0.1\n Port {port}\n IdentitiesOnly yes\n BatchMode yes\n \
             LogLevel ERROR\n StrictHostKeyChecking yes\n UserKnownHostsFile {}\n SendEnv LC_*\n",
            shown("known_hosts"),
        );
        let hosts = [("box", "box"), ("other", "other"), ("nobody", "box+nobody")];
        let hosts: String =
            hosts.iter().map(|(host, user)| format!("Host {host}\n User {user}\n")).collect();
        fs::write(self.path("config.bare"), format!("{hosts}{common}")).unwrap();
        let own = format!(" IdentityFile {}\n", shown("user/.ssh/id"));
        fs::write(self.path("config"), hosts + &common + &own).unwrap();
    }

    pub fn make_key(&self, kind: &str, name: &str) {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", kind, "-N", "", "-f"]).arg(self.path(name));
        assert!(command.status().unwrap().success());
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// One of OpenSSH's programs with the set-up of this place and a limit of time.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new("timeout");
        command.arg(PATIENCE.as_secs().to_string()).arg(name).arg("-F").arg(self.path("config"));
        command.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null());
        command
    }

    /// `ssh` with these words.
    pub fn ssh(&self, words: &[&str]) -> Output {
        self.program("ssh").args(words).output().unwrap()
    }

    /// `ssh` with this key and no other.
    pub fn ssh_by(&self, key: &str, words: &[&str]) -> Output {
        let mut command = Command::new("timeout");
        command.arg(PATIENCE.as_secs().to_string()).args(["ssh", "-F"]);
        command.arg(self.path("config.bare")).arg("-i").arg(self.path(key)).args(words);
        command.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null()).output().unwrap()
    }

    /// `ssh` with these words and this input.
    pub fn ssh_with(&self, words: &[&str], input: &[u8]) -> Output {
        feed(self.program("ssh").args(words), input)
    }

    /// Whether a command runs inside whose line holds a text.
    pub fn runs(&self, text: &str) -> bool {
        let list = self.runtime.as_ref().unwrap().block_on(self.guest.list(false)).unwrap();
        list.iter().any(|it| it.config.args.iter().any(|word| word.contains(text)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            let pid = self.child.id().to_string();
            let _ = Command::new("kill").args(["-TERM", &pid]).status();
            let _ = self.child.wait();
        }
    }
}

/// Runs a command with an input that is written while its output is read.
pub fn feed(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A command may end without having read it all.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    })
}

/// Ends a program that was started by [`Place::program`]: `timeout` hands the signal on.
pub fn end(child: &Child) {
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Checks that a program ended well, and gives what it wrote.
pub fn ok(output: &Output) -> String {
    assert!(output.status.success(), "{}: {}", output.status, text(&output.stderr));
    text(&output.stdout)
}

/// Waits until something is so.
pub fn until(what: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !what() {
        assert!(Instant::now() < deadline, "it did not come to be in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}
