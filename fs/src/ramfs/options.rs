//! Mount options of tmpfs(5).

use crate::{Errno, Result, pages::PAGE};
use core::fmt;

/// Limits and the owner of the root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Pages its files may have.
    pub pages: Option<u64>,
    /// Files it may have.
    pub inodes: Option<u64>,
    /// Permission bits of the root.
    pub mode: Option<u32>,
    /// Owner of the root.
    pub uid: Option<u32>,
    /// Group of the root.
    pub gid: Option<u32>,
}

impl Options {
    /// Reads `size=10%,nr_inodes=1k,mode=1777`.
    ///
    /// # Errors
    /// - `EINVAL`: an option or a value that does not exist.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let mut options = Self::default();
        let text = str::from_utf8(text).map_err(|_| Errno::EINVAL)?;
        for option in text.split(',').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let number = || value.parse::<u32>().map_err(|_| Errno::EINVAL);
            match name {
                "size" => options.pages = limit(size(value)?.div_ceil(PAGE)),
                "nr_blocks" => options.pages = limit(size(value)?),
                "nr_inodes" => options.inodes = limit(size(value)?),
                "mode" => {
                    let mode = u32::from_str_radix(value, 8).map_err(|_| Errno::EINVAL)?;
                    options.mode = Some(mode & 0o7777);
                }
                "uid" => options.uid = Some(number()?),
                "gid" => options.gid = Some(number()?),
                // Hints about memory placement change nothing that a program can see.
                "huge" | "mpol" | "inode64" | "noswap" => {}
                _ => return Err(Errno::EINVAL),
            }
        }
        Ok(options)
    }

    pub(super) fn write_owner(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        if let Some(mode) = self.mode {
            write!(out, ",mode={mode:o}")?;
        }
        if let Some(uid) = self.uid {
            write!(out, ",uid={uid}")?;
        }
        if let Some(gid) = self.gid {
            write!(out, ",gid={gid}")?;
        }
        Ok(())
    }
}

/// 0 means "no limit".
fn limit(value: u64) -> Option<u64> {
    (value != 0).then_some(value)
}

/// A number with `k`, `m`, `g`, or `%` of the memory.
fn size(text: &str) -> Result<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let number: u64 = digits.parse().map_err(|_| Errno::EINVAL)?;
    let factor = match unit {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        "%" => {
            let memory = framework::frame::stats().total as u64 * PAGE;
            return Ok(memory / 100 * number);
        }
        _ => return Err(Errno::EINVAL),
    };
    number.checked_mul(factor).ok_or(Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::Options;
    use crate::Errno;

    #[test]
    fn options_are_read() {
        let options = Options::parse(b"size=10k,nr_inodes=2k,mode=0750,uid=5,gid=6").unwrap();
        assert_eq!((options.pages, options.inodes), (Some(3), Some(2048)));
        assert_eq!((options.mode, options.uid, options.gid), (Some(0o750), Some(5), Some(6)));
        assert_eq!(Options::parse(b"size=0").unwrap().pages, None);
        assert_eq!(Options::parse(b"colour=red"), Err(Errno::EINVAL));
        assert_eq!(Options::parse(b"size=10x"), Err(Errno::EINVAL));
    }
}
