//! The resource limits that memory obeys.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Limits in bytes, as setrlimit(2) set them; `u64::MAX` is none.
#[derive(Debug)]
pub struct Limits {
    /// `RLIMIT_AS`: everything mapped.
    pub address_space: AtomicU64,
    /// `RLIMIT_DATA`: private writable memory.
    pub data: AtomicU64,
    /// `RLIMIT_STACK`: a mapping that grows down.
    pub stack: AtomicU64,
    /// `RLIMIT_MEMLOCK`: locked memory.
    pub locked: AtomicU64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            address_space: AtomicU64::new(u64::MAX),
            data: AtomicU64::new(u64::MAX),
            stack: AtomicU64::new(8 << 20),
            locked: AtomicU64::new(8 << 20),
        }
    }
}

impl Clone for Limits {
    fn clone(&self) -> Self {
        Self {
            address_space: AtomicU64::new(self.address_space.load(Relaxed)),
            data: AtomicU64::new(self.data.load(Relaxed)),
            stack: AtomicU64::new(self.stack.load(Relaxed)),
            locked: AtomicU64::new(self.locked.load(Relaxed)),
        }
    }
}

/// Whether `pages` pages are within `limit` bytes.
pub(super) fn allows(limit: &AtomicU64, pages: usize) -> bool {
    pages as u64 <= limit.load(Relaxed) / framework::PAGE_SIZE as u64
}
