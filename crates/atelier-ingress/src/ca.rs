//! A certificate authority of one machine: its key, its own certificate, and certificates for the names
//! that are asked for. It vouches for no name outside its domains, and says so in its certificate; one
//! for whatever sandboxes connect to ([`Names::any`]) has no such limit.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::IngressError;
use crate::key_files;

const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca.key";
const OWN_YEARS: Duration = Duration::days(3650);
const OWN_RENEWAL: Duration = Duration::days(365);
const LEAF_LIFE: Duration = Duration::days(90);
const LEAF_RENEWAL: Duration = Duration::days(30);
/// Clocks of clients may be a little slow.
const BACKDATED: Duration = Duration::hours(1);
const MOST_LEAVES: usize = 1024;

/// The names that a [`LocalCa`] vouches for.
#[derive(Clone)]
pub struct Names {
    /// Domains, each with every name directly below it. A domain with a dot gets one wildcard certificate.
    pub domains: Vec<String>,
    /// Whether a name further below one of the domains, or below `localhost`, gets a certificate too.
    pub allowed: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    /// Every name there is; the domains don't matter then.
    pub any: bool,
}

impl Names {
    /// The names directly below `domains`, and no others.
    pub fn of<S: Into<String>>(domains: impl IntoIterator<Item = S>) -> Self {
        let domains = domains.into_iter().map(|d| d.into().to_ascii_lowercase()).collect();
        Self { domains, allowed: Arc::new(|_| false), any: false }
    }

    /// Every name, for an authority that only sandboxes trust.
    #[must_use]
    pub fn any() -> Self {
        Self { domains: Vec::new(), allowed: Arc::new(|_| true), any: true }
    }
}

/// The certificate authority. Cheap to ask: certificates are kept until they are renewed.
pub struct LocalCa {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    names: Names,
    leaves: Mutex<HashMap<String, Leaf>>,
}

#[derive(Clone)]
struct Leaf {
    key: Arc<CertifiedKey>,
    renewal: OffsetDateTime,
}

impl LocalCa {
    /// Reads the authority of a folder, or makes one there. Its certificate is made anew, with the same
    /// key, when its end is near or `names` has a domain that it does not include: whoever trusts the old
    /// one goes on to trust names of the old domains.
    pub fn open(folder: &Path, names: Names) -> Result<Self, IngressError> {
        Self::open_at(folder, names, OffsetDateTime::now_utc())
    }

    fn open_at(folder: &Path, names: Names, now: OffsetDateTime) -> Result<Self, IngressError> {
        key_files::folder(folder)?;
        let key = key(folder)?;
        let pem = certificate(folder, &key, &names, now)?;
        let issuer = Issuer::new(own_params(&key, &names, now), key);
        Ok(Self { issuer, pem, names, leaves: Mutex::default() })
    }

    /// Where the authority of a folder has its own certificate.
    #[must_use]
    pub fn path(folder: &Path) -> PathBuf {
        folder.join(CERTIFICATE)
    }

    /// The authority's own certificate, for clients to trust.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for the name that a client asks for; without one, for this machine by itself.
    #[must_use]
    pub fn certificate(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        self.certificate_at(name, OffsetDateTime::now_utc())
    }

