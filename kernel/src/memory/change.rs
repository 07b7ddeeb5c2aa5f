//! Mapping, unmapping and protecting: mmap(2), munmap(2), mprotect(2).

use super::{
    Memory, Object, State, Vma, VmaFlags,
    layout::{LOW_END, LOW_START},
    limits,
    map::MAX_MAPPINGS,
};
use abi::{
    Errno, Result,
    memory::{MAP_SHARED, MapFlags, Prot},
};
use alloc::sync::Arc;
use core::{ops::Range, sync::atomic::Ordering::Relaxed};
use framework::{PAGE_SIZE, Protection, USER_END, USER_START, VirtAddr, frame};

/// What mmap asks for; the checks on a file's rights are done before.
#[derive(Debug)]
pub struct MapRequest {
    /// Where, or a hint.
    pub at: VirtAddr,
    /// Bytes, rounded up to pages here.
    pub len: usize,
    /// The rights.
    pub prot: Prot,
    /// How.
    pub flags: MapFlags,
    /// What lies behind, from which page, and the rights mprotect may give; `None` is anonymous.
    pub backing: Option<Backing>,
    /// Whether RLIMIT_MEMLOCK does not apply (`CAP_IPC_LOCK`).
    pub may_lock_all: bool,
}

/// The object behind a mapping.
#[derive(Clone, Debug)]
pub struct Backing {
    /// The object.
    pub object: Arc<Object>,
    /// The page of it the mapping begins with.
    pub offset: u64,
    /// The rights the file's descriptor allows.
    pub maximum: Protection,
    /// More behaviour ([`VmaFlags::SHARED`] comes from the request).
    pub flags: VmaFlags,
}

/// Where a mapping ended up, and whether its pages are to be made present now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// The addresses.
    pub range: Range<VirtAddr>,
    /// Whether the caller is to populate it.
    pub populate: bool,
}

/// All rights.
pub(super) const ALL: Protection = Protection::all();

impl Memory {
    /// Maps memory.
    ///
    /// # Errors
    /// - `EINVAL`: no length, a misaligned fixed address, or flags that do not go together.
    /// - `ENOMEM`: no room, too many mappings, or more than the limits or the machine have.
    /// - `EEXIST`: `FIXED_NOREPLACE`, and something is there.
    /// - `EPERM`: a fixed address below the lowest, or locking is not allowed.
    /// - `EAGAIN`: locking more than the limit.
    /// - `EOVERFLOW`: the file offset is too large.
    ///
    /// Source: mmap(2)
    pub fn map(&self, request: &MapRequest) -> Result<Mapped> {
        if request.len == 0 {
            return Err(Errno::EINVAL);
        }
        let len = page_up(request.len).ok_or(Errno::ENOMEM)?;
        let pages = (len / PAGE_SIZE) as u64;
        if let Some(backing) = &request.backing {
            let end = backing.offset.checked_add(pages).ok_or(Errno::EOVERFLOW)?;
            if end > u64::MAX / PAGE_SIZE as u64 {
                return Err(Errno::EOVERFLOW);
            }
        }
        let mut state = self.state.lock();
        if state.map.vmas().len() > MAX_MAPPINGS {
            return Err(Errno::ENOMEM);
        }
        let start = place(&state, request, len)?;
        let range = start..start + len;
        let fixed = request.flags.intersects(MapFlags::FIXED | MapFlags::FIXED_NOREPLACE);
        if request.flags.contains(MapFlags::FIXED_NOREPLACE)
            && !state.map.overlapping(&range).is_empty()
        {
            return Err(Errno::EEXIST);
        }
        let vma = self.new_vma(&state, request, &range)?;
        self.check_room(&state, &vma, if fixed { replaced_pages(&state, &range) } else { 0 })?;
        if fixed {
            self.remove_locked(&mut state, &range)?;
        }
        let populate = request.flags.contains(MapFlags::POPULATE)
            && !request.flags.contains(MapFlags::NONBLOCK)
            || vma.flags.contains(VmaFlags::LOCKED) && !vma.flags.contains(VmaFlags::LOCK_ON_FAULT);
        if let Some(object) = &vma.object {
            object.attach(&self.this);
        }
        state.map.insert(vma)?;
        self.note_mapped(&state);
        Ok(Mapped { range, populate })
    }

