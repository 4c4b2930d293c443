//! PAX records: what a header had no room for.

use super::TarError;

type Result<T> = std::result::Result<T, TarError>;

/// The records before one entry, those that we know.
#[derive(Debug, Default, Clone)]
pub(crate) struct Pax {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub mtime: Option<(i64, u32)>,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub sparse: Sparse,
}

/// The records of a sparse file, in GNU's three PAX formats.
#[derive(Debug, Default, Clone)]
pub(crate) struct Sparse {
    /// Whether the map is at the beginning of the data (format 1.0).
    pub map_in_data: bool,
    pub name: Option<Vec<u8>>,
    /// The size once written.
    pub size: Option<u64>,
    /// Offsets and lengths, one after the other.
    pub map: Option<Vec<u64>>,
}

const BAD: TarError = TarError::Invalid("a PAX record is not well formed");

impl Pax {
    /// Reads `LENGTH KEY=VALUE\n` again and again.
    pub(crate) fn read(&mut self, mut records: &[u8]) -> Result<()> {
        while !records.is_empty() {
            let space = records.iter().position(|b| *b == b' ').ok_or(BAD)?;
            let length = usize::try_from(decimal(&records[..space])?).map_err(|_| BAD)?;
            let record = records.get(space + 1..length).ok_or(BAD)?;
            let record = record.strip_suffix(b"\n").ok_or(BAD)?;
            let equals = record.iter().position(|b| *b == b'=').ok_or(BAD)?;
            self.record(&record[..equals], &record[equals + 1..])?;
            records = &records[length..];
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        match key {
            b"path" => self.path = Some(plain(value)?),
            b"linkpath" => self.link = Some(plain(value)?),
            b"size" => self.size = Some(decimal(value)?),
            b"uid" => self.uid = Some(decimal(value)?),
            b"gid" => self.gid = Some(decimal(value)?),
            b"mtime" => self.mtime = Some(time(value)?),
            b"GNU.sparse.major" => self.sparse.map_in_data = decimal(value)? == 1,
            b"GNU.sparse.name" => self.sparse.name = Some(plain(value)?),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse.size = Some(decimal(value)?),
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                self.sparse.map.get_or_insert_default().push(decimal(value)?);
            }
            b"GNU.sparse.map" => {
                let numbers = value.split(|b| *b == b',').filter(|n| !n.is_empty());
                self.sparse.map = Some(numbers.map(decimal).collect::<Result<_>>()?);
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.push((plain(name)?, value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

/// A name: no NUL in it, since the kernel would stop there.
fn plain(value: &[u8]) -> Result<Vec<u8>> {
    if value.is_empty() || value.contains(&0) { Err(BAD) } else { Ok(value.to_vec()) }
}

/// A number in digits.
pub(crate) fn decimal(value: &[u8]) -> Result<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(BAD);
    }
    let text = std::str::from_utf8(value).map_err(|_| BAD)?;
    text.parse::<i64>().map(i64::cast_unsigned).map_err(|_| BAD)
}

/// Seconds, with a fraction.
fn time(value: &[u8]) -> Result<(i64, u32)> {
    let text = std::str::from_utf8(value).map_err(|_| BAD)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(BAD);
    }
    let seconds: i64 = whole.parse().map_err(|_| BAD)?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanos: u32 = digits.parse().map_err(|_| BAD)?;
    Ok(match (whole.starts_with('-'), nanos) {
        (true, 1..) => (seconds.saturating_sub(1), 1_000_000_000 - nanos),
        _ => (seconds, nanos),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(records: &[u8]) -> Result<Pax> {
        let mut pax = Pax::default();
        pax.read(records)?;
        Ok(pax)
    }

    #[test]
    fn records_are_read() {
        let pax = read(b"12 path=a/b\n18 mtime=-1.250000\n28 SCHILY.xattr.user.x=\x00=\n9\n");
        assert!(pax.is_err(), "the last record has no key");
        let pax = read(b"12 path=a/b\n15 mtime=-1.25\n26 SCHILY.xattr.user.x=\x00=\n").unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"a/b"[..]));
        assert_eq!(pax.mtime, Some((-2, 750_000_000)));
        assert_eq!(pax.xattrs, [(b"user.x".to_vec(), b"\x00=".to_vec())]);
    }

    #[test]
    fn broken_records_are_refused() {
        for records in [
            &b"5 a=b"[..],
            b"99 path=a\n",
            b"x path=a\n",
            b"9 path=a\x00\n",
            b"0 \n",
            b"10 size=-1\n",
            b"28 size=99999999999999999999\n",
            b"3 \n",
            b"1 path=a\n",
        ] {
            assert!(read(records).is_err(), "{}", String::from_utf8_lossy(records));
        }
    }
}
