//! A 4-ary heap of wakers by time, with stable keys so that a timer can be cancelled.

use crate::sched::{Cpu, of};
use alloc::vec::Vec;
use arrayvec::ArrayVec;
use core::{sync::atomic::Ordering::Relaxed, task::Waker};
use framework::{CpuId, Instant, cpu};
use slab::Slab;

/// Children of a node: 4 keys are a cache line.
const ARITY: usize = 4;

/// How many wakers are called between two holds of the lock.
const BATCH: usize = 16;

#[derive(Clone, Copy)]
struct Node {
    at: u64,
    key: usize,
}

struct Entry {
    /// Where in the heap its node is; `IDLE` if it is not set.
    position: usize,
    waker: Waker,
}

const IDLE: usize = usize::MAX;

/// The timers of one CPU. An entry belongs to its owner, who removes it; firing only unsets it.
pub(crate) struct TimerHeap {
    nodes: Vec<Node>,
    entries: Slab<Entry>,
}

impl TimerHeap {
    pub(crate) const fn new() -> Self {
        Self { nodes: Vec::new(), entries: Slab::new() }
    }

    fn first(&self) -> u64 {
        self.nodes.first().map_or(u64::MAX, |node| node.at)
    }

    fn set(&mut self, key: usize, at: u64) {
        self.unset(key);
        let position = self.nodes.len();
        self.entries[key].position = position;
        self.nodes.push(Node { at, key });
        self.rise(position);
    }

    fn unset(&mut self, key: usize) {
        let position = core::mem::replace(&mut self.entries[key].position, IDLE);
        if position == IDLE {
            return;
        }
        let last = self.nodes.pop().expect("every set entry has a node");
        if position < self.nodes.len() {
            self.place(position, last);
            self.sink(position);
            self.rise(position);
        }
    }

    /// Unsets an entry that is due at `now`; its waker.
    fn pop_due(&mut self, now: u64) -> Option<Waker> {
        let node = *self.nodes.first().filter(|node| node.at <= now)?;
        self.unset(node.key);
        Some(self.entries[node.key].waker.clone())
    }

    fn place(&mut self, position: usize, node: Node) {
        self.nodes[position] = node;
        self.entries[node.key].position = position;
    }

    fn rise(&mut self, mut position: usize) {
        let node = self.nodes[position];
        while position > 0 {
            let parent = (position - 1) / ARITY;
            if self.nodes[parent].at <= node.at {
                break;
            }
            self.place(position, self.nodes[parent]);
            position = parent;
        }
        self.place(position, node);
    }

    fn sink(&mut self, mut position: usize) {
        let node = self.nodes[position];
        loop {
            let first = position * ARITY + 1;
            let children = first..(first + ARITY).min(self.nodes.len());
            let Some(least) = children.min_by_key(|child| self.nodes[*child].at) else { break };
            if self.nodes[least].at >= node.at {
                break;
            }
            self.place(position, self.nodes[least]);
            position = least;
        }
        self.place(position, node);
    }
}

/// An entry in the heap of a CPU.
#[derive(Debug)]
pub(super) struct Key {
    cpu: CpuId,
    key: usize,
}

impl Key {
    /// Makes an entry on this CPU.
    pub(super) fn new(waker: Waker) -> Self {
        let cpu = cpu::current();
        let key = of(cpu).timers.lock().entries.insert(Entry { position: IDLE, waker });
        Self { cpu, key }
    }

    /// Sets it to `at`, or unsets it.
    pub(super) fn set(&self, at: Option<Instant>) {
        let owner = of(self.cpu);
        let mut timers = owner.timers.lock();
        match at {
            Some(at) => timers.set(self.key, at.as_nanos()),
            None => timers.unset(self.key),
        }
        let first = timers.first();
        let before = owner.next_timer.swap(first, Relaxed);
        drop(timers);
        if first < before {
            owner.timer_came_forward(self.cpu);
        }
    }

    /// Changes whom it wakes.
    pub(super) fn set_waker(&self, waker: &Waker) {
        let mut timers = of(self.cpu).timers.lock();
        timers.entries[self.key].waker.clone_from(waker);
    }

    /// Whether it is set and has not fired.
    pub(super) fn is_set(&self) -> bool {
        of(self.cpu).timers.lock().entries[self.key].position != IDLE
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        let owner = of(self.cpu);
        let mut timers = owner.timers.lock();
        timers.unset(self.key);
        let entry = timers.entries.remove(self.key);
        owner.next_timer.store(timers.first(), Relaxed);
        drop(timers);
        // The waker may be a task's last; it is not dropped under the lock.
        drop(entry);
    }
}

/// What the timers of all CPUs are counted as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimerStats {
    /// Timers that exist.
    pub made: usize,
    /// Those that are set.
    pub set: usize,
    /// When the first of them is due.
    pub first: Option<Instant>,
}

/// The timers of the CPU `id`, for `/proc/timer_list`.
pub fn stats(id: CpuId) -> TimerStats {
    let timers = of(id).timers.lock();
    let first = timers.nodes.first().map(|node| Instant::from_nanos(node.at));
    TimerStats { made: timers.entries.len(), set: timers.nodes.len(), first }
}

/// Wakes what is due on `cpu` at `now`.
pub(crate) fn fire(cpu: &Cpu, now: Instant) {
    loop {
        let mut due = ArrayVec::<Waker, BATCH>::new();
        let mut timers = cpu.timers.lock();
        while !due.is_full()
            && let Some(waker) = timers.pop_due(now.as_nanos())
        {
            due.push(waker);
        }
        cpu.next_timer.store(timers.first(), Relaxed);
        drop(timers);
        let more = due.is_full();
        due.into_iter().for_each(Waker::wake);
        if !more {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{sync::Arc, task::Wake};
    use spin::Mutex;

    struct Log(usize, Arc<Mutex<Vec<usize>>>);

    impl Wake for Log {
        fn wake(self: Arc<Self>) {
            self.1.lock().push(self.0);
        }
    }

    fn check(heap: &TimerHeap) {
        for (position, node) in heap.nodes.iter().enumerate() {
            assert_eq!(heap.entries[node.key].position, position);
            assert!(position == 0 || heap.nodes[(position - 1) / ARITY].at <= node.at);
        }
    }

    #[test]
    fn fires_in_order_whatever_was_set_and_unset() {
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut heap = TimerHeap::new();
        let mut times = Vec::new();
        let mut random = 12345_u64;
        for number in 0..500 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let waker = Waker::from(Arc::new(Log(number, log.clone())));
            let key = heap.entries.insert(Entry { position: IDLE, waker });
            assert_eq!(key, number);
            heap.set(key, random >> 40);
            times.push(random >> 40);
        }
        check(&heap);
        for number in (0..500).step_by(3) {
            heap.unset(number);
            times[number] = u64::MAX;
        }
        for number in (1..500).step_by(7) {
            times[number] = 1 << 30 | u64::try_from(number).unwrap();
            heap.set(number, times[number]);
            check(&heap);
        }
        let mut last = 0;
        while let Some(waker) = heap.pop_due(u64::MAX - 1) {
            waker.wake();
            let number = log.lock().pop().unwrap();
            assert!(times[number] >= last);
            last = times[number];
            times[number] = u64::MAX;
            check(&heap);
        }
        assert!(times.iter().all(|time| *time == u64::MAX));
        assert!(heap.nodes.is_empty());
    }
}