    /// The mapping a request describes.
    fn new_vma(&self, state: &State, request: &MapRequest, range: &Range<VirtAddr>) -> Result<Vma> {
        let mut flags = state.future_flags;
        let shared = request.flags.kind() & MAP_SHARED != 0;
        let grows = request.flags.contains(MapFlags::GROWSDOWN);
        if grows && (shared || request.backing.is_some()) {
            return Err(Errno::EINVAL);
        }
        flags.set(VmaFlags::SHARED, shared);
        flags.set(VmaFlags::GROWS_DOWN, grows);
        flags.set(VmaFlags::NO_RESERVE, request.flags.contains(MapFlags::NORESERVE));
        if request.flags.contains(MapFlags::LOCKED) {
            flags |= VmaFlags::LOCKED;
        }
        if flags.contains(VmaFlags::LOCKED) {
            let locked = state.map.totals().locked + (range.end - range.start) / PAGE_SIZE;
            self.check_lock(locked, request.may_lock_all, Errno::EAGAIN)?;
        }
        let protection = protection_of(request.prot);
        let committed = !shared
            && protection.contains(Protection::WRITE)
            && !flags.contains(VmaFlags::NO_RESERVE);
        flags.set(VmaFlags::ACCOUNTED, committed);
        let (object, offset, maximum) = match &request.backing {
            Some(backing) => {
                flags |= backing.flags;
                (Some(backing.object.clone()), backing.offset, backing.maximum)
            }
            None if shared => {
                let pages = super::vma::pages_between(range.start, range.end);
                (Some(Object::anonymous(pages)?), 0, ALL)
            }
            None => (None, (range.start.get() / PAGE_SIZE) as u64, ALL),
        };
        Ok(Vma {
            start: range.start,
            end: range.end,
            protection,
            maximum,
            flags,
            offset,
            object,
            has_own_pages: false,
        })
    }

    /// Whether `vma` fits the limits and the machine when `replaced` pages go for it.
    pub(super) fn check_room(&self, state: &State, vma: &Vma, replaced: usize) -> Result<()> {
        let totals = state.map.totals();
        let mapped = totals.mapped - replaced + vma.pages();
        if !limits::allows(&self.limits.address_space, mapped) {
            return Err(Errno::ENOMEM);
        }
        if vma.is_data() && !limits::allows(&self.limits.data, totals.data + vma.pages()) {
            return Err(Errno::ENOMEM);
        }
        if vma.is_committed() {
            check_commit(vma.pages())?;
        }
        Ok(())
    }

    /// Whether `pages` locked pages are allowed.
    pub(super) fn check_lock(&self, pages: usize, all: bool, too_many: Errno) -> Result<()> {
        if all {
            return Ok(());
        }
        if self.limits.locked.load(Relaxed) == 0 {
            return Err(Errno::EPERM);
        }
        if limits::allows(&self.limits.locked, pages) { Ok(()) } else { Err(too_many) }
    }

    /// Removes all mappings of a range; what is not mapped is skipped.
    ///
    /// # Errors
    /// - `EINVAL`: misaligned, empty, or outside the user half.
    /// - `ENOMEM`: a mapping would be split and there are too many.
    ///
    /// Source: munmap(2)
    pub fn unmap(&self, at: VirtAddr, len: usize) -> Result<()> {
        let range = user_range(at, len).ok_or(Errno::EINVAL)?;
        if range.is_empty() {
            return Err(Errno::EINVAL);
        }
        self.remove_locked(&mut self.state.lock(), &range)
    }

    /// Whether [`unmap`](Self::unmap) would succeed now.
    pub fn can_unmap(&self, at: VirtAddr, len: usize) -> bool {
        let range = user_range(at, len).filter(|range| !range.is_empty());
        range.is_some_and(|range| !self.state.lock().map.removal_overflows(&range))
    }

    /// Removes the mappings of `range` and their pages.
    pub(super) fn remove_locked(&self, state: &mut State, range: &Range<VirtAddr>) -> Result<()> {
        if state.map.removal_overflows(range) {
            return Err(Errno::ENOMEM);
        }
        let removed = state.map.remove(range)?;
        let (Some(first), Some(last)) = (removed.first(), removed.last()) else { return Ok(()) };
        self.note_peak();
        // Also the holes between: one range is one walk.
        self.space.lock().unmap(first.start..last.end);
        Ok(())
    }

    /// Changes the rights of a range.
    ///
    /// # Errors
    /// - `EINVAL`: misaligned, unknown bits, both grow directions, or `GROWSDOWN` where it is not.
    /// - `ENOMEM`: a part is not mapped (what lies before it is changed), or limits.
    /// - `EACCES`: a file's descriptor does not allow it.
    ///
    /// Source: mprotect(2)
    pub fn protect(&self, at: VirtAddr, len: usize, prot: Prot) -> Result<()> {
        let grow = prot & (Prot::GROWSDOWN | Prot::GROWSUP);
        if grow == Prot::GROWSDOWN | Prot::GROWSUP || at.page_offset() != 0 {
            return Err(Errno::EINVAL);
        }
        if len == 0 {
            return Ok(());
        }
        let len = page_up(len).ok_or(Errno::ENOMEM)?;
        let end = at.checked_add(len).ok_or(Errno::ENOMEM)?;
        if !Prot::all().contains(prot) {
            return Err(Errno::EINVAL);
        }
        let mut state = self.state.lock();
        let mut range = at..end;
        if !grow.is_empty() {
            let vma = state.map.overlapping(&range).first().ok_or(Errno::ENOMEM)?;
            if grow == Prot::GROWSUP || !vma.flags.contains(VmaFlags::GROWS_DOWN) {
                return Err(Errno::EINVAL);
            }
            range.start = vma.start;
        }
        self.protect_locked(&mut state, &range, protection_of(prot))
    }

