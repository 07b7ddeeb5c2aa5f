//! Names of sockets.

use abi::{Errno, Result};
use alloc::{boxed::Box, format};

/// The most bytes of a name, without the family.
pub const MAX_ADDRESS: usize = 108;

/// The name of a socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Address {
    /// None.
    #[default]
    Unnamed,
    /// A name of its own space: the bytes after the first zero byte.
    Abstract(Box<[u8]>),
    /// The path it was bound to, as it was given.
    Path(Box<[u8]>),
}

impl Address {
    /// Reads what follows the family in a `sockaddr_un`.
    ///
    /// # Errors
    /// - `EINVAL`: longer than [`MAX_ADDRESS`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > MAX_ADDRESS {
            return Err(Errno::EINVAL);
        }
        Ok(match bytes.split_first() {
            None => Self::Unnamed,
            Some((0, name)) => Self::Abstract(name.into()),
            Some(_) => {
                let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
                Self::Path(bytes[..end].into())
            }
        })
    }

    /// Writes what follows the family; returns how many bytes it has. A path ends with a zero.
    pub fn write(&self, to: &mut [u8; MAX_ADDRESS + 1]) -> usize {
        let (start, name, len): (usize, &[u8], usize) = match self {
            Self::Unnamed => return 0,
            Self::Abstract(name) => (1, name, name.len() + 1),
            Self::Path(path) => (0, path, path.len() + 1),
        };
        to.fill(0);
        to[start..start + name.len()].copy_from_slice(name);
        len
    }

    /// The `n`th name that the kernel chooses: five digits.
    pub(super) fn automatic(n: u32) -> Self {
        Self::Abstract(format!("{:05x}", n & 0xf_ffff).into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_way_to_a_program_and_back() {
        for bytes in [&b""[..], b"\0abstract\0with zero", b"/run/path", b"\0"] {
            let address = Address::parse(bytes).unwrap();
            let mut to = [9; MAX_ADDRESS + 1];
            let len = address.write(&mut to);
            assert_eq!(Address::parse(&to[..len.min(MAX_ADDRESS)]).unwrap(), address);
        }
        assert_eq!(Address::parse(b"cut\0off").unwrap(), Address::Path(b"cut"[..].into()));
        assert_eq!(Address::parse(&[1; 109]), Err(Errno::EINVAL));
        let longest = Address::parse(&[b'x'; 108]).unwrap();
        assert_eq!(longest.write(&mut [0; MAX_ADDRESS + 1]), 109);
    }
}
