//! Which CPUs have a stub for a space, and how the stubs are told to forget.
//!
//! A stub is only touched by its CPU, or under its slot's lock by who changes the page table. Lock
//! order: the space's page table, then a slot.

use super::{
    cpu::{self, lock},
    stub::{Stub, Tlb},
    user::PATIENCE,
};
use crate::{
    PAGE_SIZE, PhysAddr, Protection, VirtAddr, VmSpace,
    cpu::{CpuId, MAX_CPUS},
    space::{
        self,
        entry::{ACCESSED, ADDRESS, DIRTY, NO_EXECUTE, PRESENT, WRITE},
    },
    user::PageFault,
};
use core::{
    ops::Range,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
};
use std::{
    boxed::Box,
    collections::VecDeque,
    io::Error,
    sync::{Arc, Mutex, Weak},
    time::Instant,
};

/// The stubs of one space.
#[derive(Debug)]
pub(crate) struct Active {
    root: PhysAddr,
    /// A bit for each CPU that has a stub.
    cpus: AtomicU32,
    slots: Arc<Slots>,
}

type Slots = [Slot; MAX_CPUS];

/// Where stubs were put, the oldest first: who has none takes one from there.
static PLACES: Mutex<VecDeque<(Weak<Slots>, CpuId)>> = Mutex::new(VecDeque::new());

/// A CPU's stub.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) stub: Mutex<Option<Box<Stub>>>,
    /// Counts entries into user mode and exits from it: odd while the program runs.
    crossings: AtomicUsize,
}

impl Slot {
    /// The program is about to run. The lock is held, so that what is noted later is seen to come
    /// too late.
    pub(super) fn enter(&self) {
        self.crossings.fetch_add(1, Ordering::SeqCst);
    }

    /// The program has stopped.
    pub(super) fn leave(&self) {
        self.crossings.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until the program, which has been signalled, has stopped. One that does not is killed.
    fn wait_for_exit(&self, seen: usize) {
        let mut deadline = Instant::now() + PATIENCE;
        while self.crossings.load(Ordering::SeqCst) == seen {
            std::thread::yield_now();
            if Instant::now() > deadline {
                if let Some(stub) = &mut *lock(&self.stub) {
                    stub.condemn();
                }
                deadline += PATIENCE;
            }
        }
    }
}

impl Active {
    pub(crate) fn new(root: PhysAddr) -> Self {
        let slot = || Slot { stub: Mutex::new(None), crossings: AtomicUsize::new(0) };
        let slots = Arc::new([(); MAX_CPUS].map(|()| slot()));
        Self { root, cpus: AtomicU32::new(0), slots }
    }

    /// Whether no CPU has a stub for the space; asked after a change of the table.
    #[inline]
    pub(crate) fn is_nowhere(&self) -> bool {
        self.cpus.load(Ordering::SeqCst) == 0
    }

    /// This CPU's place for a stub, which is about to get one if it has none.
    pub(super) fn slot(&self, id: CpuId) -> &Slot {
        let bit = 1 << id.index();
        if self.cpus.load(Ordering::Relaxed) & bit == 0 {
            self.cpus.fetch_or(bit, Ordering::SeqCst);
        }
        &self.slots[id.index()]
    }

    /// Gives this CPU a stub in its locked slot, that of another space if there is no other.
    ///
    /// # Errors
    /// The host has no process, and no stub can be spared.
    pub(super) fn supply<'a>(
        &self,
        id: CpuId,
        place: Option<usize>,
        slot: &'a mut Option<Box<Stub>>,
    ) -> Result<&'a mut Stub, Error> {
        let stub = match slot.take() {
            Some(stub) => stub,
            None => {
                let stub = Stub::take(place).or_else(|error| spare(place).ok_or(error))?;
                note_place((Arc::downgrade(&self.slots), id));
                stub
            }
        };
        Ok(slot.insert(stub))
    }

    fn used(&self) -> impl Iterator<Item = (usize, &Slot)> {
        let cpus = self.cpus.load(Ordering::SeqCst);
        self.slots.iter().enumerate().filter(move |(index, _)| cpus & 1 << index != 0)
    }

    /// Makes all stubs forget what is no longer so of these pages, or of all; returns when no
    /// program can use it any more. The page table is locked.
    pub(crate) fn flush(&self, pages: Option<&[usize]>) {
        let mut running = [None; MAX_CPUS];
        for (index, slot) in self.used() {
            if let Some(stub) = &mut *lock(&slot.stub) {
                self.reconcile(&mut stub.tlb, pages);
                if stub.tlb.has_pending() {
                    // What the program tries again from now on is not in vain.
                    stub.settle();
                }
                // What is noted is done before the program runs again; it must not be running.
                let crossings = slot.crossings.load(Ordering::SeqCst);
                if stub.tlb.has_pending() && !crossings.is_multiple_of(2) {
                    stub.runner().interrupt();
                    running[index] = Some(crossings);
                }
            }
        }
        for (slot, running) in self.slots.iter().zip(running) {
            if let Some(seen) = running {
                slot.wait_for_exit(seen);
            }
        }
    }

    /// Compares what a stub knows with the page table.
    fn reconcile(&self, tlb: &mut Tlb, pages: Option<&[usize]>) {
        /// So many mappings are sooner forgotten than compared.
        const MANY: usize = 1 << 14;
        if let Some(pages) = pages {
            for at in pages {
                self.reconcile_page(tlb, at / PAGE_SIZE);
            }
            return;
        }
        let runs = tlb.runs();
        if runs.iter().map(|(_, run)| run.len).sum::<usize>() > MANY {
            tlb.clear();
            return;
        }
        for (start, run) in runs {
            for page in start..start + run.len {
                self.reconcile_page(tlb, page);
            }
        }
    }

    fn reconcile_page(&self, tlb: &mut Tlb, page: usize) {
        let Some((frame, old)) = tlb.find(page) else { return };
        let entry = space::lookup(self.root, page * PAGE_SIZE);
        let now = protection_of(entry);
        if now.is_empty() || frame_of(entry) != frame {
            tlb.unmap(page..page + 1);
        } else if now != old {
            tlb.protect(page..page + 1, now);
        }
    }

    /// Gives all stubs up; no program runs in the space any more.
    pub(crate) fn retire(&self) {
        for (_, slot) in self.used() {
            if let Some(stub) = lock(&slot.stub).take() {
                stub.release();
            }
        }
        self.cpus.store(0, Ordering::SeqCst);
    }
}

