//! User memory through our own reading of the page table: for spaces that are not active, and for
//! the target where none ever is.

use crate::{
    PAGE_SIZE, PhysAddr, VirtAddr, VmSpace, bytes,
    machine::memory,
    space::entry::{ACCESSED, ADDRESS, DIRTY, PRESENT, WRITE},
};

/// Calls `each` with every page's part of `at..at + len` in the physical map, until one is not
/// there; returns how many bytes are left. The table stays locked meanwhile, so no frame goes.
fn parts(
    space: &VmSpace,
    at: VirtAddr,
    len: usize,
    write: bool,
    each: &mut dyn FnMut(*mut u8, usize),
) -> usize {
    let (needed, mark) =
        if write { (PRESENT | WRITE, ACCESSED | DIRTY) } else { (PRESENT, ACCESSED) };
    let mut cursor = space.lock();
    let mut left = len;
    while left > 0 {
        let now = at + (len - left);
        let part = left.min(PAGE_SIZE - now.page_offset());
        let Some(entry) = cursor.mark(now, needed, mark) else { break };
        let page = memory::pointer(PhysAddr::new(entry & ADDRESS));
        each(page.wrapping_add(now.page_offset()), part);
        left -= part;
    }
    left
}

/// Copies from user memory; returns how many bytes are left at a page that is not readable.
///
/// # Safety
/// `to` is valid for `len` bytes, and the range in the user half.
#[cfg(not(target_os = "none"))]
pub(crate) unsafe fn read(space: &VmSpace, from: VirtAddr, to: *mut u8, len: usize) -> usize {
    let mut to = to;
    parts(space, from, len, false, &mut |page, part| {
        // SAFETY: the part lies in a frame, and the target is as long as the caller promised.
        unsafe { bytes::copy(to, page, part) };
        to = to.wrapping_add(part);
    })
}

/// Copies into user memory; returns how many bytes are left at a page that is not writable.
///
/// # Safety
/// `from` is valid for `len` bytes, and the range in the user half.
pub(crate) unsafe fn write(space: &VmSpace, to: VirtAddr, from: *const u8, len: usize) -> usize {
    let mut from = from;
    parts(space, to, len, true, &mut |page, part| {
        // SAFETY: as in `read`.
        unsafe { bytes::copy(page, from, part) };
        from = from.wrapping_add(part);
    })
}

/// Clears user memory; returns how many bytes are left at a page that is not writable.
#[cfg(not(target_os = "none"))]
pub(crate) fn zero(space: &VmSpace, to: VirtAddr, len: usize) -> usize {
    parts(space, to, len, true, &mut |page, part| {
        // SAFETY: the part lies in a frame.
        unsafe { bytes::zero(page, part) };
    })
}

/// Calls `with` with an aligned word, if it may be accessed.
#[cfg(not(target_os = "none"))]
pub(crate) fn word<T>(
    space: &VmSpace,
    at: VirtAddr,
    write: bool,
    with: impl FnOnce(&core::sync::atomic::AtomicU32) -> T,
) -> Option<T> {
    let mut with = Some(with);
    let mut result = None;
    parts(space, at, 4, write, &mut |page, _| {
        // SAFETY: the word lies in a frame, is aligned, and is accessed atomically here.
        let word = unsafe { core::sync::atomic::AtomicU32::from_ptr(page.cast()) };
        result = with.take().map(|with| with(word));
    });
    result
}
