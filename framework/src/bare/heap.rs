//! The kernel heap as Rust's global allocator.

use super::local::local;
use crate::slab::{self, Magazines};
use core::alloc::{GlobalAlloc, Layout};

/// The magazines of whichever CPU asks. Kernel code is not preempted by other kernel code on its
/// CPU, and interrupt handlers do not allocate.
struct Heap;

#[global_allocator]
static HEAP: Heap = Heap;

impl Heap {
    #[inline]
    #[allow(clippy::unused_self, reason = "the heap is a value")]
    fn magazines(&self) -> &'static Magazines {
        &local().magazines
    }
}

// SAFETY: the slabs hand out disjoint memory that fits the layout.
unsafe impl GlobalAlloc for Heap {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.magazines().allocate(layout)
    }

    #[inline]
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller gives back what `alloc` gave.
        unsafe { self.magazines().release(at, layout) };
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's size is valid for the alignment.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        if slab::fits(layout, new) {
            return at;
        }
        // SAFETY: the layout is not empty, as the caller promised.
        let moved = unsafe { self.alloc(new) };
        if !moved.is_null() {
            // SAFETY: both are as long as the shorter of the two.
            unsafe { moved.copy_from_nonoverlapping(at, layout.size().min(new_size)) };
            // SAFETY: the caller gave the old memory up.
            unsafe { self.dealloc(at, layout) };
        }
        moved
    }
}
