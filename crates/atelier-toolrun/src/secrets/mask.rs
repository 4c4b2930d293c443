//! Known secrets are taken out of whatever is shown or logged, also where a secret arrives in pieces,
//! as JSON, in a URL, or line by line.

use std::io::{self, Write};

use zeroize::Zeroizing;

use super::Secret;

/// What stands where a secret stood.
pub const MASK: &str = "••••";
/// Shorter texts are not looked for: `1` or `yes` would take half of every log with them.
const SHORTEST: usize = 4;
/// A line of a secret with several lines is looked for by itself from this length on.
const SHORTEST_LINE: usize = 12;

/// Replaces known secrets by dots.
#[derive(Clone, Default)]
pub struct Masker {
    /// What is looked for, the longest first.
    needles: Vec<Zeroizing<Vec<u8>>>,
    /// Whether any of them begins with a byte.
    begins: Option<Box<[bool; 256]>>,
}

impl Masker {
    /// One that knows these secrets.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut needles: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        for secret in secrets {
            let text = secret.expose();
            let lines = text.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
            for form in forms(text).into_iter().chain(lines.flat_map(forms)) {
                if form.len() >= SHORTEST && !needles.contains(&form) {
                    needles.push(form);
                }
            }
        }
        needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        let mut begins = Box::new([false; 256]);
        for needle in &needles {
            begins[usize::from(needle[0])] = true;
        }
        let begins = (!needles.is_empty()).then_some(begins);
        Self { needles, begins }
    }

    /// A text without the secrets.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    /// Bytes without the secrets.
    #[must_use]
    pub fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        self.scan(bytes, true, &mut out);
        out
    }

    /// Puts what is decided into `out`; returns how much of `bytes` that was. The rest is the beginning
    /// of a secret, perhaps.
    fn scan(&self, bytes: &[u8], last: bool, out: &mut Vec<u8>) -> usize {
        let Some(begins) = &self.begins else {
            out.extend_from_slice(bytes);
            return bytes.len();
        };
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            if !begins[usize::from(rest[0])] {
                out.push(rest[0]);
                at += 1;
                continue;
            }
            let unsure = |needle: &Vec<u8>| needle.len() > rest.len() && needle.starts_with(rest);
            if !last && self.needles.iter().any(|needle| unsure(needle)) {
                return at;
            }
            match self.needles.iter().find(|needle| rest.starts_with(needle)) {
                Some(needle) => {
                    out.extend_from_slice(MASK.as_bytes());
                    at += needle.len();
                }
                None => {
                    out.push(rest[0]);
                    at += 1;
                }
            }
        }
        at
    }

    /// A writer that lets through what is no secret. What may be the beginning of one is held back
    /// until the next bytes tell.
    pub fn writer<W: Write>(&self, inner: W) -> MaskingWriter<W> {
        MaskingWriter { masker: self.clone(), held: Zeroizing::default(), inner }
    }
}

impl std::fmt::Debug for Masker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Masker({})", self.needles.len())
    }
}

/// The ways in which a program may write a text: as it is, in JSON, in a URL.
fn forms(text: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let mut forms = vec![Zeroizing::new(text.as_bytes().to_vec())];
    let json = serde_json::to_string(text).map(Zeroizing::new).unwrap_or_default();
    let inner = json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).unwrap_or_default();
    forms.push(Zeroizing::new(inner.as_bytes().to_vec()));
    let mut url = Zeroizing::new(Vec::with_capacity(text.len()));
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => url.push(byte),
            false => url.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    forms.push(url);
    forms
}

/// See [`Masker::writer`].
#[derive(Debug)]
pub struct MaskingWriter<W: Write> {
    masker: Masker,
    held: Zeroizing<Vec<u8>>,
    inner: W,
}

impl<W: Write> MaskingWriter<W> {
    /// Nothing more comes: what was held back is written.
    ///
    /// # Errors
    /// Those of the writer below.
    pub fn finish(mut self) -> io::Result<W> {
        let mut out = Vec::new();
        self.masker.scan(&self.held, true, &mut out);
        self.inner.write_all(&out)?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    /// The writer below.
    pub fn inner(&mut self) -> &mut W {
        &mut self.inner
    }
}

impl<W: Write> Write for MaskingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        let mut out = Vec::with_capacity(self.held.len());
        let done = self.masker.scan(&self.held, false, &mut out);
        self.held.drain(..done);
        self.inner.write_all(&out)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masker(secrets: &[&str]) -> Masker {
        let secrets: Vec<_> = secrets.iter().map(|text| Secret::new(*text)).collect();
        Masker::new(&secrets)
    }

    #[test]
    fn a_secret_is_masked_in_each_of_its_forms() {
        let masker = masker(&["p@ss \"word\""]);
        let said = masker.text(
            "raw p@ss \"word\" json \"p@ss \\\"word\\\"\" url ?k=p%40ss%20%22word%22&x=1 p@ss",
        );
        assert_eq!(said, "raw •••• json \"••••\" url ?k=••••&x=1 p@ss");
    }

    #[test]
    fn every_line_of_a_key_is_masked_and_short_values_are_left() {
        let masker = masker(&["-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----\n", "1"]);
        assert_eq!(masker.text("> MIIEvQIBADANBg\n> 1"), "> ••••\n> 1");
    }

    #[test]
    fn a_secret_in_pieces_is_masked_wherever_it_is_cut() {
        let masker = masker(&["abcd", "abcdefgh", "xabc", "abcq"]);
        let text = "..abcdefgh-abcd-xabcabcq-abcde";
        let whole = masker.text(text);
        assert_eq!(whole, "..••••-••••-••••••••-••••e");
        for size in 1..text.len() {
            let mut writer = masker.writer(Vec::new());
            for piece in text.as_bytes().chunks(size) {
                writer.write_all(piece).unwrap();
            }
            assert_eq!(String::from_utf8(writer.finish().unwrap()).unwrap(), whole, "{size}");
        }
    }

    #[test]
    fn what_cannot_be_a_secret_is_not_held_back() {
        let masker = masker(&["secret"]);
        let mut writer = masker.writer(Vec::new());
        writer.write_all(b"ready\nse").unwrap();
        assert_eq!(writer.inner(), b"ready\n");
    }
}
