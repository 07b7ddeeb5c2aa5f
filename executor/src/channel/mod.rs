//! Channels: bounded, unbounded up to a limit, and for one value.
//!
//! Senders and receivers may be cloned, but those of [`oneshot`]. A channel is closed when all of
//! its senders or all of its receivers are gone; what was sent can still be received.

pub mod oneshot;
mod queue;

pub use queue::{Receiver, Sender, TryRecvError, TrySendError, bounded, unbounded};

/// The other side is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;
