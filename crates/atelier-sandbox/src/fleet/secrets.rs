//! Secrets that header rules name: kept sealed, put into requests outside of sandboxes, shown to nobody.

use std::collections::BTreeMap;

use atelier_api::secret::{Secret, SecretCreateInput, SecretRef, SecretUpdateInput};
use atelier_api::system::Nothing;
use atelier_api::{ExitCode, Problem};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Fleet, broken, conflict, sealed, store};

/// What the key that seals them is for.
const PURPOSE: &str = "secrets";
/// What ids begin with, and so no name.
const ID: &str = "sec_";
/// What names a secret in a header's value, up to the next `}`.
const BEGIN: &str = "${secrets.";
/// The longest value, in bytes: what a header may have.
const LONGEST: usize = 16 << 10;
/// Words about a secret: how many, and the bytes of a word, of what stands for it, and of all.
const MOST_WORDS: usize = 32;
const LONGEST_WORD: usize = 128;
const LONGEST_MEANING: usize = 1024;
const MOST_BYTES: usize = 8192;

/// A secret as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SecretRow {
    pub(super) id: Uuid,
    pub(super) name: String,
    sealed: String,
    version: u64,
    metadata: BTreeMap<String, String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl SecretRow {
    fn public_id(&self) -> String {
        format!("{ID}{}", self.id.simple())
    }

    fn view(&self) -> Secret {
        Secret {
            id: self.public_id(),
            name: self.name.clone(),
            version: self.version,
            metadata: self.metadata.clone(),
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

impl Fleet {
    /// Keeps a new secret.
    ///
    /// # Errors
    /// `secret.name`, `secret.value`, `secret.metadata`, `secret.exists`; what keeps it from being written.
    pub async fn secret_create(&self, input: SecretCreateInput) -> Result<Secret, Problem> {
        check_name(&input.name)?;
        check_metadata(&input.metadata)?;
        let now = Timestamp::now();
        let row = SecretRow {
            id: Uuid::new_v4(),
            name: input.name.to_ascii_lowercase(),
            sealed: self.seal_secret(&input.value)?,
            version: 1,
            metadata: input.metadata,
            created_at: now,
            updated_at: now,
        };
        if !store::claim_secret(&self.store, &row).await? {
            let taken = format!("there is a secret {} already", row.name);
            return Err(conflict("secret.exists", taken).hint("update it, or choose another name"));
        }
        Ok(row.view())
    }

    /// Gives a secret another value.
    ///
    /// # Errors
    /// As when it is made; `secret.not_found`.
    pub async fn secret_update(&self, input: SecretUpdateInput) -> Result<Secret, Problem> {
        if let Some(metadata) = &input.metadata {
            check_metadata(metadata)?;
        }
        let sealed = self.seal_secret(&input.value)?;
        loop {
            let before = self.secret(&input.secret).await?;
            let mut row = before.clone();
            row.sealed.clone_from(&sealed);
            row.version += 1;
            row.updated_at = Timestamp::now();
            if let Some(metadata) = &input.metadata {
                row.metadata.clone_from(metadata);
            }
            // Somebody else may have changed it in between: no version is to be lost.
            if store::change_secret(&self.store, &before, &row).await? {
                return Ok(row.view());
            }
        }
    }

    /// Lists secrets, by name.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn secret_list(&self) -> Result<Vec<Secret>, Problem> {
        Ok(store::secrets(&self.store).await?.iter().map(SecretRow::view).collect())
    }

    /// Shows a secret without its value.
    ///
    /// # Errors
    /// When there is none.
    pub async fn secret_show(&self, input: SecretRef) -> Result<Secret, Problem> {
        Ok(self.secret(&input.secret).await?.view())
    }

    /// Removes a secret.
    ///
    /// # Errors
    /// When there is none.
    pub async fn secret_remove(&self, input: SecretRef) -> Result<Nothing, Problem> {
        let row = self.secret(&input.secret).await?;
        store::forget_secret(&self.store, row.id).await?;
        Ok(Nothing {})
    }

    /// Puts secrets where values of headers name them.
    ///
    /// # Errors
    /// Why one can't be had, in a sentence for whoever asked for the host.
    pub(super) async fn fill_in<'a>(
        &self,
        values: impl Iterator<Item = &'a mut String>,
    ) -> Result<(), String> {
        let naming: Vec<&mut String> = values.filter(|value| value.contains(BEGIN)).collect();
        if naming.is_empty() {
            return Ok(());
        }
        let rows = store::secrets(&self.store).await.map_err(|error| error.to_string())?;
        for value in naming {
            *value = filled(value, |name| self.value_of(&rows, name))?;
        }
        Ok(())
    }

    fn value_of(&self, rows: &[SecretRow], name: &str) -> Result<String, String> {
        let wanted = name.to_ascii_lowercase();
        let row = rows.iter().find(|row| row.name == wanted);
        let row = row.ok_or_else(|| {
            format!("the rule of this host names the secret {name:?}, and there is none ('atelier secret set')")
        })?;
        let opened = sealed::open(&self.secret.key(PURPOSE), &row.sealed);
        opened.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
            format!(
                "the secret {name:?} can't be read any more, since the key of this home that sealed it is \
                 another one now; set it again"
            )
        })
    }

    fn seal_secret(&self, value: &str) -> Result<String, Problem> {
        check_value(value)?;
        let sealed = sealed::seal(&self.secret.key(PURPOSE), value.as_bytes());
        sealed.ok_or_else(|| broken(&"nothing can be sealed"))
    }

    async fn secret(&self, asked: &str) -> Result<SecretRow, Problem> {
        let wanted = asked.to_ascii_lowercase();
        let rows = store::secrets(&self.store).await?;
        let fits = |row: &SecretRow| row.name == wanted || row.public_id() == wanted;
        rows.into_iter().find(fits).ok_or_else(|| {
            let why = format!("there is no secret {asked:?}");
            Problem::new("secret.not_found", ExitCode::NotFound, why)
                .hint("'atelier secret ls' lists those that there are")
        })
    }
}

