//! One page table: 512 entries in a frame, and what its record knows of them.
//!
//! The record counts the entries that are not zero, and has a bit for each group of eight that may
//! hold some, so that a sparse table is walked in a few steps. A table is only given back empty,
//! hence full of zeros, and so needs no clearing when it is taken again.

use super::entry::{ADDRESS, ENTRIES};
use crate::{
    OutOfMemory, PAGE_SIZE, PhysAddr, bytes,
    cpu::{self, MAX_CPUS},
    frame::{
        self, meta,
        pool::{self, Purpose},
    },
    machine::memory,
};
use arrayvec::ArrayVec;
use core::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};
use spin::Mutex;

/// Empty tables that each CPU keeps.
const KEPT: usize = 16;

#[repr(align(64))]
struct Kept(Mutex<ArrayVec<u32, KEPT>>);

static KEPT_TABLES: [Kept; MAX_CPUS] =
    [const { Kept(Mutex::new(ArrayVec::new_const())) }; MAX_CPUS];

/// Empty tables that all CPUs keep together.
pub(crate) fn kept() -> usize {
    KEPT_TABLES.iter().map(|kept| kept.0.lock().len()).sum()
}

/// A table, by its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Table(u32);

impl Table {
    /// Takes an empty table.
    pub(super) fn allocate() -> Result<Self, OutOfMemory> {
        let kept = KEPT_TABLES[cpu::current().index()].0.lock().pop();
        let table = match kept {
            Some(table) => Self(table),
            None => Self::make()?,
        };
        frame::PAGE_TABLES.fetch_add(1, Ordering::Relaxed);
        Ok(table)
    }

    #[cold]
    fn make() -> Result<Self, OutOfMemory> {
        let number = pool::take(Purpose::User).ok_or(OutOfMemory)?;
        let table = Self(number);
        // SAFETY: the frame is ours, and in the physical map.
        unsafe { bytes::zero(memory::table_pointer(table.address()), PAGE_SIZE) };
        let record = meta::of(number);
        record.refs.store(0, Ordering::Relaxed);
        record.next.store(0, Ordering::Relaxed);
        record.prev.store(0, Ordering::Relaxed);
        Ok(table)
    }

    /// Gives an empty table back.
    pub(super) fn release(self) {
        debug_assert_eq!(self.count(), 0, "a table in use is not given back");
        frame::PAGE_TABLES.fetch_sub(1, Ordering::Relaxed);
        let record = meta::of(self.0);
        record.next.store(0, Ordering::Relaxed);
        record.prev.store(0, Ordering::Relaxed);
        let full = KEPT_TABLES[cpu::current().index()].0.lock().try_push(self.0).is_err();
        if full {
            pool::give(self.0);
        }
    }

    /// The table that an entry of a higher level names.
    #[inline]
    pub(super) fn of(entry: u64) -> Self {
        Self(frame_of(entry))
    }

    /// The frame's number.
    pub(super) fn number(self) -> u32 {
        self.0
    }

    /// A table by its frame's number.
    pub(super) fn from_number(number: u32) -> Self {
        Self(number)
    }

    #[inline]
    pub(super) fn address(self) -> PhysAddr {
        PhysAddr::new(u64::from(self.0) << 12)
    }

    /// The entry at `index`, below 512. The CPU may set its accessed and dirty bits at any time.
    #[inline]
    pub(super) fn entry(self, index: usize) -> &'static AtomicU64 {
        let entries = memory::table_pointer(self.address()).cast::<AtomicU64>();
        // SAFETY: the frame is in the physical map, and the index stays in it.
        unsafe { &*entries.wrapping_add(index & (ENTRIES - 1)) }
    }

    #[inline]
    pub(super) fn get(self, index: usize) -> u64 {
        self.entry(index).load(Ordering::Relaxed)
    }

    /// Sets an entry that was zero.
    #[inline]
    pub(super) fn fill(self, index: usize, value: u64) {
        self.entry(index).store(value, Ordering::Release);
        self.grow(1);
        self.mark(index);
    }

    /// Clears an entry that was not zero, and returns it with its last accessed and dirty bits.
    #[inline]
    pub(super) fn clear(self, index: usize) -> u64 {
        self.shrink(1);
        self.entry(index).swap(0, Ordering::SeqCst)
    }

    /// How many entries are not zero.
    #[inline]
    pub(super) fn count(self) -> u32 {
        meta::of(self.0).refs.load(Ordering::Relaxed)
    }

    /// Counts entries that were filled.
    #[inline]
    pub(super) fn grow(self, by: u32) {
        meta::of(self.0).refs.store(self.count() + by, Ordering::Relaxed);
    }

    /// Counts entries that were cleared.
    #[inline]
    pub(super) fn shrink(self, by: u32) {
        meta::of(self.0).refs.store(self.count() - by, Ordering::Relaxed);
    }

    #[inline]
    fn mark(self, index: usize) {
        let record = meta::of(self.0);
        let half = if index < ENTRIES / 2 { &record.next } else { &record.prev };
        let bit = 1 << (index >> 3 & 31);
        half.store(half.load(Ordering::Relaxed) | bit, Ordering::Relaxed);
    }

    /// Groups of eight entries that may hold some, a bit for each.
    #[inline]
    pub(super) fn groups(self) -> u64 {
        let record = meta::of(self.0);
        let low = u64::from(record.next.load(Ordering::Relaxed));
        low | u64::from(record.prev.load(Ordering::Relaxed)) << 32
    }

    /// Replaces the bits of [`groups`](Self::groups).
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the two halves of the bits")]
    pub(super) fn set_groups(self, groups: u64) {
        let record = meta::of(self.0);
        record.next.store(groups as u32, Ordering::Relaxed);
        record.prev.store((groups >> 32) as u32, Ordering::Relaxed);
    }

    /// Calls `visit` for each entry in `range` that is not zero, in ascending order: its index,
    /// itself, its value. Entries may be cleared meanwhile.
    #[inline(always)]
    pub(super) fn each(self, range: Range<usize>, mut visit: impl FnMut(usize, &AtomicU64, u64)) {
        if range.is_empty() {
            return;
        }
        let (first, last) = (range.start >> 3, (range.end - 1) >> 3);
        let mut groups = self.groups() & u64::MAX << first & u64::MAX >> (63 - last);
        while groups != 0 {
            let start = groups.trailing_zeros() as usize * 8;
            groups &= groups - 1;
            for index in start.max(range.start)..(start + 8).min(range.end) {
                let entry = self.entry(index);
                let value = entry.load(Ordering::Relaxed);
                if value != 0 {
                    visit(index, entry, value);
                }
            }
        }
    }
}

/// The entry for the page at `at`, 0 if there is none. The table of `root` is locked.
#[cfg(not(target_os = "none"))]
pub(crate) fn lookup(root: PhysAddr, at: usize) -> u64 {
    let mut entry = root.get();
    for level in [4, 3, 2, 1] {
        entry = Table::of(entry).get(super::entry::index(at, level));
        if entry == 0 {
            break;
        }
    }
    entry
}

/// The frame's number in an entry.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "entries name frames below 2^32")]
pub(super) fn frame_of(entry: u64) -> u32 {
    ((entry & ADDRESS) >> 12) as u32
}
