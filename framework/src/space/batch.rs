//! What a change of a page table leaves to do: CPUs must forget pages, and only then may frames and
//! tables be given back.

use super::table::{Table, frame_of};
use crate::{Frame, machine::space::Active};
use arrayvec::ArrayVec;

/// Pages that are forgotten one by one; more, and a CPU forgets all it knows. On the library OS it
/// looks through all it knows, which takes longer than many pages.
pub(crate) const MAX_PAGES: usize = if cfg!(target_os = "none") { 32 } else { 512 };
const MAX_FRAMES: usize = 64;
const MAX_TABLES: usize = 16;

/// Pending flushes and releases of one space.
#[derive(Debug)]
pub(super) struct Batch {
    pages: ArrayVec<usize, MAX_PAGES>,
    all: bool,
    frames: ArrayVec<u32, MAX_FRAMES>,
    tables: ArrayVec<u32, MAX_TABLES>,
}

impl Batch {
    pub(super) const fn new() -> Self {
        Self {
            pages: ArrayVec::new_const(),
            all: false,
            frames: ArrayVec::new_const(),
            tables: ArrayVec::new_const(),
        }
    }

    /// The translation of the page at `at` has lost rights.
    #[inline]
    pub(super) fn page(&mut self, at: usize) {
        if !self.all && self.pages.try_push(at).is_err() {
            self.all = true;
        }
    }

    /// The translation of the page at `at` was removed from the table; it was `old`.
    #[inline]
    pub(super) fn removed(&mut self, active: &Active, at: usize, old: u64) {
        if active.is_nowhere() {
            // SAFETY: the entry held a reference, and no CPU knows the translation.
            drop(unsafe { Frame::from_number(frame_of(old)) });
            return;
        }
        self.page(at);
        if self.frames.try_push(frame_of(old)).is_err() {
            self.run(active);
            self.page(at);
            self.frames.push(frame_of(old));
        }
    }

    /// A table was unlinked, and is empty.
    pub(super) fn table(&mut self, active: &Active, at: usize, table: Table) {
        if active.is_nowhere() {
            table.release();
            return;
        }
        // CPUs also keep tables in mind; forgetting any page makes them forget all tables.
        self.page(at);
        if self.tables.try_push(table.number()).is_err() {
            self.run(active);
            self.page(at);
            self.tables.push(table.number());
        }
    }

    /// Makes all CPUs forget, then gives back.
    #[inline]
    pub(super) fn run(&mut self, active: &Active) {
        if !self.all && self.pages.is_empty() {
            return;
        }
        active.flush(if self.all { None } else { Some(&self.pages) });
        self.pages.clear();
        self.all = false;
        for frame in self.frames.drain(..) {
            // SAFETY: the entry that held the reference is gone, and no CPU knows it any more.
            drop(unsafe { Frame::from_number(frame) });
        }
        for table in self.tables.drain(..) {
            Table::from_number(table).release();
        }
    }
}
