//! The copy of an address space that fork makes, and its end.

use super::{Memory, Object, State, VmaFlags};
use abi::Result;
use alloc::sync::Arc;
use core::sync::atomic::AtomicUsize;
use framework::{VmSpace, count::Counted};
use spin::Mutex;

impl Memory {
    /// Makes the copy a fork needs: private pages are shared until one side writes.
    ///
    /// Pages that an object can give again are left to the copy's own faults.
    ///
    /// # Errors
    /// - `ENOMEM`: no memory for the copy; this address space is as before.
    ///
    /// Source: fork(2)
    pub fn fork(&self) -> Result<Arc<Self>> {
        let state = self.state.lock();
        let map = state.map.for_fork()?;
        let space = VmSpace::new()?;
        {
            let mut from = self.space.lock();
            let mut to = space.lock();
            for vma in state.map.vmas() {
                let left_out = VmaFlags::DONT_FORK | VmaFlags::WIPE_ON_FORK | VmaFlags::SHARED;
                let has_own = vma.object.is_none() || vma.has_own_pages;
                if has_own && !vma.flags.intersects(left_out) {
                    from.share_copy_on_write(&mut to, vma.range())?;
                }
            }
        }
        let mapped = map.totals().mapped;
        let resident = space.resident();
        let copy = Arc::new_cyclic(|this| Self {
            this: this.clone(),
            space,
            state: Mutex::new(State {
                map,
                layout: state.layout.clone(),
                // mlockall(2): not inherited.
                future_flags: VmaFlags::empty(),
                program: state.program.clone(),
            }),
            limits: self.limits.clone(),
            peak_mapped: AtomicUsize::new(mapped),
            peak_resident: AtomicUsize::new(resident),
            _counted: Counted::new(),
        });
        let mut last: Option<&Arc<Object>> = None;
        for object in state.map.vmas().iter().filter_map(|vma| vma.object.as_ref()) {
            // The segments of a file are neighbours: once is enough.
            if !last.is_some_and(|last| Arc::ptr_eq(last, object)) {
                object.attach_new(&copy.this);
            }
            last = Some(object);
        }
        Ok(copy)
    }
}
