//! A lock-free stack of records: many push, one takes all.
//!
//! The links are in the records, so it holds every task there is and never allocates: a push is a
//! store and a compare-and-swap, allowed in an interrupt. Nobody takes a single record, so a head
//! that changed and changed back does no harm.

use crate::task::NIL;
use core::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

/// The stack's head. Whoever pushes a record owns it until then.
#[derive(Debug)]
pub(crate) struct Inbox {
    head: AtomicU32,
}

impl Inbox {
    pub(crate) const fn new() -> Self {
        Self { head: AtomicU32::new(NIL) }
    }

    /// Pushes the record `index`, whose link is `next`.
    pub(crate) fn push(&self, index: u32, next: &AtomicU32) {
        let mut head = self.head.load(Relaxed);
        loop {
            next.store(head, Relaxed);
            match self.head.compare_exchange_weak(head, index, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes all records, the last pushed first; they are linked by their `next`.
    pub(crate) fn take(&self) -> u32 {
        self.head.swap(NIL, Acquire)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head.load(Relaxed) == NIL
    }
}
