//! A timer that can be set again and again.

use super::heap::Key;
use core::task::Waker;
use framework::Instant;
use spin::Mutex;

/// A timer that wakes one waker; for `timerfd`, interval timers and the like.
///
/// The waker runs in the scheduling loop or in [`crate::preempt`], never in an interrupt, so it may
/// take locks: an `Arc<impl alloc::task::Wake>` that wakes a [`crate::wait::WaitQueue`] makes a
/// timer that can be polled. A wake is a hint: one from an earlier setting may still be on its way
/// when the timer is set anew.
#[derive(Debug)]
pub struct Timer {
    key: Key,
    at: Mutex<Option<Instant>>,
}

impl Timer {
    /// A timer that is not set; it lives on this CPU.
    pub fn new(waker: Waker) -> Self {
        Self { key: Key::new(waker), at: Mutex::new(None) }
    }

    /// Sets it to `at` or, with `None`, unsets it. A moment in the past fires at once.
    pub fn set(&self, at: Option<Instant>) {
        let mut held = self.at.lock();
        *held = at;
        self.key.set(at);
    }

    /// What it was last set to, whether it has fired or not.
    pub fn deadline(&self) -> Option<Instant> {
        *self.at.lock()
    }

    /// Whether it is set and has not fired.
    pub fn is_set(&self) -> bool {
        self.key.is_set()
    }

    /// Changes whom it wakes.
    pub fn set_waker(&self, waker: &Waker) {
        self.key.set_waker(waker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Spawn, State, machine, run_until, select, sleep_until, spawn, timer, wait::WaitQueue,
    };
    use alloc::{sync::Arc, task::Wake};
    use core::{
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
        time::Duration,
    };

    /// What a `timerfd` is: a count, and a queue to wait for it.
    #[derive(Default)]
    struct Expirations(AtomicUsize, WaitQueue);

    impl Wake for Expirations {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
            self.1.wake_all(1);
        }
    }

    #[test]
    fn fires_as_often_as_it_is_set() {
        machine::virtual_time();
        let expired = Arc::new(Expirations::default());
        let shared = expired.clone();
        let task = spawn(Spawn::named("timer"), async move {
            let timer = Timer::new(shared.clone().into());
            for round in 1..=3 {
                let due = machine::now().saturating_add(Duration::from_millis(10));
                timer.set(Some(due));
                let listener = shared.1.listen(1, false);
                if shared.0.load(SeqCst) < round {
                    listener.await;
                }
                assert_eq!(machine::now(), due);
                assert_eq!(shared.0.load(SeqCst), round);
                assert!(!timer.is_set());
                assert_eq!(timer.deadline(), Some(due));
            }
            timer.set(Some(machine::now().saturating_add(Duration::from_millis(5))));
            timer.set(None);
            timer::sleep(Duration::from_millis(20)).await;
        });
        run_until(|| task.state() == State::Ended);
        assert_eq!(expired.0.load(SeqCst), 3);
    }

    #[test]
    fn a_dropped_sleep_leaves_nothing_behind() {
        machine::virtual_time();
        let task = spawn(Spawn::named("sleeper"), async {
            let start = machine::now();
            for _ in 0..1000 {
                let long = sleep_until(start.saturating_add(Duration::from_secs(1000)));
                select(crate::yield_now(), long).await;
            }
            let short = timer::sleep(Duration::from_millis(1));
            select(short, timer::sleep(Duration::from_secs(1))).await;
            assert_eq!(machine::now() - start, Duration::from_millis(1));
        });
        run_until(|| task.state() == State::Ended);
        let cpu = crate::sched::of(framework::cpu::current());
        assert_eq!(cpu.next_timer.load(SeqCst), u64::MAX);
    }
}
