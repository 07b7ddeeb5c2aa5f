//! User memory: through our own reading of the page table.

pub(crate) use crate::copy::walk::{read, write, zero};
use crate::{VirtAddr, VmSpace, copy::walk};
use core::sync::atomic::Ordering;

/// Loads a word; the address is aligned and in the user half.
pub(crate) fn load_u32(space: &VmSpace, at: VirtAddr) -> Option<u32> {
    walk::word(space, at, false, |word| word.load(Ordering::SeqCst))
}

/// Swaps a word if it is `old`; the address is aligned and in the user half.
pub(crate) fn compare_exchange_u32(
    space: &VmSpace,
    at: VirtAddr,
    old: u32,
    new: u32,
) -> Option<u32> {
    walk::word(space, at, true, |word| {
        word.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst)
            .unwrap_or_else(|found| found)
    })
}
