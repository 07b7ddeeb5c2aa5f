//! Physical memory: reference-counted 4 KiB frames and the allocator behind them.
//!
//! A frame is *untyped*: programs and devices may change it at any time, so it is only ever copied
//! from and to, never referenced.

mod buddy;
pub(crate) mod meta;
pub(crate) mod pool;

use crate::{PAGE_SIZE, PhysAddr, bytes, machine::memory};
use core::{
    mem::ManuallyDrop,
    num::NonZeroU32,
    sync::atomic::{AtomicUsize, Ordering, fence},
};
use pool::Purpose;

/// There is no frame to be had: `ENOMEM`, reclaim, or the OOM killer decides above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// A counted reference to one frame of physical memory; 4 bytes, also as an `Option`.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame(NonZeroU32);

impl Frame {
    /// Takes a free frame and fills it with zeros.
    pub fn zeroed() -> Result<Self, OutOfMemory> {
        let frame = Self::uninitialized()?;
        // SAFETY: the frame is ours alone, and all of it is in the physical map.
        unsafe { bytes::zero(frame.pointer(), PAGE_SIZE) };
        Ok(frame)
    }

    /// Takes a free frame and copies the contents of `self` into it.
    pub fn duplicate(&self) -> Result<Self, OutOfMemory> {
        let frame = Self::uninitialized()?;
        // SAFETY: both are whole frames, and the new one is ours alone.
        unsafe { bytes::copy(frame.pointer(), self.pointer(), PAGE_SIZE) };
        Ok(frame)
    }

    fn uninitialized() -> Result<Self, OutOfMemory> {
        let number = pool::take(Purpose::User).ok_or(OutOfMemory)?;
        meta::of(number).refs.store(1, Ordering::Relaxed);
        NonZeroU32::new(number).map(Self).ok_or(OutOfMemory)
    }

    /// Whether this is the only reference to the frame (mappings count).
    pub fn is_unique(&self) -> bool {
        self.references() == 1
    }

    /// How many references there are (mappings count).
    pub fn references(&self) -> u32 {
        meta::of(self.number()).refs.load(Ordering::Acquire)
    }

    /// Where the frame lies.
    pub fn address(&self) -> PhysAddr {
        PhysAddr::new(u64::from(self.number()) * PAGE_SIZE as u64)
    }

    /// Copies `to.len()` bytes out of the frame. Panics when the range leaves the frame.
    pub fn read(&self, offset: usize, to: &mut [u8]) {
        let from = self.range(offset, to.len());
        // SAFETY: `range` has checked it; a frame is never a part of a Rust object.
        unsafe { bytes::copy(to.as_mut_ptr(), from, to.len()) };
    }

    /// Copies bytes into the frame. Panics when the range leaves the frame.
    pub fn write(&self, offset: usize, from: &[u8]) {
        let to = self.range(offset, from.len());
        // SAFETY: as in `read`.
        unsafe { bytes::copy(to, from.as_ptr(), from.len()) };
    }

    /// Sets `len` bytes to `byte`. Panics when the range leaves the frame.
    pub fn fill(&self, offset: usize, len: usize, byte: u8) {
        let to = self.range(offset, len);
        // SAFETY: as in `read`.
        unsafe { bytes::fill(to, byte, len) };
    }

    /// Where `offset..offset + len` is mapped. Panics when the range leaves the frame.
    pub(crate) fn range(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(offset <= PAGE_SIZE && len <= PAGE_SIZE - offset, "the range leaves the frame");
        self.pointer().wrapping_add(offset)
    }

    fn pointer(&self) -> *mut u8 {
        memory::pointer(self.address())
    }

    /// The frame's number, its address in pages.
    #[inline]
    pub(crate) fn number(&self) -> u32 {
        self.0.get()
    }

    /// Hands the reference over to a page table entry.
    #[inline]
    pub(crate) fn into_number(self) -> u32 {
        ManuallyDrop::new(self).number()
    }

    /// Takes over the reference that a page table entry held.
    ///
    /// # Safety
    /// The number came from [`into_number`](Self::into_number), once for each reference.
    #[inline]
    pub(crate) unsafe fn from_number(number: u32) -> Self {
        debug_assert!(number != 0, "frame 0 is never handed out");
        // SAFETY: the caller got the number from a frame.
        Self(unsafe { NonZeroU32::new_unchecked(number) })
    }
}