    fn certificate_at(&self, name: Option<&str>, now: OffsetDateTime) -> Option<Arc<CertifiedKey>> {
        let names = self.covered(&name.unwrap_or("localhost").to_ascii_lowercase())?;
        let cached = names.first()?.clone();
        let mut leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leaf) = leaves.get(&cached).filter(|leaf| now < leaf.renewal) {
            return Some(leaf.key.clone());
        }
        let key = match self.issue(&names, now) {
            Ok(key) => Arc::new(key),
            Err(error) => {
                tracing::warn!(%error, name = cached, "no certificate");
                return None;
            }
        };
        if leaves.len() >= MOST_LEAVES {
            leaves.clear();
        }
        let renewal = now + LEAF_LIFE - LEAF_RENEWAL;
        leaves.insert(cached, Leaf { key: key.clone(), renewal });
        Some(key)
    }

    /// The names of the certificate that `name` gets.
    fn covered(&self, name: &str) -> Option<Vec<String>> {
        if self.names.any {
            return Some(vec![name.to_owned()]);
        }
        if name == "localhost" {
            return Some(["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec());
        }
        let parent = name.split_once('.').map(|(_, parent)| parent);
        for domain in &self.names.domains {
            if name == domain || parent == Some(domain) {
                // A wildcard below a name of one label is not accepted by clients.
                return Some(match domain.contains('.') {
                    true => vec![format!("*.{domain}"), domain.clone()],
                    false => vec![name.to_owned()],
                });
            }
        }
        let mut domains = self.names.domains.iter().map(String::as_str).chain(["localhost"]);
        let ours = domains.any(|domain| is_below(name, domain));
        (ours && (self.names.allowed)(name)).then(|| vec![name.to_owned()])
    }

    fn issue(&self, names: &[String], now: OffsetDateTime) -> Result<CertifiedKey, IngressError> {
        let what = "a certificate";
        let key = KeyPair::generate().map_err(IngressError::crypto(what))?;
        let mut params =
            CertificateParams::new(names.to_vec()).map_err(IngressError::crypto(what))?;
        params.distinguished_name = common_name("Atelier");
        params.serial_number = Some(serial()?);
        params.not_before = now - BACKDATED;
        params.not_after = now + LEAF_LIFE;
        params.use_authority_key_identifier_extension = true;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate =
            params.signed_by(&key, &self.issuer).map_err(IngressError::crypto(what))?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signing = rustls::crypto::ring::sign::any_supported_type(&private)
            .map_err(IngressError::crypto(what))?;
        Ok(CertifiedKey::new(vec![certificate.der().clone()], signing))
    }
}

/// The key comes first and the certificate is made from it, so that a kill between the two loses nothing.
fn key(folder: &Path) -> Result<KeyPair, IngressError> {
    let path = folder.join(KEY);
    if key_files::read_private(&path)?.is_none() {
        let new = KeyPair::generate().map_err(IngressError::crypto("a key"))?;
        key_files::create(&path, &new.serialize_pem(), 0o600)?;
    }
    let text = key_files::read_private(&path)?.unwrap_or_default();
    KeyPair::from_pem(&text).map_err(|error| IngressError::Content {
        path,
        expected: "a private key",
        reason: error.to_string(),
    })
}

fn certificate(
    folder: &Path,
    key: &KeyPair,
    names: &Names,
    now: OffsetDateTime,
) -> Result<String, IngressError> {
    let (path, domains) = (folder.join(CERTIFICATE), &names.domains);
    let Some(pem) = key_files::read(&path)? else {
        let pem = own(key, names, now)?;
        key_files::create(&path, &pem, 0o644)?;
        return Ok(key_files::read(&path)?.unwrap_or(pem));
    };
    let old = Own::read(&path, &pem)?;
    if old.public_key != key.public_key_raw() {
        return Err(IngressError::NoPair { certificate: path, key: folder.join(KEY) });
    }
    let missing = domains.iter().any(|d| !old.domains.iter().any(|o| d == o || is_below(d, o)));
    if !missing && now + OWN_RENEWAL < old.ends {
        return Ok(pem);
    }
    let mut all = old.domains;
    all.extend(domains.iter().cloned());
    all.sort();
    all.dedup();
    let pem = own(key, &Names { domains: all.clone(), ..names.clone() }, now)?;
    key_files::replace(&path, &pem, 0o644)?;
    tracing::warn!(path = %path.display(), domains = ?all, "the local authority's certificate was made anew");
    Ok(pem)
}

/// What matters of the authority's certificate on disk.
struct Own {
    public_key: Vec<u8>,
    domains: Vec<String>,
    ends: OffsetDateTime,
}

impl Own {
    fn read(path: &Path, pem: &str) -> Result<Self, IngressError> {
        let bad = |reason: String| IngressError::Content {
            path: path.to_owned(),
            expected: "a certificate",
            reason,
        };
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| bad(e.to_string()))?;
        let (_, own) = X509Certificate::from_der(&der).map_err(|e| bad(e.to_string()))?;
        let ends = own.validity().not_after.timestamp();
        let ends = OffsetDateTime::from_unix_timestamp(ends).map_err(|e| bad(e.to_string()))?;
        let constraints = own.name_constraints().map_err(|e| bad(e.to_string()))?;
        let permitted = constraints.and_then(|c| c.value.permitted_subtrees.as_ref());
        let domains = permitted.into_iter().flatten().filter_map(|tree| match tree.base {
            GeneralName::DNSName(name) => Some(name.to_owned()),
            _ => None,
        });
        let public_key = own.public_key().subject_public_key.data.to_vec();
        Ok(Self { public_key, domains: domains.collect(), ends })
    }
}

