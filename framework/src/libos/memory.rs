//! Physical memory: one region of the host's, which it provides page by page when touched.

use crate::{
    PAGE_SIZE, PhysAddr,
    frame::{HeapStats, meta::Meta, pool},
};
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Once;

/// How much memory the machine has: `JINUX_MEM` in MiB, or this.
const DEFAULT_MIB: usize = 256;

/// Bytes asked for by who started the machine, if not 0.
static SIZE: AtomicUsize = AtomicUsize::new(0);
static BASE: AtomicUsize = AtomicUsize::new(0);
static READY: Once = Once::new();

/// Gives the machine its memory, unless it has it already.
#[inline]
pub(crate) fn ensure() {
    READY.call_once(provide);
}

/// Says how much memory there is to be, before it is first used.
pub(crate) fn set_size(bytes: usize) {
    SIZE.store(bytes, Ordering::Relaxed);
}

/// How many bytes of memory the machine has.
fn size() -> usize {
    let asked = match SIZE.load(Ordering::Relaxed) {
        0 => std::env::var("JINUX_MEM").ok().and_then(|text| text.parse().ok()),
        bytes => Some(bytes >> 20),
    };
    asked.unwrap_or(DEFAULT_MIB).clamp(16, 1 << 16) << 20
}

fn provide() {
    let bytes = size();
    // The allocator takes a zeroed block of this size from the host untouched.
    let region = std::vec![0u8; bytes + PAGE_SIZE].leak();
    BASE.store(region.as_ptr().expose_provenance().next_multiple_of(PAGE_SIZE), Ordering::Relaxed);
    let count = u32::try_from(bytes / PAGE_SIZE).expect("the size was bounded above");
    let records: std::vec::Vec<Meta> = (0..count).map(|_| Meta::new()).collect();
    pool::init(records.leak(), core::iter::once((1, count)));
}

/// Where a physical address is mapped.
#[inline]
pub(crate) fn pointer(at: PhysAddr) -> *mut u8 {
    let offset = usize::try_from(at.get()).expect("both are 64 bits");
    core::ptr::with_exposed_provenance_mut(BASE.load(Ordering::Relaxed) + offset)
}

/// The physical address of a pointer into the machine's memory.
#[cfg(test)]
pub(crate) fn address(at: *const u8) -> PhysAddr {
    PhysAddr::new((at.addr() - BASE.load(Ordering::Relaxed)) as u64)
}

/// The kernel heap is the host's, which does not tell.
pub(crate) fn heap_stats(_each: &mut dyn FnMut(&HeapStats)) {}