impl Clone for Frame {
    #[inline]
    fn clone(&self) -> Self {
        meta::of(self.number()).refs.fetch_add(1, Ordering::Relaxed);
        Self(self.0)
    }
}

impl Drop for Frame {
    #[inline]
    fn drop(&mut self) {
        let refs = &meta::of(self.number()).refs;
        // Nobody else holds a reference that could be copied, so a count of one stays one.
        if refs.load(Ordering::Acquire) != 1 {
            if refs.fetch_sub(1, Ordering::Release) != 1 {
                return;
            }
            fence(Ordering::Acquire);
        }
        pool::give(self.number());
    }
}

/// Counts of frames, in frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// All frames the allocator manages.
    pub total: usize,
    /// Frames nobody holds.
    pub free: usize,
    /// Frames held by the kernel heap.
    pub heap: usize,
    /// Frames held by page tables.
    pub page_tables: usize,
    /// Empty page tables that CPUs keep.
    pub kept_tables: usize,
    /// Free frames that user memory does not get.
    pub reserve: usize,
}

/// Frames held by the kernel heap and by page tables.
pub(crate) static HEAP: AtomicUsize = AtomicUsize::new(0);
pub(crate) static PAGE_TABLES: AtomicUsize = AtomicUsize::new(0);

/// Reads the counters; the answer is a snapshot of a moving target.
pub fn stats() -> Stats {
    Stats {
        total: pool::total(),
        free: pool::free(),
        heap: HEAP.load(Ordering::Relaxed),
        page_tables: PAGE_TABLES.load(Ordering::Relaxed),
        kept_tables: crate::space::kept_tables(),
        reserve: pool::reserve(),
    }
}

/// What the kernel heap has of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapStats {
    /// Bytes of an object; 0 for allocations of whole frames.
    pub size: usize,
    /// Objects in use.
    pub used: usize,
    /// Objects there is memory for.
    pub objects: usize,
    /// Blocks the objects are cut from.
    pub blocks: usize,
    /// Frames of a block.
    pub block_frames: usize,
}

/// Calls `each` for each object size of the kernel heap, and last for what takes whole frames; a
/// snapshot of a moving target. On the library OS the heap is the host's, and nothing is told.
pub fn heap_stats(each: &mut dyn FnMut(&HeapStats)) {
    memory::heap_stats(each);
}

/// Whether `frames` more could be had for user memory now: the admission check for what allocates
/// in the kernel on a program's behalf.
pub fn can_allocate(frames: usize) -> bool {
    pool::available() >= frames
}

/// Whether free memory is so low that caches should shrink.
pub fn pressure() -> bool {
    pool::available() < pool::reserve()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_counts_its_references() {
        let frame = Frame::zeroed().unwrap();
        assert!(frame.is_unique());
        let other = frame.clone();
        assert_eq!((frame.references(), other.references()), (2, 2));
        assert_eq!(frame, other);
        drop(frame);
        assert!(other.is_unique());
    }

    #[test]
    fn contents_are_copied() {
        let frame = Frame::zeroed().unwrap();
        frame.write(100, b"hello");
        frame.fill(4090, 6, 7);
        let copy = frame.duplicate().unwrap();
        frame.fill(0, PAGE_SIZE, 0xff);
        let mut all = vec![1; PAGE_SIZE];
        copy.read(0, &mut all);
        assert_eq!(&all[99..106], b"\0hello\0");
        assert_eq!(&all[4088..], [0, 0, 7, 7, 7, 7, 7, 7]);
        frame.read(0, &mut all);
        assert!(all.iter().all(|byte| *byte == 0xff));
    }

    #[test]
    #[should_panic(expected = "leaves the frame")]
    fn a_range_outside_panics() {
        Frame::zeroed().unwrap().write(4095, b"ab");
    }

    #[test]
    fn released_frames_are_clean_when_taken_again() {
        for _ in 0..200 {
            let frames: Vec<_> = (0..100).map(|_| Frame::zeroed().unwrap()).collect();
            for frame in &frames {
                let mut byte = [1];
                frame.read(17, &mut byte);
                assert_eq!(byte, [0]);
                frame.fill(0, PAGE_SIZE, 1);
            }
        }
    }

    #[test]
    fn runs_are_contiguous_and_come_back() {
        let first = pool::take_run(5).unwrap();
        assert_eq!(first % 8, 0);
        pool::give_run(first, 5);
        assert!(pool::take_run(1 << 20).is_none());
    }
}
