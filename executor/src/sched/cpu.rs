//! What each CPU has.

use crate::{
    CpuSet,
    queue::{Door, RunQueue},
    task::{self, NIL, Record},
    timer::TimerHeap,
};
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use framework::{CpuId, cpu};
use spin::{Mutex, MutexGuard};

/// A moment that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

/// This CPU sleeps or is about to: kick it.
pub(super) const IDLE: u32 = 0;

/// This CPU comes to a schedule point by itself: kick it only for a task of higher rank.
pub(super) const SLICED: u32 = 0x100;

/// One CPU's part of the scheduler, on cache lines of its own.
#[repr(align(64))]
pub(crate) struct Cpu {
    /// Tasks woken by other CPUs and by interrupts. The presence is `IDLE`, or the rank of what
    /// runs and perhaps `SLICED`.
    pub(super) door: Door,
    /// Something happened that `preempt` must look at.
    pub(super) attention: AtomicBool,
    /// A wake now comes from a peer that is likely to wait next.
    pub(super) synchronous: AtomicBool,
    /// The record of the task that runs.
    pub(super) current: AtomicU32,
    /// The record of the task that ran last.
    pub(super) last: AtomicU32,
    pub(super) queue: Mutex<RunQueue>,
    /// How many tasks are in the queue, for those who do not hold its lock.
    pub(super) waiting: AtomicU32,
    /// Set while the running task yields, and whether it was told to.
    pub(super) yielding: AtomicU8,
    /// [`crate::preempt`] told the running task to yield.
    pub(super) told: AtomicBool,
    /// When this CPU last balanced its load with the others'.
    pub(super) balanced: AtomicU64,
    pub(crate) timers: Mutex<TimerHeap>,
    /// When the first timer is due.
    pub(crate) next_timer: AtomicU64,
    /// What the machine's alarm is set to.
    pub(super) alarm: AtomicU64,
    pub(super) clock: super::account::Clock,
}

impl Cpu {
    const fn new() -> Self {
        Self {
            door: Door::new(SLICED),
            attention: AtomicBool::new(false),
            synchronous: AtomicBool::new(false),
            current: AtomicU32::new(NIL),
            last: AtomicU32::new(NIL),
            queue: Mutex::new(RunQueue::new()),
            waiting: AtomicU32::new(0),
            yielding: AtomicU8::new(0),
            told: AtomicBool::new(false),
            balanced: AtomicU64::new(0),
            timers: Mutex::new(TimerHeap::new()),
            next_timer: AtomicU64::new(NEVER),
            alarm: AtomicU64::new(NEVER),
            clock: super::account::Clock::new(),
        }
    }

    /// Forgets turns, accounts and alarms, for a simulation that is to begin like any other.
    /// Nothing is queued.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn reset(&self) {
        *self.lock() = RunQueue::new();
        for moment in [&self.next_timer, &self.alarm] {
            moment.store(NEVER, Relaxed);
        }
        self.last.store(NIL, Relaxed);
        self.balanced.store(0, Relaxed);
        self.attention.store(false, Relaxed);
        self.clock.restart();
    }

    /// The task that runs here.
    pub(super) fn current(&self) -> Option<&'static Record> {
        match self.current.load(Relaxed) {
            NIL => None,
            index => Some(task::record(index)),
        }
    }

    /// Locks the queue; the count of waiting tasks is brought up to date at the end.
    pub(super) fn lock(&self) -> Locked<'_> {
        Locked { cpu: self, queue: self.queue.lock() }
    }

    /// The same unless it is locked.
    pub(super) fn try_lock(&self) -> Option<Locked<'_>> {
        self.queue.try_lock().map(|queue| Locked { cpu: self, queue })
    }

    /// How many tasks wait for this CPU, those in the inbox not counted.
    pub(super) fn ready(&self) -> u32 {
        self.waiting.load(Relaxed)
    }
}

/// A CPU's queue, locked.
pub(super) struct Locked<'a> {
    cpu: &'a Cpu,
    queue: MutexGuard<'a, RunQueue>,
}

impl Deref for Locked<'_> {
    type Target = RunQueue;
    fn deref(&self) -> &RunQueue {
        &self.queue
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut RunQueue {
        &mut self.queue
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.cpu.waiting.store(self.queue.len(), Relaxed);
    }
}

static CPUS: [Cpu; cpu::MAX_CPUS] = [const { Cpu::new() }; cpu::MAX_CPUS];

/// The CPU this code runs on.
pub(crate) fn this() -> &'static Cpu {
    of(cpu::current())
}

/// The CPU `id`.
pub(crate) fn of(id: CpuId) -> &'static Cpu {
    &CPUS[id.index()]
}

/// The CPUs tasks may move between: those of the machine or, for a host thread that is not one of
/// them, only itself.
pub(super) fn machine(this: CpuId) -> CpuSet {
    let count = cpu::count();
    if this.index() < count { CpuSet::first(count) } else { CpuSet::only(this) }
}

/// CPUs that sleep or are about to; a hint.
pub(super) static IDLE_CPUS: AtomicU64 = AtomicU64::new(0);

/// All CPUs, those that do not run included.
pub(super) fn all() -> impl Iterator<Item = &'static Cpu> {
    CPUS.iter()
}

/// The record of the task that runs on this CPU.
pub(crate) fn current_record() -> Option<&'static Record> {
    this().current()
}
