//! Page faults: making present what a mapping promises.

use super::{
    Memory, Object, State, Use, Vma, VmaFlags, limits, map::GUARD_GAP, vma::pages_between,
};
use abi::Errno;
use framework::{
    Frame, PAGE_SIZE, Protection, USER_START, VirtAddr,
    space::{Block, Cursor, FAULT_AROUND},
    user::PageFault,
};
use spin::Once;

/// Why a page fault is the program's mistake (or nobody's, for `OutOfMemory`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultError {
    /// Nothing is mapped there: `SIGSEGV` with `SEGV_MAPERR`.
    NotMapped,
    /// The mapping does not allow the access: `SIGSEGV` with `SEGV_ACCERR`.
    NotAllowed,
    /// The page lies past the file's end, or cannot be read: `SIGBUS` with `BUS_ADRERR`.
    Bus,
    /// There is no frame to be had.
    OutOfMemory,
}

impl From<Errno> for FaultError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::ENOMEM => Self::OutOfMemory,
            _ => Self::Bus,
        }
    }
}

impl From<framework::OutOfMemory> for FaultError {
    fn from(_: framework::OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

/// The page of zeros that stands for anonymous memory not written yet.
fn zero_frame() -> Result<&'static Frame, FaultError> {
    static ZERO: Once<Frame> = Once::new();
    ZERO.try_call_once(|| Frame::zeroed().map_err(FaultError::from))
}

impl Memory {
    /// Makes the page that faulted present as the access needs it.
    ///
    /// # Errors
    /// Why it cannot be; nothing changed.
    pub fn try_fault(&self, fault: &PageFault) -> Result<(), FaultError> {
        let mut state = self.state.lock();
        let index = match state.map.find(fault.at) {
            Some(index) => index,
            None => self.grow_down(&mut state, fault.at)?,
        };
        let vma = state.map.get(index);
        let needs = if fault.write {
            Protection::WRITE
        } else if fault.execute {
            Protection::EXECUTE
        } else {
            Protection::READ
        };
        // x86-64 has no write-only pages: a right to write is one to read.
        let allowed = if needs == Protection::READ {
            !vma.protection.is_empty()
        } else {
            vma.protection.contains(needs)
        };
        if !allowed {
            return Err(FaultError::NotAllowed);
        }
        make_present(&mut self.space.lock(), vma, fault.at.page(), fault.write)?;
        if fault.write {
            state.map.set_own_pages(index);
        }
        Ok(())
    }

    /// Extends the mapping above `at` down to it, if it is one that grows.
    fn grow_down(&self, state: &mut State, at: VirtAddr) -> Result<usize, FaultError> {
        let index = state.map.position(at);
        let vma = state.map.vmas().get(index).ok_or(FaultError::NotMapped)?;
        let start = at.page();
        if !vma.flags.contains(VmaFlags::GROWS_DOWN) || start < USER_START {
            return Err(FaultError::NotMapped);
        }
        let grown = (vma.start - start) / PAGE_SIZE;
        let size = (vma.end - start) / PAGE_SIZE;
        let total = state.map.totals().mapped + grown;
        if !limits::allows(&self.limits.stack, size)
            || !limits::allows(&self.limits.address_space, total)
        {
            return Err(FaultError::NotMapped);
        }
        if let Some(below) = index.checked_sub(1).map(|below| state.map.get(below))
            && !below.protection.is_empty()
            && !below.flags.contains(VmaFlags::GROWS_DOWN)
            && start - below.end < GUARD_GAP
        {
            return Err(FaultError::NotMapped);
        }
        state.map.extend_down(index, start);
        self.note_mapped(state);
        Ok(index)
    }
}

/// Makes the page at `at` of `vma` present, for a store if `write`.
pub(super) fn make_present(
    cursor: &mut Cursor<'_>,
    vma: &Vma,
    at: VirtAddr,
    write: bool,
) -> Result<(), FaultError> {
    let page = cursor.query(at);
    let Some(object) = &vma.object else {
        return match page {
            None if write => Ok(cursor.map(at, Frame::zeroed()?, vma.protection)?),
            None => Ok(cursor.map(at, zero_frame()?.clone(), read_only(vma))?),
            Some(page) if write => copy_on_write(cursor, vma, at, page.frame),
            Some(page) => ensure(cursor, vma, at, page),
        };
    };
    let index = vma.index_of(at);
    match page {
        Some(page) if write && !vma.is_shared() => copy_on_write(cursor, vma, at, page.frame),
        Some(page) if !write => ensure(cursor, vma, at, page),
        _ if write && vma.is_shared() => {
            let frame = object.page(index, Use::Write)?;
            Ok(cursor.map(at, frame, vma.protection)?)
        }
        _ if write => {
            let frame = object.page(index, Use::Read)?.duplicate()?;
            Ok(cursor.map(at, frame, vma.protection)?)
        }
        _ => {
            let frame = object.page(index, Use::Read)?;
            let protection = shown(vma, object);
            let mut block = cursor.block(at, protection)?;
            block.map_absent(at, &frame);
            map_around(&mut block, vma, object, at);
            Ok(())
        }
    }
}

/// The rights a page of the object is first shown with: a store is to be noticed where the page is
/// to be copied, or the file wants to know.
fn shown(vma: &Vma, object: &Object) -> Protection {
    if vma.is_shared() && !object.notes_writes() { vma.protection } else { read_only(vma) }
}

/// The page is there and the access is no store: another thread was faster, or the rights grew.
fn ensure(
    cursor: &mut Cursor<'_>,
    vma: &Vma,
    at: VirtAddr,
    page: framework::space::Page,
) -> Result<(), FaultError> {
    let wanted = read_only(vma) | (page.protection & Protection::WRITE);
    if page.protection != wanted {
        cursor.map(at, page.frame, wanted)?;
    }
    Ok(())
}

/// Gives a private mapping a page of its own to write to.
fn copy_on_write(
    cursor: &mut Cursor<'_>,
    vma: &Vma,
    at: VirtAddr,
    frame: Frame,
) -> Result<(), FaultError> {
    // The page table's reference and the one in our hand: nobody else can see the page, and
    // nobody can come to see it while the page table is locked.
    let own = frame.references() == 2;
    let frame = if own {
        frame
    } else if frame == *zero_frame()? {
        Frame::zeroed()?
    } else {
        frame.duplicate()?
    };
    Ok(cursor.map(at, frame, vma.protection)?)
}

/// The mapping's rights without the one to write.
fn read_only(vma: &Vma) -> Protection {
    vma.protection - Protection::WRITE
}

/// Maps pages of the same aligned block that the object has at hand.
fn map_around(block: &mut Block<'_, '_>, vma: &Vma, object: &Object, at: VirtAddr) {
    if vma.flags.contains(VmaFlags::RANDOM) {
        return;
    }
    let aligned = at.get() & !(FAULT_AROUND * PAGE_SIZE - 1);
    let first = VirtAddr::new(aligned).max(vma.start);
    let last = VirtAddr::new(aligned + FAULT_AROUND * PAGE_SIZE).min(vma.end);
    let start = vma.index_of(first);
    object.for_each_present(start..start + pages_between(first, last), &mut |index, frame| {
        let page = usize::try_from(index - start).unwrap_or(0);
        block.map_absent(first + page * PAGE_SIZE, frame);
    });
}
