//! Physical memory: a file of the host's memory, which it provides page by page when touched.
//!
//! Programs run in processes that map parts of the file. So it holds nothing but frames that are
//! for programs: what the kernel believes (its heap, page tables) lies in memory of its own. A page
//! table still takes a frame, so that memory is accounted for as on the other target, but has its
//! contents at the same place of a second, private region.

use super::sys;
use crate::{
    PAGE_SIZE, PhysAddr,
    frame::{HeapStats, meta::Meta, pool},
};
use core::{
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
};
use std::{
    fs::File,
    sync::{Once, OnceLock},
};

/// How much memory the machine has: `JINUX_MEM` in MiB, or this.
const DEFAULT_MIB: usize = 256;

/// Bytes asked for by who started the machine, if not 0.
static SIZE: AtomicUsize = AtomicUsize::new(0);
/// Where the file is mapped.
static BASE: AtomicUsize = AtomicUsize::new(0);
/// Where the page tables' contents are.
static TABLES: AtomicUsize = AtomicUsize::new(0);
static FILE: OnceLock<File> = OnceLock::new();
static READY: Once = Once::new();

/// Gives the machine its memory, unless it has it already.
#[inline]
pub(crate) fn ensure() {
    READY.call_once(provide);
}

/// Says how much memory there is to be, before it is first used.
pub(crate) fn set_size(bytes: usize) {
    SIZE.store(bytes, Ordering::Relaxed);
}

/// How many bytes of memory the machine has.
fn size() -> usize {
    let asked = match SIZE.load(Ordering::Relaxed) {
        0 => std::env::var("JINUX_MEM").ok().and_then(|text| text.parse().ok()),
        bytes => Some(bytes >> 20),
    };
    asked.unwrap_or(DEFAULT_MIB).clamp(16, 1 << 16) << 20
}

fn provide() {
    let bytes = size();
    let file = make_file(bytes)
        .unwrap_or_else(|error| sys::refuse("a memory file of that size (memfd_create)", &error));
    let map = |file| {
        let at = sys::map(file, bytes)
            .unwrap_or_else(|error| sys::refuse("mapping that much memory (mmap)", &error));
        at.expose_provenance()
    };
    BASE.store(map(Some(&file)), Ordering::Relaxed);
    TABLES.store(map(None), Ordering::Relaxed);
    let _ = FILE.set(file);
    let count = u32::try_from(bytes / PAGE_SIZE).expect("the size was bounded above");
    let records: std::vec::Vec<Meta> = (0..count).map(|_| Meta::new()).collect();
    pool::init(records.leak(), core::iter::once((1, count)));
}

fn make_file(bytes: usize) -> Result<File, std::io::Error> {
    let file = sys::memory_file(c"jinux-phys", true)?;
    file.set_len(bytes as u64)?;
    Ok(file)
}

/// The file; an address in it is a physical address.
pub(super) fn file() -> &'static File {
    ensure();
    FILE.get().expect("it was made with the memory")
}

fn offset(at: PhysAddr) -> usize {
    usize::try_from(at.get()).expect("both are 64 bits")
}

/// Where a physical address is mapped.
#[inline]
pub(crate) fn pointer(at: PhysAddr) -> *mut u8 {
    ptr::with_exposed_provenance_mut(BASE.load(Ordering::Relaxed) + offset(at))
}

/// Where the page table in the frame at this address has its contents.
#[inline]
pub(crate) fn table_pointer(at: PhysAddr) -> *mut u8 {
    ptr::with_exposed_provenance_mut(TABLES.load(Ordering::Relaxed) + offset(at))
}

/// The physical address of a pointer into the machine's memory.
#[cfg(test)]
pub(crate) fn address(at: *const u8) -> PhysAddr {
    PhysAddr::new((at.addr() - BASE.load(Ordering::Relaxed)) as u64)
}

/// The kernel heap is the host's, which does not tell.
pub(crate) fn heap_stats(_each: &mut dyn FnMut(&HeapStats)) {}
