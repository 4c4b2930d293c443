//! `atelier image pull`, from a registry: Debian's docker-registry on this machine's loopback.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::support::{Lab, python, wait_until};

/// A registry with the image `box:1` and its digest; it ends with the test.
struct Registry {
    process: Child,
    address: String,
    digest: String,
}

impl Registry {
    fn new(lab: &Lab) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let store = lab.user_home().join("registry");
        fs::create_dir(&store).unwrap();
        let settings = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n",
            store.display()
        );
        let file = lab.user_home().join("registry.yml");
        fs::write(&file, settings).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is missing: apt-get install docker-registry");
        wait_until("the registry answers", || TcpStream::connect(&address).is_ok());
        let digest = push(lab, &address);
        Self { process, address, digest }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Puts the image `box:1` into a registry, as its HTTP API says; gives the manifest's digest.
fn push(lab: &Lab, address: &str) -> String {
    let script = format!(
        "import gzip, hashlib, io, json, tarfile, urllib.request as web
def call(method, url, data, kind):
    headers = {{'Content-Type': kind}}
    return web.urlopen(web.Request(url, data, headers, method=method), timeout=30).headers
def blob(data):
    digest = 'sha256:' + hashlib.sha256(data).hexdigest()
    to = call('POST', 'http://{address}/v2/box/blobs/uploads/', b'', 'text/plain')['Location']
    call('PUT', to + '&digest=' + digest, data, 'application/octet-stream')
    return digest
data = io.BytesIO(); archive = tarfile.open(fileobj=data, mode='w'); archive.add('{root}', arcname='.'); archive.close()
layer = gzip.compress(data.getvalue())
config = json.dumps(dict(architecture='amd64', os='linux', config=dict(Env=['COLOUR=green']),
    rootfs=dict(type='layers', diff_ids=['sha256:' + hashlib.sha256(data.getvalue()).hexdigest()]))).encode()
kind = 'application/vnd.oci.image.manifest.v1+json'
def part(data, what): return dict(mediaType='application/vnd.oci.image.' + what, digest=blob(data), size=len(data))
manifest = json.dumps(dict(schemaVersion=2, mediaType=kind, config=part(config, 'config.v1+json'),
    layers=[part(layer, 'layer.v1.tar+gzip')])).encode()
call('PUT', 'http://{address}/v2/box/manifests/1', manifest, kind)
print('sha256:' + hashlib.sha256(manifest).hexdigest())",
        root = lab.image_root().display()
    );
    python(lab, &script).trim().to_owned()
}

#[test]
fn an_image_is_pulled_by_tag_and_by_digest() {
    let lab = Lab::new();
    let registry = Registry::new(&lab);
    let (address, digest) = (&registry.address, &registry.digest);
    let by_tag = lab.json(&["image", "pull", &format!("{address}/box:1")]);
    assert_eq!(by_tag["digest"], **digest);
    let by_digest = lab.json(&["image", "pull", &format!("{address}/box@{digest}")]);
    assert_eq!(by_digest["id"], by_tag["id"]);
    let done =
        lab.run(&["sandbox", "run", &format!("{address}/box:1"), "--", "sh", "-c", "echo $COLOUR"]);
    assert_eq!(done.stdout, "green\n", "{done:?}");
}

#[test]
fn an_image_that_is_not_here_is_pulled_when_a_sandbox_wants_it() {
    let lab = Lab::new();
    let registry = Registry::new(&lab);
    let image = format!("{}/box:1", registry.address);
    let done = lab.run(&["sandbox", "run", &image, "--", "echo", "pulled"]);
    assert_eq!(done.stdout, "pulled\n", "{done:?}");
    drop(registry);
    // From now on it is here: no registry is asked.
    assert_eq!(lab.run(&["sandbox", "run", &image, "--", "echo", "kept"]).stdout, "kept\n");
    lab.run(&["image", "pull", &image]).fails(6, &["can't be reached", "hint:"]);
}

#[test]
fn what_the_registry_does_not_have_is_said() {
    let lab = Lab::new();
    let registry = Registry::new(&lab);
    let address = &registry.address;
    lab.run(&["image", "pull", &format!("{address}/box:2")]).fails(3, &["box:2", "hint:"]);
    lab.run(&["image", "pull", &format!("{address}/nothing:1")]).fails(3, &["nothing", "hint:"]);
    lab.run(&["image", "pull", "not an image"]).fails(2, &["not an image", "hint:"]);
    assert_eq!(lab.json(&["image", "ls"]), serde_json::json!([]));
}

#[test]
fn what_the_registry_forges_is_refused() {
    let lab = Lab::new();
    let registry = Registry::new(&lab);
    python(
        &lab,
        "import os
for folder, _, files in os.walk(os.path.expanduser('~/registry')):
    for file in files:
        path = os.path.join(folder, file)
        if os.path.getsize(path) > 100_000:
            data = bytearray(open(path, 'rb').read()); data[70_000] ^= 1
            open(path, 'wb').write(data); print(path)",
    );
    let done = lab.run(&["image", "pull", &format!("{}/box:1", registry.address)]);
    assert!(done.code != 0 && done.stderr.starts_with("error: "), "{done:?}");
    assert_eq!(lab.json(&["image", "ls"]), serde_json::json!([]));
}
