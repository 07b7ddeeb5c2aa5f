//! Copies and fills of memory that programs or devices may change meanwhile.
//!
//! Which way is the fastest is found once at boot: `rep` strings where the CPU is good at them,
//! loops of 8-byte words where not.

use crate::machine::features;
use core::arch::global_asm;

// A fault table exists only where the kernel handles its own faults.
#[cfg(target_os = "none")]
global_asm!(
    ".macro may_fault instruction:vararg",
    "9902: \\instruction",
    ".pushsection .exception_table, \"a\", @progbits",
    ".quad 9902b, 8f",
    ".popsection",
    ".endm",
);
#[cfg(not(target_os = "none"))]
global_asm!(".macro may_fault instruction:vararg", "\\instruction", ".endm");

global_asm!(include_str!("bytes.s"));

unsafe extern "C" {
    fn jinux_copy_words(to: *mut u8, from: *const u8, len: usize) -> usize;
    fn jinux_copy_bytes(to: *mut u8, from: *const u8, len: usize) -> usize;
    fn jinux_fill_words(to: *mut u8, word: usize, len: usize) -> usize;
    fn jinux_fill_bytes(to: *mut u8, word: usize, len: usize) -> usize;
}

/// Copies `len` bytes; returns how many are left after a fault, 0 without one.
///
/// # Safety
/// Both ranges are valid, or user memory that may be accessed now. They do not overlap.
#[inline]
pub(crate) unsafe fn copy(to: *mut u8, from: *const u8, len: usize) -> usize {
    if features::fast_strings() {
        // SAFETY: as the caller promised.
        return unsafe { jinux_copy_bytes(to, from, len) };
    }
    // SAFETY: as the caller promised.
    let left = unsafe { jinux_copy_words(to, from, len) };
    if left == 0 {
        return 0;
    }
    let done = len - left;
    // SAFETY: the rest of the same ranges; the slow way finds the very byte that faults.
    unsafe { jinux_copy_bytes(to.wrapping_add(done), from.wrapping_add(done), left) }
}

/// Sets `len` bytes; returns how many are left after a fault, 0 without one.
///
/// # Safety
/// The range is valid, or user memory that may be accessed now.
#[inline]
pub(crate) unsafe fn fill(to: *mut u8, byte: u8, len: usize) -> usize {
    let word = usize::from_ne_bytes([byte; 8]);
    if features::fast_strings() {
        // SAFETY: as the caller promised.
        return unsafe { jinux_fill_bytes(to, word, len) };
    }
    // SAFETY: as the caller promised.
    let left = unsafe { jinux_fill_words(to, word, len) };
    if left == 0 {
        return 0;
    }
    // SAFETY: the rest of the same range.
    unsafe { jinux_fill_bytes(to.wrapping_add(len - left), word, left) }
}

/// Sets `len` bytes to zero; see [`fill`].
///
/// # Safety
/// As for [`fill`].
#[inline]
pub(crate) unsafe fn zero(to: *mut u8, len: usize) -> usize {
    // SAFETY: as the caller promised.
    unsafe { fill(to, 0, len) }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Copy = unsafe extern "C" fn(*mut u8, *const u8, usize) -> usize;
    type Fill = unsafe extern "C" fn(*mut u8, usize, usize) -> usize;

    #[test]
    fn copies_of_all_lengths() {
        let from: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for copy in [jinux_copy_words as Copy, jinux_copy_bytes] {
            for len in (0..300).chain([511, 512, 999]) {
                let mut to = vec![0xee; 1001];
                // SAFETY: both are longer than `len`.
                let left = unsafe { copy(to.as_mut_ptr(), from.as_ptr(), len) };
                assert_eq!(left, 0);
                assert_eq!(to[..len], from[..len]);
                assert!(to[len..].iter().all(|byte| *byte == 0xee), "wrote beyond {len}");
            }
        }
    }

    #[test]
    fn fills_of_all_lengths() {
        for fill in [jinux_fill_words as Fill, jinux_fill_bytes] {
            for len in (0..600).chain([4096]) {
                let mut to = vec![0xee; 4100];
                // SAFETY: the vector is longer than `len`.
                let left = unsafe { fill(to.as_mut_ptr(), 0x0505_0505_0505_0505, len) };
                assert_eq!(left, 0);
                assert!(to[..len].iter().all(|byte| *byte == 5));
                assert!(to[len..].iter().all(|byte| *byte == 0xee), "wrote beyond {len}");
            }
        }
    }
}
