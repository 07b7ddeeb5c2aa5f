//! The scheduling loop, and what a running task asks of it.

use super::{
    cpu::{self, Cpu, IDLE, IDLE_CPUS, NEVER, SLICED},
    place,
};
use crate::{
    CpuSet, machine,
    task::{Mode, NIL, Place, Record, Runnable},
};
use core::sync::atomic::Ordering::Relaxed;
use framework::{CpuId, Instant};

/// Schedules this CPU for ever.
pub fn run() -> ! {
    turns(NEVER, &mut || false);
    unreachable!("the condition is never true")
}

/// Schedules this CPU until `done`, which is asked before each poll and once a millisecond.
pub fn run_until(mut done: impl FnMut() -> bool) {
    turns(LOOK_NS, &mut done);
}

/// How long [`run_until`] sleeps before it asks again.
const LOOK_NS: u64 = 1_000_000;

fn turns(longest_sleep: u64, done: &mut dyn FnMut() -> bool) {
    let this = framework::cpu::current();
    let cpu = cpu::of(this);
    let longest_sleep = if framework::sim::active() { NEVER } else { longest_sleep };
    cpu.clock.restart();
    cpu.alarm.store(NEVER, Relaxed);
    while !done() {
        cpu.fire_timers();
        cpu.drain();
        if !cpu.turn(this) && !cpu.steal(this) && !rested(cpu, this) {
            cpu.sleep(this, longest_sleep);
        }
    }
    cpu.door.hint(SLICED);
}

/// Lets a simulation look at tasks that all wait. Whether it found an error.
fn rested(cpu: &Cpu, this: CpuId) -> bool {
    #[cfg(not(target_os = "none"))]
    if framework::sim::active() {
        crate::sim::at_rest(cpu, this);
    }
    let _ = (cpu, this);
    framework::sim::has_failed()
}

impl Cpu {
    /// Polls the best ready task, if there is one.
    pub(crate) fn turn(&self, this: CpuId) -> bool {
        let picked = self.lock().pick(self.clock.mark());
        let any = picked.is_some();
        if let Some(runnable) = picked {
            framework::sim::spend_time();
            self.poll(runnable, this);
        }
        any
    }

    /// When the next timer of this CPU is due.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        let at = self.next_timer.load(Relaxed);
        (at != NEVER).then_some(Instant::from_nanos(at))
    }

    fn poll(&self, runnable: Runnable, this: CpuId) {
        let task = runnable.metadata().record();
        if !task.affinity().contains(this) && !place::allowed(task).contains(this) {
            // Its affinity changed while it waited here.
            task.set_place(Place::Waiting);
            task.vruntime.store(0, Relaxed);
            return place::send(place::allowed(task).iter().next().unwrap_or(this), runnable);
        }
        task.set_place(Place::Running);
        task.forget_reason();
        if task.index() != self.last.load(Relaxed) {
            self.last.store(task.index(), Relaxed);
            self.clock.count_switch();
        }
        self.current.store(task.index(), Relaxed);
        self.attention.store(false, Relaxed);
        self.told.store(false, Relaxed);
        self.yielding.store(NOT, Relaxed);
        self.prepare(task, this);
        self.kernel_begins(|| self.clock.mark());
        runnable.run();
        self.current.store(NIL, Relaxed);
    }

    /// Sets the alarm and says what runs, for a task that begins or goes on.
    fn prepare(&self, task: &Record, this: CpuId) {
        let rank = u32::from(task.policy().rank());
        let mut presence = rank;
        let mut look = NEVER;
        if self.ready() > 0 {
            let queue = self.queue.lock();
            look = queue.next_look(task, self.clock.mark());
            if queue.is_shared(task) {
                presence |= SLICED;
            }
            drop(queue);
            self.balance(this);
        }
        if self.door.presence() != presence && self.door.announce(presence) {
            self.attention.store(true, Relaxed);
        }
        self.arm(look.min(self.next_timer.load(Relaxed)).min(self.clock.next_tick()));
    }

    /// Nothing to do: sleeps until somebody sends a task or a timer is due.
    fn sleep(&self, this: CpuId, longest: u64) {
        let mine = CpuSet::only(this).bits();
        // What runs next was switched to, were it the same task.
        self.last.store(NIL, Relaxed);
        IDLE_CPUS.fetch_or(mine, Relaxed);
        let called = self.door.announce(IDLE);
        let limit = self.clock.mark().saturating_add(longest);
        let alarm = self.next_timer.load(Relaxed).min(limit);
        self.alarm.store(alarm, Relaxed);
        machine::set_alarm((alarm != NEVER).then_some(Instant::from_nanos(alarm)));
        let ready =
            || called || !self.door.is_empty() || self.ready() > 0 || self.attention.load(Relaxed);
        self.clock.begin_idle();
        machine::halt_unless(ready);
        self.attention.store(false, Relaxed);
        self.door.hint(SLICED);
        IDLE_CPUS.fetch_and(!mine, Relaxed);
        self.clock.charge_idle();
    }

    fn fire_timers(&self) {
        let now = self.clock.mark();
        if self.next_timer.load(Relaxed) <= now {
            crate::timer::fire(self, Instant::from_nanos(now));
        }
    }

    /// A timer was set that is due before all others of this CPU, whose number is `id`.
    pub(crate) fn timer_came_forward(&self, id: CpuId) {
        if id == framework::cpu::current() {
            self.arm(self.next_timer.load(Relaxed));
        } else {
            self.attention.store(true, Relaxed);
            framework::cpu::kick(id);
        }
    }

    /// Whether the alarm that is set leads to a call of [`preempt`] by `at`. One that was due since
    /// the mark has fired: then `preempt` is called before user mode.
    pub(super) fn alarm_comes_by(&self, at: u64) -> bool {
        let set = self.alarm.load(Relaxed);
        at == NEVER || set <= at && set > self.clock.mark()
    }

    /// Sees to an alarm at `at` or before; an earlier one that is set already stays.
    fn arm(&self, at: u64) {
        let set = self.alarm.load(Relaxed);
        if at < set || set <= self.clock.mark() && at != NEVER {
            self.alarm.store(at, Relaxed);
            machine::set_alarm(Some(Instant::from_nanos(at)));
        }
    }
}

