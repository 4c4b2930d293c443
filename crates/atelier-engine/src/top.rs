//! The first entry of a tar of a volume: its top folder, with owner, mode and attributes. Docker leaves
//! that one out where it unpacks, so it is given once more, as a folder with a name.

/// A block of a tar.
const BLOCK: usize = 512;
/// Where a header has the name, how big it is, the sum, and which kind it is of.
const NAME: std::ops::Range<usize> = 0..100;
const SIZE: std::ops::Range<usize> = 124..136;
const SUM: std::ops::Range<usize> = 148..156;
const KIND: usize = 156;

/// How much of the beginning [`named`] needs at most: the top folder with its attributes.
pub(crate) const BEGINNING: usize = 128 * 1024;

/// A tar with nothing but the top folder of another, called `name`; from that one's beginning.
pub(crate) fn named(beginning: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut at = 0;
    loop {
        let header = beginning.get(at..at + BLOCK)?;
        // Extended headers come before what they describe.
        if !matches!(header[KIND], b'x' | b'g' | b'L' | b'K') {
            break;
        }
        let text = std::str::from_utf8(&header[SIZE]).ok()?;
        let size = usize::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok()?;
        at += BLOCK + size.checked_next_multiple_of(BLOCK)?;
    }
    let mut archive = beginning.get(..at + BLOCK)?.to_vec();
    let header = &mut archive[at..];
    let end = header[NAME].iter().position(|byte| *byte == 0)?;
    if header[KIND] != b'5' || !matches!(&header[..end], b"./" | b".") {
        return None;
    }
    header[NAME].fill(0);
    header
        .get_mut(..name.len())
        .filter(|_| name.len() < NAME.end)?
        .copy_from_slice(name.as_bytes());
    header[SUM].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[SUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive.extend([0; 2 * BLOCK]);
    Some(archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, kind: u8, size: usize) -> Vec<u8> {
        let mut header = vec![0; BLOCK];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000710");
        header[SIZE].copy_from_slice(format!("{size:011o}\0").as_bytes());
        header[KIND] = kind;
        header
    }

    #[test]
    fn the_top_folder_keeps_what_it_is_like_and_nothing_else_comes_along() {
        let attributes = [header("PaxHeaders/.", b'x', 600), vec![b'a'; 2 * BLOCK]].concat();
        let all = [attributes.clone(), header("./", b'5', 0), header("./file", b'0', 0)].concat();
        let archive = named(&all, "top/").unwrap();
        assert_eq!(archive.len(), attributes.len() + 3 * BLOCK);
        assert_eq!(archive[..attributes.len()], attributes);
        let top = &archive[attributes.len()..][..BLOCK];
        assert_eq!(&top[..5], b"top/\0");
        assert_eq!(&top[100..107], b"0000710");
        let told = u32::from_str_radix(std::str::from_utf8(&top[SUM][..6]).unwrap(), 8).unwrap();
        let blank = SUM.len() as u32 * u32::from(b' ');
        let sum: u32 = top.iter().map(|b| u32::from(*b)).sum();
        assert_eq!(told, sum - top[SUM].iter().map(|b| u32::from(*b)).sum::<u32>() + blank);
    }

    #[test]
    fn an_archive_of_something_else_has_no_top_folder() {
        assert_eq!(named(&header("file", b'0', 0), "top/"), None);
        assert_eq!(named(&header("./", b'5', 0)[..100], "top/"), None);
    }
}
