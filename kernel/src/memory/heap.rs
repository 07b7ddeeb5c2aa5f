//! The heap: brk(2).

use super::{Memory, State, Vma, VmaFlags, change, limits, map::GUARD_GAP, vma::pages_between};
use abi::{Errno, Result};
use core::{ops::Range, sync::atomic::Ordering::Relaxed};
use framework::{Protection, USER_END, VirtAddr};

impl Memory {
    /// Moves the end of the heap to `end` if it can; returns where it is now, and what is to be
    /// populated because memory is locked.
    ///
    /// Source: brk(2)
    pub fn set_break(&self, end: VirtAddr) -> (VirtAddr, Option<Range<VirtAddr>>) {
        let mut state = self.state.lock();
        let old = state.layout.break_end;
        match self.try_set_break(&mut state, end) {
            Ok(grown) => {
                let populate = state.future_flags.contains(VmaFlags::LOCKED)
                    && !state.future_flags.contains(VmaFlags::LOCK_ON_FAULT);
                (end, grown.filter(|_| populate))
            }
            Err(_) => (old, None),
        }
    }

    fn try_set_break(&self, state: &mut State, end: VirtAddr) -> Result<Option<Range<VirtAddr>>> {
        let layout = &state.layout;
        let (start, old) = (layout.break_start, layout.break_end);
        if end < start || end > USER_END {
            return Err(Errno::EINVAL);
        }
        let data = (layout.data.1.get() - layout.data.0.get()) as u64 + (end - start) as u64;
        if data > self.limits.data.load(Relaxed) {
            return Err(Errno::ENOMEM);
        }
        let old_page = old.page_up().ok_or(Errno::ENOMEM)?;
        let new_page = end.page_up().ok_or(Errno::ENOMEM)?;
        if new_page < old_page {
            self.remove_locked(state, &(new_page..old_page))?;
        } else if new_page > old_page {
            self.grow_heap(state, old_page..new_page)?;
        }
        state.layout.break_end = end;
        Ok((new_page > old_page).then_some(old_page..new_page))
    }

    fn grow_heap(&self, state: &mut State, range: Range<VirtAddr>) -> Result<()> {
        // A gap is kept above the heap, so that running over it is noticed.
        let guarded = range.start..range.end + GUARD_GAP;
        if !state.map.overlapping(&guarded).is_empty() || !state.map.is_free(&range) {
            return Err(Errno::ENOMEM);
        }
        let vma = Vma {
            start: range.start,
            end: range.end,
            protection: Protection::READ | Protection::WRITE,
            maximum: change::ALL,
            flags: VmaFlags::ACCOUNTED | state.future_flags,
            offset: pages_between(VirtAddr::default(), range.start),
            object: None,
            has_own_pages: false,
        };
        if vma.flags.contains(VmaFlags::LOCKED) {
            let locked = state.map.totals().locked + vma.pages();
            if !limits::allows(&self.limits.locked, locked) {
                return Err(Errno::EAGAIN);
            }
        }
        self.check_room(state, &vma, 0)?;
        state.map.insert(vma)?;
        self.note_mapped(state);
        Ok(())
    }
}
