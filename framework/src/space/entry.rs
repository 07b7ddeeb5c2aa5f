//! Entries of page tables (SDM 3A, 4.5).

pub(crate) const PRESENT: u64 = 1;
pub(crate) const WRITE: u64 = 1 << 1;
pub(crate) const USER: u64 = 1 << 2;
/// Uncached, with the write-through bit, whatever the memory type registers say.
#[cfg(target_os = "none")]
pub(crate) const UNCACHED: u64 = 1 << 3 | 1 << 4;
pub(crate) const ACCESSED: u64 = 1 << 5;
pub(crate) const DIRTY: u64 = 1 << 6;
/// A page of 2 MiB or 1 GiB, in a table of a higher level.
#[cfg(target_os = "none")]
pub(crate) const HUGE: u64 = 1 << 7;
#[cfg(target_os = "none")]
pub(crate) const GLOBAL: u64 = 1 << 8;
pub(crate) const NO_EXECUTE: u64 = 1 << 63;

/// The physical address in an entry.
pub(crate) const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Entries of a table.
pub(crate) const ENTRIES: usize = 512;

/// Which entry of a table of `level` (1 to 4) translates an address.
#[inline]
pub(crate) const fn index(at: usize, level: u32) -> usize {
    at >> (3 + 9 * level) & (ENTRIES - 1)
}

/// Bytes that one entry of a table of `level` translates.
#[inline]
pub(crate) const fn span(level: u32) -> usize {
    1 << (3 + 9 * level)
}
