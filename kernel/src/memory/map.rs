//! The mappings of an address space: a sorted list with a memory of the last hit.
//!
//! Purely a data structure: page tables are changed by the callers, in `Memory`. Invariants: the
//! mappings are sorted, whole pages, not empty, and do not overlap; two that could be one are one;
//! the totals are those of the list.

use super::vma::{Vma, VmaFlags};
use abi::{Errno, Result};
use alloc::vec::Vec;
use core::ops::Range;
use framework::{PAGE_SIZE, VirtAddr};

/// The most mappings a process may have (`vm.max_map_count`).
pub const MAX_MAPPINGS: usize = 65530;

/// The gap kept free below a mapping that grows down (`stack_guard_gap`), in bytes.
pub(super) const GUARD_GAP: usize = 256 * PAGE_SIZE;

/// Sums over all mappings, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// All.
    pub mapped: usize,
    /// Private and writable, without stacks.
    pub data: usize,
    /// Growing down.
    pub stack: usize,
    /// Executable and not writable.
    pub text: usize,
    /// Locked in memory.
    pub locked: usize,
    /// Counted as committed.
    pub committed: usize,
}

/// The mappings, sorted by address.
#[derive(Debug, Default)]
pub struct Map {
    vmas: Vec<Vma>,
    /// Where the last search ended.
    last: usize,
    totals: Totals,
}

impl Map {
    /// An empty list.
    pub const fn new() -> Self {
        let totals = Totals { mapped: 0, data: 0, stack: 0, text: 0, locked: 0, committed: 0 };
        Self { vmas: Vec::new(), last: 0, totals }
    }

    /// The sums.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// All mappings in ascending order.
    pub fn vmas(&self) -> &[Vma] {
        &self.vmas
    }

    /// The mapping at this place of [`vmas`](Self::vmas).
    pub fn get(&self, index: usize) -> &Vma {
        &self.vmas[index]
    }

    /// The place of the first mapping that ends after `at`.
    pub fn position(&self, at: VirtAddr) -> usize {
        self.vmas.partition_point(|vma| vma.end <= at)
    }

    /// The place of the mapping `at` lies in.
    pub fn find(&mut self, at: VirtAddr) -> Option<usize> {
        if self.vmas.get(self.last).is_some_and(|vma| vma.contains(at)) {
            return Some(self.last);
        }
        let index = self.position(at);
        self.vmas.get(index).filter(|vma| vma.start <= at)?;
        self.last = index;
        Some(index)
    }

    /// The mappings that overlap `range`, in ascending order, not cut to it.
    pub fn overlapping(&self, range: &Range<VirtAddr>) -> &[Vma] {
        let first = self.position(range.start);
        let count = self.vmas[first..].partition_point(|vma| vma.start < range.end);
        &self.vmas[first..first + count]
    }

    /// Whether every page of `range` is mapped.
    pub fn covers(&self, range: &Range<VirtAddr>) -> bool {
        let mut at = range.start;
        for vma in self.overlapping(range) {
            if vma.start > at {
                return false;
            }
            at = vma.end;
        }
        at >= range.end
    }

    /// Adds a mapping where there is none, and joins it with its neighbours if they are alike.
    ///
    /// # Errors
    /// - `ENOMEM`: too many mappings, or no memory; nothing changed.
    pub fn insert(&mut self, vma: Vma) -> Result<()> {
        let at = self.position(vma.start);
        debug_assert!(self.vmas.get(at).is_none_or(|next| vma.end <= next.start), "overlap");
        self.totals.add(&vma);
        if at > 0 && self.vmas[at - 1].continues_with(&vma) {
            self.vmas[at - 1].end = vma.end;
            self.vmas[at - 1].has_own_pages |= vma.has_own_pages;
            self.join(at - 1);
            return Ok(());
        }
        if let Some(next) = self.vmas.get_mut(at)
            && vma.continues_with(next)
        {
            next.start = vma.start;
            next.offset = vma.offset;
            next.has_own_pages |= vma.has_own_pages;
            return Ok(());
        }
        if let Err(errno) = self.make_room(1) {
            self.totals.remove(&vma);
            return Err(errno);
        }
        self.vmas.insert(at, vma);
        Ok(())
    }