    fn protect_locked(
        &self,
        state: &mut State,
        range: &Range<VirtAddr>,
        protection: Protection,
    ) -> Result<()> {
        let mut at = range.start;
        while at < range.end {
            let index = state.map.find(at).ok_or(Errno::ENOMEM)?;
            let vma = state.map.get(index);
            let piece = at..vma.end.min(range.end);
            at = piece.end;
            if vma.protection == protection {
                continue;
            }
            if !vma.maximum.contains(protection) {
                return Err(Errno::EACCES);
            }
            self.protect_piece(state, index, &piece, protection)?;
        }
        Ok(())
    }

    /// Changes the rights of a part of the mapping at `index`.
    fn protect_piece(
        &self,
        state: &mut State,
        index: usize,
        piece: &Range<VirtAddr>,
        protection: Protection,
    ) -> Result<()> {
        let vma = state.map.get(index);
        let pages = (piece.end - piece.start) / PAGE_SIZE;
        let shared = vma.is_shared();
        let gets_data = protection.contains(Protection::WRITE)
            && !vma.protection.contains(Protection::WRITE)
            && !shared;
        let mut account = false;
        if gets_data {
            let data = state.map.totals().data + pages;
            if !vma.flags.contains(VmaFlags::GROWS_DOWN) && !limits::allows(&self.limits.data, data)
            {
                return Err(Errno::ENOMEM);
            }
            account = !vma.flags.intersects(VmaFlags::NO_RESERVE | VmaFlags::ACCOUNTED);
            if account {
                check_commit(pages)?;
            }
        }
        state.map.update(piece, |vma| {
            vma.protection = protection;
            if account {
                vma.flags |= VmaFlags::ACCOUNTED;
            }
        })?;
        // A private page may be shared with others still: the right to write comes with a fault.
        let direct = if shared { protection } else { protection - Protection::WRITE };
        self.space.lock().protect(piece.clone(), direct);
        Ok(())
    }

    /// Notes how much is mapped after it grew.
    pub(super) fn note_mapped(&self, state: &State) {
        self.peak_mapped.fetch_max(state.map.totals().mapped, Relaxed);
    }
}

/// Where a mapping of `len` bytes goes.
fn place(state: &State, request: &MapRequest, len: usize) -> Result<VirtAddr> {
    if len > USER_END.get() {
        return Err(Errno::ENOMEM);
    }
    if request.flags.intersects(MapFlags::FIXED | MapFlags::FIXED_NOREPLACE) {
        if request.at.get() > USER_END.get() - len {
            return Err(Errno::ENOMEM);
        }
        if request.at.page_offset() != 0 {
            return Err(Errno::EINVAL);
        }
        return if request.at < USER_START { Err(Errno::EPERM) } else { Ok(request.at) };
    }
    let hint = VirtAddr::new(request.at.get() & !(PAGE_SIZE - 1));
    if hint >= USER_START && hint.get() <= USER_END.get() - len {
        let wanted = hint..hint + len;
        let low = !request.flags.contains(MapFlags::LOW_2G) || wanted.end <= LOW_END;
        if low && state.map.is_free(&wanted) {
            return Ok(hint);
        }
    }
    find_gap(state, len, request.flags.contains(MapFlags::LOW_2G)).ok_or(Errno::ENOMEM)
}

/// A free place: from the mapping area's top downwards, then anywhere.
pub(super) fn find_gap(state: &State, len: usize, low: bool) -> Option<VirtAddr> {
    if low {
        return state.map.lowest_gap(len, &(LOW_START..LOW_END));
    }
    state
        .map
        .highest_gap(len, &(USER_START..state.layout.mmap_base))
        .or_else(|| state.map.lowest_gap(len, &(state.layout.mmap_base..USER_END)))
}

/// Pages of `range` that are mapped now.
fn replaced_pages(state: &State, range: &Range<VirtAddr>) -> usize {
    let overlap = state.map.overlapping(range).iter();
    overlap.map(|vma| (vma.end.min(range.end) - vma.start.max(range.start)) / PAGE_SIZE).sum()
}

/// The heuristic of `vm.overcommit_memory` 0: only what can never be is refused.
pub(super) fn check_commit(pages: usize) -> Result<()> {
    if pages > frame::stats().total { Err(Errno::ENOMEM) } else { Ok(()) }
}

/// The rights as the page table knows them.
pub(super) fn protection_of(prot: Prot) -> Protection {
    let mut protection = Protection::empty();
    protection.set(Protection::READ, prot.contains(Prot::READ));
    protection.set(Protection::WRITE, prot.contains(Prot::WRITE));
    protection.set(Protection::EXECUTE, prot.contains(Prot::EXEC));
    protection
}

/// `len` rounded up to whole pages.
pub(super) fn page_up(len: usize) -> Option<usize> {
    len.checked_next_multiple_of(PAGE_SIZE)
}

/// The whole pages of `at..at + len`, if `at` is aligned and the end within the user half.
pub(super) fn user_range(at: VirtAddr, len: usize) -> Option<Range<VirtAddr>> {
    let len = page_up(len)?;
    let end = at.checked_add(len)?;
    (at.page_offset() == 0 && end <= USER_END).then_some(at..end)
}
