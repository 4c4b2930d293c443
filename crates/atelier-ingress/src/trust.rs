//! The system's store of authorities that it trusts: one file of ours in it, which is said before it is
//! written. Stores of single programs (browsers with their own) are not touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::IngressError;
use crate::key_files;

/// Where macOS keeps what the whole machine trusts.
const KEYCHAIN: &str = "/Library/Keychains/System.keychain";

/// A way of a system to trust an authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Debian, Ubuntu and their like.
    Debian,
    /// Fedora and its like.
    Fedora,
    MacOs,
}

/// What makes a system trust an authority, or no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    root: PathBuf,
    way: Way,
    /// The authority's certificate.
    pub certificate: PathBuf,
    pem: String,
    /// Our file in the store, as the system itself sees it; macOS keeps no file.
    pub file: Option<PathBuf>,
}

impl Trust {
    /// How the system below `root` is made to trust a certificate. Changes nothing.
    ///
    /// # Errors
    /// When the file holds no authority's certificate, and when no store is known here.
    pub fn of(root: &Path, certificate: &Path) -> Result<Self, IngressError> {
        let way = Self::way(root)?;
        let pem = key_files::read(certificate)?.ok_or_else(|| {
            IngressError::file(certificate)(std::io::Error::from(std::io::ErrorKind::NotFound))
        })?;
        let name = format!("{}.crt", name(certificate, &pem)?);
        let file = match way {
            Way::Debian => Some(Path::new("/usr/local/share/ca-certificates").join(name)),
            Way::Fedora => Some(Path::new("/etc/pki/ca-trust/source/anchors").join(name)),
            Way::MacOs => None,
        };
        Ok(Self { root: root.to_owned(), way, certificate: certificate.to_owned(), pem, file })
    }

    fn way(root: &Path) -> Result<Way, IngressError> {
        let has = |path: &str| root.join(path).exists();
        if cfg!(target_os = "macos") {
            return Ok(Way::MacOs);
        }
        if has("etc/pki/ca-trust/source/anchors") {
            return Ok(Way::Fedora);
        }
        if has("usr/sbin/update-ca-certificates") || has("usr/local/share/ca-certificates") {
            return Ok(Way::Debian);
        }
        Err(IngressError::NoStore)
    }

    /// What is run, after the file is written or removed.
    #[must_use]
    pub fn command(&self, remove: bool) -> Vec<String> {
        let certificate = self.certificate.display().to_string();
        let words: &[&str] = match (self.way, remove) {
            (Way::Debian, false) => &["update-ca-certificates"],
            // Without this word it leaves links to files that are gone.
            (Way::Debian, true) => &["update-ca-certificates", "--fresh"],
            (Way::Fedora, _) => &["update-ca-trust", "extract"],
            (Way::MacOs, false) => {
                &["security", "add-trusted-cert", "-d", "-r", "trustRoot", "-k", KEYCHAIN]
            }
            (Way::MacOs, true) => &["security", "remove-trusted-cert", "-d"],
        };
        let file = (self.way == Way::MacOs).then_some(certificate);
        words.iter().map(|&word| word.to_owned()).chain(file).collect()
    }

    /// Whether our file is in the store, with this certificate.
    #[must_use]
    pub fn in_place(&self) -> bool {
        let there = self.place().and_then(|place| fs::read_to_string(place).ok());
        there.is_some_and(|text| text == self.pem)
    }

    /// Whether there is something of ours to be removed.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.place().is_none_or(|place| place.exists())
    }

    /// Makes the system trust it.
    ///
    /// # Errors
    /// Those of the file and of the command; then the file is gone again.
    pub fn install(&self) -> Result<(), IngressError> {
        let Some(place) = self.place() else { return self.run(false) };
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).map_err(IngressError::file(folder))?;
        }
        key_files::replace(&place, &self.pem, 0o644)?;
        self.run(false).inspect_err(|_| {
            let _ = fs::remove_file(&place);
        })
    }

    /// Takes it back.
    ///
    /// # Errors
    /// Those of the file and of the command.
    pub fn remove(&self) -> Result<(), IngressError> {
        if let Some(place) = self.place()
            && let Err(error) = fs::remove_file(&place)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(IngressError::file(place)(error));
        }
        self.run(true)
    }

    fn place(&self) -> Option<PathBuf> {
        let file = self.file.as_ref()?;
        Some(self.root.join(file.strip_prefix("/").unwrap_or(file)))
    }

    /// Programs of this machine are not run for a tree elsewhere.
    fn run(&self, remove: bool) -> Result<(), IngressError> {
        if self.root != Path::new("/") {
            return Ok(());
        }
        let words = self.command(remove);
        let failed = |why: String| IngressError::Command { command: words.join(" "), why };
        let [program, arguments @ ..] = words.as_slice() else { return Ok(()) };
        let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
        let output = output.map_err(|error| failed(error.to_string()))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        }
    }
}

/// The authority's own name, as a file's: each machine and home has another.
fn name(path: &Path, pem: &str) -> Result<String, IngressError> {
    let bad = |reason: String| IngressError::Content {
        path: path.to_owned(),
        expected: "the certificate of an authority",
        reason,
    };
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| bad(e.to_string()))?;
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|e| bad(e.to_string()))?;
    if !certificate.is_ca() {
        return Err(bad("it may not sign others".to_owned()));
    }
    let common = certificate.subject().iter_common_name().next();
    let common = common.and_then(|name| name.as_str().ok()).unwrap_or("authority");
    let fine = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = common.chars().map(fine).collect();
    Ok(if name.starts_with("atelier") { name } else { format!("atelier-{name}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LocalCa, Names};

    fn authority(folder: &Path) -> PathBuf {
        LocalCa::open(folder, Names::of(["test"])).unwrap();
        LocalCa::path(folder)
    }

    #[test]
    fn each_system_gets_the_file_where_it_looks_and_loses_it_again() {
        for (has, folder) in [
            ("usr/local/share/ca-certificates", "usr/local/share/ca-certificates"),
            ("etc/pki/ca-trust/source/anchors", "etc/pki/ca-trust/source/anchors"),
        ] {
            let (root, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            fs::create_dir_all(root.path().join(has)).unwrap();
            let certificate = authority(keys.path());
            let trust = Trust::of(root.path(), &certificate).unwrap();
            assert!(!trust.in_place() && !trust.is_there());
            trust.install().unwrap();
            assert!(trust.in_place());
            let mut files = fs::read_dir(root.path().join(folder)).unwrap();
            let file = files.next().unwrap().unwrap().path();
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(name.starts_with("atelier-local-authority-"), "{name}");
            assert_eq!(fs::read(&file).unwrap(), fs::read(&certificate).unwrap());
            trust.remove().unwrap();
            assert!(!file.exists() && !trust.is_there());
            trust.remove().unwrap();
        }
    }

    #[test]
    fn what_is_no_authority_is_not_trusted() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/local/share/ca-certificates")).unwrap();
        let text = root.path().join("text");
        fs::write(&text, "no certificate").unwrap();
        assert!(matches!(Trust::of(root.path(), &text), Err(IngressError::Content { .. })));
        let missing = root.path().join("missing");
        assert!(matches!(Trust::of(root.path(), &missing), Err(IngressError::File { .. })));
    }

    #[test]
    fn a_system_without_a_known_store_is_said() {
        let (root, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let certificate = authority(keys.path());
        assert!(matches!(Trust::of(root.path(), &certificate), Err(IngressError::NoStore)));
    }
}
