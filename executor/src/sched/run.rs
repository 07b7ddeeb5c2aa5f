//! The scheduling loop.

use super::cpu::{self, Cpu, IDLE, NEVER, SLICED};
use crate::{
    machine,
    task::{NIL, Place, Runnable},
};
use core::{
    pin::Pin,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll},
};
use framework::Instant;

/// Schedules this CPU for ever.
pub fn run() -> ! {
    turns(&mut || false);
    unreachable!("the condition is never true")
}

/// Schedules this CPU until `done`, which is asked before each poll, at least once a millisecond.
pub fn run_until(mut done: impl FnMut() -> bool) {
    turns(&mut done);
}

fn turns(done: &mut dyn FnMut() -> bool) {
    let cpu = cpu::this();
    cpu.clock.restart();
    while !done() {
        cpu.fire_timers();
        cpu.drain();
        match cpu.pick() {
            Some(runnable) => cpu.poll(runnable),
            None => cpu.idle(),
        }
    }
    cpu.announce(SLICED);
}

impl Cpu {
    fn pick(&self) -> Option<Runnable> {
        let mut queue = self.queue.lock();
        if let Some(runnable) = queue.returned.take() {
            queue.insert(runnable);
        }
        queue.pick()
    }

    fn poll(&self, runnable: Runnable) {
        let task = runnable.metadata().record();
        task.set_place(Place::Running);
        self.current.store(task.index(), Relaxed);
        self.presence.store(u32::from(task.policy().rank()), Relaxed);
        self.attention.store(false, Relaxed);
        self.clock.count_switch();
        self.arm(self.next_timer.load(Relaxed));
        runnable.run();
        self.current.store(NIL, Relaxed);
    }

    fn idle(&self) {
        self.announce(IDLE);
        let limit = if cfg!(test) { NEVER } else { self.clock.restart() + 1_000_000 };
        self.arm(self.next_timer.load(Relaxed).min(limit));
        machine::halt_unless(|| !self.inbox.is_empty() || self.ready() > 0);
        self.clock.charge_idle();
    }

    pub(super) fn fire_timers(&self) {
        let next = self.next_timer.load(Relaxed);
        if next != NEVER && next <= self.clock.restart() {
            crate::timer::fire(self, Instant::from_nanos(self.clock.mark()));
        }
    }

    /// A timer was set that is due before all others of this CPU, whose number is `id`.
    pub(crate) fn timer_came_forward(&self, id: framework::CpuId) {
        if id == framework::cpu::current() {
            let next = self.next_timer.load(Relaxed);
            if next < self.alarm.load(Relaxed) {
                self.arm(next);
            }
        } else {
            self.attention.store(true, Relaxed);
            framework::cpu::kick(id);
        }
    }

    pub(super) fn arm(&self, at: u64) {
        if self.alarm.swap(at, Relaxed) != at {
            machine::set_alarm((at != NEVER).then_some(Instant::from_nanos(at)));
        }
    }
}

/// How a poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PollEnd {
    /// The task waits, unless it was woken meanwhile.
    Waits,
    /// The future is done.
    Done,
}

/// Settles the accounts of the running task; nobody else can run it yet.
pub(crate) fn poll_ended(end: PollEnd) {
    let cpu = cpu::this();
    cpu.charge_system();
    if let Some(record) = cpu.current() {
        match end {
            PollEnd::Waits => record.set_place(Place::Waiting),
            PollEnd::Done => record.end(),
        }
    }
}

/// Whether the running task should call [`preempt`] before it goes on in user mode.
pub fn need_resched() -> bool {
    cpu::this().attention.load(Relaxed)
}

/// Takes in what happened since the task was scheduled: timers, wakes from elsewhere, time. True
/// if the task should yield.
pub fn preempt() -> bool {
    let cpu = cpu::this();
    cpu.attention.store(false, Relaxed);
    cpu.charge_system();
    cpu.fire_timers();
    cpu.drain();
    cpu.ready() > 0
}

/// Lets other tasks run first.
pub fn yield_now() -> impl Future<Output = ()> + Send {
    YieldNow { yielded: false }
}

struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Spawn, spawn, spawn_join};
    use alloc::{sync::Arc, vec::Vec};
    use core::time::Duration;
    use spin::Mutex;

    #[test]
    fn runs_tasks_to_their_ends() {
        let log = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = (0..3)
            .map(|number| {
                let log = log.clone();
                spawn(Spawn::named("counter"), async move {
                    for step in 0..2 {
                        log.lock().push((step, number));
                        yield_now().await;
                    }
                })
            })
            .collect();
        run_until(|| tasks.iter().all(|task| task.state() == crate::State::Ended));
        assert_eq!(*log.lock(), [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]);
    }

    #[test]
    fn sleeps_in_virtual_time() {
        machine::virtual_time();
        let start = machine::now();
        let sleeper = spawn_join(Spawn::named("sleeper"), async {
            crate::timer::sleep(Duration::from_secs(3600)).await;
        });
        let task = sleeper.task().clone();
        run_until(|| task.state() == crate::State::Ended);
        assert_eq!(machine::now() - start, Duration::from_secs(3600));
    }
}
