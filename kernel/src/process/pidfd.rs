//! pidfd_open(2): a descriptor of a process.

use super::Process;
use abi::Events;
use alloc::sync::Arc;
use executor::wait::WaitQueue;

/// A process behind a descriptor; readable once it has ended.
#[derive(Debug)]
pub struct PidFd {
    process: Arc<Process>,
}

impl PidFd {
    /// A descriptor of `process`.
    pub const fn new(process: Arc<Process>) -> Self {
        Self { process }
    }

    /// The process.
    pub const fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// Whether it has ended.
    pub fn events(&self) -> Events {
        if self.process.is_zombie() { Events::IN } else { Events::empty() }
    }

    /// Who waits for that.
    pub fn queue(&self) -> &WaitQueue {
        &self.process.exit_events
    }
}
