//! Reading and changing a page table.

use super::{
    Batch, Page, Protection, VmSpace,
    entry::{ACCESSED, DIRTY, ENTRIES, NO_EXECUTE, PRESENT, USER, WRITE, index, span},
    table::{Table, frame_of},
};
use crate::{Frame, OutOfMemory, PAGE_SIZE, USER_END, VirtAddr, frame::meta};
use core::{
    mem::ManuallyDrop,
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

/// A bit that the hardware leaves to us: set in every entry that names a page, so that one without
/// any right (and not present) is not zero either.
const MAPPED: u64 = 1 << 9;

/// Entries of upper tables allow all; those of the last decide.
const TABLE: u64 = PRESENT | WRITE | USER;

/// Exclusive access to a page table; see [`VmSpace::lock`].
#[derive(Debug)]
pub struct Cursor<'a> {
    space: &'a VmSpace,
    batch: spin::MutexGuard<'a, Batch>,
}

fn flags_of(protection: Protection) -> u64 {
    if protection.is_empty() {
        return MAPPED;
    }
    let write = if protection.contains(Protection::WRITE) { WRITE } else { 0 };
    let execute = if protection.contains(Protection::EXECUTE) { 0 } else { NO_EXECUTE };
    MAPPED | PRESENT | USER | write | execute
}

fn protection_of(entry: u64) -> Protection {
    let mut protection = Protection::empty();
    protection.set(Protection::READ, entry & PRESENT != 0);
    protection.set(Protection::WRITE, entry & WRITE != 0);
    protection.set(Protection::EXECUTE, entry & (PRESENT | NO_EXECUTE) == PRESENT);
    protection
}

/// The entry's page, without a reference of its own.
fn page_of(entry: u64) -> ManuallyDrop<Page> {
    ManuallyDrop::new(Page {
        // SAFETY: the entry holds a reference; this value is never dropped.
        frame: unsafe { Frame::from_number(frame_of(entry)) },
        protection: protection_of(entry),
        dirty: entry & DIRTY != 0,
        accessed: entry & ACCESSED != 0,
    })
}

/// Whether a CPU that remembers `old` may do what `new` forbids.
fn tightens(old: u64, new: u64) -> bool {
    old & (PRESENT | WRITE) & !new != 0 || !old & new & NO_EXECUTE != 0
}

fn user_part(range: &Range<VirtAddr>) -> Range<usize> {
    debug_assert!(range.start.page_offset() == 0 && range.end.page_offset() == 0, "{range:?}");
    range.start.get()..range.end.min(USER_END).get()
}

/// A table of the last level: its address range, and the part of it that an operation wants.
struct Leaf {
    table: Table,
    /// The address of entry 0.
    base: usize,
    range: Range<usize>,
}

impl Leaf {
    fn at(&self, index: usize) -> usize {
        self.base + index * PAGE_SIZE
    }

    /// Calls `visit` for each entry that is not zero: its index, itself, its value.
    #[inline(always)]
    fn each(&self, visit: impl FnMut(usize, &AtomicU64, u64)) {
        self.table.each(self.range.clone(), visit);
    }
}

impl<'a> Cursor<'a> {
    #[inline]
    pub(super) fn new(space: &'a VmSpace) -> Self {
        Self { space, batch: space.lock.lock() }
    }

    /// Reads the page at `at`.
    pub fn query(&mut self, at: VirtAddr) -> Option<Page> {
        let entry = self.entry(at)?;
        Some(Page::clone(&page_of(entry)))
    }

    /// The entry for the page at `at`, if it names one.
    pub(crate) fn entry(&self, at: VirtAddr) -> Option<u64> {
        let table = self.find(at)?;
        Some(table.get(index(at.get(), 1))).filter(|entry| *entry != 0)
    }

    /// The entry for the page at `at` if it has the bits `needed`; sets `bits`, as the CPU would.
    pub(crate) fn mark(&mut self, at: VirtAddr, needed: u64, bits: u64) -> Option<u64> {
        let table = self.find(at)?;
        let index = index(at.get(), 1);
        let entry = table.get(index);
        if entry & needed != needed {
            return None;
        }
        if entry & bits != bits {
            table.entry(index).fetch_or(bits, Ordering::Relaxed);
        }
        Some(entry)
    }

