//! The fair queue: earliest eligible virtual deadline first.
//!
//! Every task receives virtual time at a rate inverse to its weight. One that has received less
//! than the weighted average is *eligible*; of those the one with the earliest deadline runs, where
//! a deadline is the virtual time at which a slice begun now should end. A task that waits keeps
//! its lag (how far behind the average it is), within bounds, so waiting neither wins nor loses.
//!
//! A treap over the records themselves, ordered by deadline, each knowing the least virtual time
//! below it: all operations are O(log n) and need no memory. Virtual times wrap; two of them are
//! compared by their difference.
//!
//! Source: Stoica, Abdel-Wahab, "Earliest Eligible Virtual Deadline First"; sched(7)

use crate::{
    policy::NICE_0,
    task::{NIL, Record, record},
};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// How long a fair task runs before others get their turn.
pub(crate) const SLICE_NS: u64 = 3_000_000;

/// `ns` of CPU time in the virtual time of a task of `weight`.
pub(crate) fn to_virtual(ns: u64, weight: u32) -> u64 {
    if weight == NICE_0 { ns } else { ns * u64::from(NICE_0) / u64::from(weight.max(1)) }
}

/// The inverse of [`to_virtual`].
pub(crate) fn to_real(virtual_ns: u64, weight: u32) -> u64 {
    if weight == NICE_0 { virtual_ns } else { virtual_ns * u64::from(weight) / u64::from(NICE_0) }
}

/// `a - b`, for two virtual times that are near each other.
pub(crate) fn difference(a: u64, b: u64) -> i64 {
    a.wrapping_sub(b).cast_signed()
}

/// The fair tasks that wait for one CPU.
#[derive(Debug)]
pub(crate) struct FairQueue {
    root: u32,
    len: u32,
    /// The sum of the weights.
    weight: i64,
    /// The sum of `weight * (vruntime - base)`.
    sum: i64,
    /// Moves with the average, so that the sum stays small.
    base: u64,
    /// Numbers those that come in; a task's number is in its `next`.
    arrivals: u32,
}