/// Whether the running task is left over from a simulation that is over.
pub(crate) fn is_abandoned() -> bool {
    #[cfg(not(target_os = "none"))]
    if framework::sim::active() {
        return cpu::this().current().is_some_and(|task| task.id() < framework::sim::scope());
    }
    false
}

/// How a poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PollEnd {
    /// The task waits, unless it was woken meanwhile.
    Waits,
    /// The future is done.
    Done,
}

/// The running task does not yield; it yields; it does because [`preempt`] told it to.
pub(super) const NOT: u8 = 0;
pub(super) const BY_ITSELF: u8 = 1;
pub(super) const TOLD: u8 = 2;

/// Settles the accounts of the running task; nobody else can run it yet.
pub(crate) fn poll_ended(end: PollEnd) {
    let cpu = cpu::this();
    let Some(task) = cpu.current() else { return };
    cpu.kernel_ends(task);
    cpu.charge(task, || (!machine::alarm_is_set()).then_some(Mode::Kernel));
    cpu.settle(task);
    if end == PollEnd::Done {
        return task.end();
    }
    match cpu.yielding.load(Relaxed) {
        NOT => {
            let lag = if cpu.ready() == 0 { 0 } else { cpu.queue.lock().lag(task) };
            task.vruntime.store(lag.cast_unsigned(), Relaxed);
            task.count_switch(true);
            task.set_place(Place::Waiting);
        }
        how => {
            cpu.queue.lock().gave_way = how == BY_ITSELF;
            task.count_switch(false);
        }
    }
}

/// Whether the running task should call [`preempt`] before it goes on in user mode.
pub fn need_resched() -> bool {
    cpu::this().attention.load(Relaxed)
}

/// Takes in what happened since the task was scheduled: timers, wakes from elsewhere, time. True
/// if the task should yield. `found` is where an interrupt has just found the task, if one did.
pub fn preempt(found: Option<Mode>) -> bool {
    let this = framework::cpu::current();
    let cpu = cpu::of(this);
    let Some(task) = cpu.current() else { return false };
    cpu.attention.store(false, Relaxed);
    cpu.charge(task, || found);
    cpu.settle(task);
    cpu.fire_timers();
    cpu.drain();
    let due = !place::allowed(task).contains(this)
        || cpu.ready() > 0 && cpu.lock().is_due(task, cpu.clock.mark());
    if due {
        cpu.told.store(true, Relaxed);
    } else {
        cpu.prepare(task, this);
    }
    due
}
