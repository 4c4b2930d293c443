//! An authority that programs inside are to trust: its certificate goes where distributions and
//! libraries look, and variables tell those that look nowhere.
//!
//! | who | finds it |
//! |---|---|
//! | OpenSSL, GnuTLS, curl, wget, git, Go, Rust, Ruby, PHP | in the distribution's bundle |
//! | Python (`ssl`, `requests`, `httpx`), Node.js, AWS's tools | by variables |
//! | `update-ca-certificates`, which makes bundles anew | in [`OWN`] |

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The certificate by itself, where Debian's and Alpine's `update-ca-certificates` find it.
const OWN: &str = "usr/local/share/ca-certificates/atelier-egress.crt";
/// Where distributions have their bundles: Debian, Alpine, Arch; Fedora; openSUSE.
const BUNDLES: [&str; 3] = [
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
];
/// Variables that name a bundle to use instead of the program's own.
const INSTEAD: [&str; 4] =
    ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE"];
/// Node.js reads this beside its own.
const BESIDE: &str = "NODE_EXTRA_CA_CERTS";

/// Puts a certificate into the stores below `root`; again changes nothing. Gives the variables that
/// programs need to find it.
pub(super) fn install(root: &Path, certificate: &str) -> io::Result<BTreeMap<String, String>> {
    let certificate = format!("{}\n", certificate.trim());
    let own = root.join(OWN);
    if fs::read_to_string(&own).ok().as_ref() != Some(&certificate) {
        replace(&own, certificate.as_bytes())?;
    }
    let there: Vec<PathBuf> =
        BUNDLES.iter().map(|name| root.join(name)).filter(|path| path.is_file()).collect();
    let first = there.first().cloned().unwrap_or_else(|| root.join(BUNDLES[0]));
    for bundle in there.iter().chain((there.is_empty()).then_some(&first)) {
        add(bundle, &certificate)?;
    }
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut variables = BTreeMap::from([(BESIDE.to_owned(), text(&own))]);
    // A bundle with nothing but ours would take away the authorities that programs bring themselves.
    if has_others(&fs::read(&first)?, certificate.as_bytes()) {
        variables.extend(INSTEAD.map(|name| (name.to_owned(), text(&first))));
    }
    Ok(variables)
}

fn add(bundle: &Path, certificate: &str) -> io::Result<()> {
    let mut bytes = match fs::read(bundle) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    if position(&bytes, certificate.as_bytes()).is_some() {
        return Ok(());
    }
    if bytes.last().is_some_and(|last| *last != b'\n') {
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(certificate.as_bytes());
    replace(bundle, &bytes)
}

/// Writes a file whole or not at all. One that a link leads to is replaced where it lies.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mode = fs::metadata(&path).map_or(0o644, |data| data.permissions().mode() & 0o777);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = path.with_added_extension("atelier-new");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(mode).open(&new)?;
    file.write_all(bytes)?;
    fs::rename(new, path)
}

fn has_others(bundle: &[u8], own: &[u8]) -> bool {
    let Some(at) = position(bundle, own) else { return true };
    let marks = |bytes: Option<&[u8]>| position(bytes.unwrap_or_default(), b"-----BEGIN").is_some();
    marks(bundle.get(..at)) || marks(bundle.get(at + own.len()..))
}

fn position(all: &[u8], part: &[u8]) -> Option<usize> {
    all.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n";
    const OTHER: &str = "-----BEGIN CERTIFICATE-----\nother\n-----END CERTIFICATE-----";

    #[test]
    fn the_bundle_has_it_once_and_the_others_too() {
        let root = tempfile::tempdir().unwrap();
        let bundle = root.path().join(BUNDLES[0]);
        fs::create_dir_all(bundle.parent().unwrap()).unwrap();
        fs::write(&bundle, OTHER).unwrap();
        for _ in 0..2 {
            let variables = install(root.path(), OURS).unwrap();
            assert_eq!(fs::read_to_string(&bundle).unwrap(), format!("{OTHER}\n{OURS}"));
            assert_eq!(variables["SSL_CERT_FILE"], bundle.to_string_lossy());
            assert!(variables[BESIDE].ends_with("atelier-egress.crt"));
        }
        let left = fs::read_dir(bundle.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "nothing half-written");
    }

    #[test]
    fn a_system_without_a_bundle_gets_one_that_nobody_is_sent_to() {
        let root = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let variables = install(root.path(), OURS).unwrap();
            assert_eq!(fs::read_to_string(root.path().join(BUNDLES[0])).unwrap(), OURS);
            assert_eq!(variables.keys().collect::<Vec<_>>(), [BESIDE]);
        }
    }

    #[test]
    fn a_bundle_behind_a_link_is_written_where_it_lies() {
        let root = tempfile::tempdir().unwrap();
        let (link, lies) = (root.path().join(BUNDLES[1]), root.path().join("extracted.pem"));
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        fs::write(&lies, OTHER).unwrap();
        std::os::unix::fs::symlink(&lies, &link).unwrap();
        let variables = install(root.path(), OURS).unwrap();
        assert!(fs::read_to_string(&lies).unwrap().contains("ours"));
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(variables["SSL_CERT_FILE"], link.to_string_lossy());
        assert!(!root.path().join(BUNDLES[0]).exists());
    }
}
