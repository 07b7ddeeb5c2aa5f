//! The kernel's half of every address space.
//!
//! ```text
//!   ffff_8000_0000_0000   all physical memory, never executable
//!   ffff_fe80_0000_0000   device registers, kernel stacks
//!   ffff_ffff_8000_0000   the image: code read-only, data never executable
//! ```
//! The top-level entries are made at boot and never change, so each space copies them once.

use super::{
    boot,
    features::{self, Features},
    memory::{self, PHYSICAL_MAP},
};
use crate::{
    PAGE_SIZE, PhysAddr,
    frame::pool::{self, Purpose},
    memory_map::MemoryMap,
    space::entry::{
        ADDRESS, ENTRIES, GLOBAL, HUGE, NO_EXECUTE, PRESENT, UNCACHED, WRITE, index, span,
    },
};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use spin::Mutex;
use x86_64::{
    instructions::tlb,
    registers::control::{Cr3, Cr3Flags},
    structures::paging::PhysFrame,
};

/// Where device registers and stacks are mapped: one top-level entry.
const MAPPINGS: usize = 0xffff_fe80_0000_0000;
/// Where the image is linked, less its physical address.
pub(super) const KERNEL_BASE: usize = 0xffff_ffff_8000_0000;

const GIB: u64 = 1 << 30;
const TABLE: u64 = PRESENT | WRITE;
const DATA: u64 = PRESENT | WRITE | GLOBAL | NO_EXECUTE;

/// The kernel's own top-level table.
static ROOT: AtomicU64 = AtomicU64::new(0);
/// How many bytes the physical map covers.
static MAPPED: AtomicU64 = AtomicU64::new(0);
/// The next free address of the mappings area; the lock guards the tables below it.
static NEXT: Mutex<usize> = Mutex::new(MAPPINGS);
/// The shared top-level entries as a range from the physical map's on.
static PHYSICAL_ENTRIES: AtomicUsize = AtomicUsize::new(1);

unsafe extern "C" {
    safe static kernel_text: u8;
    safe static kernel_rodata: u8;
    safe static kernel_data: u8;
    safe static kernel_ksyms: u8;
    safe static boot_stack_guard: u8;
}

fn entry(table: u64, index: usize) -> &'static AtomicU64 {
    let entries = memory::pointer(PhysAddr::new(table)).cast::<AtomicU64>();
    // SAFETY: tables are whole frames in the physical map, and the index is below 512.
    unsafe { &*entries.wrapping_add(index & (ENTRIES - 1)) }
}

/// Takes tables from the memory map, before there is an allocator.
struct Builder<'a> {
    memory: &'a mut MemoryMap,
}

impl Builder<'_> {
    fn table(&mut self) -> u64 {
        // The boot page tables reach the first GiB.
        let table =
            self.memory.take(PAGE_SIZE as u64, GIB).expect("memory for page tables at boot");
        for index in 0..ENTRIES {
            entry(table, index).store(0, Ordering::Relaxed);
        }
        table
    }

    fn map(&mut self, root: u64, at: usize, physical: u64, flags: u64, level: u32) {
        let mut table = root;
        for upper in (level + 1..=4).rev() {
            let entry = entry(table, index(at, upper));
            if entry.load(Ordering::Relaxed) == 0 {
                entry.store(self.table() | TABLE, Ordering::Relaxed);
            }
            table = entry.load(Ordering::Relaxed) & ADDRESS;
        }
        let huge = if level > 1 { HUGE } else { 0 };
        entry(table, index(at, level)).store(physical | flags | huge, Ordering::Relaxed);
    }
}

/// Start and end of the image in physical memory, with the symbol table.
pub(super) fn image() -> (u64, u64) {
    let symbols = &raw const kernel_ksyms;
    // SAFETY: the section starts with a magic number and its size; see `boot.s`.
    let size = unsafe { symbols.cast::<u32>().wrapping_add(1).read() };
    let end = (symbols.addr() - KERNEL_BASE) as u64 + u64::from(size);
    (1 << 20, end.next_multiple_of(PAGE_SIZE as u64))
}

/// Makes the kernel's page tables from `memory`, for all below `end_of_memory`, and switches to them.
pub(super) fn init(memory: &mut MemoryMap, end_of_memory: u64) {
    let end = end_of_memory.max(4 * GIB).next_multiple_of(GIB);
    let (image_start, image_end) = image();
    let mut builder = Builder { memory };
    let root = builder.table();
    for at in (0..end).step_by(1 << 30) {
        if at != 0 && features::has(Features::HUGE_1G) {
            builder.map(root, PHYSICAL_MAP + bytes(at), at, DATA, 3);
            continue;
        }
        for at in (at..at + GIB).step_by(1 << 21) {
            // Around the image the map is fine, so that its code is not writable here either.
            if at >= image_end || at + (1 << 21) <= image_start {
                builder.map(root, PHYSICAL_MAP + bytes(at), at, DATA, 2);
                continue;
            }
            for at in (at..at + (1 << 21)).step_by(PAGE_SIZE) {
                let flags = image_flags(at) | NO_EXECUTE;
                builder.map(root, PHYSICAL_MAP + bytes(at), at, flags, 1);
            }
        }
    }
    for at in (image_start..image_end).step_by(PAGE_SIZE) {
        let virt = KERNEL_BASE + bytes(at);
        if virt >= (&raw const kernel_text).addr() && virt != (&raw const boot_stack_guard).addr() {
            builder.map(root, virt, at, image_flags(at), 1);
        }
    }
    let area = builder.table();
    entry(root, index(MAPPINGS, 4)).store(area | TABLE, Ordering::Relaxed);
    PHYSICAL_ENTRIES.store(bytes(end).div_ceil(span(4)), Ordering::Relaxed);
    MAPPED.store(end, Ordering::Relaxed);
    ROOT.store(root, Ordering::Relaxed);
    activate(root);
}

