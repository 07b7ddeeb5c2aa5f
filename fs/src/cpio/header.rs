//! The header of an entry in the newc format: magic and thirteen numbers in hexadecimal.

use crate::{DeviceNumber, Kind, cpio::Cause};

/// Bytes of a header.
pub(super) const LENGTH: usize = 110;

/// What a header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// With `links` over 1: what the names of one file have in common.
    pub(super) identity: (u32, DeviceNumber),
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) links: u32,
    pub(super) modified: u32,
    pub(super) size: u32,
    pub(super) special: DeviceNumber,
    /// Bytes of the name, its NUL included.
    pub(super) name_size: u32,
    /// The sum of all bytes, if the format has one.
    pub(super) checksum: Option<u32>,
}

impl Header {
    pub(super) fn parse(bytes: &[u8; LENGTH]) -> Result<Self, Cause> {
        let (magic, numbers) = bytes.split_at(6);
        let has_checksum = match magic {
            b"070701" => false,
            b"070702" => true,
            _ => return Err(Cause::BadMagic),
        };
        let mut fields = [0; 13];
        let (digits, _) = numbers.as_chunks::<8>();
        for (field, digits) in fields.iter_mut().zip(digits) {
            *field = number(digits)?;
        }
        let [
            inode,
            mode,
            uid,
            gid,
            links,
            modified,
            size,
            major,
            minor,
            special_major,
            special_minor,
            name_size,
            checksum,
        ] = fields;
        Ok(Self {
            identity: (inode, DeviceNumber::new(major, minor)),
            mode,
            uid,
            gid,
            links,
            modified,
            size,
            special: DeviceNumber::new(special_major, special_minor),
            name_size,
            checksum: has_checksum.then_some(checksum),
        })
    }

    pub(super) fn kind(&self) -> Result<Kind, Cause> {
        Kind::from_mode(self.mode).ok_or(Cause::BadType)
    }
}

fn number(digits: &[u8; 8]) -> Result<u32, Cause> {
    digits.iter().try_fold(0, |number, digit| {
        let value = char::from(*digit).to_digit(16).ok_or(Cause::BadNumber)?;
        Ok(number << 4 | value)
    })
}
