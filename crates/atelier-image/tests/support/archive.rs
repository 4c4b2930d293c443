//! Layers and archives, made by the crate `tar` where it can, by hand where it would refuse.

use std::io::Write;
use std::path::Path;

use sha2::{Digest, Sha256};

pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}")
}

/// A layer's archive as it grows.
#[derive(Default)]
pub struct Layer(Vec<u8>);

impl Layer {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn file(self, path: &str, content: &str) -> Self {
        self.mode_file(path, content, 0o644)
    }

    pub fn mode_file(self, path: &str, content: &str, mode: u32) -> Self {
        self.raw(path, b'0', "", mode, content.as_bytes())
    }

    pub fn dir(self, path: &str) -> Self {
        self.raw(path, b'5', "", 0o755, b"")
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.raw(path, b'2', target, 0o777, b"")
    }

    pub fn hard_link(self, path: &str, target: &str) -> Self {
        self.raw(path, b'1', target, 0o644, b"")
    }

    /// Attributes and other records for the next entry.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            write!(data, "{length} {key}=").unwrap();
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.raw("pax", b'x', "", 0o644, &data)
    }

    /// Any entry at all.
    pub fn raw(mut self, path: &str, kind: u8, link: &str, mode: u32, data: &[u8]) -> Self {
        let mut header = [0u8; 512];
        assert!(path.len() <= 100 && link.len() <= 100, "use pax() for long names");
        header[..path.len()].copy_from_slice(path.as_bytes());
        header[100..107].copy_from_slice(format!("{mode:07o}").as_bytes());
        header[108..115].copy_from_slice(b"0000000");
        header[116..123].copy_from_slice(b"0000000");
        header[124..135].copy_from_slice(format!("{:011o}", data.len()).as_bytes());
        header[136..147].copy_from_slice(b"14000000000");
        header[156] = kind;
        header[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn tar(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// This machine's architecture, as images call it.
pub fn here() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// A configuration for these uncompressed layers.
pub fn config(architecture: &str, tars: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<_> = tars.iter().map(|tar| digest(tar)).collect();
    serde_json::to_vec(&serde_json::json!({
        "os": "linux", "architecture": architecture, "created": "2024-05-06T07:08:09Z",
        "config": {
            "Env": ["PATH=/usr/bin:/bin", "LANG=C.UTF-8"], "Entrypoint": null, "Cmd": ["/bin/sh"],
            "WorkingDir": "/srv", "User": "1000:1000", "ExposedPorts": {"8080/tcp": {}},
            "Labels": {"org.example": "yes"},
        },
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }))
    .unwrap()
}

/// What `docker save` writes.
pub fn docker_save(names: &[&str], tars: &[Vec<u8>]) -> Vec<u8> {
    let config = config(here(), tars);
    let config_name = format!("{}.json", digest(&config).trim_start_matches("sha256:"));
    let mut archive = tar::Builder::new(Vec::new());
    let mut layers = Vec::new();
    for (nth, tar) in tars.iter().enumerate() {
        let name = format!("{:064x}/layer.tar", nth + 1);
        add(&mut archive, &name, tar);
        layers.push(name);
    }
    add(&mut archive, &config_name, &config);
    let manifest = serde_json::json!([
        {"Config": config_name, "RepoTags": names, "Layers": layers}
    ]);
    add(&mut archive, "manifest.json", manifest.to_string().as_bytes());
    archive.into_inner().unwrap()
}

fn add(archive: &mut tar::Builder<Vec<u8>>, name: &str, data: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(data.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, data).unwrap();
}

/// An OCI layout as a folder.
pub fn layout(folder: &Path, name: Option<&str>, tars: &[Vec<u8>]) {
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = digest(bytes);
        std::fs::write(blobs.join(digest.trim_start_matches("sha256:")), bytes).unwrap();
        digest
    };
    let packed: Vec<_> = tars.iter().map(|tar| gzip(tar)).collect();
    let manifest = manifest(&config(here(), tars), &packed, GZIP);
    put(&config(here(), tars));
    packed.iter().for_each(|layer| drop(put(layer)));
    let annotations = name.map(|name| serde_json::json!({"io.containerd.image.name": name}));
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [{
        "mediaType": MANIFEST, "digest": put(&manifest), "size": manifest.len(),
        "annotations": annotations,
    }]});
    std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
pub const TAR: &str = "application/vnd.oci.image.layer.v1.tar";

/// A manifest for these packed layers.
pub fn manifest(config: &[u8], packed: &[Vec<u8>], kind: &str) -> Vec<u8> {
    let layers: Vec<_> = packed
        .iter()
        .map(|l| serde_json::json!({"mediaType": kind, "digest": digest(l), "size": l.len()}))
        .collect();
    serde_json::to_vec(&serde_json::json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest(config), "size": config.len(),
        },
        "layers": layers,
    }))
    .unwrap()
}

/// Three layers, of which each changes the ones below.
pub fn layers() -> Vec<Vec<u8>> {
    vec![
        Layer::new().dir("etc").file("etc/a", "1").file("etc/b", "1").tar(),
        Layer::new().file("etc/a", "2").tar(),
        Layer::new().file("etc/.wh.b", "").tar(),
    ]
}
