//! Physical memory: reference-counted 4 KiB frames and the allocator behind them.
//!
//! A frame is *untyped*: programs and devices may change it at any time, so it is only ever copied
//! from and to, never referenced.

use crate::PhysAddr;
use core::num::NonZeroU32;

/// There is no frame to be had: `ENOMEM`, reclaim, or the OOM killer decides above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// A counted reference to one frame of physical memory; 4 bytes, also as an `Option`.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame(NonZeroU32);

impl Frame {
    /// Takes a free frame and fills it with zeros.
    pub fn zeroed() -> Result<Self, OutOfMemory> {
        unimplemented!()
    }

    /// Takes a free frame and copies the contents of `self` into it.
    pub fn duplicate(&self) -> Result<Self, OutOfMemory> {
        unimplemented!()
    }

    /// Whether this is the only reference to the frame (mappings count).
    pub fn is_unique(&self) -> bool {
        unimplemented!()
    }

    /// How many references there are (mappings count).
    pub fn references(&self) -> u32 {
        unimplemented!()
    }

    /// Where the frame lies.
    pub fn address(&self) -> PhysAddr {
        unimplemented!()
    }

    /// Copies `to.len()` bytes out of the frame. Panics when the range leaves the frame.
    pub fn read(&self, _offset: usize, _to: &mut [u8]) {
        unimplemented!()
    }

    /// Copies bytes into the frame. Panics when the range leaves the frame.
    pub fn write(&self, _offset: usize, _from: &[u8]) {
        unimplemented!()
    }

    /// Sets `len` bytes to `byte`. Panics when the range leaves the frame.
    pub fn fill(&self, _offset: usize, _len: usize, _byte: u8) {
        unimplemented!()
    }
}

impl Clone for Frame {
    fn clone(&self) -> Self {
        unimplemented!()
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        unimplemented!()
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
}

/// Reads the counters; the answer is a snapshot of a moving target.
pub fn stats() -> Stats {
    unimplemented!()
}
