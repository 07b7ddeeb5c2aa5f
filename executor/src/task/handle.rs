//! A handle to a task.

use super::{
    info::{State, TaskInfo},
    record::Record,
    table,
};
use crate::{CpuSet, Policy, sched};
use arrayvec::ArrayString;
use core::{fmt, time::Duration};
use framework::CpuId;

/// A counted handle to a task, one pointer wide. It does not keep the task's future alive.
pub struct TaskRef(&'static Record);

impl TaskRef {
    /// Makes a handle of a reference that is already counted.
    pub(super) fn adopt(record: &'static Record) -> Self {
        Self(record)
    }

    pub(crate) fn record(&self) -> &'static Record {
        self.0
    }

    /// A number no other task ever has.
    pub fn id(&self) -> u64 {
        self.0.id()
    }

    /// Its name, at most 15 bytes.
    pub fn name(&self) -> ArrayString<16> {
        self.0.name.get()
    }

    /// Names it; what is over 15 bytes is cut off.
    pub fn set_name(&self, name: &str) {
        self.0.name.set(name);
    }

    /// Wakes it, whatever it waits for; its futures look at their conditions again. Callable from
    /// interrupts.
    pub fn wake(&self) {
        self.0.wake();
    }

    /// Its policy.
    pub fn policy(&self) -> Policy {
        self.0.policy()
    }

    /// Its nice value; it counts under `Fair` and `Batch`.
    pub fn nice(&self) -> i8 {
        self.0.nice()
    }

    /// The CPUs it may run on.
    pub fn affinity(&self) -> CpuSet {
        self.0.affinity()
    }

    /// Changes policy and nice value, also of a task that is queued or running. Priorities and
    /// nice values outside their range are brought into it.
    pub fn set_policy(&self, policy: Policy, nice: i8) {
        sched::change(self.0, |record| {
            record.set_policy(policy);
            record.set_nice(nice);
        });
    }

    /// Changes the nice value.
    pub fn set_nice(&self, nice: i8) {
        sched::change(self.0, |record| record.set_nice(nice));
    }

    /// Changes the CPUs it may run on; it moves at its next turn. A set without a CPU that runs
    /// counts as all.
    pub fn set_affinity(&self, cpus: CpuSet) {
        sched::change(self.0, |record| record.set_affinity(cpus));
    }

    /// The CPU it runs on or ran on last.
    pub fn cpu(&self) -> CpuId {
        self.0.cpu()
    }

    /// CPU time in user mode; of a running task up to its last switch or trap.
    pub fn user_time(&self) -> Duration {
        Duration::from_nanos(self.0.times().0)
    }

    /// CPU time in the kernel, likewise.
    pub fn system_time(&self) -> Duration {
        Duration::from_nanos(self.0.times().1)
    }

    /// CPU time in all.
    pub fn cpu_time(&self) -> Duration {
        self.user_time() + self.system_time()
    }

    /// How often it gave up the CPU to wait or by yielding.
    pub fn voluntary_switches(&self) -> u64 {
        self.0.switches().0
    }

    /// How often it was made to yield.
    pub fn involuntary_switches(&self) -> u64 {
        self.0.switches().1
    }

    /// What it is doing.
    pub fn state(&self) -> State {
        State::of(self.0)
    }

    /// Everything about it.
    pub fn info(&self) -> TaskInfo {
        TaskInfo::of(self)
    }
}

impl Clone for TaskRef {
    fn clone(&self) -> Self {
        self.0.handle()
    }
}

impl Drop for TaskRef {
    fn drop(&mut self) {
        if self.0.release() {
            table::free(self.0);
        }
    }
}

impl PartialEq for TaskRef {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for TaskRef {}

impl fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {} ({})", self.id(), self.name())
    }
}
