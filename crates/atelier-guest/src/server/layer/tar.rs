//! Headers of a tar archive: ustar, with PAX records for what it has no room for.

/// The size of a block.
pub(super) const BLOCK: usize = 512;
/// The largest number that a field of eight bytes holds.
const SMALL: u64 = 0o777_7777;
/// The largest number that a field of twelve bytes holds.
const LARGE: u64 = 0o777_7777_7777;

/// What one entry is.
#[derive(Debug, Default)]
pub(super) struct Head<'a> {
    pub(super) path: &'a [u8],
    /// `0` a file, `1` a hard link, `2` a symlink, `5` a folder, `6` a pipe.
    pub(super) kind: u8,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds and nanoseconds.
    pub(super) mtime: (i64, u32),
    /// Bytes of data behind it.
    pub(super) size: u64,
    /// Where a link leads.
    pub(super) link: &'a [u8],
    /// What is said beside.
    pub(super) records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Head<'_> {
    /// Writes the header, and before it the records that it needs.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut records = Vec::new();
        let mut say = |key: &[u8], value: &[u8]| record(&mut records, key, value);
        if self.path.len() > 100 {
            say(b"path", self.path);
        }
        if self.link.len() > 100 {
            say(b"linkpath", self.link);
        }
        for (key, value, most) in [
            (b"uid".as_slice(), u64::from(self.uid), SMALL),
            (b"gid", u64::from(self.gid), SMALL),
            (b"size", self.size, LARGE),
        ] {
            if value > most {
                say(key, value.to_string().as_bytes());
            }
        }
        let (seconds, nanos) = self.mtime;
        if nanos != 0 || !(0..=LARGE.cast_signed()).contains(&seconds) {
            say(b"mtime", decimal_time(seconds, nanos).as_bytes());
        }
        for (key, value) in &self.records {
            say(key, value);
        }
        if !records.is_empty() {
            let length = records.len();
            block(out, b"records", &Head { kind: b'x', size: length as u64, ..Head::default() });
            out.extend_from_slice(&records);
            pad(out, length as u64);
        }
        block(out, self.path, self);
    }
}

/// Zeros up to the next block, behind so many bytes.
pub(super) fn pad(out: &mut Vec<u8>, length: u64) {
    let rest = (length.next_multiple_of(BLOCK as u64) - length) as usize;
    out.resize(out.len() + rest, 0);
}

fn block(out: &mut Vec<u8>, path: &[u8], head: &Head<'_>) {
    let mut block = [0; BLOCK];
    put(&mut block[..100], path);
    octal(&mut block[100..108], u64::from(head.mode));
    octal(&mut block[108..116], fits(u64::from(head.uid), SMALL));
    octal(&mut block[116..124], fits(u64::from(head.gid), SMALL));
    octal(&mut block[124..136], fits(head.size, LARGE));
    octal(&mut block[136..148], fits(u64::try_from(head.mtime.0).unwrap_or(0), LARGE));
    block[156] = head.kind;
    put(&mut block[157..257], head.link);
    put(&mut block[257..265], b"ustar\x0000");
    block[148..156].fill(b' ');
    let sum = block.iter().map(|byte| u64::from(*byte)).sum();
    octal(&mut block[148..155], sum);
    out.extend_from_slice(&block);
}

/// What a record says instead is nothing here.
fn fits(value: u64, most: u64) -> u64 {
    if value > most { 0 } else { value }
}

fn put(field: &mut [u8], bytes: &[u8]) {
    let length = bytes.len().min(field.len());
    field[..length].copy_from_slice(&bytes[..length]);
}

/// Digits up to a last zero byte.
fn octal(field: &mut [u8], value: u64) {
    let width = field.len() - 1;
    put(field, format!("{value:0width$o}").as_bytes());
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length += 1;
    }
    out.extend_from_slice(format!("{length} ").as_bytes());
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Nanoseconds count forwards, also before 1970.
fn decimal_time(seconds: i64, nanos: u32) -> String {
    match (seconds, nanos) {
        (_, 0) => seconds.to_string(),
        (0.., _) => format!("{seconds}.{nanos:09}"),
        (_, _) => format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanos),
    }
}
