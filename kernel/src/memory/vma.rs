//! One mapping: a range of addresses with the same rights and the same thing behind it.

use super::object::Object;
use alloc::sync::Arc;
use core::ops::Range;
use framework::{PAGE_SIZE, Protection, VirtAddr};

bitflags::bitflags! {
    /// How a mapping behaves, beside its rights.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct VmaFlags: u32 {
        /// Stores go to the object and are seen by its other users.
        const SHARED = 1;
        /// A fault a little below extends it.
        const GROWS_DOWN = 1 << 1;
        /// Locked in memory.
        const LOCKED = 1 << 2;
        /// Locked page by page as it is touched.
        const LOCK_ON_FAULT = 1 << 3;
        /// Not counted as committed.
        const NO_RESERVE = 1 << 4;
        /// A fork does not get it.
        const DONT_FORK = 1 << 5;
        /// A fork gets it empty.
        const WIPE_ON_FORK = 1 << 6;
        /// Not in a core dump.
        const DONT_DUMP = 1 << 7;
        /// Read once, ascending.
        const SEQUENTIAL = 1 << 8;
        /// Read in no order: no fault-around.
        const RANDOM = 1 << 9;
        /// Huge pages wanted.
        const HUGE_PAGE = 1 << 10;
        /// Huge pages not wanted.
        const NO_HUGE_PAGE = 1 << 11;
        /// Made by the kernel: cannot grow.
        const DONT_EXPAND = 1 << 12;
        /// Counted as committed.
        const ACCOUNTED = 1 << 13;
        /// Identical pages may be merged (accepted, not done).
        const MERGEABLE = 1 << 14;
    }
}

/// A mapping of a range of whole pages.
#[derive(Clone, Debug)]
pub struct Vma {
    /// First address.
    pub start: VirtAddr,
    /// One past the last address.
    pub end: VirtAddr,
    /// What the program may do.
    pub protection: Protection,
    /// What mprotect may give it.
    pub maximum: Protection,
    /// How it behaves.
    pub flags: VmaFlags,
    /// The page of the object at `start`; for private anonymous memory the page number `start` had
    /// when it was mapped, so that pieces moved apart and back together merge again.
    pub offset: u64,
    /// Where pages come from; `None` is private anonymous memory.
    pub object: Option<Arc<Object>>,
    /// Whether a private mapping of an object may have pages that are no longer the object's.
    pub has_own_pages: bool,
}

impl Vma {
    /// The addresses.
    pub fn range(&self) -> Range<VirtAddr> {
        self.start..self.end
    }

    /// Bytes.
    pub fn bytes(&self) -> usize {
        self.end - self.start
    }

    /// Pages.
    pub fn pages(&self) -> usize {
        self.bytes() / PAGE_SIZE
    }

    /// Whether `at` lies inside.
    pub fn contains(&self, at: VirtAddr) -> bool {
        self.start <= at && at < self.end
    }

    /// Whether stores go to the object.
    pub fn is_shared(&self) -> bool {
        self.flags.contains(VmaFlags::SHARED)
    }

    /// The page of the object behind `at`, which lies inside.
    pub fn index_of(&self, at: VirtAddr) -> u64 {
        self.offset + pages_between(self.start, at)
    }

    /// Counts against RLIMIT_DATA: private, writable, not a stack.
    pub fn is_data(&self) -> bool {
        self.protection.contains(Protection::WRITE)
            && !self.flags.intersects(VmaFlags::SHARED | VmaFlags::GROWS_DOWN)
    }

    /// Whether its memory is private and writable, which is what a commit limit counts.
    pub fn is_committed(&self) -> bool {
        self.flags.contains(VmaFlags::ACCOUNTED)
    }

    /// Whether `next`, which begins at our end, continues this mapping.
    pub fn continues_with(&self, next: &Self) -> bool {
        self.end == next.start
            && self.protection == next.protection
            && self.flags == next.flags
            && self.maximum == next.maximum
            && self.offset + pages_between(self.start, self.end) == next.offset
            && same_object(self.object.as_ref(), next.object.as_ref())
    }

    /// Cuts off and returns the part from `at`, which lies strictly inside.
    pub fn split_off(&mut self, at: VirtAddr) -> Self {
        let tail = Self { start: at, offset: self.index_of(at), ..self.clone() };
        self.end = at;
        tail
    }
}

/// Whole pages from `start` to `end`.
pub(super) fn pages_between(start: VirtAddr, end: VirtAddr) -> u64 {
    ((end - start) / PAGE_SIZE) as u64
}

fn same_object(a: Option<&Arc<Object>>, b: Option<&Arc<Object>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}