    /// Joins the mapping at `index` with the next one if they are alike.
    fn join(&mut self, index: usize) -> bool {
        let Some(next) = self.vmas.get(index + 1) else { return false };
        if !self.vmas[index].continues_with(next) {
            return false;
        }
        let next = self.vmas.remove(index + 1);
        self.vmas[index].end = next.end;
        self.vmas[index].has_own_pages |= next.has_own_pages;
        true
    }

    /// Makes sure `count` more mappings fit.
    fn make_room(&mut self, count: usize) -> Result<()> {
        if self.vmas.len() + count > MAX_MAPPINGS {
            return Err(Errno::ENOMEM);
        }
        self.vmas.try_reserve(count).map_err(|_| Errno::ENOMEM)
    }

    /// Cuts mappings at the ends of `range` and returns the places of those inside.
    ///
    /// # Errors
    /// - `ENOMEM`: too many mappings, or no memory; nothing changed.
    fn carve(&mut self, range: &Range<VirtAddr>) -> Result<Range<usize>> {
        let first = self.position(range.start);
        let count = self.vmas[first..].partition_point(|vma| vma.start < range.end);
        if count == 0 {
            return Ok(first..first);
        }
        let cut_start = self.vmas[first].start < range.start;
        let cut_end = self.vmas[first + count - 1].end > range.end;
        self.make_room(usize::from(cut_start) + usize::from(cut_end))?;
        let mut end = first + count;
        if cut_end {
            let tail = self.vmas[end - 1].split_off(range.end);
            self.vmas.insert(end, tail);
        }
        if cut_start {
            let tail = self.vmas[first].split_off(range.start);
            self.vmas.insert(first + 1, tail);
            end += 1;
        }
        Ok(first + usize::from(cut_start)..end)
    }

    /// Whether removing `range` would split one mapping in two when there is no room for another.
    pub fn removal_overflows(&self, range: &Range<VirtAddr>) -> bool {
        self.vmas.len() >= MAX_MAPPINGS
            && self
                .overlapping(range)
                .first()
                .is_some_and(|vma| vma.start < range.start && range.end < vma.end)
    }

    /// Removes what is mapped in `range` and returns it, cut to the range.
    ///
    /// # Errors
    /// - `ENOMEM`: too many mappings, or no memory; nothing changed.
    pub fn remove(&mut self, range: &Range<VirtAddr>) -> Result<Vec<Vma>> {
        let inside = self.carve(range)?;
        let mut removed = Vec::new();
        if removed.try_reserve_exact(inside.len()).is_err() {
            self.join_range(inside);
            return Err(Errno::ENOMEM);
        }
        removed.extend(self.vmas.drain(inside));
        for vma in &removed {
            self.totals.remove(vma);
        }
        Ok(removed)
    }

    /// Changes each mapping of `range`, cut to it, with `change`, and joins what became alike.
    ///
    /// # Errors
    /// - `ENOMEM`: too many mappings, or no memory; nothing changed.
    pub fn update(
        &mut self,
        range: &Range<VirtAddr>,
        mut change: impl FnMut(&mut Vma),
    ) -> Result<()> {
        let inside = self.carve(range)?;
        for vma in &mut self.vmas[inside.clone()] {
            self.totals.remove(vma);
            change(vma);
            self.totals.add(vma);
        }
        self.join_range(inside);
        Ok(())
    }

    /// Notes that the mapping at `index` has pages of its own now.
    pub fn set_own_pages(&mut self, index: usize) {
        self.vmas[index].has_own_pages = true;
    }

    /// Moves the start of the mapping at `index` down to `start`, which is free.
    pub fn extend_down(&mut self, index: usize, start: VirtAddr) {
        let vma = &mut self.vmas[index];
        self.totals.remove(vma);
        let grown = super::vma::pages_between(start, vma.start);
        vma.offset = vma.offset.wrapping_sub(grown);
        vma.start = start;
        self.totals.add(vma);
    }

