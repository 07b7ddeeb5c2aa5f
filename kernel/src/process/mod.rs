//! Processes: what threads share, and how processes are related.

mod table;

use crate::system::System;
use abi::Pid;
use alloc::sync::{Arc, Weak};
use spin::Mutex;

pub use table::PidTable;

/// A process.
#[derive(Debug)]
pub struct Process {
    /// The number (what getpid(2) returns).
    pub pid: Pid,
    /// The system it lives in.
    pub system: &'static System,
    /// Parents and children.
    pub family: Mutex<Family>,
}

/// How a process is related to others; changes only under the lock of the process table.
#[derive(Debug, Default)]
pub struct Family {
    /// Who waits for it; none for init.
    pub parent: Weak<Process>,
}

impl Process {
    /// The parent's number; `None` for init.
    pub fn parent_pid(&self) -> Option<Pid> {
        self.family.lock().parent.upgrade().map(|parent: Arc<Self>| parent.pid)
    }
}
