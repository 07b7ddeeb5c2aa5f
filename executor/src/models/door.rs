//! A CPU that sleeps while others send it tasks.

use crate::{
    primitive::AtomicU32,
    queue::{Door, NIL},
};
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;
use loom::{
    sync::{Arc, Condvar, Mutex},
    thread,
};

const IDLE: u32 = 0;
const BUSY: u32 = 1;

/// A CPU as the framework has it: a kick ends the halt that is going on, or the next one.
struct Machine {
    door: Door,
    kicked: Mutex<bool>,
    wake: Condvar,
    links: [AtomicU32; 2],
    loads: [AtomicU32; 2],
}

impl Machine {
    fn new() -> Self {
        Self {
            door: Door::new(BUSY),
            kicked: Mutex::new(false),
            wake: Condvar::new(),
            links: [AtomicU32::new(NIL), AtomicU32::new(NIL)],
            loads: [AtomicU32::new(0), AtomicU32::new(0)],
        }
    }

    fn send(&self, index: u32) {
        let slot = usize::try_from(index).unwrap();
        self.loads[slot].store(index + 10, Relaxed);
        if self.door.send(index, &self.links[slot]) == IDLE {
            *self.kicked.lock().unwrap() = true;
            self.wake.notify_one();
        }
    }

    /// What a CPU with nothing to do does.
    fn sleep(&self) {
        if !self.door.announce(IDLE) {
            let mut kicked = self.kicked.lock().unwrap();
            while !*kicked {
                kicked = self.wake.wait(kicked).unwrap();
            }
            *kicked = false;
        }
        self.door.hint(BUSY);
    }

    /// Receives `count` tasks; a lost wake-up is a deadlock, which loom reports.
    fn receive(&self, mut count: u32) {
        loop {
            let mut index = self.door.take();
            while index != NIL {
                let slot = usize::try_from(index).unwrap();
                assert_eq!(self.loads[slot].load(Relaxed), index + 10);
                index = self.links[slot].load(Relaxed);
                count -= 1;
            }
            if count == 0 {
                return;
            }
            self.sleep();
        }
    }
}

#[test]
fn a_task_sent_to_a_cpu_that_goes_to_sleep_is_found() {
    loom::model(|| {
        let machine = Arc::new(Machine::new());
        let sender = machine.clone();
        let thread = thread::spawn(move || sender.send(0));
        machine.receive(1);
        thread.join().unwrap();
    });
}

#[test]
fn tasks_of_two_senders_are_found() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let machine = Arc::new(Machine::new());
        let threads: Vec<_> = (0..2)
            .map(|index| {
                let sender = machine.clone();
                thread::spawn(move || sender.send(index))
            })
            .collect();
        machine.receive(2);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
