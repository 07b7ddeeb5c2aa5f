//! What processes used: CPU time, faults, switches (getrusage(2), times(2)).
//!
//! Of a thread that runs on another CPU the times are those up to its last tick there.

use super::Process;
use crate::thread::Tcb;
use alloc::sync::Arc;
use core::{
    ops::AddAssign,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use executor::TaskRef;

/// Resources used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in user mode.
    pub user: Duration,
    /// CPU time in the kernel.
    pub system: Duration,
    /// Page faults answered from memory.
    pub minor_faults: u64,
    /// Page faults that waited for a device.
    pub major_faults: u64,
    /// Switches because the thread waited.
    pub voluntary_switches: u64,
    /// Switches because the thread's time was up.
    pub involuntary_switches: u64,
    /// The most pages ever present, of the largest process.
    pub max_resident: usize,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.user += other.user;
        self.system += other.system;
        self.minor_faults += other.minor_faults;
        self.major_faults += other.major_faults;
        self.voluntary_switches += other.voluntary_switches;
        self.involuntary_switches += other.involuntary_switches;
        self.max_resident = self.max_resident.max(other.max_resident);
    }
}

/// What a process keeps of those that are gone.
#[derive(Debug, Default)]
pub struct Totals {
    /// Its threads that have ended.
    pub threads: Usage,
    /// Its children that it has waited for, and theirs.
    pub children: Usage,
}

/// Whose usage is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageOf {
    /// The process, all threads.
    Process,
    /// Children that were waited for.
    Children,
}

/// Counters of a live thread.
#[derive(Debug, Default)]
pub struct Counters {
    /// Page faults answered from memory.
    pub minor_faults: AtomicU64,
    /// Page faults that waited for a device.
    pub major_faults: AtomicU64,
}

impl Counters {
    /// Adds those of a thread that ends.
    pub fn absorb(&self, thread: &Self) {
        for (sum, part) in
            [(&self.minor_faults, &thread.minor_faults), (&self.major_faults, &thread.major_faults)]
        {
            sum.fetch_add(part.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

impl Tcb {
    /// What the thread has used so far.
    pub fn usage(&self) -> Usage {
        executor::charge();
        let mut usage = Usage {
            minor_faults: self.counters.minor_faults.load(Ordering::Relaxed),
            major_faults: self.counters.major_faults.load(Ordering::Relaxed),
            ..Usage::default()
        };
        if let Some(task) = self.task() {
            usage.user = task.user_time();
            usage.system = task.system_time();
            usage.voluntary_switches = task.voluntary_switches();
            usage.involuntary_switches = task.involuntary_switches();
        }
        let view = self.view.lock();
        usage.max_resident = view.memory.as_ref().map_or(0, |memory| memory.resident());
        usage
    }

    /// CPU time used so far.
    pub fn cpu_time(&self) -> Duration {
        executor::charge();
        self.task().map_or(Duration::ZERO, TaskRef::cpu_time)
    }
}

impl Process {
    /// What the process, or its children, used.
    pub fn usage(&self, of: UsageOf) -> Usage {
        let totals = self.usage.lock();
        if of == UsageOf::Children {
            return totals.children;
        }
        let mut usage = totals.threads;
        drop(totals);
        for thread in self.live_threads() {
            usage += thread.usage();
        }
        usage
    }

    /// Like [`cpu_time`](Self::cpu_time), in user mode only.
    pub fn user_time(&self) -> Duration {
        let of = |thread: &Arc<Tcb>| thread.task().map_or(Duration::ZERO, TaskRef::user_time);
        let ended = self.usage.lock().threads.user;
        ended + self.live_threads().iter().map(of).sum::<Duration>()
    }

    /// CPU time of all threads, ended ones included.
    pub fn cpu_time(&self) -> Duration {
        let ended = self.usage.lock().threads;
        let live: Duration = self.live_threads().iter().map(|thread| thread.cpu_time()).sum();
        ended.user + ended.system + live
    }
}
