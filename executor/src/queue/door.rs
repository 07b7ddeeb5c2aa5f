//! The hand-shake between a CPU and those who send it tasks.
//!
//! ```text
//!   sender:  push into the inbox ── fence ── read the presence: does it have to be kicked?
//!   owner:   write the presence  ── fence ── read the inbox: did anybody come before?
//! ```
//! Whichever of the two fences comes first in their total order, one side sees what the other one
//! wrote. A kick is never lost: it ends the halt that comes next if it came before it.

use super::inbox::Inbox;
use crate::primitive::{AtomicU32, constructor, fence};
use core::sync::atomic::Ordering::{Relaxed, SeqCst};

/// The inbox of a CPU and what the CPU says of itself.
#[derive(Debug)]
pub(crate) struct Door {
    inbox: Inbox,
    presence: AtomicU32,
}

impl Door {
    constructor! {
        pub(crate) fn new(presence: u32) -> Self {
            Self { inbox: Inbox::new(), presence: AtomicU32::new(presence) }
        }
    }

    /// Sends the record `index`, whose link is `next`. What the CPU says of itself, which decides
    /// whether it must be kicked.
    pub(crate) fn send(&self, index: u32, next: &AtomicU32) -> u32 {
        self.inbox.push(index, next);
        if !cfg!(jinux_mutant = "send_fence") {
            fence(SeqCst);
        }
        self.presence.load(Relaxed)
    }

    /// Says what this CPU does from now on. Whether somebody sent something before he could know:
    /// then nobody kicks.
    pub(crate) fn announce(&self, presence: u32) -> bool {
        self.presence.store(presence, Relaxed);
        if !cfg!(jinux_mutant = "announce_fence") {
            fence(SeqCst);
        }
        !cfg!(jinux_mutant = "announce_look") && !self.inbox.is_empty()
    }

    /// Says what this CPU does where nothing depends on it: whoever sees the old value kicks
    /// without need.
    pub(crate) fn hint(&self, presence: u32) {
        self.presence.store(presence, Relaxed);
    }

    /// What the CPU says of itself.
    #[cfg(not(loom))]
    pub(crate) fn presence(&self) -> u32 {
        self.presence.load(Relaxed)
    }

    /// Takes everything that was sent, the last first.
    pub(crate) fn take(&self) -> u32 {
        self.inbox.take()
    }

    /// Whether nothing is there to take.
    #[cfg(not(loom))]
    pub(crate) fn is_empty(&self) -> bool {
        self.inbox.is_empty()
    }
}
