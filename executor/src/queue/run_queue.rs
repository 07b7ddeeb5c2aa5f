//! The tasks that wait for one CPU, and which of them is next.
//!
//! ```text
//!   returned ── ran last and is ready again
//!   real-time lists ─▶ next slot ─▶ fair queue        (in the order they are asked)
//! ```

use super::{
    fair::{FairQueue, SLICE_NS, difference, to_real},
    realtime::RealTime,
};
use crate::{
    policy::Policy,
    task::{Place, Record, Runnable},
};
use core::sync::atomic::Ordering::Relaxed;
use framework::{
    CpuId,
    sim::{self, Choice},
};

/// How long a task of policy `RoundRobin` runs before its peers.
pub(crate) const ROUND_ROBIN_NS: u64 = 100_000_000;

/// A fair task is not preempted by another one before it ran this long.
pub(crate) const MIN_RUN_NS: u64 = 750_000;

/// A thief leaves a task in the next slot alone for this long: its peer is about to wait for it.
const NEXT_IS_HOT_NS: u64 = 50_000;

/// So often in a row the next slot goes before the fair queue.
const MAX_STREAK: u8 = 16;

/// Never, as a moment in nanoseconds.
const NEVER: u64 = u64::MAX;

/// The tasks that wait for one CPU. While one runs, it is not in here.
pub(crate) struct RunQueue {
    /// The task that ran last and is ready again.
    pub(crate) returned: Option<Runnable>,
    /// Whether it asked for others to run before it.
    pub(crate) gave_way: bool,
    next: Option<Runnable>,
    next_since: u64,
    /// Virtual time and weight of the task that woke the one in the next slot when nobody else
    /// waited. Then that one is not counted in, and still has its lag: mostly it runs before
    /// anybody comes that it would compete with.
    next_beside: Option<(u64, u32)>,
    streak: u8,
    realtime: RealTime,
    fair: FairQueue,
    /// When the running task's turn began and when it ends, if others wait.
    dispatched: u64,
    slice_end: u64,
}

/// `task` if it is one of the fair queue's kind.
fn fair(task: Option<&Record>) -> Option<&Record> {
    task.filter(|task| task.policy().priority().is_none())
}

impl RunQueue {
    pub(crate) const fn new() -> Self {
        Self {
            returned: None,
            gave_way: false,
            next: None,
            next_since: 0,
            next_beside: None,
            streak: 0,
            realtime: RealTime::new(),
            fair: FairQueue::new(),
            dispatched: 0,
            slice_end: NEVER,
        }
    }

    /// How many tasks wait.
    pub(crate) fn len(&self) -> u32 {
        self.realtime.len() + self.fair.len() + u32::from(self.next.is_some())
    }

    /// What `task`, which runs here and is about to wait, is behind the others.
    pub(crate) fn lag(&self, task: &Record) -> i64 {
        let alone = self.fair.is_vacant() || task.weight.load(Relaxed) == 0;
        if alone { 0 } else { self.fair.lag(task) }
    }

    /// Puts in a task that was woken and comes from elsewhere; `hot` if the running task is about
    /// to wait for it. When the running task must be asked to look at [`Self::is_due`]; 0 is now.
    pub(crate) fn wake(
        &mut self,
        runnable: Runnable,
        current: Option<&Record>,
        hot: bool,
        now: u64,
    ) -> u64 {
        let task = runnable.metadata().record();
        if task.policy().priority().is_some() {
            return self.wake_real_time(runnable, current);
        }
        let running = fair(current);
        let Some(running) = running.filter(|_| hot && self.next.is_none() && self.fair.is_vacant())
        else {
            return self.wake_fair(runnable, current, hot, now);
        };
        self.next_beside = Some((running.vruntime.load(Relaxed), running.weight.load(Relaxed)));
        self.fill_next(runnable, now);
        self.soonest(running, now)
    }

    #[cold]
    fn wake_real_time(&mut self, runnable: Runnable, current: Option<&Record>) -> u64 {
        let task = runnable.metadata().record();
        self.realtime.push_back(task);
        task.set_place(Place::RealTime);
        let (rank, policy) = (task.policy().rank(), task.policy().priority());
        task.put(runnable);
        let look = current.is_none_or(|current| {
            let running = current.policy();
            running.rank() < rank
                || matches!(running, Policy::RoundRobin(mine) if Some(mine) == policy)
        });
        if look { 0 } else { NEVER }
    }

    fn wake_fair(
        &mut self,
        runnable: Runnable,
        current: Option<&Record>,
        hot: bool,
        now: u64,
    ) -> u64 {
        self.count_next();
        let task = runnable.metadata().record();
        let lag = task.vruntime.load(Relaxed).cast_signed();
        let running = fair(current);
        self.fair.place(task, lag, running);
        let next = hot && self.fair.is_eligible(task, running);
        let look = match running {
            Some(running) if next || precedes(task, running) => self.soonest(running, now),
            Some(running) if running.policy() != Policy::Idle => self.slice_end,
            _ => 0,
        };
        if next {
            self.fair.join(task);
            let displaced = self.next.take();
            self.fill_next(runnable, now);
            if let Some(displaced) = displaced {
                self.link_fair(displaced);
            }
        } else {
            self.insert_fair(runnable);
        }
        look
    }

