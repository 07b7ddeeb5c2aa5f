//! Advice about the use of memory: madvise(2), and msync(2).

use super::{Memory, Vma, VmaFlags, populate::covered_prefix};
use abi::{
    Errno, Result,
    memory::{self as raw, SyncFlags},
};
use core::ops::Range;
use framework::{Protection, VirtAddr};

/// What an advice does to a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Adds and removes flags.
    Flags { add: VmaFlags, remove: VmaFlags },
    /// Drops the pages.
    Discard,
    /// Drops the pages of an object for everybody.
    Remove,
    /// Nothing that a program could see.
    Nothing,
}

/// What an advice does, if it is one.
fn effect(advice: u32) -> Option<Effect> {
    let access = VmaFlags::RANDOM | VmaFlags::SEQUENTIAL;
    let huge = VmaFlags::HUGE_PAGE | VmaFlags::NO_HUGE_PAGE;
    let none = VmaFlags::empty();
    let flags = |add, remove| Effect::Flags { add, remove };
    Some(match advice {
        raw::MADV_NORMAL => flags(none, access),
        raw::MADV_RANDOM => flags(VmaFlags::RANDOM, access),
        raw::MADV_SEQUENTIAL => flags(VmaFlags::SEQUENTIAL, access),
        raw::MADV_DONTFORK => flags(VmaFlags::DONT_FORK, none),
        raw::MADV_DOFORK => flags(none, VmaFlags::DONT_FORK),
        raw::MADV_WIPEONFORK => flags(VmaFlags::WIPE_ON_FORK, none),
        raw::MADV_KEEPONFORK => flags(none, VmaFlags::WIPE_ON_FORK),
        raw::MADV_DONTDUMP => flags(VmaFlags::DONT_DUMP, none),
        raw::MADV_DODUMP => flags(none, VmaFlags::DONT_DUMP),
        raw::MADV_MERGEABLE => flags(VmaFlags::MERGEABLE, none),
        raw::MADV_UNMERGEABLE => flags(none, VmaFlags::MERGEABLE),
        raw::MADV_HUGEPAGE => flags(VmaFlags::HUGE_PAGE, huge),
        raw::MADV_NOHUGEPAGE => flags(VmaFlags::NO_HUGE_PAGE, huge),
        raw::MADV_DONTNEED | raw::MADV_DONTNEED_LOCKED | raw::MADV_FREE => Effect::Discard,
        raw::MADV_REMOVE => Effect::Remove,
        raw::MADV_WILLNEED | raw::MADV_COLD | raw::MADV_PAGEOUT => Effect::Nothing,
        _ => return None,
    })
}

/// Whether `advice` may be given for `vma`.
fn check(advice: u32, vma: &Vma) -> Result<()> {
    let locked = vma.flags.contains(VmaFlags::LOCKED);
    let private_anonymous = vma.object.is_none();
    let good = match advice {
        raw::MADV_DONTNEED | raw::MADV_COLD | raw::MADV_PAGEOUT => !locked,
        raw::MADV_FREE => private_anonymous && !locked,
        raw::MADV_WIPEONFORK => private_anonymous,
        raw::MADV_DODUMP => !vma.flags.contains(VmaFlags::DONT_EXPAND),
        raw::MADV_REMOVE => {
            if !locked && vma.is_shared() && !vma.maximum.contains(Protection::WRITE) {
                return Err(Errno::EACCES);
            }
            !locked && vma.is_shared()
        }
        _ => true,
    };
    if good { Ok(()) } else { Err(Errno::EINVAL) }
}

impl Memory {
    /// Takes advice about a range. `MADV_POPULATE_*` is the caller's, with `populate_some`.
    ///
    /// # Errors
    /// - `EINVAL`: no such advice, misaligned, or not for this kind of mapping.
    /// - `ENOMEM`: a part is not mapped (the rest is done).
    /// - `EACCES`: `MADV_REMOVE` on what may not be written.
    ///
    /// Source: madvise(2)
    pub fn advise(&self, range: &Range<VirtAddr>, advice: u32) -> Result<()> {
        let effect = effect(advice).ok_or(Errno::EINVAL)?;
        let mut state = self.state.lock();
        let mut result = Ok(());
        let mut at = range.start;
        while at < range.end {
            let Some(vma) = state.map.vmas().get(state.map.position(at)) else {
                return Err(Errno::ENOMEM);
            };
            if vma.start > at {
                result = Err(Errno::ENOMEM);
                at = vma.start;
                continue;
            }
            let piece = at..vma.end.min(range.end);
            at = piece.end;
            check(advice, vma)?;
            match effect {
                Effect::Nothing => {}
                Effect::Flags { add, remove } => state.map.update(&piece, |vma| {
                    vma.flags.remove(remove);
                    vma.flags.insert(add);
                })?,
                Effect::Discard => {
                    self.note_peak();
                    self.space.lock().unmap(piece);
                }
                Effect::Remove => {
                    let pages = vma.index_of(piece.start)..vma.index_of(piece.end);
                    let object = vma.object.clone().ok_or(Errno::EINVAL)?;
                    // Cutting pages off comes back to this address space for its lock.
                    drop(state);
                    object.punch(pages)?;
                    state = self.state.lock();
                }
            }
        }
        result
    }

    /// Whether a range is mapped and may be synchronized as asked; calls `visit` with each shared
    /// object in it and the pages.
    ///
    /// # Errors
    /// - `ENOMEM`: a part is not mapped (the rest is visited).
    /// - `EBUSY`: `MS_INVALIDATE` on locked memory.
    ///
    /// Source: msync(2)
    pub fn synchronize(&self, range: &Range<VirtAddr>, flags: SyncFlags) -> Result<()> {
        let state = self.state.lock();
        for vma in state.map.overlapping(range) {
            let locked = vma.flags.contains(VmaFlags::LOCKED);
            if flags.contains(SyncFlags::INVALIDATE) && locked {
                return Err(Errno::EBUSY);
            }
        }
        let covered = covered_prefix(&state, range);
        if covered < range.end { Err(Errno::ENOMEM) } else { Ok(()) }
    }
}
