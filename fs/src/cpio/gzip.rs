//! gzip (RFC 1952), decompressed through a window.

use crate::cpio::Cause;
use alloc::{boxed::Box, vec};
use miniz_oxide::inflate::{
    TINFLStatus,
    core::{DecompressorOxide, decompress as inflate, inflate_flags},
};

/// How a member starts.
pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Bytes decompressed at a time; deflate looks back 32 KiB.
const WINDOW: usize = 64 * 1024;
/// The checksum and the length.
const TRAILER: usize = 8;

/// Decompresses the member at the start of `bytes` into `emit`, until that answers `false`;
/// returns the member's length. An error comes with the place it was noticed at.
pub(super) fn decompress(
    bytes: &[u8],
    emit: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<usize, (Cause, usize)> {
    let mut at = header(bytes).ok_or((Cause::BadGzipHeader, 0))?;
    let mut window = vec![0; WINDOW];
    let mut decompressor: Box<DecompressorOxide> = Box::default();
    let (mut position, mut crc, mut length) = (0, !0, 0u32);
    loop {
        let flags = inflate_flags::TINFL_FLAG_IGNORE_ADLER32;
        let (status, taken, made) =
            inflate(&mut decompressor, &bytes[at..], &mut window, position, flags);
        at += taken;
        let fresh = &window[position..position + made];
        crc = update_crc(crc, fresh);
        // The trailer keeps the length modulo 2^32.
        length = length.wrapping_add(u32::try_from(made).unwrap_or(0));
        if !emit(fresh) {
            return Ok(at);
        }
        match status {
            TINFLStatus::Done => break,
            TINFLStatus::HasMoreOutput => position = (position + made) % WINDOW,
            TINFLStatus::FailedCannotMakeProgress | TINFLStatus::NeedsMoreInput => {
                return Err((Cause::Truncated, at));
            }
            _ => return Err((Cause::BadGzipData, at)),
        }
    }
    let trailer = bytes.get(at..at + TRAILER).ok_or((Cause::Truncated, bytes.len()))?;
    let (words, _) = trailer.as_chunks::<4>();
    if [!crc, length] != [u32::from_le_bytes(words[0]), u32::from_le_bytes(words[1])] {
        return Err((Cause::BadGzipChecksum, at));
    }
    Ok(at + TRAILER)
}

/// The length of a member's header.
fn header(bytes: &[u8]) -> Option<usize> {
    const HEADER_CRC: u8 = 2;
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    let fixed = bytes.get(..10)?;
    let flags = fixed[3];
    // Method 8 is deflate; the upper three flags are reserved.
    if fixed[2] != 8 || flags & 0xe0 != 0 {
        return None;
    }
    let mut at = 10;
    if flags & EXTRA != 0 {
        let length = bytes.get(at..at + 2)?;
        at += 2 + usize::from(u16::from_le_bytes([length[0], length[1]]));
    }
    for flag in [NAME, COMMENT] {
        if flags & flag != 0 {
            at += bytes.get(at..)?.iter().position(|byte| *byte == 0)? + 1;
        }
    }
    if flags & HEADER_CRC != 0 {
        at += 2;
    }
    (at <= bytes.len()).then_some(at)
}

const CRC_TABLE: [u32; 256] = crc_table();

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        #[allow(clippy::cast_possible_truncation, reason = "the index is below 256")]
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 != 0 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

fn update_crc(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, byte| {
        let [low, ..] = crc.to_le_bytes();
        crc >> 8 ^ CRC_TABLE[usize::from(low ^ byte)]
    })
}
