//! Unpacks what kernels and modules are packed with, told by its first bytes.

use std::io::{self, Read};

/// The magic number of LZ4's legacy frame, and the most that one of its blocks holds
/// (<https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md>).
const LZ4_LEGACY: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];
const LZ4_BLOCK: usize = 8 << 20;

/// The unpacked bytes, at most `limit`; what is not packed comes back as it is.
pub(super) fn unpack(bytes: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    match bytes {
        [0x1f, 0x8b, ..] => all(flate2::read::GzDecoder::new(bytes), limit),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            all(lzma_rust2::XzReader::new(bytes, false), limit)
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            // One frame: a kernel is followed by its unpacked length.
            all(zstd::stream::read::Decoder::with_buffer(bytes)?.single_frame(), limit)
        }
        [a, b, c, d, rest @ ..] if [*a, *b, *c, *d] == LZ4_LEGACY => lz4(rest, limit),
        [b'B', b'Z', b'h', ..] => Err(invalid("it is packed with bzip2, which is not supported")),
        [0x5d, 0, 0, ..] => Err(invalid("it is packed with LZMA, which is not supported")),
        [0x89, b'L', b'Z', ..] => Err(invalid("it is packed with LZO, which is not supported")),
        _ => Ok(bytes.to_vec()),
    }
}

fn all(reader: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    reader.take(limit + 1).read_to_end(&mut unpacked)?;
    if unpacked.len() as u64 > limit {
        return Err(invalid("it is too large"));
    }
    Ok(unpacked)
}

/// Blocks, each after its packed length. A kernel is followed by its unpacked length, which reads
/// as a block that is not there.
fn lz4(mut bytes: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let Some(block) = rest.get(..length) else { break };
        let plain = lz4_flex::block::decompress(block, LZ4_BLOCK)
            .map_err(|error| invalid(&error.to_string()))?;
        unpacked.extend(plain);
        if unpacked.len() as u64 > limit {
            return Err(invalid("it is too large"));
        }
        bytes = rest.get(length..).unwrap_or_default();
    }
    Ok(unpacked)
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn each_kind_of_packing_is_undone() {
        let text = b"module ".repeat(5000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        let mut zstd = zstd::stream::encode_all(text.as_slice(), 1).unwrap();
        zstd.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
        let block = lz4_flex::block::compress(&text);
        let mut lz4 = LZ4_LEGACY.to_vec();
        lz4.extend(u32::try_from(block.len()).unwrap().to_le_bytes());
        lz4.extend(block);
        lz4.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
        for packed in [gzip.finish().unwrap(), zstd, lz4, text.clone()] {
            assert_eq!(unpack(&packed, 1 << 20).unwrap(), text);
        }
    }

    /// Made by `printf module | xz --check=crc32`, as modules are packed.
    #[test]
    fn xz_is_undone() {
        let packed = std::process::Command::new("sh")
            .args(["-c", "printf module | xz --check=crc32"])
            .output()
            .unwrap();
        if !packed.status.success() {
            eprintln!("skipped: no xz");
            return;
        }
        assert_eq!(unpack(&packed.stdout, 100).unwrap(), b"module");
    }

    #[test]
    fn a_bomb_is_refused() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&vec![0; 1 << 20]).unwrap();
        assert!(unpack(&gzip.finish().unwrap(), 1000).is_err());
    }
}