fn own(key: &KeyPair, names: &Names, now: OffsetDateTime) -> Result<String, IngressError> {
    let what = "the local authority's certificate";
    let mut params = own_params(key, names, now);
    params.serial_number = Some(serial()?);
    params.self_signed(key).map(|own| own.pem()).map_err(IngressError::crypto(what))
}

/// The name contains a part of the key's digest, so that authorities of two machines are not mixed up.
fn own_params(key: &KeyPair, names: &Names, now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    let id: String =
        params.key_identifier(key).iter().take(4).map(|b| format!("{b:02x}")).collect();
    let title = if names.any { "Atelier egress" } else { "Atelier local authority" };
    params.distinguished_name = common_name(&format!("{title} {id}"));
    params.not_before = now - BACKDATED;
    params.not_after = now + OWN_YEARS;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    if !names.any {
        params.name_constraints = Some(constraints(&names.domains));
    }
    params
}

/// The names and addresses that the authority vouches for: its domains, and this machine by itself.
fn constraints(domains: &[String]) -> NameConstraints {
    let mut permitted: Vec<String> = domains.to_vec();
    permitted.push("localhost".to_owned());
    permitted.sort();
    permitted.dedup();
    let mut permitted: Vec<_> = permitted.into_iter().map(GeneralSubtree::DnsName).collect();
    for (address, bits) in
        [(IpAddr::from([127, 0, 0, 0]), 8), (IpAddr::V6(Ipv6Addr::LOCALHOST), 128)]
    {
        permitted.push(GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, bits)));
    }
    NameConstraints { permitted_subtrees: permitted, excluded_subtrees: Vec::new() }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    all.push(DnType::CommonName, name);
    all
}

