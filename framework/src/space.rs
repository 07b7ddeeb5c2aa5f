//! Address spaces: a real four-level page table on both targets.

pub(crate) mod entry;

use crate::{Frame, OutOfMemory, VirtAddr};
use alloc::sync::Arc;
use core::{marker::PhantomData, ops::Range};

bitflags::bitflags! {
    /// What a program may do with a page.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Protection: u8 {
        /// Loads.
        const READ = 1;
        /// Stores.
        const WRITE = 2;
        /// Instruction fetches.
        const EXECUTE = 4;
    }
}

/// A mapped page, as [`Cursor::query`] finds it.
#[derive(Clone, Debug)]
pub struct Page {
    /// The frame behind the page (one more reference to it).
    pub frame: Frame,
    /// What the hardware allows.
    pub protection: Protection,
    /// Whether the page was written through this mapping since it was mapped or last cleaned.
    pub dirty: bool,
    /// Whether the page was touched since it was mapped or last aged.
    pub accessed: bool,
}

/// The address space of a process: user half ours, kernel half shared by all.
#[derive(Debug)]
pub struct VmSpace {}

impl VmSpace {
    /// Makes an empty space.
    pub fn new() -> Result<Arc<Self>, OutOfMemory> {
        unimplemented!()
    }

    /// Locks the page table (a spin lock) for reading and changing.
    ///
    /// Removals and tightenings are flushed on every CPU that runs this space when the cursor is
    /// dropped, in one batch; removed frames are released only after that.
    pub fn lock(&self) -> Cursor<'_> {
        unimplemented!()
    }

    /// Pages mapped, in pages (the resident set).
    pub fn resident(&self) -> usize {
        unimplemented!()
    }
}

/// Exclusive access to a page table; see [`VmSpace::lock`].
#[derive(Debug)]
pub struct Cursor<'a> {
    space: PhantomData<&'a VmSpace>,
}

impl Cursor<'_> {
    /// Reads the page at `at`.
    pub fn query(&mut self, _at: VirtAddr) -> Option<Page> {
        unimplemented!()
    }

    /// Maps `frame` at the page `at`, in place of what was there.
    ///
    /// # Errors
    /// [`OutOfMemory`]: no frame for a page table; nothing changed.
    pub fn map(
        &mut self,
        _at: VirtAddr,
        _frame: Frame,
        _protection: Protection,
    ) -> Result<(), OutOfMemory> {
        unimplemented!()
    }

    /// Removes all pages of `range`; page tables that become empty are released too.
    pub fn unmap(&mut self, _range: Range<VirtAddr>) {
        unimplemented!()
    }

    /// Gives all pages of `range` that are mapped this protection.
    pub fn protect(&mut self, _range: Range<VirtAddr>, _protection: Protection) {
        unimplemented!()
    }

    /// Takes `WRITE` from every page of `range` and maps the same frames, also without it, in
    /// `child`: what fork does to private memory.
    pub fn share_copy_on_write(
        &mut self,
        _child: &mut Cursor<'_>,
        _range: Range<VirtAddr>,
    ) -> Result<(), OutOfMemory> {
        unimplemented!()
    }

    /// Maps the same frames with the same protection in `child`: what fork does to shared memory.
    pub fn share(
        &mut self,
        _child: &mut Cursor<'_>,
        _range: Range<VirtAddr>,
    ) -> Result<(), OutOfMemory> {
        unimplemented!()
    }

    /// Moves the pages of `from` so that they start at `to`, as mremap does; `to` must be unmapped.
    pub fn move_pages(&mut self, _from: Range<VirtAddr>, _to: VirtAddr) -> Result<(), OutOfMemory> {
        unimplemented!()
    }

    /// Calls `visit` for each mapped page of `range` in ascending order, skipping holes quickly.
    pub fn for_each(&mut self, _range: Range<VirtAddr>, _visit: &mut dyn FnMut(VirtAddr, &Page)) {
        unimplemented!()
    }
}
