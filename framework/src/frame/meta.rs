//! What is known of each frame: 16 bytes, found by the frame's number.

use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

/// What a frame number's record says. Free frames are linked by it; held ones are counted.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Meta {
    /// References of a held frame; present entries of a page table; see `slab` for its use there.
    pub(crate) refs: AtomicU32,
    /// Links: frame numbers, 0 for none.
    pub(crate) next: AtomicU32,
    pub(crate) prev: AtomicU32,
    /// The free block's order and [`FREE`] in its first frame; 0 in all others.
    tag: AtomicU32,
}

const FREE: u32 = 0x100;

impl Meta {
    /// A record of all zeros, as bare memory also gives it.
    #[cfg(any(not(target_os = "none"), test))]
    pub(crate) const fn new() -> Self {
        Self {
            refs: AtomicU32::new(0),
            next: AtomicU32::new(0),
            prev: AtomicU32::new(0),
            tag: AtomicU32::new(0),
        }
    }

    /// Marks the first frame of a free block.
    #[inline]
    pub(super) fn set_free(&self, order: usize) {
        self.tag.store(FREE | u32::try_from(order).unwrap_or(0), Ordering::Relaxed);
    }

    /// Marks a frame that is held or inside a block.
    #[inline]
    pub(super) fn set_held(&self) {
        self.tag.store(0, Ordering::Relaxed);
    }

    /// Whether a free block of this order starts here.
    #[inline]
    pub(super) fn is_free(&self, order: usize) -> bool {
        self.tag.load(Ordering::Relaxed) as usize == FREE as usize | order
    }
}

static RECORDS: AtomicPtr<Meta> = AtomicPtr::new(core::ptr::null_mut());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Makes `records` the records of frames `0..records.len()`; once.
pub(super) fn install(records: &'static [Meta]) {
    RECORDS.store(records.as_ptr().cast_mut(), Ordering::Relaxed);
    COUNT.store(records.len(), Ordering::Release);
}

/// The record of a frame.
#[inline]
pub(crate) fn of(frame: u32) -> &'static Meta {
    debug_assert!((frame as usize) < COUNT.load(Ordering::Relaxed), "no such frame");
    let records = RECORDS.load(Ordering::Relaxed);
    // SAFETY: frame numbers come from the allocator alone, whose frames all have a record.
    let record = unsafe { records.add(frame as usize) };
    // SAFETY: as above; records live for ever and are atomic inside.
    unsafe { &*record }
}
