//! Addresses: virtual and physical, which must not be confused.

use core::fmt;

/// Bytes in a page and in a [`Frame`](crate::Frame).
pub const PAGE_SIZE: usize = 4096;

/// The lowest address a program may map.
pub const USER_START: VirtAddr = VirtAddr::new(0x1_0000);

/// One past the highest address a program may map; the same on both targets.
pub const USER_END: VirtAddr = VirtAddr::new(0x7fff_ffe0_0000);

/// A virtual address, of a program unless said otherwise; any 64-bit value, also a bad one.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct VirtAddr(usize);

impl VirtAddr {
    /// Makes an address of any value.
    pub const fn new(value: usize) -> Self {
        Self(value)
    }

    /// The address as a number.
    pub const fn get(self) -> usize {
        self.0
    }

    /// The start of the page this address lies in.
    pub const fn page(self) -> Self {
        Self(self.0 & !(PAGE_SIZE - 1))
    }

    /// The offset within its page, in bytes.
    pub const fn page_offset(self) -> usize {
        self.0 & (PAGE_SIZE - 1)
    }

    /// Rounds up to a page boundary; `None` on overflow.
    pub const fn page_up(self) -> Option<Self> {
        match self.0.checked_add(PAGE_SIZE - 1) {
            Some(value) => Some(Self(value & !(PAGE_SIZE - 1))),
            None => None,
        }
    }

    /// Adds a number of bytes; `None` on overflow.
    pub const fn checked_add(self, bytes: usize) -> Option<Self> {
        match self.0.checked_add(bytes) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// Whether `self..self + len` lies below [`USER_END`] without wrapping.
    pub const fn is_user_range(self, len: usize) -> bool {
        match self.0.checked_add(len) {
            Some(end) => end <= USER_END.0,
            None => false,
        }
    }
}

impl core::ops::Add<usize> for VirtAddr {
    type Output = Self;
    fn add(self, bytes: usize) -> Self {
        Self(self.0 + bytes)
    }
}

impl core::ops::Sub<usize> for VirtAddr {
    type Output = Self;
    fn sub(self, bytes: usize) -> Self {
        Self(self.0 - bytes)
    }
}

impl core::ops::Sub for VirtAddr {
    type Output = usize;
    fn sub(self, other: Self) -> usize {
        self.0 - other.0
    }
}

impl fmt::Debug for VirtAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A physical address.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct PhysAddr(u64);

impl PhysAddr {
    /// Makes an address of any value.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The address as a number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for PhysAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
