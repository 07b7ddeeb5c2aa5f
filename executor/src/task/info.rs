//! The list of tasks, for `/proc` and for a panic's report.

use super::{
    TaskRef,
    record::{Place, Record},
    table,
};
use crate::{CpuSet, Policy};
use arrayvec::ArrayString;
use core::time::Duration;
use framework::CpuId;

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Runs on its CPU.
    Running,
    /// Waits for a CPU.
    Ready,
    /// Waits for something else.
    Waiting,
    /// Its future is done; only handles are left.
    Ended,
}

impl State {
    pub(super) fn of(record: &Record) -> Self {
        match record.place() {
            Place::Waiting => Self::Waiting,
            Place::Running => Self::Running,
            Place::Inbox | Place::Next | Place::Fair | Place::RealTime => Self::Ready,
            Place::Ended => Self::Ended,
        }
    }
}

/// A look at one task; the fields were read one after the other.
#[derive(Clone, Debug)]
pub struct TaskInfo {
    /// The task.
    pub task: TaskRef,
    /// Its number.
    pub id: u64,
    /// Its name.
    pub name: ArrayString<16>,
    /// What it is doing.
    pub state: State,
    /// What it waits for, as the wait said; empty if it does not wait.
    pub wait: &'static str,
    /// Its policy.
    pub policy: Policy,
    /// Its nice value.
    pub nice: i8,
    /// Where it may run.
    pub affinity: CpuSet,
    /// Where it runs or ran last.
    pub cpu: CpuId,
    /// CPU time in user mode.
    pub user_time: Duration,
    /// CPU time in the kernel.
    pub system_time: Duration,
}

impl TaskInfo {
    pub(super) fn of(task: &TaskRef) -> Self {
        let record = task.record();
        let state = State::of(record);
        Self {
            task: task.clone(),
            id: task.id(),
            name: task.name(),
            state,
            wait: if state == State::Waiting { record.reason() } else { "" },
            policy: record.policy(),
            nice: record.nice(),
            affinity: record.affinity(),
            cpu: record.cpu(),
            user_time: task.user_time(),
            system_time: task.system_time(),
        }
    }
}

/// Calls `each` for every live task. Takes no lock and does not allocate.
pub fn tasks(each: &mut dyn FnMut(&TaskInfo)) {
    for task in table::all() {
        let info = task.info();
        if info.state != State::Ended {
            each(&info);
        }
    }
}
