//! Which process or thread a directory of `/proc` is about.

use crate::{cred::Credentials, memory::Memory, process::Process, system::System, thread::Tcb};
use abi::{Errno, Pid, Result};
use alloc::sync::Arc;
use fs::Caller;

/// A process, or one thread of it, by number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) system: &'static System,
    pub(super) pid: Pid,
    /// The thread, in `/proc/PID/task/TID`.
    pub(super) tid: Option<Pid>,
}

impl Target {
    /// The process `pid`, also by the number of one of its threads.
    pub(super) const fn process_of(system: &'static System, pid: Pid) -> Self {
        Self { system, pid, tid: None }
    }

    /// The number the directory is called by.
    pub(super) fn number(&self) -> Pid {
        self.tid.unwrap_or(self.pid)
    }

    /// The process.
    ///
    /// # Errors
    /// - `ESRCH`: it is gone.
    pub(super) fn process(&self) -> Result<Arc<Process>> {
        let entries = self.system.pids.lock();
        let process = entries.process(self.pid);
        process
            .or_else(|| entries.thread(self.pid).map(|thread| Arc::clone(&thread.process)))
            .ok_or(Errno::ESRCH)
    }

    /// The thread that stands for the target; `None` once it has ended.
    pub(super) fn thread(&self) -> Option<Arc<Tcb>> {
        let by_number = self.system.pids.thread(self.number());
        match self.tid {
            Some(_) => by_number,
            None => by_number.or_else(|| self.process().ok()?.main_thread()),
        }
    }

    /// The address space; `None` once it has been given up.
    pub(super) fn memory(&self) -> Option<Arc<Memory>> {
        let thread = self.thread()?;
        let view = thread.view.lock();
        view.memory.clone()
    }

    /// Who it is.
    ///
    /// # Errors
    /// - `ESRCH`: it is gone.
    pub(super) fn credentials(&self) -> Result<Arc<Credentials>> {
        if let Some(thread) = self.thread() {
            return Ok(Arc::clone(&thread.view.lock().credentials));
        }
        Ok(self.process()?.credentials())
    }

    /// Whether the caller is a thread of this process.
    pub(super) fn is_caller(&self, caller: &Caller<'_>) -> bool {
        let Ok(process) = self.process() else { return false };
        caller.process == process.pid.get()
    }
}