    /// Joins all of `places` and their outer neighbours where they are alike.
    fn join_range(&mut self, places: Range<usize>) {
        let mut index = places.start.saturating_sub(1);
        let mut end = places.end;
        while index < end {
            if self.join(index) {
                end -= 1;
            } else {
                index += 1;
            }
        }
    }

    /// The highest free place of `len` bytes within `within`, guard gaps respected.
    pub fn highest_gap(&self, len: usize, within: &Range<VirtAddr>) -> Option<VirtAddr> {
        let mut top = within.end;
        let mut index = self.position(top);
        // The mapping at `index`, if any, ends above the window: it may reach into it.
        if let Some(vma) = self.vmas.get(index) {
            top = top.min(guarded_start(vma));
        }
        loop {
            let bottom = match index.checked_sub(1) {
                Some(below) => self.vmas[below].end.max(within.start),
                None => within.start,
            };
            if top >= bottom && top - bottom >= len {
                return Some(top - len);
            }
            index = index.checked_sub(1)?;
            if self.vmas[index].end <= within.start {
                return None;
            }
            top = guarded_start(&self.vmas[index]).min(within.end);
        }
    }

    /// The lowest free place of `len` bytes within `within`, guard gaps respected.
    pub fn lowest_gap(&self, len: usize, within: &Range<VirtAddr>) -> Option<VirtAddr> {
        let mut bottom = within.start;
        for vma in &self.vmas[self.position(bottom)..] {
            let top = guarded_start(vma).min(within.end);
            if top >= bottom && top - bottom >= len {
                return Some(bottom);
            }
            bottom = bottom.max(vma.end);
        }
        (bottom <= within.end && within.end - bottom >= len).then_some(bottom)
    }

    /// Whether `range` is free and keeps the guard gap of the mapping above it.
    pub fn is_free(&self, range: &Range<VirtAddr>) -> bool {
        self.vmas
            .get(self.position(range.start))
            .is_none_or(|next| range.end <= guarded_start(next))
    }

    /// A copy for a fork, without what is not to be inherited.
    ///
    /// # Errors
    /// - `ENOMEM`: no memory.
    pub fn for_fork(&self) -> Result<Self> {
        let mut copy = Self::new();
        copy.vmas.try_reserve_exact(self.vmas.len()).map_err(|_| Errno::ENOMEM)?;
        for vma in self.vmas.iter().filter(|vma| !vma.flags.contains(VmaFlags::DONT_FORK)) {
            let mut vma = vma.clone();
            // mlock(2): locks are not inherited.
            vma.flags.remove(VmaFlags::LOCKED | VmaFlags::LOCK_ON_FAULT);
            copy.totals.add(&vma);
            copy.vmas.push(vma);
        }
        copy.join_range(0..copy.vmas.len());
        Ok(copy)
    }
}

/// Where a new mapping below `vma` must end.
fn guarded_start(vma: &Vma) -> VirtAddr {
    if vma.flags.contains(VmaFlags::GROWS_DOWN) {
        VirtAddr::new(vma.start.get().saturating_sub(GUARD_GAP))
    } else {
        vma.start
    }
}

impl Totals {
    fn add(&mut self, vma: &Vma) {
        self.each(vma, |total, pages| *total += pages);
    }

    fn remove(&mut self, vma: &Vma) {
        self.each(vma, |total, pages| *total -= pages);
    }

    fn each(&mut self, vma: &Vma, mut change: impl FnMut(&mut usize, usize)) {
        use framework::Protection;
        let pages = vma.pages();
        change(&mut self.mapped, pages);
        let writable = vma.protection.contains(Protection::WRITE);
        if vma.is_data() {
            change(&mut self.data, pages);
        }
        if vma.flags.contains(VmaFlags::GROWS_DOWN) {
            change(&mut self.stack, pages);
        }
        if vma.protection.contains(Protection::EXECUTE) && !writable {
            change(&mut self.text, pages);
        }
        if vma.flags.contains(VmaFlags::LOCKED) {
            change(&mut self.locked, pages);
        }
        if vma.is_committed() {
            change(&mut self.committed, pages);
        }
    }
}

#[cfg(test)]
#[path = "map_tests.rs"]
mod tests;
