//! A lock-free stack of records: many push, one takes all.
//!
//! The links are in the records, so it holds every task there is and never allocates: a push is a
//! store and a compare-and-swap, allowed in an interrupt. Nobody takes a single record, so a head
//! that changed and changed back does no harm.

use crate::primitive::{AtomicU32, constructor};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// No record.
pub(crate) const NIL: u32 = u32::MAX;

/// The stack's head. Whoever pushes a record owns it until then.
#[derive(Debug)]
pub(crate) struct Inbox {
    head: AtomicU32,
}

impl Inbox {
    constructor! {
        pub(crate) fn new() -> Self {
            Self { head: AtomicU32::new(NIL) }
        }
    }

    /// Pushes the record `index`, whose link is `next`.
    pub(crate) fn push(&self, index: u32, next: &AtomicU32) {
        let publish = if cfg!(jinux_mutant = "push_release") { Relaxed } else { Release };
        let mut head = self.head.load(Relaxed);
        loop {
            next.store(head, Relaxed);
            match self.head.compare_exchange_weak(head, index, publish, Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes all records, the last pushed first; they are linked by their `next`.
    pub(crate) fn take(&self) -> u32 {
        let receive = if cfg!(jinux_mutant = "take_acquire") { Relaxed } else { Acquire };
        self.head.swap(NIL, receive)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head.load(Relaxed) == NIL
    }
}
