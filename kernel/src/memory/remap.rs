//! Moving and resizing mappings: mremap(2).

use super::{Memory, State, Vma, VmaFlags, change, limits, map::MAX_MAPPINGS};
use abi::{Errno, Result, memory::RemapFlags};
use core::ops::Range;
use framework::{PAGE_SIZE, USER_END, USER_START, VirtAddr};

/// What mremap asks for.
#[derive(Clone, Copy, Debug)]
pub struct RemapRequest {
    /// Where the mapping is.
    pub at: VirtAddr,
    /// Bytes of it.
    pub old_len: usize,
    /// Bytes it is to have.
    pub new_len: usize,
    /// How.
    pub flags: RemapFlags,
    /// Where it is to go, with [`RemapFlags::FIXED`].
    pub to: VirtAddr,
    /// Whether RLIMIT_MEMLOCK does not apply.
    pub may_lock_all: bool,
}

/// Where a mapping is now, and the new part that is to be populated because it is locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remapped {
    /// The address.
    pub at: VirtAddr,
    /// What to populate.
    pub populate: Option<Range<VirtAddr>>,
}

impl Memory {
    /// Resizes a mapping, in place or elsewhere.
    ///
    /// # Errors
    /// - `EINVAL`: misaligned, flags that do not go together, or ranges that overlap.
    /// - `EFAULT`: the range is not one mapping, or one that cannot grow.
    /// - `ENOMEM`: no room, or limits.
    /// - `EAGAIN`: locking more than the limit.
    ///
    /// Source: mremap(2)
    pub fn remap(&self, request: &RemapRequest) -> Result<Remapped> {
        let flags = request.flags;
        let may_move = flags.contains(RemapFlags::MAYMOVE);
        let keep = flags.contains(RemapFlags::DONTUNMAP);
        let fixed = flags.contains(RemapFlags::FIXED);
        let old_len = change::page_up(request.old_len).ok_or(Errno::EINVAL)?;
        let new_len = change::page_up(request.new_len).ok_or(Errno::EINVAL)?;
        if fixed && !may_move
            || keep && (!may_move || old_len != new_len)
            || request.at.page_offset() != 0
            || new_len == 0
            || new_len > USER_END.get()
            || request.at.checked_add(old_len).is_none()
        {
            return Err(Errno::EINVAL);
        }
        let request = RemapRequest { old_len, new_len, ..*request };
        let mut state = self.state.lock();
        if state.map.find(request.at).is_none() {
            return Err(Errno::EFAULT);
        }
        if fixed || keep {
            return self.remap_to(&mut state, &request);
        }
        if old_len >= new_len {
            let at = request.at;
            if old_len > new_len {
                let end = at.checked_add(old_len).filter(|end| *end <= USER_END);
                let end = end.ok_or(Errno::EINVAL)?;
                self.remove_locked(&mut state, &(at + new_len..end))?;
            }
            return Ok(Remapped { at, populate: None });
        }
        self.grow(&mut state, &request, may_move)
    }

    /// To a given place, or leaving the old one mapped.
    fn remap_to(&self, state: &mut State, request: &RemapRequest) -> Result<Remapped> {
        let RemapRequest { at, mut old_len, new_len, to, flags, .. } = *request;
        let fixed = flags.contains(RemapFlags::FIXED);
        if to.page_offset() != 0 || new_len > USER_END.get() || to.get() > USER_END.get() - new_len
        {
            return Err(Errno::EINVAL);
        }
        let old_end = at.checked_add(old_len).ok_or(Errno::EINVAL)?;
        if old_end > to && to + new_len > at {
            return Err(Errno::EINVAL);
        }
        if fixed && to < USER_START {
            return Err(Errno::EPERM);
        }
        if state.map.vmas().len() + 2 >= MAX_MAPPINGS {
            return Err(Errno::ENOMEM);
        }
        if fixed {
            self.remove_locked(state, &(to..to + new_len))?;
        }
        if old_len > new_len {
            self.remove_locked(state, &(at + new_len..old_end))?;
            old_len = new_len;
        }
        let request = RemapRequest { old_len, ..*request };
        let vma = self.resizable(state, &request)?;
        let to = if fixed {
            to
        } else {
            let hint = to..to + new_len;
            if to >= USER_START && state.map.is_free(&hint) {
                to
            } else {
                change::find_gap(state, new_len, false).ok_or(Errno::ENOMEM)?
            }
        };
        self.move_mapping(state, &vma, &request, to)
    }

