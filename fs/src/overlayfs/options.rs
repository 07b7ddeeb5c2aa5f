//! Mount options of overlayfs.

use crate::{Errno, Result};
use alloc::{boxed::Box, vec::Vec};
use core::{fmt, mem};

/// What is laid over what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The directories below, topmost first.
    pub lower: Vec<Box<[u8]>>,
    /// The directory that takes the changes.
    pub upper: Option<Box<[u8]>>,
    /// An empty directory beside it, where changes are prepared.
    pub work: Option<Box<[u8]>>,
    /// `userxattr`: marks are kept in attributes that need no privilege.
    pub user_xattrs: bool,
}

impl Options {
    /// Reads `lowerdir=A:B,upperdir=C,workdir=D`. In names, `\` stands before a character that
    /// would else separate.
    ///
    /// # Errors
    /// - `EINVAL`: an option or a value that does not exist or is not supported, no lower
    ///   directory, or only one of upper and work directory.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let mut options = Self::default();
        for option in split(text, b',') {
            if option.is_empty() {
                continue;
            }
            let equals = option.iter().position(|byte| *byte == b'=').unwrap_or(option.len());
            let (name, value) = option.split_at(equals);
            let value = value.get(1..).unwrap_or_default();
            options.take(name, value)?;
        }
        let pair = options.upper.is_some() == options.work.is_some();
        let enough = options.lower.len() > usize::from(options.upper.is_none());
        if pair && enough { Ok(options) } else { Err(Errno::EINVAL) }
    }

    fn take(&mut self, name: &[u8], value: &[u8]) -> Result<()> {
        let path = || match value {
            [] => Err(Errno::EINVAL),
            value => Ok(Some(unescape(value))),
        };
        match (name, value) {
            (b"lowerdir", _) => {
                self.lower = split(value, b':').iter().map(|name| unescape(name)).collect();
                // Data-only layers, which `::` introduces, are not supported.
                if self.lower.iter().any(|name| name.is_empty()) {
                    return Err(Errno::EINVAL);
                }
            }
            (b"upperdir", _) => self.upper = path()?,
            (b"workdir", _) => self.work = path()?,
            (b"userxattr", b"") => self.user_xattrs = true,
            // The features themselves are not supported, so they can only be off; inode numbers
            // are always unique, and nothing is written back that `volatile` would leave out.
            (b"redirect_dir", b"off" | b"nofollow")
            | (b"index" | b"metacopy" | b"nfs_export" | b"verity", b"off")
            | (b"xino", b"on" | b"off" | b"auto")
            | (b"uuid", b"on" | b"off" | b"null" | b"auto")
            | (b"volatile" | b"default_permissions", b"") => {}
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    /// Writes the options as in `/proc/mounts`.
    pub(super) fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        for (index, lower) in self.lower.iter().enumerate() {
            out.write_str(if index == 0 { ",lowerdir=" } else { ":" })?;
            write_name(out, lower)?;
        }
        for (option, name) in [(",upperdir=", &self.upper), (",workdir=", &self.work)] {
            if let Some(name) = name {
                out.write_str(option)?;
                write_name(out, name)?;
            }
        }
        out.write_str(if self.user_xattrs { ",userxattr" } else { "" })
    }
}

/// Splits at each separator that no backslash stands before; the backslashes stay.
fn split(text: &[u8], separator: u8) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    let mut part = Vec::new();
    let mut escaped = false;
    for byte in text {
        if *byte == separator && !escaped {
            parts.push(mem::take(&mut part));
        } else {
            part.push(*byte);
        }
        escaped = *byte == b'\\' && !escaped;
    }
    parts.push(part);
    parts
}

fn unescape(text: &[u8]) -> Box<[u8]> {
    let mut plain = Vec::new();
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => *bytes.next().unwrap_or(byte),
            byte => *byte,
        });
    }
    plain.into_boxed_slice()
}

fn write_name(out: &mut dyn fmt::Write, name: &[u8]) -> fmt::Result {
    name.utf8_chunks().try_for_each(|chunk| {
        for character in chunk.valid().chars() {
            match character {
                ':' | ',' => write!(out, "\\{character}")?,
                ' ' | '\t' | '\n' | '\\' => write!(out, "\\{:03o}", u32::from(character))?,
                _ => out.write_char(character)?,
            }
        }
        if chunk.invalid().is_empty() { Ok(()) } else { out.write_char('?') }
    })
}

#[cfg(test)]
mod tests {
    use super::Options;
    use crate::Errno;

    #[test]
    fn options_are_read_and_written() {
        let text = br"lowerdir=/a:b\:c\,d:/e,upperdir=/u,workdir=/w,redirect_dir=off";
        let options = Options::parse(text).unwrap();
        let lower: Vec<&[u8]> = options.lower.iter().map(|name| &**name).collect();
        assert_eq!(lower, [&b"/a"[..], b"b:c,d", b"/e"]);
        assert_eq!(options.upper.as_deref(), Some(&b"/u"[..]));
        let mut written = String::new();
        options.write(&mut written).unwrap();
        assert_eq!(written, r",lowerdir=/a:b\:c\,d:/e,upperdir=/u,workdir=/w");
    }

    #[test]
    fn what_linux_refuses_is_refused() {
        for text in [
            "",
            "lowerdir=",
            "lowerdir=/l",
            "lowerdir=/l,upperdir=/u",
            "lowerdir=/l,workdir=/w",
            "upperdir=/u,workdir=/w",
            "lowerdir=/l:,upperdir=/u,workdir=/w",
            "lowerdir=/l,upperdir=/u,workdir=/w,colour=red",
            "lowerdir=/l,upperdir=/u,workdir=/w,redirect_dir=on",
        ] {
            assert_eq!(Options::parse(text.as_bytes()), Err(Errno::EINVAL), "{text}");
        }
        assert!(Options::parse(b"lowerdir=/a:/b").is_ok(), "nothing above is read-only");
    }
}
