//! A real registry: Debian's docker-registry on a free loopback port, and pushing to it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::archive::{INDEX, MANIFEST, config, digest, gzip, here, manifest};
use super::http::send;

/// A media type of layers, and how they get there.
pub type Packing = (&'static str, fn(&[u8]) -> Vec<u8>);

pub struct Registry {
    pub address: SocketAddr,
    child: Child,
    pub dir: TempDir,
    headers: Vec<(String, String)>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    pub async fn start() -> Self {
        Self::start_with("", &[]).await
    }

    /// With an `auth:` section, and the headers that satisfy it.
    pub async fn start_with(auth: &str, headers: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..5 {
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let mut child = spawn(dir.path(), port, auth);
            if answers(port, &mut child).await {
                let headers = headers.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
                return Self { address: port, child, dir, headers };
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("docker-registry does not answer");
    }

    /// `127.0.0.1:PORT/name`.
    pub fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    async fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> super::http::Answer {
        let mut headers = vec![("Content-Type", kind)];
        headers.extend(self.headers.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        send(self.address, method, path, &headers, body).await.unwrap()
    }

    pub async fn push_blob(&self, repository: &str, blob: &[u8]) {
        let start = self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), "", b"").await;
        assert_eq!(start.status, 202, "starting an upload");
        let location = start.headers["location"].clone();
        let path = location
            .split_once("://")
            .map_or(location.clone(), |(_, rest)| rest[rest.find('/').unwrap()..].to_owned());
        let joint = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{joint}digest={}", digest(blob));
        let done = self.send("PUT", &path, "application/octet-stream", blob).await;
        assert_eq!(done.status, 201, "uploading a blob");
    }

    pub async fn push_manifest(&self, repository: &str, tag: &str, kind: &str, bytes: &[u8]) {
        let path = format!("/v2/{repository}/manifests/{tag}");
        let done = self.send("PUT", &path, kind, bytes).await;
        assert_eq!(done.status, 201, "pushing {repository}:{tag}");
    }

    /// Pushes an image of these layers, compressed as `pack` does it, and returns its manifest.
    pub async fn push_packed(
        &self,
        name: (&str, &str),
        architecture: &str,
        tars: &[Vec<u8>],
        (kind, pack): Packing,
    ) -> Vec<u8> {
        let config = config(architecture, tars);
        let packed: Vec<_> = tars.iter().map(|tar| pack(tar)).collect();
        self.push_blob(name.0, &config).await;
        for layer in &packed {
            self.push_blob(name.0, layer).await;
        }
        let manifest = manifest(&config, &packed, kind);
        self.push_manifest(name.0, name.1, MANIFEST, &manifest).await;
        manifest
    }

    /// The same for this machine, by gzip. Returns the digest of the manifest.
    pub async fn push(&self, repository: &str, tag: &str, tars: &[Vec<u8>]) -> String {
        let how = (super::archive::GZIP, gzip as fn(&[u8]) -> Vec<u8>);
        digest(&self.push_packed((repository, tag), here(), tars, how).await)
    }

    /// Pushes an index of images that are there.
    pub async fn push_index(&self, repository: &str, tag: &str, images: &[(&str, Vec<u8>)]) {
        let manifests: Vec<_> = images
            .iter()
            .map(|(architecture, manifest)| {
                serde_json::json!({
                    "mediaType": MANIFEST, "digest": digest(manifest), "size": manifest.len(),
                    "platform": {"os": "linux", "architecture": architecture},
                })
            })
            .collect();
        let index = serde_json::json!({
            "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests,
        });
        self.push_manifest(repository, tag, INDEX, index.to_string().as_bytes()).await;
    }

    /// The file in which the registry keeps a blob.
    pub fn blob_file(&self, digest: &str) -> std::path::PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        let blobs = self.dir.path().join("data/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }
}

fn spawn(dir: &Path, address: SocketAddr, auth: &str) -> Child {
    let config = format!(
        "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  \
         filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: \
         {address}\n{auth}",
        dir.join("data").display()
    );
    let file = dir.join("config.yml");
    std::fs::write(&file, config).unwrap();
    Command::new("docker-registry")
        .arg("serve")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("docker-registry is needed: apt-get install docker-registry")
}

async fn answers(address: SocketAddr, child: &mut Child) -> bool {
    for _ in 0..400 {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if let Ok(answer) = send(address, "GET", "/v2/", &[], b"").await
            && matches!(answer.status, 200 | 401)
        {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}
