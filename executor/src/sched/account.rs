//! CPU time: charged when it changes hands, between user mode, kernel and idle.
//!
//! The clock is read once for each change; the scheduler's own time counts as the next task's.

use super::cpu::{self, Cpu};
use crate::{
    machine,
    queue::to_virtual,
    task::{self, Record},
};
use core::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};
use framework::CpuId;

/// A CPU's accounts; only the CPU itself writes them.
pub(super) struct Clock {
    /// Time is charged up to here.
    mark: AtomicU64,
    /// Time of the running task that is not in its virtual time yet.
    unweighted: AtomicU64,
    user_ns: AtomicU64,
    system_ns: AtomicU64,
    idle_ns: AtomicU64,
    switches: AtomicU64,
}

impl Clock {
    pub(super) const fn new() -> Self {
        Self {
            mark: AtomicU64::new(0),
            unweighted: AtomicU64::new(0),
            user_ns: AtomicU64::new(0),
            system_ns: AtomicU64::new(0),
            idle_ns: AtomicU64::new(0),
            switches: AtomicU64::new(0),
        }
    }

    /// The time up to which it is charged: a moment ago, in the scheduling loop.
    pub(super) fn mark(&self) -> u64 {
        self.mark.load(Relaxed)
    }

    /// Forgets the time since the mark.
    pub(super) fn restart(&self) {
        self.mark.store(machine::now().as_nanos(), Relaxed);
    }

    /// The time since the mark, which moves to now.
    fn lap(&self) -> u64 {
        let before = self.mark();
        let now = machine::now().as_nanos();
        self.mark.store(now, Relaxed);
        now.saturating_sub(before)
    }

    pub(super) fn charge_idle(&self) {
        task::add(&self.idle_ns, self.lap());
    }

    pub(super) fn count_switch(&self) {
        task::add(&self.switches, 1);
    }
}

impl Cpu {
    /// Charges the time since the last charge to the running task, as the kernel's.
    pub(super) fn charge_system(&self, current: Option<&Record>) {
        let ns = self.clock.lap();
        task::add(&self.clock.system_ns, ns);
        let Some(task) = current else { return };
        task.add_times(0, ns);
        task::add(&self.clock.unweighted, ns);
        if cfg!(debug_assertions) && ns > LONG_POLL_NS {
            log::warn!("{} kept its CPU in the kernel for {} us", task.name.get(), ns / 1000);
        }
    }

    fn charge_user(&self, current: Option<&Record>) {
        let ns = self.clock.lap();
        task::add(&self.clock.user_ns, ns);
        if let Some(task) = current {
            task.add_times(ns, 0);
            task::add(&self.clock.unweighted, ns);
        }
    }

    /// Brings the virtual time of the running task up to date.
    pub(super) fn settle(&self, task: &Record) {
        let ns = self.clock.unweighted.load(Relaxed);
        self.clock.unweighted.store(0, Relaxed);
        task::add(&task.vruntime, to_virtual(ns, task.weight.load(Relaxed)));
    }
}

/// The kernel is not preempted; longer than this it should not run on end.
const LONG_POLL_NS: u64 = 1_000_000;

/// The running task is about to enter user mode: the time since the last charge was the kernel's.
pub fn user_begin() {
    let cpu = cpu::this();
    cpu.charge_system(cpu.current());
}

/// The running task has left user mode: the time since [`user_begin`] was the user's.
pub fn user_end() {
    let cpu = cpu::this();
    cpu.charge_user(cpu.current());
}

/// What a CPU has done since it started.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuStats {
    /// Time in user mode.
    pub user: Duration,
    /// Time in the kernel.
    pub system: Duration,
    /// Time with nothing to do.
    pub idle: Duration,
    /// Task switches.
    pub switches: u64,
    /// Tasks that wait for this CPU, the running one not counted.
    pub ready: u32,
    /// Whether a task runs.
    pub busy: bool,
}

/// The accounts of `cpu`, for `/proc/stat`.
pub fn cpu_stats(cpu: CpuId) -> CpuStats {
    let cpu = cpu::of(cpu);
    CpuStats {
        user: Duration::from_nanos(cpu.clock.user_ns.load(Relaxed)),
        system: Duration::from_nanos(cpu.clock.system_ns.load(Relaxed)),
        idle: Duration::from_nanos(cpu.clock.idle_ns.load(Relaxed)),
        switches: cpu.clock.switches.load(Relaxed),
        ready: cpu.ready(),
        busy: cpu.current().is_some(),
    }
}

/// How many tasks run or wait for a CPU now: an input of the load average.
pub fn runnable() -> usize {
    let of = |cpu: &Cpu| cpu.ready() + u32::from(cpu.current().is_some());
    usize::try_from(cpu::all().map(of).sum::<u32>()).unwrap_or(usize::MAX)
}
