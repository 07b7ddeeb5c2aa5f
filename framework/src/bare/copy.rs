//! User memory: direct accesses in the active space, with an entry in the exception table for each
//! instruction that may fault.

use crate::{VirtAddr, VmSpace, bytes};
use core::arch::asm;

/// Lets this CPU touch user pages.
#[inline]
fn allow() {
    // SAFETY: the instruction only changes a flag; `features::patch` removes it where it is
    // unknown. Not `nomem`: accesses stay behind it.
    unsafe {
        asm!(
            "9901: stac",
            ".pushsection .smap_sites, \"a\", @progbits",
            ".quad 9901b",
            ".popsection",
            options(nostack)
        );
    }
}

/// Ends what `allow` began.
#[inline]
fn forbid() {
    // SAFETY: as in `allow`.
    unsafe {
        asm!(
            "9901: clac",
            ".pushsection .smap_sites, \"a\", @progbits",
            ".quad 9901b",
            ".popsection",
            options(nostack)
        );
    }
}

/// One instruction that may fault: whether it did.
macro_rules! try_access {
    ($instruction:literal, $($operands:tt)*) => {{
        let failed: u32;
        allow();
        // SAFETY: the access is to user memory, which holds no object of ours, or to what the
        // caller vouches for; a fault continues at label 3.
        unsafe {
            asm!(
                "mov {failed:e}, 1",
                concat!("2: ", $instruction),
                "mov {failed:e}, 0",
                "3:",
                ".pushsection .exception_table, \"a\", @progbits",
                ".quad 2b, 3b",
                ".popsection",
                failed = out(reg) failed,
                $($operands)*,
                options(nostack)
            );
        }
        forbid();
        failed != 0
    }};
}

/// Loads `len` bytes, if that is one instruction and they are there.
#[inline]
fn load(from: VirtAddr, len: usize) -> Option<u64> {
    let (from, mut value) = (from.get(), 0u64);
    let failed = match len {
        1 => try_access!("mov {value:l}, [{from}]", value = inout(reg) value, from = in(reg) from),
        4 => try_access!("mov {value:e}, [{from}]", value = inout(reg) value, from = in(reg) from),
        8 => try_access!("mov {value}, [{from}]", value = inout(reg) value, from = in(reg) from),
        _ => true,
    };
    (!failed).then_some(value)
}

/// Stores the low `len` bytes, if that is one instruction and user memory takes them; whether it did.
#[inline]
fn store(to: VirtAddr, value: u64, len: usize) -> bool {
    let to = to.get();
    !match len {
        1 => try_access!("mov [{to}], {value:l}", value = in(reg) value, to = in(reg) to),
        4 => try_access!("mov [{to}], {value:e}", value = in(reg) value, to = in(reg) to),
        8 => try_access!("mov [{to}], {value}", value = in(reg) value, to = in(reg) to),
        _ => true,
    }
}

/// Copies from user memory; returns how many bytes are left after a fault.
///
/// # Safety
/// `to` is valid for `len` bytes, and the range in the user half.
#[inline]
pub(crate) unsafe fn read(space: &VmSpace, from: VirtAddr, to: *mut u8, len: usize) -> usize {
    space.activate();
    if let Some(value) = load(from, len) {
        // SAFETY: the target has `len` bytes, which is at most 8.
        unsafe { to.copy_from_nonoverlapping((&raw const value).cast(), len) };
        return 0;
    }
    let from = core::ptr::with_exposed_provenance(from.get());
    allow();
    // SAFETY: `to` as the caller promised; user memory is allowed now.
    let left = unsafe { bytes::copy(to, from, len) };
    forbid();
    left
}

/// Copies into user memory; returns how many bytes are left after a fault.
///
/// # Safety
/// `from` is valid for `len` bytes, and the range in the user half.
#[inline]
pub(crate) unsafe fn write(space: &VmSpace, to: VirtAddr, from: *const u8, len: usize) -> usize {
    space.activate();
    if matches!(len, 1 | 4 | 8) {
        let mut value = 0u64;
        // SAFETY: the source has `len` bytes, which is at most 8.
        unsafe { from.copy_to_nonoverlapping((&raw mut value).cast(), len) };
        if store(to, value, len) {
            return 0;
        }
    }
    let to = core::ptr::with_exposed_provenance_mut(to.get());
    allow();
    // SAFETY: `from` as the caller promised; user memory is allowed now.
    let left = unsafe { bytes::copy(to, from, len) };
    forbid();
    left
}

/// Clears user memory; returns how many bytes are left after a fault.
#[inline]
pub(crate) fn zero(space: &VmSpace, to: VirtAddr, len: usize) -> usize {
    space.activate();
    if store(to, 0, len) {
        return 0;
    }
    allow();
    // SAFETY: the range is in the user half, and user memory is allowed now.
    let left = unsafe { bytes::zero(core::ptr::with_exposed_provenance_mut(to.get()), len) };
    forbid();
    left
}

/// Loads a word; the address is aligned and in the user half.
#[inline]
pub(crate) fn load_u32(space: &VmSpace, at: VirtAddr) -> Option<u32> {
    space.activate();
    let mut value = 0u32;
    let failed =
        try_access!("mov {value:e}, [{at}]", value = inout(reg) value, at = in(reg) at.get());
    (!failed).then_some(value)
}

/// Swaps a word if it is `old`; the address is aligned and in the user half.
#[inline]
pub(crate) fn compare_exchange_u32(
    space: &VmSpace,
    at: VirtAddr,
    old: u32,
    new: u32,
) -> Option<u32> {
    space.activate();
    let mut value = old;
    let failed = try_access!(
        "lock cmpxchg [{at}], {new:e}",
        inout("eax") value,
        new = in(reg) new,
        at = in(reg) at.get()
    );
    (!failed).then_some(value)
}