    /// Grows in place if there is room, else elsewhere if allowed.
    fn grow(&self, state: &mut State, request: &RemapRequest, may_move: bool) -> Result<Remapped> {
        let RemapRequest { at, old_len, new_len, .. } = *request;
        let vma = self.resizable(state, request)?;
        if old_len == vma.end - at && at.is_user_range(new_len) {
            let added = vma.end..at + new_len;
            if state.map.is_free(&added) {
                let mut tail = vma.clone();
                tail.start = added.start;
                tail.end = added.end;
                tail.offset = vma.index_of(added.start);
                let populate = populates(&tail).then_some(added);
                state.map.insert(tail)?;
                self.note_mapped(state);
                return Ok(Remapped { at, populate });
            }
        }
        if !may_move {
            return Err(Errno::ENOMEM);
        }
        let to = change::find_gap(state, new_len, false).ok_or(Errno::ENOMEM)?;
        self.move_mapping(state, &vma, request, to)
    }

    /// The mapping at the request's address, if it may be resized as asked.
    fn resizable(&self, state: &mut State, request: &RemapRequest) -> Result<Vma> {
        let RemapRequest { at, old_len, new_len, .. } = *request;
        let index = state.map.find(at).ok_or(Errno::EFAULT)?;
        let vma = state.map.get(index);
        let keep = request.flags.contains(RemapFlags::DONTUNMAP);
        if old_len == 0 && !vma.is_shared() || keep && vma.flags.contains(VmaFlags::DONT_EXPAND) {
            return Err(Errno::EINVAL);
        }
        if old_len > vma.end - at {
            return Err(Errno::EFAULT);
        }
        let vma = vma.clone();
        if new_len == old_len && !keep {
            return Ok(vma);
        }
        if vma.index_of(at).checked_add((new_len / PAGE_SIZE) as u64).is_none() {
            return Err(Errno::EINVAL);
        }
        if vma.flags.contains(VmaFlags::DONT_EXPAND) {
            return Err(Errno::EFAULT);
        }
        let added = if keep { new_len } else { new_len.saturating_sub(old_len) } / PAGE_SIZE;
        let totals = state.map.totals();
        if vma.flags.contains(VmaFlags::LOCKED) {
            self.check_lock(totals.locked + added, request.may_lock_all, Errno::EAGAIN)?;
        }
        if !limits::allows(&self.limits.address_space, totals.mapped + added)
            || vma.is_data() && !limits::allows(&self.limits.data, totals.data + added)
        {
            return Err(Errno::ENOMEM);
        }
        if vma.is_committed() {
            change::check_commit(new_len / PAGE_SIZE)?;
        }
        Ok(vma)
    }

    /// Moves the request's part of `vma` to `to`, which is free, and gives it the new length.
    fn move_mapping(
        &self,
        state: &mut State,
        vma: &Vma,
        request: &RemapRequest,
        to: VirtAddr,
    ) -> Result<Remapped> {
        let RemapRequest { at, old_len, new_len, .. } = *request;
        let old = at..at + old_len;
        let mut moved = vma.clone();
        moved.offset = vma.index_of(at);
        moved.start = to;
        moved.end = to + new_len;
        // Both ends of the old mapping may have to be cut: make sure that succeeds first.
        if state.map.vmas().len() + 3 > MAX_MAPPINGS {
            return Err(Errno::ENOMEM);
        }
        let locked = populates(vma);
        state.map.insert(moved)?;
        if old_len > 0 {
            let moving = old.start..old.start + old_len.min(new_len);
            if let Err(error) = self.space.lock().move_pages(moving, to) {
                state.map.remove(&(to..to + new_len))?;
                return Err(error.into());
            }
            if request.flags.contains(RemapFlags::DONTUNMAP) {
                // mremap(2): what stays behind is not locked.
                let unlocked = VmaFlags::LOCKED | VmaFlags::LOCK_ON_FAULT;
                state.map.update(&old, |vma| vma.flags.remove(unlocked))?;
            } else {
                state.map.remove(&old)?;
                self.space.lock().unmap(old);
            }
        }
        self.note_mapped(state);
        let start = to + old_len.min(new_len);
        let added = start..to + new_len;
        let populate = (locked && !added.is_empty()).then_some(added);
        Ok(Remapped { at: to, populate })
    }
}

/// Whether new parts of a mapping are made present at once.
fn populates(vma: &Vma) -> bool {
    vma.flags.contains(VmaFlags::LOCKED) && !vma.flags.contains(VmaFlags::LOCK_ON_FAULT)
}