    /// The last table for `at`.
    #[inline]
    fn find(&self, at: VirtAddr) -> Option<Table> {
        if at >= USER_END {
            return None;
        }
        let mut table = self.space.root;
        for level in [4, 3, 2] {
            let entry = table.get(index(at.get(), level));
            if entry == 0 {
                return None;
            }
            table = Table::of(entry);
        }
        Some(table)
    }

    /// The last table for `at`, made if there is none.
    #[inline]
    fn make(&mut self, at: VirtAddr) -> Result<Table, OutOfMemory> {
        assert!(at < USER_END, "the page is not a program's");
        let mut table = self.space.root;
        for level in [4, 3, 2] {
            let index = index(at.get(), level);
            let entry = table.get(index);
            table = if entry == 0 { self.add_table(table, index, at)? } else { Table::of(entry) };
        }
        Ok(table)
    }

    #[cold]
    fn add_table(
        &mut self,
        table: Table,
        index: usize,
        at: VirtAddr,
    ) -> Result<Table, OutOfMemory> {
        match Table::allocate() {
            Ok(new) => {
                table.fill(index, new.address().get() | TABLE);
                Ok(new)
            }
            Err(OutOfMemory) => {
                self.prune(at);
                Err(OutOfMemory)
            }
        }
    }

    /// Releases the tables for `at` that have become empty.
    fn prune(&mut self, at: VirtAddr) {
        let start = at.get() & !(PAGE_SIZE - 1);
        self.leaves(start..start + PAGE_SIZE, &mut |_, _| {});
    }

    /// Maps `frame` at the page `at`, in place of what was there.
    ///
    /// # Errors
    /// [`OutOfMemory`]: no frame for a page table; nothing changed.
    pub fn map(
        &mut self,
        at: VirtAddr,
        frame: Frame,
        protection: Protection,
    ) -> Result<(), OutOfMemory> {
        let table = self.make(at)?;
        let new = u64::from(frame.into_number()) << 12 | flags_of(protection);
        self.set(table, at.page().get(), new);
        Ok(())
    }

    /// Finds the place of the page at `at` once, for mapping it and its neighbours.
    ///
    /// # Errors
    /// [`OutOfMemory`]: no frame for a page table; nothing changed.
    pub fn block(
        &mut self,
        at: VirtAddr,
        protection: Protection,
    ) -> Result<Block<'_, 'a>, OutOfMemory> {
        let table = self.make(at)?;
        let number = at.get() / span(2);
        Ok(Block { cursor: self, table, number, flags: flags_of(protection), mapped: 0 })
    }

    /// Sets an entry of a last table, whatever it was.
    fn set(&mut self, table: Table, at: usize, new: u64) {
        let index = index(at, 1);
        if table.get(index) == 0 {
            table.fill(index, new);
            self.count(1);
            return;
        }
        let old = table.entry(index).swap(new, Ordering::SeqCst);
        if frame_of(old) == frame_of(new) {
            // The entry had a reference already.
            // SAFETY: the reference that `new` brought; the entry keeps the one of `old`.
            drop(unsafe { Frame::from_number(frame_of(new)) });
            if tightens(old, new) {
                self.batch.page(at);
            }
        } else {
            self.batch.removed(&self.space.active, at, old);
        }
    }

    #[inline]
    fn count(&mut self, pages: isize) {
        let resident = self.space.resident.load(Ordering::Relaxed);
        self.space.resident.store(resident.wrapping_add_signed(pages), Ordering::Relaxed);
    }

    /// Calls `visit` for each last table with a page in `range`; tables that are empty afterwards
    /// are released.
    fn leaves(&mut self, range: Range<usize>, visit: &mut dyn FnMut(&mut Self, &Leaf)) {
        if range.start < range.end {
            self.leaves_below(self.space.root, 4, 0, range, visit);
        }
    }

