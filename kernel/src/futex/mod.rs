//! Futexes: waiting for a word in user memory to change (futex(2)).

use crate::{syscall::UserPtr, thread::Thread};

/// Who waits on which word.
#[derive(Debug, Default)]
pub struct FutexTable {}

impl FutexTable {
    /// Nobody waits.
    pub const fn new() -> Self {
        Self {}
    }
}

/// Wakes one waiter on the word that a thread's end has cleared.
pub fn wake_after_exit(_thread: &Thread, _at: UserPtr<u32>) {}

/// Marks the robust futexes that the thread holds as ownerless.
pub fn exit_robust_list(_thread: &mut Thread) {}