    fn fill_next(&mut self, runnable: Runnable, now: u64) {
        runnable.metadata().record().set_place(Place::Next);
        self.next_since = now;
        self.next = Some(runnable);
    }

    /// When a woken task may preempt `running`, if it is to at all.
    fn soonest(&self, running: &Record, now: u64) -> u64 {
        let soonest = self.dispatched.saturating_add(MIN_RUN_NS);
        let at_once = soonest <= now || running.policy() == Policy::Idle;
        if at_once { 0 } else { soonest.min(self.slice_end) }
    }

    /// Counts the task in the next slot in: somebody comes that it competes with.
    fn count_next(&mut self) {
        if let Some(beside) = self.next_beside.take()
            && let Some(next) = &self.next
        {
            let task = next.metadata().record();
            let lag = task.vruntime.load(Relaxed).cast_signed();
            self.fair.place_beside(task, lag, beside);
            self.fair.join(task);
        }
    }

    fn insert_fair(&mut self, runnable: Runnable) {
        self.fair.join(runnable.metadata().record());
        self.link_fair(runnable);
    }

    /// Makes a task one of those that can be picked, which was in the next slot or is new.
    fn link_fair(&mut self, runnable: Runnable) {
        let task = runnable.metadata().record();
        self.fair.link(task);
        task.set_place(Place::Fair);
        task.put(runnable);
    }

    /// Chooses the task to run from `now` on.
    pub(crate) fn pick(&mut self, now: u64) -> Option<Runnable> {
        let Some(returned) = self.returned.take() else {
            return self.pop(now);
        };
        self.count_next();
        let last = returned.metadata().record();
        let gave_way = core::mem::take(&mut self.gave_way);
        self.settle(last);
        if self.len() == 0 {
            self.begin(last, now);
            return Some(returned);
        }
        if last.policy().priority().is_some() {
            // A preempted one stays first of its priority, unless its turn is over.
            if gave_way || self.turn_is_over(last, now) {
                self.realtime.push_back(last);
            } else {
                self.realtime.push_front(last);
            }
            last.set_place(Place::RealTime);
            last.put(returned);
            return self.pop(now);
        }
        if !gave_way {
            self.insert_fair(returned);
            return self.pop(now);
        }
        let picked = self.pop(now);
        self.insert_fair(returned);
        picked
    }

    /// Brings the task that ran last up to date before it is put in again.
    fn settle(&mut self, last: &Record) {
        if last.policy().priority().is_some() {
            return;
        }
        if last.place() == Place::Waiting {
            // It was about to wait and was woken before: its lag counts.
            let lag = last.vruntime.load(Relaxed).cast_signed();
            self.fair.place(last, lag, None);
        } else if last.weight.load(Relaxed) == 0 {
            // It was a real-time task a moment ago.
            self.fair.place(last, 0, None);
        } else {
            last.weight.store(last.policy().weight(last.nice()), Relaxed);
            FairQueue::renew(last);
        }
    }

    fn turn_is_over(&self, task: &Record, now: u64) -> bool {
        matches!(task.policy(), Policy::RoundRobin(_)) && now >= self.slice_end
    }

    /// Takes the best task out and begins its turn.
    fn pop(&mut self, now: u64) -> Option<Runnable> {
        if let Some(task) = self.realtime.pop() {
            self.begin(task, now);
            return Some(task.take());
        }
        if let Some(next) = self.next.take() {
            if now < self.slice_end && self.streak < MAX_STREAK || self.fair.len() == 0 {
                // It goes on with the slice of its waker, so a pair of them starves nobody.
                self.streak = self.streak.saturating_add(1);
                let task = next.metadata().record();
                match self.next_beside.take() {
                    Some(_) => self.fair.restart(task),
                    None => self.fair.leave(task),
                }
                if self.fair.len() == 0 {
                    self.begin(task, now);
                }
                return Some(next);
            }
            self.link_fair(next);
        }
        self.streak = 0;
        let chosen = sim::choose(Choice::Task, self.fair.len()).and_then(|n| self.fair.nth(n));
        let task = match chosen {
            Some(task) => {
                self.fair.remove(task);
                task
            }
            None => self.fair.pop()?,
        };
        self.begin(task, now);
        Some(task.take())
    }

    fn begin(&mut self, task: &Record, now: u64) {
        self.dispatched = now;
        let turn = match task.policy() {
            Policy::Fifo(_) => NEVER,
            Policy::RoundRobin(_) => ROUND_ROBIN_NS,
            Policy::Fair | Policy::Batch | Policy::Idle => {
                let left = difference(task.deadline.load(Relaxed), task.vruntime.load(Relaxed));
                let left = u64::try_from(left).unwrap_or(0);
                to_real(left, task.weight.load(Relaxed)).clamp(MIN_RUN_NS, SLICE_NS)
            }
        };
        self.slice_end = now.saturating_add(turn);
    }

