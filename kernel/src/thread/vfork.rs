//! vfork(2): the parent sleeps until the child has left its address space.

use abi::Events;
use core::sync::atomic::{AtomicBool, Ordering};
use executor::wait::WaitQueue;

/// Told once the child has called execve or ended.
#[derive(Debug)]
pub struct VforkDone {
    done: AtomicBool,
    queue: WaitQueue,
}

impl VforkDone {
    /// Not done yet.
    pub fn new() -> Self {
        Self { done: AtomicBool::new(false), queue: WaitQueue::new() }
    }

    /// Says it is done.
    pub fn set(&self) {
        self.done.store(true, Ordering::SeqCst);
        self.queue.wake_all(Events::IN.bits());
    }

    /// Whether it is done.
    pub fn is_set(&self) -> bool {
        self.done.load(Ordering::SeqCst)
    }

    /// Where to wait for it.
    pub fn queue(&self) -> &WaitQueue {
        &self.queue
    }
}

impl Default for VforkDone {
    fn default() -> Self {
        Self::new()
    }
}
