//! Futexes: waiting for a word in user memory to change (futex(2)).
//!
//! ```text
//!   waiter: queue itself ─▶ load the word ─▶ as expected? wait : leave the queue, EAGAIN
//!   waker:  change the word ─▶ look into the queue
//! ```
//! The waiter queues itself first, so a waker that changes the word after the load finds it.
//! Locks: buckets in ascending order; nothing else is taken inside.

mod key;
mod pi;
mod robust;
mod table;

pub use key::{Key, Scope};
pub use pi::{lock_pi, try_lock_pi, unlock_pi};
pub use robust::{exit_robust_list, wake_after_exit};
pub use table::{FutexTable, MATCH_ANY, Waiting};
