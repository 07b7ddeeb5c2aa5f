//! Making pages present ahead of their use, and whether they are: `MAP_POPULATE`, mlock(2),
//! `MADV_POPULATE_*`, mincore(2).

use super::{FaultError, Memory, VmaFlags, fault};
use abi::{Errno, Result};
use core::ops::Range;
use framework::{PAGE_SIZE, Protection, VirtAddr};

/// Pages done under one hold of the lock.
const BATCH: usize = 64;

/// For which use pages are made present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// As the mapping's rights ask for: a private writable one gets pages of its own.
    Mapping,
    /// For loads.
    Read,
    /// For stores.
    Write,
}

impl Memory {
    /// Makes the first pages of `range` present and moves its start behind them; done when it is
    /// empty. The caller yields between the calls: the whole may be gigabytes.
    ///
    /// # Errors
    /// What a fault there would end with; for `Read` and `Write` `NotAllowed` without the right.
    pub fn populate_some(
        &self,
        range: &mut Range<VirtAddr>,
        purpose: Purpose,
    ) -> Result<(), FaultError> {
        let mut state = self.state.lock();
        for _ in 0..BATCH {
            if range.is_empty() {
                return Ok(());
            }
            let index = state.map.find(range.start).ok_or(FaultError::NotMapped)?;
            let vma = state.map.get(index);
            let writable = vma.protection.contains(Protection::WRITE);
            let write = match purpose {
                Purpose::Mapping => {
                    if vma.protection.is_empty() {
                        range.start = vma.end.min(range.end);
                        continue;
                    }
                    writable && !vma.is_shared()
                }
                Purpose::Read => false,
                Purpose::Write => true,
            };
            if write && !writable || !write && vma.protection.is_empty() {
                return Err(FaultError::NotAllowed);
            }
            fault::make_present(&mut self.space.lock(), vma, range.start, write)?;
            if write {
                state.map.set_own_pages(index);
            }
            range.start = range.start + PAGE_SIZE;
        }
        Ok(())
    }

    /// Stores 1 for each page of `range` that needs no reading from a disk, else 0.
    ///
    /// # Errors
    /// - `ENOMEM`: a part is not mapped.
    ///
    /// Source: mincore(2)
    pub fn residency(&self, range: &Range<VirtAddr>, to: &mut [u8]) -> Result<()> {
        let mut state = self.state.lock();
        let mut at = range.start;
        for byte in to {
            let index = state.map.find(at).ok_or(Errno::ENOMEM)?;
            let vma = state.map.get(index);
            let mapped = self.space.lock().query(at).is_some();
            let cached = || {
                let object = vma.object.as_ref()?;
                object.present(vma.index_of(at))
            };
            *byte = u8::from(mapped || cached().is_some());
            at = at + PAGE_SIZE;
        }
        Ok(())
    }

    /// Locks or unlocks a range; with `flags` empty it unlocks. The caller populates it then,
    /// unless it is to be locked on fault.
    ///
    /// # Errors
    /// - `EPERM`: no locking allowed.
    /// - `ENOMEM`: over the limit, or a part is not mapped (what lies before it is changed).
    /// - `EINVAL`: the range wraps.
    ///
    /// Source: mlock(2)
    pub fn lock(&self, range: &Range<VirtAddr>, flags: VmaFlags, all: bool) -> Result<()> {
        let mut state = self.state.lock();
        if flags.contains(VmaFlags::LOCKED) {
            let overlap = state.map.overlapping(range).iter();
            let already: usize = overlap
                .filter(|vma| vma.flags.contains(VmaFlags::LOCKED))
                .map(|vma| (vma.end.min(range.end) - vma.start.max(range.start)) / PAGE_SIZE)
                .sum();
            let pages = (range.end - range.start) / PAGE_SIZE;
            let locked = state.map.totals().locked + pages - already;
            self.check_lock(locked, all, Errno::ENOMEM)?;
        }
        let covered = covered_prefix(&state, range);
        let result = if covered < range.end { Err(Errno::ENOMEM) } else { Ok(()) };
        if covered > range.start {
            state.map.update(&(range.start..covered), |vma| set_lock(&mut vma.flags, flags))?;
        }
        result
    }

    /// Locks or unlocks all that is mapped, and what will be.
    ///
    /// # Errors
    /// - `EPERM`: no locking allowed.
    /// - `ENOMEM`: over the limit.
    ///
    /// Source: mlockall(2)
    pub fn lock_all(&self, now: Option<VmaFlags>, future: VmaFlags, all: bool) -> Result<()> {
        let mut state = self.state.lock();
        let whole = VirtAddr::new(0)..framework::USER_END;
        if let Some(flags) = now {
            if flags.contains(VmaFlags::LOCKED) {
                self.check_lock(state.map.totals().mapped, all, Errno::ENOMEM)?;
            }
            state.map.update(&whole, |vma| set_lock(&mut vma.flags, flags))?;
        }
        state.future_flags = future;
        Ok(())
    }

    /// The mapped ranges, to populate after [`lock_all`](Self::lock_all): the first at or after
    /// `at`.
    pub fn next_mapped(&self, at: VirtAddr) -> Option<Range<VirtAddr>> {
        let state = self.state.lock();
        let vma = state.map.vmas().get(state.map.position(at))?;
        Some(vma.start.max(at)..vma.end)
    }
}

fn set_lock(flags: &mut VmaFlags, lock: VmaFlags) {
    flags.remove(VmaFlags::LOCKED | VmaFlags::LOCK_ON_FAULT);
    *flags |= lock;
}

/// The end of what is mapped without a hole from the start of `range` on.
pub(super) fn covered_prefix(state: &super::State, range: &Range<VirtAddr>) -> VirtAddr {
    let mut at = range.start;
    for vma in state.map.overlapping(range) {
        if vma.start > at {
            break;
        }
        at = vma.end.min(range.end);
    }
    at
}
