//! `struct msghdr` as programs pass it.

use super::Control;
use crate::{
    file::Segments,
    syscall::{UserPtr, segments},
    thread::Thread,
};
use abi::{Errno, Result};
use framework::VirtAddr;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// `struct msghdr`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[allow(missing_docs, reason = "recvmsg(2)")]
pub struct Header {
    pub name: usize,
    pub name_len: u32,
    pub padding: u32,
    pub iov: usize,
    pub iov_len: usize,
    pub control: usize,
    pub control_len: usize,
    pub flags: u32,
    pub end: u32,
}

impl Header {
    /// Where `msg_namelen` is in it.
    pub const NAME_LEN: usize = 8;
    /// Where `msg_controllen` is in it.
    pub const CONTROL_LEN: usize = 40;
    /// Where `msg_flags` is in it.
    pub const FLAGS: usize = 48;

    /// The parts of user memory that the data is in.
    ///
    /// # Errors
    /// - `EMSGSIZE`: too many parts.
    /// - `EINVAL`: a part longer than memory; `EFAULT`: not user memory.
    pub fn segments(&self, thread: &Thread) -> Result<Segments> {
        if self.iov_len > 1024 {
            return Err(Errno::EMSGSIZE);
        }
        segments(thread, UserPtr::from_raw(self.iov), self.iov_len)
    }

    /// The name's address, if there is one.
    ///
    /// # Errors
    /// - `EINVAL`: a negative length.
    pub fn name(&self) -> Result<Option<(VirtAddr, u32)>> {
        if i32::try_from(self.name_len).is_err() {
            return Err(Errno::EINVAL);
        }
        Ok((self.name != 0).then(|| (VirtAddr::new(self.name), self.name_len)))
    }

    /// Where ancillary data is, if there is room for any.
    pub fn control(&self) -> Option<Control> {
        let at = VirtAddr::new(self.control);
        (self.control != 0 && self.control_len != 0)
            .then_some(Control { at, len: self.control_len })
    }
}