fn note_place(place: (Weak<Slots>, CpuId)) {
    /// With so many places, some are of spaces that are gone.
    const MANY: usize = 1 << 13;
    let mut places = lock(&PLACES);
    if places.len() >= MANY {
        places.retain(|(slots, _)| slots.strong_count() > 0);
    }
    places.push_back(place);
}

/// Takes the stub of another space that is not running.
#[cold]
fn spare(place: Option<usize>) -> Option<Box<Stub>> {
    let mut places = lock(&PLACES);
    for _ in 0..places.len() {
        let (slots, id) = places.pop_front()?;
        let Some(slots) = slots.upgrade() else { continue };
        let slot = &slots[id.index()];
        if let Ok(mut stub) = slot.stub.try_lock()
            && slot.crossings.load(Ordering::SeqCst).is_multiple_of(2)
        {
            if let Some(mut stub) = stub.take() {
                stub.pass_on(place);
                return Some(stub);
            }
        } else {
            places.push_back((Arc::downgrade(&slots), id));
        }
    }
    None
}

fn frame_of(entry: u64) -> usize {
    usize::try_from((entry & ADDRESS) / PAGE_SIZE as u64).expect("both are 64 bits")
}

/// What the entry allows; on this machine reading comes with everything.
fn protection_of(entry: u64) -> Protection {
    let mut protection = Protection::empty();
    if entry & PRESENT != 0 {
        protection |= Protection::READ;
        protection.set(Protection::WRITE, entry & WRITE != 0);
        protection.set(Protection::EXECUTE, entry & NO_EXECUTE == 0);
    }
    protection
}

/// Whether the page table knows better than the stub that faulted: tells the stub of the page and
/// its neighbours. If not, says whether the page is there at all.
pub(super) fn fill(space: &VmSpace, id: CpuId, fault: &PageFault) -> Result<(), PageFault> {
    let mut cursor = space.lock();
    let at = fault.at.page();
    let entry = cursor.entry(at).unwrap_or(0);
    let rights = protection_of(entry);
    let needed = if fault.write {
        Protection::WRITE
    } else if fault.execute {
        Protection::EXECUTE
    } else {
        Protection::READ
    };
    if !rights.contains(needed) {
        return Err(PageFault { present: !rights.is_empty(), ..*fault });
    }
    let mut stub = lock(&space.active().slot(id).stub);
    let Some(stub) = &mut *stub else { return Ok(()) };
    let page = at.get() / PAGE_SIZE;
    let pages = match stub.tlb.find(page) {
        Some((frame, _)) if frame == frame_of(entry) => {
            let pages = same_change(&stub.tlb, page, rights, &|page| cursor_entry(&cursor, page));
            stub.tlb.protect(pages.clone(), rights);
            pages
        }
        known => {
            let free =
                if known.is_some() { page..page + 1 } else { stub.tlb.hole(page, around(page)) };
            let pages = neighbours(page, free, &|other| {
                let other_entry = cursor_entry(&cursor, other);
                protection_of(other_entry) == rights
                    && frame_of(other_entry).wrapping_sub(frame_of(entry))
                        == other.wrapping_sub(page)
            });
            let first = frame_of(entry) - (page - pages.start);
            stub.tlb.map(pages.clone(), first, rights);
            pages
        }
    };
    // What the program does with the pages from now on is not seen.
    let bits = if rights.contains(Protection::WRITE) { ACCESSED | DIRTY } else { ACCESSED };
    for page in pages {
        cursor.mark(VirtAddr::new(page * PAGE_SIZE), PRESENT, bits);
    }
    Ok(())
}

/// The block of pages that a stub learns of at the same time, if their frames are neighbours too.
fn around(page: usize) -> Range<usize> {
    let start = page & !(space::FAULT_AROUND - 1);
    start..start + space::FAULT_AROUND
}

fn cursor_entry(cursor: &space::Cursor<'_>, page: usize) -> u64 {
    cursor.entry(VirtAddr::new(page * PAGE_SIZE)).unwrap_or(0)
}

/// Pages around `page` in `range` for which `fits` holds without a gap.
fn neighbours(page: usize, range: Range<usize>, fits: &dyn Fn(usize) -> bool) -> Range<usize> {
    let start = (range.start..page).rev().take_while(|page| fits(*page)).last().unwrap_or(page);
    let end = (page + 1..range.end).take_while(|page| fits(*page)).last().unwrap_or(page);
    start..end + 1
}

/// Pages around a known one that have got the same new rights.
fn same_change(
    tlb: &Tlb,
    page: usize,
    rights: Protection,
    entry: &dyn Fn(usize) -> u64,
) -> Range<usize> {
    neighbours(page, around(page), &|page| {
        let entry = entry(page);
        let known = tlb.find(page);
        protection_of(entry) == rights
            && known.is_some_and(|(frame, old)| frame == frame_of(entry) && old != rights)
    })
}

/// This CPU's id, and the host CPU that its programs share with it.
pub(super) fn here() -> (CpuId, Option<usize>) {
    (cpu::current(), cpu::place_worker())
}
