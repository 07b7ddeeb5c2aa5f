//! Arguments of a system call: six registers, read by type.

use crate::thread::Thread;
use abi::{Errno, Fd, Result};
use core::{fmt, marker::PhantomData};
use framework::VirtAddr;

/// The register of the argument `index`, 0 to 5, of the call that `thread` makes.
#[inline]
pub fn argument(thread: &Thread, index: usize) -> usize {
    let regs = thread.context.regs();
    match index {
        0 => regs.rdi,
        1 => regs.rsi,
        2 => regs.rdx,
        3 => regs.r10,
        4 => regs.r8,
        _ => regs.r9,
    }
}

/// How an argument is shown in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A signed number.
    Signed,
    /// An unsigned number or flags.
    Unsigned,
    /// A descriptor.
    Fd,
    /// An address.
    Pointer,
    /// An address of bytes, which may be a string.
    Bytes,
}

/// A type that can be an argument.
pub trait FromArg: Sized {
    /// How it is shown.
    const KIND: Kind;

    /// Reads it from a register.
    ///
    /// # Errors
    /// What the call returns when the register holds no such value.
    fn from_arg(raw: usize) -> Result<Self>;
}

/// The low half of a register: what a C `int` argument is.
const fn low_half(raw: usize) -> u32 {
    #[allow(clippy::cast_possible_truncation, reason = "the upper half is not part of an int")]
    {
        raw as u32
    }
}

impl FromArg for usize {
    const KIND: Kind = Kind::Unsigned;
    fn from_arg(raw: usize) -> Result<Self> {
        Ok(raw)
    }
}

impl FromArg for u64 {
    const KIND: Kind = Kind::Unsigned;
    fn from_arg(raw: usize) -> Result<Self> {
        Ok(raw as Self)
    }
}

impl FromArg for isize {
    const KIND: Kind = Kind::Signed;
    fn from_arg(raw: usize) -> Result<Self> {
        Ok(raw.cast_signed())
    }
}

impl FromArg for i64 {
    const KIND: Kind = Kind::Signed;
    fn from_arg(raw: usize) -> Result<Self> {
        Ok((raw as u64).cast_signed())
    }
}

impl FromArg for u32 {
    const KIND: Kind = Kind::Unsigned;
    fn from_arg(raw: usize) -> Result<Self> {
        Ok(low_half(raw))
    }
}

impl FromArg for i32 {
    const KIND: Kind = Kind::Signed;
    fn from_arg(raw: usize) -> Result<Self> {
        Ok(low_half(raw).cast_signed())
    }
}

impl FromArg for Fd {
    const KIND: Kind = Kind::Fd;
    fn from_arg(raw: usize) -> Result<Self> {
        i32::from_arg(raw).map(Self)
    }
}

impl FromArg for VirtAddr {
    const KIND: Kind = Kind::Pointer;
    fn from_arg(raw: usize) -> Result<Self> {
        Ok(Self::new(raw))
    }
}

/// An address a program says holds a `T`: an allegation, checked when it is used.
pub struct UserPtr<T> {
    address: VirtAddr,
    value: PhantomData<fn() -> T>,
}

impl<T> UserPtr<T> {
    /// The value at `address`.
    pub const fn new(address: VirtAddr) -> Self {
        Self { address, value: PhantomData }
    }

    /// The value at the address in a register that is an address only for some calls.
    pub const fn from_raw(raw: usize) -> Self {
        Self::new(VirtAddr::new(raw))
    }

    /// The address.
    pub const fn address(self) -> VirtAddr {
        self.address
    }

    /// Whether this is the null pointer.
    pub const fn is_null(self) -> bool {
        self.address.get() == 0
    }

    /// The same address, of another type.
    pub const fn cast<U>(self) -> UserPtr<U> {
        UserPtr::new(self.address)
    }

    /// The element `index` of the array at this address.
    ///
    /// # Errors
    /// - `EFAULT`: the address overflows.
    pub fn nth(self, index: usize) -> Result<Self> {
        let offset = index.checked_mul(size_of::<T>()).ok_or(Errno::EFAULT)?;
        self.byte_offset(offset)
    }

    /// The address `bytes` further on.
    ///
    /// # Errors
    /// - `EFAULT`: the address overflows.
    pub fn byte_offset<U>(self, bytes: usize) -> Result<UserPtr<U>> {
        self.address.checked_add(bytes).map(UserPtr::new).ok_or(Errno::EFAULT)
    }
}

impl<T> Clone for UserPtr<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for UserPtr<T> {}

impl<T> fmt::Debug for UserPtr<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl<T> FromArg for UserPtr<T> {
    const KIND: Kind = if size_of::<T>() == 1 { Kind::Bytes } else { Kind::Pointer };
    fn from_arg(raw: usize) -> Result<Self> {
        Ok(Self::new(VirtAddr::new(raw)))
    }
}

impl<T> FromArg for Option<UserPtr<T>> {
    const KIND: Kind = UserPtr::<T>::KIND;
    fn from_arg(raw: usize) -> Result<Self> {
        Ok((raw != 0).then(|| UserPtr::new(VirtAddr::new(raw))))
    }
}

#[cfg(test)]
mod tests {
    use super::{FromArg, UserPtr};
    use abi::Fd;

    #[test]
    fn ints_take_the_low_half() {
        assert_eq!(Fd::from_arg(0xffff_ffff_ffff_ff9c), Ok(Fd::CWD));
        assert_eq!(i32::from_arg(0xffff_ffff_ffff_ff9c), Ok(-100));
        assert_eq!(u32::from_arg(0x1_0000_0003), Ok(3));
        assert_eq!(usize::from_arg(0x1_0000_0003), Ok(0x1_0000_0003));
    }

    #[test]
    fn null_is_no_pointer() {
        assert!(Option::<UserPtr<u32>>::from_arg(0).unwrap().is_none());
        let pointer = Option::<UserPtr<u32>>::from_arg(0x1000).unwrap().unwrap();
        assert_eq!(pointer.nth(2).unwrap().address().get(), 0x1008);
        assert!(pointer.nth(usize::MAX).is_err());
    }
}
