//! A timer that can be set again and again.

use super::heap::Key;
use core::task::Waker;
use framework::Instant;
use spin::Mutex;

/// A timer that wakes one waker; for `timerfd`, interval timers and the like.
///
/// The waker runs in the scheduling loop or in [`crate::preempt`], never in an interrupt, so it may
/// take locks: an `Arc<impl alloc::task::Wake>` that wakes a [`crate::wait::WaitQueue`] makes a
/// timer that can be polled. A wake is a hint: one from an earlier setting may still be on its way
/// when the timer is set anew.
#[derive(Debug)]
pub struct Timer {
    key: Key,
    at: Mutex<Option<Instant>>,
}

impl Timer {
    /// A timer that is not set; it lives on this CPU.
    pub fn new(waker: Waker) -> Self {
        Self { key: Key::new(waker), at: Mutex::new(None) }
    }

    /// Sets it to `at` or, with `None`, unsets it. A moment in the past fires at once.
    pub fn set(&self, at: Option<Instant>) {
        let mut held = self.at.lock();
        *held = at;
        self.key.set(at);
    }

    /// What it was last set to, whether it has fired or not.
    pub fn deadline(&self) -> Option<Instant> {
        *self.at.lock()
    }

    /// Whether it is set and has not fired.
    pub fn is_set(&self) -> bool {
        self.key.is_set()
    }

    /// Changes whom it wakes.
    pub fn set_waker(&self, waker: &Waker) {
        self.key.set_waker(waker);
    }
}
