//! The kernel heap, before there is memory management: a few fixed bytes, never reused.

use core::{
    alloc::{GlobalAlloc, Layout},
    cell::UnsafeCell,
    sync::atomic::{AtomicUsize, Ordering},
};

const SIZE: usize = 4 << 20;

#[repr(align(4096))]
struct Arena(UnsafeCell<[u8; SIZE]>);

// SAFETY: `alloc` hands out each byte once.
unsafe impl Sync for Arena {}

static ARENA: Arena = Arena(UnsafeCell::new([0; SIZE]));
static USED: AtomicUsize = AtomicUsize::new(0);

struct Bump;

// SAFETY: blocks are disjoint, aligned and inside the arena.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut used = USED.load(Ordering::Relaxed);
        loop {
            let start = used.next_multiple_of(layout.align());
            let Some(end) = start.checked_add(layout.size()).filter(|end| *end <= SIZE) else {
                return core::ptr::null_mut();
            };
            match USED.compare_exchange(used, end, Ordering::Relaxed, Ordering::Relaxed) {
                // SAFETY: `start` is inside the arena.
                Ok(_) => return unsafe { ARENA.0.get().cast::<u8>().add(start) },
                Err(now) => used = now,
            }
        }
    }

    unsafe fn dealloc(&self, _at: *mut u8, _layout: Layout) {}
}

#[global_allocator]
static HEAP: Bump = Bump;
