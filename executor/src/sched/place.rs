//! Where a woken task goes.

use super::cpu::{self, Cpu, IDLE, SLICED};
use crate::task::{NIL, Place, Record, Runnable, record};
use async_task::ScheduleInfo;
use core::sync::atomic::{
    Ordering::{Relaxed, SeqCst},
    fence,
};
use framework::CpuId;

/// Called by a waker, in any context, with the task that became ready.
pub(crate) fn schedule(runnable: Runnable, info: ScheduleInfo) {
    let this = framework::cpu::current();
    let cpu = cpu::of(this);
    if info.woken_while_running {
        // In the scheduling loop of the CPU that ran it, which looks here next.
        cpu.queue.lock().returned = Some(runnable);
        return;
    }
    let task = runnable.metadata().record();
    let target = choose(task, this);
    task.set_cpu(target);
    if target == this
        && let Some(mut queue) = cpu.queue.try_lock()
    {
        task.set_place(Place::Fair);
        queue.insert(runnable);
        cpu.attention.store(true, Relaxed);
        return;
    }
    send(target, runnable);
}

/// The CPU a woken task should run on.
fn choose(task: &Record, this: CpuId) -> CpuId {
    let allowed = task.affinity();
    let last = task.cpu();
    if allowed.contains(last) || allowed.is_empty() {
        last
    } else {
        allowed.iter().find(|cpu| cpu.index() < framework::cpu::count()).unwrap_or(this)
    }
}

/// Puts a task into another CPU's inbox, and wakes that CPU if it would not look soon.
pub(super) fn send(target: CpuId, runnable: Runnable) {
    let task = runnable.metadata().record();
    let rank = u32::from(task.policy().rank());
    task.set_place(Place::Inbox);
    task.put(runnable);
    let cpu = cpu::of(target);
    cpu.inbox.push(task.index(), &task.next);
    fence(SeqCst);
    let presence = cpu.presence.load(Relaxed);
    cpu.attention.store(true, Relaxed);
    if presence == IDLE || presence & SLICED == 0 || presence & !SLICED < rank {
        framework::cpu::kick(target);
    }
}

impl Cpu {
    /// Moves what others sent into the queue.
    pub(super) fn drain(&self) {
        if self.inbox.is_empty() {
            return;
        }
        let mut index = reverse(self.inbox.take());
        let mut queue = self.queue.lock();
        while index != NIL {
            let task = record(index);
            index = task.next.load(Relaxed);
            task.set_place(Place::Fair);
            queue.insert(task.take());
        }
    }

    /// How many tasks wait for this CPU.
    pub(super) fn ready(&self) -> usize {
        self.queue.try_lock().map_or(0, |queue| queue.len())
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

/// Runs `wake` with the hint that this task is about to wait for those it wakes.
pub(crate) fn synchronously<T>(wake: impl FnOnce() -> T) -> T {
    let cpu = cpu::this();
    cpu.synchronous.store(true, Relaxed);
    let result = wake();
    cpu.synchronous.store(false, Relaxed);
    result
}

/// Changes a task's attributes.
pub(crate) fn change(task: &'static Record, change: impl FnOnce(&Record)) {
    change(task);
}
