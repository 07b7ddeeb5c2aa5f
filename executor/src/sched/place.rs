//! Where a woken task goes.
//!
//! A task woken by a peer that is about to wait for it stays on the peer's CPU, in the next slot.
//! Any other goes back to the CPU it ran on if that one sleeps, else to one that does, else back.
//! Real-time tasks go where the least important task runs.

use super::cpu::{self, Cpu, IDLE, IDLE_CPUS, SLICED};
use crate::{
    CpuSet,
    policy::Policy,
    task::{NIL, Place, Record, Runnable, record},
};
use async_task::ScheduleInfo;
use core::sync::atomic::Ordering::Relaxed;
use framework::{
    CpuId,
    sim::{self, Choice},
};

/// Called by a waker, in any context, with the task that became ready.
pub(crate) fn schedule(runnable: Runnable, info: ScheduleInfo) {
    sim::progress();
    let this = framework::cpu::current();
    let cpu = cpu::of(this);
    if info.woken_while_running {
        // In the scheduling loop of the CPU that ran it, which looks here next.
        cpu.queue.lock().returned = Some(runnable);
        return;
    }
    let task = runnable.metadata().record();
    let hot = cpu.synchronous.load(Relaxed);
    let target = choose(task, this, hot);
    if target == this
        && let Some(mut queue) = cpu.try_lock()
    {
        task.set_cpu(this);
        let look = queue.wake(runnable, cpu.current(), hot, cpu.clock.mark());
        if !cpu.alarm_comes_by(look) {
            cpu.attention.store(true, Relaxed);
        }
        return;
    }
    send(target, runnable);
}

/// Called once for a new task.
pub(crate) fn start(runnable: Runnable) {
    let this = framework::cpu::current();
    let task = runnable.metadata().record();
    task.set_mode(cpu::of(this).clock.likely_mode());
    let allowed = allowed(task);
    let load = |id: &CpuId| {
        let cpu = cpu::of(*id);
        (cpu.ready() + u32::from(cpu.current().is_some()), *id != this)
    };
    task.set_cpu(allowed.iter().min_by_key(load).unwrap_or(this));
    runnable.schedule();
}

/// The CPUs `task` may run on; never empty.
pub(super) fn allowed(task: &Record) -> CpuSet {
    let machine = cpu::machine(task.cpu());
    let allowed = task.affinity().and(machine);
    if allowed.is_empty() { machine } else { allowed }
}

/// The CPU a woken task should run on.
fn choose(task: &Record, this: CpuId, hot: bool) -> CpuId {
    if hot && task.cpu() == this && task.affinity().contains(this) {
        return this;
    }
    let allowed = allowed(task);
    if allowed.len() == 1 || hot && allowed.contains(this) {
        return if allowed.contains(this) { this } else { allowed.iter().next().unwrap_or(this) };
    }
    let last = match task.cpu() {
        last if allowed.contains(last) => last,
        _ if allowed.contains(this) => this,
        _ => allowed.iter().next().unwrap_or(this),
    };
    let rank = |id: &CpuId| cpu::of(*id).rank();
    if rank(&last) == 0 {
        return last;
    }
    if task.policy().priority().is_some() && rank(&last) >= task.policy().rank() {
        return allowed.iter().min_by_key(rank).unwrap_or(last);
    }
    let idle = allowed.and(CpuSet::from_bits(IDLE_CPUS.load(Relaxed)));
    let n = u32::try_from(idle.len()).unwrap_or(0);
    let chosen = sim::choose(Choice::IdleCpu, n).and_then(|n| usize::try_from(n).ok());
    idle.iter().nth(chosen.unwrap_or(0)).unwrap_or(last)
}

/// Puts a task into another CPU's inbox, and wakes that CPU if it would not look soon.
pub(super) fn send(target: CpuId, runnable: Runnable) {
    let task = runnable.metadata().record();
    let rank = task.policy().rank();
    task.set_cpu(target);
    task.set_place(Place::Inbox);
    task.put(runnable);
    let cpu = cpu::of(target);
    let presence = cpu.door.send(task.index(), &task.next);
    if would_sleep_over(presence, rank) {
        cpu.attention.store(true, Relaxed);
        framework::cpu::kick(target);
    }
}

/// The rank of what runs on a CPU that says `presence`.
fn running_rank(presence: u32) -> u8 {
    let [rank, ..] = presence.to_le_bytes();
    rank
}

/// Whether a CPU that says `presence` would let a task of `rank` in its inbox wait too long.
fn would_sleep_over(presence: u32, rank: u8) -> bool {
    let running = running_rank(presence);
    let shared = presence & SLICED != 0;
    presence == IDLE
        || rank > running
        || !shared && (rank == running || running == Policy::Fair.rank())
}

impl Cpu {
    /// The rank of what runs here; 0 if nothing does.
    fn rank(&self) -> u8 {
        running_rank(self.door.presence())
    }

    /// Moves what others sent into the queue.
    pub(super) fn drain(&self) {
        if self.door.is_empty() {
            return;
        }
        let mut queue = self.lock();
        let mut index = reverse(self.door.take());
        while index != NIL {
            let task = record(index);
            index = task.next.load(Relaxed);
            queue.wake(task.take(), self.current(), false, self.clock.mark());
        }
    }
}

/// Turns a list around, so that the first pushed comes first.
fn reverse(mut index: u32) -> u32 {
    let mut done = NIL;
    while index != NIL {
        let task = record(index);
        let next = task.next.load(Relaxed);
        task.next.store(done, Relaxed);
        done = index;
        index = next;
    }
    done
}

/// Runs `wake` with the hint that this task is about to wait for the one it wakes.
pub(crate) fn synchronously<T>(wake: impl FnOnce() -> T) -> T {
    let cpu = cpu::this();
    // A task cannot move while it is polled, so this is the same CPU at the end.
    cpu.synchronous.store(cpu.current().is_some(), Relaxed);
    let result = wake();
    cpu.synchronous.store(false, Relaxed);
    result
}

/// Changes the attributes of a task wherever it is.
pub(crate) fn change(task: &'static Record, change: impl FnOnce(&Record)) {
    let id = loop {
        let id = task.cpu();
        let mut queue = cpu::of(id).lock();
        // Only with the lock of the CPU it belongs to is it known where it is.
        if task.cpu() == id {
            queue.change(task, change);
            break id;
        }
    };
    let owner = cpu::of(id);
    owner.attention.store(true, Relaxed);
    if id != framework::cpu::current() && task.place() != Place::Waiting {
        framework::cpu::kick(id);
    }
}
