//! CPU time: charged when it changes hands.
//!
//! The clock is read when a task stops running and when an interrupt made it leave user mode, not
//! at each system call. So how much time passed is exact, and how much of it was user mode is
//! sampled: in each period of about 4 ms there is a moment, the *tick*, that tells where it found
//! the running task, and all of the task's time up to its next tick counts as that. The two always
//! add up to the exact time, and neither ever falls. The moments are spread over their periods, so
//! that a program cannot be in step with them; a CPU that sleeps has none. The scheduler's own time
//! counts as the next task's.

use super::cpu::{self, Cpu};
use crate::{
    machine,
    queue::to_virtual,
    task::{self, Mode, Record},
};
use core::{
    sync::atomic::{
        AtomicU8, AtomicU32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
        fence,
    },
    time::Duration,
};
use framework::CpuId;

/// The ticks' period is 2^22 ns.
const TICK_SHIFT: u32 = 22;

/// The first tick after `now`: one in each period, at a moment that looks random.
fn tick_after(now: u64) -> u64 {
    let of = |period: u64| {
        let spread = period.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - TICK_SHIFT);
        (period << TICK_SHIFT) + spread
    };
    let period = now >> TICK_SHIFT;
    let tick = of(period);
    if tick > now { tick } else { of(period + 1) }
}

/// A CPU's accounts; only the CPU itself writes them.
pub(super) struct Clock {
    /// Time is charged up to here.
    mark: AtomicU64,
    /// Time of the running task that is not in its virtual time yet.
    unweighted: AtomicU64,
    /// When the next tick is.
    tick: AtomicU64,
    /// What the last tick found, as [`Mode`]: the first guess for new tasks.
    mode: AtomicU8,
    /// Odd while the times of an idle CPU change.
    version: AtomicU32,
    /// Nothing has run since the mark.
    idle: AtomicU8,
    user_ns: AtomicU64,
    nice_ns: AtomicU64,
    system_ns: AtomicU64,
    idle_ns: AtomicU64,
    switches: AtomicU64,
    /// Since when the running task has been in the kernel; debug builds only.
    in_kernel_since: AtomicU64,
}

impl Clock {
    pub(super) const fn new() -> Self {
        Self {
            mark: AtomicU64::new(0),
            unweighted: AtomicU64::new(0),
            tick: AtomicU64::new(0),
            mode: AtomicU8::new(Mode::User as u8),
            version: AtomicU32::new(0),
            idle: AtomicU8::new(0),
            user_ns: AtomicU64::new(0),
            nice_ns: AtomicU64::new(0),
            system_ns: AtomicU64::new(0),
            idle_ns: AtomicU64::new(0),
            switches: AtomicU64::new(0),
            in_kernel_since: AtomicU64::new(0),
        }
    }

    /// The time up to which it is charged: a moment ago, in the scheduling loop.
    pub(super) fn mark(&self) -> u64 {
        self.mark.load(Relaxed)
    }

    /// Forgets the time since the mark.
    pub(super) fn restart(&self) {
        self.mark.store(machine::now().as_nanos(), Relaxed);
        self.tick.store(0, Relaxed);
    }

    /// The time since the mark, which moves to now.
    fn lap(&self) -> u64 {
        let before = self.mark();
        let now = machine::now().as_nanos();
        self.mark.store(now, Relaxed);
        now.saturating_sub(before)
    }

    /// The CPU is about to sleep.
    pub(super) fn begin_idle(&self) {
        self.idle.store(1, Relaxed);
    }

    /// The CPU has slept since the mark.
    pub(super) fn charge_idle(&self) {
        let version = self.version.load(Relaxed);
        self.version.store(version.wrapping_add(1), Relaxed);
        fence(Release);
        task::add(&self.idle_ns, self.lap());
        self.idle.store(0, Relaxed);
        self.version.store(version.wrapping_add(2), Release);
    }

    /// The time it slept, as it is seen from any CPU: also of the sleep that has not ended.
    fn idle_ns(&self) -> u64 {
        loop {
            let version = self.version.load(Acquire);
            let (idle, asleep, mark) =
                (self.idle_ns.load(Relaxed), self.idle.load(Relaxed) == 1, self.mark());
            fence(Acquire);
            if version.is_multiple_of(2) && version == self.version.load(Relaxed) {
                let now = if asleep { machine::now().as_nanos() } else { mark };
                return idle + now.saturating_sub(mark);
            }
            core::hint::spin_loop();
        }
    }

    pub(super) fn count_switch(&self) {
        task::add(&self.switches, 1);
    }

    /// What a new task most likely does.
    pub(super) fn likely_mode(&self) -> Mode {
        Mode::from_bits(self.mode.load(Relaxed))
    }

