//! Timers: a heap for each CPU.
//!
//! A timer is a waker and a moment in the heap of the CPU it was set on; the scheduling loop and
//! [`crate::preempt`] wake those that are due. Setting and cancelling is O(log n); memory is
//! allocated only when the heap grows.

mod entry;
mod heap;
mod sleep;

pub use entry::Timer;
pub use sleep::{Sleep, sleep, sleep_until};

pub(crate) use heap::{TimerHeap, fire};
pub use heap::{TimerStats, stats};