    fn leaves_below(
        &mut self,
        table: Table,
        level: u32,
        base: usize,
        range: Range<usize>,
        visit: &mut dyn FnMut(&mut Self, &Leaf),
    ) {
        let indices = (range.start - base) / span(level)..(range.end - base).div_ceil(span(level));
        if level == 1 {
            visit(self, &Leaf { table, base, range: indices });
            return;
        }
        table.each(indices, |index, _, entry| {
            let lower = Table::of(entry);
            let start = base + index * span(level);
            let part = range.start.max(start)..range.end.min(start + span(level));
            self.leaves_below(lower, level - 1, start, part, visit);
            if lower.count() == 0 {
                table.clear(index);
                self.batch.table(&self.space.active, start, lower);
            }
        });
    }

    /// Removes all pages of `range`; page tables that become empty are released too.
    pub fn unmap(&mut self, range: Range<VirtAddr>) {
        self.leaves(user_part(&range), &mut |cursor, leaf| {
            let mut count = 0;
            if cursor.space.active.is_nowhere() {
                // Nobody sets bits in the entries, or remembers them.
                leaf.each(|_, entry, old| {
                    entry.store(0, Ordering::Relaxed);
                    count += 1;
                    // SAFETY: the entry held a reference.
                    drop(unsafe { Frame::from_number(frame_of(old)) });
                });
            } else {
                leaf.each(|index, entry, _| {
                    let old = entry.swap(0, Ordering::SeqCst);
                    count += 1;
                    cursor.batch.removed(&cursor.space.active, leaf.at(index), old);
                });
            }
            if leaf.range == (0..ENTRIES) {
                leaf.table.set_groups(0);
            }
            leaf.table.shrink(count);
            cursor.count(-(count as isize));
        });
    }

    /// Gives all pages of `range` that are mapped this protection.
    pub fn protect(&mut self, range: Range<VirtAddr>, protection: Protection) {
        const RIGHTS: u64 = PRESENT | WRITE | USER | NO_EXECUTE;
        let flags = flags_of(protection);
        self.leaves(user_part(&range), &mut |cursor, leaf| {
            leaf.each(|index, entry, _| {
                // The CPU may set the accessed and dirty bits between our load and store.
                let change = |entry| Some(entry & !RIGHTS | flags);
                let old = entry.try_update(Ordering::SeqCst, Ordering::Relaxed, change);
                if old.is_ok_and(|old| tightens(old, flags)) {
                    cursor.batch.page(leaf.at(index));
                }
            });
        });
    }

    /// Takes `WRITE` from every page of `range` and maps the same frames, also without it, in
    /// `child`: what fork does to private memory.
    ///
    /// # Errors
    /// [`OutOfMemory`]: no frame for a page table; a part of the range is shared.
    pub fn share_copy_on_write(
        &mut self,
        child: &mut Cursor<'_>,
        range: Range<VirtAddr>,
    ) -> Result<(), OutOfMemory> {
        self.share_without(child, range, WRITE)
    }

    /// Maps the same frames with the same protection in `child`: what fork does to shared memory.
    ///
    /// # Errors
    /// [`OutOfMemory`]: no frame for a page table; a part of the range is shared.
    pub fn share(
        &mut self,
        child: &mut Cursor<'_>,
        range: Range<VirtAddr>,
    ) -> Result<(), OutOfMemory> {
        self.share_without(child, range, 0)
    }

    fn share_without(
        &mut self,
        child: &mut Cursor<'_>,
        range: Range<VirtAddr>,
        rights: u64,
    ) -> Result<(), OutOfMemory> {
        let mut result = Ok(());
        self.leaves(user_part(&range), &mut |cursor, leaf| {
            if result.is_err() {
                return;
            }
            match child.make(VirtAddr::new(leaf.base)) {
                Ok(table) => cursor.share_leaf(leaf, child, table, rights),
                Err(error) => result = Err(error),
            }
        });
        result
    }