    /// Whether tasks wait that the running one must share its CPU with, turn by turn.
    pub(crate) fn is_shared(&self, current: &Record) -> bool {
        match current.policy() {
            Policy::Fifo(_) => false,
            Policy::RoundRobin(_) => self.realtime.has_peer(current),
            Policy::Fair | Policy::Batch | Policy::Idle => self.len() > 0,
        }
    }

    /// Whether the running task should make way at `now`.
    pub(crate) fn is_due(&mut self, current: &Record, now: u64) -> bool {
        if let Some(mine) = current.policy().priority() {
            return self.realtime.highest() > mine
                || self.turn_is_over(current, now) && self.realtime.has_peer(current);
        }
        if self.len() == 0 {
            return false;
        }
        self.realtime.len() > 0 || now >= self.slice_end || self.beats(current, now)
    }

    /// Whether a waiting fair task is to preempt the running one before the end of its slice.
    fn beats(&mut self, current: &Record, now: u64) -> bool {
        let ran_enough = now >= self.dispatched + MIN_RUN_NS;
        self.count_next();
        if ran_enough && let Some(next) = self.next.take() {
            self.link_fair(next);
        }
        let Some(best) = self.fair.best(Some(current)) else { return false };
        match (best.policy(), current.policy()) {
            (Policy::Fair | Policy::Batch, Policy::Idle) => true,
            (Policy::Fair, _) => ran_enough && precedes(best, current),
            _ => false,
        }
    }

    /// When to look at [`Self::is_due`] again.
    pub(crate) fn next_look(&self, current: &Record, now: u64) -> u64 {
        if !self.is_shared(current) {
            return NEVER;
        }
        let may_preempt = self.next.is_some()
            || fair(Some(current)).is_some_and(|current| {
                let best = self.fair.best(Some(current));
                best.is_some_and(|best| precedes(best, current))
            });
        let soonest = self.dispatched + MIN_RUN_NS;
        if may_preempt && soonest > now { soonest.min(self.slice_end) } else { self.slice_end }
    }

    /// Takes a task for the CPU `thief`, the one that would have to wait longest.
    pub(crate) fn steal(&mut self, thief: CpuId, now: u64) -> Option<Runnable> {
        let wanted = |task: &Record| task.affinity().contains(thief);
        if let Some(task) = self.realtime.find(wanted) {
            self.realtime.remove(task);
            return Some(self.leave(task));
        }
        if let Some(task) = self.fair.last(wanted) {
            // The lag goes with it.
            let lag = difference(self.fair.average(None), task.vruntime.load(Relaxed));
            self.fair.remove(task);
            task.vruntime.store(lag.cast_unsigned(), Relaxed);
            return Some(self.leave(task));
        }
        let cold = now > self.next_since + NEXT_IS_HOT_NS;
        let next = self.next.take_if(|next| cold && wanted(next.metadata().record()))?;
        let task = next.metadata().record();
        if self.next_beside.take().is_none() {
            let lag = difference(self.fair.average(None), task.vruntime.load(Relaxed));
            self.fair.leave(task);
            task.vruntime.store(lag.cast_unsigned(), Relaxed);
        }
        task.set_place(Place::Waiting);
        Some(next)
    }

    fn leave(&self, task: &Record) -> Runnable {
        task.set_place(Place::Waiting);
        task.take()
    }

    /// Changes the attributes of a task that may be in here.
    pub(crate) fn change(&mut self, task: &Record, change: impl FnOnce(&Record)) {
        self.count_next();
        match task.place() {
            Place::Fair => {
                let lag = difference(self.fair.average(None), task.vruntime.load(Relaxed));
                self.fair.remove(task);
                task.vruntime.store(lag.cast_unsigned(), Relaxed);
            }
            Place::RealTime => {
                self.realtime.remove(task);
                task.vruntime.store(0, Relaxed);
            }
            Place::Running => {
                change(task);
                if task.policy().priority().is_some() {
                    // If it becomes fair again, it begins anew.
                    task.weight.store(0, Relaxed);
                }
                return;
            }
            Place::Waiting | Place::Inbox | Place::Next | Place::Ended => return change(task),
        }
        change(task);
        if task.policy().priority().is_some() {
            self.realtime.push_back(task);
            task.set_place(Place::RealTime);
        } else {
            let lag = task.vruntime.load(Relaxed).cast_signed();
            self.fair.place(task, lag, None);
            self.fair.insert(task);
            task.set_place(Place::Fair);
        }
    }
}

/// Whether the deadline of `a` is before that of `b`.
fn precedes(a: &Record, b: &Record) -> bool {
    difference(a.deadline.load(Relaxed), b.deadline.load(Relaxed)) < 0
}
