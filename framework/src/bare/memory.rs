//! The physical map: all memory, at a fixed distance; and what the heap has of it.

use super::local;
use crate::{PhysAddr, frame::HeapStats, slab};

/// Where physical address 0 is mapped.
pub(crate) const PHYSICAL_MAP: usize = 0xffff_8000_0000_0000;

/// Where a physical address is mapped.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "both are 64 bits")]
pub(crate) fn pointer(at: PhysAddr) -> *mut u8 {
    core::ptr::with_exposed_provenance_mut(PHYSICAL_MAP + at.get() as usize)
}

/// Where the page table in the frame at this address has its contents: in the frame.
#[inline]
pub(crate) fn table_pointer(at: PhysAddr) -> *mut u8 {
    pointer(at)
}

/// The physical address of a pointer into the physical map.
#[inline]
pub(crate) fn address(at: *const u8) -> PhysAddr {
    PhysAddr::new((at.addr() - PHYSICAL_MAP) as u64)
}

/// Calls `each` for each object size of the kernel heap.
pub(crate) fn heap_stats(each: &mut dyn FnMut(&HeapStats)) {
    slab::stats(local::sum_of_magazines, each);
}
