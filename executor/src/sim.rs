//! Simulation: tasks run on one CPU in virtual time, in an order drawn from a seed.
//!
//! When nothing is ready and before time moves on, every waiting task is polled once more, with the
//! one wait it is in ending for nothing. It must find its condition unmet and wait again. If it goes
//! on instead, what it waits for had come and nobody woke it: a lost wake-up.

extern crate std;

use crate::{
    sched::{self, Cpu},
    task::{self, Place, State, TaskRef},
};
use alloc::vec::Vec;
use core::fmt::Write;
use framework::{CpuId, sim};
use std::string::String;

pub use framework::sim::Report;

/// Runs the tasks that `begin` spawns, and theirs, until all have ended.
///
/// Fails if a wake-up was lost, or if tasks wait and no timer is set.
pub fn simulate(seed: u64, begin: impl FnOnce()) -> Report {
    let this = framework::cpu::current();
    let cpu = sched::of(this);
    sim::start(seed);
    sim::set_scope(task::next_id());
    cpu.reset();
    begin();
    sched::run_until(|| sim::has_failed() || live(this).next().is_none());
    abandon(cpu, this);
    sim::finish().expect("it was started above")
}

/// Drops the tasks of a simulation that failed.
fn abandon(cpu: &Cpu, this: CpuId) {
    let left = oldest_first(this);
    sim::set_scope(task::next_id());
    for task in left {
        task.wake();
    }
    while cpu.turn(this) {}
}

/// Looks for lost wake-ups, and for tasks that nothing will ever wake. Nothing is ready.
pub(crate) fn at_rest(cpu: &Cpu, this: CpuId) {
    let now = sim::freeze();
    if cpu.next_timer().is_some_and(|at| at <= now) {
        // It became due since the loop looked at the timers.
        return sim::thaw();
    }
    for task in oldest_first(this) {
        let reason = task.record().reason();
        if goes_on(cpu, this, &task) {
            let (name, id) = (task.name(), task.id() - sim::scope());
            sim::fail(format_args!("lost wake-up: task {id} ({name}) waited for {reason}"));
            return sim::thaw();
        }
    }
    if cpu.next_timer().is_none() || sim::is_over() {
        sim::fail(format_args!("deadlock: {}", waiting_list(this)));
    }
    sim::thaw();
}

/// Polls a waiting task once. Whether it did anything but wait again.
fn goes_on(cpu: &Cpu, this: CpuId, task: &TaskRef) -> bool {
    task.wake();
    let before = sim::progress_count();
    sim::set_probe(true);
    cpu.turn(this);
    sim::set_probe(false);
    sim::progress_count() != before || task.record().place() != Place::Waiting
}

/// The tasks of this simulation that have not ended.
fn live(this: CpuId) -> impl Iterator<Item = TaskRef> {
    let scope = sim::scope();
    task::all().filter(move |task| {
        task.id() >= scope && task.cpu() == this && task.state() != State::Ended
    })
}

/// The same in the order they were spawned in: their places in the table depend on earlier ones.
fn oldest_first(this: CpuId) -> Vec<TaskRef> {
    let mut tasks: Vec<TaskRef> = live(this).collect();
    tasks.sort_unstable_by_key(TaskRef::id);
    tasks
}

fn waiting_list(this: CpuId) -> String {
    let mut list = String::new();
    for task in oldest_first(this) {
        let comma = if list.is_empty() { "" } else { ", " };
        let _ = write!(list, "{comma}{} waits for {}", task.name(), task.record().reason());
    }
    list
}
