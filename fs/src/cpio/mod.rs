//! The initial file system: cpio archives in the newc format, plain or gzipped, one after another.
//!
//! ```text
//!   image ─┬─ plain ────────────────▶ Unpacker ──▶ files below a directory
//!          └─ gzip ──▶ 64 KiB window ──▶ │
//! ```
//! Archives follow each other with zeros between, as Linux takes them. The unpacker is fed piece by
//! piece, so memory is bounded by the longest name, not by the image.

mod gzip;
mod header;
#[cfg(test)]
mod tests;
mod unpacker;

use crate::{Caller, Errno, Path};
use core::fmt;
use unpacker::Unpacker;

/// Why an image cannot be unpacked, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub cause: Cause,
    /// The byte at which it is noticed; in a gzip member, of what it unpacks to.
    pub offset: u64,
    /// Where the gzip member starts in the image.
    pub member: Option<u64>,
}

/// What is wrong with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Neither a cpio archive nor gzip starts here.
    UnknownFormat,
    /// No newc header where one must be.
    BadMagic,
    /// A field of a header is not a hexadecimal number.
    BadNumber,
    /// A type that is none, in the mode of a header.
    BadType,
    /// The name is empty, longer than a path, or does not end with a NUL.
    BadName,
    /// The text of a symbolic link is empty or longer than a path.
    BadLink,
    /// The sum of the bytes is not what the header says.
    BadChecksum,
    /// The end came in the middle of an entry, or before the trailer.
    Truncated,
    /// The header of a gzip member is not one.
    BadGzipHeader,
    /// The compressed bytes make no sense.
    BadGzipData,
    /// What a gzip member unpacks to has not the length or checksum it says.
    BadGzipChecksum,
    /// A file could not be made.
    File(Errno),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownFormat => "neither cpio (newc) nor gzip",
            Self::BadMagic => "no cpio header (newc) where one must be",
            Self::BadNumber => "a field of the cpio header is not a hexadecimal number",
            Self::BadType => "a file type that does not exist",
            Self::BadName => "a name that is empty, too long, or not terminated",
            Self::BadLink => "a symbolic link that is empty or too long",
            Self::BadChecksum => "the bytes of a file do not match their checksum",
            Self::Truncated => "the archive ends too early",
            Self::BadGzipHeader => "a bad gzip header",
            Self::BadGzipData => "corrupt compressed data",
            Self::BadGzipChecksum => "the decompressed bytes do not match their checksum",
            Self::File(errno) => return write!(f, "a file cannot be made: {errno:?}"),
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.cause, self.offset)?;
        match self.member {
            Some(start) => write!(f, " of the gzip member at byte {start}"),
            None => Ok(()),
        }
    }
}

/// What was unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Entries, the trailers not counted.
    pub entries: u64,
    /// Bytes of regular files.
    pub bytes: u64,
}

/// Unpacks all archives of an image below `root`; what is there is replaced.
///
/// # Errors
/// The first thing wrong with the image; what came before it is unpacked.
pub fn unpack(image: &[u8], root: &Path, caller: &Caller<'_>) -> Result<Unpacked, Error> {
    let mut unpacker = Unpacker::new(root, caller);
    let mut at = 0;
    while let Some(zeros) = image[at..].iter().position(|byte| *byte != 0) {
        at += zeros;
        let rest = &image[at..];
        let start = at as u64;
        if rest.starts_with(b"0707") {
            unpacker.start(start);
            let taken = unpacker.push(rest).map_err(|cause| unpacker.error(cause, None))?;
            unpacker.finish().map_err(|cause| unpacker.error(cause, None))?;
            at += taken;
        } else if rest.starts_with(&gzip::MAGIC) {
            at += unpack_member(rest, start, &mut unpacker)?;
        } else {
            return Err(Error { cause: Cause::UnknownFormat, offset: start, member: None });
        }
    }
    unpacker.settle();
    Ok(unpacker.unpacked())
}

/// Unpacks the archives in a gzip member; returns the length of the member.
fn unpack_member(member: &[u8], start: u64, unpacker: &mut Unpacker<'_>) -> Result<usize, Error> {
    unpacker.start(0);
    let outer = |cause| Error { cause, offset: start, member: None };
    let mut failed = None;
    let result = gzip::decompress(member, &mut |mut bytes| {
        while !bytes.is_empty() {
            match unpacker.push_all(bytes) {
                Ok(taken) => bytes = &bytes[taken..],
                Err(cause) => {
                    failed = Some(unpacker.error(cause, Some(start)));
                    return false;
                }
            }
        }
        true
    });
    match (failed, result) {
        (Some(error), _) => Err(error),
        (None, Err((cause, offset))) => {
            let compressed = start.saturating_add(offset as u64);
            Err(Error { offset: compressed, ..outer(cause) })
        }
        (None, Ok(length)) => {
            unpacker.finish().map_err(|cause| unpacker.error(cause, Some(start)))?;
            Ok(length)
        }
    }
}