/// How the page of the image at a physical address may be used.
fn image_flags(at: u64) -> u64 {
    let virt = KERNEL_BASE + bytes(at);
    let read_only = PRESENT | GLOBAL;
    if virt < (&raw const kernel_text).addr() {
        DATA
    } else if virt < (&raw const kernel_rodata).addr() {
        read_only
    } else if virt < (&raw const kernel_data).addr() {
        read_only | NO_EXECUTE
    } else {
        DATA
    }
}

#[allow(clippy::cast_possible_truncation, reason = "both are 64 bits")]
const fn bytes(at: u64) -> usize {
    at as usize
}

/// The physical address of the kernel's own top-level table, which maps no program.
pub(crate) fn root() -> u64 {
    ROOT.load(Ordering::Relaxed)
}

/// Makes this CPU translate by the table at `root`.
#[inline]
pub(crate) fn activate(root: u64) {
    let frame = PhysFrame::containing_address(x86_64::PhysAddr::new(root));
    // SAFETY: each root has the kernel's half, so that nothing the kernel uses moves.
    unsafe { Cr3::write(frame, Cr3Flags::empty()) };
}

/// The top-level entries of the kernel's half that are in use.
fn kernel_entries() -> impl Iterator<Item = usize> {
    let first = index(PHYSICAL_MAP, 4);
    let physical = first..first + PHYSICAL_ENTRIES.load(Ordering::Relaxed);
    physical.chain([index(MAPPINGS, 4), index(KERNEL_BASE, 4)])
}

/// Copies the kernel's half into a new top-level table.
pub(crate) fn copy_kernel_half(table: u64) {
    for index in kernel_entries() {
        let value = entry(root(), index).load(Ordering::Relaxed);
        entry(table, index).store(value, Ordering::Relaxed);
    }
}

/// Clears the kernel's half of a top-level table that no CPU uses any more.
pub(crate) fn clear_kernel_half(table: u64) {
    for index in kernel_entries() {
        entry(table, index).store(0, Ordering::Relaxed);
    }
}

/// Maps pages at the next free address of the mappings area, after an unmapped page.
fn map_new(pages: impl ExactSizeIterator<Item = u64>, flags: u64) -> Option<usize> {
    let mut next = NEXT.lock();
    let start = *next + PAGE_SIZE;
    *next = start + pages.len() * PAGE_SIZE;
    for (page, physical) in pages.enumerate() {
        let at = start + page * PAGE_SIZE;
        let mut table = root();
        for level in [4, 3, 2] {
            let entry = entry(table, index(at, level));
            if entry.load(Ordering::Relaxed) == 0 {
                let frame = u64::from(pool::take(Purpose::Kernel)?) << 12;
                for index in 0..ENTRIES {
                    self::entry(frame, index).store(0, Ordering::Relaxed);
                }
                entry.store(frame | TABLE, Ordering::Relaxed);
            }
            table = entry.load(Ordering::Relaxed) & ADDRESS;
        }
        entry(table, index(at, 1)).store(physical | flags, Ordering::Relaxed);
        tlb::flush(x86_64::VirtAddr::new(at as u64));
    }
    Some(start)
}

/// Maps device registers, uncached; `None` when memory for page tables is out. Never unmapped.
pub(crate) fn map_mmio(at: PhysAddr, len: usize) -> Option<*mut u8> {
    let offset = bytes(at.get()) & (PAGE_SIZE - 1);
    let first = at.get() - offset as u64;
    let count = (offset + len).div_ceil(PAGE_SIZE);
    let pages = (0..count).map(|page| first + (page * PAGE_SIZE) as u64);
    let start = map_new(pages, DATA | UNCACHED)?;
    Some(core::ptr::with_exposed_provenance_mut(start + offset))
}

/// One past the highest address in the physical map.
pub(crate) fn mapped() -> u64 {
    MAPPED.load(Ordering::Relaxed)
}

/// Whether an address of the kernel's half is mapped, for code that trusts nothing.
pub(super) fn is_mapped(at: usize) -> bool {
    let mut table = root();
    for level in [4, 3, 2, 1] {
        let entry = entry(table, index(at, level)).load(Ordering::Relaxed);
        if entry & PRESENT == 0 {
            return false;
        }
        if level == 1 || entry & HUGE != 0 {
            break;
        }
        table = entry & ADDRESS;
    }
    at >= PHYSICAL_MAP
}

/// A new kernel stack below an unmapped page; its top.
pub(crate) fn allocate_stack(len: usize) -> Option<usize> {
    let count = len / PAGE_SIZE;
    let first = pool::take_run(count)?;
    let pages = (0..count).map(|page| (u64::from(first) + page as u64) << 12);
    Some(map_new(pages, DATA)? + len)
}

/// Stacks of a CPU to be started: the kernel stack's top, and those for `init_cpu`.
pub(crate) fn allocate_stacks() -> Option<(usize, [usize; 3])> {
    let kernel = allocate_stack(boot::STACK_SIZE)?;
    let mut faults = [0; 3];
    for top in &mut faults {
        *top = allocate_stack(super::local::FAULT_STACK_SIZE)?;
    }
    Some((kernel, faults))
}