impl FairQueue {
    pub(crate) const fn new() -> Self {
        Self { root: NIL, len: 0, weight: 0, sum: 0, base: 0, arrivals: 0 }
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Whether nobody is counted in.
    #[inline]
    pub(crate) fn is_vacant(&self) -> bool {
        self.weight == 0
    }

    /// Total weight and weighted sum, the running task included if it is a fair one.
    fn totals(&self, current: Option<&Record>) -> (i64, i64) {
        match current {
            Some(current) => {
                let weight = i64::from(current.weight.load(Relaxed));
                let ahead = difference(current.vruntime.load(Relaxed), self.base);
                (self.weight + weight, self.sum.wrapping_add(weight.wrapping_mul(ahead)))
            }
            None => (self.weight, self.sum),
        }
    }

    /// The virtual time every task would have received by now if all were served at once.
    pub(crate) fn average(&self, current: Option<&Record>) -> u64 {
        let (weight, sum) = self.totals(current);
        match weight {
            0 => self.base,
            weight => self.base.wrapping_add_signed(sum.div_euclid(weight)),
        }
    }

    /// Whether a task at `vruntime` has received no more than the average.
    fn eligible(&self, vruntime: u64, (weight, sum): (i64, i64)) -> bool {
        difference(vruntime, self.base).wrapping_mul(weight) <= sum
    }

    /// Whether `task`, which is not in the queue, has received no more than the average.
    pub(crate) fn is_eligible(&self, task: &Record, current: Option<&Record>) -> bool {
        let totals = self.totals(current);
        totals.0 == 0 || self.eligible(task.vruntime.load(Relaxed), totals)
    }

    /// What `task`, which is about to wait, is behind the average: at most two slices.
    pub(crate) fn lag(&self, task: &Record) -> i64 {
        let limit = to_virtual(2 * SLICE_NS, task.weight.load(Relaxed)).cast_signed();
        difference(self.average(Some(task)), task.vruntime.load(Relaxed)).clamp(-limit, limit)
    }

    /// Gives a task that comes from elsewhere its weight, a virtual time that preserves `lag`, and
    /// a deadline.
    pub(crate) fn place(&mut self, task: &Record, lag: i64, current: Option<&Record>) {
        if self.weight == 0
            && let Some(current) = current
        {
            self.base = current.vruntime.load(Relaxed);
        }
        let (total, _) = self.totals(current);
        Self::put(task, lag, total, self.average(current));
    }

    /// Places `task` beside `alone`, of weight `total`, if nobody else is counted in.
    pub(crate) fn place_beside(&mut self, task: &Record, lag: i64, (alone, total): (u64, u32)) {
        self.base = alone;
        Self::put(task, lag, i64::from(total), alone);
    }

    /// Begins anew with a task that has nobody to compete with.
    pub(crate) fn restart(&self, task: &Record) {
        Self::put(task, 0, 0, self.base);
    }

    fn put(task: &Record, lag: i64, total: i64, average: u64) {
        let weight = task.policy().weight(task.nice());
        task.weight.store(weight, Relaxed);
        let limit = to_virtual(2 * SLICE_NS, weight).cast_signed();
        let lag = lag.clamp(-limit, limit);
        // Its coming moves the average; enlarged, the lag is right afterwards.
        let lag = if total == 0 || lag == 0 {
            0
        } else if let Some(product) = lag.checked_mul(total + i64::from(weight)) {
            product / total
        } else {
            let lag = i128::from(lag) * i128::from(total + i64::from(weight)) / i128::from(total);
            i64::try_from(lag).unwrap_or(0)
        };
        let vruntime = average.wrapping_sub(lag.cast_unsigned());
        task.vruntime.store(vruntime, Relaxed);
        task.deadline.store(vruntime.wrapping_add(to_virtual(SLICE_NS, weight)), Relaxed);
    }

    /// Gives a task that has used up its slice a new deadline.
    pub(crate) fn renew(task: &Record) {
        let vruntime = task.vruntime.load(Relaxed);
        if difference(vruntime, task.deadline.load(Relaxed)) >= 0 {
            let slice = to_virtual(SLICE_NS, task.weight.load(Relaxed));
            task.deadline.store(vruntime.wrapping_add(slice), Relaxed);
        }
    }

    /// Puts a task in that has been placed.
    pub(crate) fn insert(&mut self, task: &Record) {
        self.join(task);
        self.link(task);
    }

    /// Takes `task` out, which is in.
    pub(crate) fn remove(&mut self, task: &Record) {
        self.root = remove(self.root, task);
        self.len -= 1;
        self.leave(task);
    }

    /// Counts a placed task in, without making it one of those that can be picked: the one in the
    /// next slot competes like all others.
    pub(crate) fn join(&mut self, task: &Record) {
        if self.weight == 0 {
            self.base = task.vruntime.load(Relaxed);
        }
        let weight = i64::from(task.weight.load(Relaxed));
        let ahead = difference(task.vruntime.load(Relaxed), self.base);
        self.weight += weight;
        self.sum = self.sum.wrapping_add(weight.wrapping_mul(ahead));
    }

    /// Ends [`Self::join`].
    pub(crate) fn leave(&mut self, task: &Record) {
        let weight = i64::from(task.weight.load(Relaxed));
        let ahead = difference(task.vruntime.load(Relaxed), self.base);
        self.weight -= weight;
        self.sum = self.sum.wrapping_sub(weight.wrapping_mul(ahead));
    }

    /// Makes a task that was counted in one of those that can be picked.
    pub(crate) fn link(&mut self, task: &Record) {
        self.arrivals = self.arrivals.wrapping_add(1);
        task.next.store(self.arrivals, Relaxed);
        task.left.store(NIL, Relaxed);
        task.right.store(NIL, Relaxed);
        update(task);
        self.root = insert(self.root, task);
        self.len += 1;
    }

    /// Moves the base to the average.
    fn advance(&mut self) {
        let average = self.average(None);
        let by = difference(average, self.base);
        self.sum = self.sum.wrapping_sub(self.weight.wrapping_mul(by));
        self.base = average;
    }

    /// The eligible task with the earliest deadline, also against the running one; the earliest
    /// deadline of all if only the running one is eligible.
    pub(crate) fn best(&self, current: Option<&Record>) -> Option<&'static Record> {
        let totals = self.totals(current);
        let mut index = self.root;
        let mut found = None;
        while index != NIL {
            let task = record(index);
            let left = task.left.load(Relaxed);
            if left != NIL && self.eligible(record(left).min_vruntime.load(Relaxed), totals) {
                index = left;
            } else if self.eligible(task.vruntime.load(Relaxed), totals) {
                found = Some(task);
                break;
            } else {
                index = task.right.load(Relaxed);
            }
        }
        found.or_else(|| self.edge(|task| &task.left))
    }