    fn share_leaf(&mut self, leaf: &Leaf, child: &mut Cursor<'_>, to: Table, rights: u64) {
        let mut fresh = 0;
        leaf.each(|index, entry, value| {
            if value & rights != 0 {
                entry.fetch_and(!rights, Ordering::SeqCst);
                self.batch.page(leaf.at(index));
            }
            meta::of(frame_of(value)).refs.fetch_add(1, Ordering::Relaxed);
            let new = value & !(rights | ACCESSED | DIRTY);
            let target = to.entry(index);
            if target.load(Ordering::Relaxed) == 0 {
                target.store(new, Ordering::Relaxed);
                fresh += 1;
            } else {
                child.set(to, leaf.at(index), new);
            }
        });
        to.set_groups(to.groups() | leaf.table.groups());
        to.grow(fresh);
        child.count(fresh as isize);
        if to.count() == 0 {
            child.prune(VirtAddr::new(leaf.base));
        }
    }

    /// Moves the pages of `from` so that they start at `to`, as mremap does; `to` must be unmapped.
    ///
    /// # Errors
    /// [`OutOfMemory`]: no frame for a page table; nothing moved.
    pub fn move_pages(&mut self, from: Range<VirtAddr>, to: VirtAddr) -> Result<(), OutOfMemory> {
        let start = from.start.get();
        let target = |at: usize| VirtAddr::new(to.get() + (at - start));
        // First all tables, which may fail; then the pages, which cannot.
        let mut result = Ok(());
        let mut last = usize::MAX;
        self.leaves(user_part(&from), &mut |cursor, leaf| {
            leaf.each(|index, _, _| {
                let at = target(leaf.at(index));
                if at.get() / span(2) != last && result.is_ok() {
                    last = at.get() / span(2);
                    result = cursor.make(at).map(drop);
                }
            });
        });
        if result.is_err() {
            // Whatever was made for it is empty, and goes again.
            let len = from.end - from.start;
            self.leaves(user_part(&(to..to + len)), &mut |_, _| {});
            return result;
        }
        self.leaves(user_part(&from), &mut |cursor, leaf| {
            leaf.each(|index, _, _| {
                let entry = leaf.table.clear(index);
                cursor.batch.page(leaf.at(index));
                cursor.count(-1);
                let at = target(leaf.at(index));
                if let Some(table) = cursor.find(at) {
                    cursor.set(table, at.get(), entry);
                }
            });
        });
        Ok(())
    }

    /// Calls `visit` for each mapped page of `range` in ascending order, skipping holes quickly.
    pub fn for_each(&mut self, range: Range<VirtAddr>, visit: &mut dyn FnMut(VirtAddr, &Page)) {
        self.leaves(user_part(&range), &mut |_, leaf| {
            leaf.each(|index, _, entry| visit(VirtAddr::new(leaf.at(index)), &page_of(entry)));
        });
    }
}

/// The pages of one last table, 2 MiB of addresses; see [`Cursor::block`].
#[derive(Debug)]
pub struct Block<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    table: Table,
    /// Which block of the address space it is.
    number: usize,
    flags: u64,
    mapped: isize,
}

impl Block<'_, '_> {
    /// Maps `frame` at the page `at` of this block, unless there is one. Panics outside the block.
    #[inline]
    pub fn map_absent(&mut self, at: VirtAddr, frame: &Frame) {
        assert!(at.get() / span(2) == self.number, "the page is another block's");
        let index = index(at.get(), 1);
        if self.table.get(index) == 0 {
            let entry = u64::from(frame.clone().into_number()) << 12 | self.flags;
            self.table.fill(index, entry);
            self.mapped += 1;
        }
    }
}

impl Drop for Block<'_, '_> {
    fn drop(&mut self) {
        self.cursor.count(self.mapped);
        if self.table.count() == 0 {
            let at = self.number * span(2);
            self.cursor.prune(VirtAddr::new(at));
        }
    }
}

impl Drop for Cursor<'_> {
    #[inline]
    fn drop(&mut self) {
        self.batch.run(&self.space.active);
    }
}
