//! `struct sockaddr_un` as programs pass it.

use super::{UnixSocket, bound_to};
use crate::{
    syscall::{Outcome, UserPtr},
    thread::Thread,
};
use abi::{Errno, Fd, Result};
use alloc::sync::Arc;
use framework::VirtAddr;
use fs::{Access, LookupFlags};
use net::unix::{Address, MAX_ADDRESS};

/// `AF_UNIX`.
pub(super) const UNIX: u16 = 1;
/// Bytes of the family.
const FAMILY: usize = 2;
/// The most bytes of any address (`struct sockaddr_storage`).
const STORAGE: usize = 128;

/// An address of a call.
#[derive(Clone, Debug)]
pub enum Given {
    /// Family 0: no address any more.
    Unspecified,
    /// A name.
    Unix(Address),
}

impl Thread {
    /// Reads an address of `len` bytes.
    ///
    /// # Errors
    /// - `EINVAL`: a bad length, or another family.
    /// - `EFAULT`: not user memory.
    pub fn read_address(&self, at: VirtAddr, len: u32) -> Result<Given> {
        let len = usize::try_from(len).ok().filter(|len| *len <= STORAGE).ok_or(Errno::EINVAL)?;
        let mut bytes = [0; STORAGE];
        self.read_bytes(at, &mut bytes[..len])?;
        if len < FAMILY {
            return Err(Errno::EINVAL);
        }
        match u16::from_ne_bytes([bytes[0], bytes[1]]) {
            0 => Ok(Given::Unspecified),
            UNIX if len <= FAMILY + MAX_ADDRESS => {
                Address::parse(&bytes[FAMILY..len]).map(Given::Unix)
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// Stores an address of which `len` says how much there is room for; then how long it is.
    ///
    /// # Errors
    /// - `EINVAL`: negative room.
    /// - `EFAULT`: not user memory.
    pub fn write_address(&self, address: &Address, to: VirtAddr, len: UserPtr<i32>) -> Result<()> {
        let room = usize::try_from(self.read(len)?).map_err(|_| Errno::EINVAL)?;
        let (bytes, whole) = bytes_of(address);
        self.write_bytes(to, &bytes[..whole.min(room)])?;
        self.write(len, &i32::try_from(whole).unwrap_or(i32::MAX))
    }

    /// Finds the socket with a name and hands it to `then`.
    ///
    /// # Errors
    /// - `ECONNREFUSED`: nobody has the name.
    /// - those of the path: it must be writable.
    pub fn find_socket<'a>(
        &'a self,
        address: Address,
        then: impl FnOnce(Arc<UnixSocket>) -> Result<Outcome<'a>> + Send + 'a,
    ) -> Result<Outcome<'a>> {
        match address {
            Address::Unnamed => Err(Errno::EINVAL),
            Address::Abstract(name) => then(self.system.unix_names.find(&name)?),
            Address::Path(path) => self.walk_then(
                Fd::CWD,
                path.into_vec(),
                |walk, base, path| {
                    let place = walk.resolve(base, path, LookupFlags::FOLLOW)?;
                    walk.access(&place, Access::WRITE)?;
                    Ok(place)
                },
                |place| then(bound_to(&place)?),
            ),
        }
    }
}

/// The address with its family, and how many bytes that is.
pub(super) fn bytes_of(address: &Address) -> ([u8; FAMILY + MAX_ADDRESS + 1], usize) {
    let mut name = [0; MAX_ADDRESS + 1];
    let len = address.write(&mut name);
    let mut bytes = [0; FAMILY + MAX_ADDRESS + 1];
    bytes[..FAMILY].copy_from_slice(&UNIX.to_ne_bytes());
    bytes[FAMILY..].copy_from_slice(&name);
    (bytes, FAMILY + len)
}
