//! Releases of the SDKs, installed once, and a control plane for them to speak to.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Done, Lab};

/// How long an installation or a walk may take.
const LIMIT: Duration = Duration::from_secs(400);

/// A file that belongs to the tests of the SDKs.
pub fn ours(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/e2b").join(name)
}

/// Runs a command to its end, which must come in time and be a success; gives its output.
pub fn succeed(command: &mut Command, hint: &str) -> String {
    let said = format!("{command:?}");
    let spawned = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{said}: {error}; {hint}"));
    let done = end_of(spawned, &said);
    assert_eq!(done.code, 0, "{said}: {hint}\n{}\n{}", done.stdout, done.stderr);
    done.stdout
}

fn end_of(mut child: std::process::Child, said: &str) -> Done {
    let mut pipes: [Box<dyn Read + Send>; 2] =
        [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
    let readers = pipes.each_mut().map(|pipe| {
        let mut pipe = std::mem::replace(pipe, Box::new(std::io::empty()));
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            bytes
        })
    });
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begin.elapsed() > LIMIT {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{said} takes too long");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let [stdout, stderr] = readers.map(|reader| reader.join().unwrap());
    Done::of(std::process::Output { status, stdout, stderr })
}

/// A folder that is filled once. The lock is held until that is done: tests run side by side.
pub fn folder(name: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&home).unwrap();
    let lock = fs::File::create(home.join("lock")).unwrap();
    lock.lock().unwrap();
    if !home.join("installed").exists() {
        install(&home);
        fs::write(home.join("installed"), "").unwrap();
    }
    home
}

/// The Python of an environment with these packages, each with its release.
pub fn python(packages: &[&str]) -> PathBuf {
    let name = format!("python-{}", packages.join("-").replace('=', ""));
    let home = folder(&name, |home| {
        let hint = "install python3 and python3-venv (apt-get install python3-venv)";
        succeed(Command::new("python3").args(["-m", "venv"]).arg(home.join("venv")), hint);
        let mut pip = Command::new(home.join("venv/bin/python"));
        pip.args(["-m", "pip", "install", "-q", "--disable-pip-version-check"]).args(packages);
        succeed(&mut pip, "is PyPI reachable?");
    });
    home.join("venv/bin/python")
}

/// A Node.js that the JS SDK runs on: this machine's, or one that npm installs.
pub fn node() -> PathBuf {
    let version = Command::new("node").arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let major = |text: &String| text.trim().trim_start_matches('v').split('.').next()?.parse().ok();
    if version.ok().as_ref().and_then(major).is_some_and(|major: u32| major >= 22 || major == 20) {
        return "node".into();
    }
    npm("node@22").join("node_modules/.bin/node")
}

/// A folder into which npm installed a package.
pub fn npm(package: &str) -> PathBuf {
    folder(&format!("npm-{package}"), |home| {
        fs::write(home.join("package.json"), "{\"private\":true}").unwrap();
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--silent", package]).current_dir(home);
        succeed(&mut npm, "install npm (apt-get install npm), and is its registry reachable?");
    })
}

/// A control plane with the template `base`, and what an SDK must know of it.
pub struct Service {
    /// The home and the binary.
    pub lab: Lab,
    key: String,
}

impl Service {
    /// Serves the API over TCP, and names over TLS.
    pub fn start() -> Self {
        let lab = Lab::bare("shop");
        let mut serve = lab.command(&["serve", "--background", "--listen", "127.0.0.1:0"]);
        serve.env("ATELIER_TLS", "127.0.0.1:0").env("ATELIER_DOMAIN", DOMAIN);
        let serving = Done::of(serve.output().unwrap());
        assert_eq!(serving.code, 0, "{}", serving.stderr);
        let root = lab.image_root();
        add_bash(&root);
        lab.ok(&["image", "import", root.to_str().unwrap(), "bash"]);
        lab.ok(&["template", "build", "base", "--image", "bash", "--user", "user"]);
        let key = lab.ok(&["token", "create", "sdk"]).trim().to_owned();
        Self { lab, key }
    }

    /// A command that knows the server by two URLs of plain HTTP.
    pub fn by_url(&self, program: &Path) -> Command {
        let addresses = self.lab.addresses();
        let url = format!("http://{}", addresses.listen);
        let mut command = Command::new(program);
        self.tell(&mut command);
        command.env("E2B_API_URL", &url).env("E2B_SANDBOX_URL", &url);
        command.env("E2B_VOLUME_API_URL", &url);
        command.env("E2E_INGRESS", addresses.ingress);
        command
    }

    /// A command that knows the server by its domain alone, whose names lead to this machine.
    pub fn by_domain(&self, program: &Path) -> Command {
        let tls = self.lab.addresses().tls;
        let port = tls.rsplit_once(':').unwrap().1;
        let authority = self.lab.home().join("keys/ca.pem");
        let mut command = Command::new("python3");
        command.arg(ours("names.py")).arg(DOMAIN).arg(program);
        self.tell(&mut command);
        command.env("E2B_DOMAIN", format!("{DOMAIN}:{port}"));
        command.env("SSL_CERT_FILE", &authority).env("NODE_EXTRA_CA_CERTS", &authority);
        command
    }

    /// No sandbox and no volume is left.
    pub fn left_nothing(&self) {
        assert_eq!(self.lab.json(&["sandbox", "ls"]), serde_json::json!([]));
        assert_eq!(self.lab.json(&["volume", "ls"]), serde_json::json!([]));
    }

    fn tell(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("E2B_") {
                command.env_remove(name);
            }
        }
        command.env("E2B_API_KEY", &self.key);
        command.env("E2E_WEB_SERVER", "exec busybox httpd -f -p 8000");
    }
}

/// Where names of sandboxes end; nobody owns names below `test`.
const DOMAIN: &str = "box.test";

/// The SDKs run every command by /bin/bash: this machine's, with the libraries that it loads.
fn add_bash(root: &Path) {
    let bash = fs::canonicalize("/bin/bash").unwrap();
    let loads = Command::new("ldd").arg(&bash).output().unwrap().stdout;
    let loads = String::from_utf8(loads).unwrap();
    let libraries = loads.split_whitespace().filter(|word| word.starts_with('/'));
    fs::copy(&bash, root.join("bin/bash")).unwrap();
    for library in libraries {
        let to = root.join(library.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(library, to).unwrap();
    }
}
