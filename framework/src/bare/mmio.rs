//! Device registers in memory, without a check of who may use them.

use super::paging;
use crate::{PAGE_SIZE, PhysAddr};

/// A window on a device's registers at a physical address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mmio(usize);

impl Mmio {
    /// Maps the page of registers at the physical address `at`, for good; at boot.
    pub(super) fn map(at: u64) -> Self {
        let registers = paging::map_mmio(PhysAddr::new(at), PAGE_SIZE / 2);
        Self(registers.expect("memory for page tables at boot").expose_provenance())
    }

    /// What [`map`](Self::map) made with this [`address`](Self::address).
    pub(super) fn at_address(address: usize) -> Self {
        Self(address)
    }

    /// Where the registers are mapped.
    pub(super) fn address(self) -> usize {
        self.0
    }

    /// Reads a 32-bit register.
    #[inline]
    pub(super) fn read_u32(self, offset: usize) -> u32 {
        // SAFETY: the address is mapped, and reading a device changes no memory of ours.
        unsafe { self.at::<u32>(offset).read_volatile() }
    }

    /// Writes a 32-bit register.
    #[inline]
    pub(super) fn write_u32(self, offset: usize, value: u32) {
        // SAFETY: the address is mapped and a device's, by the tables of the firmware.
        unsafe { self.at::<u32>(offset).write_volatile(value) };
    }

    /// Reads a 64-bit register.
    #[inline]
    pub(super) fn read_u64(self, offset: usize) -> u64 {
        // SAFETY: as in `read_u32`.
        unsafe { self.at::<u64>(offset).read_volatile() }
    }

    /// Writes an 8-bit register.
    #[inline]
    pub(super) fn write_u8(self, offset: usize, value: u8) {
        // SAFETY: as in `write_u32`.
        unsafe { self.at::<u8>(offset).write_volatile(value) };
    }

    fn at<T>(self, offset: usize) -> *mut T {
        core::ptr::with_exposed_provenance_mut(self.0 + offset)
    }
}