/// Whether what names secrets in a header's value can be read.
pub(super) fn check_naming(value: &str) -> Result<(), String> {
    filled(value, |name| match is_name(name) {
        true => Ok(String::new()),
        false => Err(format!("{name:?} is no name of a secret")),
    })
    .map(drop)
}

/// A value with secrets in the place of their names.
fn filled(value: &str, secret: impl Fn(&str) -> Result<String, String>) -> Result<String, String> {
    let mut filled = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let closed = after.split_once('}');
        let (name, after) = closed.ok_or_else(|| format!("{BEGIN} has no }}"))?;
        filled.push_str(before);
        filled.push_str(&secret(name)?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let reserved = name.get(..ID.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(ID));
    (1..=128).contains(&name.len()) && name.bytes().all(plain) && !reserved
}

fn check_name(name: &str) -> Result<(), Problem> {
    if is_name(name) {
        return Ok(());
    }
    let why = format!(
        "the name {name:?} is not valid: 1 to 128 letters, digits, - and _, and not {ID} at the beginning"
    );
    Err(Problem::new("secret.name", ExitCode::Usage, why))
}

fn check_value(value: &str) -> Result<(), Problem> {
    let wrong = match value {
        "" => "it is empty",
        long if long.len() > LONGEST => "it has more than 16 KiB",
        text if text.chars().any(char::is_control) => {
            "it has a line break or another control character, which no header can have"
        }
        _ => return Ok(()),
    };
    let why = format!("the value can't be kept: {wrong}");
    Err(Problem::new("secret.value", ExitCode::Usage, why))
}

fn check_metadata(words: &BTreeMap<String, String>) -> Result<(), Problem> {
    let fits = |(word, meaning): (&String, &String)| {
        (1..=LONGEST_WORD).contains(&word.len()) && meaning.len() <= LONGEST_MEANING
    };
    let bytes: usize = words.iter().map(|(word, meaning)| word.len() + meaning.len()).sum();
    if words.len() <= MOST_WORDS && bytes <= MOST_BYTES && words.iter().all(fits) {
        return Ok(());
    }
    let why = format!(
        "the metadata is too much: {MOST_WORDS} words of up to {LONGEST_WORD} bytes, each with up to \
         {LONGEST_MEANING} bytes, {MOST_BYTES} bytes in all"
    );
    Err(Problem::new("secret.metadata", ExitCode::Usage, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Result<String, String> {
        match name {
            "key" => Ok("sk-1 ${secrets.other}".to_owned()),
            "other" => Ok("2".to_owned()),
            _ => Err(format!("no {name}")),
        }
    }

    #[test]
    fn names_give_way_to_what_they_stand_for_once() {
        assert_eq!(filled("plain ${x} $", known).unwrap(), "plain ${x} $");
        let all = filled("Bearer ${secrets.key}, ${secrets.other}!", known).unwrap();
        assert_eq!(all, "Bearer sk-1 ${secrets.other}, 2!", "a value is not looked into");
        assert_eq!(filled("${secrets.none}", known).unwrap_err(), "no none");
        assert_eq!(filled("a ${secrets.key", known).unwrap_err(), "${secrets. has no }");
        assert!(check_naming("Bearer ${secrets.a-b_C9}").is_ok());
        assert!(check_naming("${secrets.}").is_err() && check_naming("${secrets.a b}").is_err());
    }

    #[test]
    fn what_can_not_be_kept_is_refused_without_showing_it() {
        for (name, fits) in [("a", true), ("OpenAI_key-1", true), ("", false), ("a.b", false)] {
            assert_eq!(check_name(name).is_ok(), fits, "{name}");
        }
        assert!(check_name("SEC_1").is_err(), "that is how ids begin");
        for value in ["", "hidden\nline", &"x".repeat(LONGEST + 1)] {
            let refused = check_value(value).unwrap_err();
            assert_eq!(refused.code, "secret.value");
            assert!(!refused.detail.contains("hidden"));
        }
        let words = |count: usize, length: usize| {
            let words = (0..count).map(|i| (format!("w{i}"), "x".repeat(length)));
            words.collect::<BTreeMap<_, _>>()
        };
        assert!(check_metadata(&words(32, 100)).is_ok());
        for (count, length) in [(33, 1), (1, 1025), (9, 1024)] {
            assert!(check_metadata(&words(count, length)).is_err(), "{count} of {length}");
        }
    }
}