    /// Takes the best task out.
    pub(crate) fn pop(&mut self) -> Option<&'static Record> {
        let task = self.best(None)?;
        self.remove(task);
        self.advance();
        Some(task)
    }

    fn edge(&self, side: fn(&Record) -> &AtomicU32) -> Option<&'static Record> {
        let mut found = None;
        let mut index = self.root;
        while index != NIL {
            let task = record(index);
            found = Some(task);
            index = side(task).load(Relaxed);
        }
        found
    }

    /// The first task from the latest deadline down that meets `wanted`, among a few.
    pub(crate) fn last(&self, wanted: impl Fn(&Record) -> bool) -> Option<&'static Record> {
        let mut budget = STEAL_LOOKS;
        last(self.root, &wanted, &mut budget)
    }

    /// The task with the `n`th deadline.
    pub(crate) fn nth(&self, mut n: u32) -> Option<&'static Record> {
        nth(self.root, &mut n)
    }
}

/// How many tasks a thief looks at before it gives up.
const STEAL_LOOKS: u32 = 16;

fn last(
    index: u32,
    wanted: &impl Fn(&Record) -> bool,
    budget: &mut u32,
) -> Option<&'static Record> {
    if index == NIL || *budget == 0 {
        return None;
    }
    let task = record(index);
    if let Some(found) = last(task.right.load(Relaxed), wanted, budget) {
        return Some(found);
    }
    *budget = budget.saturating_sub(1);
    if wanted(task) {
        return Some(task);
    }
    last(task.left.load(Relaxed), wanted, budget)
}

fn nth(index: u32, n: &mut u32) -> Option<&'static Record> {
    if index == NIL {
        return None;
    }
    let task = record(index);
    if let Some(found) = nth(task.left.load(Relaxed), n) {
        return Some(found);
    }
    if *n == 0 {
        return Some(task);
    }
    *n -= 1;
    nth(task.right.load(Relaxed), n)
}

/// Whether `a` comes before `b`: by deadline, then first come, first served.
fn before(a: &Record, b: &Record) -> bool {
    match difference(a.deadline.load(Relaxed), b.deadline.load(Relaxed)) {
        0 => a.next.load(Relaxed).wrapping_sub(b.next.load(Relaxed)).cast_signed() < 0,
        by => by < 0,
    }
}

/// The treap's heap order; a scrambled index is random enough.
fn height(index: u32) -> u32 {
    let scrambled = (index ^ index >> 15).wrapping_mul(0x2c1b_3c6d);
    (scrambled ^ scrambled >> 12).wrapping_mul(0x297a_2d39)
}

/// Computes what `task` knows of its subtree.
fn update(task: &Record) {
    let mut least = task.vruntime.load(Relaxed);
    for child in [&task.left, &task.right] {
        let child = child.load(Relaxed);
        if child != NIL {
            let below = record(child).min_vruntime.load(Relaxed);
            if difference(below, least) < 0 {
                least = below;
            }
        }
    }
    task.min_vruntime.store(least, Relaxed);
}

fn insert(root: u32, task: &Record) -> u32 {
    if root == NIL {
        return task.index();
    }
    let top = record(root);
    if height(task.index()) > height(root) {
        let (left, right) = split(root, task);
        task.left.store(left, Relaxed);
        task.right.store(right, Relaxed);
        update(task);
        return task.index();
    }
    let side = if before(task, top) { &top.left } else { &top.right };
    side.store(insert(side.load(Relaxed), task), Relaxed);
    update(top);
    root
}

/// Splits into those before `at` and the others.
fn split(root: u32, at: &Record) -> (u32, u32) {
    if root == NIL {
        return (NIL, NIL);
    }
    let top = record(root);
    if before(top, at) {
        let (left, right) = split(top.right.load(Relaxed), at);
        top.right.store(left, Relaxed);
        update(top);
        (root, right)
    } else {
        let (left, right) = split(top.left.load(Relaxed), at);
        top.left.store(right, Relaxed);
        update(top);
        (left, root)
    }
}

fn remove(root: u32, task: &Record) -> u32 {
    if root == task.index() {
        return merge(task.left.load(Relaxed), task.right.load(Relaxed));
    }
    let top = record(root);
    let side = if before(task, top) { &top.left } else { &top.right };
    side.store(remove(side.load(Relaxed), task), Relaxed);
    update(top);
    root
}

fn merge(left: u32, right: u32) -> u32 {
    if left == NIL {
        return right;
    }
    if right == NIL {
        return left;
    }
    if height(left) > height(right) {
        let top = record(left);
        top.right.store(merge(top.right.load(Relaxed), right), Relaxed);
        update(top);
        left
    } else {
        let top = record(right);
        top.left.store(merge(left, top.left.load(Relaxed)), Relaxed);
        update(top);
        right
    }
}
