//! Address spaces: a real four-level page table on both targets.
//!
//! Changes are made under the space's lock by a [`Cursor`]. What a change takes away is collected in
//! a batch; when the cursor is dropped, every CPU that translates by this table forgets it, and only
//! then are the frames released.

mod batch;
mod cursor;
pub(crate) mod entry;
mod table;
#[cfg(not(target_os = "none"))]
pub(crate) use table::lookup;
#[cfg(test)]
mod tests;

#[cfg(target_os = "none")]
pub(crate) use batch::MAX_PAGES;
pub use cursor::{Block, Cursor};

use crate::{Frame, OutOfMemory, VirtAddr, machine::space::Active};
use alloc::sync::Arc;
use batch::Batch;
use core::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
};
use table::Table;

pub(crate) use table::kept as kept_tables;

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
    /// What the hardware allows; reading comes with writing and executing.
    pub protection: Protection,
    /// Whether the page was written through this mapping since it was mapped or last cleaned.
    pub dirty: bool,
    /// Whether the page was touched since it was mapped or last aged.
    pub accessed: bool,
}

/// How many pages are worth mapping around one that was missing, if they are at hand; a power of
/// two. On the library OS a fault costs more than many pages.
pub const FAULT_AROUND: usize = if cfg!(target_os = "none") { 16 } else { 64 };

/// The address space of a process: user half ours, kernel half shared by all.
pub struct VmSpace {
    root: Table,
    /// Which CPUs translate by this table.
    active: Active,
    resident: AtomicUsize,
    /// Guards the table; holds what a change has left to do, which is nothing between changes.
    lock: spin::Mutex<Batch>,
}

impl VmSpace {
    /// Makes an empty space.
    pub fn new() -> Result<Arc<Self>, OutOfMemory> {
        let root = Table::allocate()?;
        Ok(Arc::new(Self {
            root,
            active: Active::new(root.address()),
            resident: AtomicUsize::new(0),
            lock: spin::Mutex::new(Batch::new()),
        }))
    }

    /// Locks the page table (a spin lock) for reading and changing.
    ///
    /// Removals and tightenings are flushed on every CPU that runs this space when the cursor is
    /// dropped, in one batch; removed frames are released only after that.
    pub fn lock(&self) -> Cursor<'_> {
        Cursor::new(self)
    }

    /// Pages mapped, in pages (the resident set).
    pub fn resident(&self) -> usize {
        self.resident.load(Ordering::Relaxed)
    }

    /// Which CPUs translate by this space.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn active(&self) -> &Active {
        &self.active
    }

    /// Makes this CPU translate by this space, if it does not yet.
    #[cfg(target_os = "none")]
    #[inline]
    pub(crate) fn activate(&self) {
        self.active.activate();
    }
}

impl Drop for VmSpace {
    fn drop(&mut self) {
        self.active.retire();
        self.lock().unmap(VirtAddr::new(0)..crate::USER_END);
        self.root.release();
    }
}

impl fmt::Debug for VmSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VmSpace")
            .field("root", &self.root.address())
            .field("resident", &self.resident())
            .finish()
    }
}
