//! This machine's key: an age identity (X25519) in a file of its own, outside of the repository. What is
//! sealed with it, and for whom.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::str::FromStr;

use age::secrecy::ExposeSecret;
use age::x25519;
use atelier_files::whole;

use super::Secret;
use super::error::{Error, Result};
use crate::Home;
use crate::OfFile as _;

/// This machine's key.
pub struct Keys {
    identity: x25519::Identity,
}

/// Why a sealed text stays closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Closed {
    /// It was sealed for others.
    ForOthers,
    /// It is no age file, or was changed.
    Damaged(String),
}

impl Keys {
    /// The key of this home, if it has one.
    ///
    /// # Errors
    /// [`Error::Key`] when the file holds something else or others can read it.
    pub fn load(home: &Home) -> Result<Option<Self>> {
        let path = home.key_file();
        let text = match fs::read_to_string(&path) {
            Ok(text) => Secret::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file("read", &path)(error)),
        };
        let mode = fs::metadata(&path).map_err(Error::file("read", &path))?.permissions().mode();
        if mode & 0o077 != 0 {
            let why = format!("can be read by others (mode {:04o}): chmod 600 it", mode & 0o7777);
            return Err(Error::Key { path, why });
        }
        let mut lines = text.expose().lines().map(str::trim);
        let found = lines.rfind(|line| !line.is_empty() && !line.starts_with('#'));
        match found.map(x25519::Identity::from_str) {
            Some(Ok(identity)) => Ok(Some(Self { identity })),
            _ => {
                let why = "holds no age identity (AGE-SECRET-KEY-1…)".to_owned();
                Err(Error::Key { path, why })
            }
        }
    }

    /// The key of this home; made when it has none. Of two that make it at once, one wins, and both
    /// use that one.
    ///
    /// # Errors
    /// Those of [`Keys::load`], and when the file cannot be written.
    pub fn load_or_make(home: &Home) -> Result<Self> {
        if let Some(keys) = Self::load(home)? {
            return Ok(keys);
        }
        let identity = x25519::Identity::generate();
        let path = home.key_file();
        let folder = path.parent().unwrap_or(home.root());
        whole::private_folder(folder).map_err(Error::file("made", folder))?;
        let text = Secret::new(format!(
            "# The key of the tools on this machine: it opens the secrets in tools/secrets.\n\
             # Share the public one; keep a copy of this file where you keep passwords.\n\
             # public key: {}\n{}\n",
            identity.to_public(),
            identity.to_string().expose_secret()
        ));
        // Another process may have been faster; then its key counts.
        whole::create(&path, text.expose().as_bytes(), whole::PRIVATE)
            .map_err(Error::file("written", &path))?;
        Self::load(home)?.ok_or_else(|| Error::Key { path, why: "has gone again".to_owned() })
    }

    /// The public key, as it stands in `recipients:` of `tools.yaml`.
    #[must_use]
    pub fn recipient(&self) -> String {
        self.identity.to_public().to_string()
    }

    /// Opens a text that was sealed for this key.
    pub(crate) fn open(&self, armour: &str) -> std::result::Result<Secret, Closed> {
        let damaged = |error: io::Error| Closed::Damaged(error.to_string());
        let mut reader = self.reader(age::armor::ArmoredReader::new(armour.as_bytes()))?;
        let mut text = zeroize::Zeroizing::new(Vec::with_capacity(armour.len()));
        reader.read_to_end(&mut text).map_err(damaged)?;
        match std::str::from_utf8(&text) {
            Ok(text) => Ok(Secret::new(text)),
            Err(_) => Err(Closed::Damaged("it is no text".to_owned())),
        }
    }

    /// A reader of what an age file holds.
    pub(crate) fn reader<R: Read>(
        &self,
        sealed: R,
    ) -> std::result::Result<age::stream::StreamReader<R>, Closed> {
        let tell = |error: age::DecryptError| match error {
            age::DecryptError::NoMatchingKeys => Closed::ForOthers,
            other => Closed::Damaged(other.to_string()),
        };
        let decryptor = age::Decryptor::new(sealed).map_err(tell)?;
        decryptor.decrypt(std::iter::once(&self.identity as &dyn age::Identity)).map_err(tell)
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.recipient())
    }
}

/// Public keys that something is sealed for.
#[derive(Clone)]
pub struct Recipients(Vec<x25519::Recipient>);

impl Recipients {
    /// Those of a manifest and `own`, each once.
    ///
    /// # Errors
    /// [`Error::Recipient`] for one that is none.
    pub fn of(listed: &[String], own: &Keys) -> Result<Self> {
        let mut all = vec![own.identity.to_public()];
        for text in listed {
            let one = x25519::Recipient::from_str(text.trim())
                .map_err(|_| Error::Recipient { given: text.clone() })?;
            if !all.contains(&one) {
                all.push(one);
            }
        }
        Ok(Self(all))
    }

    /// A text as age armour.
    pub(crate) fn seal(&self, name: &str, text: &Secret) -> Result<String> {
        let failed = |error: &dyn std::fmt::Display| Error::Encrypt {
            name: name.to_owned(),
            why: error.to_string(),
        };
        let armour =
            age::armor::ArmoredWriter::wrap_output(Vec::new(), age::armor::Format::AsciiArmor);
        let mut writer = self.writer(armour.map_err(|e| failed(&e))?).map_err(|e| failed(&e))?;
        writer.write_all(text.expose().as_bytes()).map_err(|e| failed(&e))?;
        let armour = writer.finish().and_then(age::armor::ArmoredWriter::finish);
        String::from_utf8(armour.map_err(|e| failed(&e))?).map_err(|e| failed(&e))
    }

    /// A writer whose output only the recipients can read.
    pub(crate) fn writer<W: Write>(&self, output: W) -> io::Result<age::stream::StreamWriter<W>> {
        let each = self.0.iter().map(|one| one as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(each).map_err(io::Error::other)?;
        encryptor.wrap_output(output)
    }
}

impl std::fmt::Debug for Recipients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recipients({})", self.0.len())
    }
}

/// Whether a text is a public key of age.
///
/// # Errors
/// [`Error::Recipient`].
pub fn check_recipient(text: &str) -> Result<()> {
    x25519::Recipient::from_str(text.trim())
        .map(|_| ())
        .map_err(|_| Error::Recipient { given: text.to_owned() })
}