/// Browsers refuse two certificates of one authority with one number.
fn serial() -> Result<SerialNumber, IngressError> {
    let mut bytes = [0; 16];
    let random = ring::rand::SystemRandom::new();
    ring::rand::SecureRandom::fill(&random, &mut bytes)
        .map_err(IngressError::crypto("a number"))?;
    // Positive, and of a fixed length.
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.') && rest.len() > 1)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use atelier_api::Fault;

    use super::*;

    fn open(folder: &Path, domains: &[&str]) -> LocalCa {
        LocalCa::open(folder, Names::of(domains.iter().copied())).unwrap()
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn names(ca: &LocalCa, name: &str) -> Vec<String> {
        ca.covered(name).unwrap_or_default()
    }

    #[test]
    fn the_key_is_for_its_owner_only_and_is_refused_when_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        open(&keys, &["a.test"]);
        assert_eq!(mode(&keys), 0o700);
        assert_eq!(mode(&keys.join(KEY)), 0o600);
        assert_eq!(mode(&keys.join(CERTIFICATE)), 0o644);
        std::fs::set_permissions(keys.join(KEY), std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = LocalCa::open(&keys, Names::of(["a.test"])).err().unwrap();
        assert_eq!(error.code(), "ingress.key_permissions");
        assert!(error.hints()[0].starts_with("chmod 600"));
    }

    #[test]
    fn it_is_the_same_authority_when_it_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let pem = open(folder.path(), &["a.test"]).ca_pem().to_owned();
        assert_eq!(open(folder.path(), &["a.test"]).ca_pem(), pem);
        assert_eq!(open(folder.path(), &["x.a.test"]).ca_pem(), pem);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_kill_between_the_two_files_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path(), &["a.test"]);
        let key = std::fs::read(folder.path().join(KEY)).unwrap();
        std::fs::remove_file(folder.path().join(CERTIFICATE)).unwrap();
        std::fs::write(folder.path().join(".new-abc"), "half").unwrap();
        let ca = open(folder.path(), &["a.test"]);
        assert!(ca.certificate(Some("x.a.test")).is_some());
        assert_eq!(std::fs::read(folder.path().join(KEY)).unwrap(), key);
    }

    #[test]
    fn a_certificate_of_another_key_is_not_used() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        open(one.path(), &["a.test"]);
        open(two.path(), &["a.test"]);
        std::fs::copy(one.path().join(KEY), two.path().join(KEY)).unwrap();
        let error = LocalCa::open(two.path(), Names::of(["a.test"])).err().unwrap();
        assert_eq!(error.code(), "ingress.key_mismatch");
    }

    #[test]
    fn one_that_is_opened_twenty_times_at_once_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let pems: Vec<String> = std::thread::scope(|scope| {
            let open = || scope.spawn(|| open(folder.path(), &["a.test"]).ca_pem().to_owned());
            let all: Vec<_> = (0..20).map(|_| open()).collect();
            all.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(pems.iter().all(|pem| *pem == pems[0]));
    }

    #[test]
    fn a_new_domain_and_a_near_end_make_a_new_certificate_with_the_old_key() {
        let folder = tempfile::tempdir().unwrap();
        let old = open(folder.path(), &["a.test"]).ca_pem().to_owned();
        let key = std::fs::read(folder.path().join(KEY)).unwrap();
        let wider = open(folder.path(), &["b.test"]).ca_pem().to_owned();
        assert_ne!(old, wider);
        let domains = Own::read(Path::new("x"), &wider).unwrap().domains;
        assert_eq!(domains, ["a.test", "b.test", "localhost"]);
        let later = OffsetDateTime::now_utc() + OWN_YEARS - Duration::days(300);
        let renewed = LocalCa::open_at(folder.path(), Names::of(["a.test"]), later).unwrap();
        assert_ne!(renewed.ca_pem(), wider);
        assert!(Own::read(Path::new("x"), renewed.ca_pem()).unwrap().ends > later + OWN_RENEWAL);
        assert_eq!(std::fs::read(folder.path().join(KEY)).unwrap(), key);
    }

    #[test]
    fn certificates_are_kept_until_they_are_near_their_end() {
        let folder = tempfile::tempdir().unwrap();
        let ca = open(folder.path(), &["a.test"]);
        let now = OffsetDateTime::now_utc();
        let first = ca.certificate_at(Some("x.a.test"), now).unwrap();
        let same = ca.certificate_at(Some("Y.A.test"), now + Duration::days(50)).unwrap();
        assert!(Arc::ptr_eq(&first, &same));
        let renewed = ca.certificate_at(Some("x.a.test"), now + Duration::days(61)).unwrap();
        assert!(!Arc::ptr_eq(&first, &renewed));
    }

    #[test]
    fn one_for_every_name_is_another_authority_and_stays_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let ca = LocalCa::open(folder.path(), Names::any()).unwrap();
        assert_eq!(names(&ca, "api.example.com"), ["api.example.com"]);
        assert!(ca.certificate(Some("api.example.com")).is_some());
        let der = CertificateDer::from_pem_slice(ca.ca_pem().as_bytes()).unwrap();
        let (_, own) = X509Certificate::from_der(&der).unwrap();
        assert!(own.subject().to_string().contains("CN=Atelier egress "));
        assert!(own.name_constraints().unwrap().is_none());
        let again = LocalCa::open(folder.path(), Names::any()).unwrap();
        assert_eq!(again.ca_pem(), ca.ca_pem());
    }

    #[test]
    fn names_are_covered_by_wildcards_or_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let allowed: Arc<dyn Fn(&str) -> bool + Send + Sync> = Arc::new(|n| n.starts_with("fix."));
        let domains = vec!["a.test".to_owned(), "localhost".to_owned()];
        let ca = LocalCa::open(folder.path(), Names { domains, allowed, any: false }).unwrap();
        assert_eq!(names(&ca, "3000-x.a.test"), ["*.a.test", "a.test"]);
        assert_eq!(names(&ca, "a.test"), ["*.a.test", "a.test"]);
        assert_eq!(names(&ca, "localhost"), ["localhost", "127.0.0.1", "::1"]);
        assert_eq!(names(&ca, "x.localhost"), ["x.localhost"]);
        assert_eq!(names(&ca, "fix.shop.localhost"), ["fix.shop.localhost"]);
        for not in
            ["bug.shop.localhost", "fix.evil.test", "a.test.evil.test", "xa.test", ".a.test."]
        {
            assert!(names(&ca, not).is_empty(), "{not}");
        }
    }
}
