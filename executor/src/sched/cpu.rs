//! What each CPU has.

use crate::{
    queue::{Inbox, RunQueue},
    task::{self, NIL, Record},
    timer::TimerHeap,
};
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
    fence,
};
use framework::{CpuId, cpu};
use spin::Mutex;

/// A moment that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

/// This CPU sleeps or is about to: kick it.
pub(super) const IDLE: u32 = 0;

/// This CPU comes to a schedule point by itself: kick it only for a task of higher rank.
pub(super) const SLICED: u32 = 0x100;

/// One CPU's part of the scheduler, on cache lines of its own.
#[repr(align(64))]
pub(crate) struct Cpu {
    /// Tasks woken by other CPUs and by interrupts.
    pub(super) inbox: Inbox,
    /// `IDLE`, or the rank of what runs and perhaps `SLICED`; read by whoever fills the inbox.
    pub(super) presence: AtomicU32,
    /// Something happened that `preempt` must look at.
    pub(super) attention: AtomicBool,
    /// A wake now comes from a peer that is likely to wait next.
    pub(super) synchronous: AtomicBool,
    /// The record of the task that runs.
    pub(super) current: AtomicU32,
    pub(super) queue: Mutex<RunQueue>,
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
            inbox: Inbox::new(),
            presence: AtomicU32::new(SLICED),
            attention: AtomicBool::new(false),
            synchronous: AtomicBool::new(false),
            current: AtomicU32::new(NIL),
            queue: Mutex::new(RunQueue::new()),
            timers: Mutex::new(TimerHeap::new()),
            next_timer: AtomicU64::new(NEVER),
            alarm: AtomicU64::new(NEVER),
            clock: super::account::Clock::new(),
        }
    }

    /// The task that runs here.
    pub(super) fn current(&self) -> Option<&'static Record> {
        match self.current.load(Relaxed) {
            NIL => None,
            index => Some(task::record(index)),
        }
    }

    /// Says what this CPU is about to do. The caller looks at the inbox afterwards: whoever pushed
    /// without seeing this is seen then.
    pub(super) fn announce(&self, presence: u32) {
        self.presence.store(presence, Relaxed);
        fence(SeqCst);
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

/// All CPUs, those that do not run included.
pub(super) fn all() -> impl Iterator<Item = &'static Cpu> {
    CPUS.iter()
}

/// The record of the task that runs on this CPU.
pub(crate) fn current_record() -> Option<&'static Record> {
    this().current()
}