    /// When the next tick is, for a task that begins or goes on: never in the past.
    pub(super) fn next_tick(&self) -> u64 {
        let tick = self.tick.load(Relaxed);
        if tick > self.mark() {
            return tick;
        }
        let next = tick_after(self.mark());
        self.tick.store(next, Relaxed);
        next
    }

    fn charge(&self, task: &Record) -> u64 {
        let ns = self.lap();
        let mode = task.mode();
        let account = match mode {
            Mode::Kernel => &self.system_ns,
            Mode::User if task.nice() > 0 => &self.nice_ns,
            Mode::User => &self.user_ns,
        };
        task::add(account, ns);
        task.add_time(mode, ns);
        task::add(&self.unweighted, ns);
        ns
    }
}

impl Cpu {
    /// Charges the time since the last charge to `task`, which runs. If a tick came, it found the
    /// task where the function says, if that is known: a tick whose interrupt is late tells
    /// nothing, or those would seem to be in the kernel who ask for the time.
    pub(super) fn charge(&self, task: &Record, found: impl FnOnce() -> Option<Mode>) {
        self.clock.charge(task);
        if self.clock.tick.load(Relaxed) <= self.clock.mark()
            && let Some(mode) = found()
        {
            task.set_mode(mode);
            self.clock.mode.store(mode as u8, Relaxed);
            self.clock.tick.store(tick_after(self.clock.mark()), Relaxed);
        }
    }

    /// Brings the virtual time of the running task up to date.
    pub(super) fn settle(&self, task: &Record) {
        let ns = self.clock.unweighted.load(Relaxed);
        self.clock.unweighted.store(0, Relaxed);
        task::add(&task.vruntime, to_virtual(ns, task.weight.load(Relaxed)));
    }

    /// In debug builds: a poll begins, or user mode has ended.
    #[inline]
    pub(super) fn kernel_begins(&self, now: impl FnOnce() -> u64) {
        if cfg!(debug_assertions) {
            self.clock.in_kernel_since.store(now(), Relaxed);
        }
    }

    /// In debug builds: a poll ends, or user mode begins. The kernel is not preempted, so it should
    /// not have taken long.
    #[inline]
    pub(super) fn kernel_ends(&self, task: &Record) {
        if cfg!(debug_assertions) {
            let since = self.clock.in_kernel_since.load(Relaxed);
            let ns = machine::now().as_nanos().saturating_sub(since);
            if ns > LONG_POLL_NS {
                log::warn!("{} kept its CPU in the kernel for {} us", task.name.get(), ns / 1000);
            }
        }
    }
}

/// Longer than this the kernel should not run on end.
const LONG_POLL_NS: u64 = 1_000_000;

/// The running task is about to enter user mode. Costs nothing but in debug builds, which report
/// those that stay in the kernel for long.
#[inline]
pub fn user_begin() {
    if cfg!(debug_assertions) {
        let cpu = cpu::this();
        if let Some(task) = cpu.current() {
            cpu.kernel_ends(task);
        }
    }
}

/// The running task has left user mode; the counterpart of [`user_begin`].
#[inline]
pub fn user_end() {
    if cfg!(debug_assertions) {
        cpu::this().kernel_begins(|| machine::now().as_nanos());
    }
}

/// Charges the running task's time up to now, for those who read their own.
pub fn charge() {
    let cpu = cpu::this();
    if let Some(task) = cpu.current() {
        cpu.clock.charge(task);
    }
}

/// What a CPU has done since it started.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuStats {
    /// Time in user mode, of tasks with nice values up to 0.
    pub user: Duration,
    /// Time in user mode of the others.
    pub nice: Duration,
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
        nice: Duration::from_nanos(cpu.clock.nice_ns.load(Relaxed)),
        system: Duration::from_nanos(cpu.clock.system_ns.load(Relaxed)),
        idle: Duration::from_nanos(cpu.clock.idle_ns()),
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

#[cfg(test)]
mod tests {
    use super::{TICK_SHIFT, tick_after};

    #[test]
    fn each_period_has_one_tick() {
        let mut now = 0;
        for period in 1..1000 {
            now = tick_after(now);
            assert_eq!(now >> TICK_SHIFT, period);
        }
    }

    #[test]
    fn ticks_are_not_in_step_with_anything() {
        let mut quarters = [0; 4];
        let mut now = 0;
        for _ in 0..1000 {
            now = tick_after(now);
            quarters[usize::try_from(now >> (TICK_SHIFT - 2)).unwrap() % 4] += 1;
        }
        assert!(quarters.iter().all(|count| (200..300).contains(count)), "{quarters:?}");
    }
}
