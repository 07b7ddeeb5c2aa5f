//! Memory maps: what lies at which address of a program.
//!
//! ```text
//!   Memory ── State (spin lock) ── Map: sorted Vma, Layout: heap, stack, mapping area
//!     │                              │
//!     └── VmSpace (page table)       └── Object: pages of a file or of shared memory
//! ```
//!
//! A mapping promises; the page table holds what was touched so far. Everything that changes a
//! mapping also holds the state's lock while it changes the page table, and so does a fault: a
//! page that is found mapped is always one its mapping still promises.
//!
//! Lock order: state, page table, page cache of an object.

mod advise;
mod change;
pub mod elf;
mod fault;
mod fork;
mod heap;
mod layout;
mod limits;
mod map;
mod object;
mod populate;
mod release;
mod remap;
mod remote;
mod report;
mod truncate;
pub mod vdso;
mod vma;

pub use change::{Backing, MapRequest, Mapped};
pub use fault::FaultError;
pub use layout::{Layout, Random};
pub use limits::Limits;
pub use map::{MAX_MAPPINGS, Map, Totals};
pub use object::{Object, Use};
pub use populate::Purpose;
pub use remap::{RemapRequest, Remapped};
pub use remote::Access;
pub use report::{Presence, Role, Usage};
pub use vma::{Vma, VmaFlags};

use crate::count::Memories;
use abi::Result;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use framework::{VmSpace, count::Counted};
use spin::Mutex;

/// The address space of a process, shared by its threads.
#[derive(Debug)]
pub struct Memory {
    /// Ourselves, for objects that tell us of pages cut off.
    this: Weak<Self>,
    space: Arc<VmSpace>,
    state: Mutex<State>,
    limits: Limits,
    /// The most pages ever mapped.
    peak_mapped: AtomicUsize,
    /// The most pages ever present, when last looked.
    peak_resident: AtomicUsize,
    _counted: Counted<Memories>,
}

/// What the lock of a [`Memory`] protects.
#[derive(Debug)]
struct State {
    map: Map,
    layout: Layout,
    /// What mlockall(`MCL_FUTURE`) adds to new mappings.
    future_flags: VmaFlags,
    /// The program file, which nobody may write meanwhile.
    program: Option<Arc<elf::Running>>,
}

impl Memory {
    /// Makes an empty address space.
    ///
    /// # Errors
    /// - `ENOMEM`: no frame for the page table.
    pub fn new(layout: Layout, limits: Limits) -> Result<Arc<Self>> {
        let space = VmSpace::new()?;
        Ok(Arc::new_cyclic(|this| Self {
            this: this.clone(),
            space,
            state: Mutex::new(State {
                map: Map::new(),
                layout,
                future_flags: VmaFlags::empty(),
                program: None,
            }),
            limits,
            peak_mapped: AtomicUsize::new(0),
            peak_resident: AtomicUsize::new(0),
            _counted: Counted::new(),
        }))
    }

    /// The page table, for [`UserContext::run`](framework::UserContext::run) and copies.
    pub fn space(&self) -> &VmSpace {
        &self.space
    }

    /// The resource limits; setrlimit(2) changes them here too.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The sums over all mappings, in pages.
    pub fn totals(&self) -> Totals {
        self.state.lock().map.totals()
    }

    /// Pages present.
    pub fn resident(&self) -> usize {
        self.space.resident()
    }

    /// How much would be won by killing its owner, in pages; the OOM killer's measure.
    pub fn badness(&self) -> usize {
        self.space.resident()
    }

    /// Notes how much is present, before some of it goes.
    fn note_peak(&self) {
        self.peak_resident.fetch_max(self.space.resident(), Relaxed);
    }
}

#[cfg(test)]
mod tests;
