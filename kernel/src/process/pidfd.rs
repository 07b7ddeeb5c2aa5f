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

    /// Whether it has ended, and has been waited for.
    pub fn events(&self) -> Events {
        let threads = self.process.threads.lock();
        let ended = Events::IN | Events::RDNORM;
        match threads.ended {
            None => Events::empty(),
            Some(_) if threads.reaped => ended | Events::HUP,
            Some(_) => ended,
        }
    }

    /// Who waits for that.
    pub fn queue(&self) -> &WaitQueue {
        &self.process.exit_events
    }
}
