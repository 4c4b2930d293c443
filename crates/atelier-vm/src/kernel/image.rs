//! Reads a kernel: its release, and the ELF file packed in a bzImage. The layout is that of
//! `Documentation/arch/x86/boot.rst` of Linux.

use std::fs;
use std::path::Path;

use super::unpack::unpack;
use crate::VmError;
use crate::error::Result;

/// "HdrS" at 0x202 marks a bzImage.
const MAGIC: &[u8] = b"HdrS";
const ELF: &[u8] = b"\x7fELF";
/// No kernel is larger than this, in bytes.
const LARGEST: u64 = 512 << 20;

/// The release of a kernel, as `uname -r` says it.
pub(super) fn release(path: &Path) -> Result<String> {
    let bytes = read(path)?;
    let unusable = |why: &str| VmError::Kernel { path: path.to_owned(), why: why.to_owned() };
    let text = if bytes.starts_with(ELF) {
        let banner = b"Linux version ";
        let at = bytes.windows(banner.len()).position(|window| window == banner);
        at.and_then(|at| bytes.get(at + banner.len()..))
    } else {
        check(&bytes).map_err(unusable)?;
        // Protocol 2.00 and later: where the release stands, less 0x200.
        word(&bytes, 0x20e).and_then(|at| bytes.get(usize::from(at) + 0x200..))
    };
    text.and_then(|text| {
        let end = text.iter().position(|byte| *byte == b' ' || *byte == 0)?;
        String::from_utf8(text.get(..end)?.to_vec()).ok()
    })
    .filter(|release| !release.is_empty())
    .ok_or_else(|| unusable("it does not say which release it is"))
}

/// Writes the uncompressed kernel to `to`.
pub(super) fn extract(path: &Path, to: &Path) -> Result<()> {
    let bytes = read(path)?;
    let unusable = |why: String| VmError::Kernel { path: path.to_owned(), why };
    let unpacked = if bytes.starts_with(ELF) {
        bytes
    } else {
        check(&bytes).map_err(|why| unusable(why.to_owned()))?;
        let payload = payload(&bytes).ok_or_else(|| unusable("its header is damaged".into()))?;
        let elf = unpack(payload, LARGEST).map_err(|error| unusable(error.to_string()))?;
        if !elf.starts_with(ELF) {
            return Err(unusable("what is packed in it is no kernel".into()));
        }
        elf
    };
    fs::write(to, unpacked).map_err(VmError::io("writing", to))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let length = fs::metadata(path).map_err(VmError::io("reading", path))?.len();
    if length > LARGEST {
        return Err(VmError::Kernel { path: path.to_owned(), why: "it is too large".into() });
    }
    fs::read(path).map_err(VmError::io("reading", path))
}

fn check(bytes: &[u8]) -> std::result::Result<(), &'static str> {
    if bytes.get(0x202..0x206) != Some(MAGIC) {
        return Err("it is neither a bzImage nor an ELF file");
    }
    // Where the packed kernel lies is told since protocol 2.08 (Linux 2.6.26).
    if word(bytes, 0x206).is_none_or(|version| version < 0x0208) {
        return Err("it is too old");
    }
    Ok(())
}

fn payload(bytes: &[u8]) -> Option<&[u8]> {
    let sectors = match bytes.get(0x1f1)? {
        0 => 4,
        sectors => usize::from(*sectors),
    };
    let start = (sectors + 1) * 512 + long(bytes, 0x248)?;
    bytes.get(start..start.checked_add(long(bytes, 0x24c)?)?)
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// A bzImage with a gzip-packed "kernel".
    fn bz_image(kernel: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(kernel).unwrap();
        let payload = packer.finish().unwrap();
        let mut image = vec![0; 1024];
        image[0x1f1] = 1;
        image[0x202..0x206].copy_from_slice(MAGIC);
        image[0x206..0x208].copy_from_slice(&0x020f_u16.to_le_bytes());
        image[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
        image[0x300..0x310].copy_from_slice(b"6.1.0-x (me@x) #");
        image[0x24c..0x250].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        image.extend(payload);
        image
    }

    #[test]
    fn a_packed_kernel_tells_its_release_and_is_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let (packed, plain) = (folder.path().join("vmlinuz"), folder.path().join("vmlinux"));
        fs::write(&packed, bz_image(b"\x7fELF kernel")).unwrap();
        assert_eq!(release(&packed).unwrap(), "6.1.0-x");
        extract(&packed, &plain).unwrap();
        assert_eq!(fs::read(plain).unwrap(), b"\x7fELF kernel");
    }

    #[test]
    fn what_is_no_kernel_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vmlinuz");
        fs::write(&file, b"a text").unwrap();
        let error = release(&file).unwrap_err().to_string();
        assert!(error.ends_with("it is neither a bzImage nor an ELF file"), "{error}");
        fs::write(&file, bz_image(b"no elf")).unwrap();
        let error = extract(&file, &folder.path().join("out")).unwrap_err().to_string();
        assert!(error.ends_with("what is packed in it is no kernel"), "{error}");
        let mut cut = bz_image(b"\x7fELF");
        cut.truncate(1030);
        fs::write(&file, cut).unwrap();
        assert!(extract(&file, &folder.path().join("out")).is_err());
    }
}
