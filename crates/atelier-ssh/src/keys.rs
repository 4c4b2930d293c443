//! Key files: the host's own key, and the keys that may come in.

use std::fs::{self, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use atelier_files::whole;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::{PrivateKey, PublicKey};

use crate::SshError;

/// The file of the host key.
const HOST_KEY: &str = "ssh_host_ed25519_key";
/// The file of further keys that may come in.
const AUTHORIZED: &str = "authorized_keys";
/// A key file that is longer is none.
const LONGEST_FILE: u64 = 1 << 20;

/// The host key in a folder of keys; made when it is not there. Its public half is beside it, in
/// `ssh_host_ed25519_key.pub`.
///
/// # Errors
/// When it can neither be read nor made.
pub fn host_key(keys: &Path) -> Result<PrivateKey, SshError> {
    let path = keys.join(HOST_KEY);
    let failed = |source| SshError::HostKeyFile { path: path.clone(), source };
    let invalid = |source| SshError::HostKey { path: path.clone(), source };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let key = PrivateKey::from_openssh(&text).map_err(invalid)?;
            if key.is_encrypted() {
                return Err(invalid(russh::keys::ssh_key::Error::Encrypted));
            }
            fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
            return Ok(key);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let mut seed = [0u8; 32];
    fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut seed)).map_err(failed)?;
    let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed));
    let key = PrivateKey::new(pair, "atelier").map_err(invalid)?;
    let text = key.to_openssh(LineEnding::LF).map_err(invalid)?;
    let public = key.public_key().to_openssh().map_err(invalid)?;
    fs::create_dir_all(keys).map_err(failed)?;
    let beside = path.with_extension("pub");
    whole::replace(&beside, format!("{public}\n").as_bytes(), 0o644).map_err(failed)?;
    whole::replace(&path, text.as_bytes(), whole::PRIVATE).map_err(failed)?;
    Ok(key)
}

/// The keys that may come in: those of `keys/authorized_keys` of a home, and those of its user:
/// `~/.ssh/authorized_keys` and `~/.ssh/*.pub`. Read afresh each time. What can't be read is left
/// out, and so is a line with options, such as `command=` or `from=`: it grants less than this
/// server would.
#[must_use]
pub fn authorized_keys(home: &Path, user_home: &Path) -> Vec<PublicKey> {
    let ssh = user_home.join(".ssh");
    let mut files = vec![home.join("keys").join(AUTHORIZED), ssh.join(AUTHORIZED)];
    let own = fs::read_dir(&ssh).into_iter().flatten().flatten().map(|entry| entry.path());
    files.extend(own.filter(|path| path.extension().is_some_and(|end| end == "pub")));
    let mut keys: Vec<PublicKey> = Vec::new();
    for key in files.iter().flat_map(|file| keys_in(&read(file))) {
        if !keys.iter().any(|known| known.key_data() == key.key_data()) {
            keys.push(key);
        }
    }
    keys
}

fn read(path: &Path) -> String {
    let mut text = String::new();
    let is_file = fs::metadata(path).is_ok_and(|found| found.is_file());
    let file = is_file.then(|| fs::File::open(path)).and_then(Result::ok);
    if let Some(file) = file {
        // What is no text holds no keys.
        let _ = file.take(LONGEST_FILE).read_to_string(&mut text);
    }
    text
}

/// One key a line. A line with options does not begin with a kind of key and is no key here; a
/// certificate's file neither.
fn keys_in(text: &str) -> Vec<PublicKey> {
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines.filter_map(|line| PublicKey::from_openssh(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn the_host_key_is_made_once_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        let made = host_key(&keys).unwrap();
        assert_eq!(host_key(&keys).unwrap().public_key(), made.public_key());
        let file = keys.join(HOST_KEY);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let public = fs::read_to_string(keys.join("ssh_host_ed25519_key.pub")).unwrap();
        assert_eq!(public.trim(), made.public_key().to_openssh().unwrap());
        fs::write(&file, "no key").unwrap();
        assert!(matches!(host_key(&keys), Err(SshError::HostKey { .. })));
    }

    #[test]
    fn keys_are_read_from_the_home_and_from_the_user_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let (home, user) = (dir.path().join("atelier"), dir.path().join("user"));
        assert!(authorized_keys(&home, &user).is_empty());
        fs::create_dir_all(home.join("keys")).unwrap();
        fs::create_dir_all(user.join(".ssh")).unwrap();
        let other = host_key(&home.join("keys")).unwrap().public_key().to_openssh().unwrap();
        fs::write(home.join("keys/authorized_keys"), format!("# mine\n\n{ONE} me@here\n")).unwrap();
        fs::write(user.join(".ssh/id_ed25519.pub"), format!("{ONE} again\n")).unwrap();
        fs::write(user.join(".ssh/id_rsa"), other.clone()).unwrap();
        assert_eq!(authorized_keys(&home, &user).len(), 1);
        fs::write(user.join(".ssh/authorized_keys"), format!("{other}\n")).unwrap();
        assert_eq!(authorized_keys(&home, &user).len(), 2);
    }

    #[test]
    fn a_line_that_grants_less_grants_nothing() {
        assert_eq!(keys_in(&format!("command=\"/bin/true\" {ONE}\nrestrict {ONE}\n")).len(), 0);
        assert_eq!(keys_in(&format!("  {ONE} a b c\nnonsense\n")).len(), 1);
    }
}
