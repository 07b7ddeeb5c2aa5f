//! A flag to wait for.

use crate::{
    primitive::{AtomicBool, constructor},
    wait::WaitQueue,
};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Release};

/// A flag that tasks wait for; it stays set until it is cleared.
#[derive(Debug)]
pub struct Event {
    set: AtomicBool,
    waiting: WaitQueue,
}

impl Event {
    constructor! {
        /// An event that is not set.
        pub fn new() -> Self {
            Self { set: AtomicBool::new(false), waiting: WaitQueue::new() }
        }
    }

    /// Sets it and wakes all who wait.
    pub fn set(&self) {
        self.set.store(true, Release);
        self.waiting.wake_all(u32::MAX);
    }

    /// Clears it; whether it was set.
    pub fn clear(&self) -> bool {
        self.set.swap(false, AcqRel)
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.set.load(Acquire)
    }

    /// Completes when it is set; at once if it is.
    ///
    /// # Cancel safety
    /// It changes nothing.
    pub async fn wait(&self) {
        while !self.is_set() {
            let listener = self.waiting.listen(u32::MAX, false);
            if cfg!(jinux_mutant = "event_look") || !self.is_set() {
                listener.await;
            }
        }
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}
