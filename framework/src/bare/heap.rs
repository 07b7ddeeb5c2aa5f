//! The kernel heap, before there is memory: nothing can be allocated.

use core::alloc::{GlobalAlloc, Layout};

struct Empty;

// SAFETY: it never hands out memory.
unsafe impl GlobalAlloc for Empty {
    unsafe fn alloc(&self, _layout: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _at: *mut u8, _layout: Layout) {}
}

#[global_allocator]
static HEAP: Empty = Empty;
