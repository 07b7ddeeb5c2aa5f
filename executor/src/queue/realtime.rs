//! The real-time lists: one for each priority, and a bit for each that is not empty.

use crate::task::{NIL, Record, record};
use core::sync::atomic::Ordering::Relaxed;

/// Priorities 1..=99; list 0 stays empty.
const LISTS: usize = 100;

#[derive(Clone, Copy, Debug)]
struct List {
    head: u32,
    tail: u32,
}

/// The real-time tasks that wait for one CPU. The priority of one that is in does not change.
#[derive(Debug)]
pub(crate) struct RealTime {
    present: u128,
    lists: [List; LISTS],
    len: u32,
}

fn priority(task: &Record) -> usize {
    usize::from(task.policy().priority().unwrap_or(0))
}

impl RealTime {
    pub(crate) const fn new() -> Self {
        Self { present: 0, lists: [List { head: NIL, tail: NIL }; LISTS], len: 0 }
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// The highest priority that is ready; 0 if none is.
    pub(crate) fn highest(&self) -> u8 {
        u8::try_from(127_u32.saturating_sub(self.present.leading_zeros())).unwrap_or(0)
    }

    /// Whether a task with the priority of `task` is ready.
    pub(crate) fn has_peer(&self, task: &Record) -> bool {
        self.present & 1 << priority(task) != 0
    }

    pub(crate) fn push_back(&mut self, task: &Record) {
        let list = &mut self.lists[priority(task)];
        task.next.store(NIL, Relaxed);
        match list.tail {
            NIL => list.head = task.index(),
            tail => record(tail).next.store(task.index(), Relaxed),
        }
        list.tail = task.index();
        self.present |= 1 << priority(task);
        self.len += 1;
    }

    pub(crate) fn push_front(&mut self, task: &Record) {
        let list = &mut self.lists[priority(task)];
        task.next.store(list.head, Relaxed);
        if list.head == NIL {
            list.tail = task.index();
        }
        list.head = task.index();
        self.present |= 1 << priority(task);
        self.len += 1;
    }

    /// Takes the first of the highest priority.
    pub(crate) fn pop(&mut self) -> Option<&'static Record> {
        let list = self.lists[usize::from(self.highest())];
        if list.head == NIL {
            return None;
        }
        let task = record(list.head);
        self.unlink(task, NIL);
        Some(task)
    }

    /// The best task that meets `wanted`.
    pub(crate) fn find(&self, wanted: impl Fn(&Record) -> bool) -> Option<&'static Record> {
        let mut rest = self.present;
        while rest != 0 {
            let highest = 127 - rest.leading_zeros();
            rest &= !(1 << highest);
            let mut index = usize::try_from(highest).map_or(NIL, |list| self.lists[list].head);
            while index != NIL {
                let task = record(index);
                if wanted(task) {
                    return Some(task);
                }
                index = task.next.load(Relaxed);
            }
        }
        None
    }

    /// Takes `task` out, which is in.
    pub(crate) fn remove(&mut self, task: &Record) {
        let mut previous = NIL;
        let mut index = self.lists[priority(task)].head;
        while index != task.index() {
            previous = index;
            index = record(index).next.load(Relaxed);
        }
        self.unlink(task, previous);
    }

    fn unlink(&mut self, task: &Record, previous: u32) {
        let list = &mut self.lists[priority(task)];
        let next = task.next.load(Relaxed);
        match previous {
            NIL => list.head = next,
            previous => record(previous).next.store(next, Relaxed),
        }
        if next == NIL {
            list.tail = previous;
        }
        if list.head == NIL {
            self.present &= !(1 << priority(task));
        }
        self.len -= 1;
    }
}
