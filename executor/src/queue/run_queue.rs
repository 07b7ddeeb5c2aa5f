//! The tasks that wait for one CPU.

use crate::task::Runnable;
use alloc::collections::VecDeque;

/// The tasks that wait for one CPU.
pub(crate) struct RunQueue {
    list: VecDeque<Runnable>,
    /// The task that ran last and is ready again.
    pub(crate) returned: Option<Runnable>,
}

impl RunQueue {
    pub(crate) const fn new() -> Self {
        Self { list: VecDeque::new(), returned: None }
    }

    pub(crate) fn insert(&mut self, runnable: Runnable) {
        self.list.push_back(runnable);
    }

    pub(crate) fn pick(&mut self) -> Option<Runnable> {
        self.list.pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }
}
