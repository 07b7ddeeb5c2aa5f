//! What `/proc/PID/{maps,smaps,statm,status}` show of an address space.

use super::{Layout, Memory, Totals, Vma};
use core::sync::atomic::Ordering::Relaxed;
use framework::{Frame, PAGE_SIZE, VirtAddr};

/// Sizes of an address space, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Sums over the mappings.
    pub totals: Totals,
    /// The most ever mapped.
    pub peak_mapped: usize,
    /// Present.
    pub resident: usize,
    /// The most ever present.
    pub peak_resident: usize,
    /// In page tables; an estimate from what is present.
    pub page_tables: usize,
}

/// What of a mapping is present, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// Present.
    pub resident: usize,
    /// Present, in 1/4096 page, each divided by how many share it.
    pub proportional: usize,
    /// Seen by others too, not written through this mapping.
    pub shared_clean: usize,
    /// Seen by others too, written.
    pub shared_dirty: usize,
    /// Seen by nobody else, not written.
    pub private_clean: usize,
    /// Seen by nobody else, written.
    pub private_dirty: usize,
    /// Touched since last looked.
    pub referenced: usize,
    /// Not the object's page, or of no object.
    pub anonymous: usize,
}

/// What a mapping is for, where no file names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The heap.
    Heap,
    /// The first stack.
    Stack,
    /// Anything else.
    Other,
}

impl Memory {
    /// Calls `visit` for each mapping from `from` on, in ascending order, until it returns false.
    ///
    /// The lock is held meanwhile: `visit` must not touch this address space.
    pub fn for_each_mapping(&self, from: VirtAddr, visit: &mut dyn FnMut(&Vma, Role) -> bool) {
        let state = self.state.lock();
        for vma in &state.map.vmas()[state.map.position(from)..] {
            if !visit(vma, role(&state.layout, vma)) {
                return;
            }
        }
    }

    /// How many mappings there are.
    pub fn mappings(&self) -> usize {
        self.state.lock().map.vmas().len()
    }

    /// The places chosen when the program was loaded.
    pub fn layout(&self) -> Layout {
        self.state.lock().layout.clone()
    }

    /// Sizes.
    pub fn usage(&self) -> Usage {
        let resident = self.space.resident();
        Usage {
            totals: self.totals(),
            peak_mapped: self.peak_mapped.load(Relaxed),
            resident,
            peak_resident: self.peak_resident.fetch_max(resident, Relaxed).max(resident),
            page_tables: 4 + resident / (PAGE_SIZE / size_of::<u64>()),
        }
    }

    /// Looks at every present page of `vma`.
    pub fn presence(&self, vma: &Vma) -> Presence {
        let mut presence = Presence::default();
        self.space.lock().for_each(vma.range(), &mut |at, page| {
            // The visitor's page may hold a reference of its own beside the page table's.
            let object = vma.object.as_ref().and_then(|object| object.present(vma.index_of(at)));
            let own = object.as_ref() != Some(&page.frame);
            let sharers = sharers(&page.frame, object.is_some() && !own);
            presence.resident += 1;
            presence.proportional += PAGE_SIZE / sharers;
            presence.anonymous += usize::from(own);
            presence.referenced += usize::from(page.accessed);
            match (sharers > 1, page.dirty) {
                (true, false) => presence.shared_clean += 1,
                (true, true) => presence.shared_dirty += 1,
                (false, false) => presence.private_clean += 1,
                (false, true) => presence.private_dirty += 1,
            }
        });
        presence
    }
}

/// How many mappings show a frame, which [`Memory::presence`] holds once itself, and the object
/// twice if it is the object's.
fn sharers(frame: &Frame, of_object: bool) -> usize {
    let held = 1 + if of_object { 2 } else { 0 };
    usize::try_from(frame.references().saturating_sub(held)).unwrap_or(1).max(1)
}

fn role(layout: &Layout, vma: &Vma) -> Role {
    if vma.object.is_some() {
        Role::Other
    } else if vma.start < layout.break_end && vma.end > layout.break_start {
        Role::Heap
    } else if vma.contains(layout.stack_start) {
        Role::Stack
    } else {
        Role::Other
    }
}
